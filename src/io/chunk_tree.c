/* Where the chunks of an array lie, read from the file's own index: a version 1 B-tree, which every
 * HDF5 library makes unless it is told otherwise (HDF5 File Format Specification 3.0, III.A.1).
 * HDF5 before 1.14 only lists them in a time that grows with the square of their number. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "io/h5.h"

#if !H5_VERSION_GE(1, 12, 0)

enum {
    MOST_PIECES = 16, /* of an object header */
    MOST_PIECE_BYTES = 1 << 20,
    HEADER_PREFIX = 16,
    MESSAGE_PREFIX = 8,
    MESSAGE_LAYOUT = 8,
    MESSAGE_CONTINUED = 16,
    NODE_PREFIX = 24,
    ADDRESS = 8 /* bytes */
};

typedef struct tree {
    int descriptor, ndims;
    hsize_t nodes, chunks; /* that may come yet */
    ls_h5_chunk *take;
    void *context;
} tree;

static uint64_t number(const unsigned char *bytes, int size) {
    uint64_t value = 0;
    while (size-- > 0)
        value = value << 8 | bytes[size];
    return value;
}

/* A copy of a part of the file; NULL: it is not there. */
static unsigned char *read_piece(int descriptor, uint64_t at, size_t bytes) {
    unsigned char *piece;
    if (LS_NEW(piece, bytes) != LS_OK)
        return NULL;
    for (size_t done = 0; done < bytes;) {
        const ssize_t got = pread(descriptor, piece + done, bytes - done, (off_t)(at + done));
        if (got <= 0) {
            ls_free(piece);
            return NULL;
        }
        done += (size_t)got;
    }
    return piece;
}

/* ---- the object header of the array, version 1 ---------------------------------------------- */

typedef struct pieces {
    int count;
    uint64_t at[MOST_PIECES], bytes[MOST_PIECES];
} pieces;

/* How the array lies: version 3, in chunks, of one dimension more: an element.  HDF5 counts keys in
 * chunks of the sizes that follow, and does not find what has an element of another size. */
static bool is_layout(const unsigned char *message, uint64_t size, int ndims, size_t element) {
    const size_t sizes = 3 + ADDRESS, dims = (size_t)ndims;
    return size >= sizes + 4 * (dims + 1) && message[0] == 3 && message[1] == 2 &&
           message[2] == ndims + 1 && number(message + sizes + 4 * dims, 4) == element;
}

/* Looks for the address of the root among the messages of a piece. */
static bool search(const unsigned char *piece, uint64_t bytes, int ndims, size_t element,
                   pieces *more, uint64_t *root) {
    for (uint64_t at = 0; at + MESSAGE_PREFIX <= bytes;) {
        const uint64_t type = number(piece + at, 2), size = number(piece + at + 2, 2);
        const unsigned char *message = piece + at + MESSAGE_PREFIX;
        at += MESSAGE_PREFIX + size;
        if (at > bytes)
            return false;
        if (type == MESSAGE_CONTINUED && size >= 2 * ADDRESS && more->count < MOST_PIECES) {
            more->at[more->count] = number(message, ADDRESS);
            more->bytes[more->count++] = number(message + ADDRESS, ADDRESS);
        }
        if (type == MESSAGE_LAYOUT) {
            const bool known = is_layout(message, size, ndims, element);
            *root = known ? number(message + 3, ADDRESS) : 0;
            return *root > 0;
        }
    }
    return false;
}

static bool find_root(int descriptor, uint64_t header, int ndims, size_t element, uint64_t *root) {
    unsigned char *prefix = read_piece(descriptor, header, HEADER_PREFIX);
    if (prefix == NULL)
        return false;
    bool found = false;
    pieces all = {1, {header + HEADER_PREFIX}, {number(prefix + 8, 4)}};
    const bool known = prefix[0] == 1;
    ls_free(prefix);
    for (int i = 0; known && !found && i < all.count; i++) {
        if (all.bytes[i] == 0 || all.bytes[i] > MOST_PIECE_BYTES)
            return false;
        unsigned char *piece = read_piece(descriptor, all.at[i], (size_t)all.bytes[i]);
        found = piece && search(piece, all.bytes[i], ndims, element, &all, root);
        ls_free(piece);
    }
    return found;
}

/* ---- the tree ------------------------------------------------------------------------------- */

/* A key: bytes and filter mask of a chunk, its first element, and 0 for the element's own bytes.  A
 * node has one more than entries: each entry lies from its key up to the next. */
typedef struct key {
    hsize_t bytes;
    unsigned mask;
    hsize_t offset[LS_MAX_DIMS + 1];
} key;

