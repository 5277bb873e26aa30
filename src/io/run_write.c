/* Run files, written: a table of series that survives a kill at any moment.
 *
 * HDF5 lays out the whole table once, every series contiguous and filled with NaN, and closes the
 * file. From then on rows go straight to their places in it with pwrite: no metadata changes,
 * nobody holds the file open in HDF5, and a commit costs microseconds.  finish writes a compact
 * file anew. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/h5.h"

#define CHUNK_VALUES ((hsize_t)1 << 17) /* 1 MiB */

/* An attribute: text, or a number when text is NULL.  `path` is from the root. */
typedef struct run_note {
    char *path, *text;
    double number;
} run_note;

/* `values`: capacity * width. */
typedef struct run_series {
    char *name, *unit, *comment;
    size_t width;
    bool digested;
    double *values;
} run_series;

/* The file while the run goes on: where the first value of each series and the count of rows are.
 */
typedef struct live_file {
    int descriptor; /* -1: none */
    off_t points, *series;
} live_file;

struct ls_run {
    char *path, *group;
    time_t created;
    int64_t capacity, started, committed; /* rows; those started hold NaN where nothing was put */
    size_t series_count, note_count, note_capacity;
    run_series *series;
    run_note *notes;
    bool notes_changed; /* since the live file was laid out */
    live_file live;
};

/* ---- creating the table --------------------------------------------------------------------- */

/* Plain calloc: pages that no row has reached yet take no memory. */
static ls_status copy_series(const ls_series *from, int64_t capacity, run_series *to) {
    size_t values;
    to->name = ls_strdup(from->name);
    to->unit = ls_strdup(from->unit ? from->unit : "");
    to->comment = ls_strdup(from->comment ? from->comment : "");
    if (to->name == NULL || to->unit == NULL || to->comment == NULL)
        return LS_ERR_SYSTEM;
    LS_REQUIRE(from->width > 0);
    to->width = from->width;
    to->digested = from->digested;
    if (__builtin_mul_overflow((size_t)capacity, from->width, &values))
        values = SIZE_MAX;
    to->values = calloc(values ? values : 1, sizeof *to->values);
    if (to->values == NULL)
        return ls_fail(LS_ERR_SYSTEM, "out of memory: %lld rows of %zu values for series '%s'",
                       (long long)capacity, from->width, from->name);
    return LS_OK;
}

static void start_rows(ls_run *run, int64_t rows) {
    for (; run->started < rows; run->started++) {
        for (size_t s = 0; s < run->series_count; s++) {
            size_t width = run->series[s].width;
            double *row = run->series[s].values + (size_t)run->started * width;
            for (size_t i = 0; i < width; i++)
                row[i] = NAN;
        }
    }
}

double *ls_run_row(ls_run *run, size_t series, int64_t row) {
    LS_ASSERT(series < run->series_count && row >= 0 && row < run->capacity);
    start_rows(run, row + 1);
    return run->series[series].values + (size_t)row * run->series[series].width;
}

/* ---- attributes ----------------------------------------------------------------------------- */

/* The note of that path, a new one where there is none yet. */
static ls_status find_note(ls_run *run, const char *path, run_note **note) {
    for (size_t i = 0; i < run->note_count; i++) {
        if (strcmp(run->notes[i].path, path) == 0) {
            *note = &run->notes[i];
            return LS_OK;
        }
    }
    if (run->note_count == run->note_capacity) {
        size_t capacity = run->note_capacity ? 2 * run->note_capacity : 32;
        run_note *notes;
        LS_TRY(LS_NEW(notes, capacity));
        if (run->note_count > 0)
            memcpy(notes, run->notes, run->note_count * sizeof *notes);
        ls_free(run->notes);
        run->notes = notes;
        run->note_capacity = capacity;
    }
    char *copy = ls_strdup(path);
    if (copy == NULL)
        return LS_ERR_SYSTEM;
    *note = &run->notes[run->note_count++];
    **note = (run_note){.path = copy};
    return LS_OK;
}

