/* system tests: training gives the same bits on any layout, killed and resumed on any rank
 * count, with the range test before it or not; it stops when asked to, and says so. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "system/command.h"

enum { KILLS = 8 };

#define TRAINING                                                                                   \
    "--set train.lr=0.05 --set train.epochs=3 --set train.weight_decay=1e-4 "                      \
    "--set train.clip_norm=2 --set augment.crop_padding=2 --set augment.flip=true "                \
    "--set schedule.kind=cosine --set checkpoint.every_steps=5"

/* Trains into folder `name` of the workspace and returns the folder. */
static const char *train(const char *name, int ranks, const char *options) {
    const char *out = text("%s/%s", workspace(), name);
    run_well("%s %s train %s --quiet --out %s " TRAINING " %s", mpirun(ranks), program(),
             make_config(), out, options);
    return out;
}

static void same_curves(const char *one, const char *other) {
    static const char *const series[] = {
        "lr", "loss", "smoothed_loss", "gradient_norm", "test_loss", "test_accuracy"};
    const char *diffs = "";
    for (size_t i = 0; i < sizeof series / sizeof *series; i++)
        diffs =
            text("%sh5diff -v %s/train.h5 %s/train.h5 /train/%s && ", diffs, one, other, series[i]);
    run_well("%strue", diffs);
}

Test(training, same_bits_at_any_rank_count, .fini = workspace_remove) {
    static const int ranks[] = {5, 8};
    make_dataset(1000, 100);
    const char *one = train("alone", 1, "");
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++) {
        const char *other = train(text("ranks-%d", ranks[i]), ranks[i], "");
        cr_expect_str_eq(last_digest(one), last_digest(other), "%d ranks", ranks[i]);
        same_curves(one, other);
    }
    cr_expect_str_eq(last_digest(one), last_digest(train("flat", 3, "--set exchange=flat")));
}

/* With its own range test, and stopped on three ranks and resumed on two. */
Test(training, other_optimizers, .fini = workspace_remove) {
    static const char *const optimizers[] = {"adamw", "lars"};
    make_dataset(1000, 100);
    for (size_t i = 0; i < sizeof optimizers / sizeof *optimizers; i++) {
        const char *set = text("--set train.optimizer=%s --set train.trust=0.02 --set "
                               "train.lr=auto --set find_lr.steps=100 --set find_lr.end=30",
                               optimizers[i]);
        const char *one = train(text("one-%s", optimizers[i]), 1, set);
        const char *out = text("%s/cut-%s", workspace(), optimizers[i]);
        const char *run_it = text("train %s --resume --quiet --out %s " TRAINING " %s "
                                  "--set checkpoint.every_steps=7",
                                  make_config(), out, set);
        run_well("%s %s %s", mpirun(3), program(), run_it);
        run_well("cd %s && rm $(ls checkpoint-*.h5 | sort -V | tail -n 1) best.h5", out);
        run_well("%s %s %s", mpirun(2), program(), run_it);
        cr_expect_str_eq(last_digest(one), last_digest(out), "%s, resumed", optimizers[i]);
    }
}

/* What train prints at its end is what `info --digest` finds in its last checkpoint. */
Test(training, the_printed_digest, .fini = workspace_remove) {
    static const char *const ends[] = {"", "--set batch.size=64"};
    make_dataset(300, 50);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const char *said = run_well("%s %s train %s --out %s/run-%zu " TRAINING " %s 2>&1",
                                    mpirun(2), program(), make_config(), workspace(), i, ends[i]);
        const char *digest = strstr(said, "\ndigest ");
        cr_assert_not_null(digest, "%s", said);
        cr_expect(strncmp(digest + strlen("\ndigest "),
                          last_digest(text("%s/run-%zu", workspace(), i)), 32) == 0,
                  "%s", said);
    }
}

/* SIGKILL to all ranks at random moments, most of them after the run has left another checkpoint,
 * resumed each time on another rank count, with inputs in memory, streamed or, though here on a
 * single node, spread. */
