/* Loads the curve of a range test from a run file or a CSV. */
#include "cli/curve.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lockstep/config.h"

/* ---- run files ------------------------------------------------------------------------------ */

/* A copy of a series of width 1; *values stays NULL when the file has none and it is not `needed`.
 */
static ls_status copy_series(ls_run_reader *reader, const char *path, const char *name, bool needed,
                             double **values) {
    size_t width = 0, count = (size_t)ls_run_points(reader);
    const double *series = ls_run_series(reader, name, &width);
    if ((series == NULL || width != 1) && !needed)
        return LS_OK;
    if (series == NULL || width != 1)
        return ls_fail(LS_ERR_INPUT,
                       "%s: expected a vector '%s' in group '%s', as find-lr writes it", path, name,
                       ls_run_group(reader));
    LS_TRY(LS_NEW(*values, count));
    if (count > 0)
        memcpy(*values, series, count * sizeof **values);
    return LS_OK;
}

static ls_status copy_noise(ls_run_reader *reader, ls_curve_data *data) {
    size_t slices = 0;
    const double *series = ls_run_series(reader, "slice_loss", &slices);
    if (series == NULL || slices < 2)
        return LS_OK;
    LS_TRY(LS_NEW(data->noise, (size_t)data->count));
    for (int64_t i = 0; i < data->count; i++)
        data->noise[i] = ls_slice_noise(slices, series + (size_t)i * slices);
    return LS_OK;
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The configuration that the file keeps; NULL when there is none, or one of another version. */
static ls_config *stored_config(ls_run_reader *reader, const char *path) {
    const char *text = ls_run_note_text(reader, "configuration");
    ls_config *config = NULL;
    if (text && ls_config_parse(path, text, NULL, 0, &config) != LS_OK)
        ls_message_set("");
    return config;
}

ls_status ls_run_about(ls_run_reader *reader, const char *path, char **about) {
    ls_config *config = stored_config(reader, path);
    const char *state = ls_run_finished(reader) ? "" : ", unfinished";
    char *lines = config ? config->data.file.lines : NULL;
    if (lines)
        lines[strcspn(lines, "\n")] = '\0'; /* of several files the first */
    *about = config ? ls_format("%s, batch %lld, momentum %g%s", base_name(lines),
                                (long long)config->batch.size, config->train.momentum, state)
                    : ls_format("%s%s", base_name(path), state);
    ls_config_free(config);
    return *about ? LS_OK : LS_ERR_SYSTEM;
}

static void read_training(ls_run_reader *reader, const char *path, ls_curve_data *data) {
    ls_config *config = stored_config(reader, path);
    if (config) {
        data->momentum = config->train.momentum;
        data->batch = config->batch.size;
    }
    ls_config_free(config);
}

static ls_status read_run(ls_run_reader *reader, const char *path, ls_curve_data *data) {
    if (strcmp(ls_run_group(reader), "find_lr") != 0)
        return ls_fail(LS_ERR_INPUT, "%s: holds group '%s'; expected a range test, 'find_lr'", path,
                       ls_run_group(reader));
    data->count = ls_run_points(reader);
    LS_TRY(copy_series(reader, path, "lr", true, &data->lr));
    LS_TRY(copy_series(reader, path, "loss", true, &data->loss));
    LS_TRY(copy_series(reader, path, "smoothed_loss", true, &data->smoothed));
    LS_TRY(copy_series(reader, path, "gain", false, &data->gain));
    LS_TRY(copy_series(reader, path, "gain_noise", false, &data->gain_noise));
    LS_TRY(copy_series(reader, path, "accuracy", false, &data->accuracy));
    LS_TRY(copy_series(reader, path, "validation_loss", false, &data->validation));
    LS_TRY(copy_noise(reader, data));
    read_training(reader, path, data);
    const char *stop = ls_run_text(reader, "stop_reason");
    data->diverged = stop && strcmp(stop, ls_stop_name(LS_STOP_END)) != 0;
    return ls_run_about(reader, path, &data->about);
}

static ls_status load_run(const char *path, ls_curve_data *data) {
    ls_run_reader *reader;
    LS_TRY(ls_run_open(path, &reader));
    ls_status status = read_run(reader, path, data);
    ls_run_close(reader);
    return status;
}

/* ---- either --------------------------------------------------------------------------------- */

static ls_status load_csv(const char *path, ls_curve_data *data) {
    LS_TRY(ls_curve_read_csv(path, data));
    data->about = ls_strdup(base_name(path));
    if (data->about == NULL)
        return LS_ERR_SYSTEM;
    return LS_NEW(data->smoothed, (size_t)data->count);
}

ls_status ls_is_hdf5(const char *path, bool *hdf5) {
    static const char signature[] = "\x89HDF\r\n\x1a\n";
    char start[sizeof signature - 1];
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return ls_fail(LS_ERR_INPUT, "cannot open '%s': %s", path, strerror(errno));
    size_t got = fread(start, 1, sizeof start, file);
    int error = ferror(file) ? errno : 0;
    fclose(file);
    if (error != 0)
        return ls_fail(LS_ERR_INPUT, "cannot read '%s': %s", path, strerror(error));
    *hdf5 = got == sizeof start && memcmp(start, signature, sizeof start) == 0;
    return LS_OK;
}

/* Moves points whose loss is not finite out of the curve, unless most of what follows is not finite
 * either: there the divergence begins, and all from there on stays.  Returns how many. */
static int64_t skip_not_finite(ls_curve_data *data) {
    double *const series[] = {data->lr,   data->loss,       data->smoothed, data->noise,
                              data->gain, data->gain_noise, data->accuracy, data->validation};
    int64_t bad = 0, kept = 0, count = data->count;
    for (int64_t i = 0; i < count; i++)
        bad += !isfinite(data->loss[i]);
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(data->loss[i]) && 2 * bad <= count - i) {
            bad--;
            continue;
        }
        if (!isfinite(data->loss[i]))
            bad = count + 1; /* the divergence: keep the rest */
        for (size_t k = 0; k < sizeof series / sizeof series[0]; k++)
            if (series[k])
                series[k][kept] = series[k][i];
        kept++;
    }
    data->count = kept;
    return count - kept;
}

