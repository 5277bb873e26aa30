/* system tests: scripts/train.sbatch and scale.sbatch as a user submits them, under a SLURM of the
 * test's own.  The same bits as without; stopped before its time is up, a job queues itself again
 * and goes on. */
#include <criterion/criterion.h>
#include <string.h>

#include "system/command.h"
#include "system/json.h"

#define TRAINING "--set train.lr=0.05 --set checkpoint.every_steps=5"

/* ---- a SLURM of one node or two ------------------------------------------------------------- */

static const char *slurm(int nodes) {
    return text("%sscripts/private-slurm", nodes == 2 ? "scripts/two-hosts -n 0 " : "");
}

/* Skips the test where no SLURM can run. */
static void need_slurm(int nodes) {
    outcome result = run("%s true", slurm(nodes));
    if (result.code == 77)
        skip_test("%s", result.output);
}

/* The command that submits a training on two ranks, which writes to `out` and `log`. */
static const char *sbatch(int nodes, int epochs, const char *option) {
    return text("sbatch %s --nodes=%d --ntasks-per-node=%d --output=%s/log "
                "scripts/train.sbatch %s --out %s/out " TRAINING " --set train.epochs=%d",
                option, nodes, 2 / nodes, workspace(), make_config(), workspace(), epochs);
}

/* Runs a script of SLURM's commands; `settings` for train.sbatch: NAME=VALUE, with blanks between.
 */
static outcome run_slurm(int nodes, const char *settings, const char *script) {
    return run("export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "
               "OMPI_MCA_mpi_yield_when_idle=1 LAUNCH= LOCKSTEP=%s %s; %s bash %s",
               program(), settings, slurm(nodes), write_file("script", script));
}

static const char *log_text(void) {
    return run_well("cat %s/log", workspace());
}

/* Submits with `command`, waits until shell command `ready` succeeds, does `then`, and waits for
 * the job's end.  SLURM lets a job that is queued again wait for two minutes; here two seconds do,
 * for within the same one it would be taken for the old one.  Returns what SLURM and the job say.
 */
static const char *submit_job(int nodes, const char *settings, const char *command,
                              const char *ready, const char *then) {
    outcome result = run_slurm(nodes, settings,
                               text("there() { squeue --noheader --format=%%r | grep .; }\n"
                                    "job=$(%s) || exit\n"
                                    "until %s || ! there; do\n"
                                    "  sleep 0.1\n"
                                    "done >/dev/null 2>&1\n"
                                    "%s\n"
                                    "while reason=$(there); do\n"
                                    "  if [[ $reason == BeginTime && ! $told ]]; then\n"
                                    "    scontrol update JobId=$job StartTime=now+2 && told=yes\n"
                                    "  fi\n"
                                    "  sleep 0.2\n"
                                    "done\n"
                                    "scontrol show job $job\n",
                                    command, ready, then));
    cr_assert_eq(result.code, 0, "%d: %s", result.code, result.output);
    return text("%s\n%s", result.output, log_text());
}

/* A training, up to a checkpoint. */
static const char *submit(int nodes, int epochs, const char *settings, const char *then) {
    make_dataset(20000, 100);
    return submit_job(nodes, settings, sbatch(nodes, epochs, "--parsable"),
                      text("ls %s/out/checkpoint-*", workspace()), then);
}

/* ---- what is expected ----------------------------------------------------------------------- */

static void expect(const char *output, const char *words) {
    cr_expect_not_null(strstr(output, words), "no \"%s\" in: %s", words, output);
}

/* The digest of a run's file in the workspace. */
static const char *digest(const char *name) {
    return digest_of(text("%s/%s", workspace(), name));
}

