/* system tests: what a run may go on with and what not, and that only the checkpoints decide: not
 * the file of the curves. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "system/command.h"

#define TRAINING "--set train.lr=0.05 --set train.epochs=3 --set checkpoint.every_steps=5 "

/* A run of 3 epochs of 11 steps in folder `name`, and the folder. */
static const char *train(const char *name, const char *options) {
    const char *out = text("%s/%s", workspace(), name);
    run_well("%s train %s --quiet --out %s " TRAINING "%s", program(), make_config(), out, options);
    return out;
}

static outcome resume(int ranks, const char *out, const char *options) {
    return run("%s %s train %s --resume --out %s " TRAINING "%s", mpirun(ranks), program(),
               make_config(), out, options);
}

static const char *sums(const char *folder) {
    return run_well("cd %s && md5sum *.h5", folder);
}

static void expect(outcome result, int code, const char *words) {
    cr_expect_eq(result.code, code, "%d: %s", result.code, result.output);
    cr_expect_not_null(strstr(result.output, words), "no '%s' in: %s", words, result.output);
}

/* ---- another run ---------------------------------------------------------------------------- */

Test(resume, as_another_run, .fini = workspace_remove) {
    static const char *const changes[][2] = {
        {"seed=8", "seed is 8, was 7"},
        {"data.normalize=false", "data.normalize is false, was true"},
        {"data.shuffle=false", "data.shuffle is false, was true"},
        {"train.momentum=0.5", "train.momentum is 0.5, was 0.9"},
        {"train.nesterov=true", "train.nesterov is true, was false"},
        {"train.weight_decay=0.1", "train.weight_decay is 0.1, was 0"},
        {"train.decay_all=true", "train.decay_all"},
        {"train.clip_norm=1", "train.clip_norm is 1, was 0"},
        {"model.label_smoothing=0.1", "model.label_smoothing is 0.1, was 0"},
        {"model.class_weights=balanced", "model.class_weights is balanced, was none"},
        {"data.validation=0.1", "data.validation is 0.1, was 0"},
        {"augment.flip=true", "augment.flip is true, was false"},
        {"batch.size=48", "batch.size is 48, was 96"},
        {"batch.slices=4", "batch.slices is 4, was 8"},
        {"batch.drop_last=true", "batch.drop_last"},
        {"exchange_sum=float32", "exchange_sum is float32, was fixed"},
        {"frozen=dense1", "frozen is dense1, was none"},
    };
    make_dataset(1000, 100);
    const char *out = train("out", "--set train.epochs=2"), *before = sums(out);
    enum { COUNT = sizeof changes / sizeof *changes, TOGETHER = 6 };
    for (int first = 0; first < COUNT; first += TOGETHER) {
        const char *sets = "";
        for (int i = first; i < first + TOGETHER && i < COUNT; i++)
            sets = text("%s --set %s", sets, changes[i][0]);
        outcome result = resume(first == TOGETHER ? 3 : 1, out, sets);
        for (int i = first; i < first + TOGETHER && i < COUNT; i++)
            expect(result, 2, changes[i][1]);
        expect(result, 2, "--allow-changes");
    }
    cr_expect_str_eq(sums(out), before);
    expect(resume(2, out, "--set train.momentum=0.5 --set train.nesterov=true --allow-changes"), 0,
           "going on as another run: train.momentum is 0.5, was 0.9; train.nesterov is true");
}

Test(resume, with_another_model, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *out = train("out", "--set train.epochs=2");
    const char *config = make_config();
    run_well("sed 's/    - relu$/    - tanh/' %s >%s/tanh.yaml; "
             "sed 's/    - flatten/    - relu\\n    - conv: {filters: 4, kernel: 1}\\n&/' %s "
             ">%s/deep.yaml",
             config, workspace(), config, workspace());
    REFUSED(WORDS("model.layers is tanh: "), "%s train %s/tanh.yaml --resume --out %s " TRAINING,
            program(), workspace(), out);
    REFUSED(WORDS("model.layers is "), "%s train %s/deep.yaml --resume --out %s " TRAINING,
            program(), workspace(), out);
}

