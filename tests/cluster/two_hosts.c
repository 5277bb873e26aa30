/* system tests: two nodes, made on this machine by scripts/two-hosts.  The same bits as on one, in
 * every exchange mode, with as many ranks on each or not; a rank lost on one node ends all. */
#include <criterion/criterion.h>
#include <string.h>

#include "system/command.h"
#include "system/json.h"

/* "scripts/two-hosts -n RANKS"; skips the test where the machine cannot make two hosts. */
static const char *two_hosts(int ranks) {
    static bool tried;
    outcome result = {0};
    if (!tried)
        result = run("scripts/two-hosts -n 2 true");
    if (result.code == 77)
        cr_skip_test("%s", result.output);
    tried = true;
    return text("MPIRUN_OPTIONS='--mca mpi_yield_when_idle 1' scripts/two-hosts -n %d", ranks);
}

/* Runs a command of lockstep, "find-lr" or "train"; the run file's digest. */
static const char *digest(const char *launcher, const char *command, const char *name,
                          const char *options) {
    const char *out = text("%s/%s", workspace(), name);
    run_well("%s %s %s %s --quiet --out %s %s", launcher, program(), command, make_config(), out,
             options);
    return digest_of(text("%s/%s.h5", out, command));
}

/* What the run file says about the nodes. */
static void ran_on(const char *file, const char *hosts) {
    run_well("h5dump -a /provenance/nodes %s/%s | grep -qF '\"2\"'", workspace(), file);
    run_well("h5dump -a /provenance/hosts %s/%s | grep -qF '\"%s\"'", workspace(), file, hosts);
}

Test(two_hosts, same_bits, .fini = workspace_remove) {
    static const char *const modes[] = {"node", "flat"};
    const char *two = two_hosts(2), *four = two_hosts(4);
    make_dataset(1000, 100);
    const char *one = digest(mpirun(1), "find-lr", "one", "");
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        const char *mode = text("--set exchange=%s", modes[i]);
        cr_expect_str_eq(digest(two, "find-lr", text("two-%s", modes[i]), mode), one);
        ran_on(text("two-%s/find-lr.h5", modes[i]), "host-1 (1 rank), host-2 (1 rank)");
        cr_expect_str_eq(digest(four, "find-lr", text("four-%s", modes[i]), mode), one);
        ran_on(text("four-%s/find-lr.h5", modes[i]), "host-1 (2 ranks), host-2 (2 ranks)");
    }
}

/* Two ranks on one host, one on the other: flat by itself, node mode is refused. */
Test(two_hosts, uneven, .fini = workspace_remove) {
    const char *three = two_hosts(3);
    make_dataset(1000, 100);
    const char *one = digest(mpirun(1), "find-lr", "one", "");
    cr_expect_str_eq(digest(three, "find-lr", "three", ""), one);
    ran_on("three/find-lr.h5", "host-1 (2 ranks), host-2 (1 rank)");
    const char *said = run_well("%s %s find-lr %s --out %s/told 2>&1", three, program(),
                                make_config(), workspace());
    cr_expect_not_null(strstr(said, "the nodes have different numbers of ranks"), "%s", said);
    REFUSED(WORDS("same number of ranks on every node", "flat"),
            "%s %s find-lr %s --set exchange=node --out %s/refused", three, program(),
            make_config(), workspace());
}

/* With clipping, whose norm each node computes for itself, and a checkpoint that one rank of each
 * node reads. */
Test(two_hosts, training, .fini = workspace_remove) {
    const char *options = "--set train.lr=0.05 --set train.epochs=2 --set train.clip_norm=2 "
                          "--set checkpoint.every_steps=5";
    const char *four = two_hosts(4);
    make_dataset(1000, 100);
    const char *one = digest(mpirun(1), "train", "one", options);
    const char *begun = text("%s/four", workspace());
    outcome result = run("mkdir %s && touch %s/stop && %s %s train %s --quiet --out %s %s", begun,
                         begun, four, program(), make_config(), begun, options);
    cr_assert_eq(result.code, 5, "%d: %s", result.code, result.output);
    cr_expect_str_eq(digest(four, "train", "four", text("--resume %s", options)), one);
    run_well("for i in one four; do %s info --digest %s/$i/best.h5; done | cut -d ' ' -f 1 | "
             "uniq | wc -l | grep -qx 1",
             program(), workspace());
}