Test(training, killed_and_resumed, .fini = workspace_remove) {
    make_dataset(15000, 100); /* 471 steps */
    const char *one = train("whole", 1, "");
    const char *out = text("%s/killed", workspace());
    static const char *const residences[] = {"node", "stream", "spread"};
    srand(7);
    for (int i = 0; i < KILLS; i++) {
        bool starts = i % 4 == 3; /* every fourth is killed while it starts */
        run("newest() { ls %s/checkpoint-*.h5 2>/dev/null | sort -V | tail -n 1; }; "
            "before=$(newest); %s %s train %s --resume --out %s --set data.residence=%s " TRAINING
            " >>%s/log 2>&1 & "
            "job=$!; %s || while [ \"$(newest)\" = \"$before\" ] && kill -0 $job; do "
            "sleep 0.1; done; "
            "sleep 0.%03d; pkill -KILL -f '^%s train .*%s'; kill -KILL $job; wait $job 2>/dev/null",
            out, mpirun(1 + rand() % 5), program(), make_config(), out, residences[i % 3],
            workspace(), starts ? "true" : "false", rand() % 150, program(), out);
    }
    run_well("%s %s train %s --resume --out %s " TRAINING " >>%s/log 2>&1", mpirun(2), program(),
             make_config(), out, workspace());
    const char *resumed = run_well("grep 'going on from /' %s/log | sort -u | wc -l", workspace());
    cr_expect_geq(atoi(resumed), KILLS / 4, "resumed from %s places only", resumed);
    cr_expect_str_eq(last_digest(one), last_digest(out));
    same_curves(one, out);
}

/* train.lr: auto is the range test's number given. */
Test(training, auto_equals_the_number, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *found = train("auto", 2, "--set train.lr=auto --set find_lr.steps=100");
    const char *lr = run_well("%s suggest --plain %s/find-lr.h5 | sed -n 's/^recommended //p'",
                              program(), found);
    const char *number = h5_number("-a /train/base_lr", text("%s/train.h5", found));
    cr_assert_float_eq(atof(number), atof(lr), 1e-8 * atof(lr));
    cr_expect_str_eq(last_digest(found),
                     last_digest(train("number", 3, text("--set train.lr=%s", number))));
}

/* ---- damaged checkpoints -------------------------------------------------------------------- */

enum { FLIPS = 200, DAMAGES = 6 };

/* Cuts a file at a random place, or changes 200 of its bytes. */
static void damage(const char *path, bool cut) {
    FILE *file = fopen(path, "r+b");
    cr_assert_not_null(file, "no %s", path);
    fseek(file, 0, SEEK_END);
    long bytes = ftell(file);
    if (cut)
        cr_assert_eq(ftruncate(fileno(file), rand() % bytes), 0);
    for (int i = 0; i < FLIPS && !cut; i++) {
        long at = rand() % bytes;
        fseek(file, at, SEEK_SET);
        int byte = fgetc(file);
        fseek(file, at, SEEK_SET);
        fputc(byte ^ (1 + rand() % 255), file);
    }
    cr_assert_eq(fclose(file), 0);
}

static outcome resume(const char *out, const char *options) {
    return run("%s %s train %s --resume --out %s " TRAINING " %s", mpirun(2), program(),
               make_config(), out, options);
}

/* A damaged newest checkpoint is told, --quiet or not, and the one before is used.  With the
 * reasons and many more damages: test_io_checkpoint_damage.c. */
Test(training, damaged_checkpoint, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *one = train("whole", 1, ""), *before = last_digest(one);
    const char *warning = text("lockstep: warning: '%s/checkpoint-33.h5' ", one);
    srand(7);
    for (int i = 0; i < DAMAGES; i++) {
        bool quiet = i % 3 == 0;
        damage(text("%s/checkpoint-33.h5", one), i % 2 == 0);
        outcome result = resume(one, quiet ? "--quiet" : "");
        cr_expect_eq(result.code, 0, "%d: %s", result.code, result.output);
        cr_expect_not_null(strstr(result.output, warning), "%s", result.output);
        cr_expect(quiet || strstr(result.output, "checkpoint-30.h5\n"), "%s", result.output);
        cr_expect_str_eq(last_digest(one), before);
    }
}

