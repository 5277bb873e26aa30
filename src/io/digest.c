/* Digest of a file: XXH3-128 over names, types, shapes and values of its arrays, in the order of
 * their paths, whatever the layout on disk.  FORMAT.md specifies it. */
#include <endian.h>
#include <string.h>

#include "io/h5.h"
#include "io/run.h"

enum { BLOCK_BYTES = 16 << 20 };

static void add_integer(ls_hash *hash, int64_t value) {
    uint64_t bytes = htole64((uint64_t)value);
    ls_hash_add(hash, &bytes, sizeof bytes);
}

static void add_text(ls_hash *hash, const char *text) {
    ls_hash_add(hash, text, strlen(text) + 1);
}

/* Every NaN counts as the same value, whatever its sign and payload.  Little-endian values. */
static void unify_nans(ls_type type, size_t count, void *values) {
    if (type == LS_TYPE_F32) {
        uint32_t *bits = values;
        for (size_t i = 0; i < count; i++)
            if ((le32toh(bits[i]) & 0x7fffffffu) > 0x7f800000u)
                bits[i] = htole32(0x7fc00000u);
    } else if (type == LS_TYPE_F64) {
        uint64_t *bits = values;
        for (size_t i = 0; i < count; i++)
            if ((le64toh(bits[i]) & 0x7fffffffffffffffu) > 0x7ff0000000000000u)
                bits[i] = htole64(0x7ff8000000000000u);
    }
}

static ls_status add_values(ls_hash *hash, const ls_h5_numbers *numbers) {
    hsize_t rows = numbers->ndims ? numbers->shape[0] : 1;
    size_t row = 1; /* values */
    for (int d = 1; d < numbers->ndims; d++)
        row *= numbers->shape[d];
    if (rows == 0 || row == 0)
        return LS_OK;
    hsize_t block = BLOCK_BYTES / (row * numbers->size);
    block = block < 1 ? 1 : block > rows ? rows : block;
    char *values;
    LS_TRY(LS_NEW(values, block * row * numbers->size));
    ls_status status = LS_OK;
    for (hsize_t first = 0; first < rows && status == LS_OK; first += block) {
        hsize_t count = rows - first < block ? rows - first : block;
        status = ls_h5_numbers_read(numbers, first, count, LS_H5_TRANSFER, values);
        unify_nans(numbers->type, count * row, values);
        if (status == LS_OK)
            ls_hash_add(hash, values, count * row * numbers->size);
    }
    ls_free(values);
    return status;
}

static void add_name(ls_hash *hash, const char *path, ls_type type, int ndims) {
    add_text(hash, path);
    add_text(hash, ls_type_name(type));
    add_integer(hash, ndims);
}

void ls_digest_floats(ls_hash *hash, const char *path, int ndims, const int64_t *shape,
                      const float *values) {
    uint32_t block[1024];
    const size_t most = sizeof block / sizeof *block;
    size_t count = 1;
    add_name(hash, path, LS_TYPE_F32, ndims);
    for (int d = 0; d < ndims; d++) {
        add_integer(hash, shape[d]);
        count *= (size_t)shape[d];
    }
    for (size_t first = 0; first < count; first += most) {
        size_t here = count - first < most ? count - first : most;
        memcpy(block, values + first, here * sizeof *block);
        for (size_t i = 0; i < here; i++)
            block[i] = htole32(block[i]);
        unify_nans(LS_TYPE_F32, here, block);
        ls_hash_add(hash, block, here * sizeof *block);
    }
}

/* `points` cuts the first dimension unless it is negative. */
static ls_status add_numbers(ls_hash *hash, hid_t file, const char *path, const char *name,
                             int64_t points) {
    ls_h5_numbers numbers;
    LS_TRY(ls_h5_numbers_open(file, path, name, &numbers));
    hid_t little = H5Tcopy(numbers.memory);
    H5Tset_order(little, H5T_ORDER_LE);
    numbers.memory = little;
    if (points >= 0 && numbers.ndims > 0 && numbers.shape[0] > (hsize_t)points)
        numbers.shape[0] = (hsize_t)points;
    add_name(hash, name, numbers.type, numbers.ndims);
    for (int d = 0; d < numbers.ndims; d++)
        add_integer(hash, (int64_t)numbers.shape[d]);
    ls_status status = add_values(hash, &numbers);
    ls_h5_release(little);
    ls_h5_numbers_close(&numbers);
    return status;
}

