/* Rows of run files: one a step. */
#include "train/step_file.h"

#include <string.h>

#define COMMIT_SECONDS 0.2

static const ls_series common[LS_S_COUNT] = {
    [LS_S_LR] = {"lr", 1, "1", "learning rate of the step", true},
    [LS_S_LOSS] = {"loss", 1, "1", "mean loss of the global batch, before the step", true},
    [LS_S_SMOOTHED] = {"smoothed_loss", 1, "1", "bias-corrected exponential average of loss", true},
    [LS_S_GRADIENT_NORM] = {"gradient_norm", 1, "1", "2-norm of the mean gradient", true},
    [LS_S_SECONDS] = {"seconds", 1, "s", "wall time from step to step on rank 0", false},
    [LS_S_PHASES] = {"phase_seconds", LS_PHASE_COUNT, "s",
                     "data, forward, control, backward, exchange, update", false},
    [LS_S_REDONE] = {"redone", 1, "1", "passes repeated with another fixed-point range", false},
};

size_t ls_step_series(const ls_series *own, size_t own_count, ls_series all[LS_S_MOST]) {
    LS_ASSERT(LS_S_COUNT + own_count <= LS_S_MOST);
    memcpy(all, common, sizeof common);
    memcpy(all + LS_S_COUNT, own, own_count * sizeof *own);
    return LS_S_COUNT + own_count;
}

void ls_step_file_put(ls_step_file *file, size_t series, int64_t step, double value) {
    *ls_run_row(file->run, series, step) = value;
}

ls_status ls_step_file_commit(ls_step_file *file) {
    file->last_commit = ls_seconds();
    return ls_run_commit(file->run, file->rows);
}

ls_status ls_step_file_add(ls_step_file *file, int64_t step, double lr, double smoothed,
                           const ls_step_report *report) {
    double now = ls_seconds();
    ls_step_file_put(file, LS_S_LR, step, lr);
    ls_step_file_put(file, LS_S_LOSS, step, report->loss);
    ls_step_file_put(file, LS_S_SMOOTHED, step, smoothed);
    ls_step_file_put(file, LS_S_GRADIENT_NORM, step, report->gradient_norm);
    ls_step_file_put(file, LS_S_SECONDS, step, now - file->last_add);
    ls_step_file_put(file, LS_S_REDONE, step, report->redone);
    memcpy(ls_run_row(file->run, LS_S_PHASES, step), report->seconds, sizeof report->seconds);
    file->last_add = now;
    file->rows = step + 1;
    return now - file->last_commit < COMMIT_SECONDS ? LS_OK : ls_step_file_commit(file);
}

ls_status ls_step_file_finish(ls_step_file *file, const char *state_digest, bool layout_invariant) {
    LS_TRY(ls_step_file_commit(file));
    LS_TRY(ls_run_set_text(file->run, "state_digest", state_digest));
    LS_TRY(ls_run_set_text(file->run, "layout_invariant", layout_invariant ? "yes" : "no"));
    return ls_run_finish(file->run);
}
