/* system tests: what a range test refuses, and why; how long it may be. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "system/command.h"

static uint64_t state = 1;

static double uniform(void) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return (double)(state >> 11) / 9007199254740992.0;
}

/* A linear function with much noise, or, with share 0, noise alone: one column of inputs. */
static const char *noisy_config(double share) {
    enum { ROWS = 8000 };
    char *rows = malloc(ROWS * 24 + 8), *end = rows;
    cr_assert_not_null(rows);
    end += sprintf(end, "x,y\n");
    for (int i = 0; i < ROWS; i++) {
        double sum[2] = {0, 0};
        for (int k = 0; k < 24; k++) { /* of 12 uniform numbers each: nearly normal */
            sum[k % 2] += uniform() - 0.5;
        }
        end += sprintf(end, "%.4f,%.4f\n", sum[0], share * sum[0] + sum[1]);
    }
    const char *csv = write_file("noisy.csv", rows);
    free(rows);
    run_well("%s convert --train-inputs %s --target-column y --regression -o %s/noisy.h5",
             program(), csv, workspace());
    return write_file("noisy.yaml",
                      text("data: {file: %s/noisy.h5, test_inputs: none}\n"
                           "batch: {size: 16, slices: 4}\n"
                           "model:\n  loss: mean_squared_error\n  layers:\n"
                           "    - dense: {units: 8}\n    - relu\n    - dense: {units: 1}\n",
                           workspace()));
}

/* As long as a tenth of the training allows, and said whether more is worth trying. */
Test(range_test, a_fall_within_the_noise_gets_a_longer_test, .fini = workspace_remove) {
    const char *find = text("%s find-lr %s --out %s/out", program(), noisy_config(0), workspace());
    const char *said = run_well("%s", find);
    cr_expect_null(strstr(said, "a longer test sees more\n"), "%s", said);
    cr_expect_not_null(strstr(said, "no learning rate can be recommended"), "%s", said);
    cr_expect_not_null(strstr(said, "find_lr.steps: 2000 (the training has 5000)"), "%s", said);
    said = run_well("%s --set train.epochs=60", find);
    cr_expect_not_null(strstr(said, "a longer test sees more\n"), "%s", said);
    cr_expect_not_null(strstr(said, "up to 2000 steps"), "%s", said);
    cr_expect_not_null(strstr(said, "no learning rate can be recommended"), "%s", said);
    cr_expect_not_null(strstr(said, "a test of 2000 steps after one of 500 saw no more"), "%s",
                       said);
}

/* R2 0.02 in batches of 16: 500 steps do not tell it from noise, 2000 do. */
Test(range_test, a_longer_test_finds_what_the_first_refused, .fini = workspace_remove) {
    const char *find =
        text("%s find-lr %s --out %s/out --set seed=3", program(), noisy_config(0.15), workspace());
    const char *said = run_well("%s", find);
    cr_expect_not_null(strstr(said, "no learning rate can be recommended"), "%s", said);
    said = run_well("%s --set train.epochs=60", find);
    cr_expect_not_null(strstr(said, "a longer test sees more\n"), "%s", said);
    const char *recommended = strstr(said, "recommended learning rate: ");
    cr_assert_not_null(recommended, "%s", said);
    const double lr = strtod(strchr(recommended, ':') + 1, NULL);
    cr_expect(lr > 0.03 && lr < 0.5, "%g", lr);
}

/* Many batches would have seen it in the loss; one with the targets' scatter taken out does. */
Test(range_test, a_gain_clear_of_the_noise_needs_no_longer_test, .fini = workspace_remove) {
    const char *said =
        run_well("%s find-lr %s --out %s/out", program(), noisy_config(0.5), workspace());
    cr_expect_null(strstr(said, "a longer test"), "%s", said);
    cr_expect_not_null(strstr(said, "recommended learning rate"), "%s", said);
}

enum { INPUTS = 8, CLASSES = 4 };

/* Rows of random inputs; the class follows from them, or from nothing. Classes are not equally
 * frequent. */
static const char *rows(const char *name, int count, bool learnable) {
    const size_t room = (size_t)count * INPUTS * 8 + 100;
    char *lines = malloc(room), *end = lines;
    cr_assert_not_null(lines);
    for (int i = 0; i < INPUTS; i++)
        end += sprintf(end, "x%d,", i);
    end += sprintf(end, "y\n");
    for (int i = 0; i < count; i++) {
        double first = 0;
        for (int k = 0; k < INPUTS; k++) {
            const double x = uniform();
            first = k == 0 ? x : first;
            end += sprintf(end, "%.4f,", x);
        }
        const double by = learnable ? first : uniform();
        end += sprintf(end, "%c\n", 'a' + (int)(CLASSES * by * by));
    }
    const char *path = write_file(name, lines);
    free(lines);
    return path;
}

