/* Smith's bounds and our recommendation: where they lie on curves whose shape is known, and what
 * they refuse. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "lockstep/lr.h"

enum { MOST = 10000 };

typedef struct sample {
    int64_t count;
    double lr[MOST], loss[MOST], smoothed[MOST], noise[MOST], accuracy[MOST], gain[MOST],
        gain_noise[MOST];
    bool with_noise, with_accuracy, with_gain, diverged;
    double momentum;
    int64_t batch;
    ls_suggestion out[LS_SUGGEST_COUNT];
} sample;

static double gauss(int64_t i, int seed) {
    uint32_t key[2] = {(uint32_t)seed, 11}, counter[4] = {(uint32_t)i, 0, 0, 0}, word[4];
    ls_philox(key, counter, word);
    return sqrt(-2 * log(1 - ls_unit_float(word[0]))) * cos(6.283185307 * ls_unit_float(word[1]));
}

static sample *new_sample(int64_t n, double start, double end) {
    sample *s = ls_calloc(1, sizeof *s);
    cr_assert_not_null(s);
    s->count = n;
    for (int64_t i = 0; i < n; i++)
        s->lr[i] = ls_ramp_lr(LS_RAMP_EXPONENTIAL, start, end, n, i);
    return s;
}

/* Falls from 2.5 to 0.5 around lr 1e-3, half of it there, and explodes from `edge` on. */
static void shape(sample *s, double edge, double scatter, int seed) {
    for (int64_t i = 0; i < s->count; i++) {
        double x = log10(s->lr[i]);
        double loss = 2.5 - 2 / (1 + exp(-4 * (x + 3)));
        if (s->lr[i] > edge)
            loss += 30 * log10(s->lr[i] / edge);
        s->loss[i] = loss + scatter * gauss(i, seed);
        s->noise[i] = scatter;
    }
}

static const ls_suggestion *suggest(sample *s) {
    ls_smooth(0.98, s->count, s->loss, s->smoothed);
    ls_suggest(&(ls_curve){.count = s->count,
                           .lr = s->lr,
                           .loss = s->loss,
                           .smoothed = s->smoothed,
                           .noise = s->with_noise ? s->noise : NULL,
                           .accuracy = s->with_accuracy ? s->accuracy : NULL,
                           .gain = s->with_gain ? s->gain : NULL,
                           .gain_noise = s->with_gain && s->with_noise ? s->gain_noise : NULL,
                           .diverged = s->diverged,
                           .batch = s->batch,
                           .momentum = s->momentum},
               s->out);
    return &s->out[LS_SUGGEST_RECOMMENDED];
}

static void expect_between(const ls_suggestion *got, double low, double high) {
    cr_expect(got->found, "%s: %s", got->name, got->reason);
    cr_expect(got->value >= low && got->value <= high, "%s %g, not in %g .. %g", got->name,
              got->value, low, high);
}

static void expect_refusal(sample *s, const char *part) {
    const int which[] = {LS_SUGGEST_RECOMMENDED, LS_SUGGEST_BASE_LR, LS_SUGGEST_MAX_LR};
    suggest(s);
    for (int i = 0; i < 3; i++) {
        const ls_suggestion *got = &s->out[which[i]];
        cr_expect_not(got->found, "%s %g", got->name, got->value);
        cr_expect(strstr(got->reason, part) != NULL, "%s: '%s' lacks '%s'", got->name, got->reason,
                  part);
        cr_expect_eq(got->index, -1);
    }
    ls_free(s);
}

/* ---- where it lies -------------------------------------------------------------------------- */

/* The loss rises by a tenth of its fall at 0.5 x 10^(0.2/30), the running mean, of up to 25 points
 * around, a little before. */
Test(lr_recommend, half_of_the_edge_whatever_the_number_of_points) {
    const int64_t counts[] = {100, 469, 2000, 10000};
    for (int k = 0; k < 4; k++)
        for (int seed = 1; seed <= 5; seed++)
            for (int known = 0; known < 2; known++) {
                sample *s = new_sample(counts[k], 1e-8, 10);
                shape(s, 0.5, 0.1, seed);
                s->with_noise = known;
                expect_between(suggest(s), 0.1, 0.28);
                ls_free(s);
            }
}

Test(lr_recommend, coarse_curves_stay_left_of_the_edge) {
    for (int seed = 1; seed <= 10; seed++) {
        sample *s = new_sample(20, 1e-5, 10);
        shape(s, 0.3, 0.05, seed);
        s->momentum = 0.9;
        expect_between(suggest(s), 0.001, 0.3 / 5);
        ls_free(s);
    }
}