/* Hosts with files of their own: each rank's under the path that is the same on both. */
Test(two_hosts, data_of_its_own, .fini = workspace_remove) {
    const char *two = two_hosts(2), *folder = workspace(), *python = python_with("h5py");
    if (!python)
        cr_skip_test("no h5py");
    make_dataset(1000, 100);
    run_well("cp %s/data.h5 %s/same.h5", folder, folder);
    make_dataset(900, 100);
    run_well("cp %s/data.h5 %s/short.h5; cp %s/same.h5 %s/other.h5", folder, folder, folder,
             folder);
    run_well("%s -c 'import h5py; x = h5py.File(\"%s/other.h5\", \"r+\")[\"train/inputs\"]; "
             "x[:] = 255 - x[:]'",
             python, folder);
    const char *start = "bash -c 'mount -t tmpfs none /mnt && cp %s/$([ $(hostname) = host-2 ] && "
                        "echo %s || echo same).h5 /mnt/data.h5; exec \"$@\"' - %s train %s "
                        "--quiet --out %s/%s --set data.file=/mnt/data.h5 --set train.epochs=1";
    run_well("%s %s", two, text(start, folder, "same", program(), make_config(), folder, "equal"));
    REFUSED(WORDS("differs between ranks", "1000 1 28 28", "900 1 28 28", "(rank 1, on host-2)"),
            "%s %s", two, text(start, folder, "short", program(), make_config(), folder, "no"));
    REFUSED(WORDS("the training data differs between ranks", "XXH3-128", "(rank 1, on host-2)"),
            "%s %s", two, text(start, folder, "other", program(), make_config(), folder, "no"));
    REFUSED(WORDS("/mnt/data.h5", "(rank 1, on host-2)"), "%s %s", two,
            text(start, folder, "nothing", program(), make_config(), folder, "no"));
}

/* Every bucket's exchange is timed: it takes its while over the cable. */
Test(two_hosts, benchmark, .fini = workspace_remove) {
    const char *four = two_hosts(4);
    make_dataset(1000, 100);
    const char *file = text("%s/bench.json", workspace());
    run_well("%s %s bench %s --quiet --steps 4 --windows 2 --json %s", four, program(),
             make_config(), file);
    const char *json = run_well("cat %s", file), *buckets = json_find(json, "buckets");
    cr_expect_eq(json_number(json, "nodes"), 2);
    cr_assert_not_null(json_next(buckets, NULL));
    for (const char *bucket = json_next(buckets, NULL); bucket; bucket = json_next(buckets, bucket))
        cr_expect_gt(json_number(bucket, "seconds"), 0);
}

/* Rank programs: what they check of messages, shared memory and sums, and the bits they print. */
Test(two_hosts, rank_programs) {
    static const char *const checked[] = {"comm", "exchange"}, *const printed[] = {"engine"};
    for (int ranks = 2; ranks <= 4; ranks++)
        for (size_t i = 0; i < sizeof checked / sizeof *checked; i++)
            run_well("%s %s/tests/rank/%s", two_hosts(ranks), build_folder(), checked[i]);
    for (size_t i = 0; i < sizeof printed / sizeof *printed; i++) {
        const char *file = text("%s/tests/rank/%s", build_folder(), printed[i]);
        const char *one = run_well("%s %s | grep ^bits:", mpirun(1), file);
        cr_expect_str_eq(run_well("%s %s | grep ^bits:", two_hosts(4), file), one);
    }
}

/* The cable is out for a while: the ranks of the first host say for whom they wait; then all goes
 * on.
 */
Test(two_hosts, a_cut_cable, .fini = workspace_remove) {
    const char *two = two_hosts(2);
    make_dataset(1000, 100);
    outcome result = run(
        "%s bash -c 'if [ $(hostname) = host-2 ]; then\n"
        "  (until ls %s/out/checkpoint-*.h5; do sleep 0.1; done; ip link set cable down; sleep 8; "
        "ip link set cable up; touch %s/out/stop) "
        ">/dev/null 2>&1 &\n"
        "fi; exec \"$@\"' - %s train %s --quiet --out %s/out --set train.lr=0.05 "
        "--set train.epochs=100000 --set checkpoint.every_steps=5 --set stall_seconds=3",
        two, workspace(), workspace(), program(), make_config(), workspace());
    cr_expect_eq(result.code, 5, "%d: %s", result.code, result.output);
    cr_expect_not_null(strstr(result.output, "all ranks on host-1 wait for those on host-2"), "%s",
                       result.output);
}

/* The rank on the second host is killed once there is a checkpoint: all ends, and rank 0, on the
 * first one, names the checkpoint. */
Test(two_hosts, a_rank_is_lost, .fini = workspace_remove) {
    const char *two = two_hosts(2);
    make_dataset(1000, 100);
    outcome result =
        run("%s bash -c 'if [ $(hostname) = host-2 ]; then\n"
            "  (until ls %s/out/checkpoint-*.h5; do sleep 0.1; done; sleep 0.2; kill -KILL $$) "
            ">/dev/null 2>&1 &\n"
            "fi; exec \"$@\"' - %s train %s --quiet --out %s/out --set train.lr=0.05 "
            "--set train.epochs=100000 --set checkpoint.every_steps=5",
            two, workspace(), program(), make_config(), workspace());
    cr_expect_neq(result.code, 0, "%s", result.output);
    cr_expect_not_null(strstr(result.output, "newest checkpoint: checkpoint-"), "%s",
                       result.output);
    cr_expect_not_null(strstr(result.output, "--resume"), "%s", result.output);
}
