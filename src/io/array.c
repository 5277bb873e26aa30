/* Arrays of a dataset file: opened by all ranks together, read by each rank on its own. */
#include <string.h>

#include "comm/mpi.h"
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
    bool sealed;
    ls_h5_quiet();
    return ls_h5_check(path, &sealed);
}

static ls_status open_file(ls_comm *comm, ls_array *array) {
    hid_t access = ls_h5_access();
    ls_status status = LS_OK;
    if (comm && H5Pset_fapl_mpio(access, ls_comm_world(comm), MPI_INFO_NULL) < 0)
        status = ls_h5_fail(LS_ERR_SYSTEM, "cannot open files through MPI");
    if (status == LS_OK)
        status = ls_h5_open_with(array->path, access, &array->file);
    ls_h5_release(access);
    return status;
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

ls_status ls_array_open(ls_comm *comm, const char *path, const char *name, ls_array **array) {
    ls_array *made = NULL;
    ls_status status;
    LS_TRY_GOTO(failed, agree(comm, array_new(path, name, &made)));
    LS_TRY_GOTO(failed, agree(comm, open_file(comm, made)));
    LS_TRY_GOTO(failed, agree(comm, open_dataset(made)));
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

void ls_array_set_transfer(ls_array *array, size_t bytes) {
    array->transfer = bytes;
}

ls_status ls_array_read(ls_array *array, int64_t first, int64_t count, void *out) {
    LS_REQUIRE(first >= 0 && count >= 0 && count <= array->info.shape[0] - first);
    return ls_h5_numbers_read(&array->numbers, (hsize_t)first, (hsize_t)count, array->transfer,
                              out);
}

ls_status ls_class_names_read(const char *path, char ***names, size_t *count) {
    hid_t file;
    LS_TRY(ls_h5_open(path, &file));
    ls_status status = LS_OK;
    if (H5Lexists(file, "class_names", H5P_DEFAULT) <= 0) {
        *names = NULL;
        *count = 0;
    } else {
        hid_t dataset = H5Oopen(file, "class_names", H5P_DEFAULT);
        if (H5Iget_type(dataset) != H5I_DATASET)
            status = ls_fail(LS_ERR_INPUT, "'class_names' in '%s' is not a dataset", path);
        else
            status = ls_h5_strings(dataset, names, count);
        ls_h5_release(dataset);
    }
    H5Fclose(file);
    return status;
}
