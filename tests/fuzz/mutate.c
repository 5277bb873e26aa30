/* A mutator for libFuzzer that changes what an HDF5 file holds and leaves it whole: HDF5 itself
 * makes the change, in memory.  So the fuzzer gets past HDF5, to what our code makes of it. */
#include <math.h>
#include <string.h>

#include "fuzz.h"
#include "io/h5.h"

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

enum { VALUES_LIMIT = 1 << 14, NAME_SIZE = 64 }; /* bytes */

#define ANY_OF(array) ((array)[fuzz_chance(sizeof(array) / sizeof(array)[0])])

/* Names that our code looks for, or others. */
static void choose_name(char name[NAME_SIZE]) {
    static const char *const known[] = {"format",
                                        "format_version",
                                        "group",
                                        "state",
                                        "digest",
                                        "points",
                                        "lr",
                                        "loss",
                                        "find_lr",
                                        "smoothed_loss",
                                        "slice_loss",
                                        "accuracy",
                                        "stop_reason",
                                        "suggestions",
                                        "validation_loss",
                                        "digested",
                                        "unit",
                                        "comment",
                                        "provenance",
                                        "configuration",
                                        "class_names",
                                        "train",
                                        "test",
                                        "inputs",
                                        "targets",
                                        "data",
                                        "mean",
                                        "model",
                                        "momentum",
                                        "weight",
                                        "step",
                                        "shape",
                                        "outputs",
                                        "compute_type",
                                        "epoch_loss",
                                        "epoch_samples",
                                        "exchange",
                                        "exponent",
                                        "best",
                                        "run"};
    strcpy(name, ANY_OF(known));
    if (fuzz_chance(8) == 0)
        name[LLVMFuzzerMutate((uint8_t *)name, strlen(name), NAME_SIZE - 1)] = '\0';
    if (*name == '\0')
        strcpy(name, "x");
}

/* ---- types, shapes and values --------------------------------------------------------------- */

static hid_t string_type(void) {
    static const size_t sizes[] = {1, 2, 7, 16, 40, 300, 5000, H5T_VARIABLE};
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, ANY_OF(sizes));
    H5Tset_cset(type, fuzz_chance(2) ? H5T_CSET_UTF8 : H5T_CSET_ASCII);
    H5Tset_strpad(type, (H5T_str_t)fuzz_chance(3));
    return type;
}

/* Integers and floats of odd sizes, and what is no number. */
static hid_t odd_type(void) {
    const hsize_t three = 3;
    hid_t type = H5Tcopy(fuzz_chance(2) ? H5T_STD_I32BE : H5T_STD_U64LE);
    switch (fuzz_chance(9)) {
    case 0:
        H5Tset_precision(type, 1 + fuzz_chance(32));
        return type;
    case 1:
        H5Tset_size(type, 1 + fuzz_chance(40));
        return type;
    case 2:
        H5Tclose(type);
        type = H5Tcopy(H5T_IEEE_F32LE); /* IEEE's half precision */
        H5Tset_fields(type, 15, 10, 5, 0, 10);
        H5Tset_size(type, 2);
        H5Tset_ebias(type, 15);
        return type;
    case 3:
        H5Tclose(type);
        return H5Tcreate(H5T_OPAQUE, 1 + fuzz_chance(40));
    case 4:
        H5Tclose(type);
        return H5Tvlen_create(H5T_NATIVE_INT);
    case 5:
        H5Tclose(type);
        return H5Tarray_create2(H5T_NATIVE_DOUBLE, 1, &three);
    case 6:
        H5Tclose(type);
        type = H5Tcreate(H5T_COMPOUND, 8);
        H5Tinsert(type, "r", 0, H5T_NATIVE_FLOAT);
        return type;
    case 7:
        H5Tclose(type);
        return H5Tenum_create(H5T_NATIVE_SHORT);
    default:
        return type;
    }
}

