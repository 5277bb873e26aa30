/* nn: Winograd's transforms of a tile.  Each is the same along every axis, so it takes one after
 * the other; height and width of a plane together, in registers. */
#include "nn/winograd_tile.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,fma")))
#define INLINE AVX2 static inline __attribute__((always_inline))

enum { LANES = LS_WINOGRAD_LANES };

/* ---- along one axis: from[i * step], to[i * step] ------------------------------------------- */

/* 4 inputs, 4 points. */
INLINE void input_axis(const __m256 *from, __m256 *to, int step) {
    const __m256 a = from[0], b = from[step], c = from[2 * step], d = from[3 * step];
    to[0] = _mm256_sub_ps(a, c);
    to[step] = _mm256_add_ps(b, c);
    to[2 * step] = _mm256_sub_ps(c, b);
    to[3 * step] = _mm256_sub_ps(b, d);
}

/* 4 points, 2 outputs. */
INLINE void output_axis(const __m256 *from, int from_step, __m256 *to, int to_step) {
    const __m256 a = from[0], b = from[from_step], c = from[2 * from_step], d = from[3 * from_step];
    to[0] = _mm256_add_ps(a, _mm256_add_ps(b, c));
    to[to_step] = _mm256_sub_ps(_mm256_sub_ps(b, c), d);
}

/* 2 gradients of outputs, 4 points: as output_axis, transposed. */
INLINE void slope_axis(const __m256 *from, int from_step, __m256 *to, int to_step) {
    const __m256 a = from[0], b = from[from_step];
    to[0] = a;
    to[to_step] = _mm256_add_ps(a, b);
    to[2 * to_step] = _mm256_sub_ps(a, b);
    to[3 * to_step] = _mm256_sub_ps(_mm256_setzero_ps(), b);
}

/* 3 taps, 4 points. */
INLINE void weights_axis(const __m256 *from, int from_step, __m256 *to, int to_step) {
    const __m256 half = _mm256_set1_ps(0.5f);
    const __m256 a = from[0], b = from[from_step], c = from[2 * from_step];
    const __m256 sum = _mm256_add_ps(a, c);
    to[0] = a;
    to[to_step] = _mm256_mul_ps(half, _mm256_add_ps(sum, b));
    to[2 * to_step] = _mm256_mul_ps(half, _mm256_sub_ps(sum, b));
    to[3 * to_step] = c;
}

/* 4 points, 3 gradients of taps: as weights_axis, transposed. */
INLINE void taps_axis(const __m256 *from, int from_step, __m256 *to, int to_step) {
    const __m256 half = _mm256_set1_ps(0.5f);
    const __m256 a = from[0], b = from[from_step], c = from[2 * from_step], d = from[3 * from_step];
    const __m256 sum = _mm256_mul_ps(half, _mm256_add_ps(b, c));
    to[0] = _mm256_add_ps(a, sum);
    to[to_step] = _mm256_mul_ps(half, _mm256_sub_ps(b, c));
    to[2 * to_step] = _mm256_add_ps(sum, d);
}

/* ---- inputs and outputs of a tile ----------------------------------------------------------- */

INLINE void load(const float *from, int64_t step, int count, __m256 *to) {
    for (int i = 0; i < count; i++)
        to[i] = _mm256_loadu_ps(from + i * step);
}

INLINE void store(const __m256 *from, int count, float *to, int64_t step) {
    for (int i = 0; i < count; i++)
        _mm256_storeu_ps(to + i * step, from[i]);
}

/* Elements [from, to) of an axis of a tile are in the sample. */
typedef struct ls_winograd_range {
    int64_t from, to;
} ls_winograd_range;

