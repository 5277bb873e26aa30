/* Philox4x32-10 (Salmon et al., SC 2011): random numbers as a function of key and counter. */
#include "lockstep/base.h"

enum { ROUNDS = 10 };

static inline void philox(const uint32_t key[2], uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3,
                          uint32_t out[4]) {
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u; /* golden ratio */
        k1 += 0xBB67AE85u; /* sqrt(3) - 1 */
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void ls_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]) {
    philox(key, counter[0], counter[1], counter[2], counter[3], out);
}

LS_CLONES
void ls_philox_run(const uint32_t key[2], const uint32_t counter[4], size_t count,
                   uint32_t *restrict out) {
    const uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    for (size_t i = 0; i < count; i++)
        philox(key, c0 + (uint32_t)i, c1, c2, c3, out + 4 * i);
}

void ls_stream_key(uint64_t seed, ls_stream stream, uint32_t key[2]) {
    const uint32_t seed_key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const uint32_t counter[4] = {(uint32_t)stream, 0, 0, 0};
    uint32_t mixed[4];
    ls_philox(seed_key, counter, mixed);
    key[0] = mixed[0];
    key[1] = mixed[1];
}
