/* fastai's four suggestions against the definitions, written down again in the plainest way:
 * quadratic search, whole gradients.  Values were compared once with fastai 2.8's own functions. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "lockstep/lr.h"

enum { MOST = 600 };

typedef struct four {
    int left;                             /* points left to look at */
    double minimum, steep, valley, slide; /* NaN: none */
} four;

static double reference_valley(int n, const double *lr, const double *loss) {
    int longest[MOST], end = 0;
    for (int i = 0; i < n; i++) {
        longest[i] = 1;
        for (int j = 0; j < i; j++)
            if (loss[j] > loss[i] && longest[j] + 1 > longest[i])
                longest[i] = longest[j] + 1;
        if (longest[i] > longest[end])
            end = i;
    }
    double s = longest[end] / 3.0;
    int index = end - longest[end] + (int)floor(s) + (int)floor(s / 2);
    return lr[index < 0 ? 0 : index];
}

static double reference_slide(int n, const double *lr, const double *loss) {
    double g[MOST];
    if (n < 16)
        return NAN;
    for (int i = 0; i < n; i++)
        g[i] = i == 0       ? loss[1] - loss[0]
               : i == n - 1 ? loss[n - 1] - loss[n - 2]
                            : (loss[i + 1] - loss[i - 1]) / 2;
    int r = n - 1, l = r - 15;
    double answer = lr[l];
    while (l >= 0 && fabs(g[r] - g[l]) > 0.005) {
        answer = lr[l];
        r--;
        l--;
    }
    return answer;
}

static four reference(int n, const double *lr, const double *smoothed) {
    int first = n / 10, left = 0;
    while (first + left < n - 5 && !isnan(smoothed[first + left]))
        left++;
    four want = {left, NAN, NAN, NAN, NAN};
    const double *x = lr + first, *y = smoothed + first;
    double lowest = INFINITY, steepest = INFINITY;
    if (left == 0)
        return want;
    for (int i = 0; i < left; i++)
        if (y[i] < lowest) {
            lowest = y[i];
            want.minimum = x[i] / 10;
        }
    for (int i = 0; i + 1 < left; i++)
        if ((y[i + 1] - y[i]) / (log(x[i + 1]) - log(x[i])) < steepest) {
            steepest = (y[i + 1] - y[i]) / (log(x[i + 1]) - log(x[i]));
            want.steep = x[i];
        }
    want.valley = reference_valley(left, x, y);
    want.slide = reference_slide(left, x, y);
    return want;
}

static void expect(const ls_suggestion *got, double want, int n) {
    cr_expect_eq(got->found, !isnan(want), "%s of %d points: %s", got->name, n, got->reason);
    if (got->found)
        cr_expect_float_eq(got->value, want, 1e-12 * want, "%s of %d points: %g, not %g", got->name,
                           n, got->value, want);
    else
        cr_expect(strlen(got->reason) > 0);
}

static four compare(int n, const double *lr, const double *loss, double beta) {
    double smoothed[MOST];
    ls_suggestion got[LS_SUGGEST_COUNT];
    ls_smooth(beta, n, loss, smoothed);
    ls_suggest(&(ls_curve){.count = n, .lr = lr, .loss = loss, .smoothed = smoothed}, got);
    four want = reference(n, lr, smoothed);
    expect(&got[LS_SUGGEST_MINIMUM], want.minimum, n);
    expect(&got[LS_SUGGEST_STEEP], want.steep, n);
    expect(&got[LS_SUGGEST_VALLEY], want.valley, n);
    expect(&got[LS_SUGGEST_SLIDE], want.slide, n);
    return want;
}

static double noise(int i, int seed) {
    uint32_t key[2] = {(uint32_t)seed, 7}, counter[4] = {(uint32_t)i, 0, 0, 0}, word[4];
    ls_philox(key, counter, word);
    return ls_unit_float(word[0]) + ls_unit_float(word[1]) - 1;
}

