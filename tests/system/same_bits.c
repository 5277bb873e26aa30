/* system tests: the promise.  A range test's results are the same bits on any number of ranks,
 * whatever way the gradients are exchanged and whatever algorithm MPI sums with. */
#include <criterion/criterion.h>
#include <string.h>

#include "system/command.h"

/* `ranks` ranks with more options: folder `name` in the workspace.  Returns its run file. */
static const char *find_lr(const char *name, int ranks, const char *options) {
    const char *out = text("%s/%s", workspace(), name);
    run_well("%s %s find-lr %s --quiet --out %s %s", mpirun(ranks), program(), make_config(), out,
             options);
    return text("%s/find-lr.h5", out);
}

static void same(const char *one, const char *other) {
    static const char *const series[] = {"lr", "loss", "smoothed_loss", "slice_loss",
                                         "gradient_norm"};
    const char *diffs = "";
    for (size_t i = 0; i < sizeof series / sizeof *series; i++)
        diffs = text("%sh5diff -v %s %s /find_lr/%s && ", diffs, one, other, series[i]);
    run_well("%strue", diffs);
    cr_expect_str_eq(digest_of(one), digest_of(other));
}

/* Without mpirun too, however gradients are exchanged; and another seed must give other bits. */
Test(same_bits, layouts, .fini = workspace_remove) {
    static const int ranks[] = {2, 5, 8};
    make_dataset(1000, 100); /* 11 batches of 96, the last one of 40 */
    run_well("%s find-lr %s --quiet --out %s/serial", program(), make_config(), workspace());
    const char *one = text("%s/serial/find-lr.h5", workspace());
    same(one, find_lr("alone", 1, ""));
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++)
        same(one, find_lr(text("ranks-%d", ranks[i]), ranks[i], ""));
    same(one, find_lr("node", 3, "--set exchange=node"));
    same(one, find_lr("flat", 3, "--set exchange=flat"));
    const char *other = find_lr("other", 1, "--set seed=8");
    cr_expect_neq(run("h5diff %s %s /find_lr/loss", one, other).code, 0);
    cr_expect_str_neq(digest_of(one), digest_of(other));
}

/* More threads than slices, fewer, and those that do not divide them. */
Test(same_bits, threads, .fini = workspace_remove) {
    static const struct { int ranks, threads; } layouts[] = {{1, 3}, {1, 9}, {3, 2}};
    static const char *const options[] = {
        "", "--set exchange_sum=float32 --set exchange=flat",
        "--set batch.size=8 --set batch.slices=8 --set find_lr.steps=12"};
    make_dataset(1000, 100);
    for (size_t o = 0; o < sizeof options / sizeof *options; o++) {
        const char *one = find_lr(text("%zu-alone", o), 1, options[o]);
        for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
            int ranks = o == 1 ? 1 : layouts[i].ranks; /* sums of floats hang on them */
            const char *more = text("%s --set compute.threads=%d", options[o], layouts[i].threads);
            same(one, find_lr(text("%zu-%zu", o, i), ranks, more));
        }
    }
}

/* With AVX2, for whose sake gradients of weights are loops of lockstep's own. */
Test(same_bits, own_loops, .fini = workspace_remove) {
    static const int ranks[] = {3, 8};
    const char *avx2 = "--set compute.isa=avx2";
    make_dataset(500, 100);
    if (run("%s bench %s --quiet --steps 1 --windows 1 %s", program(), make_config(), avx2).code)
        skip_test("no AVX2");
    run_well("%s bench %s --quiet --steps 1 --windows 1 %s | grep 'own loops .*conv1 (gradient'",
             program(), make_config(), avx2);
    const char *one = find_lr("alone", 1, avx2);
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++)
        same(one, find_lr(text("ranks-%d", ranks[i]), ranks[i], avx2));
}

/* Convolutions of 16 channels, by Winograd's method with AVX2. */
Test(same_bits, winograd, .fini = workspace_remove) {
    static const struct { int ranks, threads; } layouts[] = {{1, 1}, {3, 1}, {1, 3}, {2, 2}};
    const char *avx2 = "--quiet --set compute.isa=avx2", *one = NULL;
    make_dataset(500, 100);
    const char *config = text("%s/wide.yaml", workspace());
    run_well("sed 's/filters: 4/filters: 16/' %s >%s", make_config(), config);
    if (run("%s bench %s --steps 1 --windows 1 %s", program(), config, avx2).code)
        skip_test("no AVX2");
    run_well("%s bench %s --steps 1 --windows 1 %s | grep '^winograd '", program(), config, avx2);
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        const char *out = text("%s/%zu", workspace(), i), *file = text("%s/find-lr.h5", out);
        run_well("%s %s find-lr %s --out %s %s --set compute.threads=%d", mpirun(layouts[i].ranks),
                 program(), config, out, avx2, layouts[i].threads);
        one = one ? one : file;
        same(one, file);
    }
}

/* Of MPI's sums; up to 8 ranks, sums go around a ring of lockstep's own instead. */
Test(same_bits, allreduce_algorithms, .fini = workspace_remove) {
    enum { RING = 1, RABENSEIFNER = 3 };
    static const int algorithms[] = {RING, RABENSEIFNER};
    const char *more = "--set batch.slices=9 --set find_lr.steps=12 --set exchange=flat";
    make_dataset(1000, 100);
    const char *one = find_lr("alone", 1, more);
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++) {
        const char *out = text("%s/algorithm-%d", workspace(), algorithms[i]);
        run_well("OMPI_MCA_coll_libnbc_iallreduce_algorithm=%d %s %s find-lr %s --quiet %s --out "
                 "%s",
                 algorithms[i], mpirun(9), program(), make_config(), more, out);
        same(one, text("%s/find-lr.h5", out));
    }
}

/* Up to a slice a sample: above 512 of them sums are int64.  Above 16 ranks of a node, 8 where sums
 * are int64, some share arrays. */
Test(same_bits, many_slices, .fini = workspace_remove) {
    static const char *const more = "--set batch.size=1024 --set find_lr.steps=3 "
                                    "--set find_lr.start=0.01 --set batch.slices=";
    make_dataset(1100, 100);
    const char *narrow = text("%s256", more), *wide = text("%s1024", more);
    same(find_lr("narrow", 1, narrow),
         find_lr("narrow-18", 18, text("%s --set exchange=node", narrow)));
    const char *one = find_lr("wide", 1, wide);
    same(one, find_lr("wide-3", 3, text("%s --set exchange=flat", wide)));
    same(one, find_lr("wide-11", 11, text("%s --set exchange=node --set compute.threads=2", wide)));
}
