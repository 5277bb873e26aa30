/* Datasets of numbers: opening with useful messages, and reading ranges in transfers of limited
 * size. */
#include <string.h>

#include "io/h5.h"

static ls_status open_dataset(hid_t file, const char *path, const char *name, hid_t *dataset) {
    hid_t object = ls_h5_object_open(file, name);
    H5I_type_t kind = object < 0 ? H5I_BADID : H5Iget_type(object);
    if (kind == H5I_DATASET) {
        *dataset = object;
        return ls_h5_check_elsewhere(object, path, name);
    }
    ls_h5_release(object);
    return ls_h5_no_dataset(file, path, name);
}

static ls_status not_numbers(const ls_h5_numbers *numbers, hid_t type) {
    return ls_fail(LS_ERR_INPUT,
                   "'%s' in '%s' has elements of %s type: expected integers or floats of at most "
                   "64 bits%s",
                   numbers->name, numbers->path, ls_h5_class(type),
                   H5Tget_class(type) == H5T_STRING
                       ? "; of labels, numpy.unique(labels, return_inverse=True) makes "
                         "'class_names' and class numbers"
                       : "");
}

static ls_status read_type(ls_h5_numbers *numbers) {
    hid_t type = H5Dget_type(numbers->dataset);
    if (type < 0)
        return ls_h5_fail(LS_ERR_INPUT, "cannot read the type of '%s' in '%s'", numbers->name,
                          numbers->path);
    ls_status status = LS_OK;
    bool bits = H5Tget_class(type) == H5T_BITFIELD && H5Tget_size(type) == 1; /* a boolean */
    if (!bits && !ls_h5_number(type, &numbers->type))
        status = not_numbers(numbers, type);
    ls_h5_release(type);
    numbers->memory = bits ? H5T_NATIVE_B8 : ls_h5_native(numbers->type);
    numbers->size = ls_type_size(numbers->type);
    return status;
}

static ls_status read_shape(ls_h5_numbers *numbers) {
    hid_t space = H5Dget_space(numbers->dataset);
    H5S_class_t kind = H5Sget_simple_extent_type(space);
    numbers->ndims = H5Sget_simple_extent_dims(space, numbers->shape, NULL);
    ls_h5_release(space);
    if (kind == H5S_NULL || numbers->ndims < 0)
        return ls_fail(LS_ERR_INPUT, "'%s' in '%s' has no values", numbers->name, numbers->path);
    int64_t bytes = (int64_t)numbers->size;
    for (int d = 0; d < numbers->ndims; d++)
        if (__builtin_mul_overflow(bytes, numbers->shape[d], &bytes))
            return ls_fail(LS_ERR_INPUT, "'%s' in '%s' claims more values than any memory holds",
                           numbers->name, numbers->path);
    return LS_OK;
}

ls_status ls_h5_numbers_open(hid_t file, const char *path, const char *name,
                             ls_h5_numbers *numbers) {
    ls_h5_numbers opened = {.path = path, .name = name, .dataset = H5I_INVALID_HID};
    ls_status status;
    LS_TRY_GOTO(failed, open_dataset(file, path, name, &opened.dataset));
    LS_TRY_GOTO(failed, read_type(&opened));
    LS_TRY_GOTO(failed, read_shape(&opened));
    *numbers = opened;
    return LS_OK;
failed:
    ls_h5_numbers_close(&opened);
    return status;
}

void ls_h5_numbers_close(ls_h5_numbers *numbers) {
    ls_h5_release(numbers->dataset);
    numbers->dataset = H5I_INVALID_HID;
}

/* LS_ERR_INPUT when the values need a filter that this HDF5 does not have. */
static ls_status check_filters(const ls_h5_numbers *numbers) {
    ls_status status = LS_OK;
    hid_t creation = H5Dget_create_plist(numbers->dataset);
    for (int i = 0; i < H5Pget_nfilters(creation) && status == LS_OK; i++) {
        char name[64] = "";
        H5Z_filter_t filter =
            H5Pget_filter2(creation, (unsigned)i, NULL, NULL, NULL, sizeof name, name, NULL);
        if (filter > 0 && H5Zfilter_avail(filter) <= 0)
            status = ls_fail(LS_ERR_INPUT,
                             "'%s' in '%s' is compressed by filter %d%s%.63s, which this HDF5 "
                             "does not have: set HDF5_PLUGIN_PATH to a folder with its plugin, or "
                             "rewrite the file where it can be read, with h5repack -f GZIP=4",
                             numbers->name, numbers->path, (int)filter, name[0] ? ", " : "", name);
    }
    ls_h5_release(creation);
    return status;
}

/* What a failed read comes from. */
static ls_status read_failed(const ls_h5_numbers *numbers) {
    hid_t reasons = H5Eget_current_stack();
    ls_status status = check_filters(numbers);
    H5Eset_current_stack(reasons);
    if (status == LS_OK)
        status = ls_h5_fail(LS_ERR_INPUT, "cannot read '%s' in '%s', which seems damaged",
                            numbers->name, numbers->path);
    return status;
}

/* One transfer. */
static ls_status transfer(const ls_h5_numbers *numbers, const hsize_t *start, const hsize_t *count,
                          void *out) {
    ls_status status = LS_OK;
    hid_t memory = H5S_ALL, file = H5S_ALL;
    if (numbers->ndims > 0) {
        memory = H5Screate_simple(numbers->ndims, count, NULL);
        file = H5Dget_space(numbers->dataset);
        H5Sselect_hyperslab(file, H5S_SELECT_SET, start, NULL, count, NULL);
    }
    if (H5Dread(numbers->dataset, numbers->memory, memory, file, H5P_DEFAULT, out) < 0)
        status = read_failed(numbers);
    if (numbers->ndims > 0) {
        ls_h5_release(file);
        ls_h5_release(memory);
    }
    return status;
}

/* A box too large is halved along its first dimension of more than one entry: the halves then lie
 * one after another in `out`. */
static ls_status read_box(const ls_h5_numbers *numbers, hsize_t *start, hsize_t *count,
                          size_t limit, char *out) {
    hsize_t bytes = numbers->size;
    int split = -1;
    for (int d = 0; d < numbers->ndims; d++) {
        bytes *= count[d];
        if (split < 0 && count[d] > 1)
            split = d;
    }
    if (bytes <= limit || split < 0)
        return bytes == 0 ? LS_OK : transfer(numbers, start, count, out);
    hsize_t begin = start[split], whole = count[split], half = whole / 2;
    count[split] = half;
    ls_status status = read_box(numbers, start, count, limit, out);
    start[split] = begin + half;
    count[split] = whole - half;
    if (status == LS_OK)
        status = read_box(numbers, start, count, limit, out + bytes / whole * half);
    start[split] = begin;
    count[split] = whole;
    return status;
}

ls_status ls_h5_numbers_read(const ls_h5_numbers *numbers, hsize_t first, hsize_t count,
                             size_t limit, void *out) {
    hsize_t start[H5S_MAX_RANK] = {first}, counts[H5S_MAX_RANK];
    memcpy(counts, numbers->shape, sizeof counts);
    counts[0] = count;
    return read_box(numbers, start, counts, limit, out);
}
