/* Rows of samples, and the part of each that a node has. */
#include "data/shares.h"

static int64_t row_samples(const ls_shares *s) {
    return s->block * s->nodes;
}

/* Samples of row `row`. */
static int64_t row_size(const ls_shares *s, int64_t row) {
    const int64_t full = row_samples(s), left = s->samples - row * full;
    return left < full ? left : full;
}

int64_t ls_shares_count(const ls_shares *s, int node) {
    const int64_t rows = s->samples / row_samples(s);
    int64_t first, rest;
    ls_slice_samples(row_size(s, rows), s->nodes, node, &first, &rest);
    return rows * s->block + rest;
}

int ls_shares_find(const ls_shares *s, int64_t sample, int64_t *place) {
    const int64_t row = sample / row_samples(s), within = sample % row_samples(s);
    const int64_t size = row_size(s, row), share = size / s->nodes, extra = size % s->nodes;
    const int64_t in_larger = extra * (share + 1); /* the first nodes have one more */
    const int node =
        (int)(within < in_larger ? within / (share + 1) : extra + (within - in_larger) / share);
    int64_t first, count;
    ls_slice_samples(size, s->nodes, node, &first, &count);
    *place = row * s->block + within - first;
    return node;
}

int64_t ls_shares_sample(const ls_shares *s, int node, int64_t place, int64_t *run) {
    const int64_t row = place / s->block, within = place % s->block;
    int64_t first, count;
    ls_slice_samples(row_size(s, row), s->nodes, node, &first, &count);
    *run = count - within;
    return row * row_samples(s) + first + within;
}
