/* Run files, read: all rows committed so far and all attributes, taken into memory at once, so that
 * the file is closed again while a plot is drawn or the run goes on. */
#include <stdlib.h>
#include <string.h>

#include "io/run.h"

typedef struct read_series {
    char *name;
    size_t width;
    double *values; /* (points, width) */
} read_series;

typedef struct read_note {
    char *path, *text;
} read_note;

struct ls_run_reader {
    const char *path; /* borrowed, while reading */
    hid_t file;       /* while reading */
    char *group;
    bool finished;
    int64_t points;
    size_t series_count, note_count, note_capacity;
    read_series *series;
    read_note *notes;
};

/* ---- what makes a run file ------------------------------------------------------------------ */

static ls_status read_group_name(hid_t file, const char *path, char **group) {
    char *name = NULL;
    LS_TRY(ls_h5_attribute_read(file, path, "group", &name));
    if (name == NULL)
        return ls_fail(LS_ERR_INPUT, "'%s' does not say in which group its series are", path);
    *group = name;
    return LS_OK;
}

static ls_status read_points(hid_t file, const char *path, const char *group, int64_t *points) {
    ls_h5_numbers numbers;
    int64_t value = -1;
    char *name = ls_format("%s/points", group);
    if (name == NULL)
        return LS_ERR_SYSTEM;
    ls_status status;
    LS_TRY_GOTO(named, ls_h5_numbers_open(file, path, name, &numbers));
    if (numbers.ndims == 0 && numbers.type == LS_TYPE_I64)
        status = ls_h5_numbers_read(&numbers, 0, 1, LS_H5_TRANSFER, &value);
    if (status == LS_OK && value < 0)
        status = ls_fail(LS_ERR_INPUT, "'%s' in '%s' is not a count of rows", name, path);
    if (status == LS_OK)
        *points = value;
    ls_h5_numbers_close(&numbers);
named:
    ls_free(name);
    return status;
}

ls_status ls_h5_run_points(hid_t file, const char *path, int64_t *points) {
    char *group = NULL;
    LS_TRY(read_group_name(file, path, &group));
    ls_status status = read_points(file, path, group, points);
    ls_free(group);
    return status;
}

/* ---- attributes ----------------------------------------------------------------------------- */

static ls_status add_note(ls_run_reader *reader, const char *parent, const char *name,
                          const char *value) {
    if (reader->note_count == reader->note_capacity) {
        size_t capacity = reader->note_capacity ? 2 * reader->note_capacity : 64;
        read_note *notes;
        LS_TRY(LS_NEW(notes, capacity));
        if (reader->note_count > 0)
            memcpy(notes, reader->notes, reader->note_count * sizeof *notes);
        ls_free(reader->notes);
        reader->notes = notes;
        reader->note_capacity = capacity;
    }
    read_note note = {ls_format("%s%s%s", parent, *parent ? "/" : "", name), ls_strdup(value)};
    reader->notes[reader->note_count++] = note;
    return note.path && note.text ? LS_OK : LS_ERR_SYSTEM;
}

typedef struct note_parent {
    ls_run_reader *reader;
    const char *path;
} note_parent;

static ls_status add_attribute(void *context, const char *name, const char *value) {
    note_parent *parent = context;
    return add_note(parent->reader, parent->path, name, value);
}

static ls_status read_attributes(ls_run_reader *reader, const char *group) {
    note_parent parent = {reader, group};
    hid_t object = H5Oopen(reader->file, group[0] ? group : "/", H5P_DEFAULT);
    ls_status status = ls_h5_attributes(object, reader->path, add_attribute, &parent);
    ls_h5_release(object);
    return status;
}

/* ---- series --------------------------------------------------------------------------------- */

/* Dataset `name` of the run's group, open as `numbers`. */
static ls_status read_values(ls_run_reader *reader, ls_h5_numbers *numbers, const char *name) {
    size_t points = (size_t)reader->points;
    if (numbers->ndims < 1 || numbers->ndims > 2 || numbers->shape[0] < points)
        return ls_fail(LS_ERR_INPUT, "'%s' in '%s' has fewer rows than the %zu points of the run",
                       numbers->name, reader->path, points);
    read_series *series = &reader->series[reader->series_count++];
    series->name = ls_strdup(name);
    series->width = numbers->ndims == 2 ? numbers->shape[1] : 1;
    LS_TRY(LS_NEW(series->values, points * series->width));
    if (series->name == NULL)
        return LS_ERR_SYSTEM;
    numbers->memory = H5T_NATIVE_DOUBLE;
    numbers->size = sizeof(double);
    return ls_h5_numbers_read(numbers, 0, points, LS_H5_TRANSFER, series->values);
}

static ls_status read_one_series(ls_run_reader *reader, const char *path, const char *name) {
    ls_h5_numbers numbers;
    LS_TRY(ls_h5_numbers_open(reader->file, reader->path, path, &numbers));
    ls_status status = read_values(reader, &numbers, name);
    ls_h5_numbers_close(&numbers);
    return status;
}