static ls_status add_strings(ls_hash *hash, hid_t dataset, const char *name) {
    char **strings;
    size_t count;
    LS_TRY(ls_h5_strings(dataset, &strings, &count));
    add_text(hash, name);
    add_text(hash, "string");
    add_integer(hash, 1);
    add_integer(hash, (int64_t)count);
    for (size_t i = 0; i < count; i++)
        add_text(hash, strings[i]);
    ls_h5_strings_free(strings, count);
    return LS_OK;
}

/* Dataset `name` of a file that is no run: all its values count. */
static ls_status add_dataset(ls_hash *hash, hid_t file, const char *path, const char *name) {
    hid_t dataset = H5Oopen(file, name, H5P_DEFAULT);
    hid_t type = H5Dget_type(dataset);
    bool strings = H5Tget_class(type) == H5T_STRING;
    ls_h5_release(type);
    ls_status status =
        strings ? add_strings(hash, dataset, name) : add_numbers(hash, file, path, name, -1);
    ls_h5_release(dataset);
    return status;
}

/* Dataset `name` of a run file: only results count. */
static ls_status add_series(ls_hash *hash, hid_t file, const char *path, const char *name,
                            int64_t points) {
    hid_t dataset = H5Oopen(file, name, H5P_DEFAULT);
    char *digested = NULL;
    ls_status status = ls_h5_attribute_read(dataset, path, "digested", &digested);
    bool wanted = digested && strcmp(digested, "1") == 0;
    ls_free(digested);
    ls_h5_release(dataset);
    return wanted ? add_numbers(hash, file, path, name, points) : status;
}

/* Whether dataset `name` of a checkpoint is part of what training goes on from. */
static bool is_state(const char *name) {
    static const char *const groups[] = {"model/", "momentum/", "second_moment/"};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        if (strncmp(name, groups[i], strlen(groups[i])) == 0)
            return true;
    return false;
}

static ls_status add_file(ls_hash *hash, hid_t file, const char *path) {
    int64_t points = -1;
    bool is_run = ls_h5_is(file, LS_FORMAT_RUN);
    bool is_checkpoint = ls_h5_is(file, LS_FORMAT_CHECKPOINT);
    if (is_run)
        LS_TRY(ls_h5_run_points(file, path, &points));
    ls_h5_tree tree;
    LS_TRY(ls_h5_tree_read(file, path, &tree));
    ls_status status = LS_OK;
    for (size_t i = 0; i < tree.count && status == LS_OK; i++) {
        const ls_h5_item *item = &tree.items[i];
        if (item->kind == LS_H5_DATASET && (!is_checkpoint || is_state(item->path)))
            status = is_run ? add_series(hash, file, path, item->path, points)
                            : add_dataset(hash, file, path, item->path);
    }
    ls_h5_tree_free(&tree);
    return status;
}

ls_status ls_h5_digest(hid_t file, const char *path, char text[LS_DIGEST_TEXT]) {
    ls_hash *hash;
    LS_TRY(ls_hash_create(&hash));
    ls_status status = add_file(hash, file, path);
    if (status == LS_OK)
        ls_hash_text(hash, text);
    ls_hash_free(hash);
    return status;
}

static ls_status compute(const char *path, ls_text *text) {
    hid_t file;
    char *stored = NULL, computed[LS_DIGEST_TEXT];
    LS_TRY(ls_h5_open(path, &file));
    ls_status status;
    LS_TRY_GOTO(done, ls_h5_digest(file, path, computed));
    LS_TRY_GOTO(done, ls_h5_attribute_read(file, path, "digest", &stored));
    if (stored && strcmp(stored, computed) != 0)
        status = ls_fail(LS_ERR_INPUT,
                         "the values in '%s' have digest %s, but %s is stored with them: the file "
                         "was changed or damaged",
                         path, computed, stored);
    else
        ls_text_add(text, "%s", computed);
done:
    ls_free(stored);
    H5Fclose(file);
    return status;
}

ls_status ls_file_digest(const char *path, char text[LS_DIGEST_TEXT]) {
    ls_text digest = {0};
    ls_status status = ls_h5_read_apart(path, compute, &digest);
    if (status == LS_OK)
        memcpy(text, digest.data, LS_DIGEST_TEXT);
    ls_text_free(&digest);
    return status;
}