/* What the loss shows, momentum mu was led to by the LR of 1 / (1 - mu) steps before; but no
 * further than by a factor of 3, on a coarse ramp or with much momentum. */
Test(lr_recommend, momentum_lags) {
    sample *s = new_sample(451, 1e-8, 10);
    shape(s, 0.5, 0, 1);
    for (int k = 0; k < 4; k++) {
        const double momentum[] = {0, 0.8, 0.9, 0.999};
        const int lag[] = {1, 5, 10, 0};
        s->momentum = momentum[k];
        const ls_suggestion *got = suggest(s);
        double edge = s->lr[got->index];
        expect_between(got, 0, edge);
        cr_expect(edge > 0.3 && edge < 0.6, "%g", edge);
        double want = k < 3 ? s->lr[got->index - lag[k]] : edge / 3;
        cr_expect_float_eq(got->value, want / 2, 1e-9, "momentum %g: %g", momentum[k], got->value);
    }
    ls_free(s);
}

/* A running median would not see them. */
Test(lr_recommend, spikes_are_instability) {
    sample *s = new_sample(451, 1e-8, 10);
    shape(s, 0.5, 0.01, 1);
    for (int64_t i = 0; i < s->count; i++)
        if (s->lr[i] > 0.05 && i % 10 == 0)
            s->loss[i] += 20;
    expect_between(suggest(s), 0.01, 0.05);
    ls_free(s);
}

/* Noise of gradients lifts the loss by more than a tenth of its fall, but by less than a quarter of
 * what single samples scatter: that goes when the learning rate falls. */
Test(lr_recommend, a_rise_within_the_scatter_of_samples_is_no_edge) {
    for (int seed = 1; seed <= 5; seed++) {
        sample *s = new_sample(451, 1e-8, 10);
        shape(s, 0.5, 0.05, seed);
        for (int64_t i = 0; i < s->count; i++)
            s->loss[i] += s->lr[i] > 0.01 ? 0.35 : 0;
        s->with_noise = true;
        expect_between(suggest(s), 0.003, 0.01);
        s->batch = 1600; /* 0.05 times 40 */
        expect_between(suggest(s), 0.1, 0.28);
        ls_free(s);
    }
}

Test(lr_recommend, exact_values_without_noise) {
    sample *s = new_sample(451, 1e-8, 10); /* 50 points a decade */
    shape(s, 0.5, 0, 1);
    suggest(s);
    /* base: a tenth of the fall, at 10^(-3 - ln 9 / 4); max: 5 % left, at 10^(-3 + ln 19 / 4) */
    cr_expect_float_eq(log10(s->out[LS_SUGGEST_BASE_LR].value), -3 - log(9) / 4, 0.03);
    cr_expect_float_eq(log10(s->out[LS_SUGGEST_MAX_LR].value), -3 + log(19) / 4, 0.03);
    ls_free(s);
}

Test(lr_recommend, scale_shift_and_a_spike_change_nothing) {
    sample *plain = new_sample(469, 1e-8, 10), *other = new_sample(469, 1e-8, 10);
    shape(plain, 0.5, 0.1, 1);
    shape(other, 0.5, 0.1, 1);
    for (int64_t i = 0; i < other->count; i++)
        other->loss[i] = 100 * other->loss[i] - 1000; /* all negative */
    double want = suggest(plain)->value;
    cr_expect_float_eq(suggest(other)->value, want, 1e-9 * want);
    plain->loss[200] = 1e9;
    cr_expect_float_eq(log10(suggest(plain)->value), log10(want), 0.02);
    ls_free(plain);
    ls_free(other);
}

Test(lr_recommend, a_broken_network_is_no_valley) {
    sample *s = new_sample(300, 1e-6, 10);
    for (int64_t i = 0; i < s->count; i++) /* 4.6 to 3, a hump, then dead at 2.3 from 0.3 on */
        s->loss[i] = (s->lr[i] < 0.1   ? 4.6 - 1.6 / (1 + exp(-4 * (log10(s->lr[i]) + 4)))
                      : s->lr[i] < 0.3 ? 6
                                       : 2.3) +
                     0.02 * gauss(i, 1);
    expect_between(suggest(s), 0.02, 0.06);
    ls_free(s);
}

Test(lr_recommend, a_curve_that_never_rises_says_so) {
    sample *s = new_sample(469, 1e-8, 0.1);
    shape(s, 1, 0.05, 1);
    expect_between(suggest(s), 0.1 / 3, 0.1 / 2);
    cr_expect(strstr(s->out[LS_SUGGEST_RECOMMENDED].reason, "find_lr.end") != NULL, "%s",
              s->out[LS_SUGGEST_RECOMMENDED].reason);
    ls_free(s);
}