static hid_t choose_type(void) {
    const hid_t numbers[] = {H5T_STD_I64LE,   H5T_STD_I64LE,  H5T_STD_U64BE,  H5T_STD_I32LE,
                             H5T_STD_U8LE,    H5T_STD_I8LE,   H5T_STD_U16BE,  H5T_IEEE_F32LE,
                             H5T_IEEE_F64LE,  H5T_IEEE_F64LE, H5T_IEEE_F64BE, H5T_NATIVE_LDOUBLE,
                             H5T_STD_REF_OBJ, H5T_STD_B32LE,  H5T_UNIX_D32LE};
    switch (fuzz_chance(8)) {
    case 0:
    case 1:
        return string_type();
    case 2:
        return odd_type();
    default:
        return H5Tcopy(ANY_OF(numbers));
    }
}

/* Small ones, and now and then, where `huge`, one of which no memory holds a row.  Not many rows:
 * without a child process whose patience ends, reading them would be a search without end. */
static hid_t choose_space(bool huge) {
    static const hsize_t small[] = {0, 1, 1, 2, 2, 3, 4, 5, 8, 16, 17, 40};
    static const hsize_t large[] = {UINT64_C(1) << 31, UINT64_C(1) << 40, UINT64_C(1) << 61,
                                    INT64_MAX, UINT64_MAX - 1};
    hsize_t shape[H5S_MAX_RANK];
    uint32_t kind = fuzz_chance(16);
    int ndims = kind == 15 ? (int)fuzz_chance(H5S_MAX_RANK) : 1 + (int)(kind / 5);
    if (kind < 5)
        return H5Screate(kind == 0 ? H5S_NULL : H5S_SCALAR);
    for (int d = 0; d < ndims; d++)
        shape[d] = kind == 15 ? 1 : ANY_OF(small);
    if (huge && ndims > 1)
        shape[1 + fuzz_chance((uint32_t)ndims - 1)] = ANY_OF(large);
    return H5Screate_simple(ndims, shape, NULL);
}

static double choose_double(void) {
    static const double known[] = {0,      -0.0,   1,    -1,   1e-8,   0.98,   10, 1e308,
                                   -1e308, 5e-324, 1e39, 1e19, 0x1p63, 0x1p31, 2.5};
    return fuzz_chance(8) == 0 ? (double)(fuzz_chance(2) ? NAN : INFINITY) : ANY_OF(known);
}

/* `bytes` of one of several kinds. */
static void fill(char *values, size_t bytes) {
    static const int64_t integers[] = {0, 1, 2, -1, 10, 40, 300, 1 << 20, INT64_MAX, INT64_MIN};
    uint32_t kind = fuzz_chance(5);
    double from = choose_double(), step = choose_double();
    for (size_t i = 0; i < bytes; i += sizeof from) {
        int64_t word = ANY_OF(integers),
                any = (int64_t)((uint64_t)fuzz_chance(UINT32_MAX) << 32 | fuzz_chance(UINT32_MAX));
        double number = kind == 0 ? from + step * (double)i : choose_double();
        const void *value = kind == 4 ? (void *)&any : kind == 3 ? (void *)&word : (void *)&number;
        memcpy(values + i, value, bytes - i < sizeof from ? bytes - i : sizeof from);
    }
    if (kind == 2) /* text */
        for (size_t i = 0; i < bytes; i++)
            values[i] = "abc, \n\t\"\x1b\xc3\xa4:-{}0123456789.e"[fuzz_chance(28)];
}

/* Texts as the file's own code has them. */
static const char *choose_text(void) {
    static const char *const known[] = {"lockstep run",
                                        "lockstep dataset",
                                        "lockstep checkpoint",
                                        "find_lr",
                                        "train",
                                        "finished",
                                        "unfinished",
                                        "end",
                                        "diverged",
                                        "",
                                        "1",
                                        "2",
                                        "a\nb",
                                        "/",
                                        "float32"};
    return ANY_OF(known);
}

