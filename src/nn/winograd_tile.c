/* nn: Winograd's transforms of a tile.  Each is the same along every axis, so it takes one after
 * the other.
 *
 * Inputs and taps are polynomials, whose product is known from its values at some points and at
 * infinity: for 4 points at 0, 1 and -1, for 6 also at 1/2 and -2, which round less than 2 and -2
 * (Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep
 * Neural Networks", 2020). */
#include "nn/winograd_tile.h"

#include <stdbool.h>

enum {
    LANES = LS_WINOGRAD_LANES,
    /* along an axis, at most: */
    MOST = 6, /* points */
    OUTPUTS = 4,
    TAPS = 5,
    TAPS_OF_VOLUMES = 3
};

int ls_winograd_point_of_sum(const ls_winograd_kind *kind) {
    const int points = kind->taps + kind->outputs - 1; /* the second along each axis is at 1 */
    return (kind->axes == 3 ? points * points : 0) + points + 1;
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,fma")))
#define INLINE AVX2 static inline __attribute__((always_inline))

/* What of a kind is known along each axis when the loops are compiled. */
#define KIND int axes, int points, int outputs, int taps
#define SAME axes, points, outputs, taps

/* Calls function(axes, points, outputs, taps, ...), inlined with each kind. */
#define FOR_KIND(kind, function, ...)                                                              \
    do {                                                                                           \
        if ((kind)->axes == 2 && (kind)->taps == 3)                                                \
            function(2, 6, 4, 3, __VA_ARGS__);                                                     \
        else if ((kind)->axes == 2)                                                                \
            function(2, 6, 2, 5, __VA_ARGS__);                                                     \
        else if ((kind)->outputs == 4)                                                             \
            function(3, 6, 4, 3, __VA_ARGS__);                                                     \
        else                                                                                       \
            function(3, 4, 2, 3, __VA_ARGS__);                                                     \
    } while (0)

/* ---- along one axis: from[i * from_step], to[i * to_step] ----------------------------------- */

INLINE __m256 add(__m256 a, __m256 b) {
    return _mm256_add_ps(a, b);
}

INLINE __m256 sub(__m256 a, __m256 b) {
    return _mm256_sub_ps(a, b);
}

/* factor a + b */
INLINE __m256 fma_of(float factor, __m256 a, __m256 b) {
    return _mm256_fmadd_ps(_mm256_set1_ps(factor), a, b);
}

INLINE __m256 mul(float factor, __m256 a) {
    return _mm256_mul_ps(_mm256_set1_ps(factor), a);
}

/* Inputs, as many points; they may be the same array. */
INLINE void input_axis(int points, const __m256 *from, __m256 *to, int step) {
    const __m256 a = from[0], b = from[step], c = from[2 * step], d = from[3 * step];
    if (points == 4) {
        to[0] = sub(a, c);
        to[step] = add(b, c);
        to[2 * step] = sub(c, b);
        to[3 * step] = sub(b, d);
        return;
    }
    const __m256 e = from[4 * step], f = from[5 * step], odd = sub(d, b), even = sub(e, c);
    to[0] = fma_of(1.5f, odd, add(sub(a, c), even));
    to[step] = fma_of(1.5f, add(c, d), add(even, odd));
    to[2 * step] = fma_of(1.5f, sub(d, c), sub(even, odd));
    to[3 * step] = fma_of(2.0f, odd, even);
    to[4 * step] = fma_of(-0.5f, odd, even);
    to[5 * step] = fma_of(1.5f, even, sub(sub(f, d), odd));
}

/* Points, outputs. */
INLINE void output_axis(int points, int outputs, const __m256 *from, int from_step, __m256 *to,
                        int to_step) {
    const __m256 a = from[0], b = from[from_step], c = from[2 * from_step], d = from[3 * from_step];
    const __m256 sum = add(b, c), difference = sub(b, c);
    if (points == 4) {
        to[0] = add(a, sum);
        to[to_step] = sub(difference, d);
        return;
    }
    const __m256 e = from[4 * from_step], f = from[5 * from_step];
    to[0] = add(add(a, sum), add(d, e));
    const __m256 first = fma_of(-2.0f, e, fma_of(0.5f, d, difference));
    if (outputs == 2) {
        to[to_step] = add(first, f);
        return;
    }
    to[to_step] = first;
    to[2 * to_step] = fma_of(4.0f, e, fma_of(0.25f, d, sum));
    to[3 * to_step] = add(fma_of(-8.0f, e, fma_of(0.125f, d, difference)), f);
}

/* Gradients of outputs, points: as output_axis, transposed. */
INLINE void slope_axis(int points, int outputs, const __m256 *from, int from_step, __m256 *to,
                       int to_step) {
    const __m256 a = from[0], b = from[from_step];
    to[0] = a;
    if (outputs == 2) {
        to[to_step] = add(a, b);
        to[2 * to_step] = sub(a, b);
        to[3 * to_step] = points == 4 ? sub(_mm256_setzero_ps(), b) : fma_of(0.5f, b, a);
        if (points == 6) {
            to[4 * to_step] = fma_of(-2.0f, b, a);
            to[5 * to_step] = b;
        }
        return;
    }
    const __m256 c = from[2 * from_step], d = from[3 * from_step], even = add(a, c),
                 odd = add(b, d);
    to[to_step] = add(even, odd);
    to[2 * to_step] = sub(even, odd);
    to[3 * to_step] = fma_of(0.5f, fma_of(0.25f, d, b), fma_of(0.25f, c, a));
    to[4 * to_step] = fma_of(-2.0f, fma_of(4.0f, d, b), fma_of(4.0f, c, a));
    to[5 * to_step] = d;
}

/* The points of taps, but for the first and the last, are their polynomial's values times these. */
static const struct {
    float at, times;
} VALUES[] = {{1, 1.0f / 3}, {-1, -1.0f / 3}, {0.5f, -16.0f / 15}, {-2, 1.0f / 15}};

/* Taps, points. */
INLINE void weights_axis(int points, int taps, const __m256 *from, int from_step, __m256 *to,
                         int to_step) {
    const __m256 last = from[(taps - 1) * from_step];
    to[0] = from[0];
    to[(points - 1) * to_step] = last;
    if (points == 4) {
        const __m256 sum = add(from[0], last);
        to[to_step] = mul(0.5f, add(sum, from[from_step]));
        to[2 * to_step] = mul(0.5f, sub(sum, from[from_step]));
        return;
    }
    for (int i = 0; i < 4; i++) {
        __m256 value = last;
        for (int tap = taps - 2; tap >= 0; tap--)
            value = fma_of(VALUES[i].at, value, from[tap * from_step]);
        to[(i + 1) * to_step] = mul(VALUES[i].times, value);
    }
}

/* Points, gradients of taps: as weights_axis, transposed. */
INLINE void taps_axis(int points, int taps, const __m256 *from, int from_step, __m256 *to,
                      int to_step) {
    __m256 power[4];
    if (points == 4) {
        const __m256 b = from[from_step], c = from[2 * from_step], sum = mul(0.5f, add(b, c));
        to[0] = add(from[0], sum);
        to[to_step] = mul(0.5f, sub(b, c));
        to[2 * to_step] = add(sum, from[3 * from_step]);
        return;
    }
    for (int i = 0; i < 4; i++)
        power[i] = mul(VALUES[i].times, from[(i + 1) * from_step]);
    for (int tap = 0; tap < taps; tap++) {
        __m256 sum = add(add(power[0], power[1]), add(power[2], power[3]));
        if (tap == 0)
            sum = add(sum, from[0]);
        if (tap == taps - 1)
            sum = add(sum, from[5 * from_step]);
        to[tap * to_step] = sum;
        for (int i = 0; i < 4; i++)
            power[i] = mul(VALUES[i].at, power[i]);
    }
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
INLINE bool find_ranges(int axes, const ls_winograd_tile *tile, int64_t count,
                        ls_winograd_range range[3]) {
    bool whole = true;
    for (int i = 0; i < 3; i++) {
        const int64_t wanted = i == 0 && axes == 2 ? 1 : count;
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

INLINE int64_t block_floats(const ls_winograd_tile *tile) {
    return tile->size[0] * tile->size[1] * tile->size[2] * LANES;
}

INLINE bool is_in(const ls_winograd_range *range, int64_t at) {
    return at >= range->from && at < range->to;
}

/* Copies those in the ranges, zeros for the others. */
INLINE void copy(int axes, const ls_winograd_tile *tile, const ls_winograd_range range[3],
                 int count, const float *block, float *to) {
    for (int d = 0; d < (axes == 3 ? count : 1); d++)
        for (int h = 0; h < count; h++) {
            const bool there = is_in(&range[0], d) && is_in(&range[1], h);
            const int64_t row = place(tile, d, h, 0);
            for (int w = 0; w < count; w++, to += LANES)
                _mm256_storeu_ps(to, there && is_in(&range[2], w)
                                         ? _mm256_loadu_ps(block + row + w * LANES)
                                         : _mm256_setzero_ps());
        }
}

/* ---- inputs --------------------------------------------------------------------------------- */

/* What the tile below needs, into the cache: the channels' blocks are apart, and no row is long.
 * Nothing is read, so it may lie beyond the sample. */
INLINE void fetch(KIND, const ls_winograd_tile *tile, const float *block) {
    (void)taps;
    for (int d = 0; d < (axes == 3 ? points : 1); d++)
        for (int h = points; h < points + outputs; h++)
            for (int w = 0; w < outputs; w += 2)
                __builtin_prefetch(block + place(tile, d, h, w + 1));
}

/* depth, height: floats from one input to the next. */
INLINE void input_points(KIND, const float *inputs, int64_t depth, int64_t height, float *to,
                         int64_t step) {
    __m256 tile[MOST * MOST * MOST];
    const int plane = points * points, planes = axes == 3 ? points : 1;
    (void)outputs, (void)taps;
    for (int d = 0; d < planes; d++) {
        for (int h = 0; h < points; h++) {
            __m256 *row = tile + d * plane + h * points;
            load(inputs + d * depth + h * height, LANES, points, row);
            input_axis(points, row, row, 1);
        }
        for (int w = 0; w < points; w++)
            input_axis(points, tile + d * plane + w, tile + d * plane + w, points);
    }
    for (int i = 0; axes == 3 && i < plane; i++)
        input_axis(points, tile + i, tile + i, plane);
    store(tile, planes * plane, to, step);
}

INLINE void all_inputs(KIND, const ls_winograd_tile *tile, int64_t blocks, const float *sample,
                       float *to, int64_t step) {
    float inputs[MOST * MOST * MOST * LANES];
    const int64_t row = tile->size[2] * LANES;
    ls_winograd_range range[3];
    const bool whole = find_ranges(axes, tile, points, range);
    for (int64_t i = 0; i < blocks; i++, sample += block_floats(tile), to += LANES) {
        fetch(SAME, tile, sample);
        if (whole) {
            input_points(SAME, sample + place(tile, 0, 0, 0), tile->size[1] * row, row, to, step);
        } else {
            copy(axes, tile, range, points, sample, inputs);
            input_points(SAME, inputs, points * points * LANES, points * LANES, to, step);
        }
    }
}

AVX2 void ls_winograd_inputs(const ls_winograd_kind *kind, const ls_winograd_tile *tile,
                             int64_t blocks, const float *sample, float *points, int64_t step) {
    FOR_KIND(kind, all_inputs, tile, blocks, sample, points, step);
}

/* ---- gradients of outputs ------------------------------------------------------------------- */

INLINE void slope_points(KIND, const float *slopes, float *to, int64_t step) {
    __m256 tile[OUTPUTS * MOST * MOST], rows[OUTPUTS * MOST], line[OUTPUTS];
    const int plane = points * points;
    (void)taps;
    for (int d = 0; d < (axes == 3 ? outputs : 1); d++) {
        for (int h = 0; h < outputs; h++) {
            load(slopes + (d * outputs + h) * outputs * LANES, LANES, outputs, line);
            slope_axis(points, outputs, line, 1, rows + h * points, 1);
        }
        for (int w = 0; w < points; w++)
            slope_axis(points, outputs, rows + w, points, tile + d * plane + w, points);
    }
    if (axes == 2)
        store(tile, plane, to, step);
    for (int i = 0; axes == 3 && i < plane; i++) {
        __m256 column[MOST];
        slope_axis(points, outputs, tile + i, plane, column, 1);
        store(column, points, to + i * step, plane * step);
    }
}

INLINE void all_slopes(KIND, const ls_winograd_tile *tile, int64_t blocks, const float *sample,
                       float *to, int64_t step, int64_t strip) {
    float slopes[OUTPUTS * OUTPUTS * OUTPUTS * LANES];
    ls_winograd_range range[3];
    find_ranges(axes, tile, outputs, range);
    for (int64_t i = 0; i < blocks; i++, sample += block_floats(tile)) {
        copy(axes, tile, range, outputs, sample, slopes);
        slope_points(SAME, slopes, to + i / 2 * strip + i % 2 * LANES, step);
    }
}

AVX2 void ls_winograd_slopes(const ls_winograd_kind *kind, const ls_winograd_tile *tile,
                             int64_t blocks, const float *sample, float *points, int64_t step,
                             int64_t strip) {
    FOR_KIND(kind, all_slopes, tile, blocks, sample, points, step, strip);
}

/* ---- outputs -------------------------------------------------------------------------------- */

INLINE void outputs_of(KIND, const float *sums, int64_t step, __m256 bias, float *to) {
    __m256 tile[OUTPUTS * MOST * MOST], rows[OUTPUTS * MOST], line[OUTPUTS];
    const int plane = points * points;
    (void)taps;
    if (axes == 2)
        load(sums, step, plane, tile);
    for (int i = 0; axes == 3 && i < plane; i++) {
        __m256 column[MOST];
        load(sums + i * step, plane * step, points, column);
        output_axis(points, outputs, column, 1, tile + i, plane);
    }
    for (int d = 0; d < (axes == 3 ? outputs : 1); d++) {
        for (int w = 0; w < points; w++)
            output_axis(points, outputs, tile + d * plane + w, points, rows + w, points);
        for (int h = 0; h < outputs; h++) {
            output_axis(points, outputs, rows + h * points, 1, line, 1);
            for (int w = 0; w < outputs; w++, to += LANES)
                _mm256_storeu_ps(to, add(line[w], bias));
        }
    }
}

INLINE void all_outputs(KIND, const ls_winograd_tile *tile, int64_t blocks, const float *sums,
                        int64_t step, const float *bias, float *sample) {
    float made[OUTPUTS * OUTPUTS * OUTPUTS * LANES];
    ls_winograd_range range[3];
    find_ranges(axes, tile, outputs, range);
    for (int64_t i = 0; i < blocks; i++, sample += block_floats(tile)) {
        outputs_of(SAME, sums + i * LANES, step,
                   bias ? _mm256_loadu_ps(bias + i * LANES) : _mm256_setzero_ps(), made);
        for (int64_t d = 0; d < range[0].to; d++)
            for (int64_t h = 0; h < range[1].to; h++) {
                const float *from = made + (d * outputs + h) * outputs * LANES;
                float *to = sample + place(tile, d, h, 0);
                for (int w = 0; w < outputs; w++)
                    if (w < range[2].to)
                        _mm256_storeu_ps(to + w * LANES, _mm256_loadu_ps(from + w * LANES));
            }
    }
}

AVX2 void ls_winograd_outputs(const ls_winograd_kind *kind, const ls_winograd_tile *tile,
                              int64_t blocks, const float *sums, int64_t step, const float *bias,
                              float *sample) {
    FOR_KIND(kind, all_outputs, tile, blocks, sums, step, bias, sample);
}

/* ---- weights -------------------------------------------------------------------------------- */

INLINE void weights_points(KIND, const float *from, float *to, int64_t step) {
    __m256 tile[TAPS_OF_VOLUMES * MOST * MOST], rows[TAPS * MOST], line[TAPS];
    const int plane = points * points;
    (void)outputs;
    for (int d = 0; d < (axes == 3 ? taps : 1); d++) {
        for (int h = 0; h < taps; h++) {
            load(from + (d * taps + h) * taps * LANES, LANES, taps, line);
            weights_axis(points, taps, line, 1, rows + h * points, 1);
        }
        for (int w = 0; w < points; w++)
            weights_axis(points, taps, rows + w, points, tile + d * plane + w, points);
    }
    if (axes == 2)
        store(tile, plane, to, step);
    for (int i = 0; axes == 3 && i < plane; i++) {
        __m256 column[MOST];
        weights_axis(points, taps, tile + i, plane, column, 1);
        store(column, points, to + i * step, plane * step);
    }
}

AVX2 void ls_winograd_weights(const ls_winograd_kind *kind, const float *taps, float *points,
                              int64_t step) {
    FOR_KIND(kind, weights_points, taps, points, step);
}

INLINE void taps_of(KIND, const float *sums, int64_t step, float *to) {
    __m256 tile[TAPS_OF_VOLUMES * MOST * MOST], rows[TAPS * MOST], line[TAPS];
    const int plane = points * points;
    (void)outputs;
    if (axes == 2)
        load(sums, step, plane, tile);
    for (int i = 0; axes == 3 && i < plane; i++) {
        __m256 column[MOST];
        load(sums + i * step, plane * step, points, column);
        taps_axis(points, taps, column, 1, tile + i, plane);
    }
    for (int d = 0; d < (axes == 3 ? taps : 1); d++) {
        for (int w = 0; w < points; w++)
            taps_axis(points, taps, tile + d * plane + w, points, rows + w, points);
        for (int h = 0; h < taps; h++, to += taps * LANES) {
            taps_axis(points, taps, rows + h * points, 1, line, 1);
            store(line, taps, to, LANES);
        }
    }
}

AVX2 void ls_winograd_taps(const ls_winograd_kind *kind, const float *sums, int64_t step,
                           float *taps) {
    FOR_KIND(kind, taps_of, sums, step, taps);
}

#else

void ls_winograd_inputs(const ls_winograd_kind *kind, const ls_winograd_tile *tile, int64_t blocks,
                        const float *sample, float *points, int64_t step) {
    (void)kind, (void)tile, (void)blocks, (void)sample, (void)points, (void)step;
}

void ls_winograd_slopes(const ls_winograd_kind *kind, const ls_winograd_tile *tile, int64_t blocks,
                        const float *sample, float *points, int64_t step, int64_t strip) {
    (void)kind, (void)tile, (void)blocks, (void)sample, (void)points, (void)step, (void)strip;
}

void ls_winograd_outputs(const ls_winograd_kind *kind, const ls_winograd_tile *tile, int64_t blocks,
                         const float *sums, int64_t step, const float *bias, float *sample) {
    (void)kind, (void)tile, (void)blocks, (void)sums, (void)step, (void)bias, (void)sample;
}

void ls_winograd_weights(const ls_winograd_kind *kind, const float *taps, float *points,
                         int64_t step) {
    (void)kind, (void)taps, (void)points, (void)step;
}

void ls_winograd_taps(const ls_winograd_kind *kind, const float *sums, int64_t step, float *taps) {
    (void)kind, (void)sums, (void)step, (void)taps;
}

#endif
