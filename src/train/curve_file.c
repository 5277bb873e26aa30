/* The run file of a range test: what is stored, and the suggestions read off it at the end. */
#include "train/curve_file.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "train/notes.h"
#include "train/step_file.h"

enum { NOT_STORED = -1, S_SLICE_LOSS = LS_S_COUNT, S_GAIN, S_GAIN_NOISE };

struct ls_curve_file {
    ls_step_file rows;
    size_t slices;
    bool layout_invariant;
    double momentum;
    int64_t batch;
    char *path;               /* of the finished file */
    char *interim;            /* where it grows, as there is one at `path`; NULL: at `path` */
    int accuracy, validation; /* series that only some tests have, or NOT_STORED */
};

/* Lists all series; gives their count. */
static size_t list_series(ls_curve_file *file, const ls_find_lr_config *config,
                          ls_series all[LS_S_MOST]) {
    ls_series own[5];
    size_t count = 0;
    own[count++] =
        (ls_series){"slice_loss", file->slices, "1", "mean loss of each slice, NaN if empty", true};
    own[count++] = (ls_series){"gain", 1, "1",
                               "loss of the best constant answer less that of the network, on "
                               "samples not trained on before where there are any",
                               true};
    own[count++] = (ls_series){"gain_noise", 1, "1", "its standard error, from slices", true};
    file->accuracy = file->validation = NOT_STORED;
    if (config->accuracy) {
        file->accuracy = LS_S_COUNT + (int)count;
        own[count++] =
            (ls_series){"accuracy", 1, "1", "share of correct classes in the batch", true};
    }
    if (config->validation_every > 0) {
        file->validation = LS_S_COUNT + (int)count;
        own[count++] =
            (ls_series){"validation_loss", 1, "1", "mean validation loss after the step", true};
    }
    return ls_step_series(own, count, all);
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

ls_status ls_curve_file_create(const ls_run_facts *facts, const ls_find_lr_job *job, int64_t steps,
                               ls_curve_file **file) {
    const ls_config *config = facts->config;
    ls_curve_file *made = NULL;
    ls_series series[LS_S_MOST];
    ls_status status;
    LS_TRY(LS_NEW(made, 1));
    made->slices = (size_t)config->batch.slices;
    made->layout_invariant = config->exchange_sum == LS_EXCHANGE_FIXED;
    made->momentum = config->train.momentum;
    made->batch = config->batch.size;
    made->rows.last_add = ls_seconds();
    size_t count = list_series(made, &config->find_lr, series);
    LS_TRY_GOTO(failed, choose_path(made, job->folder));
    LS_TRY_GOTO(failed, ls_run_create(made->interim ? made->interim : made->path, "find_lr", steps,
                                      series, count, &made->rows.run));
    LS_TRY_GOTO(failed, ls_notes_write(made->rows.run, facts, job->notes, job->note_count));
    *file = made;
    return LS_OK;
failed:
    ls_curve_file_free(made);
    return status;
}

static void put_if_stored(ls_curve_file *file, int series, int64_t step, double value) {
    if (series != NOT_STORED)
        ls_step_file_put(&file->rows, (size_t)series, step, value);
}

ls_status ls_curve_file_add(ls_curve_file *file, int64_t step, const ls_curve_point *point) {
    const ls_step_report *report = point->report;
    memcpy(ls_run_row(file->rows.run, S_SLICE_LOSS, step), report->slice_loss,
           file->slices * sizeof *report->slice_loss);
    ls_step_file_put(&file->rows, S_GAIN, step, point->gain);
    ls_step_file_put(&file->rows, S_GAIN_NOISE, step, point->gain_noise);
    put_if_stored(file, file->accuracy, step, (double)report->correct / (double)report->samples);
    put_if_stored(file, file->validation, step, point->validation);
    return ls_step_file_add(&file->rows, step, point->lr, point->smoothed, report);
}

/* Of the rows so far; `noise` has room for a value each. */
static void suggest(const ls_curve_file *file, double *noise, ls_find_lr_result *result) {
    ls_run *run = file->rows.run;
    int64_t rows = file->rows.rows;
    for (int64_t i = 0; i < rows; i++)
        noise[i] = ls_slice_noise(file->slices, ls_run_row(run, S_SLICE_LOSS, i));
    bool accuracy = file->accuracy != NOT_STORED;
    const ls_curve curve = {.count = rows,
                            .lr = ls_run_row(run, LS_S_LR, 0),
                            .loss = ls_run_row(run, LS_S_LOSS, 0),
                            .smoothed = ls_run_row(run, LS_S_SMOOTHED, 0),
                            .noise = noise,
                            .gain = ls_run_row(run, S_GAIN, 0),
                            .gain_noise = ls_run_row(run, S_GAIN_NOISE, 0),
                            .momentum = file->momentum,
                            .batch = file->batch,
                            .diverged = result->stop != LS_STOP_END,
                            .accuracy =
                                accuracy ? ls_run_row(run, (size_t)file->accuracy, 0) : NULL};
    ls_suggest(&curve, result->suggestions);
}

static ls_status write_suggestions(ls_run *run, const ls_find_lr_result *result) {
    for (int i = 0; i < LS_SUGGEST_COUNT; i++) {
        const ls_suggestion *suggestion = &result->suggestions[i];
        char name[64];
        snprintf(name, sizeof name, "suggestions/%s", suggestion->name);
        if (suggestion->found)
            LS_TRY(ls_run_set_number(run, name, suggestion->value));
        strncat(name, "_reason", sizeof name - strlen(name) - 1);
        if (suggestion->reason[0] != '\0')
            LS_TRY(ls_run_set_text(run, name, suggestion->reason));
    }
    return LS_OK;
}

ls_status ls_curve_file_finish(ls_curve_file *file, ls_find_lr_result *result) {
    ls_run *run = file->rows.run;
    double *noise;
    LS_TRY(LS_NEW(noise, (size_t)file->rows.rows));
    suggest(file, noise, result);
    ls_free(noise);
    LS_TRY(ls_run_set_text(run, "stop_reason", ls_stop_name(result->stop)));
    LS_TRY(ls_run_set_number(run, "stop_step", (double)result->stop_step));
    if (result->stop_detail[0] != '\0')
        LS_TRY(ls_run_set_text(run, "stop_detail", result->stop_detail));
    if (result->unreached[0] != '\0')
        LS_TRY(ls_run_set_text(run, "unreached", result->unreached));
    LS_TRY(ls_run_set_text(run, "state_restored", result->restored ? "yes" : "no"));
    LS_TRY(write_suggestions(run, result));
    LS_TRY(ls_step_file_finish(&file->rows, result->digest, file->layout_invariant));
    return file->interim ? ls_file_publish(file->interim, file->path) : LS_OK;
}

void ls_curve_file_free(ls_curve_file *file) {
    if (file == NULL)
        return;
    ls_run_free(file->rows.run);
    ls_free(file->interim);
    ls_free(file->path);
    ls_free(file);
}
