/* What the program shows: results on standard output, messages on standard error. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"

void ls_print(const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    char *text = length < 0 ? NULL : malloc((size_t)length + 1);
    if (text) {
        vsnprintf(text, (size_t)length + 1, format, again);
        ls_make_harmless(text);
        fputs(text, stdout);
    }
    va_end(again);
    va_end(args);
    free(text);
}

void ls_show_message(void *context, ls_log_level level, const char *line) {
    (void)context;
    fprintf(stderr, "%s%s\n", level == LS_LOG_QUIET ? "lockstep: warning: " : "", line);
}