Test(lr_recommend, linear_ramp) {
    sample *s = new_sample(469, 1e-4, 1);
    for (int64_t i = 0; i < s->count; i++) {
        s->lr[i] = ls_ramp_lr(LS_RAMP_LINEAR, 1e-4, 1, s->count, i);
        s->loss[i] = 0.5 + 2 * exp(-(double)i / 3) + (s->lr[i] > 0.3 ? 20 * (s->lr[i] - 0.3) : 0) +
                     0.03 * gauss(i, 1);
    }
    expect_between(suggest(s), 0.1, 0.17);
    ls_free(s);
}

Test(lr_recommend, bounds_come_from_the_accuracy_when_there_is_one) {
    sample *s = new_sample(469, 1e-8, 10);
    shape(s, 0.5, 0.05, 1);
    s->with_accuracy = true;
    for (int64_t i = 0; i < s->count; i++)
        s->accuracy[i] = 0.1 + 0.8 / (1 + exp(-4 * (log10(s->lr[i]) + 2))) + 0.01 * gauss(i, 2);
    suggest(s);
    expect_between(&s->out[LS_SUGGEST_BASE_LR], pow(10, -2.8), pow(10, -2.2));
    expect_between(&s->out[LS_SUGGEST_MAX_LR], pow(10, -1.6), pow(10, -0.9));
    ls_free(s);
}

/* ---- what it refuses ------------------------------------------------------------------------ */

Test(lr_recommend, refuses_few_points) {
    for (int64_t n = 1; n < 10; n++) {
        sample *s = new_sample(n, 1e-5, 10);
        shape(s, 0.5, 0, 1);
        expect_refusal(s, "at least 10 are needed");
    }
}

Test(lr_recommend, refuses_an_empty_curve) {
    expect_refusal(new_sample(0, 1, 1), "no finite loss");
}

Test(lr_recommend, refuses_nan) {
    sample *s = new_sample(100, 1e-8, 10);
    for (int i = 0; i < 100; i++)
        s->loss[i] = NAN;
    expect_refusal(s, "no finite loss");
    s = new_sample(100, 1e-8, 10);
    shape(s, 0.5, 0, 1);
    s->loss[5] = INFINITY;
    expect_refusal(s, "only 5 points");
}

Test(lr_recommend, refuses_a_constant_and_a_rise) {
    sample *s = new_sample(200, 1e-8, 10);
    for (int i = 0; i < 200; i++)
        s->loss[i] = 2.3;
    expect_refusal(s, "never gets better");
    s = new_sample(200, 1e-8, 10);
    for (int i = 0; i < 200; i++)
        s->loss[i] = 2.3 + 0.1 * i;
    expect_refusal(s, "never gets better");
}

/* A fall of a quarter of a batch's noise: R2 0.26 in batches of 32. */
Test(lr_recommend, a_fall_in_much_noise_is_seen_over_more_points) {
    for (int seed = 1; seed <= 20; seed++) {
        sample *s = new_sample(2000, 1e-8, 10);
        shape(s, 0.5, 0, 1);
        for (int64_t i = 0; i < s->count; i++) {
            s->loss[i] = 0.12 * s->loss[i] + 0.25 * gauss(i, seed);
            s->noise[i] = 0.25;
        }
        s->with_noise = true;
        expect_between(suggest(s), 0.03, 0.4);
        ls_free(s);
    }
}

Test(lr_recommend, says_whether_a_longer_test_may_see_more) {
    sample *s = new_sample(100, 1e-8, 10);
    for (int64_t i = 0; i < s->count; i++)
        s->loss[i] = 2.3 + 0.1 * gauss(i, 1);
    cr_expect(!suggest(s)->found && s->out[LS_SUGGEST_RECOMMENDED].noisy);
    for (int64_t i = 0; i < s->count; i++)
        s->loss[i] = 2.3 + (double)i;
    cr_expect(!suggest(s)->found && !s->out[LS_SUGGEST_RECOMMENDED].noisy);
    ls_free(s);
}

Test(lr_recommend, refuses_noise) {
    const int64_t counts[] = {20, 100, 469, 10000};
    for (int k = 0; k < 4; k++)
        for (int seed = 1; seed <= 20; seed++) {
            sample *s = new_sample(counts[k], 1e-8, 10);
            for (int64_t i = 0; i < s->count; i++) {
                s->loss[i] = 2.3 + 0.1 * gauss(i, seed);
                s->noise[i] = 0.1;
            }
            s->with_noise = true;
            suggest(s);
            cr_expect_not(s->out[LS_SUGGEST_RECOMMENDED].found, "%lld points, seed %d: %g",
                          (long long)counts[k], seed, s->out[LS_SUGGEST_RECOMMENDED].value);
            ls_free(s);
        }
}