/* A small network for them. */
static const char *classes_config(int count, bool learnable, const char *layers) {
    const char *train = rows("train.csv", count, learnable),
               *test = rows("test.csv", 400, learnable);
    run_well("%s convert --train-inputs %s --test-inputs %s --target-column y -o %s/classes.h5",
             program(), train, test, workspace());
    return write_file("classes.yaml", text("data: {file: %s/classes.h5}\n"
                                           "batch: {size: 32, slices: 4}\n"
                                           "model: {layers: [%s, dense: {units: 4}]}\n",
                                           workspace(), layers));
}

static void nothing_learned(const char *config, const char *sets) {
    const char *said =
        run_well("%s find-lr %s --out %s/out %s", program(), config, workspace(), sets);
    cr_expect_not_null(strstr(said, "no learning rate can be recommended"), "%s: %s", sets, said);
    cr_expect_not_null(strstr(said, "nothing is learned"), "%s: %s", sets, said);
    REFUSED(WORDS("nothing is learned"),
            "%s train %s --set train.lr=auto --out %s/run %s 2>&1 | grep "
            "-a lockstep:; exit ${PIPESTATUS[0]}",
            program(), config, workspace(), sets);
}

#define HIDDEN "dense: {units: 64}, relu"

/* Within an epoch; over several, with a test split, and with samples held out. */
Test(range_test, random_labels_are_refused, .fini = workspace_remove) {
    nothing_learned(classes_config(600, false, HIDDEN), "");
    nothing_learned(classes_config(600, false, HIDDEN),
                    "--set data.validation=0.3 --set data.test_inputs=none");
    nothing_learned(classes_config(16000, false, HIDDEN), "--set data.test_inputs=none");
}

Test(range_test, labels_that_follow_from_the_inputs_are_not, .fini = workspace_remove) {
    const char *const sets[] = {
        "", "--set data.validation=0.3 --set data.test_inputs=none",
        "--set model.label_smoothing=0.1 --set model.class_weights=balanced",
        "--set batch.slices=1", "--set data.test_inputs=none"};
    const char *config = classes_config(600, true, HIDDEN);
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        const char *said =
            run_well("%s find-lr %s --out %s/out %s", program(), config, workspace(), sets[i]);
        cr_expect_not_null(strstr(said, "recommended learning rate"), "%s: %s", sets[i], said);
    }
}

#define DEAD "dense: {units: 8}, sigmoid, scale: {factor: -1}, relu"

/* Behind units that are dead only the last bias learns: the best constant answer, no more and, the
 * batch being the whole set, no less. */
Test(range_test, a_network_that_cannot_learn_is_refused, .fini = workspace_remove) {
    const char *const sets[] = {
        "", "--set model.label_smoothing=0.2", "--set 'model.class_weights=[20,1,1,1]'",
        "--set 'model.class_weights=[20,1,1,1]' --set model.label_smoothing=0.2"};
    const char *config = classes_config(600, true, DEAD);
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        const char *said = run_well("%s find-lr %s --out %s/out --set batch.size=600 --set "
                                    "data.test_inputs=none --set train.momentum=0 %s",
                                    program(), config, workspace(), sets[i]);
        const char *by = strstr(said, "constant answer (by ");
        cr_assert_not_null(by, "%s", said);
        const double gain = strtod(by + strlen("constant answer (by "), NULL);
        cr_expect(gain <= 1e-6 && gain > -0.01, "%s: %g", sets[i], gain);
        cr_expect_not_null(strstr(said, "reached dense1/weight, dense1/bias, dense2/weight in any"),
                           "%s", said);
        cr_expect_null(strstr(said, "longer test"), "%s", said);
    }
}

Test(range_test, a_range_that_is_too_narrow_is_refused, .fini = workspace_remove) {
    const char *find = text("%s find-lr %s --out %s/out", program(),
                            classes_config(600, true, HIDDEN), workspace());
    const char *said = run_well("%s --set find_lr.end=1e-6", find);
    cr_expect_not_null(strstr(said, "1e-06: set find_lr.end higher"), "%s", said);
    said = run_well("%s --set find_lr.start=1e-6 --set find_lr.end=1e-3", find);
    cr_expect_not_null(strstr(said, "0.001: set find_lr.end higher"), "%s", said);
    said = run_well("%s --set find_lr.start=20 --set find_lr.end=1000", find);
    cr_expect_not_null(strstr(said, "find_lr.start"), "%s", said);
}

/* What is measured on the judge's samples too. */
Test(range_test, gains_are_the_same_bits_on_any_number_of_ranks, .fini = workspace_remove) {
    const char *config = classes_config(600, true, HIDDEN ", dropout: {rate: 0.1}, batch_norm");
    static const int ranks[] = {1, 3, 4};
    for (int i = 0; i < 3; i++)
        run_well("%s %s find-lr %s --quiet --out %s/%d --set exchange=%s", mpirun(ranks[i]),
                 program(), config, workspace(), ranks[i], ranks[i] == 4 ? "flat" : "auto");
    for (int i = 1; i < 3; i++)
        cr_expect_str_eq(digest_of(text("%s/1/find-lr.h5", workspace())),
                         digest_of(text("%s/%d/find-lr.h5", workspace(), ranks[i])));
}
