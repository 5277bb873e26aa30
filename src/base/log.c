/* Log lines, to whom it may concern, and the monotonic clock. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lockstep/base.h"

static ls_log_level current_level = LS_LOG_NORMAL;
static ls_log_function *write_to;
static void *write_context;

void ls_log_to(ls_log_function *function, void *context) {
    write_to = function;
    write_context = context;
}

void ls_log_set(ls_log_level level) {
    current_level = level;
}

ls_log_level ls_log_get(void) {
    return current_level;
}

/* Bytes of the UTF-8 character that begins here; 0 for what is none, or controls a terminal. */
static size_t character(const unsigned char *at) {
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (*at < 0x80)
        return *at >= ' ' && *at != 0x7f ? 1 : *at == '\n' || *at == '\t';
    size_t bytes = *at >= 0xf0 ? 4 : *at >= 0xe0 ? 3 : *at >= 0xc0 ? 2 : 0;
    unsigned code = bytes > 0 ? *at & (0x7fu >> bytes) : 0;
    for (size_t i = 1; i < bytes; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (at[i] & 0x3f);
    }
    bool turns = (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
    bool valid = bytes > 0 && code >= least[bytes] && code <= 0x10ffff && code >> 11 != 0x1b;
    return valid && code >= 0xa0 && !turns ? bytes
                                           : 0; /* below: C1; turns: the reading direction */
}

void ls_make_harmless(char *text) {
    for (unsigned char *at = (unsigned char *)text; *at;) {
        size_t bytes = character(at);
        if (bytes == 0)
            *at = '?';
        at += bytes > 0 ? bytes : 1;
    }
}

char *ls_harmless_text(const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    char *text = length < 0 ? NULL : malloc((size_t)length + 1);
    if (text) {
        vsnprintf(text, (size_t)length + 1, format, again);
        ls_make_harmless(text);
    }
    va_end(again);
    return text;
}

static void write_line(ls_log_level level, const char *format, va_list args) {
    char *text = ls_harmless_text(format, args);
    if (text)
        write_to(write_context, level, text);
    free(text);
}

void ls_log(ls_log_level level, const char *format, ...) {
    if (level > current_level || write_to == NULL)
        return;
    va_list args;
    va_start(args, format);
    write_line(level, format, args);
    va_end(args);
}

void ls_warn(const char *format, ...) {
    if (write_to == NULL)
        return;
    va_list args;
    va_start(args, format);
    write_line(LS_LOG_QUIET, format, args);
    va_end(args);
}

const char *ls_time_text(int64_t seconds, char text[LS_TIME_TEXT]) {
    time_t at = (time_t)seconds;
    struct tm utc;
    if (gmtime_r(&at, &utc) == NULL ||
        strftime(text, LS_TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
        text[0] = '\0';
    return text;
}

double ls_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