/* Nothing to go on from is not the same as a new run. */
Test(training, only_damaged_checkpoints, .fini = workspace_remove) {
    static const int steps[] = {25, 30, 33};
    make_dataset(1000, 100);
    const char *one = train("whole", 1, "");
    srand(8);
    for (int i = 0; i < 3; i++)
        damage(text("%s/checkpoint-%d.h5", one, steps[i]), i == 0);
    outcome result = resume(one, "--quiet");
    cr_expect_eq(result.code, 2, "%d: %s", result.code, result.output);
    cr_expect_not_null(strstr(result.output, "is whole"), "%s", result.output);
    for (int i = 0; i < 3; i++)
        cr_expect_not_null(strstr(result.output, text("checkpoint-%d.h5'", steps[i])), "%s",
                           result.output);
}

/* ---- stopping ------------------------------------------------------------------------------- */

/* Asked to stop by a signal or a file: exit code 5, a checkpoint, and the way on. */
Test(training, stops_when_asked, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *one = train("whole", 1, "");
    const char *out = text("%s/stopped", workspace());
    outcome result = run("mkdir -p %s; touch %s/stop; %s %s train %s --quiet --out %s " TRAINING,
                         out, out, mpirun(2), program(), make_config(), out);
    cr_expect_eq(result.code, 5, "%d: %s", result.code, result.output);
    cr_expect_not_null(strstr(result.output, "after step 1\n"), "%s", result.output);
    cr_expect_not_null(strstr(result.output, text("--out %s " TRAINING " --resume\n", out)), "%s",
                       result.output);
    cr_expect(!exists("%s/stop", out), "it asks once");
    cr_expect_eq(resume(out, "--quiet").code, 0);
    cr_expect_str_eq(last_digest(one), last_digest(out));
}

/* In the range test, too, where there is nothing to go on from yet. */
Test(training, stops_in_the_range_test, .fini = workspace_remove) {
    const char *options = "--quiet --set train.lr=auto --set find_lr.steps=100000 "
                          "--set find_lr.end=1e-3";
    make_dataset(1000, 100);
    const char *out = text("%s/out", workspace());
    outcome limit = resume(out, text("%s --set train.max_minutes=0.01", options));
    cr_expect_eq(limit.code, 5, "%d: %s", limit.code, limit.output);
    cr_expect_not_null(strstr(limit.output, "stopped as asked in the range test, after "), "%s",
                       limit.output);
    run_well("touch %s/stop", out);
    outcome file = resume(out, options);
    cr_expect_eq(file.code, 5, "%d: %s", file.code, file.output);
    cr_expect_not_null(strstr(file.output, "in the range test"), "%s", file.output);
    cr_expect(!exists("%s/stop", out));
    outcome signal = run(
        "%s bash -c 'echo $$ >%s/pid-${OMPI_COMM_WORLD_RANK:-$PMI_RANK}; exec \"$@\"' - %s train "
        "%s --out %s/signalled %s & job=$!\n"
        "until ls %s/signalled/*find-lr* >/dev/null 2>&1; do sleep 0.1; done\n"
        "sleep 0.2; kill -USR1 $(cat %s/pid-1); wait $job",
        mpirun(2), workspace(), program(), make_config(), workspace(), options, workspace(),
        workspace());
    cr_expect_eq(signal.code, 5, "%d: %s", signal.code, signal.output);
    cr_expect_not_null(strstr(signal.output, "in the range test"), "%s", signal.output);
}

