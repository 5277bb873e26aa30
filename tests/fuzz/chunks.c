/* Fuzz target: files whose arrays lie in chunks, with damage in the index of the chunks.  What
 * lockstep reads by that index without HDF5 must be what HDF5 reads, or be refused. */
#include <string.h>

#include "data/blocks.h"
#include "data/values.h"
#include "fuzz.h"
#include "lockstep/comm.h"

enum {
    READ_LIMIT = 1 << 20, /* bytes of an array whose values are read */
    PLACES_LIMIT = 64,
    AROUND = 128, /* bytes about a message in which others lie */
};

/* ---- one rank (ld's --wrap) ----------------------------------------------------------------- */

int __wrap_ls_comm_rank(const ls_comm *comm);
int __wrap_ls_comm_size(const ls_comm *comm);
ls_status __wrap_ls_comm_agree(ls_comm *comm, ls_status mine);
ls_status __wrap_ls_comm_broadcast(ls_comm *comm, void *data, size_t bytes, int root);
ls_status __wrap_ls_comm_collect(ls_comm *comm, const void *mine, size_t bytes, ls_comm_take *take,
                                 void *context);

int __wrap_ls_comm_rank(const ls_comm *comm) {
    (void)comm;
    return 0;
}

int __wrap_ls_comm_size(const ls_comm *comm) {
    (void)comm;
    return 1;
}

ls_status __wrap_ls_comm_agree(ls_comm *comm, ls_status mine) {
    (void)comm;
    return mine;
}

ls_status __wrap_ls_comm_broadcast(ls_comm *comm, void *data, size_t bytes, int root) {
    (void)comm, (void)data, (void)bytes, (void)root;
    return LS_OK;
}

ls_status __wrap_ls_comm_collect(ls_comm *comm, const void *mine, size_t bytes, ls_comm_take *take,
                                 void *context) {
    (void)comm;
    return take(context, 0, mine, bytes);
}

/* ---- reading -------------------------------------------------------------------------------- */

static void compare_block(ls_blocks *blocks, ls_array *array, const ls_block *block) {
    const size_t bytes = (size_t)blocks->most * blocks->sample;
    char *ours = ls_calloc(bytes, 1), *theirs = ls_calloc(bytes, 1);
    if (fuzz_worked(ls_blocks_read(blocks, block, ours))) {
        FUZZ_CHECK(ls_array_read(array, block->first, block->count, theirs) == LS_OK);
        FUZZ_CHECK(memcmp(ours, theirs, (size_t)block->count * blocks->sample) == 0);
    }
    ls_free(ours);
    ls_free(theirs);
}

static void compare(ls_blocks *blocks, const char *path, const char *name) {
    ls_array *array;
    const int64_t samples = blocks->joint.info.shape[0];
    if (!blocks->plain || samples > READ_LIMIT / (int64_t)blocks->sample ||
        !fuzz_worked(ls_array_open(NULL, path, name, &array)))
        return;
    for (int64_t sample = 0; sample < samples;) {
        const ls_block block = ls_blocks_find(blocks, sample);
        compare_block(blocks, array, &block);
        sample = block.first + block.count;
    }
    ls_array_close(array);
}

static void read_array(const char *path, const char *name) {
    ls_files *files;
    ls_joint joint;
    ls_blocks blocks;
    FUZZ_CHECK(fuzz_worked(ls_files_list(path, &files)));
    const bool opened = fuzz_worked(ls_joint_open(NULL, files, name, &joint));
    if (opened && (joint.info.shape[0] < 1 || ls_sample_elements(&joint.info) < 1)) {
        ls_joint_close(&joint); /* who opens blocks has refused it */
    } else if (opened && fuzz_worked(ls_blocks_open_array(NULL, &joint, &blocks))) {
        compare(&blocks, path, name);
        ls_blocks_close(&blocks);
    }
    ls_files_free(files);
}

static void read_arrays(const char *path) {
    read_array(path, "train/inputs");
    read_array(path, "train/targets");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_apart(read_arrays, fuzz_file("x.h5", data, size));
    return 0;
}

/* ---- damage --------------------------------------------------------------------------------- */

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

/* Where nodes of a tree of chunks begin, and messages that say how an array of one or two
 * dimensions is laid out. */
static uint32_t find_places(const uint8_t *data, size_t size, size_t places[PLACES_LIMIT]) {
    uint32_t count = 0;
    for (size_t at = 0; at + 8 <= size && count < PLACES_LIMIT; at += 8)
        if (memcmp(data + at, "TREE\1", 5) == 0 || memcmp(data + at, "\3\2\2", 3) == 0 ||
            memcmp(data + at, "\3\2\3", 3) == 0)
            places[count++] = at;
    return count;
}

/* Eight bytes of the head of the node, of its first entries, of any of them; or near the message.
 */
static size_t choose_word(const uint8_t *data, size_t size, size_t place) {
    enum { HEAD = 24, FEW = 128, ALL = 2600 };
    const uint32_t range = fuzz_chance(3) == 0 ? HEAD : fuzz_chance(2) == 0 ? FEW : ALL;
    size_t at = place + fuzz_chance(range / 8) * 8;
    if (data[place] == 3)
        at = place + fuzz_chance(2 * AROUND / 8) * 8 - (place < AROUND ? 0 : AROUND);
    return at + 8 <= size ? at : place;
}

static void damage(uint8_t *data, size_t size, const size_t *places, uint32_t count) {
    uint8_t other[8];
    const size_t place = places[fuzz_chance(count)], from = choose_word(data, size, place);
    const size_t at = choose_word(data, size, place);
    uint64_t word = fuzz_chance(3) == 0 ? fuzz_chance(300) : places[fuzz_chance(count)];
    switch (fuzz_chance(6)) {
    case 0:
        memcpy(data + at, &word, 8);
        break;
    case 1:
        memmove(data + at, data + from, 8);
        break;
    case 2:
        memcpy(other, data + at, 8);
        memmove(data + at, data + from, 8);
        memcpy(data + from, other, 8);
        break;
    case 3:
        data[at + fuzz_chance(8)] ^= (uint8_t)(1 << fuzz_chance(8));
        break;
    case 4:
        data[at + fuzz_chance(8)] = (uint8_t)fuzz_chance(9);
        break;
    default:
        LLVMFuzzerMutate(data + at, 8, 8);
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
    size_t places[PLACES_LIMIT];
    fuzz_chance_begin(seed);
    const uint32_t count = find_places(data, size, places);
    if (count == 0 || fuzz_chance(8) == 0)
        return LLVMFuzzerMutate(data, size, most);
    for (uint32_t times = 1 + fuzz_chance(3); times > 0; times--)
        damage(data, size, places, count);
    return size;
}
