/* The run file of a training run: one row a step, evaluations in the row of the step they
 * follow. */
#include "train/train_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lockstep/io.h"
#include "train/engine.h"
#include "train/notes.h"

#define COMMIT_SECONDS 0.2

enum {
    S_LR,
    S_MOMENTUM,
    S_LOSS,
    S_SMOOTHED,
    S_EPOCH_LOSS,
    S_ACCURACY,
    S_GRADIENT_NORM,
    S_VALIDATION_LOSS,
    S_VALIDATION_ACCURACY,
    S_VALIDATION_R2,
    S_TEST_LOSS,
    S_TEST_ACCURACY,
    S_TEST_R2,
    S_SECONDS,
    S_PHASES,
    S_REDONE,
    SERIES_COUNT
};

static const ls_series series[SERIES_COUNT] = {
    [S_LR] = {"lr", 1, "1", "learning rate of the step", true},
    [S_MOMENTUM] = {"momentum", 1, "1", "momentum of the step", true},
    [S_LOSS] = {"loss", 1, "1", "mean loss of the global batch, before the step", true},
    [S_SMOOTHED] = {"smoothed_loss", 1, "1", "bias-corrected exponential average of loss", true},
    [S_EPOCH_LOSS] = {"epoch_loss", 1, "1",
                      "mean of loss over the samples of the epoch this step ends", true},
    [S_ACCURACY] = {"accuracy", 1, "1", "share of correct classes in the batch", true},
    [S_GRADIENT_NORM] = {"gradient_norm", 1, "1", "2-norm of the mean gradient", true},
    [S_VALIDATION_LOSS] = {"validation_loss", 1, "1",
                           "mean validation loss after the epoch this step ends", true},
    [S_VALIDATION_ACCURACY] = {"validation_accuracy", 1, "1", "share of correct classes, likewise",
                               true},
    [S_VALIDATION_R2] = {"validation_r2", 1, "1", "R2 of a regression, likewise", true},
    [S_TEST_LOSS] = {"test_loss", 1, "1", "mean test loss after the epoch this step ends", true},
    [S_TEST_ACCURACY] = {"test_accuracy", 1, "1", "share of correct classes, likewise", true},
    [S_TEST_R2] = {"test_r2", 1, "1", "R2 of a regression, likewise", true},
    [S_SECONDS] = {"seconds", 1, "s", "wall time from step to step on rank 0", false},
    [S_PHASES] = {"phase_seconds", LS_PHASE_COUNT, "s",
                  "data, forward, control, backward, exchange, update", false},
    [S_REDONE] = {"redone", 1, "1", "passes repeated with another fixed-point range", false},
};

struct ls_train_file {
    const ls_engine *engine;
    ls_run *run;
    int64_t rows;
    double last_add, last_commit; /* when, s */
};

/* A file that cannot be gone on with is kept as it is, beside. */
static ls_status begin_anew(const char *path, const char *folder, int64_t steps, int64_t done,
                            ls_run **run) {
    char *aside = ls_format("%s/train-before-%lld.h5", folder, (long long)done);
    if (aside == NULL)
        return LS_ERR_SYSTEM;
    bool kept = rename(path, aside) == 0;
    ls_warn("%s: the curves of the first %lld steps are lost to the run that goes on%s%s",
            ls_message(), (long long)done, kept ? "; the file is kept as " : "", kept ? aside : "");
    ls_free(aside);
    ls_message_set("");
    LS_TRY(ls_run_create(path, "train", steps, series, SERIES_COUNT, run));
    return ls_run_commit(*run, done); /* NaN */
}

static ls_status open_run(const char *path, const char *folder, int64_t steps,
                          const ls_train_state *state, ls_run **run) {
    if (state->step == 0)
        return ls_run_create(path, "train", steps, series, SERIES_COUNT, run);
    ls_status status =
        ls_run_resume(path, "train", state->run, steps, state->step, series, SERIES_COUNT, run);
    return status == LS_ERR_INPUT ? begin_anew(path, folder, steps, state->step, run) : status;
}

