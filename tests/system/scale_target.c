/* system tests: scaling studies with a target: the steps to it, and the time that follows. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "system/command.h"
#include "system/json.h"

#define STUDY "--repeats 2 --steps 3 --set train.epochs=6 --set train.lr=0.02"

static void expect(const char *output, const char *words) {
    cr_expect_not_null(strstr(output, words), "no '%s' in: %s", words, output);
}

/* What a study into folder `out` on two ranks says; its JSON in out.json. */
static const char *study(const char *options) {
    return run_well("%s %s scale %s --out %s/out --json %s/out.json " STUDY " %s", mpirun(2),
                    program(), make_config(), workspace(), workspace(), options);
}

static const char *json(void) {
    const char *all = run_well("cat %s/out.json", workspace());
    json_check(all);
    return all;
}

/* Steps of `lockstep train` with the same end. */
static double steps_of_training(const char *options) {
    const char *said = run_well("%s train %s --quiet --out %s/plain --set train.epochs=6 "
                                "--set train.target='accuracy 0.3' %s",
                                program(), make_config(), workspace(), options);
    run_well("mv %s/plain %s/plain-before", workspace(), workspace());
    return atof(said);
}

/* Strong: one training for all sizes.  Weak: one each, with its batch and learning rate. */
Test(scale_target, strong_and_weak, .fini = workspace_remove) {
    const char *options = "--mode strong,weak --target accuracy=0.3 --lr linear";
    make_dataset(2000, 200);
    const char *said = study(options), *all = json_find(json(), "points");
    expect(said, "time to accuracy 0.3, --lr linear");
    expect(said, "strong, 2 ranks on 1 node: reached it in ");
    cr_expect_null(strstr(said, "strong, 1 rank on 1 node: reached"), "%s", said);
    expect(said, "weak, 1 rank on 1 node: reached it in ");
    double steps = steps_of_training("--set train.lr=0.02");
    run_well("rm -r %s/plain-before", workspace());
    const double expected[] = {steps, steps, steps,
                               steps_of_training("--set train.lr=0.04 --set batch.size=192 "
                                                 "--set batch.slices=16")};
    const double rates[] = {0.02, 0.02, 0.02, 0.04};
    int count = 0;
    for (const char *point = json_next(all, NULL); point; point = json_next(all, point), count++) {
        double taken = json_number(point, "training.steps");
        cr_assert_lt(count, 4);
        cr_expect_eq(json_number(point, "training.reached"), 1);
        cr_expect_eq(taken, expected[count], "%g, not %g", taken, expected[count]);
        cr_expect_float_eq(json_number(point, "training.learning_rate"), rates[count], 1e-9);
        cr_expect_eq(json_number(point, "training.samples"),
                     2000 * json_number(point, "training.epochs"));
        cr_expect_float_eq(json_number(point, "training.seconds") /
                               (taken * json_number(point, "step_seconds.median")),
                           1, 1e-6);
    }
    cr_expect_eq(count, 4);
    /* What was trained once is not trained again. */
    const char *before = json(), *again = study(options);
    cr_expect_null(strstr(again, "training to"), "%s", again);
    cr_expect_str_eq(json(), before);
    REFUSED(WORDS("accuracy 0.3", "--lr linear", "--out"),
            "%s %s scale %s --out %s/out " STUDY " --target accuracy=0.4 --lr linear", mpirun(2),
            program(), make_config(), workspace());
}

/* A target is added to what was measured, with a range test for the batch; and missed. */
Test(scale_target, not_reached, .fini = workspace_remove) {
    make_dataset(1000, 100);
    study("--ranks 2");
    cr_expect_eq(
        strncmp(json_find(json_next(json_find(json(), "points"), NULL), "training.reached"), "null",
                4),
        0);
    const char *said = run_well("%s %s scale %s --out %s/out " STUDY
                                " --ranks 2 --target loss=1e-9 --csv %s/a.csv --lr fixed",
                                mpirun(2), program(), make_config(), workspace(), workspace());
    cr_expect_null(strstr(said, "measured"), "%s", said);
    expect(said, "strong, 2 ranks on 1 node: did not reach it in 6 epochs");
    expect(said, "  not reached\n");
    expect(said, "no size reached it");
    expect(run_well("tail -1 %s/a.csv", workspace()), ",yes,0,66,6,6000,0.02,\n");
}