/* A fall and an explosion over the ramp, with noise. */
static void curve(int n, int seed, double scatter, double *lr, double *loss) {
    for (int i = 0; i < n; i++) {
        double x = n > 1 ? -8 + 9.0 * i / (n - 1) : -8;
        lr[i] = pow(10, x);
        loss[i] =
            2.3 - 1.7 / (1 + exp(-2 * (x + 3))) + exp(4 * (x - 0.5)) + scatter * noise(i, seed);
    }
}

Test(lr_fastai, curves_of_every_length) {
    double lr[MOST], loss[MOST];
    for (int n = 0; n <= 120; n++) {
        curve(n, n, 0.2, lr, loss);
        compare(n, lr, loss, 0.98);
        compare(n, lr, loss, 0);
    }
    curve(469, 1, 0.2, lr, loss);
    compare(469, lr, loss, 0.98);
}

Test(lr_fastai, rising_flat_and_negative_losses) {
    double lr[MOST], loss[MOST];
    for (int kind = 0; kind < 4; kind++) {
        curve(100, 3, 0.3, lr, loss);
        for (int i = 0; i < 100; i++)
            loss[i] = kind == 0 ? i : kind == 1 ? 2 : kind == 2 ? -i : loss[i] - 100;
        compare(100, lr, loss, kind == 3 ? 0.98 : 0);
    }
}

Test(lr_fastai, nan_at_each_position) {
    double lr[MOST], loss[MOST];
    for (int at = 0; at < 60; at++) {
        curve(60, 5, 0.2, lr, loss);
        loss[at] = at % 2 ? NAN : INFINITY;
        four want = compare(60, lr, loss, 0.9);
        cr_expect_eq(want.left, at < 6 ? 0 : at < 55 ? at - 6 : 49);
    }
}

Test(lr_fastai, values_by_hand) {
    /* 20 points: 2 dropped at the left, 5 at the right, 13 looked at: losses 13 .. 1 from lr[2] */
    double lr[20], loss[20], smoothed[20];
    ls_suggestion got[LS_SUGGEST_COUNT];
    for (int i = 0; i < 20; i++) {
        lr[i] = pow(2, i);
        loss[i] = smoothed[i] = i < 2 ? -50 : i < 15 ? 15 - i : -80;
    }
    loss[5] = smoothed[5] = -20; /* the steepest fall starts at 4; the smallest loss is at 5 */
    ls_suggest(&(ls_curve){.count = 20, .lr = lr, .loss = loss, .smoothed = smoothed}, got);
    cr_expect_float_eq(got[LS_SUGGEST_MINIMUM].value, 3.2, 1e-12);
    cr_expect_eq(got[LS_SUGGEST_MINIMUM].index, 5);
    cr_expect_eq(got[LS_SUGGEST_STEEP].value, 16);
    /* longest fall: 12 points ending at the last of 13: start 12 - 12 = 0, + 4 + 2 */
    cr_expect_eq(got[LS_SUGGEST_VALLEY].index, 2 + 6);
    cr_expect_eq(got[LS_SUGGEST_VALLEY].value, 256);
    cr_expect_not(got[LS_SUGGEST_SLIDE].found);
}

/* All 85 points that are looked at fall: a start of -1, which stays so, + 28 + 14. */
Test(lr_fastai, valley_of_a_curve_that_only_falls) {
    double lr[100], loss[100];
    ls_suggestion got[LS_SUGGEST_COUNT];
    for (int i = 0; i < 100; i++) {
        lr[i] = pow(1.1, i);
        loss[i] = 100 - i;
    }
    ls_suggest(&(ls_curve){.count = 100, .lr = lr, .loss = loss, .smoothed = loss}, got);
    cr_expect_eq(got[LS_SUGGEST_VALLEY].index, 10 + 41);
    /* one point is left: -1 + 0 + 0 becomes 0 */
    ls_suggest(&(ls_curve){.count = 6, .lr = lr, .loss = loss, .smoothed = loss}, got);
    cr_expect_eq(got[LS_SUGGEST_VALLEY].index, 0);
}
