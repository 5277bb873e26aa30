/* The run file of a training run: one row a step, evaluations in the row of the step they
 * follow. */
#include "train/train_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/notes.h"
#include "train/step_file.h"

/* Beside those of every step. */
enum {
    S_MOMENTUM = LS_S_COUNT,
    S_EPOCH_LOSS,
    S_ACCURACY,
    S_VALIDATION_LOSS,
    S_VALIDATION_ACCURACY,
    S_VALIDATION_R2,
    S_TEST_LOSS,
    S_TEST_ACCURACY,
    S_TEST_R2,
    SERIES_COUNT
};

static const ls_series own[] = {
    {"momentum", 1, "1", "momentum of the step", true},
    {"epoch_loss", 1, "1", "mean of loss over the samples of the epoch this step ends", true},
    {"accuracy", 1, "1", "share of correct classes in the batch", true},
    {"validation_loss", 1, "1", "mean validation loss after the epoch this step ends", true},
    {"validation_accuracy", 1, "1", "share of correct classes, likewise", true},
    {"validation_r2", 1, "1", "R2 of a regression, likewise", true},
    {"test_loss", 1, "1", "mean test loss after the epoch this step ends", true},
    {"test_accuracy", 1, "1", "share of correct classes, likewise", true},
    {"test_r2", 1, "1", "R2 of a regression, likewise", true},
};

_Static_assert(sizeof own / sizeof *own == SERIES_COUNT - LS_S_COUNT, "a number for each");

struct ls_train_file {
    ls_step_file rows;
    bool classes, layout_invariant;
};

/* A file that cannot be gone on with is kept as it is, beside. */
static ls_status begin_anew(const char *path, const char *folder, int64_t steps, int64_t done,
                            const ls_series *series, ls_run **run) {
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
    ls_series series[LS_S_MOST];
    ls_step_series(own, sizeof own / sizeof *own, series);
    if (state->step == 0)
        return ls_run_create(path, "train", steps, series, SERIES_COUNT, run);
    ls_status status =
        ls_run_resume(path, "train", state->run, steps, state->step, series, SERIES_COUNT, run);
    return status == LS_ERR_INPUT ? begin_anew(path, folder, steps, state->step, series, run)
                                  : status;
}

ls_status ls_train_file_open(const ls_run_facts *facts, const ls_train_job *job, int64_t steps,
                             const ls_train_state *state, ls_train_file **file) {
    ls_train_file *made = NULL;
    char *path = ls_format("%s/train.h5", job->folder);
    ls_status status = path ? LS_NEW(made, 1) : LS_ERR_SYSTEM;
    LS_TRY_GOTO(failed, status);
    made->classes = facts->targets == NULL;
    made->layout_invariant = facts->config->exchange_sum == LS_EXCHANGE_FIXED;
    made->rows = (ls_step_file){.rows = state->step, .last_add = ls_seconds()};
    ls_run **run = &made->rows.run;
    LS_TRY_GOTO(failed, open_run(path, job->folder, steps, state, run));
    LS_TRY_GOTO(failed, ls_run_note(*run, LS_RUN_NAME, state->run));
    LS_TRY_GOTO(failed, ls_run_set_number(*run, "steps_per_epoch", (double)facts->steps_per_epoch));
    LS_TRY_GOTO(failed, ls_notes_write(*run, facts, job->notes, job->note_count));
    ls_free(path);
    *file = made;
    return LS_OK;
failed:
    ls_free(path);
    ls_train_file_free(made);
    return status;
}

/* In three series, the first of them `loss`. */
static void put_score(ls_step_file *rows, size_t loss, int64_t step, const ls_score *score) {
    ls_step_file_put(rows, loss, step, score->loss);
    ls_step_file_put(rows, loss + 1, step, score->accuracy);
    ls_step_file_put(rows, loss + 2, step, score->r2);
}

ls_status ls_train_file_add(ls_train_file *file, int64_t step, const ls_train_point *point) {
    const ls_step_report *report = point->report;
    ls_step_file *rows = &file->rows;
    double accuracy = (double)report->correct / (double)report->samples;
    ls_step_file_put(rows, S_MOMENTUM, step, point->momentum);
    ls_step_file_put(rows, S_EPOCH_LOSS, step, point->epoch_loss);
    ls_step_file_put(rows, S_ACCURACY, step, file->classes ? accuracy : (double)NAN);
    put_score(rows, S_VALIDATION_LOSS, step, &point->score[LS_SPLIT_VALIDATION]);
    put_score(rows, S_TEST_LOSS, step, &point->score[LS_SPLIT_TEST]);
    return ls_step_file_add(rows, step, point->lr, point->smoothed, report);
}

ls_status ls_train_file_sync(ls_train_file *file) {
    LS_TRY(ls_step_file_commit(&file->rows));
    return ls_run_sync(file->rows.run);
}

ls_status ls_train_file_finish(ls_train_file *file, const ls_train_result *result) {
    ls_run *run = file->rows.run;
    LS_TRY(ls_run_set_text(run, "end", ls_train_end_name(result->end)));
    LS_TRY(ls_run_set_number(run, "base_lr", result->lr));
    LS_TRY(ls_run_set_number(run, "best", result->best));
    LS_TRY(ls_run_set_number(run, "best_epoch", (double)result->best_epoch));
    return ls_step_file_finish(&file->rows, result->digest, file->layout_invariant);
}

void ls_train_file_free(ls_train_file *file) {
    if (file == NULL)
        return;
    ls_run_free(file->rows.run);
    ls_free(file);
}
