/* Fuzz target: whole HDF5 files whose groups, types, shapes and values are not those that lockstep
 * writes (mutate.c). */
#include "fuzz.h"
#include "io/h5.h"

/* A whole file does not crash HDF5: no child process is needed.  Linked in place of src/io's. */
ls_status ls_h5_read_apart(const char *path, ls_h5_read *read, ls_text *text) {
    return read(path, text);
}

enum { READ_LIMIT = 1 << 20 };

static void read_dataset(const char *path, const char *name) {
    ls_array *array;
    if (!fuzz_worked(ls_array_open(NULL, path, name, &array)))
        return;
    const ls_array_info *info = ls_array_describe(array);
    int64_t bytes = (int64_t)ls_type_size(info->type);
    for (int d = 0; d < info->ndims; d++)
        bytes *= info->shape[d];
    if (bytes <= READ_LIMIT) {
        char *values = ls_calloc((size_t)bytes, 1);
        fuzz_worked(ls_array_read(array, 0, info->shape[0], values));
        ls_free(values);
    }
    ls_array_close(array);
}

static void read_names(const char *path) {
    char **names;
    size_t count;
    if (!fuzz_worked(ls_class_names_read(path, &names, &count)))
        return;
    for (size_t i = 0; i < count; i++)
        ls_free(names[i]);
    ls_free(names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *path = fuzz_file("x.h5", data, size);
    fuzz_read_hdf5(path);
    read_dataset(path, "train/inputs");
    read_dataset(path, "train/targets");
    read_names(path);
    return 0;
}
