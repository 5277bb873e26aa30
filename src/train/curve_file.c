/* The run file of a range test: what is stored, and the suggestions read off it at the end. */
#include "train/curve_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lockstep/io.h"
#include "train/engine.h"
#include "train/notes.h"

enum { SERIES_LIMIT = 12, NOT_STORED = -1 };
#define COMMIT_SECONDS 0.2

struct ls_curve_file {
    const ls_engine *engine;
    ls_run *run;
    int64_t points, committed;
    double last_add, last_commit;                    /* when, s */
    double *lr, *loss, *smoothed, *noise, *accuracy; /* the curve so far */
    char *path;                                      /* of the finished file */
    char *interim; /* where it grows, as there is one at `path`; NULL: at `path` */
    ls_series series[SERIES_LIMIT];
    int series_count;
    int accuracy_series, validation_series; /* series that only some runs have, or NOT_STORED */
};

enum { S_LR, S_LOSS, S_SMOOTHED, S_GRADIENT_NORM, S_SLICE_LOSS, S_SECONDS, S_PHASES, S_REDONE };

static int add_series(ls_curve_file *file, ls_series series) {
    file->series[file->series_count] = series;
    return file->series_count++;
}

static void list_series(ls_curve_file *file, const ls_config *config) {
    size_t slices = (size_t)config->batch.slices;
    const ls_series always[] = {
        [S_LR] = {"lr", 1, "1", "learning rate of the step", true},
        [S_LOSS] = {"loss", 1, "1", "mean loss of the global batch, before the step", true},
        [S_SMOOTHED] = {"smoothed_loss", 1, "1", "bias-corrected exponential average of loss",
                        true},
        [S_GRADIENT_NORM] = {"gradient_norm", 1, "1", "2-norm of the mean gradient", true},
        [S_SLICE_LOSS] = {"slice_loss", slices, "1", "mean loss of each slice, NaN if empty", true},
        [S_SECONDS] = {"seconds", 1, "s", "wall time from step to step on rank 0", false},
        [S_PHASES] = {"phase_seconds", LS_PHASE_COUNT, "s",
                      "data, forward, control, backward, exchange, update", false},
        [S_REDONE] = {"redone", 1, "1", "passes repeated with another fixed-point range", false},
    };
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
        add_series(file, always[i]);
    file->accuracy_series = NOT_STORED;
    file->validation_series = NOT_STORED;
    if (config->find_lr.accuracy)
        file->accuracy_series = add_series(
            file, (ls_series){"accuracy", 1, "1", "share of correct classes in the batch", true});
    if (config->find_lr.validation_every > 0)
        file->validation_series =
            add_series(file, (ls_series){"validation_loss", 1, "1",
                                         "mean validation loss after the step", true});
}

/* A test that ends before its time does not take the curve of the one before with it. */
static ls_status choose_path(ls_curve_file *file, const char *folder) {
    file->path = ls_format("%s/find-lr.h5", folder);
    if (file->path == NULL)
        return LS_ERR_SYSTEM;
    if (access(file->path, F_OK) != 0)
        return LS_OK;
    file->interim = ls_format("%s/find-lr.new.h5", folder);
    if (file->interim == NULL)
        return LS_ERR_SYSTEM;
    ls_log(LS_LOG_NORMAL, "%s stays until this test is done: its curve so far is in %s", file->path,
           file->interim);
    return LS_OK;
}

ls_status ls_curve_file_create(const ls_engine *engine, const ls_find_lr_job *job, int64_t steps,
                               ls_curve_file **file) {
    ls_curve_file *made = NULL;
    ls_status status;
    LS_TRY(LS_NEW(made, 1));
    made->engine = engine;
    list_series(made, engine->config);
    LS_TRY_GOTO(failed, LS_NEW(made->lr, (size_t)steps));
    LS_TRY_GOTO(failed, LS_NEW(made->loss, (size_t)steps));
    LS_TRY_GOTO(failed, LS_NEW(made->smoothed, (size_t)steps));
    LS_TRY_GOTO(failed, LS_NEW(made->noise, (size_t)steps));
    LS_TRY_GOTO(failed, LS_NEW(made->accuracy, (size_t)steps));
    LS_TRY_GOTO(failed, choose_path(made, job->folder));
    LS_TRY_GOTO(failed, ls_run_create(made->interim ? made->interim : made->path, "find_lr", steps,
                                      made->series, (size_t)made->series_count, &made->run));
    LS_TRY_GOTO(failed, ls_notes_write(made->run, engine, job->notes, job->note_count));
    made->last_add = ls_seconds();
    *file = made;
    return LS_OK;
failed:
    ls_curve_file_free(made);
    return status;
}

