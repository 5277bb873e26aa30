/* nn: element-by-element loops, compiled for several instruction sets, chosen at start. */
#include "nn/loops.h"

#include <string.h>

#include "lockstep/threads.h"

/* Same index read and written: no dependence between iterations even if the arrays are the same. */
#if defined(__clang__)
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define INDEPENDENT _Pragma("GCC ivdep")
#else
#define INDEPENDENT
#endif

/* ---- elements of both types ----------------------------------------------------------------- */

typedef union ls_word {
    float number;
    uint32_t bits;
} ls_word;

static inline float widen(uint16_t x) {
    return (ls_word){.bits = (uint32_t)x << 16}.number;
}

static inline uint16_t narrow(float x) {
    uint32_t bits = (ls_word){.number = x}.bits;
    uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1);
    bool is_nan = (bits & 0x7fffffff) > 0x7f800000;
    return (uint16_t)((is_nan ? bits | 0x400000 : rounded) >> 16);
}

static inline float get(ls_compute_type type, const void *x, size_t i) {
    return type == LS_COMPUTE_FLOAT32 ? ((const float *)x)[i] : widen(((const uint16_t *)x)[i]);
}

static inline void put(ls_compute_type type, void *y, size_t i, float value) {
    if (type == LS_COMPUTE_FLOAT32)
        ((float *)y)[i] = value;
    else
        ((uint16_t *)y)[i] = narrow(value);
}

/* A loop for each type: with both in one, compilers would not vectorise it, or read both. */
#define FOR_ELEMENTS(statement)                                                                    \
    if (e->type == LS_COMPUTE_FLOAT32) {                                                           \
        const ls_compute_type type = LS_COMPUTE_FLOAT32;                                           \
        INDEPENDENT                                                                                \
        for (size_t i = first; i < end; i++)                                                       \
            statement;                                                                             \
    } else {                                                                                       \
        const ls_compute_type type = LS_COMPUTE_BF16;                                              \
        INDEPENDENT                                                                                \
        for (size_t i = first; i < end; i++)                                                       \
            statement;                                                                             \
    }

/* ---- shared among threads, piece by piece --------------------------------------------------- */

enum { SHARE = 64 * 1024 }; /* elements of a piece */

typedef struct ls_elements ls_elements;
/* Of elements [first, end). */
typedef void ls_elements_loop(const ls_elements *e, size_t first, size_t end);

struct ls_elements {
    ls_elements_loop *loop;
    size_t count;
    ls_compute_type type;
    float factor;
    bool relu;
    const uint8_t *keep;
    const void *a, *b;
    void *y;
};

static ls_status run_piece(void *context, int64_t index) {
    const ls_elements *e = context;
    size_t first = (size_t)index * SHARE, end = first + SHARE;
    e->loop(e, first, end < e->count ? end : e->count);
    return LS_OK;
}

static void run(ls_elements e) {
    ls_parallel((int64_t)((e.count + SHARE - 1) / SHARE), run_piece, &e);
}

LS_CLONES
static void leaky(const ls_elements *e, size_t first, size_t end) {
    const float slope = e->factor;
    const void *x = e->a;
    void *y = e->y;
    FOR_ELEMENTS({
        float value = get(type, x, i);
        put(type, y, i, value <= 0.0f ? slope * value : value);
    })
}

void ls_loop_leaky(ls_compute_type type, size_t count, float slope, const void *x, void *y) {
    run((ls_elements){
        .loop = leaky, .count = count, .type = type, .factor = slope, .a = x, .y = y});
}

LS_CLONES
static void leaky_gradient(const ls_elements *e, size_t first, size_t end) {
    const float slope = e->factor;
    const void *reference = e->a, *dy = e->b;
    void *dx = e->y;
    FOR_ELEMENTS({
        float gradient = get(type, dy, i);
        put(type, dx, i, get(type, reference, i) <= 0.0f ? slope * gradient : gradient);
    })
}

void ls_loop_leaky_gradient(ls_compute_type type, size_t count, float slope, const void *reference,
                            const void *dy, void *dx) {
    run((ls_elements){.loop = leaky_gradient,
                      .count = count,
                      .type = type,
                      .factor = slope,
                      .a = reference,
                      .b = dy,
                      .y = dx});
}