/* The job's bits are those of a run without SLURM. */
static void expect_same_bits(int epochs) {
    run_well("%s %s train %s --quiet --out %s/plain " TRAINING " --set train.epochs=%d", mpirun(1),
             program(), make_config(), workspace(), epochs);
    cr_expect_str_eq(digest("out/train.h5"), digest("plain/train.h5"));
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void runs_on(int nodes) {
    need_slurm(nodes);
    make_dataset(1000, 100);
    outcome result = run_slurm(nodes, "", sbatch(nodes, 3, "--wait"));
    cr_assert_eq(result.code, 0, "%s\n%s", result.output, log_text());
    run_well("h5dump -a /provenance/nodes %s/out/train.h5 | grep -qF '\"%d\"'", workspace(), nodes);
    run_well("h5dump -a /provenance/ranks %s/out/train.h5 | grep -qF '\"2\"'", workspace());
    expect_same_bits(3);
}

Test(slurm, one_node, .fini = workspace_remove) {
    runs_on(1);
}

Test(slurm, two_nodes, .fini = workspace_remove) {
    runs_on(2);
}

Test(slurm, wrong_input, .fini = workspace_remove) {
    need_slurm(1);
    outcome result = run_slurm(1, "", sbatch(1, -1, "--wait"));
    cr_expect_eq(result.code, 2, "%d: %s", result.code, result.output);
    expect(log_text(), "train.epochs");
    cr_expect_null(strstr(log_text(), "the same sbatch command"), "%s", log_text());
}

/* What SLURM does two minutes before a job's time is up: USR1 to the batch shell alone. */
static void stopped_and_requeued(const char *settings) {
    const char *seen = submit(1, 2, settings, "scancel --batch --signal=USR1 $job");
    expect(seen, "JobState=COMPLETED");
    expect(seen, "Restarts=1 ");
    expect(seen, "stopped as asked (signal)");
    expect(seen, "going on from ");
    expect_same_bits(2);
}

Test(slurm, requeued_with_srun, .fini = workspace_remove) {
    need_slurm(1);
    if (run("%s srun --mpi=list 2>&1 | grep -q pmix", slurm(1)).code != 0)
        skip_test("this SLURM has no PMIx");
    stopped_and_requeued("");
}

Test(slurm, requeued_with_mpirun, .fini = workspace_remove) {
    need_slurm(1);
    stopped_and_requeued("LAUNCH=mpirun");
}

/* A range test that is longer than the job may be would be so again. */
Test(slurm, no_requeue_in_the_range_test, .fini = workspace_remove) {
    need_slurm(1);
    make_dataset(20000, 100);
    outcome result =
        run_slurm(1, "LAUNCH=mpirun",
                  text("job=$(%s --set train.lr=auto --set find_lr.steps=1000000)\n"
                       "until ls %s/out/*find-lr* >/dev/null 2>&1; do sleep 0.1; done\n"
                       "sleep 0.5; scancel --batch --signal=USR1 $job\n"
                       "while squeue --noheader --format=%%r | grep -q .; do sleep 0.2; done\n"
                       "scontrol show job $job\n",
                       sbatch(1, 1, "--parsable"), workspace()));
    cr_assert_eq(result.code, 0, "%d: %s", result.code, result.output);
    expect(result.output, "JobState=FAILED");
    expect(result.output, "ExitCode=5:0");
    expect(result.output, "Restarts=0 ");
    expect(log_text(), "stopped as asked in the range test");
}

/* Whom a user has stopped stays so. */
Test(slurm, stopped_by_the_user, .fini = workspace_remove) {
    need_slurm(1);
    const char *seen = submit(1, 100000, "", text("touch %s/out/stop", workspace()));
    expect(seen, "JobState=FAILED");
    expect(seen, "ExitCode=5:0");
    expect(seen, "Restarts=0 ");
    expect(seen, "stopped as asked (stop_file)");
    expect(seen, "the same sbatch command goes on");
}

/* The rank on the second node kills itself once there is a checkpoint: all ends, and stays so. */
Test(slurm, a_rank_is_lost, .fini = workspace_remove) {
    need_slurm(2);
    const char *wrapper = write_file("lockstep", text("#!/bin/bash\n"
                                                      "if [ $SLURM_PROCID = 1 ]; then\n"
                                                      "  (until ls %s/out/checkpoint-*; do\n"
                                                      "    sleep 0.1\n"
                                                      "  done; kill -KILL $$) >/dev/null 2>&1 &\n"
                                                      "fi\n"
                                                      "exec %s \"$@\"\n",
                                                      workspace(), program()));
    run_well("chmod +x %s", wrapper);
    const char *seen = submit(2, 100000, text("LOCKSTEP=%s", wrapper), "");
    expect(seen, "JobState=FAILED");
    expect(seen, "Restarts=0 ");
    expect(seen, "the same sbatch command goes on from the newest checkpoint");
}

/* ---- preempted ------------------------------------------------------------------------------ */

enum { LONG_EPOCHS = 10 }; /* the run is not over when SLURM comes to stop it, some seconds later */

/* A job that needs all of the node comes first, for a second. */
static void preempted(const char *partition) {
    need_slurm(1);
    const char *seen = submit(1, LONG_EPOCHS, text("SBATCH_PARTITION=%s", partition),
                              "sbatch --parsable --partition=urgent --exclusive --output=/dev/null "
                              "--wrap 'sleep 1' >/dev/null");
    expect(seen, "JobState=COMPLETED");
    expect(seen, "Restarts=1 ");
    expect(seen, "stopped as asked (signal)");
    expect(seen, "going on from ");
    expect_same_bits(LONG_EPOCHS);
}

Test(slurm, preempted_with_grace, .fini = workspace_remove) {
    preempted("patient");
}

/* SLURM sends SIGTERM twice within milliseconds. */
Test(slurm, preempted_without_grace, .fini = workspace_remove) {
    preempted("all");
}

/* ---- arrays --------------------------------------------------------------------------------- */

/* Each task has a seed and a folder; the one that queues itself again leaves the others alone. */
Test(slurm, an_array_of_three_seeds, .fini = workspace_remove) {
    need_slurm(1);
    make_dataset(20000, 100);
    outcome result = run_slurm(
        1, "",
        text(
            "job=$(sbatch --parsable --array=1-3 --nodes=1 --ntasks-per-node=1 --output=%s/log-%%a "
            "scripts/train.sbatch %s --out %s/run-%%a --set seed=%%a " TRAINING
            " --set train.epochs=1) || exit\n"
            "until ls %s/run-2/checkpoint-* >/dev/null 2>&1; do sleep 0.1; done\n"
            "scancel --batch --signal=USR1 ${job}_2\n"
            "while reasons=$(squeue --noheader --format=%%r | grep .); do\n"
            "  if [[ $reasons == *BeginTime* && ! $told ]]; then\n"
            "    scontrol update JobId=${job}_2 StartTime=now+2 && told=yes\n"
            "  fi\n"
            "  sleep 0.2\n"
            "done\n"
            "scontrol show job $job\n",
            workspace(), make_config(), workspace(), workspace()));
    cr_assert_eq(result.code, 0, "%d: %s", result.code, result.output);
    expect(run_well("cat %s/log-2", workspace()), "going on from ");
    expect(result.output, "Restarts=1 ");
    for (int seed = 1; seed <= 3; seed++) {
        run_well("%s train %s --quiet --out %s/plain-%d --set seed=%d " TRAINING
                 " --set train.epochs=1",
                 program(), make_config(), workspace(), seed, seed);
        cr_expect_str_eq(digest(text("run-%d/train.h5", seed)),
                         digest(text("plain-%d/train.h5", seed)));
    }
}

/* ---- a node is lost ------------------------------------------------------------------------- */

/* The cable is cut until SLURM has given the node up and queued the job again. */
Test(slurm, a_node_is_lost, .fini = workspace_remove) {
    need_slurm(2);
    const char *cable = "nsenter --target $SECOND_HOST --net ip link set cable";
    const char *seen = submit(2, 2, "",
                              text("%s down\n"
                                   "until sinfo --noheader --format=%%T | grep -q down; do\n"
                                   "  sleep 0.2\n"
                                   "done\n"
                                   "%s up",
                                   cable, cable));
    expect(seen, "JobState=COMPLETED");
    expect(seen, "Restarts=1 ");
    expect(seen, "going on from ");
    expect_same_bits(2);
}

/* ---- scaling studies ------------------------------------------------------------------------ */

#define STUDY "--steps 10 --repeats 8"

static const char *sbatch_study(int nodes, const char *option) {
    return text("sbatch %s --nodes=%d --ntasks-per-node=%d --output=%s/log scripts/scale.sbatch %s "
                "--out %s/out " STUDY,
                option, nodes, 2 / nodes, workspace(), make_config(), workspace());
}

/* Sizes and bits are those of a study without SLURM. */
static void expect_same_study(void) {
    const char *digests = run_well(
        "%s %s scale %s --quiet --out %s/plain " STUDY " >/dev/null && "
        "%s info --digest %s/plain/scale.h5 %s/out/scale.h5 | cut -d ' ' -f 1 | uniq -c",
        mpirun(2), program(), make_config(), workspace(), program(), workspace(), workspace());
    expect(digests, " 2 ");
}

Test(slurm, study_on_two_nodes, .fini = workspace_remove) {
    need_slurm(2);
    make_dataset(1000, 100);
    outcome result = run_slurm(2, "", sbatch_study(2, "--wait"));
    cr_assert_eq(result.code, 0, "%s\n%s", result.output, log_text());
    expect(log_text(), "strong, 2 ranks on 2 nodes: predicted ");
    expect(log_text(), "same bits at every size");
    expect_same_study();
}

/* Once there is a repeat: what SLURM does a minute before the job's time is up. */
Test(slurm, study_requeued, .fini = workspace_remove) {
    need_slurm(1);
    make_dataset(1000, 100);
    const char *seen = submit_job(
        1, "", sbatch_study(1, "--parsable"),
        text("%s info %s/out/scale.h5 | grep '[1-9][0-9]* points'", program(), workspace()),
        "scancel --batch --signal=USR1 $job");
    expect(seen, "JobState=COMPLETED");
    expect(seen, "Restarts=1 ");
    expect_same_study();
}

#define TRAINED "--ranks 2 --repeats 2 --steps 3 --set train.lr=0.02 --set train.epochs=2"

/* All repeats are there: what the job has to show for its time are checkpoints of the training. */
Test(slurm, study_requeued_in_a_training, .fini = workspace_remove) {
    need_slurm(1);
    make_dataset(20000, 100);
    const char *config = make_config(), *folder = workspace();
    run_well("%s %s scale %s --quiet --out %s/out " TRAINED " --set checkpoint.every_steps=5",
             mpirun(2), program(), config, folder);
    const char *seen = submit_job(
        1, "",
        text("sbatch --parsable --nodes=1 --ntasks-per-node=2 --output=%s/log "
             "scripts/scale.sbatch %s --out %s/out " TRAINED
             " --set checkpoint.every_steps=5 --target loss=1e-9 --lr fixed",
             folder, config, folder),
        text("ls %s/out/train-strong/checkpoint-*", folder), "scancel --batch --signal=USR1 $job");
    expect(seen, "JobState=COMPLETED");
    expect(seen, "Restarts=1 ");
    expect(seen, "going on from ");
    run_well("%s %s train %s --quiet --out %s/plain --set train.epochs=2 --set train.lr=0.02 "
             "--set train.target='loss 1e-9'",
             mpirun(2), program(), config, folder);
    cr_expect_str_eq(digest("out/train-strong/train.h5"), digest("plain/train.h5"));
}

/* Whom a user has cancelled stays so. */
Test(slurm, study_cancelled, .fini = workspace_remove) {
    need_slurm(1);
    make_dataset(1000, 100);
    const char *seen = submit_job(
        1, "", sbatch_study(1, "--parsable"),
        text("%s info %s/out/scale.h5 | grep '[1-9][0-9]* points'", program(), workspace()),
        "scancel $job");
    expect(seen, "JobState=CANCELLED");
    expect(seen, "Restarts=0 ");
}

/* ---- a job for each size, joined ------------------------------------------------------------ */

enum { SIZES = 3, REPEATS = 3 };
static const int size_ranks[SIZES] = {1, 2, 4}, size_nodes[SIZES] = {1, 2, 2};

/* As README says: each with the same --base and --steps, its --ranks and its folder, size-RANKS. */
static void run_a_job_a_size(const char *options) {
    const char *script = "", *folder = workspace();
    for (int i = 0; i < SIZES; i++) {
        int ranks = size_ranks[i], nodes = size_nodes[i];
        script = text("%ssbatch --wait --nodes=%d --ntasks-per-node=%d --output=%s/log "
                      "scripts/scale.sbatch %s --out %s/size-%d --ranks %d --base 1 --steps 8 "
                      "--repeats 3 %s & jobs+=($!)\n",
                      script, nodes, ranks / nodes, folder, make_config(), folder, ranks, ranks,
                      options);
    }
    outcome result =
        run_slurm(2, "", text("%sfor job in ${jobs[@]}; do wait $job || exit; done\n", script));
    cr_assert_eq(result.code, 0, "%d: %s\n%s", result.code, result.output, log_text());
}

/* The points of the joined study, as JSON; *said: what --join printed. */
static const char *join_sizes(const char **said) {
    const char *folder = workspace();
    *said = run_well("%s scale --join %s/size-*/scale.h5 --out %s/study --json %s/study.json",
                     program(), folder, folder, folder);
    const char *json = run_well("cat %s/study.json", folder);
    json_check(json);
    return json_find(json, "points");
}

static void check_joined(const char *point, bool weak, int i) {
    int grown = weak ? size_ranks[i] : 1;
    cr_expect_str_eq(json_string(point, "mode"), weak ? "weak" : "strong");
    cr_expect_eq(json_number(point, "ranks"), size_ranks[i]);
    cr_expect_eq(json_number(point, "nodes"), size_nodes[i]);
    cr_expect_eq(json_number(point, "batch"), 96 * grown);
    cr_expect_eq(json_number(point, "slices"), 8 * grown);
    cr_expect_eq(json_number(point, "repeats"), REPEATS);
    cr_expect_eq(strncmp(json_find(point, "same_bits"), "true", 4), 0);
    cr_expect_eq(strncmp(json_find(point, "error"), "null", 4) == 0, i == 0, "predicted");
    cr_expect_float_eq(json_number(point, "efficiency") * size_ranks[i],
                       json_number(point, "speedup.median"), 1e-6);
}

Test(slurm, study_of_a_job_a_size, .fini = workspace_remove) {
    need_slurm(2);
    make_dataset(1000, 100);
    run_a_job_a_size("--mode strong,weak");
    const char *said, *all = join_sizes(&said), *base = NULL, *folder = workspace();
    expect(said, "strong scaling: batch 96 in 8 slices at every size; same bits at every size\n");
    int count = 0;
    for (const char *point = json_next(all, NULL); point; point = json_next(all, point), count++) {
        check_joined(point, count >= SIZES, count % SIZES);
        base = count % SIZES == 0 ? point : base;
        cr_expect_float_eq(json_number(point, "speedup.median") *
                               json_number(point, "step_seconds.median") /
                               (json_number(base, "step_seconds.median") *
                                json_number(point, "batch") / json_number(base, "batch")),
                           1, 1e-6);
    }
    cr_expect_eq(count, 2 * SIZES);
    expect(run_well("%s info %s/study/scale.h5", program(), folder), ", 18 points");
    /* The bits are those of a study in one piece, without SLURM. */
    run_well("%s %s scale %s --quiet --out %s/plain --mode strong,weak --steps 8 --repeats 3",
             mpirun(4), program(), make_config(), folder);
    cr_expect_str_eq(digest("study/scale.h5"), digest("plain/scale.h5"));
    expect(run_well("%s plot %s/study/scale.h5", program(), folder), "weak");
    run_well("%s plot %s/study/scale.h5 -o %s/study.svg && grep -q '</svg>' %s/study.svg",
             program(), folder, folder, folder);
}