/* Sets the ranges of a tile of `count` elements along each axis; true if all are there. */
static bool find_ranges(const ls_winograd_tile *tile, int64_t count, ls_winograd_range range[3]) {
    bool whole = true;
    for (int i = 0; i < 3; i++) {
        const int64_t wanted = i == 0 && !tile->deep ? 1 : count;
        const int64_t from = -tile->first[i], to = tile->size[i] - tile->first[i];
        range[i].from = from < 0 ? 0 : from < wanted ? from : wanted;
        range[i].to = to > wanted ? wanted : to < range[i].from ? range[i].from : to;
        whole = whole && range[i].from == 0 && range[i].to == wanted;
    }
    return whole;
}

INLINE int64_t place(const ls_winograd_tile *tile, int64_t d, int64_t h, int64_t w) {
    const int64_t row = (tile->first[0] + d) * tile->size[1] + tile->first[1] + h;
    return (row * tile->size[2] + tile->first[2] + w) * LANES;
}

static int64_t block_floats(const ls_winograd_tile *tile) {
    return tile->size[0] * tile->size[1] * tile->size[2] * LANES;
}

static bool is_in(const ls_winograd_range *range, int64_t at) {
    return at >= range->from && at < range->to;
}

/* Copies those in the ranges, zeros for the others. */
INLINE void copy(const ls_winograd_tile *tile, const ls_winograd_range range[3], bool deep,
                 int count, const float *block, float *to) {
    for (int d = 0; d < (deep ? count : 1); d++)
        for (int h = 0; h < count; h++) {
            const bool there = is_in(&range[0], d) && is_in(&range[1], h);
            const float *row = block + place(tile, d, h, 0);
            for (int w = 0; w < count; w++, to += LANES)
                _mm256_storeu_ps(to, there && is_in(&range[2], w) ? _mm256_loadu_ps(row + w * LANES)
                                                                  : _mm256_setzero_ps());
        }
}

/* ---- inputs --------------------------------------------------------------------------------- */

/* What the tile below needs, into the cache: the channels' blocks are apart, and no row is long. */
INLINE void fetch(const ls_winograd_tile *tile, bool deep, int count, const float *block) {
    for (int d = 0; d < (deep ? count : 1); d++)
        for (int h = count; h < count + 2; h++)
            __builtin_prefetch(block + place(tile, d, h, 1));
}

INLINE void input_plane(const float *inputs, int64_t height, __m256 *plane) {
    for (int i = 0; i < 4; i++) {
        load(inputs + i * height, LANES, 4, plane + 4 * i);
        input_axis(plane + 4 * i, plane + 4 * i, 1);
    }
    for (int i = 0; i < 4; i++)
        input_axis(plane + i, plane + i, 4);
}

/* depth, height: floats from one input to the next. */
INLINE void input_points(bool deep, const float *inputs, int64_t depth, int64_t height,
                         float *points, int64_t step) {
    __m256 tile[4][16];
    for (int i = 0; i < (deep ? 4 : 1); i++)
        input_plane(inputs + i * depth, height, tile[i]);
    for (int i = 0; deep && i < 16; i++)
        input_axis(&tile[0][i], &tile[0][i], 16);
    for (int i = 0; i < (deep ? 4 : 1); i++)
        store(tile[i], 16, points + 16 * i * step, step);
}

INLINE void all_inputs(const ls_winograd_tile *tile, bool deep, int64_t blocks, const float *sample,
                       float *points, int64_t step) {
    enum { COUNT = 4 };
    float inputs[LS_WINOGRAD_POINTS * LANES];
    const int64_t row = tile->size[2] * LANES;
    ls_winograd_range range[3];
    const bool whole = find_ranges(tile, COUNT, range);
    for (int64_t i = 0; i < blocks; i++, sample += block_floats(tile), points += LANES) {
        fetch(tile, deep, COUNT, sample);
        if (whole) {
            input_points(deep, sample + place(tile, 0, 0, 0), tile->size[1] * row, row, points,
                         step);
        } else {
            copy(tile, range, deep, COUNT, sample, inputs);
            input_points(deep, inputs, COUNT * COUNT * LANES, COUNT * LANES, points, step);
        }
    }
}

