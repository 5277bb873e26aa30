/* nn: the innermost loops of ls_conv_gradient.  Written once for vectors of AVX2 and of AVX-512: no
 * flag of the compiler may decide whether multiplications and additions are fused. */
#include "nn/conv_tile.h"

#include "nn/dnnl/kernel.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

/* A function for each number of taps and blocks, so that the sums are registers. */
#define TAPS(SET, blocks)                                                                          \
    switch (taps) {                                                                                \
    case 1:                                                                                        \
        SET##_tile(tile, blocks, 1, offset, sums);                                                 \
        break;                                                                                     \
    case 2:                                                                                        \
        SET##_tile(tile, blocks, 2, offset, sums);                                                 \
        break;                                                                                     \
    case 3:                                                                                        \
        SET##_tile(tile, blocks, 3, offset, sums);                                                 \
        break;                                                                                     \
    case 4:                                                                                        \
        SET##_tile(tile, blocks, 4, offset, sums);                                                 \
        break;                                                                                     \
    case 5:                                                                                        \
        SET##_tile(tile, blocks, 5, offset, sums);                                                 \
        break;                                                                                     \
    default:                                                                                       \
        SET##_tile(tile, blocks, 6, offset, sums);                                                 \
    }

#define DEFINE_TILES(SET, TARGET, LANES, VECTOR, OF)                                               \
    TARGET static inline __attribute__((always_inline)) void SET##_tile(                           \
        const ls_tile *tile, int blocks, int taps, const int64_t *offset, float *sums) {           \
        VECTOR sum[LS_TILE_TAPS][LS_TILE_BLOCKS];                                                  \
        const float *x[LS_TILE_TAPS], *dy = tile->dy;                                              \
        for (int tap = 0; tap < taps; tap++) {                                                     \
            x[tap] = tile->x + offset[tap];                                                        \
            for (int block = 0; block < blocks; block++)                                           \
                sum[tap][block] = OF(setzero_ps)();                                                \
        }                                                                                          \
        for (int64_t i = 0; i < tile->count; i++, dy += (LANES)) {                                 \
            const int64_t at = tile->position[i];                                                  \
            VECTOR slope[LS_TILE_BLOCKS];                                                          \
            for (int block = 0; block < blocks; block++)                                           \
                slope[block] = OF(loadu_ps)(dy + block * tile->dy_block);                          \
            for (int tap = 0; tap < taps; tap++) {                                                 \
                VECTOR value = OF(set1_ps)(x[tap][at]);                                            \
                for (int block = 0; block < blocks; block++)                                       \
                    sum[tap][block] = OF(fmadd_ps)(value, slope[block], sum[tap][block]);          \
            }                                                                                      \
        }                                                                                          \
        for (int tap = 0; tap < taps; tap++)                                                       \
            for (int block = 0; block < blocks; block++) {                                         \
                float *to = sums + (tap * blocks + block) * (LANES);                               \
                OF(storeu_ps)(to, OF(add_ps)(OF(loadu_ps)(to), sum[tap][block]));                  \
            }                                                                                      \
    }                                                                                              \
    TARGET static void SET##_add(const ls_tile *tile, int taps, const int64_t *offset,             \
                                 float *sums) {                                                    \
        if (tile->blocks == 1) {                                                                   \
            TAPS(SET, 1)                                                                           \
        } else {                                                                                   \
            TAPS(SET, 2)                                                                           \
        }                                                                                          \
    }

#define WITH_AVX2(operation) _mm256_##operation
#define WITH_AVX512(operation) _mm512_##operation

DEFINE_TILES(avx2, __attribute__((target("avx2,fma"))), 8, __m256, WITH_AVX2)
DEFINE_TILES(avx512, __attribute__((target("avx512f"))), 16, __m512, WITH_AVX512)

bool ls_tile_has(int lanes) {
    return (lanes == 8 && ls_isa_has("avx2")) || (lanes == 16 && ls_isa_has("avx512"));
}

void ls_tile_add(const ls_tile *tile, int taps, const int64_t *offset, float *sums) {
    if (tile->lanes == 8)
        avx2_add(tile, taps, offset, sums);
    else
        avx512_add(tile, taps, offset, sums);
}

#else

bool ls_tile_has(int lanes) {
    (void)lanes;
    return false;
}

void ls_tile_add(const ls_tile *tile, int taps, const int64_t *offset, float *sums) {
    (void)tile, (void)taps, (void)offset, (void)sums;
}

#endif
