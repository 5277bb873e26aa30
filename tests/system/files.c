/* system tests: one run a folder, outputs that would destroy what is read, and outputs that cannot
 * be written. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "system/command.h"

/* ---- one run a folder ----------------------------------------------------------------------- */

/* Starts a long training, waits until it has the folder, runs `then` and stops it; the exit codes
 * of both. */
static outcome beside(const char *then) {
    return run("%s %s train %s --quiet --out %s/out --set train.lr=0.05 --set train.epochs=1000 "
               ">%s/first 2>&1 & job=$!; "
               "until grep -qs process %s/out/.lockstep.lock; do sleep 0.05; done; "
               "(%s) 2>&1; touch %s/out/stop; wait $job; echo first $?",
               mpirun(2), program(), make_config(), workspace(), workspace(), workspace(), then,
               workspace());
}

Test(files, a_second_run_in_a_folder, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *config = make_config();
    const char *const seconds[] = {"train %s", "train %s --resume", "find-lr %s"};
    const char *all = "";
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++)
        all = text("%s%s %s --out %s/out; echo code $?; ", all, program(), text(seconds[i], config),
                   workspace());
    outcome both = beside(all);
    const char *rest = both.output;
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
        const char *refused = "another run writes to this folder: process ";
        rest = strstr(rest, refused);
        cr_assert_not_null(rest, "%s", both.output);
        cr_expect_not_null(strstr(rest, " since 20"), "%s", both.output);
        cr_expect_eq(strncmp(strchr(rest, '\n'), "\ncode 2\n", 8), 0, "%s", both.output);
        rest += strlen(refused);
    }
    cr_expect_not_null(strstr(rest, "\nfirst 5"), "%s", both.output);
    cr_expect_not(exists("%s/out/find-lr.h5", workspace()));
}

Test(files, a_killed_run_leaves_no_lock, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *config = make_config();
    run("%s train %s --quiet --out %s/out --set train.epochs=1000 & job=$!; "
        "until ls %s/out/checkpoint-* >/dev/null 2>&1; do sleep 0.05; done; "
        "kill -KILL $job; wait $job",
        program(), config, workspace(), workspace());
    cr_expect(exists("%s/out/.lockstep.lock", workspace()));
    run_well("%s train %s --quiet --out %s/out --resume --set train.epochs=1000 --set "
             "train.max_minutes=0.001; [ $? = 5 ]",
             program(), config, workspace());
    cr_expect_not(exists("%s/out/.lockstep.lock", workspace()));
}

/* ---- what is read stays --------------------------------------------------------------------- */

Test(files, outputs_are_not_inputs, .fini = workspace_remove) {
    const char *data = make_dataset(500, 50), *config = make_config(), *folder = workspace();
    run_well("%s train %s --quiet --out %s/run --set train.epochs=1", program(), config, folder);
    run_well("%s find-lr %s --quiet --out %s/run", program(), config, folder);
    run_well("cd %s && cp config.yaml c.svg && cp run/best.h5 best.h5 && ln -s data.h5 link.h5 && "
             "ln run/find-lr.h5 test.svg && md5sum *.h5 c.svg test.svg train-images >sums",
             folder);
#define DESTROYS(...) REFUSED(WORDS("overwritten"), __VA_ARGS__)
    DESTROYS("%s predict %s/best.h5 -o %s/best.h5", program(), folder, folder);
    DESTROYS("%s %s predict %s/best.h5 -o %s", mpirun(2), program(), folder, data);
    DESTROYS("%s predict %s/best.h5 -o %s/link.h5", program(), folder, folder);
    DESTROYS("%s predict %s/best.h5 --data %s/link.h5 -o %s", program(), folder, folder, data);
    DESTROYS("%s convert --train-inputs %s/train-images --train-targets %s/train-labels -o "
             "%s/train-images",
             program(), folder, folder, folder);
    DESTROYS("%s bench %s --json %s", program(), config, config);
    DESTROYS("%s bench %s --json %s", program(), config, data);
    DESTROYS("%s bench %s --trace %s", program(), config, data);
    DESTROYS("%s train %s --out %s/t --trace %s", program(), config, folder, data);
    DESTROYS("%s plot %s/run/find-lr.h5 -o %s/test.svg", program(), folder, folder);
    DESTROYS("%s schedule %s/c.svg --lr 1 -o %s/c.svg", program(), folder, folder);
    run_well("mkdir %s/own && cp %s %s/own/train.h5", folder, data, folder);
    DESTROYS("%s train %s --out %s/own --set data.file=%s/own/train.h5", program(), config, folder,
             folder);
    run_well("cd %s && md5sum --check --quiet sums", folder);
}

