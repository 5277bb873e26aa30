/* Status codes and the one recorded message: an error is worded where it is decided and printed
 * once, by main. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lockstep/base.h"

enum { MESSAGE_SIZE = 2048 };

static _Thread_local char recorded[MESSAGE_SIZE];

int ls_exit_code(ls_status status) {
    switch (status) {
    case LS_OK:
        return 0;
    case LS_ERR_INPUT:
        return 2;
    case LS_ERR_NUMERIC:
        return 3;
    case LS_ERR_BUG:
        return 4;
    case LS_STOPPED:
        return 5;
    case LS_ERR_SYSTEM:
        break;
    }
    return 1;
}

ls_status ls_fail(ls_status status, const char *format, ...) {
    if (recorded[0] == '\0') {
        va_list args;
        va_start(args, format);
        vsnprintf(recorded, sizeof recorded, format, args);
        va_end(args);
        for (char *at = recorded; *at; at++) /* what a damaged file held must not break the line */
            if (*at == '\n' || *at == '\t' || *at == '\r')
                *at = ' ';
        ls_make_harmless(recorded);
    }
    return status;
}

const char *ls_message(void) {
    return recorded;
}

void ls_message_set(const char *message) {
    snprintf(recorded, sizeof recorded, "%s", message);
}

#ifdef LS_DEBUG
void ls_assert_failed(const char *file, int line, const char *condition) {
    fprintf(stderr, "lockstep: %s:%d: assertion failed: %s\n", file, line, condition);
    abort();
}
#endif