LS_CLONES
static void add(const ls_elements *e, size_t first, size_t end) {
    const bool relu = e->relu;
    const void *a = e->a, *b = e->b;
    void *y = e->y;
    FOR_ELEMENTS({
        float sum = get(type, a, i) + get(type, b, i);
        put(type, y, i, relu && sum <= 0.0f ? 0.0f : sum);
    })
}

void ls_loop_add(ls_compute_type type, size_t count, bool relu, const void *a, const void *b,
                 void *y) {
    run((ls_elements){
        .loop = add, .count = count, .type = type, .relu = relu, .a = a, .b = b, .y = y});
}

LS_CLONES
static void scale(const ls_elements *e, size_t first, size_t end) {
    const float factor = e->factor;
    const void *x = e->a;
    void *y = e->y;
    FOR_ELEMENTS(put(type, y, i, factor * get(type, x, i)))
}

void ls_loop_scale(ls_compute_type type, size_t count, float factor, const void *x, void *y) {
    run((ls_elements){
        .loop = scale, .count = count, .type = type, .factor = factor, .a = x, .y = y});
}

LS_CLONES
static void mask(const ls_elements *e, size_t first, size_t end) {
    const float factor = e->factor;
    const uint8_t *keep = e->keep;
    const void *x = e->a;
    void *y = e->y;
    FOR_ELEMENTS({
        float value = factor * get(type, x, i);
        put(type, y, i, keep[i] ? value : 0.0f);
    })
}

void ls_loop_mask(ls_compute_type type, size_t count, float factor, const uint8_t *keep,
                  const void *x, void *y) {
    run((ls_elements){.loop = mask,
                      .count = count,
                      .type = type,
                      .factor = factor,
                      .keep = keep,
                      .a = x,
                      .y = y});
}

/* ---- float32 only, and rows ----------------------------------------------------------------- */

LS_CLONES
void ls_loop_add_bias(int64_t rows, int64_t count, const float *bias, float *y) {
    for (int64_t row = 0; row < rows; row++) {
        INDEPENDENT
        for (int64_t i = 0; i < count; i++)
            y[row * count + i] += bias[i];
    }
}

LS_CLONES
void ls_loop_sum_rows(ls_compute_type type, int64_t rows, int64_t count, const void *x,
                      float *sums) {
    for (int64_t i = 0; i < count; i++)
        sums[i] = get(type, x, (size_t)i);
    for (int64_t row = 1; row < rows; row++) {
        INDEPENDENT
        for (int64_t i = 0; i < count; i++)
            sums[i] += get(type, x, (size_t)(row * count + i));
    }
}

LS_CLONES
void ls_loop_round(size_t count, const float *restrict x, uint16_t *restrict y) {
    for (size_t i = 0; i < count; i++)
        y[i] = narrow(x[i]);
}

void ls_loop_round_in_place(size_t count, void *x) {
    enum { PIECE = 1024 };
    uint16_t piece[PIECE];
    for (size_t i = 0; i < count; i += PIECE) {
        size_t n = count - i < PIECE ? count - i : PIECE;
        ls_loop_round(n, (const float *)x + i, piece);
        memcpy((uint16_t *)x + i, piece, n * sizeof *piece);
    }
}

enum { TILE = 8 };

/* Through a tile that the compiler keeps in registers. */
LS_CLONES
static void transpose_tiles(int64_t rows, int64_t columns, const float *restrict from,
                            float *restrict to) {
    float tile[TILE][TILE];
    for (int64_t row = 0; row + TILE <= rows; row += TILE)
        for (int64_t column = 0; column + TILE <= columns; column += TILE) {
            for (int i = 0; i < TILE; i++)
                for (int k = 0; k < TILE; k++)
                    tile[i][k] = from[(row + i) * columns + column + k];
            for (int k = 0; k < TILE; k++)
                for (int i = 0; i < TILE; i++)
                    to[(column + k) * rows + row + i] = tile[i][k];
        }
}

void ls_loop_transpose(int64_t rows, int64_t columns, const float *from, float *to) {
    int64_t whole_rows = rows / TILE * TILE, whole_columns = columns / TILE * TILE;
    transpose_tiles(rows, columns, from, to);
    for (int64_t row = 0; row < rows; row++)
        for (int64_t column = row < whole_rows ? whole_columns : 0; column < columns; column++)
            to[column * rows + row] = from[row * columns + column];
}
