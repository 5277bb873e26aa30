/* io: where the chunks of an array lie, by the file's own index: what HDF5 would not find there, or
 * find elsewhere, must not be said to lie somewhere. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "io/h5.h"
#include "test_io.h"

#define OK(call) cr_assert_eq((call), LS_OK, "%s", ls_message())

TestSuite(io_chunks, .fini = io_remove);

/* Of (ROWS, 2) float32 in chunks of a value: a root above nodes of up to 64 chunks. */
enum { ROWS = 100, CHUNKS = 2 * ROWS, HEAD = 24, KEY = 32, ENTRY = KEY + 8, FILE_LIMIT = 1 << 16 };

static const char *make_file(void) {
    const char *path = io_path("chunks.h5");
    const hsize_t shape[2] = {ROWS, 2}, chunk[2] = {1, 1};
    float values[CHUNKS];
    for (int i = 0; i < CHUNKS; i++)
        values[i] = (float)i;
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t space = H5Screate_simple(2, shape, NULL), layout = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(layout, 2, chunk);
    hid_t dataset =
        H5Dcreate2(file, "x", H5T_NATIVE_FLOAT, space, H5P_DEFAULT, layout, H5P_DEFAULT);
    cr_assert(H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(dataset);
    H5Pclose(layout);
    H5Sclose(space);
    H5Fclose(file);
    return path;
}

/* The file's bytes, to be changed and written back. */
static unsigned char bytes[FILE_LIMIT];
static size_t size;

static void load(const char *path) {
    FILE *file = fopen(path, "rb");
    cr_assert(file && (size = fread(bytes, 1, sizeof bytes, file)) > 0 && size < sizeof bytes);
    fclose(file);
}

static void store(const char *path) {
    FILE *file = fopen(path, "wb");
    cr_assert(file && fwrite(bytes, 1, size, file) == size);
    fclose(file);
}

/* The first node of the tree of chunks at that level. */
static unsigned char *find_node(int level) {
    for (size_t at = 0; at + HEAD < size; at += 8)
        if (memcmp(bytes + at, "TREE\1", 5) == 0 && bytes[at + 5] == level)
            return bytes + at;
    cr_assert_fail("no node of level %d", level);
    return NULL;
}

static unsigned char *entry(int level, int i) {
    return find_node(level) + HEAD + (size_t)i * ENTRY;
}

static ls_array_layout read_layout(const char *path) {
    ls_array *array;
    ls_array_layout layout;
    OK(ls_array_open(NULL, path, "x", &array));
    OK(ls_array_layout_read(array, &layout));
    ls_array_close(array);
    return layout;
}

static void check_refused(const char *path, const char *what) {
    store(path);
    ls_array_layout layout = read_layout(path);
    cr_expect_not(layout.plain, "%s", what);
    ls_free(layout.chunks);
    load(make_file());
}

Test(io_chunks, each_chunk_is_where_its_value_is) {
    const char *path = make_file();
    ls_array_layout layout = read_layout(path);
    load(path);
    cr_assert(layout.plain && layout.count == CHUNKS);
    for (int i = 0; i < CHUNKS; i++) {
        float value;
        memcpy(&value, bytes + layout.chunks[i].at, sizeof value);
        cr_expect(layout.chunks[i].bytes == 4 && value == (float)i, "%d", i);
    }
    ls_free(layout.chunks);
}

/* A key: bytes, mask, row, column, 0. */
Test(io_chunks, index_that_hdf5_would_search_in_vain) {
    unsigned char other[KEY];
    const char *path = make_file();
    load(path);
    memcpy(other, entry(0, 3), KEY);
    memcpy(entry(0, 3), entry(0, 4), KEY);
    memcpy(entry(0, 4), other, KEY);
    check_refused(path, "two keys exchanged");
    entry(1, 1)[8] += 1;
    check_refused(path, "a chunk before its node's first key in the root");
    entry(1, 1)[8] -= 1;
    check_refused(path, "a chunk after its node's last key in the root");
    entry(0, 0)[8 + 8 * 2] = 1;
    check_refused(path, "a chunk that begins within an element");
}

/* Where the size of an element stands, behind those of a chunk, in what says how the array lies. */
static unsigned char *element_size(void) {
    const unsigned char begin[] = {3, 2, 3}; /* version, in chunks, dimensions with the element's */
    const uint64_t root = (uint64_t)(find_node(1) - bytes);
    for (size_t at = 0; at + 23 <= size; at++)
        if (memcmp(bytes + at, begin, 3) == 0 && memcmp(bytes + at + 3, &root, 8) == 0)
            return bytes + at + 3 + 8 + 2 * 4;
    cr_assert_fail("no message of the layout");
    return NULL;
}

/* HDF5 counts keys in elements, too: it then does not find the last chunk (found by fuzzing). */
Test(io_chunks, element_of_another_size) {
    const char *path = make_file();
    load(path);
    cr_assert_eq(element_size()[0], 4);
    element_size()[2] = 5;
    check_refused(path, "elements of 327684 bytes");
}

Test(io_chunks, chunk_that_is_not_there) {
    const char *path = make_file();
    load(path);
    memcpy(entry(0, 3), entry(0, 4), KEY);
    check_refused(path, "one place twice, another not at all");
    memset(entry(0, 3) + 8 + 8, 0xff, 8);
    check_refused(path, "a place far outside");
    memset(entry(0, 3), 0, 4);
    check_refused(path, "a chunk without bytes");
    entry(0, 3)[0] = 3;
    check_refused(path, "values stored as they are, in fewer bytes");
    find_node(0)[6] -= 1;
    check_refused(path, "a node without its last chunk");
}