/* A text, or a number when `text` is NULL. */
static ls_status set_note(ls_run *run, const char *path, const char *text, double number) {
    run_note *note;
    char *copy = text ? ls_strdup(text) : NULL;
    if (text && copy == NULL)
        return LS_ERR_SYSTEM;
    ls_status status = find_note(run, path, &note);
    if (status != LS_OK) {
        ls_free(copy);
        return status;
    }
    ls_free(note->text);
    note->text = copy;
    note->number = number;
    run->notes_changed = true;
    return LS_OK;
}

static ls_status set_group_note(ls_run *run, const char *name, const char *text, double number) {
    char *path = ls_format("%s/%s", run->group, name);
    if (path == NULL)
        return LS_ERR_SYSTEM;
    ls_status status = set_note(run, path, text, number);
    ls_free(path);
    return status;
}

ls_status ls_run_set_text(ls_run *run, const char *name, const char *value) {
    return set_group_note(run, name, value, 0);
}

ls_status ls_run_set_number(ls_run *run, const char *name, double value) {
    return set_group_note(run, name, NULL, value);
}

ls_status ls_run_note(ls_run *run, const char *name, const char *value) {
    return set_note(run, name, value, 0);
}

static ls_status write_notes(const ls_run *run, ls_h5_output *output) {
    for (size_t i = 0; i < run->note_count; i++) {
        const run_note *note = &run->notes[i];
        LS_TRY(note->text ? ls_h5_output_text(output, note->path, note->text)
                          : ls_h5_output_number(output, note->path, note->number));
    }
    return LS_OK;
}

/* ---- datasets ------------------------------------------------------------------------------- */

