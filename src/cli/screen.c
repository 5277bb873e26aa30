/* What the program shows: results on standard output, messages on standard error. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"

void ls_print(const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = ls_harmless_text(format, args);
    if (text)
        fputs(text, stdout);
    va_end(args);
    free(text);
}

void ls_show_message(void *context, ls_log_level level, const char *line) {
    (void)context;
    fprintf(stderr, "%s%s\n", level == LS_LOG_QUIET ? "lockstep: warning: " : "", line);
}