/* Values for what has this type and shape; NULL when they are many. */
static void *make_values(hid_t type, hid_t space, size_t *bytes) {
    hssize_t points = H5Sget_simple_extent_npoints(space);
    size_t size = H5Tget_size(type);
    if (points < 0 || points > VALUES_LIMIT || size * (size_t)points > VALUES_LIMIT)
        return NULL;
    *bytes = size * (size_t)points;
    char *values = ls_calloc(*bytes + 1, 1);
    if (H5Tis_variable_str(type) > 0) {
        for (hssize_t i = 0; i < points; i++)
            ((const char **)(void *)values)[i] = fuzz_chance(8) ? choose_text() : NULL;
    } else if (H5Tget_class(type) == H5T_STRING && fuzz_chance(4)) {
        for (hssize_t i = 0; i < points; i++)
            strncpy(values + (size_t)i * size, choose_text(), size);
    } else if (H5Tdetect_class(type, H5T_VLEN) <= 0 && H5Tget_class(type) != H5T_REFERENCE) {
        fill(values, *bytes);
    }
    return values;
}

/* ---- changes: each gets an open object, or its path ----------------------------------------- */

static void set_attribute(hid_t object) {
    char name[NAME_SIZE];
    size_t bytes;
    choose_name(name);
    hid_t type = choose_type(), space = choose_space(false);
    void *values = make_values(type, space, &bytes);
    if (H5Aexists(object, name) > 0)
        H5Adelete(object, name);
    hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute >= 0 && values)
        H5Awrite(attribute, type, values);
    ls_h5_release(attribute);
    ls_free(values);
    ls_h5_release(space);
    ls_h5_release(type);
}

static void remove_attribute(hid_t object) {
    H5O_info_t info;
    if (H5Oget_info2(object, &info, H5O_INFO_NUM_ATTRS) >= 0 && info.num_attrs > 0)
        H5Adelete_by_idx(object, ".", H5_INDEX_NAME, H5_ITER_INC,
                         fuzz_chance((uint32_t)info.num_attrs), H5P_DEFAULT);
}

/* A value of a text is changed as libFuzzer changes bytes, others are filled anew. */
static void change_attribute(hid_t object) {
    H5O_info_t info;
    size_t bytes = 0;
    if (H5Oget_info2(object, &info, H5O_INFO_NUM_ATTRS) < 0 || info.num_attrs == 0)
        return;
    hid_t attribute =
        H5Aopen_by_idx(object, ".", H5_INDEX_NAME, H5_ITER_INC,
                       fuzz_chance((uint32_t)info.num_attrs), H5P_DEFAULT, H5P_DEFAULT);
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    char *values = make_values(type, space, &bytes);
    if (values && H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0 &&
        fuzz_chance(2) && H5Aread(attribute, type, values) >= 0)
        LLVMFuzzerMutate((uint8_t *)values, bytes, bytes);
    if (values)
        H5Awrite(attribute, type, values);
    ls_free(values);
    ls_h5_release(space);
    ls_h5_release(type);
    ls_h5_release(attribute);
}

static void change_values(hid_t dataset) {
    size_t bytes = 0;
    if (H5Iget_type(dataset) != H5I_DATASET)
        return;
    hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);
    char *values = make_values(type, space, &bytes);
    bool plain = H5Tdetect_class(type, H5T_VLEN) <= 0 && H5Tis_variable_str(type) == 0;
    if (values && plain && fuzz_chance(2) &&
        H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0 && bytes > 0)
        LLVMFuzzerMutate((uint8_t *)values, bytes, bytes);
    if (values)
        H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    ls_free(values);
    ls_h5_release(space);
    ls_h5_release(type);
}