/* Property list of a live series: all space there from the start, in one piece, NaN in it. */
static hid_t live_layout(void) {
    double nan = NAN;
    hid_t layout = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(layout, false);
    H5Pset_layout(layout, H5D_CONTIGUOUS);
    H5Pset_alloc_time(layout, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_value(layout, H5T_NATIVE_DOUBLE, &nan);
    return layout;
}

/* Of a finished series: chunks of about 1 MiB with checksums. */
static hid_t finished_layout(const run_series *series, int64_t rows) {
    hsize_t chunk[2] = {CHUNK_VALUES / series->width, series->width};
    if (chunk[0] > (hsize_t)rows)
        chunk[0] = (hsize_t)rows;
    if (chunk[0] < 1)
        chunk[0] = 1;
    hid_t layout = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(layout, false);
    H5Pset_chunk(layout, series->width > 1 ? 2 : 1, chunk);
    H5Pset_fletcher32(layout);
    return layout;
}

static ls_status create_series(ls_h5_output *output, hid_t group, const run_series *series,
                               int64_t rows, hid_t layout, hid_t *dataset) {
    LS_TRY(ls_h5_output_room(output, (size_t)rows * series->width * sizeof(double)));
    hsize_t shape[2] = {(hsize_t)rows, series->width};
    hsize_t most[2] = {H5S_UNLIMITED, series->width};
    bool fixed = H5Pget_layout(layout) == H5D_CONTIGUOUS;
    hid_t space = H5Screate_simple(series->width > 1 ? 2 : 1, shape, fixed ? NULL : most);
    hid_t made =
        H5Dcreate2(group, series->name, H5T_NATIVE_DOUBLE, space, H5P_DEFAULT, layout, H5P_DEFAULT);
    ls_status status = LS_OK;
    if (made < 0)
        status = ls_h5_output_fail(output);
    ls_h5_release(space);
    if (status != LS_OK)
        return status;
    LS_TRY_GOTO(failed, ls_h5_output_label(output, made, "unit", series->unit));
    LS_TRY_GOTO(failed, ls_h5_output_label(output, made, "comment", series->comment));
    LS_TRY_GOTO(failed, ls_h5_output_integer(output, made, "digested", series->digested));
    *dataset = made;
    return LS_OK;
failed:
    ls_h5_release(made);
    return status;
}

static ls_status create_points(ls_h5_output *output, hid_t group, int64_t points, off_t *place) {
    ls_status status = LS_OK;
    hid_t layout = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate(H5S_SCALAR);
    H5Pset_obj_track_times(layout, false);
    H5Pset_alloc_time(layout, H5D_ALLOC_TIME_EARLY);
    hid_t dataset =
        H5Dcreate2(group, "points", H5T_NATIVE_INT64, space, H5P_DEFAULT, layout, H5P_DEFAULT);
    if (dataset < 0 ||
        H5Dwrite(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, &points) < 0)
        status = ls_h5_output_fail(output);
    else
        *place = (off_t)H5Dget_offset(dataset);
    if (status == LS_OK)
        status = ls_h5_output_end(output, dataset);
    else
        ls_h5_release(dataset);
    ls_h5_release(space);
    ls_h5_release(layout);
    return status;
}

/* What a live and a finished file have in common, but for the series. */
static ls_status begin_file(const ls_run *run, const char *state, ls_h5_output *output,
                            hid_t *group) {
    LS_TRY(ls_h5_output_open(run->path, LS_FORMAT_RUN, run->created, false, output));
    LS_TRY(ls_h5_output_text(output, "group", run->group));
    LS_TRY(ls_h5_output_text(output, "state", state));
    LS_TRY(write_notes(run, output));
    return ls_h5_output_group(output, run->group, group);
}

/* ---- the live file -------------------------------------------------------------------------- */

static ls_status put(const ls_run *run, const live_file *live, const void *data, size_t bytes,
                     off_t place) {
    for (const char *at = data; bytes > 0;) {
        ssize_t written = pwrite(live->descriptor, at, bytes, place);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return ls_fail(LS_ERR_SYSTEM, "cannot write '%s': %s", run->path,
                           written < 0 ? strerror(errno) : "no byte was taken");
        at += written;
        bytes -= (size_t)written;
        place += written;
    }
    return LS_OK;
}

/* Values first, then the count: who reads in between sees the rows of before. */
static ls_status put_rows(const ls_run *run, const live_file *live, int64_t first, int64_t end) {
    for (size_t s = 0; s < run->series_count; s++) {
        const run_series *series = &run->series[s];
        size_t row = series->width * sizeof(double);
        LS_TRY(put(run, live, series->values + (size_t)first * series->width,
                   (size_t)(end - first) * row, live->series[s] + (off_t)((size_t)first * row)));
    }
    return put(run, live, &end, sizeof end, live->points);
}

static ls_status create_live_series(const ls_run *run, ls_h5_output *output, hid_t group,
                                    off_t *places) {
    hid_t layout = live_layout();
    ls_status status = LS_OK;
    for (size_t s = 0; s < run->series_count && status == LS_OK; s++) {
        hid_t dataset;
        status = create_series(output, group, &run->series[s], run->capacity, layout, &dataset);
        if (status != LS_OK)
            break;
        places[s] = (off_t)H5Dget_offset(dataset);
        status = ls_h5_output_end(output, dataset);
    }
    ls_h5_release(layout);
    return status;
}

static ls_status create_live_file(const ls_run *run, ls_h5_output *output, live_file *live) {
    hid_t group = H5I_INVALID_HID;
    ls_status status;
    LS_TRY_GOTO(done, begin_file(run, "unfinished", output, &group));
    LS_TRY_GOTO(done, create_live_series(run, output, group, live->series));
    LS_TRY_GOTO(done, create_points(output, group, 0, &live->points));
    ls_h5_release(group);
    return ls_h5_output_close(output);
done:
    ls_h5_release(group);
    return status;
}

static void close_live(live_file *live) {
    if (live->descriptor >= 0)
        close(live->descriptor);
    ls_free(live->series);
    *live = (live_file){.descriptor = -1};
}

/* Lays out a live file with rows [0, rows) and the notes of now, in place of an older one; if that
 * fails, the older one stays in use. */
static ls_status lay_out(ls_run *run, int64_t rows) {
    ls_h5_output output = LS_H5_NO_OUTPUT;
    live_file live = {.descriptor = -1};
    ls_status status;
    LS_TRY_GOTO(failed, LS_NEW(live.series, run->series_count));
    LS_TRY_GOTO(failed, create_live_file(run, &output, &live));
    live.descriptor = open(output.temporary, O_WRONLY | O_CLOEXEC);
    if (live.descriptor < 0) {
        status = ls_fail(LS_ERR_SYSTEM, "cannot write '%s': %s", run->path, strerror(errno));
        goto failed;
    }
    LS_TRY_GOTO(failed, put_rows(run, &live, 0, rows));
    LS_TRY_GOTO(failed, ls_h5_output_publish(&output));
    ls_h5_output_free(&output);
    close_live(&run->live);
    run->live = live;
    run->notes_changed = false;
    return LS_OK;
failed:
    close_live(&live);
    ls_h5_output_free(&output);
    return status;
}

/* ---- the life of a run ---------------------------------------------------------------------- */

static ls_status run_fill(ls_run *run, const char *path, const char *group, int64_t capacity,
                          const ls_series *series, size_t series_count) {
    run->live.descriptor = -1;
    run->capacity = capacity;
    run->created = time(NULL);
    run->path = ls_strdup(path);
    run->group = ls_strdup(group);
    if (run->path == NULL || run->group == NULL)
        return LS_ERR_SYSTEM;
    LS_TRY(LS_NEW(run->series, series_count));
    run->series_count = series_count;
    for (size_t s = 0; s < series_count; s++)
        LS_TRY(copy_series(&series[s], capacity, &run->series[s]));
    return LS_OK;
}

/* Takes the first rows of an older file of that run; series that it has not stay NaN. */
static ls_status take_rows(ls_run *run, ls_run_reader *older, int64_t rows) {
    if (strcmp(ls_run_group(older), run->group) != 0)
        return ls_fail(LS_ERR_INPUT, "'%s' has the series of '%s': expected those of '%s'",
                       run->path, ls_run_group(older), run->group);
    if (ls_run_points(older) < rows)
        return ls_fail(LS_ERR_INPUT, "'%s' has only %lld rows: expected %lld to go on from",
                       run->path, (long long)ls_run_points(older), (long long)rows);
    start_rows(run, rows);
    for (size_t s = 0; s < run->series_count; s++) {
        run_series *series = &run->series[s];
        size_t width;
        const double *values = ls_run_series(older, series->name, &width);
        if (values && width != series->width)
            return ls_fail(LS_ERR_INPUT, "series '%s' in '%s' has %zu values a row: expected %zu",
                           series->name, run->path, width, series->width);
        if (values)
            memcpy(series->values, values, (size_t)rows * width * sizeof *values);
    }
    run->committed = rows;
    return LS_OK;
}

/* `older` is NULL for a run that starts. */
static ls_status run_new(const char *path, const char *group, int64_t capacity,
                         ls_run_reader *older, int64_t rows, const ls_series *series,
                         size_t series_count, ls_run **run) {
    ls_run *made = NULL;
    ls_status status;
    LS_TRY(LS_NEW(made, 1));
    LS_TRY_GOTO(failed, run_fill(made, path, group, capacity, series, series_count));
    if (older)
        LS_TRY_GOTO(failed, take_rows(made, older, rows));
    LS_TRY_GOTO(failed, lay_out(made, rows));
    *run = made;
    return LS_OK;
failed:
    ls_run_free(made);
    return status;
}

ls_status ls_run_create(const char *path, const char *group, int64_t capacity,
                        const ls_series *series, size_t series_count, ls_run **run) {
    LS_REQUIRE(capacity >= 0 && group[0]);
    return run_new(path, group, capacity, NULL, 0, series, series_count, run);
}

/* Files did not always have a name of their run. */
static ls_status check_name(ls_run_reader *older, const char *path, const char *name) {
    const char *there = ls_run_note_text(older, LS_RUN_NAME);
    if (name[0] == '\0' || there == NULL || strcmp(there, name) == 0)
        return LS_OK;
    return ls_fail(LS_ERR_INPUT, "'%s' is of another run", path);
}

ls_status ls_run_resume(const char *path, const char *group, const char *name, int64_t capacity,
                        int64_t rows, const ls_series *series, size_t series_count, ls_run **run) {
    ls_run_reader *older;
    LS_REQUIRE(rows >= 0 && rows <= capacity && group[0]);
    LS_TRY(ls_run_open(path, &older));
    ls_status status = check_name(older, path, name);
    if (status == LS_OK)
        status = run_new(path, group, capacity, older, rows, series, series_count, run);
    ls_run_close(older);
    return status;
}

ls_status ls_run_sync(ls_run *run) {
    if (fdatasync(run->live.descriptor) != 0)
        return ls_fail(LS_ERR_SYSTEM, "cannot write '%s' to the disk: %s", run->path,
                       strerror(errno));
    return LS_OK;
}

ls_status ls_run_commit(ls_run *run, int64_t rows) {
    LS_REQUIRE(rows >= run->committed && rows <= run->capacity);
    start_rows(run, rows);
    LS_TRY(run->notes_changed ? lay_out(run, rows)
                              : put_rows(run, &run->live, run->committed, rows));
    run->committed = rows;
    return LS_OK;
}

static ls_status write_finished_series(const ls_run *run, ls_h5_output *output, hid_t group) {
    for (size_t s = 0; s < run->series_count; s++) {
        const run_series *series = &run->series[s];
        hid_t dataset, layout = finished_layout(series, run->committed);
        ls_status status = create_series(output, group, series, run->committed, layout, &dataset);
        ls_h5_release(layout);
        LS_TRY(status);
        if (run->committed > 0 &&
            H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, series->values) < 0)
            status = ls_h5_output_fail(output);
        LS_TRY(status == LS_OK ? ls_h5_output_end(output, dataset) : status);
    }
    return LS_OK;
}

