/* nn: matrix products by loops of our own, where oneDNN spends its time packing: the gradients of
 * dense layers, whose sums have one term for each sample, or whose results have few rows.
 *
 * A panel of B, and of A where it is transposed, is copied together, so that the innermost loop
 * (panel.c) reads in order. */
#include "nn/product_loops.h"

#include <string.h>

#include "nn/loops.h"
#include "nn/panel.h"

enum {
    COLUMNS = LS_PANEL_COLUMNS,
    STRIPS = 4,         /* of COLUMNS, in a panel of B */
    DEPTH = 128,        /* of a panel at most: B's then fits into the first cache */
    FLOATS = 96 * DEPTH /* of a panel of A */
};

/* Rows of A from a transposed one. */
static void copy_a(const float *a, int64_t lda, int64_t height, int64_t depth, float *to) {
    for (int64_t i = 0; i < depth; i++)
        for (int64_t row = 0; row < height; row++)
            to[row * depth + i] = a[i * lda + row];
}

/* In strips; columns beyond `width` are 0. */
static void copy_b(const float *b, int64_t ldb, int64_t depth, int64_t width, float *to) {
    const size_t strip_bytes = COLUMNS * sizeof *b;
    for (int64_t i = 0; i < depth; i++)
        for (int64_t column = 0; column < width; column += COLUMNS) {
            float *strip = to + column * depth + i * COLUMNS;
            const float *from = b + i * ldb + column;
            if (width - column >= COLUMNS) {
                memcpy(strip, from, strip_bytes);
            } else {
                memset(strip, 0, strip_bytes);
                memcpy(strip, from, (size_t)(width - column) * sizeof *b);
            }
        }
}

/* Rows [row, row + height) of C: terms [first, first + depth) of its sums. */
static void add_terms(const ls_product_spec *s, int64_t row, int64_t height, int64_t first,
                      int64_t depth, const float *a, const float *b, float *c) {
    float rows[FLOATS], columns[DEPTH * STRIPS * COLUMNS];
    ls_panel panel = {depth,  a + row * s->lda + first, s->lda, 1, columns,
                      s->ldc, s->add || first > 0};
    if (s->transpose_a) {
        copy_a(a + first * s->lda + row, s->lda, height, depth, rows);
        panel.a = rows;
        panel.row = depth;
    }
    for (int64_t column = 0; column < s->n; column += STRIPS * COLUMNS) {
        const int64_t width = ls_smaller(STRIPS * COLUMNS, s->n - column);
        copy_b(b + first * s->ldb + column, s->ldb, depth, width, columns);
        ls_panel_product(&panel, height, width, c + row * s->ldc + column);
    }
}

/* One core of a Zen 3, oneDNN 2.6.3, times as fast: gradients of weights (A transposed) with 32 to
 * 256 samples 1.05 to 1.8; of inputs, 128 terms at a time, of up to 1024 columns 1.2 to 1.4, of
 * 3136 columns 0.9; forward (many terms) 0.9. */
bool ls_product_loops_pay(const ls_product_spec *s) {
    const int64_t narrow = 1024;
    if (s->type != LS_COMPUTE_FLOAT32 || s->transpose_b || !ls_panel_there())
        return false;
    return s->transpose_a || (s->k <= DEPTH && s->n <= narrow);
}

void ls_product_loops(const ls_product_spec *s, const float *a, const float *b, float *c) {
    const int64_t height = FLOATS / ls_smaller(DEPTH, s->k);
    for (int64_t row = 0; row < s->m; row += height)
        for (int64_t first = 0; first < s->k; first += DEPTH)
            add_terms(s, row, ls_smaller(height, s->m - row), first,
                      ls_smaller(DEPTH, s->k - first), a, b, c);
}
