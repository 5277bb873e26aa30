/* The range test: ramp, smoothing and stop rule against a reference of a few lines, written down
 * again from the rule and nothing else. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "lockstep/lr.h"

enum { MOST = 64 };

/* ---- the reference -------------------------------------------------------------------------- */

typedef struct outcome {
    int recorded;
    ls_stop stop;
    double smoothed[MOST], best;
} outcome;

static outcome reference(double beta, double factor, int n, const double *loss) {
    outcome out = {.stop = LS_STOP_END};
    double avg = 0;
    for (int i = 0; i < n; i++) {
        if (isnan(loss[i]) || isinf(loss[i])) {
            out.stop = LS_STOP_NOT_FINITE;
            break;
        }
        avg = beta * avg + (1 - beta) * loss[i];
        double weight = 1;
        for (int k = 0; k <= i; k++)
            weight *= beta;
        double smoothed = avg / (1 - weight);
        if (i > 0 && out.best > 0 && smoothed > factor * out.best) {
            out.stop = LS_STOP_DIVERGED;
            break;
        }
        if (i == 0 || smoothed < out.best)
            out.best = smoothed;
        out.smoothed[out.recorded++] = smoothed;
    }
    return out;
}

static outcome ours(double beta, double factor, int n, const double *loss) {
    outcome out = {.stop = LS_STOP_END};
    ls_range_test test;
    ls_range_test_begin(&test, beta, factor);
    for (int i = 0; i < n; i++) {
        ls_stop stop = ls_range_test_take(&test, loss[i]);
        if (stop != LS_STOP_NONE) {
            out.stop = stop;
            break;
        }
        out.smoothed[out.recorded++] = test.smoothed;
    }
    cr_expect_eq(test.points, out.recorded);
    out.best = test.best;
    return out;
}

static void same(double beta, double factor, int n, const double *loss) {
    outcome want = reference(beta, factor, n, loss), got = ours(beta, factor, n, loss);
    cr_expect_eq(got.recorded, want.recorded, "%d points, not %d", got.recorded, want.recorded);
    cr_expect_eq(got.stop, want.stop, "%s, not %s", ls_stop_name(got.stop),
                 ls_stop_name(want.stop));
    cr_expect_float_eq(got.best, want.best, 1e-12 * fabs(want.best));
    for (int i = 0; i < want.recorded && i < got.recorded; i++)
        cr_expect_float_eq(got.smoothed[i], want.smoothed[i], 1e-12 * fabs(want.smoothed[i]),
                           "point %d: %.17g, not %.17g", i, got.smoothed[i], want.smoothed[i]);
}

/* A loss that falls and then explodes. */
static void falling(int n, double *loss) {
    for (int i = 0; i < n; i++)
        loss[i] = 2.5 - 0.05 * i + 0.3 * sin(5.0 * i) + exp(0.25 * (i - 40));
}

/* ---- ramp ----------------------------------------------------------------------------------- */

Test(lr, exponential_ramp_multiplies) {
    for (int i = 0; i < 10; i++) /* 1e-8 to 10 in 9 steps: a decade each */
        cr_expect_float_eq(ls_ramp_lr(LS_RAMP_EXPONENTIAL, 1e-8, 10, 10, i) / pow(10, i - 8), 1,
                           1e-13);
}

Test(lr, linear_ramp_adds) {
    for (int i = 0; i < 5; i++)
        cr_expect_float_eq(ls_ramp_lr(LS_RAMP_LINEAR, 0.5, 2.5, 5, i), 0.5 + 0.5 * i, 1e-15);
}

Test(lr, ramps_start_and_end_exactly) {
    const ls_ramp_kind kinds[] = {LS_RAMP_EXPONENTIAL, LS_RAMP_LINEAR};
    for (int k = 0; k < 2; k++)
        for (int n = 2; n < 500; n++) {
            cr_expect_eq(ls_ramp_lr(kinds[k], 1e-8, 10, n, 0), 1e-8);
            cr_expect_eq(ls_ramp_lr(kinds[k], 1e-8, 10, n, n - 1), 10);
        }
}

Test(lr, short_ramps) {
    cr_expect_eq(ls_ramp_lr(LS_RAMP_EXPONENTIAL, 1e-3, 10, 1, 0), 1e-3);
    cr_expect_eq(ls_ramp_lr(LS_RAMP_LINEAR, 1e-3, 10, 1, 0), 1e-3);
    cr_expect_float_eq(ls_ramp_lr(LS_RAMP_EXPONENTIAL, 1e-3, 10, 3, 1), 0.1, 1e-15);
}

/* ---- rule ----------------------------------------------------------------------------------- */