AVX2 void ls_winograd_inputs(const ls_winograd_tile *tile, int64_t blocks, const float *sample,
                             float *points, int64_t step) {
    if (tile->deep)
        all_inputs(tile, true, blocks, sample, points, step);
    else
        all_inputs(tile, false, blocks, sample, points, step);
}

/* ---- gradients of outputs ------------------------------------------------------------------- */

/* 4 gradients of outputs, 16 points. */
INLINE void slope_plane(const float *outputs, __m256 *plane) {
    __m256 rows[8], slopes[4];
    load(outputs, LANES, 4, slopes);
    for (int i = 0; i < 2; i++)
        slope_axis(slopes + 2 * i, 1, rows + 4 * i, 1);
    for (int i = 0; i < 4; i++)
        slope_axis(rows + i, 4, plane + i, 4);
}

INLINE void slope_points(bool deep, const float *outputs, float *points, int64_t step) {
    __m256 tile[2][16];
    slope_plane(outputs, tile[0]);
    if (!deep) {
        store(tile[0], 16, points, step);
        return;
    }
    slope_plane(outputs + 4 * LANES, tile[1]);
    for (int i = 0; i < 16; i++) {
        __m256 column[4];
        slope_axis(&tile[0][i], 16, column, 1);
        store(column, 4, points + i * step, 16 * step);
    }
}

INLINE void all_slopes(const ls_winograd_tile *tile, bool deep, int64_t blocks, const float *sample,
                       float *points, int64_t step, int64_t strip) {
    enum { COUNT = 2 };
    float outputs[COUNT * COUNT * COUNT * LANES];
    ls_winograd_range range[3];
    find_ranges(tile, COUNT, range);
    for (int64_t i = 0; i < blocks; i++, sample += block_floats(tile)) {
        copy(tile, range, deep, COUNT, sample, outputs);
        slope_points(deep, outputs, points + i / 2 * strip + i % 2 * LANES, step);
    }
}

AVX2 void ls_winograd_slopes(const ls_winograd_tile *tile, int64_t blocks, const float *sample,
                             float *points, int64_t step, int64_t strip) {
    if (tile->deep)
        all_slopes(tile, true, blocks, sample, points, step, strip);
    else
        all_slopes(tile, false, blocks, sample, points, step, strip);
}

/* ---- outputs -------------------------------------------------------------------------------- */

/* 16 points, 4 outputs. */
INLINE void output_plane(const __m256 *points, __m256 bias, float *outputs) {
    __m256 rows[8], plane[4];
    for (int i = 0; i < 4; i++)
        output_axis(points + i, 4, rows + i, 4);
    for (int i = 0; i < 2; i++)
        output_axis(rows + 4 * i, 1, plane + 2 * i, 1);
    for (int i = 0; i < 4; i++)
        _mm256_storeu_ps(outputs + i * LANES, _mm256_add_ps(plane[i], bias));
}

INLINE void outputs_of(bool deep, const float *sums, int64_t step, __m256 bias, float *outputs) {
    __m256 tile[2][16];
    if (!deep)
        load(sums, step, 16, tile[0]);
    for (int i = 0; deep && i < 16; i++) {
        __m256 column[4];
        load(sums + i * step, 16 * step, 4, column);
        output_axis(column, 1, &tile[0][i], 16);
    }
    for (int i = 0; i < (deep ? 2 : 1); i++)
        output_plane(tile[i], bias, outputs + i * 4 * LANES);
}

