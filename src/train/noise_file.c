/* The run file of a noise scale: one row a step. */
#include "train/noise_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/notes.h"
#include "train/step_file.h"

#define GROUP "noise"

enum { S_SQUARE = LS_S_COUNT, S_TRACE, S_SCALE, S_ERROR, SERIES_COUNT };

static const ls_series own[] = {
    {"gradient_square", 1, "1",
     "|G|^2, the squared norm of the gradient over all samples: unbiased", true},
    {"gradient_trace", 1, "1", "tr(C), the variance of single samples' gradients: unbiased", true},
    {"noise_scale", 1, "1", "tr(C) / |G|^2, of the means over the `window` steps up to this one",
     true},
    {"noise_scale_error", 1, "1", "its standard error", true},
};

_Static_assert(sizeof own / sizeof *own == SERIES_COUNT - LS_S_COUNT, "a number for each");

struct ls_noise_file {
    ls_step_file rows;
    int64_t window; /* steps; it moves by a tenth of them */
};

static int64_t window_of(int64_t steps) {
    return LS_NOISE_GROUPS * (steps < 2 * LS_NOISE_MOVES ? 1 : steps / LS_NOISE_MOVES);
}

/* ---- writing -------------------------------------------------------------------------------- */

static ls_status describe(const ls_run_facts *facts, const ls_noise_job *job, double lr,
                          const ls_noise_file *file) {
    ls_run *run = file->rows.run;
    LS_TRY(ls_run_set_number(run, "base_lr", lr));
    LS_TRY(ls_run_set_number(run, "batch", (double)facts->config->batch.size));
    LS_TRY(ls_run_set_number(run, "slices", (double)facts->config->batch.slices));
    LS_TRY(ls_run_set_number(run, "window", (double)file->window));
    return ls_notes_write(run, facts, job->notes, job->note_count);
}

ls_status ls_noise_file_create(const ls_run_facts *facts, const ls_noise_job *job, int64_t steps,
                               double lr, ls_noise_file **file) {
    ls_series series[LS_S_MOST];
    ls_noise_file *made;
    ls_status status;
    LS_TRY(LS_NEW(made, 1));
    made->window = window_of(steps);
    made->rows.last_add = ls_seconds();
    ls_step_series(own, sizeof own / sizeof *own, series);
    LS_TRY_GOTO(failed,
                ls_run_create(job->path, GROUP, steps, series, SERIES_COUNT, &made->rows.run));
    LS_TRY_GOTO(failed, describe(facts, job, lr, made));
    LS_TRY_GOTO(failed, ls_step_file_commit(&made->rows));
    *file = made;
    return LS_OK;
failed:
    ls_noise_file_free(made);
    return status;
}

static void put_scale(ls_noise_file *file, int64_t step) {
    const int64_t window = file->window, done = step + 1;
    ls_run *run = file->rows.run;
    if (done < window || done % (window / LS_NOISE_GROUPS) != 0)
        return;
    const ls_noise_window now = ls_noise_over(ls_run_row(run, S_SQUARE, 0),
                                              ls_run_row(run, S_TRACE, 0), done - window, window);
    ls_step_file_put(&file->rows, S_SCALE, step, now.scale);
    ls_step_file_put(&file->rows, S_ERROR, step, now.error);
}

ls_status ls_noise_file_add(ls_noise_file *file, int64_t step, double lr, double smoothed,
                            const ls_step_report *report, const ls_noise_step *measured) {
    ls_step_file_put(&file->rows, S_SQUARE, step, measured->square);
    ls_step_file_put(&file->rows, S_TRACE, step, measured->trace);
    put_scale(file, step);
    return ls_step_file_add(&file->rows, step, lr, smoothed, report);
}

ls_status ls_noise_file_finish(ls_noise_file *file, const char *state_digest) {
    return ls_step_file_finish(&file->rows, state_digest, true);
}

void ls_noise_file_free(ls_noise_file *file) {
    if (file == NULL)
        return;
    ls_run_free(file->rows.run);
    ls_free(file);
}