/* A dataset without a test split: nothing is evaluated. */
Test(training, without_a_test_split, .fini = workspace_remove) {
    const char *folder = workspace(), *config = make_config();
    make_idx("train", "train", 200);
    run_well(
        "%s convert --train-inputs %s/train-images --train-targets %s/train-labels -o %s/data.h5",
        program(), folder, folder, folder);
    REFUSED(WORDS("the test split", "'test/inputs'", "data.test_inputs: none"),
            "%s train %s --out %s/no", program(), config, folder);
    const char *out = train("one", 2, "--set data.test_inputs=none");
    cr_expect_str_eq(last_digest(out), last_digest(train("two", 1, "--set data.test_inputs=none")));
    cr_expect(!exists("%s/best.h5", out));
    run_well("%s plot %s/train.h5 -o %s/train.svg", program(), out, out);
    REFUSED(WORDS("there is no test split"), "%s eval %s/checkpoint-9.h5", program(), out);
    REFUSED(WORDS("there is no test split"), "%s predict %s/checkpoint-9.h5 -o %s/p.h5", program(),
            out, out);
    REFUSED(
        WORDS("needs a validation or a test split"),
        "%s find-lr %s --out %s/no --set data.test_inputs=none --set find_lr.validation_every=2",
        program(), config, folder);
}

#define NO_TIME "--quiet --set train.max_minutes=1e-9"

/* A time limit that is over at once: every start makes one step and leaves a checkpoint. */
Test(training, a_time_limit_stops, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *one = train("whole", 1, ""), *out = text("%s/limited", workspace());
    for (int start = 1; start <= 3; start++) {
        outcome result = resume(out, NO_TIME);
        cr_expect_eq(result.code, 5, "%d: %s", result.code, result.output);
        cr_expect_not_null(
            strstr(result.output, text("stopped as asked (time_limit) after step %d\n", start)),
            "%s", result.output);
        cr_expect(exists("%s/checkpoint-%d.h5", out, start));
    }
    outcome rest = resume(out, "--set train.max_minutes=1e6");
    cr_expect_eq(rest.code, 0, "%d: %s", rest.code, rest.output);
    cr_expect_not_null(strstr(rest.output, "checkpoint-3.h5\n"), "%s", rest.output);
    cr_expect_str_eq(last_digest(one), last_digest(out));
    same_curves(one, out);
}

/* A run that has made its last step is done, whatever the time. */
Test(training, no_time_limit_after_the_end, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *out = text("%s/out", workspace());
    const char *two_steps = NO_TIME " --set train.epochs=1 --set batch.size=500";
    cr_expect_eq(resume(out, two_steps).code, 5);
    outcome result = resume(out, two_steps);
    cr_expect_eq(result.code, 0, "%d: %s", result.code, result.output);
    cr_expect_null(strstr(result.output, "--resume"), "%s", result.output);
}

/* One that passes in mid-run, at whatever step that is. */
Test(training, a_time_limit_in_a_long_run, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *out = text("%s/out", workspace());
    outcome result = resume(out, "--quiet --set train.epochs=100000 --set train.max_minutes=0.02");
    cr_expect_eq(result.code, 5, "%d: %s", result.code, result.output);
    const char *said = strstr(result.output, "(time_limit) after step ");
    cr_assert_not_null(said, "%s", result.output);
    cr_expect(exists("%s/checkpoint-%d.h5", out, atoi(said + strlen("(time_limit) after step "))));
}

/* A long run on two ranks, the second of which gets a signal once there is a checkpoint. */
static outcome signalled(const char *name) {
    const char *folder = workspace();
    make_dataset(1000, 100);
    return run("%s bash -c 'echo $$ >%s/pid-${OMPI_COMM_WORLD_RANK:-$PMI_RANK}; exec \"$@\"' - %s "
               "train %s "
               "--quiet --out %s/out " TRAINING " --set train.epochs=100000 & job=$!\n"
               "for i in $(seq 300); do\n"
               "  sleep 0.1; ls %s/out/checkpoint-*.h5 >/dev/null 2>&1 && break\n"
               "done\n"
               "sleep 0.2; kill -%s $(cat %s/pid-1); wait $job",
               mpirun(2), folder, program(), make_config(), folder, folder, name, folder);
}

Test(training, a_signal_stops, .fini = workspace_remove) {
    outcome result = signalled("USR1");
    cr_expect_eq(result.code, 5, "%d: %s", result.code, result.output);
    cr_expect_not_null(strstr(result.output, "stopped as asked"), "%s", result.output);
}

/* A rank that is lost ends all, and rank 0 names the newest checkpoint and the way on; MPICH's
 * launcher leaves it no time to. */
