/* optim: fixed-point sums and momentum SGD against plain double arithmetic. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lockstep/optim.h"

enum { COUNT = 1003 };

static float pseudo_random(uint32_t i) {
    const uint32_t key[2] = {7, 9}, counter[4] = {i, 0, 0, 0};
    uint32_t out[4];
    ls_philox(key, counter, out);
    return (ls_unit_float(out[0]) - 0.5f) * powf(10.0f, 4 * ls_unit_float(out[1]) - 4);
}

/* From sums of 2^-exponent, as the step does it. */
static void update(const ls_optimizer *optimizer, const ls_hyper *hyper, const int32_t *sums,
                   int exponent, float *const *states, float *w) {
    static float gradient[COUNT];
    ls_fixed_scale(sums, COUNT, exponent, 1, gradient);
    optimizer->update(hyper, COUNT, gradient, states, w);
}

static float bits_to_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

Test(optim, exponent_leaves_room_and_precision) {
    const int slices[] = {1, 2, 3, 4, 7, 32, 128};
    for (size_t s = 0; s < sizeof slices / sizeof slices[0]; s++)
        for (float largest = 1e-20f; largest < 1e20f; largest *= 1.7f) {
            int exponent = ls_fixed_exponent(largest, slices[s]);
            if (exponent == 120)
                continue; /* so small that 2^exponent would not be a float */
            cr_assert_leq(8 * largest, ls_fixed_range(exponent, slices[s]), "8-fold growth fits");
            double unit = ldexp(1, -exponent);
            cr_assert_leq(unit / 2, ldexp(1, -20) * (double)largest, "%g over %d slices",
                          (double)largest, slices[s]);
            cr_assert(ls_fixed_fits(exponent, largest, slices[s]));
            cr_assert(ls_fixed_fits(exponent, 8 * largest, slices[s]));
            cr_assert_not(ls_fixed_fits(exponent, 33 * largest, slices[s]));
            cr_assert_not(ls_fixed_fits(exponent, largest / 65536, slices[s]));
        }
    for (int many = 1; many <= 1 << 20; many *= 2) /* no endless redoing, however many slices */
        cr_assert(ls_fixed_fits(ls_fixed_exponent(0.7f, many), 0.7f, many), "%d slices", many);
    cr_assert(ls_fixed_fits(ls_fixed_exponent(0, 4), 0, 4));
}