/* A learning rate that the few steps of a repeat bear, and a training does not. */
Test(scale_target, diverged, .fini = workspace_remove) {
    make_dataset(2000, 100);
    const char *config = write_file("plain.yaml", text("data: {file: %s/data.h5}\n"
                                                       "batch: {size: 96, slices: 8}\n"
                                                       "train: {lr: 30, epochs: 4}\n"
                                                       "model: {layers: [flatten, dense: {units: "
                                                       "32}, relu, dense: {units: 10}]}\n",
                                                       workspace()));
    const char *command = text("%s scale %s --out %s/out --repeats 1 --steps 1 --lr fixed "
                               "--target accuracy=0.3",
                               program(), config, workspace());
    const char *said = run_well("%s", command);
    expect(said, "warning: the loss is not a number at step ");
    expect(said, "strong, 1 rank on 1 node: diverged, and did not reach it\n");
    expect(said, "  not reached: diverged\n");
    expect(said, "no size reached it: a smaller train.lr, or --lr auto\n");
    cr_expect_null(strstr(run_well("%s", command), "warning"), "it is not trained again");
}

/* A rank is killed, and the target is out of reach: the same bits as a training that nobody killed.
 */
Test(scale_target, killed_in_training, .fini = workspace_remove) {
    make_dataset(2000, 100);
    const char *config = make_config(), *folder = workspace();
    const char *study =
        text("scale %s --out %s/out " STUDY
             " --ranks 2 --target loss=1e-9 --lr fixed --set checkpoint.every_steps=5",
             config, folder);
    outcome result =
        run("%s bash -c 'echo $$ >%s/pid-${OMPI_COMM_WORLD_RANK:-$PMI_RANK}; exec \"$@\"' - %s "
            "%s & job=$!\n"
            "until ls %s/out/train-strong/checkpoint-*; do\n"
            "  kill -0 $job || break; sleep 0.02\n"
            "done >/dev/null 2>&1\n"
            "kill -KILL $(cat %s/pid-1); wait $job; echo \"ended with $?\"\n",
            mpirun(2), folder, program(), study, folder, folder);
    cr_expect_null(strstr(result.output, "ended with 0"), "%s", result.output);
    cr_expect_null(strstr(result.output, "did not reach it"), "%s", result.output);
    const char *said = run_well("%s %s %s", mpirun(2), program(), study);
    expect(said, "going on from ");
    expect(said, "did not reach it in 6 epochs");
    run_well("%s train %s --quiet --out %s/plain --set train.epochs=6 --set train.lr=0.02 "
             "--set train.target='loss 1e-9'",
             program(), config, folder);
    cr_expect_str_eq(digest_of(text("%s/out/train-strong/train.h5", folder)),
                     digest_of(text("%s/plain/train.h5", folder)));
}

/* ---- a job for each size -------------------------------------------------------------------- */

/* A study on `ranks` ranks alone into folder size-RANKS; --base 1 and 3 steps are those of all. */
static const char *study_of_size(int ranks, const char *options) {
    return run_well("%s %s scale %s --out %s/size-%d --ranks %d --base 1 " STUDY " %s",
                    mpirun(ranks), program(), make_config(), workspace(), ranks, ranks, options);
}

static const char *training_value(const char *points, int i, const char *name) {
    return json_find(points, text("%d.training.%s", i, name));
}

/* Strong is trained on the largest size alone, weak on both, and what is missing afterwards. */
Test(scale_target, joined, .fini = workspace_remove) {
    const char *folder = workspace(), *target = "--target accuracy=0.3 --lr linear";
    make_dataset(2000, 200);
    study_of_size(1, "--mode strong,weak");
    study_of_size(2, text("--mode strong,weak %s", target));
    const char *said = run_well("%s scale --join %s/size-*/scale.h5 --out %s/out --json "
                                "%s/out.json",
                                program(), folder, folder, folder);
    const char *points = json_find(json(), "points");
    expect(said, "time to accuracy 0.3, --lr linear");
    cr_expect_eq(json_number(points, "0.training.reached"), 1, "%s", said);
    cr_expect_eq(json_number(points, "0.training.steps"), json_number(points, "1.training.steps"));
    cr_expect_eq(strncmp(training_value(points, 2, "reached"), "null", 4), 0, "%s", said);
    cr_expect_eq(json_number(points, "3.training.learning_rate"), 0.04, "%s", said);
    /* The joined study goes on. */
    said = study(text("--mode strong,weak --ranks 1,2 --base 1 %s", target));
    expect(said, "weak, 1 rank on 1 node: reached it in ");
    cr_expect_null(strstr(said, "strong, 2 ranks on 1 node: reached"), "%s", said);
    cr_expect_null(strstr(said, "measured"), "%s", said);
    /* The same training twice is one. */
    study_of_size(1, text("--mode strong,weak %s", target));
    said = run_well("%s scale --join %s/size-*/scale.h5 --out %s/twice --json %s/twice.json",
                    program(), folder, folder, folder);
    cr_expect_str_eq(digest_of(text("%s/twice/scale.h5", folder)),
                     digest_of(text("%s/out/scale.h5", folder)));
    const char *all = run_well("cat %s/twice.json", folder);
    for (int i = 0; i < 4; i++)
        cr_expect_eq(json_number(all, text("points.%d.training.steps", i)),
                     json_number(json(), text("points.%d.training.steps", i)));
}