/* ---- whether anything is learned ------------------------------------------------------------ */

/* The loss falls to that of the best constant answer: random labels. */
static sample *constant_answer(int seed, bool with_noise) {
    sample *s = new_sample(500, 1e-8, 10);
    shape(s, 0.5, 0.02, seed);
    for (int64_t i = 0; i < s->count; i++) {
        s->gain[i] = 0.5 - s->loss[i];
        s->gain_noise[i] = s->noise[i];
    }
    s->with_noise = with_noise;
    s->with_gain = true;
    return s;
}

static void expect_nothing_learned(sample *s) {
    const ls_suggestion *got = suggest(s);
    cr_expect_not(got->found, "%g", got->value);
    cr_expect(got->noisy);
    cr_expect_not_null(strstr(got->reason, "nothing is learned"), "%s", got->reason);
}

Test(lr_recommend, refuses_a_fall_to_the_best_constant_answer) {
    for (int seed = 1; seed <= 20; seed++)
        for (int with_noise = 0; with_noise <= 1; with_noise++) {
            sample *s = constant_answer(seed, with_noise);
            expect_nothing_learned(s);
            for (int64_t i = 0; i < s->count; i++) /* measured now and then */
                s->gain[i] = i % 7 ? NAN : s->gain[i];
            expect_nothing_learned(s);
            for (int64_t i = 0; i < s->count; i++) /* a tenth of the fall below it */
                s->gain[i] += 0.2;
            expect_between(suggest(s), 0.1, 0.28);
            ls_free(s);
        }
}

Test(lr_recommend, gains_that_are_not_known_where_the_loss_is_least_refuse_nothing) {
    sample *s = constant_answer(1, true);
    for (int64_t i = 100; i < s->count; i++)
        s->gain[i] = NAN;
    expect_between(suggest(s), 0.1, 0.28);
    ls_free(s);
}

/* Targets scatter, so that the losses of batches do; what the network makes of them does less. */
Test(lr_recommend, a_clear_gain_supports_a_fall_within_the_noise_of_the_loss) {
    int refused = 0;
    for (int seed = 1; seed <= 20; seed++) {
        sample *s = new_sample(500, 1e-8, 10);
        shape(s, 0.5, 0, 1);
        for (int64_t i = 0; i < s->count; i++) {
            s->gain[i] = 0.06 * (2.4 - s->loss[i]) + 0.04 * gauss(i, seed + 100);
            s->loss[i] = 0.06 * s->loss[i] + 0.25 * gauss(i, seed);
            s->noise[i] = 0.25;
        }
        s->with_noise = true;
        if (!suggest(s)->found) {
            s->with_gain = true;
            for (int64_t i = 0; i < s->count; i++)
                s->gain_noise[i] = 0.04;
            cr_expect_not(suggest(s)->found); /* the scatter is not known */
            s->batch = 16;
            expect_between(suggest(s), 0.1, 0.5);
            for (int64_t i = 0; i < s->count; i++) /* measured now and then */
                s->gain[i] = i % 2 ? (double)NAN : s->gain[i];
            expect_between(suggest(s), 0.1, 0.5);
            refused++;
        }
        ls_free(s);
    }
    cr_expect(refused > 15, "%d", refused);
}

/* ---- ranges that are too narrow ------------------------------------------------------------- */

static void expect_hint(sample *s, const char *hint) {
    const ls_suggestion *got = suggest(s);
    cr_expect_not(got->found, "%g", got->value);
    cr_expect_not_null(strstr(got->reason, hint), "'%s' lacks '%s'", got->reason, hint);
    ls_free(s);
}

Test(lr_recommend, a_range_that_ends_before_or_in_the_fall) {
    const double ends[] = {1e-5, 1e-3, 3e-3};
    for (int k = 0; k < 3; k++) {
        sample *s = new_sample(500, 1e-8, ends[k]);
        shape(s, 0.5, 0.02, 1);
        expect_hint(s, "find_lr.end higher");
    }
}

Test(lr_recommend, a_range_that_begins_behind_the_fall) {
    for (int diverged = 0; diverged <= 1; diverged++) {
        sample *s = new_sample(500, 1, 10);
        shape(s, 0.5, 0.02, 1);
        s->diverged = diverged;
        expect_hint(s, "find_lr.start lower");
    }
}
