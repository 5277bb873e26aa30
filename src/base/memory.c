/* Aligned zeroed memory, strings and the text that grows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lockstep/base.h"

enum { HUGE_PAGE = 2 * 1024 * 1024 };

void *ls_calloc(size_t count, size_t size) {
    size_t bytes;
    void *memory = NULL;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX - HUGE_PAGE) {
        ls_fail(LS_ERR_SYSTEM, "out of memory: %zu times %zu bytes wanted", count, size);
        return NULL;
    }
    bool large = bytes >= HUGE_PAGE;
    size_t grain = large ? HUGE_PAGE : LS_ALIGN;
    bytes = bytes == 0 ? grain : (bytes + grain - 1) / grain * grain;
    memory = aligned_alloc(grain, bytes);
    if (memory == NULL) {
        ls_fail(LS_ERR_SYSTEM, "out of memory: %zu bytes wanted", bytes);
        return NULL;
    }
    if (large)
        madvise(memory, bytes, MADV_HUGEPAGE); /* fewer misses of the TLB, where there are any */
    return memset(memory, 0, bytes);
}

ls_status ls_memory_for(ls_status status, const char *what) {
    if (status != LS_ERR_SYSTEM || strncmp(ls_message(), "out of memory", 13) != 0 ||
        strstr(ls_message(), " for "))
        return status;
    char message[2048];
    snprintf(message, sizeof message, "%s for %s", ls_message(), what);
    ls_message_set(message);
    return status;
}

void ls_free(void *memory) {
    free(memory);
}

/* The address of the pointer is taken as void *, so that a pointer of any type can be passed. */
ls_status ls_grow(void *array, size_t count, size_t *capacity, size_t size) {
    if (count < *capacity)
        return LS_OK;
    size_t larger = *capacity ? 2 * *capacity : 16;
    void *old, *made = ls_calloc(larger, size);
    if (made == NULL)
        return LS_ERR_SYSTEM;
    memcpy(&old, array, sizeof old);
    if (count > 0)
        memcpy(made, old, count * size);
    ls_free(old);
    memcpy(array, &made, sizeof made);
    *capacity = larger;
    return LS_OK;
}

char *ls_strdup(const char *text) {
    size_t bytes = strlen(text) + 1;
    char *copy = ls_calloc(bytes, 1);
    return copy ? memcpy(copy, text, bytes) : NULL;
}

char *ls_format(const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    char *text = length < 0 ? NULL : ls_calloc((size_t)length + 1, 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    va_end(args);
    return text;
}

static bool text_reserve(ls_text *text, size_t more) {
    size_t wanted = text->length + more + 1;
    if (wanted <= text->capacity)
        return true;
    size_t capacity = text->capacity ? text->capacity : 256;
    while (capacity < wanted)
        capacity *= 2;
    char *data = ls_calloc(capacity, 1);
    if (data == NULL)
        return false;
    if (text->length > 0)
        memcpy(data, text->data, text->length);
    ls_free(text->data);
    text->data = data;
    text->capacity = capacity;
    return true;
}

void ls_text_add(ls_text *text, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    if (text->failed || length < 0 || !text_reserve(text, (size_t)length)) {
        text->failed = true;
    } else {
        vsnprintf(text->data + text->length, (size_t)length + 1, format, again);
        text->length += (size_t)length;
    }
    va_end(again);
    va_end(args);
}

void ls_text_append(ls_text *text, const char *data, size_t bytes) {
    if (text->failed || !text_reserve(text, bytes)) {
        text->failed = true;
        return;
    }
    memcpy(text->data + text->length, data, bytes);
    text->length += bytes;
    text->data[text->length] = '\0';
}

void ls_text_free(ls_text *text) {
    ls_free(text->data);
    *text = (ls_text){0};
}

const char *ls_digits(double value, char text[LS_DIGITS_TEXT]) {
    if (!(value > 0))
        snprintf(text, LS_DIGITS_TEXT, "-");
    else if (value < 0.0995)
        snprintf(text, LS_DIGITS_TEXT, "%.3g", value);
    else
        snprintf(text, LS_DIGITS_TEXT, "%.*f", value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2, value);
    return text;
}