Test(scale_target, joined_of_several_targets, .fini = workspace_remove) {
    const char *folder = workspace();
    make_dataset(1000, 100);
    study_of_size(1, "--target loss=3 --lr fixed");
    study_of_size(2, "--target loss=2.9 --lr fixed");
    REFUSED(WORDS("size-1/scale.h5", "loss 3 with --lr fixed", "size-2/scale.h5",
                  "loss 2.9 with --lr fixed"),
            "%s scale --join %s/size-*/scale.h5 --out %s/x", program(), folder, folder);
    REFUSED(WORDS("--target", "--join"),
            "%s scale --join %s/size-*/scale.h5 --out %s/x --target loss=3", program(), folder,
            folder);
    cr_expect_not(exists("%s/x/*", folder));
}

/* From row `first` of the file on the gradient is far below its noise: no window with one has a
 * scale. */
static void drown(const char *python, const char *file, int first) {
    run_well("%s -c 'import h5py\n"
             "with h5py.File(\"%s\", \"r+\") as file:\n"
             "    file[\"noise/gradient_square\"][%d:] = -1e9'",
             python, file, first);
}

/* 30 steps are windows of 10, each a step on from the one before. */
Test(scale_target, last_noise_scale, .fini = workspace_remove) {
    const char *folder = workspace(), *python = python_with("h5py");
    if (python == NULL)
        skip_test("no h5py");
    make_dataset(2000, 200);
    const char *config = write_file("plain.yaml", text("data: {file: %s/data.h5}\n"
                                                       "batch: {size: 96, slices: 8}\n"
                                                       "train: {lr: 0.02, epochs: 2}\n"
                                                       "model: {layers: [flatten, dense: {units: "
                                                       "10}]}\n",
                                                       folder));
    const char *file = text("%s/noise.h5", folder),
               *command = text("%s scale %s --repeats 1 --steps 1 --lr fixed --target loss=2 "
                               "--noise %s --out %s/",
                               program(), config, file, folder);
    run_well("%s noise %s --quiet --out %s --steps 30", program(), config, folder);
    const char *said = run_well("%sall", command);
    expect(said, "noise.h5: noise scale ");
    expect(said, ", of steps 21 to 30 of 30\n");
    drown(python, file, 24);
    expect(run_well("%scut", command),
           ", of steps 15 to 24 of 30; later the gradient is within its noise\n");
    double scale = atof(h5_number("-a /scale/noise_scale", text("%s/cut/scale.h5", folder))),
           expected = atof(h5_number("-d /noise/noise_scale -s 23 -c 1", file));
    cr_expect_float_eq(scale, expected, 1e-6 * expected, "%g, not %g", scale, expected);
    drown(python, file, 0);
    REFUSED(WORDS("noise.h5", "in all its steps", "lockstep noise"), "%snone", command);
}

Test(scale_target, refusals, .fini = workspace_remove) {
    make_dataset(500, 100);
#define REFUSES(words, options)                                                                    \
    REFUSED(WORDS words, "%s scale %s --out %s/out %s", program(), make_config(), workspace(),     \
            options)
    REFUSES(("--target", "'accuracy:0.9'", "accuracy=0.9"), "--target accuracy:0.9");
    REFUSES(("--lr", "did you mean 'linear'?"), "--target accuracy=0.9 --lr linea");
    REFUSES(("--lr", "needs --target"), "--lr linear");
    REFUSES(("train.lr", "auto", "--lr linear"),
            "--target accuracy=0.9 --lr linear --set train.lr=auto");
    REFUSES(("train.target", "r2"), "--target r2=0.9");
    REFUSES(("nowhere.h5"), "--target accuracy=0.9 --noise nowhere.h5");
    cr_expect_not(exists("%s/out/scale.h5", workspace()));
}