/* A dataset outside the run's group is a long text. */
static ls_status read_long_text(ls_run_reader *reader, const char *path) {
    hid_t dataset = H5Oopen(reader->file, path, H5P_DEFAULT);
    char *value = dataset < 0 ? NULL : ls_h5_value(dataset);
    ls_h5_release(dataset);
    if (value == NULL)
        return ls_fail(LS_ERR_INPUT, "cannot read '%s' in '%s'", path, reader->path);
    ls_status status = add_note(reader, "", path, value);
    ls_free(value);
    return status;
}

/* Whether dataset `path` holds text. */
static bool is_text(hid_t file, const char *path) {
    hid_t dataset = H5Oopen(file, path, H5P_DEFAULT);
    hid_t type = H5Dget_type(dataset);
    bool text = H5Tget_class(type) == H5T_STRING;
    ls_h5_release(type);
    ls_h5_release(dataset);
    return text;
}

static ls_status read_item(ls_run_reader *reader, const ls_h5_item *item) {
    if (item->kind == LS_H5_GROUP)
        return read_attributes(reader, item->path);
    if (item->kind != LS_H5_DATASET)
        return LS_OK;
    if (is_text(reader->file, item->path))
        return read_long_text(reader, item->path);
    size_t length = strlen(reader->group);
    if (strncmp(item->path, reader->group, length) != 0 || item->path[length] != '/')
        return LS_OK;
    const char *name = item->path + length + 1;
    if (strcmp(name, "points") == 0 || strchr(name, '/'))
        return LS_OK;
    return read_one_series(reader, item->path, name);
}

static ls_status read_all(ls_run_reader *reader) {
    LS_TRY(ls_h5_check_format(reader->file, reader->path, LS_FORMAT_RUN, "a run file of lockstep"));
    LS_TRY(read_group_name(reader->file, reader->path, &reader->group));
    LS_TRY(read_points(reader->file, reader->path, reader->group, &reader->points));
    ls_h5_tree tree;
    LS_TRY(ls_h5_tree_read(reader->file, reader->path, &tree));
    ls_status status = LS_NEW(reader->series, tree.count);
    for (size_t i = 0; i < tree.count && status == LS_OK; i++)
        status = read_item(reader, &tree.items[i]);
    ls_h5_tree_free(&tree);
    const char *state = ls_run_note_text(reader, "state");
    reader->finished = state && strcmp(state, "finished") == 0;
    return status;
}

/* ---- the reader ----------------------------------------------------------------------------- */

static ls_status open_run(const char *path, ls_run_reader **reader) {
    ls_run_reader *made = NULL;
    hid_t file;
    LS_TRY(ls_h5_open(path, &file));
    ls_status status = LS_NEW(made, 1);
    if (status == LS_OK) {
        made->path = path;
        made->file = file;
        status = read_all(made);
    }
    H5Fclose(file);
    if (status != LS_OK) {
        ls_run_close(made);
        return status;
    }
    made->path = NULL;
    made->file = H5I_INVALID_HID;
    *reader = made;
    return LS_OK;
}

static ls_status rehearse(const char *path, ls_text *text) {
    ls_run_reader *reader;
    (void)text;
    LS_TRY(open_run(path, &reader));
    ls_run_close(reader);
    return LS_OK;
}

/* Run files are small: they are read twice. */
ls_status ls_run_open(const char *path, ls_run_reader **reader) {
    ls_text nothing = {0};
    ls_status status = ls_h5_read_apart(path, rehearse, &nothing);
    ls_text_free(&nothing);
    return status == LS_OK ? open_run(path, reader) : status;
}

const char *ls_run_group(const ls_run_reader *reader) {
    return reader->group;
}

bool ls_run_finished(const ls_run_reader *reader) {
    return reader->finished;
}

int64_t ls_run_points(const ls_run_reader *reader) {
    return reader->points;
}

const double *ls_run_series(ls_run_reader *reader, const char *name, size_t *width) {
    for (size_t s = 0; s < reader->series_count; s++) {
        if (strcmp(reader->series[s].name, name) == 0) {
            *width = reader->series[s].width;
            return reader->series[s].values;
        }
    }
    return NULL;
}

const char *ls_run_note_text(ls_run_reader *reader, const char *name) {
    for (size_t i = 0; i < reader->note_count; i++)
        if (strcmp(reader->notes[i].path, name) == 0)
            return reader->notes[i].text;
    return NULL;
}

const char *ls_run_text(ls_run_reader *reader, const char *name) {
    size_t length = strlen(reader->group);
    for (size_t i = 0; i < reader->note_count; i++) {
        const char *path = reader->notes[i].path;
        if (strncmp(path, reader->group, length) == 0 && path[length] == '/' &&
            strcmp(path + length + 1, name) == 0)
            return reader->notes[i].text;
    }
    return NULL;
}

void ls_run_close(ls_run_reader *reader) {
    if (reader == NULL)
        return;
    for (size_t s = 0; s < reader->series_count; s++) {
        ls_free(reader->series[s].name);
        ls_free(reader->series[s].values);
    }
    for (size_t i = 0; i < reader->note_count; i++) {
        ls_free(reader->notes[i].path);
        ls_free(reader->notes[i].text);
    }
    ls_free(reader->series);
    ls_free(reader->notes);
    ls_free(reader->group);
    ls_free(reader);
}
