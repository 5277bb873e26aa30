/* metrics: classes, softmax, squared errors and R2 against values worked out by hand or by plainer
 * means. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "train/metrics.h"

Test(metrics, best_class_is_the_first_of_equals) {
    cr_expect_eq(ls_best_class(4, (const float[]){1, 3, 3, 2}), 1);
    cr_expect_eq(ls_best_class(4, (const float[]){-5, -4, -3, -2}), 3);
    cr_expect_eq(ls_best_class(1, (const float[]){7}), 0);
    cr_expect_eq(ls_best_class(3, (const float[]){0, 0, 0}), 0);
}

Test(metrics, top_counts_those_ahead) {
    const float z[] = {5, 1, 4, 4, 0, 3, 4};
    /* Order: 0, 2, 3, 6, 5, 1, 4. */
    const int rank[] = {0, 5, 1, 2, 6, 4, 3};
    for (int64_t target = 0; target < 7; target++)
        for (int64_t most = 1; most <= 7; most++)
            cr_expect_eq(ls_is_among_top(7, z, target, most), rank[target] < most);
    cr_expect_not(ls_is_among_top(3, (const float[]){1, NAN, 2}, 1, 3));
    cr_expect(ls_is_among_top(3, (const float[]){1, NAN, 2}, 2, 1));
}

/* Top 1 is the best class, ties included. */
Test(metrics, top_one_is_the_best_class) {
    srand(1);
    for (int round = 0; round < 500; round++) {
        float z[6];
        for (int i = 0; i < 6; i++)
            z[i] = (float)(rand() % 4);
        for (int64_t target = 0; target < 6; target++)
            cr_assert_eq(ls_is_among_top(6, z, target, 1), ls_best_class(6, z) == target);
    }
}

/* Targets 0 0 0 0 1 1 2, taken for 0 0 1 4 1 1 0: as scikit-learn's balanced_accuracy_score and
 * f1_score(average="macro") say; class 3 is not there, class 4 is only taken for. */
Test(metrics, balanced_accuracy_and_macro_f1) {
    const int64_t samples[] = {4, 2, 1, 0, 0}, taken[] = {3, 3, 0, 0, 1}, hits[] = {2, 2, 0, 0, 0};
    cr_expect_float_eq(ls_balanced_accuracy(5, samples, hits), 0.5, 1e-15);
    cr_expect_float_eq(ls_macro_f1(5, samples, taken, hits), (4. / 7 + 0.8) / 4, 1e-15);
    cr_expect_eq(ls_balanced_accuracy(2, (const int64_t[]){3, 5}, (const int64_t[]){3, 5}), 1);
    cr_expect_eq(ls_macro_f1(1, (const int64_t[]){3}, (const int64_t[]){3}, (const int64_t[]){3}),
                 1);
}

Test(metrics, softmax) {
    float z[] = {logf(1), logf(2), logf(5)}, large[] = {1000, 1000, -1000}, p[3];
    ls_softmax(3, z, p);
    cr_expect_float_eq(p[0], 0.125, 1e-7);
    cr_expect_float_eq(p[1], 0.25, 1e-7);
    cr_expect_float_eq(p[2], 0.625, 1e-7);
    ls_softmax(3, large, large); /* in place, and without overflow */
    cr_expect_eq(large[0], 0.5f);
    cr_expect_eq(large[1], 0.5f);
    cr_expect_eq(large[2], 0);
}

/* Against two passes in long double, with targets far from 0. */
Test(metrics, errors_and_r2) {
    enum { COUNT = 500, OUTPUTS = 3 };
    static double y[COUNT][OUTPUTS], t[COUNT][OUTPUTS];
    double errors[OUTPUTS] = {0}, absolutes[OUTPUTS] = {0}, mean[OUTPUTS] = {0},
           deviations[OUTPUTS] = {0};
    srand(2);
    for (int n = 0; n < COUNT; n++) {
        for (int i = 0; i < OUTPUTS; i++) {
            t[n][i] = i == 2 ? 4 : 1000 * i + rand() % 1000 * 0.01;
            y[n][i] = t[n][i] + rand() % 100 * 0.01;
        }
        ls_errors_add(OUTPUTS, y[n], t[n], errors, absolutes);
        ls_deviations_add(OUTPUTS, n + 1, t[n], mean, deviations);
    }
    for (int i = 0; i < OUTPUTS; i++) {
        long double average = 0, squares = 0, residue = 0, distance = 0;
        for (int n = 0; n < COUNT; n++)
            average += (long double)t[n][i] / COUNT;
        for (int n = 0; n < COUNT; n++) {
            squares += (t[n][i] - average) * (t[n][i] - average);
            distance += fabsl((long double)y[n][i] - t[n][i]);
            residue += ((long double)y[n][i] - t[n][i]) * ((long double)y[n][i] - t[n][i]);
        }
        cr_expect_float_eq(errors[i], (double)residue, 1e-12 * (double)residue);
        cr_expect_float_eq(absolutes[i], (double)distance, 1e-12 * (double)distance);
        cr_expect_float_eq(mean[i], (double)average, 1e-12 * (double)average);
        cr_expect_float_eq(deviations[i], (double)squares, 1e-10 * (double)squares + 1e-20);
        if (i < 2)
            cr_expect_float_eq(ls_r2(errors[i], deviations[i]), 1 - (double)(residue / squares),
                               1e-10);
    }
    cr_expect(isnan(ls_r2(errors[2], deviations[2])), "all targets are equal");
    cr_expect_eq(ls_r2(0, 3), 1);
    cr_expect_eq(ls_r2(6, 3), -1);
}
