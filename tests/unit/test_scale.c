/* The statistics and the model of a scaling study. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

#include "lockstep/scale.h"

static ls_interval interval_of(int64_t count) {
    double values[64];
    for (int64_t i = 0; i < count; i++)
        values[i] = (double)(count - i); /* 1 to count, falling */
    return ls_scale_interval(values, count);
}

/* Ranks and coverage as in Le Boudec's table of order statistics. */
Test(scale, intervals_of_medians) {
    static const struct {
        int64_t count;
        double low, high, confidence;
    } rows[] = {{1, 1, 1, 0},       {5, 1, 5, 0.9375},   {6, 1, 6, 0.96875},  {9, 2, 8, 0.9609},
                {10, 2, 9, 0.9785}, {20, 6, 15, 0.9586}, {30, 10, 21, 0.9572}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ls_interval found = interval_of(rows[i].count);
        cr_expect_eq(found.median, (double)(rows[i].count + 1) / 2);
        cr_expect_eq(found.low, rows[i].low, "%g of %lld", found.low, (long long)rows[i].count);
        cr_expect_eq(found.high, rows[i].high);
        cr_expect_float_eq(found.confidence, rows[i].confidence, 1e-4, "%g", found.confidence);
    }
}

enum { REPEATS = 3 };

static ls_scale_size size_of(ls_scale_mode mode, int ranks) {
    return (ls_scale_size){.mode = mode,
                           .ranks = ranks,
                           .nodes = ranks < 4 ? 1 : ranks / 4,
                           .batch = mode == LS_SCALE_WEAK ? 64 * ranks : 4096,
                           .slices = mode == LS_SCALE_WEAK ? 2 * ranks : 128,
                           .crowd = 1,
                           .bytes = 1e6,
                           .buckets = 4};
}

/* A machine of which the model is true, nodes of 4 ranks. */
static ls_scale_row row_of(ls_scale_mode mode, int ranks) {
    ls_scale_size size = size_of(mode, ranks);
    double r = (double)ranks / size.nodes, k = size.nodes, s = (double)size.slices / ranks;
    ls_scale_row row = {.size = size, .predicted = NAN, .low = NAN, .high = NAN};
    row.phase[LS_SCALE_COMPUTE] = 1e-3 * s;
    row.phase[LS_SCALE_DATA] = 1e-5 * s;
    row.phase[LS_SCALE_UPDATE] = 1e-5 + 1e-4 / r;
    row.alone = 4 * 2e-5 * log2(ranks) + 1e6 * (2e-10 * (r - 1) / r + 4e-10 * 2 * (k - 1) / k);
    row.phase[LS_SCALE_EXCHANGE] = row.alone / 4; /* all is hidden but the last bucket */
    for (int p = 0; p < LS_SCALE_PHASES; p++)
        row.step += row.phase[p];
    snprintf(row.digest, sizeof row.digest, "%032d", mode == LS_SCALE_WEAK ? ranks : 0);
    return row;
}

static size_t measure(ls_scale_mode mode, int largest, ls_scale_point **points) {
    ls_scale_row rows[64];
    int64_t count = 0;
    size_t found;
    for (int ranks = 1; ranks <= largest; ranks *= 2)
        for (int i = 0; i < REPEATS; i++)
            rows[count++] = row_of(mode, ranks);
    cr_assert_eq(ls_scale_summarize(rows, count, points, &found), LS_OK);
    return found;
}

Test(scale, points) {
    ls_scale_point *points;
    size_t count = measure(LS_SCALE_WEAK, 8, &points);
    cr_assert_eq(count, 4);
    for (size_t i = 0; i < count; i++) {
        double sum = 0;
        cr_expect_eq(points[i].size.ranks, 1 << i);
        cr_expect_eq(points[i].repeats, REPEATS);
        cr_expect(points[i].same_bits);
        cr_expect(isnan(points[i].error));
        cr_expect_leq(points[i].speedup_low, points[i].speedup);
        cr_expect_geq(points[i].speedup_high, points[i].speedup);
        cr_expect_float_eq(points[i].efficiency, points[0].step.median / points[i].step.median,
                           1e-9);
        for (int p = 0; p < LS_SCALE_PHASES; p++)
            sum += points[i].phase[p];
        cr_expect_float_eq(sum, points[i].step.median, 1e-12);
    }
    cr_expect_eq(points[0].speedup, 1);
    ls_free(points);
}