static void put(ls_curve_file *file, int series, int64_t row, const double *values) {
    if (series != NOT_STORED)
        memcpy(ls_run_row(file->run, (size_t)series, row), values,
               file->series[series].width * sizeof *values);
}

ls_status ls_curve_file_add(ls_curve_file *file, int64_t step, const ls_curve_point *point) {
    const ls_step_report *report = point->report;
    double now = ls_seconds(), seconds = now - file->last_add, redone = report->redone;
    double accuracy = (double)report->correct / (double)report->samples;
    size_t slices = file->series[S_SLICE_LOSS].width;
    put(file, S_LR, step, &point->lr);
    put(file, S_LOSS, step, &report->loss);
    put(file, S_SMOOTHED, step, &point->smoothed);
    put(file, S_GRADIENT_NORM, step, &report->gradient_norm);
    put(file, S_SLICE_LOSS, step, report->slice_loss);
    put(file, S_SECONDS, step, &seconds);
    put(file, S_PHASES, step, report->seconds);
    put(file, S_REDONE, step, &redone);
    put(file, file->accuracy_series, step, &accuracy);
    put(file, file->validation_series, step, &point->validation);
    file->lr[step] = point->lr;
    file->loss[step] = report->loss;
    file->smoothed[step] = point->smoothed;
    file->noise[step] = ls_slice_noise(slices, report->slice_loss);
    file->accuracy[step] = accuracy;
    file->points = step + 1;
    file->last_add = now;
    if (now - file->last_commit < COMMIT_SECONDS)
        return LS_OK;
    file->last_commit = now;
    return ls_run_commit(file->run, file->points);
}

static ls_status write_suggestions(ls_curve_file *file, const ls_find_lr_result *result) {
    for (int i = 0; i < LS_SUGGEST_COUNT; i++) {
        const ls_suggestion *suggestion = &result->suggestions[i];
        char name[64];
        snprintf(name, sizeof name, "suggestions/%s", suggestion->name);
        if (suggestion->found)
            LS_TRY(ls_run_set_number(file->run, name, suggestion->value));
        strncat(name, "_reason", sizeof name - strlen(name) - 1);
        if (suggestion->reason[0] != '\0')
            LS_TRY(ls_run_set_text(file->run, name, suggestion->reason));
    }
    return LS_OK;
}

ls_status ls_curve_file_finish(ls_curve_file *file, ls_find_lr_result *result) {
    ls_curve curve = {.count = file->points,
                      .lr = file->lr,
                      .loss = file->loss,
                      .smoothed = file->smoothed,
                      .noise = file->noise,
                      .diverged = result->stop != LS_STOP_END,
                      .accuracy = file->accuracy_series == NOT_STORED ? NULL : file->accuracy};
    ls_suggest(&curve, result->suggestions);
    LS_TRY(ls_run_commit(file->run, file->points));
    LS_TRY(ls_run_set_text(file->run, "stop_reason", ls_stop_name(result->stop)));
    LS_TRY(ls_run_set_number(file->run, "stop_step", (double)result->stop_step));
    if (result->stop_detail[0] != '\0')
        LS_TRY(ls_run_set_text(file->run, "stop_detail", result->stop_detail));
    LS_TRY(ls_run_set_text(file->run, "state_digest", result->digest));
    LS_TRY(ls_run_set_text(file->run, "state_restored", result->restored ? "yes" : "no"));
    LS_TRY(ls_run_set_text(file->run, "layout_invariant",
                           file->engine->config->exchange_sum == LS_EXCHANGE_FIXED ? "yes" : "no"));
    LS_TRY(write_suggestions(file, result));
    LS_TRY(ls_run_finish(file->run));
    if (file->interim && rename(file->interim, file->path) != 0)
        return ls_fail(LS_ERR_SYSTEM, "cannot rename '%s' to '%s': %s", file->interim, file->path,
                       strerror(errno));
    return LS_OK;
}

void ls_curve_file_free(ls_curve_file *file) {
    if (file == NULL)
        return;
    ls_run_free(file->run);
    ls_free(file->accuracy);
    ls_free(file->noise);
    ls_free(file->smoothed);
    ls_free(file->loss);
    ls_free(file->lr);
    ls_free(file->interim);
    ls_free(file->path);
    ls_free(file);
}
