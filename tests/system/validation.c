/* system tests: the split that chooses: held out or given, the best weights by it, early ends, and
 * weights of the classes. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "system/command.h"

/* A number that the output of a run has after `words`. */
static double after(const char *output, const char *words) {
    const char *at = strstr(output, words);
    cr_assert_not_null(at, "no '%s' in: %s", words, output);
    return atof(at + strlen(words));
}

static const char *train_as(int ranks, const char *config, const char *name, const char *options) {
    return run_well("%s %s train %s --out %s/%s --set train.lr=0.02 %s 2>&1", mpirun(ranks),
                    program(), config, workspace(), name, options);
}

static const char *train(int ranks, const char *name, const char *options) {
    return train_as(ranks, make_config(), name, options);
}

/* How many rows of a series are numbers. */
static int rows(const char *name, const char *series) {
    return atoi(
        run_well("h5dump -A 0 -y -w 1 -d /train/%s %s/%s/train.h5 | grep -cE '^ +[0-9.e-]+,?$'",
                 series, workspace(), name));
}

/* A share of the training samples: the same run on any number of ranks, the test split seen once,
 * at the end. */
Test(validation, a_share_is_held_out, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *options = "--set data.validation=0.25 --set train.epochs=3";
    const char *said = train(1, "one", options);
    cr_expect_not_null(strstr(said, "750 training samples"), "%s", said);
    cr_expect_not_null(strstr(said, "validation loss "), "%s", said);
    train(3, "three", options);
    cr_expect_str_eq(last_digest(text("%s/three", workspace())),
                     last_digest(text("%s/one", workspace())));
    cr_expect_str_eq(digest_of(text("%s/three/train.h5", workspace())),
                     digest_of(text("%s/one/train.h5", workspace())));
    cr_expect_eq(rows("one", "validation_accuracy"), 3);
    cr_expect_eq(rows("one", "test_accuracy"), 1);
    said = run_well("%s plot %s/one/train.h5", program(), workspace());
    cr_expect_not_null(strstr(said, "  validation accuracy 0."), "%s", said);
    said = train(2, "whole", "--set train.epochs=1");
    cr_expect_null(strstr(said, "validation"), "%s", said);
    cr_expect_str_neq(last_digest(text("%s/whole", workspace())),
                      last_digest(text("%s/one", workspace())));
    said = run_well("%s schedule %s --set data.validation=0.25", program(), make_config());
    cr_expect_not_null(strstr(said, "(750 samples, batch 96)"), "%s", said);
    REFUSED(WORDS("data.validation is 0.2, was 0.25"),
            "%s train %s --resume --out %s/one --set train.lr=0.02 --set data.validation=0.2",
            program(), make_config(), workspace());
}

/* Datasets of their own, here those of the test split: the same scores. */
Test(validation, datasets_of_its_own, .fini = workspace_remove) {
    make_dataset(600, 200);
    const char *said = train(2, "own",
                             "--set data.validation_inputs=test/inputs --set train.epochs=2 "
                             "--set data.validation_targets=test/targets");
    cr_expect_not_null(strstr(said, "600 training samples"), "%s", said);
    const char *last = strstr(said, " steps; ");
    cr_assert_not_null(last, "%s", said);
    cr_expect_eq(after(last, "validation loss "), after(last, "test loss "));
    said = train(1, "test", "--set train.epochs=2");
    cr_expect_eq(after(strstr(said, " steps; "), "test loss "), after(last, "test loss "));
    REFUSED(WORDS("validation split", "nothing"),
            "%s train %s --out %s/no --set data.validation_inputs=nothing "
            "--set data.validation_targets=test/targets",
            program(), make_config(), workspace());
}

/* With a learning rate that changes nothing there is no progress; the run has ended, and goes on
 * when it is to wait longer. */
