/* Log lines on standard error, and the monotonic clock. */
#include <stdio.h>
#include <time.h>

#include "lockstep/base.h"

static ls_log_level current_level = LS_LOG_NORMAL;

void ls_log_set(ls_log_level level) {
    current_level = level;
}

ls_log_level ls_log_get(void) {
    return current_level;
}

void ls_log(ls_log_level level, const char *format, ...) {
    if (level > current_level)
        return;
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

void ls_warn(const char *format, ...) {
    fputs("lockstep: warning: ", stderr);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

double ls_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