static size_t key_bytes(const tree *t) {
    return 8 + 8 * ((size_t)t->ndims + 1);
}

static key read_key(const tree *t, const unsigned char *bytes) {
    key read = {.bytes = number(bytes, 4), .mask = (unsigned)number(bytes + 4, 4)};
    for (int d = 0; d <= t->ndims; d++)
        read.offset[d] = number(bytes + 8 + 8 * d, 8);
    return read;
}

static bool is_before(const tree *t, const key *one, const key *other) {
    int d = 0;
    while (d < t->ndims && one->offset[d] == other->offset[d])
        d++;
    return one->offset[d] < other->offset[d];
}

/* What entry, of keys `*from` and `*to`, is left of a range. */
static void narrow(const tree *t, key *from, key *to, const key *begin, const key *end) {
    if (is_before(t, from, begin))
        *from = *begin;
    if (is_before(t, end, to))
        *to = *end;
}

/* HDF5 searches the tree from its root: it finds no chunk beyond the keys of a node above. */
static bool take_chunk(tree *t, const key *chunk, const key *from, const key *to, uint64_t at) {
    if (is_before(t, chunk, from) || !is_before(t, chunk, to) || chunk->offset[t->ndims] != 0 ||
        t->chunks-- == 0)
        return false;
    return t->take(chunk->offset, chunk->mask, at, chunk->bytes, t->context) == 0;
}

static bool walk(tree *t, uint64_t at, int level, const key *begin, const key *end);

static bool walk_entries(tree *t, const unsigned char *node, uint64_t count, int level,
                         const key *begin, const key *end) {
    const size_t size = key_bytes(t) + ADDRESS;
    bool good = true;
    for (uint64_t i = 0; good && i < count; i++) {
        const unsigned char *entry = node + i * size;
        const uint64_t child = number(entry + key_bytes(t), ADDRESS);
        const key first = read_key(t, entry);
        key from = first, to = read_key(t, entry + size);
        narrow(t, &from, &to, begin, end);
        good = level > 0 ? walk(t, child, level - 1, &from, &to)
                         : take_chunk(t, &first, &from, &to, child);
    }
    return good;
}

/* level below 0: any. */
static bool walk(tree *t, uint64_t at, int level, const key *begin, const key *end) {
    unsigned char *node = t->nodes-- > 0 ? read_piece(t->descriptor, at, NODE_PREFIX) : NULL;
    bool good = node && memcmp(node, "TREE\1", 5) == 0 && (level < 0 || node[5] == level);
    const uint64_t count = good ? number(node + 6, 2) : 0;
    level = good ? node[5] : 0;
    ls_free(node);
    node = good ? read_piece(t->descriptor, at + NODE_PREFIX,
                             (size_t)count * (key_bytes(t) + ADDRESS) + key_bytes(t))
                : NULL;
    good = node && walk_entries(t, node, count, level, begin, end);
    ls_free(node);
    return good;
}

static size_t element_bytes(hid_t dataset) {
    const hid_t type = H5Dget_type(dataset);
    const size_t bytes = type < 0 ? 0 : H5Tget_size(type);
    ls_h5_release(type);
    return bytes;
}

ls_h5_walk ls_h5_walk_chunks(hid_t dataset, int ndims, hsize_t stored, ls_h5_chunk *take,
                             void *context) {
    enum { SPARE = 64 }; /* nodes that a damaged tree may have too many */
    const key begin = {0};
    key end;
    char path[4096];
    H5O_info_t object;
    uint64_t root;
    if (H5Fget_name(dataset, path, sizeof path) < 0 ||
        H5Oget_info2(dataset, &object, H5O_INFO_BASIC) < 0)
        return LS_H5_WALK_OTHER;
    tree t = {open(path, O_RDONLY | O_CLOEXEC), ndims, stored + SPARE, stored, take, context};
    if (t.descriptor < 0)
        return LS_H5_WALK_OTHER;
    ls_h5_walk found = LS_H5_WALK_OTHER;
    memset(&end, 0xff, sizeof end);
    if (find_root(t.descriptor, object.addr, ndims, element_bytes(dataset), &root))
        found = walk(&t, root, -1, &begin, &end) && t.chunks == 0 ? LS_H5_WALK_WHOLE
                                                                  : LS_H5_WALK_DAMAGED;
    close(t.descriptor);
    return found;
}

#else

ls_h5_walk ls_h5_walk_chunks(hid_t dataset, int ndims, hsize_t stored, ls_h5_chunk *take,
                             void *context) {
    (void)dataset, (void)ndims, (void)stored, (void)take, (void)context;
    return LS_H5_WALK_OTHER;
}

#endif