Test(validation, no_progress, .fini = workspace_remove) {
    make_dataset(500, 100);
    const char *config =
        write_file("plain.yaml", text("data: {file: %s/data.h5}\nbatch: {size: 100}\n"
                                      "model: {layers: [flatten, dense: {units: 10}]}\n",
                                      workspace()));
    const char *still = "--set data.validation=0.2 --set train.epochs=9 --set train.lr=1e-30 ";
    const char *said = train_as(2, config, "run", text("%s --set train.stop_after=2", still));
    cr_expect_not_null(strstr(said, "ended early: no progress in train.stop_after epochs"), "%s",
                       said);
    cr_expect_not_null(strstr(said, "epoch 3/9"), "%s", said);
    cr_expect_null(strstr(said, "epoch 4/9"), "%s", said);
    cr_expect_not_null(strstr(said, ", epoch 1)"), "%s", said);
    cr_expect_eq(rows("run", "test_loss"), 1);
    said = train_as(1, config, "run", text("%s --set train.stop_after=2 --resume", still));
    cr_expect_not_null(strstr(said, "is finished (no_progress): another train.stop_after"), "%s",
                       said);
    cr_expect_null(strstr(said, "epoch 4/9"), "%s", said);
    said = train_as(1, config, "run", text("%s --set train.stop_after=4 --resume", still));
    cr_expect_not_null(strstr(said, "epoch 5/9"), "%s", said);
    cr_expect_null(strstr(said, "epoch 6/9"), "%s", said);
    train_as(2, config, "whole", text("%s --set train.stop_after=4", still));
    cr_expect_str_eq(last_digest(text("%s/whole", workspace())),
                     last_digest(text("%s/run", workspace())));
    REFUSED(WORDS("train.stop_after needs a validation or a test split"),
            "%s train %s --out %s/no --set data.test_inputs=none --set train.stop_after=1",
            program(), config, workspace());
}

Test(validation, a_target, .fini = workspace_remove) {
    make_dataset(500, 100);
    const char *said = train(2, "run", "--set train.epochs=9 --set 'train.target=accuracy 0.05'");
    cr_expect_not_null(strstr(said, "ended early: train.target is reached"), "%s", said);
    cr_expect_null(strstr(said, "epoch 2/9"), "%s", said);
    said = train(1, "run", "--set train.epochs=9 --set 'train.target=accuracy 0.05' --resume");
    cr_expect_not_null(strstr(said, "is finished (target)"), "%s", said);
    said = train(1, "never", "--set train.epochs=2 --set 'train.target=loss 1e-9'");
    cr_expect_null(strstr(said, "ended early"), "%s", said);
}

/* best.h5 is the one that the validation split prefers. */
Test(validation, best_by_it, .fini = workspace_remove) {
    make_dataset(1000, 300);
    const char *said = train(2, "run",
                             "--set data.validation=0.3 --set train.epochs=5 "
                             "--set schedule.kind=constant --set train.lr=0.1");
    double best = -1;
    for (const char *at = said; (at = strstr(at, "validation loss ")) != NULL; at++) {
        const double accuracy = after(at, "accuracy ");
        best = accuracy > best ? accuracy : best;
    }
    cr_expect_eq(after(said, "(best "), best, "%s", said);
    const char *number = h5_number("-a /state/best", text("%s/run/best.h5", workspace()));
    cr_expect_float_eq(100 * atof(number), best, 0.006);
}

/* Of an imbalanced set, balanced weights raise what the rare classes get; the loss that eval shows
 * is the one that was trained on, from the checkpoint alone. */
Test(validation, class_weights, .fini = workspace_remove) {
    const char *python = python_with("h5py");
    if (!python)
        skip_test("no h5py");
    make_dataset(3000, 1000);
    run_well("cd %s && %s -c 'import h5py, numpy as np\nf = h5py.File(\"data.h5\", \"r+\")\n"
             "t = f[\"train/targets\"][:]\nkeep = (t < 5) | (np.arange(len(t)) %% 25 == 0)\n"
             "for n in (\"inputs\", \"targets\"):\n"
             " x = f[\"train/\" + n][:][keep]\n del f[\"train/\" + n]\n"
             " f[\"train/\" + n] = x'",
             workspace(), python);
    const char *options = "--set train.epochs=4 --set model.class_weights=";
    train(2, "plain", text("%snone", options));
    train(2, "balanced", text("%sbalanced", options));
    const char *plain = run_well("%s eval %s/plain/best.h5", program(), workspace());
    const char *balanced = run_well("%s eval %s/balanced/best.h5", program(), workspace());
    cr_expect_gt(after(balanced, "balanced "), after(plain, "balanced ") + 0.03, "%s%s", plain,
                 balanced);
    run_well("cd %s && %s -c 'import h5py\ndel h5py.File(\"data.h5\", \"r+\")[\"train\"]'",
             workspace(), python);
    cr_expect_str_eq(run_well("%s %s eval %s/balanced/best.h5", mpirun(3), program(), workspace()),
                     balanced);
    REFUSED(WORDS("model.class_weights has 3 values", "each of the 10"),
            "%s train %s --out %s/no --set model.class_weights=[1,2,3] "
            "--set data.train_inputs=test/inputs --set data.train_targets=test/targets",
            program(), make_config(), workspace());
}
