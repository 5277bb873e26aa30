/* system tests: the example configurations whose data a script makes, in a tiny form. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "system/command.h"

/* Trains configs/NAME.yaml, with `sets`, for an epoch on 2 ranks and on 1, and evaluates it: the
 * same bits. */
static const char *train_tiny(const char *name, const char *sets) {
    const char *out = text("%s/%s", workspace(), name);
    static const int ranks[] = {2, 1};
    for (int i = 0; i < 2; i++)
        run_well("%s %s train configs/%s.yaml --quiet --out %s-%d --set data.file=%s/data/%s.h5 "
                 "--set train.lr=0.001 --set train.epochs=1 %s",
                 mpirun(ranks[i]), program(), name, out, ranks[i], workspace(), name, sets);
    run_well("h5diff %s-1/best.h5 %s-2/best.h5 /model", out, out);
    return run_well("%s eval %s-2/best.h5", program(), out);
}

static void tells(const char *output, const char *word) {
    cr_expect(strstr(output, word), "no '%s' in: %s", word, output);
}

/* ---- diamonds ------------------------------------------------------------------------------- */

#define HEADER                                                                                     \
    "\"carat\",\"cut\",\"color\",\"clarity\",\"depth\",\"table\",\"price\",\"x\",\"y\",\"z\"\n"

/* A table like R's, of `count` rows, and one more with a dimension of 0. */
static const char *make_table(int count) {
    static const char *const cuts[] = {"Fair", "Good", "Ideal", "Very Good"};
    static char rows[100000];
    size_t length = (size_t)snprintf(rows, sizeof rows, HEADER);
    for (int i = 0; i <= count; i++) {
        double side = 4 + 0.01 * i;
        length += (size_t)snprintf(rows + length, sizeof rows - length,
                                   "%.2f,\"%s\",\"%c\",\"VS%d\",61.5,55,%d,%.2f,%.2f,%.2f\n",
                                   0.2 + 0.002 * i, cuts[i % 4], 'D' + i % 3, 1 + i % 2,
                                   300 + i * i / 20 + i % 4 * 40, i == count ? 0 : side, side,
                                   0.6 * side);
    }
    cr_assert_lt(length, sizeof rows);
    return write_file("table.csv", rows);
}

static const char *make_diamonds(const char *table) {
    run_well("mkdir -p %s/data && ln -sf $(realpath %s) %s/lockstep", workspace(), program(),
             workspace());
    return text("DIAMONDS=%s scripts/make-diamonds %s", table, workspace());
}

Test(examples, diamonds, .fini = workspace_remove) {
    const char *made = run_well("%s", make_diamonds(make_table(600)));
    tells(made, "train/inputs   float32 (540, 15)");
    tells(made, "test/targets   float32 (60)");
    tells(made, "words, 4 inputs: Fair, Good, Ideal, Very Good");
    tells(train_tiny("diamonds", ""), "samples   60\n");
}

Test(examples, diamonds_that_are_none, .fini = workspace_remove) {
    outcome absent = run("%s", make_diamonds("/nowhere.csv"));
    cr_expect_eq(absent.code, 2);
    tells(absent.output, "r-cran-ggplot2");
    outcome other = run("%s", make_diamonds(write_file("other.csv", "a,b\n1,2\n")));
    cr_expect_eq(other.code, 2);
    tells(other.output, "other.csv: columns a,b; expected carat,");
}

/* ---- fields --------------------------------------------------------------------------------- */

Test(examples, fields_3d, .fini = workspace_remove) {
    const char *python = python_with("h5py, numpy");
    if (python == NULL)
        skip_test("no h5py and numpy");
    const char *file = text("%s/data/fields-3d.h5", workspace());
    run_well("%s scripts/make-fields.py --train 64 --test 16 %s", python, file);
    tells(train_tiny("fields-3d", ""), "output 1   RMSE");
    /* A sample is the same, whatever the counts. */
    run_well("%s scripts/make-fields.py --train 3 --test 16 %s/few.h5", python, workspace());
    run_well("h5diff %s %s/few.h5 /test", file, workspace());
    cr_expect_neq(run("%s scripts/make-fields.py --train 0 %s/x.h5", python, workspace()).code, 0);
}

/* At 32^3, the least that five poolings leave something of. */
Test(examples, cosmoflow, .fini = workspace_remove) {
    const char *python = python_with("h5py, numpy");
    if (python == NULL)
        skip_test("no h5py and numpy");
    const char *file = text("%s/data/cosmoflow.h5", workspace());
    const char *make = text("%s scripts/make-cosmo --size 32", python);
    run_well("%s --train 8 --validation 4 %s", make, file);
    tells(run_well("%s schedule configs/cosmoflow.yaml --set data.file=%s --set batch.size=1 "
                   "--set batch.slices=1 --set train.lr_reference_batch=1",
                   program(), file),
          "highest      0.001 at step 32");
    tells(train_tiny("cosmoflow", "--set batch.size=4 --set batch.slices=4 "
                                  "--set schedule.kind=constant --set schedule.warmup_epochs=0 "
                                  "--set data.test_inputs=validation/inputs "
                                  "--set data.test_targets=validation/targets"),
          "output 3   RMSE");
    run_well("%s --train 2 --validation 4 %s/few.h5", make, workspace());
    run_well("h5diff %s %s/few.h5 /validation", file, workspace());
    cr_expect_neq(run("%s --size 0 %s/x.h5", make, workspace()).code, 0);
}