ls_status ls_curve_load(const char *path, double beta, ls_curve_data *data) {
    ls_curve_data new = {.momentum = LS_DEFAULT_MOMENTUM};
    bool hdf5 = false;
    LS_TRY(ls_is_hdf5(path, &hdf5));
    ls_status status = hdf5 ? load_run(path, &new) : load_csv(path, &new);
    if (status != LS_OK) {
        ls_curve_free(&new);
        return status;
    }
    int64_t skipped = skip_not_finite(&new);
    if (skipped > 0)
        ls_warn("%s: skipped %lld point%s whose loss is not finite", path, (long long)skipped,
                skipped == 1 ? "" : "s");
    if (!hdf5 || !isnan(beta) || skipped > 0)
        ls_smooth(isnan(beta) ? LS_DEFAULT_BETA : beta, new.count, new.loss, new.smoothed);
    *data = new;
    return LS_OK;
}

void ls_curve_free(ls_curve_data *data) {
    ls_free(data->lr);
    ls_free(data->loss);
    ls_free(data->smoothed);
    ls_free(data->noise);
    ls_free(data->gain);
    ls_free(data->gain_noise);
    ls_free(data->accuracy);
    ls_free(data->validation);
    ls_free(data->about);
    *data = (ls_curve_data){0};
}

ls_curve ls_curve_view(const ls_curve_data *data) {
    return (ls_curve){.count = data->count,
                      .lr = data->lr,
                      .loss = data->loss,
                      .smoothed = data->smoothed,
                      .noise = data->noise,
                      .gain = data->gain,
                      .gain_noise = data->gain_noise,
                      .accuracy = data->accuracy,
                      .momentum = data->momentum,
                      .batch = data->batch,
                      .diverged = data->diverged};
}

ls_status ls_curve_beta(const char *command, const char *text, double *beta) {
    *beta = NAN;
    if (text == NULL)
        return LS_OK;
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0 && value < 1))
        return ls_fail(LS_ERR_INPUT, "%s: --beta '%s': expected a number from 0 to below 1",
                       command, text);
    *beta = value;
    return LS_OK;
}