Test(scale, other_bits_are_seen) {
    ls_scale_row rows[] = {row_of(LS_SCALE_STRONG, 2), row_of(LS_SCALE_STRONG, 1),
                           row_of(LS_SCALE_WEAK, 2)};
    ls_scale_point *points;
    size_t count;
    rows[1].digest[5] = '7';
    cr_assert_eq(ls_scale_summarize(rows, 3, &points, &count), LS_OK);
    cr_assert_eq(count, 3);
    cr_expect_not(points[0].same_bits); /* strong, 1 rank: not as the first row */
    cr_expect(points[1].same_bits);
    cr_expect(points[2].same_bits);
    cr_expect_eq(points[2].size.mode, LS_SCALE_WEAK);
    ls_free(points);
}

/* One doubling ahead, where the model is true: close once each of its terms has been seen. */
Test(scale, predicts_one_doubling_ahead) {
    for (int mode = 0; mode < LS_SCALE_MODES; mode++) {
        for (int ranks = 2; ranks <= 64; ranks *= 2) {
            ls_scale_point *points;
            size_t count = measure((ls_scale_mode)mode, ranks / 2, &points);
            ls_scale_size next = size_of((ls_scale_mode)mode, ranks);
            double truth = row_of((ls_scale_mode)mode, ranks).step;
            ls_scale_prediction found = ls_scale_predict(points, count, &next);
            double allowed = ranks >= 16 ? 0.01 : 0.15;
            cr_expect_float_eq(found.step / truth, 1, allowed, "%s, %d ranks: %g, not %g",
                               ls_scale_mode_name((ls_scale_mode)mode), ranks, found.step, truth);
            cr_expect(found.low <= truth && truth <= found.high, "%d ranks: %g outside %g to %g",
                      ranks, truth, found.low, found.high);
            ls_free(points);
        }
    }
}

Test(scale, predicts_nothing_from_nothing) {
    ls_scale_size next = size_of(LS_SCALE_STRONG, 2);
    ls_scale_point *points;
    size_t count = measure(LS_SCALE_WEAK, 4, &points); /* the other mode */
    cr_expect(isnan(ls_scale_predict(points, count, &next).step));
    cr_expect(isnan(ls_scale_predict(NULL, 0, &next).high));
    ls_free(points);
}

/* 5 slices a rank at most where 128 are for 30: the others wait. */
Test(scale, uneven_slices_are_imbalance) {
    ls_scale_size next = size_of(LS_SCALE_STRONG, 30);
    ls_scale_point *points;
    next.nodes = 8;
    size_t count = measure(LS_SCALE_STRONG, 16, &points);
    ls_scale_prediction found = ls_scale_predict(points, count, &next);
    cr_expect_float_eq(found.phase[LS_SCALE_COMPUTE] + found.phase[LS_SCALE_IMBALANCE], 5e-3, 1e-9);
    ls_free(points);
}

/* Strong: what one size trained is that of all with its bits; weak: of its own size alone. */
Test(scale, trainings) {
    ls_scale_row rows[6];
    ls_scale_point *points;
    size_t count;
    for (int i = 0; i < 6; i++) {
        rows[i] = row_of(i < 3 ? LS_SCALE_STRONG : LS_SCALE_WEAK, 1 << i % 3);
        rows[i].training = LS_SCALE_NOT_TRAINED;
    }
    rows[1].digest[0] = 'f';
    rows[2].training = (ls_scale_training){1, 100, 2, 6400, 0.1};
    rows[4].training = (ls_scale_training){0, 300, 6, 19200, 0.1};
    cr_assert_eq(ls_scale_summarize(rows, 6, &points, &count), LS_OK);
    cr_assert_eq(count, 6);
    cr_expect_eq(points[0].training.steps, 100);
    cr_expect_eq(points[0].to_target, 100 * points[0].step.median);
    cr_expect(isnan(points[1].training.steps), "of other bits");
    cr_expect_eq(points[2].to_target, 100 * points[2].step.median);
    cr_expect(isnan(points[3].training.reached) && isnan(points[5].training.reached));
    cr_expect_eq(points[4].training.steps, 300);
    cr_expect(isnan(points[4].to_target), "not reached");
    ls_free(points);
}