Test(files, devices_stay, .fini = workspace_remove) {
    make_dataset(200, 20);
    const char *config = make_config(), *folder = workspace();
    run_well("%s train %s --quiet --out %s/run --set train.epochs=1", program(), config, folder);
    run_well("mkfifo %s/pipe && mkfifo %s/p.svg", folder, folder);
    REFUSED(WORDS("pipe", "HDF5"), "%s predict %s/run/best.h5 -o %s/pipe", program(), folder,
            folder);
    REFUSED(WORDS("/dev/null", "HDF5"), "%s predict %s/run/best.h5 -o /dev/null", program(),
            folder);
    const char *picture =
        run_well("cat %s/p.svg & %s plot %s/run/train.h5 -o %s/p.svg >/dev/null; wait", folder,
                 program(), folder, folder);
    cr_expect_not_null(strstr(picture, "</svg>"));
    cr_expect(exists("%s/p.svg", folder));
    run_well("[ -p %s/p.svg ] && [ -p %s/pipe ]", folder, folder);
    REFUSED(WORDS("Is a directory"), "%s bench %s --json %s", program(), config, folder);
}

/* ---- no room -------------------------------------------------------------------------------- */

/* On a file system of 64 KiB that is full; a picture of before stays. */
Test(files, a_picture_on_a_full_disk, .fini = workspace_remove) {
    make_dataset(200, 20);
    const char *config = make_config(), *folder = workspace();
    run_well("%s find-lr %s --quiet --out %s/run", program(), config, folder);
    outcome result = run(
        "unshare --mount bash -c 'mkdir -p %s/small && mount -t tmpfs -o size=64k none %s/small && "
        "echo before >%s/small/a.svg && head -c 60K /dev/zero >%s/small/fill && "
        "! %s plot %s/run/find-lr.h5 -o %s/small/a.svg && "
        "! %s schedule %s --lr 1 -o %s/small/b.svg && ls %s/small && cat %s/small/a.svg'",
        folder, folder, folder, folder, program(), folder, folder, program(), config, folder,
        folder, folder);
    if (strstr(result.output, "unshare failed"))
        skip_test("no namespaces: %s", result.output);
    cr_expect_eq(result.code, 0, "%s", result.output);
    cr_expect_not_null(strstr(result.output, "No space left"), "%s", result.output);
    cr_expect_not_null(strstr(result.output, "a.svg\nfill\nbefore"), "%s", result.output);
}

Test(files, standard_output_that_takes_nothing, .fini = workspace_remove) {
    make_dataset(200, 20);
    const char *config = make_config(), *folder = workspace();
    run_well("%s find-lr %s --quiet --out %s/run", program(), config, folder);
    const char *const commands[] = {"--version",
                                    "--help",
                                    "help",
                                    "help config",
                                    "train --help",
                                    "info --build",
                                    text("info %s/run/find-lr.h5", folder),
                                    text("suggest %s/run/find-lr.h5", folder),
                                    text("suggest --plain %s/run/find-lr.h5", folder),
                                    text("plot %s/run/find-lr.h5", folder),
                                    text("schedule %s --lr 1", config),
                                    text("bench %s --json - --steps 1 --windows 1", config)};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        outcome full = run("%s %s >/dev/full", program(), commands[i]);
        cr_expect_eq(full.code, 1, "%s: %d", commands[i], full.code);
        cr_expect_not_null(strstr(full.output, "standard output"), "%s", full.output);
    }
    outcome closed = run("%s help config | true", program());
    cr_expect_eq(strlen(closed.output), 0, "%s", closed.output);
}

/* ---- the range test's file ------------------------------------------------------------------ */

Test(files, a_range_test_replaces_the_one_before_when_it_is_done, .fini = workspace_remove) {
    make_dataset(2000, 20);
    const char *config = make_config(), *folder = workspace();
    run_well("%s find-lr %s --quiet --out %s/run", program(), config, folder);
    const char *before = digest_of(text("%s/run/find-lr.h5", folder));
    run("%s find-lr %s --out %s/run --set find_lr.steps=100000 --set find_lr.end=1e-3 & job=$!; "
        "until ls %s/run/find-lr.new.h5; do sleep 0.05; done >/dev/null 2>&1; sleep 0.5; "
        "kill -KILL $job; wait $job",
        program(), config, folder, folder);
    cr_expect_str_eq(digest_of(text("%s/run/find-lr.h5", folder)), before);
    run_well("%s info %s/run/find-lr.new.h5", program(), folder);
    run_well("%s find-lr %s --quiet --out %s/run --set seed=2", program(), config, folder);
    cr_expect_str_neq(digest_of(text("%s/run/find-lr.h5", folder)), before);
    cr_expect_not(exists("%s/run/find-lr.new.h5", folder));
}