Test(training, a_rank_is_lost, .fini = workspace_remove) {
    outcome result = signalled("KILL");
    cr_expect_neq(result.code, 0, "%s", result.output);
    if (strstr(run_well("%s info --build", program()), "MPICH"))
        return;
    cr_expect_not_null(strstr(result.output, "newest checkpoint: checkpoint-"), "%s",
                       result.output);
    cr_expect_not_null(strstr(result.output, "--resume"), "%s", result.output);
}

/* Without --resume a run does not touch another one's checkpoints. */
Test(training, a_folder_in_use, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *one = train("whole", 1, "");
    const char *before = text("%s", last_digest(one));
    REFUSED(WORDS("holds checkpoints of another run", "--resume"),
            "%s %s train %s --quiet --out %s " TRAINING, mpirun(2), program(), make_config(), one);
    cr_expect_str_eq(last_digest(one), before);
}

/* A disk with no room for a second checkpoint: told, the first one stays whole, the exit code is
 * not 0. */
Test(training, no_room_for_a_checkpoint, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *config = write_file("large.yaml", text("data: {file: %s/data.h5}\n"
                                                       "train: {lr: 0.01, epochs: 2}\n"
                                                       "model: {layers: [dense: {units: 4000}, "
                                                       "relu, dense: {units: 10}]}\n",
                                                       workspace()));
    if (run("unshare -rm mount -t tmpfs none %s", workspace()).code != 0)
        skip_test("no right to mount a small disk here");
    /* 64 MB for best.h5 and the checkpoints of both epochs, 25 MB each */
    outcome result =
        run("mkdir %s/disk; unshare -rm sh -c 'mount -t tmpfs -o size=64m none %s/disk "
            "&& %s train %s --out %s/disk; echo code $?; ls %s/disk; "
            "%s info --digest %s/disk/checkpoint-8.h5'",
            workspace(), workspace(), program(), config, workspace(), workspace(), program(),
            workspace());
    cr_expect_not_null(strstr(result.output, "No space left"), "%s", result.output);
    cr_expect_not_null(strstr(result.output, "the run goes on"), "%s", result.output);
    cr_expect_not_null(strstr(result.output, "code 1"), "%s", result.output);
    cr_expect_null(strstr(result.output, ".tmp."), "%s", result.output);
    cr_expect_eq(result.code, 0, "the first checkpoint is whole: %s", result.output);
}

/* Of the gradient, in the first step. */
static double first_norm(const char *out) {
    return atof(h5_number("-d /train/gradient_norm -s 0 -c 1", text("%s/train.h5", out)));
}

/* Shared memory that is short of a window or of all of them: told, never a bus error. */
Test(training, no_room_for_shared_memory, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *config =
        write_file("wide.yaml", text("data: {file: %s/data.h5}\n"
                                     "train: {lr: 0.01, epochs: 1}\n"
                                     "batch: {size: 96, slices: 8}\n"
                                     "model: {layers: [dense: {units: 1300}, relu, "
                                     "dense: {units: 10}]}\n",
                                     workspace()));
    if (run("unshare -rm mount -t tmpfs none /dev/shm").code != 0)
        skip_test("no right to mount a small /dev/shm here");
    int told = 0;
    for (int mebibytes = 10; mebibytes <= 40; mebibytes += mebibytes < 20 ? 2 : 10) {
        const char *script = write_file(
            "script", text("mount -t tmpfs -o size=%dm none /dev/shm && %s %s train %s --quiet "
                           "--out %s/out-%d\n",
                           mebibytes, mpirun(2), program(), config, workspace(), mebibytes));
        outcome result = run("unshare -rm sh %s", script);
        bool fits = result.code == 0;
        cr_expect(fits || result.code == 1, "%d MiB: %d: %s", mebibytes, result.code,
                  result.output);
        cr_expect(fits || strstr(result.output, "shared memory"), "%s", result.output);
        told += !fits;
    }
    cr_expect(told >= 2 && told <= 7, "%d of 8", told);
}

