/* nn: the innermost loops of matrix products. */
#include "nn/panel.h"

#include <string.h>

#include "nn/dnnl/kernel.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

enum { ROWS = LS_PANEL_ROWS };

#define AVX2 __attribute__((target("avx2,fma")))

bool ls_panel_there(void) {
    return ls_isa_has("avx2") && !ls_isa_has("avx512");
}

/* Inlined with each number of rows, so that the sums are registers. */
AVX2 static inline __attribute__((always_inline)) void
make_tile(const ls_panel *panel, int rows, const float *a, const float *b, float *c, int64_t ldc) {
    const int lanes = LS_PANEL_COLUMNS / 2;
    const int64_t step = panel->row;
    __m256 sum[ROWS][2];
    for (int row = 0; row < rows; row++)
        for (int half = 0; half < 2; half++)
            sum[row][half] =
                panel->add ? _mm256_loadu_ps(c + row * ldc + half * lanes) : _mm256_setzero_ps();
    for (int64_t i = 0; i < panel->depth; i++, a += panel->term) {
        __m256 left = _mm256_loadu_ps(b + i * LS_PANEL_COLUMNS);
        __m256 right = _mm256_loadu_ps(b + i * LS_PANEL_COLUMNS + lanes);
        for (int row = 0; row < rows; row++) {
            __m256 value = _mm256_set1_ps(a[row * step]);
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
    float tile[ROWS * LS_PANEL_COLUMNS] = {0};
    const size_t bytes = (size_t)columns * sizeof *c;
    for (int row = 0; panel->add && row < rows; row++)
        memcpy(tile + row * LS_PANEL_COLUMNS, c + row * panel->ldc, bytes);
    whole_tile(panel, rows, a, b, tile, LS_PANEL_COLUMNS);
    for (int row = 0; row < rows; row++)
        memcpy(c + row * panel->ldc, tile + row * LS_PANEL_COLUMNS, bytes);
}

/* C (height, width), in tiles of about the same number of rows. */
void ls_panel_product(const ls_panel *panel, int64_t height, int64_t width, float *c) {
    const int64_t groups = (height + ROWS - 1) / ROWS;
    for (int64_t group = 0; group < groups; group++) {
        const int64_t row = group * height / groups;
        const int rows = (int)((group + 1) * height / groups - row);
        const float *a = panel->a + row * panel->row;
        for (int64_t column = 0; column < width; column += LS_PANEL_COLUMNS) {
            const float *b = panel->b + column * panel->depth;
            float *to = c + row * panel->ldc + column;
            if (width - column >= LS_PANEL_COLUMNS)
                whole_tile(panel, rows, a, b, to, panel->ldc);
            else
                part_tile(panel, rows, width - column, a, b, to);
        }
    }
}

#else

bool ls_panel_there(void) {
    return false;
}

void ls_panel_product(const ls_panel *panel, int64_t height, int64_t width, float *c) {
    (void)panel, (void)height, (void)width, (void)c;
}

#endif
