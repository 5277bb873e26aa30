/* The order of an epoch as a permutation computed place by place, of all samples or in windows, and
 * the samples of a slice.  Pure functions: no rank needs a table or a message to know which sample
 * is where. */
#include "lockstep/data.h"

/* Halves of three bits and less mix slowly: with 8 rounds, five samples are visibly not equally
 * likely at a place (chi-square over 10^5 seeds); with these numbers no deviation is seen at any
 * count. */
enum { NARROW = 8, NARROW_ROUNDS = 24, ROUNDS = 8 };

/* The bits below `bits`. */
static uint32_t mask_of(int bits) {
    return (uint32_t)((UINT64_C(1) << bits) - 1);
}

/* One of many. */
typedef struct ls_permutation {
    uint32_t key[2], epoch;
    uint32_t number; /* in the epoch: 0 of its samples or chunks, others of its windows */
} ls_permutation;

/* One pass of the Feistel network over two halves of a value, changed in turn.  Halves may differ
 * by a bit, so the network's range is the next power of two and a walk takes two passes at most on
 * average. */
static uint64_t feistel(const ls_permutation *p, const int bits[2], uint64_t value) {
    const uint32_t rounds = bits[0] + bits[1] < NARROW ? NARROW_ROUNDS : ROUNDS;
    uint32_t half[2] = {(uint32_t)(value >> bits[1]), (uint32_t)value & mask_of(bits[1])};
    for (uint32_t round = 0; round < rounds; round++) {
        const int changed = (int)(round & 1);
        const uint32_t counter[4] = {p->epoch, round, half[1 - changed], p->number};
        uint32_t random[4];
        ls_philox(p->key, counter, random);
        half[changed] ^= random[0] & mask_of(bits[changed]);
    }
    return (uint64_t)half[0] << bits[1] | half[1];
}

static uint64_t permute(const ls_permutation *p, uint64_t count, uint64_t place) {
    LS_ASSERT(place < count);
    if (count < 2)
        return 0;
    const int width = 64 - __builtin_clzll(count - 1);
    const int bits[2] = {width - width / 2, width / 2};
    do
        place = feistel(p, bits, place);
    while (place >= count);
    return place;
}

static ls_permutation permutation_of(uint64_t seed, uint32_t epoch) {
    ls_permutation made = {.epoch = epoch};
    ls_stream_key(seed, LS_STREAM_SHUFFLE, made.key);
    return made;
}

uint64_t ls_order(uint64_t seed, uint32_t epoch, uint64_t count, uint64_t place) {
    const ls_permutation p = permutation_of(seed, epoch);
    return permute(&p, count, place);
}

void ls_slice_samples(int64_t samples, int slices, int slice, int64_t *first, int64_t *count) {
    const int64_t share = samples / slices, extra = samples % slices;
    *first = share * slice + (slice < extra ? slice : extra);
    *count = share + (slice < extra);
}

/* ---- windows -------------------------------------------------------------------------------- */

enum { REST = 1 << 16 }; /* instead of a round: where the rest goes */

static int64_t at_least(int64_t value, int64_t least) {
    return value > least ? value : least;
}

static int64_t at_most(int64_t value, int64_t most) {
    return value < most ? value : most;
}

/* Samples of slice `slice` in an epoch: [*first, *end) of its row of chunks; *share: in a full
 * batch. */
static void find_part(const ls_windows *w, int slice, int64_t *first, int64_t *end,
                      int64_t *share) {
    const int64_t full = w->count / w->batch;
    int64_t in_full, in_rest, rest;
    ls_slice_samples(w->batch, w->slices, slice, &in_full, share);
    ls_slice_samples(w->count % w->batch, w->slices, slice, &in_rest, &rest);
    *first = full * in_full + in_rest;
    *end = *first + full * *share + rest;
}

/* The chunks of an epoch in their order; the rest, which fills none, is one of them, at a random
 * place. */
typedef struct row {
    ls_permutation permutation;
    int64_t size;             /* samples of a chunk */
    int64_t full, rest, hole; /* chunks; samples, 0: there is none; chunks before the rest */
} row;

static row make_row(const ls_windows *w, uint32_t epoch) {
    row made = {permutation_of(w->seed, epoch), w->chunk, w->count / w->chunk, w->count % w->chunk,
                0};
    const uint32_t counter[4] = {epoch, REST, 0, 0};
    uint32_t random[4];
    ls_philox(made.permutation.key, counter, random);
    const uint64_t draw = (uint64_t)random[0] << 32 | random[1];
    made.hole = made.rest > 0 ? (int64_t)(draw % (uint64_t)(made.full + 1)) : made.full;
    return made;
}

/* Of the samples in the row, the first one of a chunk. */
static int64_t chunk_begin(const row *r, int64_t chunk) {
    return chunk <= r->hole ? chunk * r->size : (chunk - 1) * r->size + r->rest;
}

/* The chunk that a place in the row is in. */
static int64_t chunk_at(const row *r, int64_t place) {
    const int64_t behind = place - chunk_begin(r, r->hole) - r->rest;
    if (behind >= 0)
        return r->hole + 1 + behind / r->size;
    return place / r->size < r->hole ? place / r->size : r->hole;
}

static uint64_t sample_at(const row *r, int64_t place) {
    const int64_t chunk = chunk_at(r, place);
    int64_t stored = r->full;
    if (chunk != r->hole)
        stored = (int64_t)permute(&r->permutation, (uint64_t)r->full,
                                  (uint64_t)(chunk - (chunk > r->hole)));
    return (uint64_t)(stored * r->size + place - chunk_begin(r, chunk));
}

void ls_windows_samples(const ls_windows *w, uint32_t epoch, int64_t batch, int slice,
                        int64_t count, uint64_t *samples) {
    const row r = make_row(w, epoch);
    ls_permutation window = r.permutation;
    int64_t first, end, share;
    find_part(w, slice, &first, &end, &share);
    LS_ASSERT(batch * share + count <= end - first);
    for (int64_t place = first + batch * share; count > 0; place++, count--) {
        const int64_t chunk = chunk_at(&r, place) / w->window * w->window;
        const int64_t begin = at_least(chunk_begin(&r, chunk), first);
        const int64_t stop = at_most(chunk_begin(&r, chunk + w->window), end);
        window.number = (uint32_t)(begin + 1);
        const uint64_t mixed =
            permute(&window, (uint64_t)(stop - begin), (uint64_t)(place - begin));
        *samples++ = sample_at(&r, begin + (int64_t)mixed);
    }
}