/* Evaluation and prediction of a checkpoint; frozen layers; weights of another run. */
Test(training, the_model_is_used, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *one = train("one", 2, "");
    const char *model = text("%s/best.h5", one);
    const char *alone = text("%s", run_well("%s eval %s", program(), model));
    cr_expect_str_eq(run_well("%s %s eval %s", mpirun(3), program(), model), alone);
    cr_expect_not_null(strstr(alone, "samples   100\n"), "%s", alone);
    run_well("%s predict %s -o %s/p1.h5", program(), model, one);
    run_well("%s %s predict %s -o %s/p3.h5", mpirun(3), program(), model, one);
    run_well("h5diff -v %s/p1.h5 %s/p3.h5 /outputs", one, one);
    const char *tuned =
        train("tuned", 2, text("--set init=%s --set frozen=conv1 --set init_new=dense1", model));
    run_well("h5diff %s %s/best.h5 /model/conv1/weight", model, tuned);
    cr_expect_neq(run("h5diff -q %s %s/best.h5 /model/dense1/weight", model, tuned).code, 0);
    cr_expect_lt(first_norm(tuned),
                 first_norm(train("free", 2, text("--set init=%s --set init_new=dense1", model))),
                 "frozen layers have no gradient");
    REFUSED(WORDS("frozen", "no layer 'conv9'"), "%s train %s --out %s/no --set frozen=conv9",
            program(), make_config(), workspace());
}

Test(training, diverges, .fini = workspace_remove) {
    make_dataset(1000, 100);
    outcome result = run("%s %s train %s --quiet --out %s/out " TRAINING
                         " --set train.lr=1e30 --set train.clip_norm=0",
                         mpirun(2), program(), make_config(), workspace());
    cr_expect_eq(result.code, 3, "%d: %s", result.code, result.output);
}

/* A rank that is stopped for a while is named, by those who wait for it; then all goes on. */
Test(training, a_rank_that_is_late, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *out = text("%s/run", workspace());
    const char *said =
        run_well("%s bash -c 'if [ ${OMPI_COMM_WORLD_RANK:-$PMI_RANK} = 1 ]; then\n"
                 "  (until ls %s/checkpoint-*.h5; do sleep 0.1; done; kill -STOP $$; sleep 4; kill "
                 "-CONT $$) "
                 ">/dev/null 2>&1 &\n"
                 "fi; exec \"$@\"' - %s train %s --quiet --out %s --set train.lr=0.05 "
                 "--set train.epochs=20 --set checkpoint.every_steps=5 --set stall_seconds=1 2>&1",
                 mpirun(2), out, program(), make_config(), out);
    cr_expect_not_null(strstr(said, "wait for rank 1 (process "), "%s", said);
    cr_expect_not_null(strstr(said, "no progress for "), "%s", said);
    said = run_well("%s %s train %s --quiet --out %s-two --set train.lr=0.05 --set train.epochs=2 "
                    "--set stall_seconds=60 2>&1",
                    mpirun(2), program(), make_config(), out);
    cr_expect_null(strstr(said, "no progress"), "%s", said);
}

/* More ranks than cores to run on: told once, and not where there is room. */
Test(training, ranks_that_share_a_core, .fini = workspace_remove) {
    make_dataset(300, 50);
    const char *command = text("%s train %s --set train.epochs=1 --set train.lr=0.05 --out %s",
                               program(), make_config(), workspace());
    const char *said = run_well("%s taskset -c 0 %s/a 2>&1", mpirun(2), command);
    const char *told = strstr(said, " 2 ranks share 1 core: one a core is faster");
    cr_assert_not_null(told, "%s", said);
    cr_expect_null(strstr(told + 12, "ranks share"), "%s", said);
    said = run_well("%s taskset -c 0 %s/b 2>&1", mpirun(1), command);
    cr_expect_null(strstr(said, "share"), "%s", said);
    said = run_well("%s taskset -c 0 %s/c --set compute.threads=3 2>&1", mpirun(1), command);
    cr_expect_not_null(strstr(said, "the 3 threads of 1 rank share 1 core: "), "%s", said);
}