INLINE void all_outputs(const ls_winograd_tile *tile, bool deep, int64_t blocks, const float *sums,
                        int64_t step, const float *bias, float *sample) {
    enum { COUNT = 2 };
    float outputs[COUNT * COUNT * COUNT * LANES];
    ls_winograd_range range[3];
    find_ranges(tile, COUNT, range);
    for (int64_t i = 0; i < blocks; i++, sample += block_floats(tile)) {
        const __m256 added = bias ? _mm256_loadu_ps(bias + i * LANES) : _mm256_setzero_ps();
        outputs_of(deep, sums + i * LANES, step, added, outputs);
        for (int64_t d = 0; d < range[0].to; d++)
            for (int64_t h = 0; h < range[1].to; h++) {
                const float *from = outputs + (d * 4 + h * 2) * LANES;
                float *to = sample + place(tile, d, h, 0);
                _mm256_storeu_ps(to, _mm256_loadu_ps(from));
                if (range[2].to == COUNT)
                    _mm256_storeu_ps(to + LANES, _mm256_loadu_ps(from + LANES));
            }
    }
}

AVX2 void ls_winograd_outputs(const ls_winograd_tile *tile, int64_t blocks, const float *sums,
                              int64_t step, const float *bias, float *sample) {
    if (tile->deep)
        all_outputs(tile, true, blocks, sums, step, bias, sample);
    else
        all_outputs(tile, false, blocks, sums, step, bias, sample);
}

/* ---- weights -------------------------------------------------------------------------------- */

AVX2 void ls_winograd_weights(bool deep, const float *taps, float *points, int64_t step) {
    __m256 tile[3][16];
    for (int k = 0; k < (deep ? 3 : 1); k++) {
        __m256 plane[9], rows[12];
        load(taps + 9 * k * LANES, LANES, 9, plane);
        for (int i = 0; i < 3; i++)
            weights_axis(plane + 3 * i, 1, rows + 4 * i, 1);
        for (int i = 0; i < 4; i++)
            weights_axis(rows + i, 4, &tile[k][i], 4);
    }
    if (!deep) {
        store(tile[0], 16, points, step);
        return;
    }
    for (int i = 0; i < 16; i++) {
        __m256 column[4];
        weights_axis(&tile[0][i], 16, column, 1);
        store(column, 4, points + i * step, 16 * step);
    }
}

AVX2 void ls_winograd_taps(bool deep, const float *sums, int64_t step, float *taps) {
    __m256 tile[3][16];
    if (!deep)
        load(sums, step, 16, tile[0]);
    for (int i = 0; deep && i < 16; i++) {
        __m256 column[4];
        load(sums + i * step, 16 * step, 4, column);
        taps_axis(column, 1, &tile[0][i], 16);
    }
    for (int k = 0; k < (deep ? 3 : 1); k++) {
        __m256 rows[12], plane[9];
        for (int i = 0; i < 4; i++)
            taps_axis(&tile[k][i], 4, rows + i, 4);
        for (int i = 0; i < 3; i++)
            taps_axis(rows + 4 * i, 1, plane + 3 * i, 1);
        store(plane, 9, taps + 9 * k * LANES, LANES);
    }
}

#else

void ls_winograd_inputs(const ls_winograd_tile *tile, int64_t blocks, const float *sample,
                        float *points, int64_t step) {
    (void)tile, (void)blocks, (void)sample, (void)points, (void)step;
}

void ls_winograd_slopes(const ls_winograd_tile *tile, int64_t blocks, const float *sample,
                        float *points, int64_t step, int64_t strip) {
    (void)tile, (void)blocks, (void)sample, (void)points, (void)step, (void)strip;
}

void ls_winograd_outputs(const ls_winograd_tile *tile, int64_t blocks, const float *sums,
                         int64_t step, const float *bias, float *sample) {
    (void)tile, (void)blocks, (void)sums, (void)step, (void)bias, (void)sample;
}

void ls_winograd_weights(bool deep, const float *taps, float *points, int64_t step) {
    (void)deep, (void)taps, (void)points, (void)step;
}

void ls_winograd_taps(bool deep, const float *sums, int64_t step, float *taps) {
    (void)deep, (void)sums, (void)step, (void)taps;
}

#endif
