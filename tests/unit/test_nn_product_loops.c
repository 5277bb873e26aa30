/* nn: matrix products by our loops, against sums in double: any sizes, and that nothing else is
 * written. */
#include <criterion/criterion.h>
#include <math.h>

#include "lockstep/nn.h"
#include "nn/product_loops.h"
#include "nn_check.h"

static void fill(size_t count, unsigned seed, float *to) {
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        to[i] = (float)(seed >> 8) / (1 << 23) - 1;
    }
}

static void check_sum(const ls_product_spec *s, const float *a, const float *b, double before,
                      int64_t row, int64_t column, float value) {
    double sum = s->add ? before : 0, magnitude = fabs(sum);
    for (int64_t i = 0; i < s->k; i++) {
        double left = a[s->transpose_a ? i * s->lda + row : row * s->lda + i];
        sum += left * b[i * s->ldb + column];
        magnitude += fabs(left * b[i * s->ldb + column]);
    }
    cr_assert_float_eq(value, sum, 1e-6 * magnitude, "%.9g, not %.9g, at %lld, %lld", value, sum,
                       (long long)row, (long long)column);
}

/* Rows of 3 floats more than a product needs: they must stay as they are. */
static void check(int64_t m, int64_t n, int64_t k, bool transpose_a, bool add) {
    const int64_t gap = 3;
    const ls_product_spec s = {.transpose_a = transpose_a,
                               .add = add,
                               .m = m,
                               .n = n,
                               .k = k,
                               .lda = (transpose_a ? m : k) + gap,
                               .ldb = n + gap,
                               .ldc = n + gap};
    const size_t a_count = (size_t)((transpose_a ? k : m) * s.lda), b_count = (size_t)(k * s.ldb),
                 c_count = (size_t)(m * s.ldc);
    float *a = ls_calloc(a_count, sizeof *a), *b = ls_calloc(b_count, sizeof *b);
    float *c = ls_calloc(c_count, sizeof *c), *before = ls_calloc(c_count, sizeof *before);
    fill(a_count, 1, a);
    fill(b_count, 2, b);
    fill(c_count, 3, c);
    fill(c_count, 3, before);
    ls_product_loops(&s, a, b, c);
    for (int64_t row = 0; row < m; row++)
        for (int64_t column = 0; column < s.ldc; column++) {
            const int64_t at = row * s.ldc + column;
            if (column < n)
                check_sum(&s, a, b, before[at], row, column, c[at]);
            else
                cr_assert_eq(c[at], before[at], "beyond the columns");
        }
    ls_free(a);
    ls_free(b);
    ls_free(c);
    ls_free(before);
}

static bool loops_there(void) {
    const ls_product_spec spec = {.transpose_a = true, .m = 1, .n = 1, .k = 1};
    return ls_compute_init(1, "avx2") == LS_OK && ls_product_loops_pay(&spec);
}

Test(nn_product_loops, any_sizes) {
    static const int64_t sizes[][3] = {{1, 1, 1},    {5, 15, 3},    {6, 16, 128},  {7, 17, 129},
                                       {13, 65, 32}, {97, 64, 200}, {400, 20, 31}, {200, 130, 300}};
    if (!loops_there())
        cr_skip("no AVX2 here");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int form = 0; form < 4; form++)
            check(sizes[i][0], sizes[i][1], sizes[i][2], form & 1, form & 2);
}

/* A row of C has the same bits however many others there are, as do the columns. */
Test(nn_product_loops, bits_do_not_depend_on_the_others) {
    enum { M = 100, N = 70, K = 140 };
    static float a[M * K], b[K * N], all[M * N], some[M * N];
    ls_product_spec s = {.m = M, .n = N, .k = K, .lda = K, .ldb = N, .ldc = N};
    if (!loops_there())
        cr_skip("no AVX2 here");
    fill(M * K, 1, a);
    fill(K * N, 2, b);
    ls_product_loops(&s, a, b, all);
    s.m = 4;
    s.n = 19;
    ls_product_loops(&s, a + 33 * K, b + 5, some);
    for (int64_t row = 0; row < s.m; row++)
        cr_assert_arr_eq(some + row * N, all + (33 + row) * N + 5, (size_t)s.n * sizeof *all);
}

Test(nn_product_loops, none_with_avx512_and_none_for_others) {
    ls_product_spec s = {.transpose_a = true, .m = 32, .n = 64, .k = 32};
    if (!loops_there())
        cr_skip("no AVX2 here");
    cr_assert(ls_product_loops_pay(&s));
    s.transpose_b = true;
    cr_assert_not(ls_product_loops_pay(&s));
    s = (ls_product_spec){.m = 512, .n = 32, .k = 3136};
    cr_assert_not(ls_product_loops_pay(&s));
    s.type = LS_COMPUTE_BF16;
    s.transpose_a = true;
    cr_assert_not(ls_product_loops_pay(&s));
}
