/* nn: matrix products by loops of our own, where oneDNN spends its time packing: the gradients of
 * dense layers, whose sums have one term for each sample, or whose results have few rows.
 *
 * A panel of B, and of A where it is transposed, is copied together, so that the innermost loop
 * reads in order: 6 rows by 16 columns of C, whose sums are registers. */
#include "nn/product_loops.h"

#include <string.h>

#include "nn/loops.h"

enum {
    ROWS = 6,           /* of C at a time, */
    COLUMNS = 16,       /* with as many columns: 12 sums, all that the registers of AVX2 take */
    STRIPS = 4,         /* of COLUMNS, in a panel of B */
    DEPTH = 128,        /* of a panel at most: B's then fits into the first cache */
    FLOATS = 96 * DEPTH /* of a panel of A */
};

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,fma")))

/* Part of a product: `depth` terms of each sum. */
typedef struct ls_panel {
    int64_t depth;
    const float *a; /* (rows, depth), lda floats from row to row */
    int64_t lda;
    const float *b; /* (strips, depth, COLUMNS) */
    int64_t ldc;
    bool add;
} ls_panel;

/* Inlined with each number of rows, so that the sums are registers. */
AVX2 static inline __attribute__((always_inline)) void
make_tile(const ls_panel *panel, int rows, const float *a, const float *b, float *c, int64_t ldc) {
    const int lanes = COLUMNS / 2;
    __m256 sum[ROWS][2];
    for (int row = 0; row < rows; row++)
        for (int half = 0; half < 2; half++)
            sum[row][half] =
                panel->add ? _mm256_loadu_ps(c + row * ldc + half * lanes) : _mm256_setzero_ps();
    for (int64_t i = 0; i < panel->depth; i++) {
        __m256 left = _mm256_loadu_ps(b + i * COLUMNS);
        __m256 right = _mm256_loadu_ps(b + i * COLUMNS + lanes);
        for (int row = 0; row < rows; row++) {
            __m256 value = _mm256_set1_ps(a[row * panel->lda + i]);
            sum[row][0] = _mm256_fmadd_ps(value, left, sum[row][0]);
            sum[row][1] = _mm256_fmadd_ps(value, right, sum[row][1]);
        }
    }
    for (int row = 0; row < rows; row++)
        for (int half = 0; half < 2; half++)
            _mm256_storeu_ps(c + row * ldc + half * lanes, sum[row][half]);
}

AVX2 static void whole_tile(const ls_panel *panel, int rows, const float *a, const float *b,
                            float *c, int64_t ldc) {
    switch (rows) {
    case 1:
        make_tile(panel, 1, a, b, c, ldc);
        break;
    case 2:
        make_tile(panel, 2, a, b, c, ldc);
        break;
    case 3:
        make_tile(panel, 3, a, b, c, ldc);
        break;
    case 4:
        make_tile(panel, 4, a, b, c, ldc);
        break;
    case 5:
        make_tile(panel, 5, a, b, c, ldc);
        break;
    default:
        make_tile(panel, ROWS, a, b, c, ldc);
    }
}

/* A tile whose last columns C does not have. */
static void part_tile(const ls_panel *panel, int rows, int64_t columns, const float *a,
                      const float *b, float *c) {
    float tile[ROWS * COLUMNS] = {0};
    const size_t bytes = (size_t)columns * sizeof *c;
    for (int row = 0; panel->add && row < rows; row++)
        memcpy(tile + row * COLUMNS, c + row * panel->ldc, bytes);
    whole_tile(panel, rows, a, b, tile, COLUMNS);
    for (int row = 0; row < rows; row++)
        memcpy(c + row * panel->ldc, tile + row * COLUMNS, bytes);
}

/* C (height, width), in tiles of about the same number of rows. */
static void make_panel(const ls_panel *panel, int64_t height, int64_t width, float *c) {
    const int64_t groups = (height + ROWS - 1) / ROWS;
    for (int64_t group = 0; group < groups; group++) {
        const int64_t row = group * height / groups;
        const int rows = (int)((group + 1) * height / groups - row);
        const float *a = panel->a + row * panel->lda;
        for (int64_t column = 0; column < width; column += COLUMNS) {
            const float *b = panel->b + column * panel->depth;
            float *to = c + row * panel->ldc + column;
            if (width - column >= COLUMNS)
                whole_tile(panel, rows, a, b, to, panel->ldc);
            else
                part_tile(panel, rows, width - column, a, b, to);
        }
    }
}

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
    ls_panel panel = {depth,  a + row * s->lda + first, s->lda, columns,
                      s->ldc, s->add || first > 0};
    if (s->transpose_a) {
        copy_a(a + first * s->lda + row, s->lda, height, depth, rows);
        panel.a = rows;
        panel.lda = depth;
    }
    for (int64_t column = 0; column < s->n; column += STRIPS * COLUMNS) {
        const int64_t width = ls_smaller(STRIPS * COLUMNS, s->n - column);
        copy_b(b + first * s->ldb + column, s->ldb, depth, width, columns);
        make_panel(&panel, height, width, c + row * s->ldc + column);
    }
}

/* One core of a Zen 3, oneDNN 2.6.3, times as fast: gradients of weights (A transposed) with 32 to
 * 256 samples 1.05 to 1.8; of inputs, 128 terms at a time, of up to 1024 columns 1.2 to 1.4, of
 * 3136 columns 0.9; forward (many terms) 0.9. */
bool ls_product_loops_pay(const ls_product_spec *s) {
    const int64_t narrow = 1024;
    if (s->type != LS_COMPUTE_FLOAT32 || s->transpose_b || !ls_isa_has("avx2") ||
        ls_isa_has("avx512"))
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

#else

bool ls_product_loops_pay(const ls_product_spec *spec) {
    (void)spec;
    return false;
}

void ls_product_loops(const ls_product_spec *spec, const float *a, const float *b, float *c) {
    (void)spec, (void)a, (void)b, (void)c;
}

#endif
