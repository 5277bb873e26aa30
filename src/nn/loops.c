/* nn: element-by-element loops, compiled for several instruction sets, chosen at start. */
#include "nn/loops.h"

#include "lockstep/base.h"

/* Same index read and written: no dependence between iterations even if the arrays are the same. */
#if defined(__clang__)
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define INDEPENDENT _Pragma("GCC ivdep")
#else
#define INDEPENDENT
#endif

LS_CLONES
void ls_loop_leaky(size_t count, float slope, const float *x, float *y) {
    INDEPENDENT
    for (size_t i = 0; i < count; i++)
        y[i] = x[i] <= 0.0f ? slope * x[i] : x[i];
}

LS_CLONES
void ls_loop_leaky_gradient(size_t count, float slope, const float *reference, const float *dy,
                            float *dx) {
    INDEPENDENT
    for (size_t i = 0; i < count; i++)
        dx[i] = reference[i] <= 0.0f ? slope * dy[i] : dy[i];
}

LS_CLONES
static void add(size_t count, const float *a, const float *b, float *y) {
    INDEPENDENT
    for (size_t i = 0; i < count; i++)
        y[i] = a[i] + b[i];
}

LS_CLONES
static void add_relu(size_t count, const float *a, const float *b, float *y) {
    INDEPENDENT
    for (size_t i = 0; i < count; i++) {
        float sum = a[i] + b[i];
        y[i] = sum <= 0.0f ? 0.0f : sum;
    }
}

void ls_loop_add(size_t count, bool relu, const float *a, const float *b, float *y) {
    if (relu)
        add_relu(count, a, b, y);
    else
        add(count, a, b, y);
}

LS_CLONES
void ls_loop_mask(size_t count, float scale, const uint8_t *keep, const float *x, float *y) {
    INDEPENDENT
    for (size_t i = 0; i < count; i++)
        y[i] = keep[i] ? scale * x[i] : 0.0f;
}

LS_CLONES
void ls_loop_scale(size_t count, float scale, float *x) {
    for (size_t i = 0; i < count; i++)
        x[i] *= scale;
}

LS_CLONES
void ls_loop_add_bias(int64_t rows, int64_t count, const float *bias, float *y) {
    for (int64_t row = 0; row < rows; row++) {
        INDEPENDENT
        for (int64_t i = 0; i < count; i++)
            y[row * count + i] += bias[i];
    }
}

LS_CLONES
void ls_loop_sum_rows(int64_t rows, int64_t count, const float *x, float *sums) {
    for (int64_t i = 0; i < count; i++)
        sums[i] = x[i];
    for (int64_t row = 1; row < rows; row++) {
        INDEPENDENT
        for (int64_t i = 0; i < count; i++)
            sums[i] += x[row * count + i];
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