ls_status ls_train_file_open(const ls_engine *engine, const ls_train_job *job, int64_t steps,
                             const ls_train_state *state, ls_train_file **file) {
    ls_train_file *made = NULL;
    char *path = ls_format("%s/train.h5", job->folder);
    ls_status status = path ? LS_NEW(made, 1) : LS_ERR_SYSTEM;
    LS_TRY_GOTO(failed, status);
    made->engine = engine;
    made->rows = state->step;
    made->last_add = ls_seconds();
    LS_TRY_GOTO(failed, open_run(path, job->folder, steps, state, &made->run));
    LS_TRY_GOTO(failed, ls_run_note(made->run, LS_RUN_NAME, state->run));
    LS_TRY_GOTO(failed, ls_run_set_number(made->run, "steps_per_epoch",
                                          (double)ls_engine_steps_per_epoch(engine)));
    LS_TRY_GOTO(failed, ls_notes_write(made->run, engine, job->notes, job->note_count));
    ls_free(path);
    *file = made;
    return LS_OK;
failed:
    ls_free(path);
    ls_train_file_free(made);
    return status;
}

static void put(ls_train_file *file, size_t which, int64_t row, double value) {
    *ls_run_row(file->run, which, row) = value;
}

/* In three series, the first of them `loss`. */
static void put_score(ls_train_file *file, size_t loss, int64_t row, const ls_score *score) {
    put(file, loss, row, score->loss);
    put(file, loss + 1, row, score->accuracy);
    put(file, loss + 2, row, score->r2);
}

static ls_status commit(ls_train_file *file) {
    file->last_commit = ls_seconds();
    return ls_run_commit(file->run, file->rows);
}

ls_status ls_train_file_add(ls_train_file *file, int64_t step, const ls_train_point *point) {
    const ls_step_report *report = point->report;
    const bool classes = file->engine->classes;
    double now = ls_seconds(), correct = (double)report->correct;
    put(file, S_LR, step, point->lr);
    put(file, S_MOMENTUM, step, point->momentum);
    put(file, S_LOSS, step, report->loss);
    put(file, S_SMOOTHED, step, point->smoothed);
    put(file, S_EPOCH_LOSS, step, point->epoch_loss);
    put(file, S_ACCURACY, step, classes ? correct / (double)report->samples : (double)NAN);
    put(file, S_GRADIENT_NORM, step, report->gradient_norm);
    put_score(file, S_VALIDATION_LOSS, step, &point->score[LS_SPLIT_VALIDATION]);
    put_score(file, S_TEST_LOSS, step, &point->score[LS_SPLIT_TEST]);
    put(file, S_SECONDS, step, now - file->last_add);
    put(file, S_REDONE, step, report->redone);
    memcpy(ls_run_row(file->run, S_PHASES, step), report->seconds, sizeof report->seconds);
    file->last_add = now;
    file->rows = step + 1;
    return now - file->last_commit < COMMIT_SECONDS ? LS_OK : commit(file);
}

ls_status ls_train_file_sync(ls_train_file *file) {
    LS_TRY(commit(file));
    return ls_run_sync(file->run);
}

ls_status ls_train_file_finish(ls_train_file *file, const ls_train_result *result) {
    LS_TRY(commit(file));
    LS_TRY(ls_run_set_text(file->run, "end", ls_train_end_name(result->end)));
    LS_TRY(ls_run_set_number(file->run, "base_lr", result->lr));
    LS_TRY(ls_run_set_number(file->run, "best", result->best));
    LS_TRY(ls_run_set_number(file->run, "best_epoch", (double)result->best_epoch));
    LS_TRY(ls_run_set_text(file->run, "state_digest", result->digest));
    LS_TRY(ls_run_set_text(file->run, "layout_invariant",
                           file->engine->config->exchange_sum == LS_EXCHANGE_FIXED ? "yes" : "no"));
    return ls_run_finish(file->run);
}

void ls_train_file_free(ls_train_file *file) {
    if (file == NULL)
        return;
    ls_run_free(file->run);
    ls_free(file);
}