/* A hard limit on the size of files holds for checkpoints, and for the ranks' shared memory. */
Test(files, a_hard_limit_on_file_size, .fini = workspace_remove) {
    make_dataset(200, 20);
    const char *folder = workspace();
    const char *config =
        write_file("large.yaml", text("data: {file: %s/data.h5}\nbatch: {size: 100}\n"
                                      "model: {layers: [flatten, dense: {units: 2000}, "
                                      "dense: {units: 1500}, dense: {units: 10}]}\n",
                                      folder));
    const char *train = text("%s train %s --quiet --out %s/run --set train.epochs=1 "
                             "--set train.lr=0.01",
                             program(), config, folder);
    outcome result = run("ulimit -f 20000; %s", train);
    cr_expect_eq(result.code, 1, "%d: %s", result.code, result.output);
    cr_expect_not_null(strstr(result.output, "checkpoint-2.h5': File too large (see ulimit -f)"),
                       "%s", result.output);
    cr_expect(exists("%s/run/train.h5", folder) && !exists("%s/run/*.tmp.*", folder));
    result = run("ulimit -f 20000; %s %s", mpirun(2), train);
    cr_expect_eq(result.code, 1, "%d: %s", result.code, result.output);
    cr_expect_not_null(strstr(result.output, "MiB of shared memory on each node, which is a file"),
                       "%s", result.output);
}

/* A job that may have less memory than the data need is told so, before the kernel kills it, where
 * they have to be in memory; otherwise they are read from the file, to the same bits. */
Test(files, memory_limit_of_the_job, .fini = workspace_remove, .timeout = 300) {
    const char *python = python_with("h5py");
    const char *group = text("/sys/fs/cgroup/%s/lockstep-test-%ld",
                             exists("/sys/fs/cgroup/memory") ? "memory" : ".", (long)getpid());
    if (!python || run("mkdir %s", group).code != 0)
        skip_test("no h5py, or no control group can be made here");
    const char *folder = workspace();
    run_well("%s -c 'import h5py, numpy as np\nf = h5py.File(\"%s/data.h5\", \"w\")\n"
             "d = f.create_dataset(\"train/inputs\", (250000, 1, 28, 28), \"f4\", "
             "fillvalue=0.5)\nd[249999] = 1\n"
             "f[\"train/targets\"] = np.arange(250000) %% 10'",
             python, folder);
    const char *limited =
        text("echo 500M >%s/memory.%s && %s bash -c 'echo $$ >%s/cgroup.procs && "
             "exec %s find-lr %s --set data.test_inputs=none "
             "--set find_lr.steps=10",
             group, exists("%s/memory.limit_in_bytes", group) ? "limit_in_bytes" : "max", mpirun(2),
             group, program(), make_config());
    outcome result = run("%s --out %s/no --set data.residence=node'", limited, folder);
    cr_expect_eq(result.code, 1, "%d: %s", result.code, result.output);
    cr_expect_not_null(strstr(result.output, "train/inputs needs 747 MiB on each node but this job "
                                             "may have 500 MiB"),
                       "%s", result.output);
    const char *said = run_well("%s --out %s/limited'", limited, folder);
    cr_expect_not_null(strstr(said, "more than half of it; they are read as the run goes on"), "%s",
                       said);
    run_well("rmdir %s", group);
    run_well("%s find-lr %s --quiet --out %s/free --set data.test_inputs=none "
             "--set find_lr.steps=10 --set data.residence=node",
             program(), make_config(), folder);
    cr_expect_str_eq(digest_of(text("%s/limited/find-lr.h5", folder)),
                     digest_of(text("%s/free/find-lr.h5", folder)));
}

/* A signal that ends convert takes its temporary file away, and leaves the output of before. */
Test(files, a_signal_ends_convert, .fini = workspace_remove) {
    const char *folder = workspace();
    make_idx("train", "train", 60000);
    run_well("echo before >%s/out.h5", folder);
    outcome result =
        run("cd %s && { $OLDPWD/%s convert --train-inputs train-images --train-targets "
            "train-labels -o out.h5 & } && until ls out.h5.tmp.* >/dev/null 2>&1; do "
            "kill -0 $! || exit 3; done; kill -TERM $!; wait $!",
            folder, program());
    cr_expect_eq(result.code, 143, "%d: %s", result.code, result.output);
    cr_expect(!exists("%s/out.h5.tmp.*", folder));
    run_well("grep -qx before %s/out.h5", folder);
}
