/* system tests: batches that a network cannot train on, or that are left out, and the loss of an
 * epoch. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "system/command.h"

/* A dense layer and a batch norm: one value per channel and sample. */
static const char *dense_config(void) {
    return write_file("dense.yaml", text("data: {file: %s/data.h5}\n"
                                         "train: {epochs: 2, lr: 0.05}\n"
                                         "model:\n"
                                         "  layers:\n"
                                         "    - flatten\n"
                                         "    - dense: {units: 16}\n"
                                         "    - batch_norm: {name: thin}\n"
                                         "    - relu\n"
                                         "    - dense: {units: 10}\n",
                                         workspace()));
}

Test(batches, a_norm_of_one_value_is_refused, .fini = workspace_remove) {
    make_dataset(100, 20);
    const char *config = dense_config();
#define SMALL " --set batch.size=32 --set batch.slices="
    REFUSED(WORDS("'thin'", "batch.slices 16"), "%s train %s --out %s/t" SMALL "32", program(),
            config, workspace());
    REFUSED(WORDS("'thin'", "batch.size 34"), "%s find-lr %s --out %s/t" SMALL "17", program(),
            config, workspace());
    REFUSED(WORDS("'thin'"), "%s %s bench %s" SMALL "32", mpirun(3), program(), config);
    REFUSED(WORDS("batch.size 2"), "%s train %s --out %s/t --set batch.size=1 --set batch.slices=1",
            program(), config, workspace());
    cr_expect_not(exists("%s/t/*.h5", workspace()));
    /* 100 samples are all there is of a batch of 128 */
    REFUSED(WORDS("100 samples", "batch.slices 50"), "%s train %s --out %s/t --set batch.slices=51",
            program(), config, workspace());
    run_well("%s train %s --out %s/t" SMALL "16", program(), config, workspace());
}

/* 97 samples in batches of 32: the last has one. */
Test(batches, a_short_last_batch_is_left_out, .fini = workspace_remove) {
    make_dataset(97, 20);
    const char *config = dense_config(), *digest = NULL;
    for (int ranks = 1; ranks <= 4; ranks += 3) {
        const char *said = run_well("%s %s train %s --out %s/r%d" SMALL "4", mpirun(ranks),
                                    program(), config, workspace(), ranks);
        const char *told = strstr(said, "1 sample, is left out");
        cr_assert_not_null(told, "%s", said);
        cr_expect_null(strstr(told, "warning"), "told twice: %s", said);
        const char *now = last_digest(text("%s/r%d", workspace(), ranks));
        cr_expect(digest == NULL || strcmp(digest, now) == 0, "%d ranks", ranks);
        digest = now;
    }
    cr_expect(exists("%s/r1/checkpoint-6.h5", workspace()));
    const char *shown = run_well("%s schedule %s" SMALL "4", program(), config);
    cr_expect_not_null(strstr(shown, "2 epochs of 3 steps (97 samples"), "%s", shown);
    shown = run_well("%s schedule %s --samples 97 --set data.file=none.h5" SMALL "4", program(),
                     config);
    cr_expect_not_null(strstr(shown, "warning: train may leave out the last batch"), "%s", shown);
    /* likewise with 7 samples in 4 slices, and not with 8 */
    run_well("%s train %s --out %s/seven --set batch.size=30 --set batch.slices=4", program(),
             config, workspace());
    cr_expect(exists("%s/seven/checkpoint-6.h5", workspace()));
    run_well("%s train %s --out %s/seven --resume --set batch.size=30 --set batch.slices=4",
             program(), config, workspace());
    run_well("%s train %s --out %s/nine --set batch.size=44 --set batch.slices=4", program(),
             config, workspace());
    cr_expect(exists("%s/nine/checkpoint-6.h5", workspace()));
}

Test(batches, drop_last, .fini = workspace_remove) {
    make_dataset(100, 20);
    const char *config = dense_config();
#define DROP " --set batch.size=48 --set batch.drop_last=true"
    const char *said =
        run_well("%s train %s --out %s/dropped" DROP, program(), config, workspace());
    cr_expect_not_null(strstr(said, "the last 4 of 100 samples"), "%s", said);
    cr_expect(exists("%s/dropped/checkpoint-4.h5", workspace()));
    run_well("%s train %s --out %s/dropped --resume" DROP " --set train.epochs=3", program(),
             config, workspace());
    cr_expect(exists("%s/dropped/checkpoint-6.h5", workspace()));
    cr_expect_not_null(strstr(run_well("%s schedule %s" DROP, program(), config), "2 steps"));
    REFUSED(WORDS("batch.drop_last", "100 training samples"),
            "%s train %s --out %s/t --set batch.size=128 --set batch.drop_last=true", program(),
            config, workspace());
}

Test(batches, nothing_to_train, .fini = workspace_remove) {
    make_dataset(100, 20);
    REFUSED(WORDS("frozen", "no layer to train"),
            "%s train %s --out %s/t --set frozen=dense1,dense2,thin", program(), dense_config(),
            workspace());
}

/* The mean over all samples of the epoch, whatever the sizes of its batches, also when the run was
 * stopped within it. */
Test(batches, loss_of_an_epoch, .fini = workspace_remove) {
    make_dataset(100, 20);
    const char *config = dense_config();
#define UNEVEN                                                                                     \
    " --set batch.size=48 --set batch.slices=2 --set checkpoint.every_steps=1 --set "              \
    "checkpoint.keep=9"
    const char *said = run_well("%s train %s --out %s/t" UNEVEN, program(), config, workspace());
    const char *file = text("%s/t/train.h5", workspace());
    for (int epoch = 0; epoch < 2; epoch++) {
        double sum = 0;
        const int samples[] = {48, 48, 4};
        for (int i = 0; i < 3; i++)
            sum += samples[i] *
                   atof(h5_number(text("-d /train/loss -s %d -c 1", 3 * epoch + i), file));
        double mean = atof(h5_number(text("-d /train/epoch_loss -s %d -c 1", 3 * epoch + 2), file));
        cr_expect_float_eq(mean, sum / 100, 1e-12, "%g, not %g", mean, sum / 100);
        cr_expect_not_null(strstr(said, text("  loss %.4f  ", mean)), "%s", said);
        const char *within = h5_number(text("-d /train/epoch_loss -s %d -c 1", 3 * epoch), file);
        cr_expect(isnan(atof(within)), "%s", within);
    }
    run_well("cd %s && mkdir cut && cp t/train.h5 t/checkpoint-[1-4].h5 cut", workspace());
    run_well("%s train %s --out %s/cut --resume" UNEVEN, program(), config, workspace());
    run_well("h5diff %s/cut/train.h5 %s /train/epoch_loss", workspace(), file);
}
