/* How far a run is, on standard error, from rank 0. */
#include "cli/progress.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#define TERMINAL_SECONDS 0.1
#define LOG_SECONDS 5.0

enum { LINE_SIZE = 256 };

void ls_progress_begin(ls_progress *progress) {
    *progress = (ls_progress){.terminal = isatty(STDERR_FILENO), .shown = ls_seconds()};
}

/* Whether a line is due; the last one of a run always is. */
static bool is_due(const ls_progress *progress, bool last) {
    double pause = progress->terminal ? TERMINAL_SECONDS : LOG_SECONDS;
    return ls_log_get() != LS_LOG_QUIET && (last || ls_seconds() - progress->shown >= pause);
}

static void write_line(ls_progress *progress, const char *line, bool stays) {
    if (progress->terminal)
        fprintf(stderr, "\r%-96s%s", line, stays ? "\n" : "");
    else
        fprintf(stderr, "%s\n", line);
    fflush(stderr);
    progress->open = progress->terminal && !stays;
    progress->shown = ls_seconds();
}

void ls_progress_find_lr(void *context, const ls_find_lr_progress *now) {
    ls_progress *progress = context;
    char line[LINE_SIZE], samples[LS_DIGITS_TEXT];
    if (!is_due(progress, now->step == now->steps))
        return;
    double rate = (double)now->samples / now->seconds;
    double left = now->seconds / (double)now->step * (double)(now->steps - now->step);
    snprintf(line, sizeof line,
             "step %lld/%lld  lr %.3g  loss %.4f  smoothed %.4f  %s samples/s  %.0f s left",
             (long long)now->step, (long long)now->steps, now->lr, now->loss, now->smoothed,
             ls_digits(rate, samples), left);
    write_line(progress, line, false);
}

/* Nothing where it was not evaluated; the characters written. */
static int write_score(char *to, size_t room, ls_split split, const ls_score *score) {
    if (isnan(score->loss))
        return 0;
    if (isnan(score->accuracy))
        return snprintf(to, room, "  %s loss %.4f  R2 %.4f", ls_split_name(split), score->loss,
                        score->r2);
    return snprintf(to, room, "  %s loss %.4f  accuracy %.2f %%", ls_split_name(split), score->loss,
                    100 * score->accuracy);
}

void ls_progress_train(void *context, const ls_train_progress *now) {
    ls_progress *progress = context;
    char line[LINE_SIZE], rate[LS_DIGITS_TEXT];
    bool ends_epoch = !isnan(now->epoch_loss);
    if (!is_due(progress, ends_epoch || now->step == now->steps))
        return;
    int length = snprintf(line, sizeof line, "epoch %lld/%lld  step %lld/%lld  lr %.3g  %s %.4f",
                          (long long)now->epoch, (long long)now->epochs, (long long)now->step,
                          (long long)now->steps, now->lr, ends_epoch ? "loss" : "smoothed loss",
                          ends_epoch ? now->epoch_loss : now->smoothed);
    char *end = line + length;
    size_t room = sizeof line - (size_t)length;
    length = 0;
    for (int split = 0; split < LS_SPLIT_COUNT; split++)
        length += write_score(end + length, room - (size_t)length, split, &now->score[split]);
    if (length == 0)
        snprintf(end, room, "  %s samples/s  %.0f s left", ls_digits(now->samples_per_second, rate),
                 now->seconds_left);
    write_line(progress, line, ends_epoch);
}

void ls_progress_end(ls_progress *progress) {
    if (progress->open)
        fputc('\n', stderr);
    progress->open = false;
}
