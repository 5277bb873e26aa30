/* Arrays of a dataset file: each rank opens and reads it on its own, as plain files are read; that
 * all find the same is checked. */
#include <string.h>

#include "io/h5.h"

struct ls_array {
    char *path, *name;
    hid_t file;
    ls_h5_numbers numbers;
    ls_array_info info;
    size_t transfer; /* bytes, see LS_H5_TRANSFER */
};

static ls_status agree(ls_comm *comm, ls_status status) {
    return comm ? ls_comm_agree(comm, status) : status;
}

static ls_status array_new(const char *path, const char *name, ls_array **out) {
    ls_array *array = NULL;
    LS_TRY(LS_NEW(array, 1));
    array->file = array->numbers.dataset = H5I_INVALID_HID;
    array->transfer = LS_H5_TRANSFER;
    *out = array;
    array->path = ls_strdup(path);
    array->name = ls_strdup(name);
    if (array->path == NULL || array->name == NULL)
        return LS_ERR_SYSTEM;
    return LS_OK;
}

static ls_status open_dataset(ls_array *array) {
    ls_h5_numbers *numbers = &array->numbers;
    LS_TRY(ls_h5_numbers_open(array->file, array->path, array->name, numbers));
    if (numbers->ndims < 1 || numbers->ndims > LS_MAX_DIMS)
        return ls_fail(LS_ERR_INPUT,
                       "'%s' in '%s' has %d dimensions: expected 1 to %d, samples first",
                       array->name, array->path, numbers->ndims, LS_MAX_DIMS);
    array->info = (ls_array_info){.type = numbers->type, .ndims = numbers->ndims};
    for (int d = 0; d < numbers->ndims; d++)
        array->info.shape[d] = (int64_t)numbers->shape[d];
    return LS_OK;
}

/* A host may have another file of that name, or an older copy. */
static ls_status check_same(ls_comm *comm, const ls_array *array) {
    ls_text text = {0};
    char *what = ls_format("'%s' in '%s'", array->name, array->path);
    ls_text_add(&text, "%s", ls_type_name(array->info.type));
    for (int d = 0; d < array->info.ndims; d++)
        ls_text_add(&text, " %lld", (long long)array->info.shape[d]);
    ls_status status = ls_comm_agree(comm, what && !text.failed ? LS_OK : LS_ERR_SYSTEM);
    if (status == LS_OK)
        status = ls_comm_same(comm, what, text.data);
    ls_text_free(&text);
    ls_free(what);
    return status;
}

static ls_status open_array(ls_array *array) {
    LS_TRY(ls_h5_open(array->path, &array->file));
    return open_dataset(array);
}

/* Rank 0 goes first: what is wrong with the file is then looked at by one, not by thousands. */
static ls_status open_together(ls_comm *comm, ls_array *array) {
    int rank = comm ? ls_comm_rank(comm) : 0;
    LS_TRY(agree(comm, rank == 0 ? open_array(array) : LS_OK));
    LS_TRY(agree(comm, rank == 0 ? LS_OK : open_array(array)));
    return comm ? check_same(comm, array) : LS_OK;
}

ls_status ls_array_open(ls_comm *comm, const char *path, const char *name, ls_array **array) {
    ls_array *made = NULL;
    ls_status status;
    LS_TRY_GOTO(failed, agree(comm, array_new(path, name, &made)));
    LS_TRY_GOTO(failed, open_together(comm, made));
    *array = made;
    return LS_OK;
failed:
    ls_array_close(made);
    return status;
}

void ls_array_close(ls_array *array) {
    if (array == NULL)
        return;
    ls_h5_numbers_close(&array->numbers);
    if (array->file >= 0)
        H5Fclose(array->file);
    ls_free(array->name);
    ls_free(array->path);
    ls_free(array);
}

const ls_array_info *ls_array_describe(const ls_array *array) {
    return &array->info;
}

int64_t ls_array_chunk_samples(const ls_array *array) {
    return ls_h5_chunk_samples(array->numbers.dataset);
}

void ls_array_set_transfer(ls_array *array, size_t bytes) {
    array->transfer = bytes;
}

ls_status ls_array_read(ls_array *array, int64_t first, int64_t count, void *out) {
    LS_REQUIRE(first >= 0 && count >= 0 && count <= array->info.shape[0] - first);
    return ls_h5_numbers_read(&array->numbers, (hsize_t)first, (hsize_t)count, array->transfer,
                              out);
}

ls_status ls_array_layout_read(const ls_array *array, ls_array_layout *layout) {
    return ls_h5_layout(&array->numbers, &array->info, layout);
}

ls_status ls_class_names_read(const char *path, char ***names, size_t *count) {
    hid_t file;
    LS_TRY(ls_h5_open(path, &file));
    ls_status status = LS_OK;
    if (H5Lexists(file, "class_names", H5P_DEFAULT) <= 0) {
        *names = NULL;
        *count = 0;
    } else {
        hid_t dataset = ls_h5_object_open(file, "class_names");
        if (dataset < 0 || H5Iget_type(dataset) != H5I_DATASET)
            status = ls_fail(LS_ERR_INPUT, "'class_names' in '%s' is not a dataset", path);
        else
            status = ls_h5_check_elsewhere(dataset, path, "class_names");
        if (status == LS_OK)
            status = ls_h5_strings(dataset, names, count);
        ls_h5_release(dataset);
    }
    H5Fclose(file);
    return status;
}
