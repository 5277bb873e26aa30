/* Formats of source files: recognised by content, opened as arrays. */
#include "data/formats.h"
#include "data/values.h"

#include <float.h>
#include <math.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static const char *const format_names[] = {
    [LS_FORMAT_AUTO] = "auto",         [LS_FORMAT_IDX] = "idx", [LS_FORMAT_CIFAR10] = "cifar10",
    [LS_FORMAT_CIFAR100] = "cifar100", [LS_FORMAT_CSV] = "csv", [LS_FORMAT_NPY] = "npy"};
enum { FORMATS = sizeof format_names / sizeof format_names[0] };

/* ---- recognition ---------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end) {
    const size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcasecmp(text + length - tail, end) == 0;
}

/* A file of whole CIFAR records; AUTO if it is none, or could be both. */
static ls_file_format cifar_by_size(const char *path) {
    struct stat info;
    if (!ends_with(path, ".bin") || stat(path, &info) != 0)
        return LS_FORMAT_AUTO;
    const bool ten = info.st_size % (LS_CIFAR_PIXELS + LS_CIFAR_10) == 0;
    const bool hundred = info.st_size % (LS_CIFAR_PIXELS + LS_CIFAR_100) == 0;
    if (ten == hundred)
        return LS_FORMAT_AUTO;
    return ten ? LS_FORMAT_CIFAR10 : LS_FORMAT_CIFAR100;
}

static bool is_text(const unsigned char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bytes[i] < ' ' && !strchr("\t\r\n", bytes[i]))
            return false;
    return count > 0 && !memchr(bytes, 0, count);
}

static ls_status recognise(const char *path, ls_file_format *format) {
    unsigned char start[512];
    size_t count;
    LS_TRY(ls_reader_peek(path, start, sizeof start, &count));
    *format = cifar_by_size(path);
    if (*format != LS_FORMAT_AUTO)
        return LS_OK;
    if (count >= 6 && memcmp(start, "\x93NUMPY", 6) == 0)
        *format = LS_FORMAT_NPY;
    else if (count >= 4 && start[0] == 0 && start[1] == 0 && start[2] >= 8 && start[2] <= 14)
        *format = LS_FORMAT_IDX;
    else if (is_text(start, count))
        *format = LS_FORMAT_CSV;
    else
        return ls_fail(
            LS_ERR_INPUT,
            "%s: looks like none of the known formats; expected IDX, CIFAR binary batches, CSV "
            "or NPY (--format says which)",
            path);
    return LS_OK;
}

ls_status ls_file_format_find(const char *name, const char *path, ls_file_format *format) {
    if (!name || strcmp(name, format_names[LS_FORMAT_AUTO]) == 0)
        return recognise(path, format);
    for (int i = 1; i < FORMATS; i++)
        if (strcmp(name, format_names[i]) == 0) {
            *format = (ls_file_format)i;
            return LS_OK;
        }
    const char *nearest = ls_nearest(name, format_names, FORMATS);
    return ls_fail(
        LS_ERR_INPUT,
        "format '%s' is not known%s%s%s; expected auto, idx, cifar10, cifar100, csv or npy", name,
        nearest ? " (nearest: " : "", nearest ? nearest : "", nearest ? ")" : "");
}

/* ---- opening -------------------------------------------------------------------------------- */

static ls_status open_part(ls_file_format format, const char *path, bool targets,
                           ls_source **source) {
    switch (format) {
    case LS_FORMAT_IDX:
        return ls_idx_open(path, source);
    case LS_FORMAT_NPY:
        return ls_npy_open(path, source);
    case LS_FORMAT_CIFAR10:
        return ls_cifar_open(path, LS_CIFAR_10, targets, source);
    case LS_FORMAT_CIFAR100:
        return ls_cifar_open(path, LS_CIFAR_100, targets, source);
    case LS_FORMAT_CSV:
    case LS_FORMAT_AUTO:
        break;
    }
    return ls_fail(LS_ERR_BUG, "%s: no reader for format %s", path, format_names[format]);
}

/* Appends a part, which must have samples like those before it. */
static ls_status join(ls_joined *joined, ls_source *part) {
    ls_array_info *info = &joined->info;
    joined->parts[joined->count++] = part;
    if (joined->count == 1) {
        *info = part->info;
        return LS_OK;
    }
    const size_t sizes = sizeof info->shape[0] * (size_t)(info->ndims - 1);
    if (part->info.type != info->type || part->info.ndims != info->ndims ||
        memcmp(part->info.shape + 1, info->shape + 1, sizes) != 0) {
        ls_text shapes = {0};
        ls_info_text(&part->info, &shapes);
        ls_text_add(&shapes, "; expected %s ", ls_type_name(info->type));
        ls_info_text(info, &shapes);
        ls_status status = ls_fail(
            LS_ERR_INPUT, "%s: %s %s, as %s has, apart from the number of samples", part->path,
            ls_type_name(part->info.type), shapes.data ? shapes.data : "?", joined->parts[0]->path);
        ls_text_free(&shapes);
        return status;
    }
    info->shape[0] += part->info.shape[0];
    return LS_OK;
}

static ls_status open_joined(ls_file_format format, const char *const *paths, size_t count,
                             bool targets, ls_joined *joined) {
    LS_TRY(LS_NEW(joined->parts, count));
    for (size_t i = 0; i < count; i++) {
        ls_source *part;
        LS_TRY(open_part(format, paths[i], targets, &part));
        LS_TRY(join(joined, part));
    }
    return LS_OK;
}

/* Whether float32 would round values of a column by more than 2^-12 of their range: a large mean,
 * a small spread. */