Test(lr, the_rule_on_a_curve) {
    double loss[MOST];
    falling(MOST, loss);
    same(0.98, 4, MOST, loss);
    same(0.9, 2, MOST, loss);
    same(0, 4, MOST, loss);
    cr_expect_eq(ours(0.9, 2, MOST, loss).stop, LS_STOP_DIVERGED);
}

Test(lr, one_two_and_three_steps) {
    const double loss[] = {2.5, 2.25, 2.75};
    for (int n = 1; n <= 3; n++) {
        same(0.98, 4, n, loss);
        cr_expect_eq(ours(0.98, 4, n, loss).recorded, n);
    }
}

Test(lr, the_first_loss_is_not_shrunk_by_the_average) {
    const double loss[] = {7.5};
    cr_expect_float_eq(ours(0.98, 4, 1, loss).smoothed[0], 7.5, 1e-13);
}

Test(lr, stops_at_the_second_step) {
    const double loss[] = {1, 1000, 1};
    same(0.98, 4, 3, loss);
    outcome out = ours(0.98, 4, 3, loss);
    cr_expect_eq(out.stop, LS_STOP_DIVERGED);
    cr_expect_eq(out.recorded, 1);
}

Test(lr, never_stops_at_the_first_step) {
    const double loss[] = {1e300};
    cr_expect_eq(ours(0.98, 4, 1, loss).stop, LS_STOP_END);
}

Test(lr, factor_0_never_stops_for_divergence) {
    const double loss[] = {1, 1000, 1e6};
    cr_expect_eq(ours(0.98, 0, 3, loss).recorded, 3);
}

Test(lr, exactly_the_factor_goes_on) {
    const double loss[] = {1, 4, 4.5};
    cr_expect_eq(ours(0, 4, 2, loss).stop, LS_STOP_END);
    cr_expect_eq(ours(0, 4, 3, loss).stop, LS_STOP_DIVERGED);
}

Test(lr, not_finite_at_each_position) {
    const double bad[] = {NAN, INFINITY, -INFINITY};
    for (int kind = 0; kind < 3; kind++)
        for (int at = 0; at < 20; at++) {
            double loss[20];
            falling(20, loss);
            loss[at] = bad[kind];
            same(0.98, 4, 20, loss);
            outcome out = ours(0.98, 4, 20, loss);
            cr_expect_eq(out.stop, LS_STOP_NOT_FINITE);
            cr_expect_eq(out.recorded, at);
        }
}

Test(lr, negative_losses_do_not_stop) {
    double loss[MOST];
    for (int i = 0; i < MOST; i++)
        loss[i] = -10 + 0.2 * i; /* passes 0 too: best stays negative */
    same(0.9, 4, MOST, loss);
    cr_expect_eq(ours(0.9, 4, MOST, loss).recorded, MOST);
    for (int i = 0; i < MOST; i++)
        loss[i] = 1 - 0.5 * i;
    same(0.9, 4, MOST, loss);
    cr_expect_eq(ours(0.9, 4, MOST, loss).recorded, MOST);
}

Test(lr, stop_names) {
    cr_expect_str_eq(ls_stop_name(LS_STOP_END), "end");
    cr_expect_str_eq(ls_stop_name(LS_STOP_DIVERGED), "diverged");
    cr_expect_str_eq(ls_stop_name(LS_STOP_NOT_FINITE), "not_finite");
}

/* ---- stored curves -------------------------------------------------------------------------- */

Test(lr, smooth_is_what_the_test_computes) {
    double loss[MOST], smoothed[MOST];
    falling(MOST, loss);
    ls_smooth(0.95, MOST, loss, smoothed);
    outcome want = reference(0.95, 1e9, MOST, loss);
    for (int i = 0; i < MOST; i++)
        cr_expect_float_eq(smoothed[i], want.smoothed[i], 1e-12 * fabs(want.smoothed[i]));
}

Test(lr, smooth_is_nan_from_the_first_bad_loss) {
    const double loss[] = {1, 2, INFINITY, 1};
    double smoothed[4];
    ls_smooth(0.5, 4, loss, smoothed);
    cr_expect(isfinite(smoothed[0]) && isfinite(smoothed[1]));
    cr_expect(isnan(smoothed[2]) && isnan(smoothed[3]));
}

Test(lr, slice_noise_is_the_standard_error) {
    const double slices[] = {1, 2, 3, 6, NAN};
    /* mean 3, squares 4 + 1 + 0 + 9 = 14; sqrt(14 / 3 / 4) */
    cr_expect_float_eq(ls_slice_noise(5, slices), sqrt(14.0 / 12), 1e-15);
    cr_expect(isnan(ls_slice_noise(1, slices)));
    cr_expect(isnan(ls_slice_noise(0, slices)));
    cr_expect_eq(ls_slice_noise(2, (const double[]){5, 5}), 0);
}