/* As many samples, of the same shape; and the same ones in another file. */
Test(resume, with_other_data, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *out = train("out", "--set train.epochs=2");
    run_well("cp %s/data.h5 %s/same.h5", workspace(), workspace());
    make_idx("train", "t10k", 1000);
    run_well("%s convert --train-inputs %s/train-images --train-targets %s/train-labels "
             "--test-inputs %s/test-images --test-targets %s/test-labels -o %s/other.h5",
             program(), workspace(), workspace(), workspace(), workspace(), workspace());
    expect(resume(2, out, text("--set data.file=%s/other.h5", workspace())), 2,
           "the training data's samples of each class is ");
    make_dataset(1010, 100);
    expect(resume(1, out, ""), 2, "the training data's samples is 1010, was 1000");
    expect(resume(2, out, text("--set data.file=%s/same.h5", workspace())), 0, "going on from ");
}

/* ---- another schedule ----------------------------------------------------------------------- */

Test(resume, with_another_schedule, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *out = train("out", "");
    expect(resume(1, out, "--set train.epochs=2"), 2,
           "step 33, after the last one of train.epochs 2, 22");
    expect(resume(1, out, ""), 0, "is finished: all 3 epochs are done");
    outcome longer = resume(1, out, "--set train.epochs=6");
    expect(longer, 0, "train.epochs is 6, was 3");
    expect(longer, 0,
           "the learning rate of step 33 is 0.005, where it was to end; the run ends at "
           "step 66, was 33");
    expect(longer, 0, "the learning rate rises again, from 0.0005 to 0.005");
    cr_expect_null(strstr(longer.output, "lost"), "%s", longer.output);
    outcome lower = resume(1, out, "--set train.epochs=7 --set train.lr=0.01");
    expect(lower, 0, "train.lr is 0.01, was 0.05");
    double lr = atof(h5_number("-d /train/lr -s 66 -c 1", text("%s/train.h5", out)));
    cr_expect_float_eq(lr, 1e-4, 1e-12, "%g", lr); /* 0.01, decayed after epochs 3 and 6 */
}

Test(resume, with_other_bits_to_come, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *out = train("out", "--set train.epochs=2 --set compute.isa=avx2");
    expect(resume(1, out, "--set compute.isa=sse41"), 0,
           "instruction set is sse41, was avx2: from here on the bits may differ");
}

Test(resume, with_other_threads, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *one = train("one", "--set train.epochs=2");
    const char *out = train("out", "--set train.epochs=2");
    expect(resume(1, one, "--set train.epochs=4"), 0, "train.epochs is 4, was 2");
    outcome longer = resume(1, out, "--set train.epochs=4 --set compute.threads=3");
    expect(longer, 0, "train.epochs is 4, was 2");
    cr_expect_null(strstr(longer.output, "bits"), "%s", longer.output);
    cr_expect_str_eq(last_digest(out), last_digest(one));
}

/* ---- the file of the curves ----------------------------------------------------------------- */

Test(resume, without_the_curves, .fini = workspace_remove) {
    static const char *const damage[] = {
        "rm train.h5",
        "truncate -s 1000 train.h5",
        "truncate -s 0 train.h5",
        "truncate -s $(stat -c %s train.h5) zeros && cp zeros train.h5 && rm zeros",
        "dd if=/dev/zero of=train.h5 bs=4096 count=1 conv=notrunc",
        "dd if=/dev/zero of=train.h5 bs=1 seek=20000 count=3000 conv=notrunc",
        "cp ../other/train.h5 train.h5",
    };
    make_dataset(1000, 100);
    const char *whole = train("whole", "");
    train("other", "--set seed=9");
    train("half", "--set train.epochs=2");
    for (size_t i = 0; i < sizeof damage / sizeof *damage; i++) {
        run_well("cp -r %s/half %s/part", workspace(), workspace());
        run_well("cd %s/part && %s", workspace(), damage[i]);
        const char *out = text("%s/part", workspace());
        outcome result = resume(i == 1 ? 2 : 1, out, "");
        cr_expect_eq(result.code, 0, "%s: %d: %s", damage[i], result.code, result.output);
        cr_expect_not_null(strstr(result.output, "first 22 steps are lost"), "%s: %s", damage[i],
                           result.output);
        cr_expect_str_eq(last_digest(out), last_digest(whole), "%s", damage[i]);
        const char *file = text("%s/train.h5", out);
        cr_expect(isnan(atof(h5_number("-d /train/loss -s 21 -c 1", file))), "%s", damage[i]);
        cr_expect_eq(atof(h5_number("-d /train/loss -s 22 -c 1", file)),
                     atof(h5_number("-d /train/loss -s 22 -c 1", text("%s/train.h5", whole))));
        cr_expect_eq(exists("%s/train-before-22.h5", out), i > 0, "%s", damage[i]);
        run_well("rm -r %s", out);
    }
}
