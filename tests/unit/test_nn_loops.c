/* nn: the loops in bfloat16: rounding, and each loop as the float32 one on rounded numbers. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "nn/loops.h"

enum { COUNT = 1500 }; /* no multiple of any vector's length */

static uint16_t rounded(float x) {
    uint16_t y;
    ls_loop_round(1, &x, &y);
    return y;
}

static float widened(uint16_t x) {
    uint32_t bits = (uint32_t)x << 16;
    float y;
    memcpy(&y, &bits, sizeof y);
    return y;
}

Test(nn_loops, rounds_to_nearest_even) {
    cr_expect_eq(rounded(1.0f), 0x3f80);
    cr_expect_eq(rounded(-2.0f), 0xc000);
    cr_expect_eq(rounded(0x1.00fffep0f), 0x3f80);   /* just below the middle of 1 and 1 + 2^-7 */
    cr_expect_eq(rounded(0x1.01p0f), 0x3f80);       /* the middle: to the even one, down */
    cr_expect_eq(rounded(0x1.03p0f), 0x3f82);       /* and up */
    cr_expect_eq(rounded(0x1.010002p0f), 0x3f81);   /* just above */
    cr_expect_eq(rounded(0x1.fffffep0f), 0x4000);   /* into the next power of two */
    cr_expect_eq(rounded(0x1.fffffep127f), 0x7f80); /* out of range */
    cr_expect_eq(rounded(-INFINITY), 0xff80);
    cr_expect_eq(rounded(-0.0f), 0x8000);
    cr_expect_eq(rounded(0x1p-133f), 0x0001); /* subnormal */
    cr_expect(isnan(widened(rounded(NAN))));
    uint32_t bits = 0x7f800001; /* a NaN whose upper half alone were infinity */
    float small_nan;
    memcpy(&small_nan, &bits, sizeof small_nan);
    cr_expect(isnan(widened(rounded(small_nan))));
}

/* Numbers of both signs, and zeros. */
static void fill(float *x, unsigned seed) {
    for (int i = 0; i < COUNT; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = i % 7 == 0 ? 0 : (float)(int32_t)seed * 0x1p-28f;
    }
}

/* Arrays of bfloat16, and the same numbers in float32. */
typedef struct pair {
    uint16_t half[COUNT];
    float whole[COUNT];
} pair;

static pair make(unsigned seed) {
    pair made;
    fill(made.whole, seed);
    ls_loop_round(COUNT, made.whole, made.half);
    for (int i = 0; i < COUNT; i++)
        made.whole[i] = widened(made.half[i]);
    return made;
}

static void same(const pair *result, const char *what) {
    for (int i = 0; i < COUNT; i++)
        cr_assert_eq(result->half[i], rounded(result->whole[i]), "%s[%d]", what, i);
}

#define BF16 LS_COMPUTE_BF16
#define FLOAT LS_COMPUTE_FLOAT32

Test(nn_loops, as_in_float32) {
    pair a = make(1), b = make(2), y = make(3);
    uint8_t keep[COUNT];
    for (int i = 0; i < COUNT; i++)
        keep[i] = i % 3 != 0;
    ls_loop_leaky(BF16, COUNT, 0.1f, a.half, y.half);
    ls_loop_leaky(FLOAT, COUNT, 0.1f, a.whole, y.whole);
    same(&y, "leaky");
    ls_loop_leaky_gradient(BF16, COUNT, 0.1f, a.half, b.half, y.half);
    ls_loop_leaky_gradient(FLOAT, COUNT, 0.1f, a.whole, b.whole, y.whole);
    same(&y, "leaky_gradient");
    for (int relu = 0; relu <= 1; relu++) {
        ls_loop_add(BF16, COUNT, relu, a.half, b.half, y.half);
        ls_loop_add(FLOAT, COUNT, relu, a.whole, b.whole, y.whole);
        same(&y, "add");
    }
    ls_loop_mask(BF16, COUNT, 1.7f, keep, a.half, y.half);
    ls_loop_mask(FLOAT, COUNT, 1.7f, keep, a.whole, y.whole);
    same(&y, "mask");
    ls_loop_add(BF16, COUNT, true, a.half, b.half, a.half);
    ls_loop_add(FLOAT, COUNT, true, a.whole, b.whole, a.whole);
    same(&a, "add in place");
}

Test(nn_loops, sums_rows_in_float32) {
    enum { ROWS = 12, COLUMNS = COUNT / ROWS };
    pair x = make(4);
    float sums[COLUMNS], wanted[COLUMNS];
    ls_loop_sum_rows(BF16, ROWS, COLUMNS, x.half, sums);
    ls_loop_sum_rows(FLOAT, ROWS, COLUMNS, x.whole, wanted);
    cr_assert(memcmp(sums, wanted, sizeof sums) == 0);
}

Test(nn_loops, rounds_in_place) {
    float x[COUNT];
    uint16_t wanted[COUNT];
    fill(x, 5);
    ls_loop_round(COUNT, x, wanted);
    ls_loop_round_in_place(COUNT, x);
    cr_assert(memcmp(x, wanted, sizeof wanted) == 0);
}