/* ---- reading -------------------------------------------------------------------------------- */

static ls_status take_number(ls_run_reader *reader, const char *path, const char *name,
                             double least, double *value) {
    const char *text = ls_run_text(reader, name);
    *value = text ? strtod(text, NULL) : (double)NAN;
    if (*value >= least && *value < INT32_MAX)
        return LS_OK;
    return ls_fail(LS_ERR_INPUT, "%s: expected a number '%s' of at least %g in '" GROUP "'", path,
                   name, least);
}

static ls_status take_count(ls_run_reader *reader, const char *path, const char *name, double least,
                            int64_t *count) {
    double value;
    LS_TRY(take_number(reader, path, name, least, &value));
    *count = (int64_t)value;
    return LS_OK;
}

static ls_status take_series(ls_run_reader *reader, const char *path, const char *name,
                             const double **values) {
    size_t width = 0;
    *values = ls_run_series(reader, name, &width);
    return *values && width == 1
               ? LS_OK
               : ls_fail(LS_ERR_INPUT, "%s: expected a series '%s' of 1 value a row", path, name);
}

static ls_status take_windows(ls_run_reader *reader, const char *path, ls_noise_study *study) {
    const double *square, *trace;
    int64_t window;
    LS_TRY(take_count(reader, path, "window", LS_NOISE_GROUPS, &window));
    LS_TRY(take_series(reader, path, "gradient_square", &square));
    LS_TRY(take_series(reader, path, "gradient_trace", &trace));
    const int64_t move = window / LS_NOISE_GROUPS;
    if (study->rows < window)
        return ls_fail(LS_ERR_INPUT, "%s: holds %lld steps so far; expected a window of %lld", path,
                       (long long)study->rows, (long long)window);
    LS_TRY(LS_NEW(study->points, (size_t)((study->rows - window) / move + 1)));
    for (int64_t first = 0; first + window <= study->rows; first += move)
        study->points[study->point_count++] = ls_noise_over(square, trace, first, window);
    return LS_OK;
}

static ls_status take_study(ls_run_reader *reader, const char *path, ls_noise_study *study) {
    const double *smoothed;
    if (strcmp(ls_run_group(reader), GROUP) != 0)
        return ls_fail(LS_ERR_INPUT, "%s: holds group '%s'; expected a noise scale, '" GROUP "'",
                       path, ls_run_group(reader));
    study->rows = ls_run_points(reader);
    LS_TRY(take_count(reader, path, "batch", 1, &study->batch));
    LS_TRY(take_count(reader, path, "slices", 1, &study->slices));
    LS_TRY(take_number(reader, path, "base_lr", 0, &study->lr));
    LS_TRY(ls_notes_read(reader, "provenance/arguments", path, &study->about));
    LS_TRY(ls_notes_read(reader, "provenance/version", "", &study->version));
    LS_TRY(ls_notes_read(reader, "provenance/isa", "", &study->isa));
    LS_TRY(take_windows(reader, path, study));
    LS_TRY(take_series(reader, path, "smoothed_loss", &smoothed));
    LS_TRY(LS_NEW(study->smoothed_loss, (size_t)study->rows));
    memcpy(study->smoothed_loss, smoothed, (size_t)study->rows * sizeof *smoothed);
    return LS_OK;
}

ls_status ls_noise_read(const char *path, ls_noise_study *study) {
    ls_run_reader *reader;
    ls_noise_study made = {0};
    LS_TRY(ls_run_open(path, &reader));
    ls_status status = take_study(reader, path, &made);
    ls_run_close(reader);
    if (status == LS_OK)
        *study = made;
    else
        ls_noise_study_free(&made);
    return status;
}

void ls_noise_study_free(ls_noise_study *study) {
    ls_free(study->about);
    ls_free(study->version);
    ls_free(study->isa);
    ls_free(study->smoothed_loss);
    ls_free(study->points);
    *study = (ls_noise_study){0};
}
