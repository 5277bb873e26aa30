/* system tests: two nodes, made on this machine by scripts/two-hosts.  The same bits as on one, in
 * every exchange mode, with as many ranks on each or not; a rank lost on one node ends all. */
#include <criterion/criterion.h>
#include <string.h>

#include "system/command.h"
#include "system/json.h"

/* "scripts/two-hosts -n RANKS" with so many hosts; skips the test where the machine cannot make
 * them. */
static const char *some_hosts(int hosts, int ranks) {
    static int tried;
    outcome result = {0};
    if (tried < hosts)
        result = run("HOSTS=%d scripts/two-hosts -n %d true", hosts, hosts);
    if (result.code == 77)
        skip_test("%s", result.output);
    tried = hosts;
    return text("MPIRUN_OPTIONS='--mca mpi_yield_when_idle 1' HOSTS=%d scripts/two-hosts -n %d",
                hosts, ranks);
}

static const char *two_hosts(int ranks) {
    return some_hosts(2, ranks);
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

#define PARTS "--set train.lr=0.05 --set data.validation=0.1 --set 'data.transform=[log1p]' "

/* Inputs of which each host has a share, or reads what it needs: the same bits, and the same
 * evaluation and predictions. */
Test(two_hosts, spread_and_streamed, .fini = workspace_remove, .timeout = 600) {
    static const struct {
        int hosts, ranks;
        const char *sets;
    } layouts[] = {{2, 2, "--set data.residence=spread"},
                   {2, 3, "--set data.residence=stream"},
                   {4, 4, "--set data.residence=spread --set data.buffer=0.3"},
                   {3, 4, "--set data.residence=spread --set data.shuffle=false"}};
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        some_hosts(layouts[i].hosts, layouts[i].ranks);
    make_dataset(1000, 100);
    const char *shuffled = digest(mpirun(1), "train", "one", PARTS "--set train.epochs=2");
    const char *plain =
        digest(mpirun(1), "train", "plain", PARTS "--set train.epochs=2 --set data.shuffle=false");
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        const char *made =
            digest(some_hosts(layouts[i].hosts, layouts[i].ranks), "train", text("run-%zu", i),
                   text(PARTS "--set train.epochs=2 %s", layouts[i].sets));
        cr_expect_str_eq(made, strstr(layouts[i].sets, "false") ? plain : shuffled, "%s",
                         layouts[i].sets);
    }
    const char *found = digest(mpirun(1), "find-lr", "found", PARTS);
    cr_expect_str_eq(
        digest(two_hosts(4), "find-lr", "found-4", PARTS "--set data.residence=spread"), found);
    const char *model = text("%s/one/best.h5", workspace()), *two = two_hosts(2);
    cr_expect_str_eq(run_well("%s %s eval %s --set data.residence=spread", two, program(), model),
                     run_well("%s eval %s", program(), model));
    run_well("%s predict %s -o %s/a.h5", program(), model, workspace());
    run_well("%s %s predict %s -o %s/b.h5 --set data.residence=spread", two, program(), model,
             workspace());
    cr_expect_str_eq(digest_of(text("%s/a.h5", workspace())),
                     digest_of(text("%s/b.h5", workspace())));
}

/* Stopped in mid-epoch on two hosts, it goes on on one, and the other way round. */
Test(two_hosts, spread_and_resumed, .fini = workspace_remove, .timeout = 600) {
    const char *two = two_hosts(3);
    make_dataset(1000, 100);
    const char *one = digest(mpirun(1), "train", "one", PARTS "--set train.epochs=2");
    for (int i = 0; i < 2; i++) {
        const char *out = text("%s/run-%d", workspace(), i);
        const char *all = text("train %s --quiet --out %s " PARTS "--set train.epochs=2 "
                               "--set data.residence=spread --set checkpoint.every_steps=5",
                               make_config(), out);
        run_well("mkdir %s && touch %s/stop", out, out);
        outcome result = run("%s %s %s", i ? mpirun(1) : two, program(), all);
        cr_assert_eq(result.code, 5, "%d: %s", result.code, result.output);
        run_well("%s %s %s --resume", i ? two : mpirun(2), program(), all);
        cr_expect_str_eq(digest_of(text("%s/train.h5", out)), one);
    }
}