static void new_dataset(hid_t group, const char *name) {
    size_t bytes;
    const bool chunked = fuzz_chance(3) == 0;
    hid_t type = choose_type(), space = choose_space(chunked && fuzz_chance(4) == 0);
    hid_t layout = H5Pcreate(H5P_DATASET_CREATE);
    void *values = make_values(type, space, &bytes);
    hsize_t chunk[H5S_MAX_RANK];
    for (int d = 0; d < H5S_MAX_RANK; d++)
        chunk[d] = 1 + fuzz_chance(2);
    if (chunked && H5Sget_simple_extent_ndims(space) > 0)
        H5Pset_chunk(layout, H5Sget_simple_extent_ndims(space), chunk);
    hid_t dataset = H5Dcreate2(group, name, type, space, H5P_DEFAULT, layout, H5P_DEFAULT);
    if (dataset >= 0 && values)
        H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    ls_h5_release(dataset);
    ls_free(values);
    ls_h5_release(layout);
    ls_h5_release(space);
    ls_h5_release(type);
}

/* Something of that name, in place of what there was. */
static void replace(hid_t file, hid_t group, const char *name, const char *other) {
    hid_t made = H5I_INVALID_HID;
    if (H5Lexists(group, name, H5P_DEFAULT) > 0)
        H5Ldelete(group, name, H5P_DEFAULT);
    switch (fuzz_chance(12)) {
    case 0:
        made = H5Gcreate2(group, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        break;
    case 1:
        H5Lcreate_soft(other, group, name, H5P_DEFAULT, H5P_DEFAULT);
        break;
    case 2:
        H5Lcreate_external("nowhere.h5", other, group, name, H5P_DEFAULT, H5P_DEFAULT);
        break;
    case 3:
        H5Lcreate_hard(file, *other ? other : "/", group, name, H5P_DEFAULT, H5P_DEFAULT);
        break;
    case 4:
        made = choose_type();
        H5Tcommit2(group, name, made, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        break;
    case 5:
        break; /* only removed */
    default:
        new_dataset(group, name);
    }
    ls_h5_release(made);
}

static void change(hid_t file) {
    ls_h5_tree tree;
    char name[NAME_SIZE];
    if (ls_h5_tree_read(file, "x", &tree) != LS_OK)
        return;
    const ls_h5_item *item = &tree.items[fuzz_chance((uint32_t)tree.count)];
    const ls_h5_item *other = &tree.items[fuzz_chance((uint32_t)tree.count)];
    hid_t object = H5Oopen(file, *item->path ? item->path : "/", H5P_DEFAULT);
    choose_name(name);
    switch (object < 0 ? 6 : fuzz_chance(8)) {
    case 0:
        set_attribute(object);
        break;
    case 1:
        remove_attribute(object);
        break;
    case 2:
        change_attribute(object);
        break;
    case 3:
    case 4:
        change_values(object);
        break;
    case 5:
        if (item->kind == LS_H5_GROUP)
            replace(file, object, name, other->path);
        break;
    default:
        if (*item->path)
            replace(file, file, item->path, other->path);
        break;
    }
    ls_h5_release(object);
    ls_h5_tree_free(&tree);
}

/* ---- the file ------------------------------------------------------------------------------- */

static hid_t open_image(uint8_t *data, size_t size) {
    hid_t access = ls_h5_access(), file = H5I_INVALID_HID;
    H5Pset_fapl_core(access, 4096, false);
    if (size > 0 && H5Pset_file_image(access, data, size) >= 0)
        file = H5Fopen("image", H5F_ACC_RDWR, access);
    if (file < 0)
        file = H5Fcreate("image", H5F_ACC_TRUNC, H5P_DEFAULT, access);
    ls_h5_release(access);
    return file;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
    fuzz_chance_begin(seed);
    ls_h5_quiet();
    hid_t file = open_image(data, size);
    for (uint32_t times = 1 + fuzz_chance(4); times > 0; times--)
        change(file);
    H5Fflush(file, H5F_SCOPE_LOCAL);
    ssize_t bytes = H5Fget_file_image(file, NULL, 0);
    if (bytes > 0 && (size_t)bytes <= most)
        size = (size_t)H5Fget_file_image(file, data, (size_t)bytes);
    H5Fclose(file);
    ls_message_set("");
    return size;
}
