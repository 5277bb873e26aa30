/* The order of an epoch as a permutation computed place by place, and the samples of a slice.  Pure
 * functions: no rank needs a table or a message to know which sample is where. */
#include "lockstep/data.h"

/* Halves of three bits and less mix slowly: with 8 rounds, five samples are visibly not equally
 * likely at a place (chi-square over 10^5 seeds); with these numbers no deviation is seen at any
 * count. */
enum { NARROW = 8, NARROW_ROUNDS = 24, ROUNDS = 8 };

/* The bits below `bits`. */
static uint32_t mask_of(int bits) {
    return (uint32_t)((UINT64_C(1) << bits) - 1);
}

/* One pass of the Feistel network over two halves of a value, changed in turn.  Halves may differ
 * by a bit, so the network's range is the next power of two and a walk takes two passes at most on
 * average. */
static uint64_t feistel(const uint32_t key[2], uint32_t epoch, const int bits[2], uint64_t value) {
    const uint32_t rounds = bits[0] + bits[1] < NARROW ? NARROW_ROUNDS : ROUNDS;
    uint32_t half[2] = {(uint32_t)(value >> bits[1]), (uint32_t)value & mask_of(bits[1])};
    for (uint32_t round = 0; round < rounds; round++) {
        const int changed = (int)(round & 1);
        const uint32_t counter[4] = {epoch, round, half[1 - changed], 0};
        uint32_t random[4];
        ls_philox(key, counter, random);
        half[changed] ^= random[0] & mask_of(bits[changed]);
    }
    return (uint64_t)half[0] << bits[1] | half[1];
}

uint64_t ls_order(uint64_t seed, uint32_t epoch, uint64_t count, uint64_t place) {
    LS_ASSERT(place < count);
    if (count < 2)
        return 0;
    const int width = 64 - __builtin_clzll(count - 1);
    const int bits[2] = {width - width / 2, width / 2};
    uint32_t key[2];
    ls_stream_key(seed, LS_STREAM_SHUFFLE, key);
    do
        place = feistel(key, epoch, bits, place);
    while (place >= count);
    return place;
}

void ls_slice_samples(int64_t samples, int slices, int slice, int64_t *first, int64_t *count) {
    const int64_t share = samples / slices, extra = samples % slices;
    *first = share * slice + (slice < extra ? slice : extra);
    *count = share + (slice < extra);
}
