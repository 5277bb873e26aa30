/* How far a run is, on standard error, from rank 0. */
#include "cli/progress.h"

#include <stdio.h>
#include <unistd.h>

#define TERMINAL_SECONDS 0.1
#define LOG_SECONDS 5.0

void ls_progress_begin(ls_progress *progress) {
    *progress = (ls_progress){.terminal = isatty(STDERR_FILENO), .shown = ls_seconds()};
}

void ls_progress_find_lr(void *context, const ls_find_lr_progress *now) {
    ls_progress *progress = context;
    double clock = ls_seconds();
    bool last = now->step == now->steps;
    double pause = progress->terminal ? TERMINAL_SECONDS : LOG_SECONDS;
    if (ls_log_get() == LS_LOG_QUIET || (!last && clock - progress->shown < pause))
        return;
    double rate = (double)now->samples / now->seconds;
    double left = now->seconds / (double)now->step * (double)(now->steps - now->step);
    char line[160];
    snprintf(line, sizeof line,
             "step %lld/%lld  lr %.3g  loss %.4f  smoothed %.4f  %.0f samples/s  %.0f s left",
             (long long)now->step, (long long)now->steps, now->lr, now->loss, now->smoothed, rate,
             left);
    if (progress->terminal)
        fprintf(stderr, "\r%-96s", line);
    else
        fprintf(stderr, "%s\n", line);
    fflush(stderr);
    progress->open = progress->terminal;
    progress->shown = clock;
}

void ls_progress_end(ls_progress *progress) {
    if (progress->open)
        fputc('\n', stderr);
    progress->open = false;
}