ls_status ls_run_finish(ls_run *run) {
    ls_h5_output output = LS_H5_NO_OUTPUT;
    hid_t group = H5I_INVALID_HID;
    char digest[LS_DIGEST_TEXT];
    off_t place;
    ls_status status;
    LS_TRY_GOTO(done, begin_file(run, "finished", &output, &group));
    LS_TRY_GOTO(done, write_finished_series(run, &output, group));
    LS_TRY_GOTO(done, create_points(&output, group, run->committed, &place));
    ls_h5_release(group);
    group = H5I_INVALID_HID;
    LS_TRY_GOTO(done, ls_h5_digest(output.file, run->path, digest));
    LS_TRY_GOTO(done, ls_h5_output_text(&output, "digest", digest));
    LS_TRY_GOTO(done, ls_h5_output_publish(&output));
    close_live(&run->live);
done:
    ls_h5_release(group);
    ls_h5_output_free(&output);
    return status;
}

void ls_run_free(ls_run *run) {
    if (run == NULL)
        return;
    close_live(&run->live);
    for (size_t s = 0; s < run->series_count; s++) {
        ls_free(run->series[s].name);
        ls_free(run->series[s].unit);
        ls_free(run->series[s].comment);
        free(run->series[s].values);
    }
    for (size_t i = 0; i < run->note_count; i++) {
        ls_free(run->notes[i].path);
        ls_free(run->notes[i].text);
    }
    ls_free(run->series);
    ls_free(run->notes);
    ls_free(run->group);
    ls_free(run->path);
    ls_free(run);
}