/* Each of four hosts has a quarter, as the benchmark shows, and one whose own file has other values
 * is refused, though they never meet. */
Test(two_hosts, spread_in_quarters, .fini = workspace_remove, .timeout = 600) {
    const char *four = some_hosts(4, 4), *folder = workspace(), *python = python_with("h5py");
    if (!python)
        skip_test("no h5py");
    make_dataset(1000, 100);
    const char *file = text("%s/bench.json", folder);
    const char *said = run_well("%s %s bench %s --quiet --steps 4 --windows 1 --json %s "
                                "--set data.residence=spread",
                                four, program(), make_config(), file);
    cr_expect_not_null(strstr(said, "a node has 25.00 % of the samples (mean; largest 25.00)"),
                       "%s", said);
    const char *json = run_well("cat %s", file);
    const double received = json_number(json, "data.bytes_read");
    cr_expect_eq(json_number(json, "data.held.largest"), 0.25);
    cr_expect_gt(received, 0.5 * json_number(json, "data.bytes_needed"));
    cr_expect_lt(received, json_number(json, "data.bytes_needed"));
    run_well("cd %s && cp data.h5 other.h5 && %s -c 'import h5py\n"
             "x = h5py.File(\"other.h5\", \"r+\")[\"train/inputs\"]\nx[:] = 255 - x[:]\n'",
             folder, python);
    REFUSED(WORDS("the training data differs between ranks", "XXH3-128", "on host-3"),
            "%s bash -c 'mount -t tmpfs none /mnt && cp %s/$([ $(hostname) = host-3 ] && echo "
            "other || echo data).h5 /mnt/data.h5; exec \"$@\"' - %s train %s --quiet --out %s/no "
            "--set data.file=/mnt/data.h5 --set data.residence=spread",
            four, folder, program(), make_config(), folder);
}

/* What takes more than half of a host's shared memory, and a share of which does not. */
Test(two_hosts, spread_by_itself, .fini = workspace_remove, .timeout = 600) {
    const char *four = two_hosts(4);
    make_dataset(40000, 100); /* 30 MiB */
    const char *said =
        run_well("%s bash -c 'mount -o remount,size=64m /dev/shm && exec \"$@\"' - %s bench %s "
                 "--steps 2 --windows 1 2>&1",
                 four, program(), make_config());
    cr_expect_not_null(strstr(said, "each node keeps one (data.residence: spread)"), "%s", said);
    cr_expect_not_null(strstr(said, "a node has 50.00 % of the samples"), "%s", said);
}

/* Hosts with files of their own: each rank's under the path that is the same on both. */
Test(two_hosts, data_of_its_own, .fini = workspace_remove) {
    const char *two = two_hosts(2), *folder = workspace(), *python = python_with("h5py");
    if (!python)
        skip_test("no h5py");
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
    static const char *const checked[] = {"comm", "exchange", "spread"}, *const printed[] = {
                                                                             "engine"};
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
 * first one, names the checkpoint.  On the way are samples, too. */
Test(two_hosts, a_rank_is_lost, .fini = workspace_remove) {
    const char *two = two_hosts(2);
    make_dataset(1000, 100);
    outcome result =
        run("%s bash -c 'if [ $(hostname) = host-2 ]; then\n"
            "  (until ls %s/out/checkpoint-*.h5; do sleep 0.1; done; sleep 0.2; kill -KILL $$) "
            ">/dev/null 2>&1 &\n"
            "fi; exec \"$@\"' - %s train %s --quiet --out %s/out --set train.lr=0.05 "
            "--set train.epochs=100000 --set checkpoint.every_steps=5 --set data.residence=spread",
            two, workspace(), program(), make_config(), workspace());
    cr_expect_neq(result.code, 0, "%s", result.output);
    cr_expect_not_null(strstr(result.output, "newest checkpoint: checkpoint-"), "%s",
                       result.output);
    cr_expect_not_null(strstr(result.output, "--resume"), "%s", result.output);
}
