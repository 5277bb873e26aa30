/* Checkpoints, read: arrays and values by name, each exactly as it was written. */
#include <string.h>

#include "io/h5.h"
#include "lockstep/checkpoint.h"

struct ls_checkpoint_reader {
    char *path;
    hid_t file;
};

/* ---- opening -------------------------------------------------------------------------------- */

/* `file` is closed when this fails. */
static ls_status reader_new(const char *path, hid_t file, ls_checkpoint_reader **reader) {
    ls_checkpoint_reader *made = NULL;
    ls_status status;
    LS_TRY_GOTO(failed, LS_NEW(made, 1));
    made->file = file;
    made->path = ls_strdup(path);
    if (made->path == NULL) {
        status = LS_ERR_SYSTEM;
        goto failed;
    }
    *reader = made;
    return LS_OK;
failed:
    ls_free(made);
    H5Fclose(file);
    return status;
}

ls_status ls_checkpoint_open(const char *path, ls_checkpoint_reader **reader) {
    hid_t file;
    LS_TRY(ls_h5_open_sealed(path, &file));
    ls_status status =
        ls_h5_check_format(file, path, LS_FORMAT_CHECKPOINT, "a checkpoint of lockstep");
    if (status != LS_OK) {
        H5Fclose(file);
        return status;
    }
    return reader_new(path, file, reader);
}

ls_status ls_weights_open(const char *path, ls_checkpoint_reader **reader) {
    hid_t file;
    LS_TRY(ls_h5_open(path, &file));
    return reader_new(path, file, reader);
}

void ls_checkpoint_close(ls_checkpoint_reader *reader) {
    if (reader == NULL)
        return;
    H5Fclose(reader->file);
    ls_free(reader->path);
    ls_free(reader);
}

/* ---- arrays --------------------------------------------------------------------------------- */

static ls_status describe(const ls_h5_numbers *numbers, ls_array_info *info) {
    if (numbers->ndims > LS_MAX_DIMS)
        return ls_fail(LS_ERR_INPUT, "'%s' in '%s' has %d dimensions: expected at most %d",
                       numbers->name, numbers->path, numbers->ndims, LS_MAX_DIMS);
    *info = (ls_array_info){.type = numbers->type, .ndims = numbers->ndims};
    for (int d = 0; d < numbers->ndims; d++)
        info->shape[d] = (int64_t)numbers->shape[d];
    return LS_OK;
}

ls_status ls_checkpoint_info(const ls_checkpoint_reader *reader, const char *name,
                             ls_array_info *info) {
    ls_h5_numbers numbers;
    LS_TRY(ls_h5_numbers_open(reader->file, reader->path, name, &numbers));
    ls_status status = describe(&numbers, info);
    ls_h5_numbers_close(&numbers);
    return status;
}

static ls_status read_exactly(const ls_h5_numbers *numbers, ls_type type, size_t count, void *out) {
    size_t values = 1;
    for (int d = 0; d < numbers->ndims; d++)
        values *= numbers->shape[d];
    if (numbers->type != type)
        return ls_fail(LS_ERR_INPUT, "'%s' in '%s' has %s values: expected %s", numbers->name,
                       numbers->path, ls_type_name(numbers->type), ls_type_name(type));
    if (values != count)
        return ls_fail(LS_ERR_INPUT, "'%s' in '%s' has %zu values: expected %zu", numbers->name,
                       numbers->path, values, count);
    hsize_t rows = numbers->ndims > 0 ? numbers->shape[0] : 1;
    return ls_h5_numbers_read(numbers, 0, rows, LS_H5_TRANSFER, out);
}

ls_status ls_checkpoint_read(const ls_checkpoint_reader *reader, const char *name, ls_type type,
                             size_t count, void *out) {
    ls_h5_numbers numbers;
    LS_TRY(ls_h5_numbers_open(reader->file, reader->path, name, &numbers));
    ls_status status = read_exactly(&numbers, type, count, out);
    ls_h5_numbers_close(&numbers);
    return status;
}

/* ---- values --------------------------------------------------------------------------------- */

static ls_status no_value(const ls_checkpoint_reader *reader, const char *name) {
    return ls_fail(LS_ERR_INPUT, "there is no value '%s' in '%s'", name, reader->path);
}

