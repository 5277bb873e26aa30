/* HDF5's error stack as one line: the deepest entry is the one that knows what happened. */
#include <stdio.h>
#include <string.h>

#include "io/h5.h"

enum { REASON_SIZE = 400, TEXT_SIZE = 1600 };

void ls_h5_quiet(void) {
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

static herr_t keep_deepest(unsigned depth, const H5E_error2_t *entry, void *context) {
    if (depth == 0 && entry->desc)
        snprintf(context, REASON_SIZE, "%s", entry->desc);
    return 0;
}

/* HDF5 words a failed system call as "file write failed: time = ..., errno = 28, error message =
 * 'No space left on device', buf = ...": only the quoted part is for people. */
static void keep_system_reason(char *reason) {
    static const char mark[] = "error message = '";
    char *begin = strstr(reason, mark);
    if (begin == NULL)
        return;
    begin += sizeof mark - 1;
    size_t length = strcspn(begin, "'");
    memmove(reason, begin, length);
    reason[length] = '\0';
}

static void word_truncation(char *reason) {
    unsigned long long there, base, wanted;
    if (sscanf(reason, "truncated file: eof = %llu, sblock->base_addr = %llu, stored_eof = %llu",
               &there, &base, &wanted) == 3)
        snprintf(reason, REASON_SIZE, "only %llu of its %llu bytes are there", there, wanted);
}

ls_status ls_h5_fail(ls_status status, const char *format, ...) {
    char reason[REASON_SIZE] = "", text[TEXT_SIZE];
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_deepest, reason);
    keep_system_reason(reason);
    word_truncation(reason);
    reason[strcspn(reason, "\n")] = '\0';
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return ls_fail(status, "%s: %s", text, reason[0] ? reason : "HDF5 gives no reason");
}