/* INT32_MIN has no absolute value. */
Test(optim, exponents_have_limits) {
    static const int32_t good[] = {0, 1, -1, 120, -120}, bad[] = {121, -121, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        cr_expect(ls_fixed_is_exponent(good[i]), "%d", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_not(ls_fixed_is_exponent(bad[i]), "%d", bad[i]);
}

Test(optim, sums_do_not_depend_on_order) {
    enum { SLICES = 5 };
    static float gradient[SLICES][COUNT];
    static int32_t forward[COUNT], backward[COUNT];
    float largest = 0;
    for (uint32_t s = 0; s < SLICES; s++)
        for (uint32_t i = 0; i < COUNT; i++) {
            gradient[s][i] = pseudo_random(s * COUNT + i);
            largest = fmaxf(largest, fabsf(gradient[s][i]));
        }
    int exponent = ls_fixed_exponent(largest, SLICES);
    uint32_t seen = 0;
    for (int s = 0; s < SLICES; s++) {
        uint32_t bits = ls_fixed_add(forward, gradient[s], COUNT, exponent, SLICES, s == 0);
        seen = bits > seen ? bits : seen;
        ls_fixed_add(backward, gradient[SLICES - 1 - s], COUNT, exponent, SLICES, s == 0);
    }
    cr_assert_eq(bits_to_float(seen), largest);
    cr_assert_arr_eq(forward, backward, sizeof forward);
    for (int i = 0; i < COUNT; i++) {
        double exact = 0;
        for (int s = 0; s < SLICES; s++)
            exact += (double)gradient[s][i];
        cr_assert_float_eq(ldexp(forward[i], -exponent), exact, SLICES * ldexp(0.5, -exponent));
    }
}

Test(optim, overflow_saturates_and_shows) {
    enum { SLICES = 3 };
    const float wild[] = {3e38f, -3e38f, INFINITY, -INFINITY, NAN, 1.0f};
    int32_t sums[6];
    int exponent = ls_fixed_exponent(1.0f, SLICES);
    for (int s = 0; s < SLICES; s++) { /* UBSan would see an overflow */
        uint32_t bits = ls_fixed_add(sums, wild, 6, exponent, SLICES, s == 0);
        cr_assert_geq(bits, 0x7f800000u);
    }
    cr_assert_gt(sums[0], 0);
    cr_assert_lt(sums[1], 0);
    cr_assert_eq(sums[5], 3 * (int32_t)ldexp(1, exponent));
    cr_assert_not(ls_fixed_fits(exponent, 3e38f, SLICES));
    cr_assert_not(ls_fixed_fits(exponent, INFINITY, SLICES));
}

/* ---- the error of a sum over many slices ---------------------------------------------------- */

static float gaussian(uint32_t i) { /* Box and Muller */
    const uint32_t key[2] = {3, 5}, counter[4] = {i, 0, 0, 0};
    uint32_t out[4];
    ls_philox(key, counter, out);
    return sqrtf(-2 * logf(1 - ls_unit_float(out[0]))) * cosf(6.2831853f * ls_unit_float(out[1]));
}

static double sum_value(const void *sums, int slices, int i) {
    return ls_fixed_is_wide(slices) ? (double)((const int64_t *)sums)[i]
                                    : (double)((const int32_t *)sums)[i];
}

/* RMS error of the sums over RMS of the sums, of gradients of deviation `size`. */
static double sum_error(int slices, float size, int exponent) {
    static int64_t sums[COUNT];
    static float gradient[COUNT];
    static double exact[COUNT];
    double error = 0, square = 0;
    memset(exact, 0, sizeof exact);
    for (int s = 0; s < slices; s++) {
        for (int i = 0; i < COUNT; i++) {
            gradient[i] = size * gaussian((uint32_t)(s * COUNT + i));
            exact[i] += (double)gradient[i];
        }
        uint32_t bits = ls_fixed_add(sums, gradient, COUNT, exponent, slices, s == 0);
        cr_assert_leq(bits_to_float(bits), ls_fixed_range(exponent, slices));
    }
    for (int i = 0; i < COUNT; i++) {
        error += pow(ldexp(sum_value(sums, slices, i), -exponent) - exact[i], 2);
        square += exact[i] * exact[i];
    }
    return sqrt(error / square);
}

/* Of Gaussian gradients whose largest element is 5.5 deviations: with a fresh exponent, at both
 * ends of what a power of two leaves, and with the worst that is accepted.  int32 above its slices
 * would lose a bit with each doubling. */
static void check_error(int slices, double fresh, double worst) {
    for (float largest = 1.001f; largest < 2; largest *= 1.997f) {
        int exponent = ls_fixed_exponent(largest, slices);
        cr_expect_lt(sum_error(slices, largest / 5.5f, exponent), fresh, "%d slices", slices);
        while (ls_fixed_fits(exponent - 1, largest, slices))
            exponent--;
        cr_expect_lt(sum_error(slices, largest / 5.5f, exponent), worst, "%d slices", slices);
    }
}

Test(optim, error_of_a_sum) {
    cr_assert_not(ls_fixed_is_wide(LS_NARROW_SLICES));
    cr_assert(ls_fixed_is_wide(LS_NARROW_SLICES + 1));
    check_error(128, ldexp(1, -18), ldexp(1, -15));
    check_error(512, ldexp(1, -16), ldexp(1, -15));
    check_error(4096, ldexp(1, -25), ldexp(1, -19)); /* and so far below 2^-16 */
}

Test(optim, wide_sums_do_not_overflow_silently) {
    enum { SLICES = 4096 };
    const float wild[] = {3e38f, -3e38f, INFINITY, -INFINITY, NAN, 1.0f};
    int64_t sums[6];
    int exponent = ls_fixed_exponent(1.0f, SLICES);
    for (int s = 0; s < SLICES; s++)
        cr_assert_geq(ls_fixed_add(sums, wild, 6, exponent, SLICES, s == 0), 0x7f800000u);
    cr_assert_eq(sums[0], SLICES * (int64_t)ls_fixed_range(0, SLICES), "saturated, 31 bits each");
    cr_assert_eq(sums[1], -sums[0]);
    cr_assert_eq(sums[5], SLICES * (int64_t)ldexp(1, exponent));
    cr_assert_not(ls_fixed_fits(exponent, 3e38f, SLICES));
    cr_assert_not(ls_fixed_fits(exponent, 1.001f * ls_fixed_range(exponent, SLICES), SLICES));
    cr_assert(ls_fixed_fits(exponent, ls_fixed_range(exponent, SLICES), SLICES));
}

/* torch.optim.SGD's update, in double. */
static void reference_sgd(const ls_hyper *sgd, double g, double *v, double *w) {
    g += (double)sgd->weight_decay * *w;
    *v = (double)sgd->momentum * *v + g;
    *w -= (double)sgd->lr * (sgd->nesterov ? g + (double)sgd->momentum * *v : *v);
}

Test(optim, momentum_sgd) {
    for (int nesterov = 0; nesterov < 2; nesterov++) {
        ls_hyper sgd = {.lr = 0.05f, .momentum = 0.9f, .weight_decay = 0.01f, .nesterov = nesterov};
        static float v[COUNT], w[COUNT];
        static double rv[COUNT], rw[COUNT];
        static int32_t sums[COUNT];
        const int exponent = 20;
        for (uint32_t i = 0; i < COUNT; i++) {
            v[i] = 0;
            rv[i] = 0;
            w[i] = pseudo_random(i);
            rw[i] = (double)w[i];
        }
        for (uint32_t step = 0; step < 10; step++) {
            for (uint32_t i = 0; i < COUNT; i++)
                sums[i] = (int32_t)ldexpf(pseudo_random(step * COUNT + i), exponent);
            update(&ls_optimizer_sgd, &sgd, sums, exponent, (float *[]){v}, w);
            for (int i = 0; i < COUNT; i++)
                reference_sgd(&sgd, ldexp(sums[i], -exponent), &rv[i], &rw[i]);
        }
        for (int i = 0; i < COUNT; i++) {
            cr_assert_float_eq(v[i], rv[i], 1e-6 * (1 + fabs(rv[i])), "v[%d]", i);
            cr_assert_float_eq(w[i], rw[i], 1e-6 * (1 + fabs(rw[i])), "w[%d]", i);
        }
    }
}

/* The papers' formulas, in double. */
static void reference_adamw(const ls_hyper *adam, double g, double t, double *m, double *v,
                            double *w) {
    const double beta1 = (double)adam->momentum, beta2 = (double)adam->beta2;
    *m = beta1 * *m + (1 - beta1) * g;
    *v = beta2 * *v + (1 - beta2) * g * g;
    const double mean = *m / (1 - pow(beta1, t)), square = *v / (1 - pow(beta2, t));
    *w -= (double)adam->lr *
          (mean / (sqrt(square) + (double)adam->epsilon) + (double)adam->weight_decay * *w);
}

/* ---- where the rounding shows in Adam's step ------------------------------------------------ */

static int by_size(const void *left, const void *right) {
    const float a = fabsf(*(const float *)left), b = fabsf(*(const float *)right);
    return (a > b) - (a < b);
}

/* Over 20 updates: median error of AdamW's change of weights, over its median, of elements whose
 * gradients in a slice are noise of deviation `size` in a tensor whose largest gradient is 1.  Not
 * RMS: a first gradient that is rounded to the other sign makes a whole step of error. */
static double adam_error(int slices, float size) {
    enum { UPDATES = 20, ELEMENTS = 250 };
    float gradient[ELEMENTS], m[2][ELEMENTS] = {0}, v[2][ELEMENTS] = {0}, w[2][ELEMENTS] = {0};
    int32_t sums[ELEMENTS];
    const int exponent = ls_fixed_exponent(1, slices);
    ls_hyper adam = {.lr = 0.01f, .momentum = 0.9f, .beta2 = 0.999f, .epsilon = 1e-20f};
    for (int t = 1; t <= UPDATES; t++) {
        float exact[ELEMENTS] = {0}, rounded[ELEMENTS];
        for (int s = 0; s < slices; s++) {
            for (int i = 0; i < ELEMENTS; i++) {
                gradient[i] = size * gaussian((uint32_t)((t * slices + s) * ELEMENTS + i));
                exact[i] += gradient[i];
            }
            ls_fixed_add(sums, gradient, ELEMENTS, exponent, slices, s == 0);
        }
        ls_fixed_scale(sums, ELEMENTS, exponent, 1, rounded);
        ls_adam_corrections(0.9, 0.999, t, &adam.correction1, &adam.correction2);
        ls_optimizer_adamw.update(&adam, ELEMENTS, rounded, (float *[]){m[0], v[0]}, w[0]);
        ls_optimizer_adamw.update(&adam, ELEMENTS, exact, (float *[]){m[1], v[1]}, w[1]);
    }
    for (int i = 0; i < ELEMENTS; i++)
        w[0][i] -= w[1][i];
    qsort(w[0], ELEMENTS, sizeof w[0][0], by_size);
    qsort(w[1], ELEMENTS, sizeof w[1][0], by_size);
    return (double)fabsf(w[0][ELEMENTS / 2] / w[1][ELEMENTS / 2]);
}

/* Rounding is absolute in a tensor, Adam's step relative to the element: the error of a sum, 0.29
 * units over the deviation of a slice's gradient, is that of the step; and what stays far below
 * half a unit in every slice does not move.  See DESIGN.md. */
Test(optim, adamw_of_small_gradients) {
    static const int slices[] = {4, 32, 128}, bits[] = {4, 8, 12, 16, 20, 30};
    for (size_t s = 0; s < sizeof slices / sizeof *slices; s++) {
        const double unit = ldexp(1, -ls_fixed_exponent(1, slices[s]));
        for (size_t b = 0; b < sizeof bits / sizeof *bits; b++) {
            const double size = ldexp(1, -bits[b]), expected = 0.29 * unit / size;
            const double error = adam_error(slices[s], (float)size);
            if (expected > 2e-6 && expected < 0.1) /* above what floats round */
                cr_expect(error > 0.5 * expected && error < 2 * expected,
                          "%d slices, 2^-%d: %g, not %g", slices[s], bits[b], error, expected);
            if (bits[b] == 30)
                cr_expect_eq(error, 1, "%d slices: moves, error %g", slices[s], error);
        }
    }
}

static void reference_lars(const ls_hyper *lars, double g, double *v, double *w) {
    const double step = (double)lars->lr * (double)lars->trust;
    *v = (double)lars->momentum * *v + step * (g + (double)lars->weight_decay * *w);
    *w -= *v;
}

Test(optim, adamw_and_lars) {
    static float m[COUNT], v[COUNT], w[COUNT], lv[COUNT], lw[COUNT];
    static double rm[COUNT], rv[COUNT], rw[COUNT], rlv[COUNT], rlw[COUNT];
    static int32_t sums[COUNT];
    const int exponent = 20;
    ls_hyper hyper = {.lr = 0.01f,
                      .momentum = 0.9f,
                      .weight_decay = 0.05f,
                      .trust = 0.3f,
                      .beta2 = 0.99f,
                      .epsilon = 1e-6f};
    for (uint32_t i = 0; i < COUNT; i++)
        rw[i] = rlw[i] = (double)(w[i] = lw[i] = pseudo_random(i));
    for (uint32_t step = 0; step < 20; step++) {
        for (uint32_t i = 0; i < COUNT; i++)
            sums[i] = (int32_t)ldexpf(pseudo_random(step * COUNT + i), exponent);
        ls_adam_corrections((double)hyper.momentum, (double)hyper.beta2, step + 1,
                            &hyper.correction1, &hyper.correction2);
        update(&ls_optimizer_adamw, &hyper, sums, exponent, (float *[]){m, v}, w);
        update(&ls_optimizer_lars, &hyper, sums, exponent, (float *[]){lv}, lw);
        for (int i = 0; i < COUNT; i++) {
            reference_adamw(&hyper, ldexp(sums[i], -exponent), step + 1, &rm[i], &rv[i], &rw[i]);
            reference_lars(&hyper, ldexp(sums[i], -exponent), &rlv[i], &rlw[i]);
        }
    }
    for (int i = 0; i < COUNT; i++) {
        cr_assert_float_eq(w[i], rw[i], 2e-6 * (1 + fabs(rw[i])), "adamw, w[%d]", i);
        cr_assert_float_eq(lw[i], rlw[i], 1e-6 * (1 + fabs(rlw[i])), "lars, w[%d]", i);
    }
    cr_expect_float_eq(ls_lars_trust(0.001, 5, 2, 0.1), 0.001 * 5 / (2 + 0.5), 1e-9);
    cr_expect_eq(ls_lars_trust(0.001, 0, 2, 0.1), 1);
    cr_expect_eq(ls_lars_trust(0.001, 5, 0, 0.1), 1);
    cr_expect_eq(ls_optimizer_of(LS_OPTIMIZER_LARS), &ls_optimizer_lars);
}

Test(optim, float_and_fixed_agree) {
    static float v1[COUNT], w1[COUNT], v2[COUNT], w2[COUNT], g[COUNT];
    static int32_t sums[COUNT];
    ls_hyper sgd = {.lr = 0.1f, .momentum = 0.9f};
    for (uint32_t i = 0; i < COUNT; i++) {
        sums[i] = (int32_t)(i * 977) - 400000;
        g[i] = ldexpf((float)sums[i], -19);
    }
    update(&ls_optimizer_sgd, &sgd, sums, 19, (float *[]){v1}, w1);
    ls_optimizer_sgd.update(&sgd, COUNT, g, (float *[]){v2}, w2);
    cr_assert_arr_eq(v1, v2, sizeof v1);
    cr_assert_arr_eq(w1, w2, sizeof w1);
    cr_assert_float_eq(ls_square_sum_fixed(COUNT, sums, 19), ls_square_sum_float(COUNT, g), 1e-12);
}

Test(optim, square_sum) {
    static int32_t sums[COUNT];
    double exact = 0;
    for (int i = 0; i < COUNT; i++) {
        sums[i] = i * 1000003 % 65537 - 32768;
        exact += ldexp(sums[i], -10) * ldexp(sums[i], -10);
    }
    cr_assert_float_eq(ls_square_sum_fixed(COUNT, sums, 10), exact, 1e-9 * exact);
    cr_assert_eq(ls_square_sum_fixed(0, sums, 10), 0);
}
