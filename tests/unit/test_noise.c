/* The gradient noise scale: sums of squares, estimates of a step, and of a window with its error.
 */
#include <criterion/criterion.h>
#include <math.h>

#include "lockstep/noise.h"

/* ---- squares -------------------------------------------------------------------------------- */

enum { ELEMENTS = 3001, EXPONENT = 20 };

static double square_of(const int64_t sums[2]) {
    return ldexp(ldexp((double)sums[0], 32) + (double)sums[1], -2 * EXPONENT);
}

/* To the last bit in pieces of any length, in any order. */
Test(noise, squares_are_exact) {
    static float gradient[ELEMENTS];
    double expected = 0;
    for (int i = 0; i < ELEMENTS; i++) {
        gradient[i] = 100.0f * sinf((float)i);
        double rounded = ldexp(rint(ldexp((double)gradient[i], EXPONENT)), -EXPONENT);
        expected += rounded * rounded;
    }
    for (int piece = 7; piece <= ELEMENTS; piece *= 5) {
        int64_t whole[2] = {0, 0}, parts[2] = {0, 0};
        ls_fixed_add_squares(whole, gradient, ELEMENTS, EXPONENT, 4);
        for (int first = (ELEMENTS - 1) / piece * piece; first >= 0; first -= piece) {
            int count = first + piece < ELEMENTS ? piece : ELEMENTS - first;
            ls_fixed_add_squares(parts, gradient + first, (size_t)count, EXPONENT, 4);
        }
        cr_expect_eq(square_of(parts), square_of(whole));
        cr_expect_float_eq(square_of(whole) / expected, 1, 1e-12);
    }
}

/* The largest values that fit. */
Test(noise, squares_of_the_largest) {
    const int slices[] = {1, 4, 512, 1000};
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++) {
        float range = ls_fixed_range(EXPONENT, slices[i]), both[] = {range, -range};
        int64_t sums[2] = {0, 0};
        ls_fixed_add_squares(sums, both, 2, EXPONENT, slices[i]);
        cr_expect_float_eq(square_of(sums) / (2 * (double)range * (double)range), 1, 1e-6);
    }
}

/* ---- a step --------------------------------------------------------------------------------- */

/* Slices of 2, 2, 2 and 1 samples, of gradients with mean m and variance v: what the sums are in
 * the mean gives back m^2 and v. */
Test(noise, unbiased_for_unequal_slices) {
    const double m = 3, v = 5, shares = (4 + 4 + 4 + 1) / 49.0;
    ls_noise_step found = ls_noise_of_step(7, 4, m * m + v / 7, m * m * shares + v / 7);
    cr_expect_float_eq(found.square, m * m, 1e-12);
    cr_expect_float_eq(found.trace, v, 1e-12);
}

Test(noise, one_slice_shows_none) {
    ls_noise_step found = ls_noise_of_step(8, 1, 2, 2);
    cr_expect_not(isfinite(found.square));
    cr_expect_not(isfinite(found.trace));
}

/* ---- a window ------------------------------------------------------------------------------- */

enum { STEPS = 200, RUNS = 400 };

static double normal(uint32_t run, uint32_t step, uint32_t which) {
    const uint32_t key[2] = {run, which}, counter[4] = {step, 0, 0, 0};
    uint32_t out[4];
    ls_philox(key, counter, out);
    return sqrt(-2 * log((out[0] + 1.0) / 4294967297.0)) *
           cos(6.283185307179586 * out[1] / 4294967296.0);
}

/* Falling |G|^2 and constant tr(C), both noisy. */
static ls_noise_window window_of(uint32_t run, double fall, double noise) {
    double square[STEPS], trace[STEPS];
    for (uint32_t i = 0; i < STEPS; i++) {
        square[i] = 1 + fall * (0.5 - (double)i / (STEPS - 1)) + noise * normal(run, i, 1);
        trace[i] = 100 + 20 * normal(run, i, 2);
    }
    square[17] = trace[17] = NAN;
    return ls_noise_over(square, trace, 0, STEPS);
}

/* The error is what the scale scatters by, whether |G|^2 falls or not. */
Test(noise, errors_are_those_of_repeats) {
    static const double falls[] = {0, 1.8};
    for (size_t k = 0; k < sizeof falls / sizeof *falls; k++) {
        double sum = 0, squares = 0, errors = 0;
        for (uint32_t run = 0; run < RUNS; run++) {
            ls_noise_window window = window_of(run, falls[k], 1);
            sum += window.scale / RUNS;
            squares += window.scale * window.scale / RUNS;
            errors += window.error / RUNS;
            cr_expect_lt(window.least, window.scale);
        }
        double scatter = sqrt(squares - sum * sum);
        cr_expect_float_eq(sum, 100, 2, "%g", sum);
        cr_expect_float_eq(errors / scatter, 1, 0.12, "%g, not %g", errors, scatter);
    }
}

/* A gradient that is not seen: no scale, but a bound that holds. */
Test(noise, within_the_noise) {
    int hidden = 0, wrong = 0;
    for (uint32_t run = 0; run < RUNS; run++) {
        ls_noise_window window = window_of(run, 0, 20);
        hidden += isnan(window.scale) && isnan(window.error);
        wrong += window.least > 100;
    }
    cr_expect_gt(hidden, RUNS / 2, "%d", hidden);
    cr_expect_lt(wrong, RUNS / 12, "%d", wrong); /* 4 % of Student's t with 9 degrees */
}