/* Attribute "NAME" of the file or "GROUP/NAME" of a group; H5I_INVALID_HID if there is none. */
static hid_t open_attribute(const ls_checkpoint_reader *reader, const char *name) {
    const char *slash = strrchr(name, '/');
    char *group = slash ? ls_format("%.*s", (int)(slash - name), name) : ls_strdup("/");
    const char *last = slash ? slash + 1 : name;
    hid_t attribute = H5I_INVALID_HID;
    hid_t object = group ? H5Oopen(reader->file, group, H5P_DEFAULT) : H5I_INVALID_HID;
    if (object >= 0 && H5Aexists(object, last) > 0)
        attribute = H5Aopen(object, last, H5P_DEFAULT);
    ls_h5_release(object);
    ls_free(group);
    return attribute;
}

/* A single value of that class, "a number", and of at most 64 bits. */
static ls_status get_scalar(const ls_checkpoint_reader *reader, const char *name, H5T_class_t kind,
                            const char *expected, hid_t memory, void *value) {
    hid_t attribute = open_attribute(reader, name);
    if (attribute < 0)
        return no_value(reader, name);
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    bool fits = H5Tget_class(type) == kind && H5Tget_size(type) <= 8 &&
                H5Sget_simple_extent_npoints(space) == 1;
    ls_status status = LS_OK;
    if (!fits)
        status = ls_fail(LS_ERR_INPUT, "'%s' in '%s' is not %s", name, reader->path, expected);
    else if (H5Aread(attribute, memory, value) < 0)
        status = ls_h5_fail(LS_ERR_INPUT, "cannot read '%s' in '%s'", name, reader->path);
    ls_h5_release(space);
    ls_h5_release(type);
    ls_h5_release(attribute);
    return status;
}

ls_status ls_checkpoint_get_number(const ls_checkpoint_reader *reader, const char *name,
                                   double *value) {
    return get_scalar(reader, name, H5T_FLOAT, "a floating-point number", H5T_NATIVE_DOUBLE, value);
}

ls_status ls_checkpoint_get_integer(const ls_checkpoint_reader *reader, const char *name,
                                    int64_t *value) {
    return get_scalar(reader, name, H5T_INTEGER, "an integer", H5T_NATIVE_INT64, value);
}

ls_status ls_checkpoint_get_text(const ls_checkpoint_reader *reader, const char *name,
                                 char **value) {
    char **strings;
    size_t count;
    hid_t object = open_attribute(reader, name);
    if (object < 0)
        object = H5Oopen(reader->file, name, H5P_DEFAULT);
    H5I_type_t kind = object < 0 ? H5I_BADID : H5Iget_type(object);
    if (kind != H5I_ATTR && kind != H5I_DATASET) {
        ls_h5_release(object);
        return no_value(reader, name);
    }
    ls_status status = ls_h5_strings(object, &strings, &count);
    ls_h5_release(object);
    if (status != LS_OK)
        return status;
    if (count == 1) {
        *value = strings[0];
        strings[0] = NULL;
    } else {
        status = ls_fail(LS_ERR_INPUT, "'%s' in '%s' is not one text but %zu", name, reader->path,
                         count);
    }
    ls_h5_strings_free(strings, count);
    return status;
}

/* ---- names ---------------------------------------------------------------------------------- */

/* Whether `path` is below group `prefix`, which may have slashes at its ends. */
static bool is_below(const char *path, const char *prefix) {
    prefix += strspn(prefix, "/");
    size_t length = strlen(prefix);
    while (length > 0 && prefix[length - 1] == '/')
        length--;
    return length == 0 || (strncmp(path, prefix, length) == 0 && path[length] == '/');
}

static bool has_numbers(hid_t file, const char *name) {
    ls_type number;
    hid_t dataset = H5Oopen(file, name, H5P_DEFAULT);
    hid_t type = dataset < 0 ? H5I_INVALID_HID : H5Dget_type(dataset);
    bool numbers = type >= 0 && ls_h5_number(type, &number);
    ls_h5_release(type);
    ls_h5_release(dataset);
    return numbers;
}

ls_status ls_checkpoint_names(const ls_checkpoint_reader *reader, const char *prefix,
                              ls_checkpoint_visit *visit, void *context) {
    ls_h5_tree tree;
    LS_TRY(ls_h5_tree_read(reader->file, reader->path, &tree));
    ls_status status = LS_OK;
    for (size_t i = 0; i < tree.count && status == LS_OK; i++) {
        const ls_h5_item *item = &tree.items[i];
        ls_array_info info;
        if (item->kind != LS_H5_DATASET || !is_below(item->path, prefix) ||
            !has_numbers(reader->file, item->path))
            continue;
        status = ls_checkpoint_info(reader, item->path, &info);
        if (status == LS_OK)
            status = visit(context, item->path, &info);
    }
    ls_h5_tree_free(&tree);
    return status;
}