static bool needs_double(size_t rows, size_t columns, const double *values) {
    for (size_t c = 0; c < columns; c++) {
        double least = values[c], most = values[c];
        for (size_t row = 1; row < rows; row++) {
            least = fmin(least, values[row * columns + c]);
            most = fmax(most, values[row * columns + c]);
        }
        const double rounding = fmax(fabs(least), fabs(most)) * FLT_EPSILON / 2;
        if (most > least && rounding > (most - least) / 4096)
            return true;
    }
    return false;
}

/* A source of float32, or float64 where that is needed.  Takes over `values`. */
static ls_status number_source(const char *path, const ls_array_info *shape, double *values,
                               ls_source **source) {
    const size_t rows = (size_t)shape->shape[0], columns = (size_t)ls_sample_elements(shape);
    ls_array_info info = *shape;
    info.type = LS_TYPE_F64;
    if (!needs_double(rows, columns, values)) {
        float *narrow = (float *)values; /* no value is overwritten before it is read */
        for (size_t i = 0; i < rows * columns; i++) {
            const float value = (float)values[i];
            memcpy(&narrow[i], &value, sizeof value);
        }
        info.type = LS_TYPE_F32;
    }
    return ls_memory_source(path, &info, values, source);
}

static ls_status class_source(const char *path, const ls_csv_table *table, ls_source **source) {
    const ls_array_info info = {LS_TYPE_I32, 1, {(int64_t)table->rows}};
    int32_t *classes;
    LS_TRY(LS_NEW(classes, table->rows));
    for (size_t row = 0; row < table->rows; row++)
        classes[row] = (int32_t)table->targets[row];
    return ls_memory_source(path, &info, classes, source);
}

static ls_status csv_sources(const char *path, ls_csv_table *table, ls_source **inputs,
                             ls_source **targets) {
    const int64_t rows = (int64_t)table->rows;
    const ls_array_info wide = {.ndims = 2, .shape = {rows, (int64_t)table->columns}};
    const ls_array_info flat = {.ndims = 1, .shape = {rows}};
    double *values = table->inputs, *numbers = table->targets;
    table->inputs = NULL;
    LS_TRY(number_source(path, &wide, values, inputs));
    if (table->kind != LS_CSV_NUMBERS)
        return class_source(path, table, targets);
    table->targets = NULL;
    return number_source(path, &flat, numbers, targets);
}

static ls_status open_csv(const ls_convert_split *split, ls_csv_context *csv,
                          ls_split_arrays *arrays) {
    ls_csv_table table = {0};
    ls_source *inputs = NULL, *targets = NULL;
    const char *path = split->inputs[0];
    ls_status status;
    LS_TRY(LS_NEW(arrays->inputs.parts, 1));
    LS_TRY(LS_NEW(arrays->targets.parts, 1));
    LS_TRY(ls_csv_read(split->inputs, split->input_count, csv->target_column, csv->kind,
                       &csv->names, &table));
    csv->kind = table.kind;
    status = csv_sources(path, &table, &inputs, &targets);
    if (inputs)
        join(&arrays->inputs, inputs); /* the first part: fits */
    if (targets)
        join(&arrays->targets, targets);
    ls_csv_table_free(&table);
    return status;
}

/* Whether the targets come in files of their own. */
static ls_status check_files(ls_file_format format, const ls_convert_split *split) {
    const bool separate = format == LS_FORMAT_IDX || format == LS_FORMAT_NPY;
    if (separate && split->target_count == 0)
        return ls_fail(
            LS_ERR_INPUT,
            "%s: no file with its targets given; the format %s keeps them in one of their own",
            split->inputs[0], format_names[format]);
    if (!separate && split->target_count > 0)
        return ls_fail(LS_ERR_INPUT,
                       "%s: not needed: the format %s keeps the targets in the files of the inputs",
                       split->targets[0], format_names[format]);
    return LS_OK;
}

/* Integer targets (N, 1) are meant as (N). */
static void flatten_targets(ls_array_info *info) {
    if (!ls_type_is_float(info->type) && ls_sample_elements(info) == 1)
        info->ndims = 1;
}

ls_status ls_split_arrays_open(ls_file_format format, const ls_convert_split *split,
                               ls_csv_context *csv, ls_split_arrays *arrays) {
    ls_split_arrays opened = {0};
    ls_status status;
    LS_TRY(check_files(format, split));
    if (format == LS_FORMAT_CSV) {
        LS_TRY_GOTO(failed, open_csv(split, csv, &opened));
    } else {
        const bool inside = split->target_count == 0;
        LS_TRY_GOTO(failed,
                    open_joined(format, split->inputs, split->input_count, false, &opened.inputs));
        LS_TRY_GOTO(failed, open_joined(format, inside ? split->inputs : split->targets,
                                        inside ? split->input_count : split->target_count, true,
                                        &opened.targets));
    }
    flatten_targets(&opened.targets.info);
    LS_TRY_GOTO(failed, ls_check_arrays(&opened.inputs.info, opened.inputs.parts[0]->path,
                                        &opened.targets.info, opened.targets.parts[0]->path));
    *arrays = opened;
    return LS_OK;
failed:
    ls_split_arrays_close(&opened);
    return status;
}

void ls_split_arrays_close(ls_split_arrays *arrays) {
    ls_joined *const both[] = {&arrays->inputs, &arrays->targets};
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < both[k]->count; i++)
            ls_source_close(both[k]->parts[i]);
        ls_free(both[k]->parts);
        *both[k] = (ls_joined){0};
    }
}
