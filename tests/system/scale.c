/* system tests: scaling studies: what is measured, predicted and said, and that a study which was
 * killed goes on. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "system/command.h"
#include "system/json.h"

enum { MOST_RANKS = 4, REPEATS = 3 };

#define STUDY "--repeats 3 --steps 4"

static void expect(const char *output, const char *words) {
    cr_expect_not_null(strstr(output, words), "no '%s' in: %s", words, output);
}

static int count_of(const char *output, const char *words) {
    int count = 0;
    for (const char *at = output; (at = strstr(at, words)); at++)
        count++;
    return count;
}

/* Value `row` of a series, of a matrix the first one. */
static double value(const char *series, int row, const char *file) {
    const char *extent = strcmp(series, "phases") == 0 ? ",0 -c 1,1" : " -c 1";
    return atof(h5_number(text("-d /scale/%s -s %d%s", series, row, extent), file));
}

static int points(const char *file) {
    return atoi(h5_number("-d /scale/points", file));
}

/* The study's file in folder `name`, and what was said. */
static const char *study(int ranks, const char *name, const char *options, const char **said) {
    const char *out = text("%s/%s", workspace(), name);
    *said = run_well("%s %s scale %s --out %s " STUDY " %s", mpirun(ranks), program(),
                     make_config(), out, options);
    return text("%s/scale.h5", out);
}

Test(scale, strong, .fini = workspace_remove) {
    const char *said, *again, *few;
    make_dataset(1000, 10);
    const char *file = study(MOST_RANKS, "all", "", &said);
    expect(said, "strong, 1 rank on 1 node: the first size");
    expect(said, "strong, 4 ranks on 1 node: predicted ");
    expect(said, "strong scaling: batch 96 in 8 slices at every size; same bits at every size\n");
    cr_expect_eq(count_of(said, " than predicted"), 2, "%s", said);
    cr_expect_lt(strstr(said, "2 ranks on 1 node: predicted"),
                 strstr(said, "2 ranks on 1 node: measured"), "%s", said);
    cr_assert_eq(points(file), 3 * REPEATS);
    for (int i = 0; i < 3 * REPEATS; i++) {
        cr_expect_eq(value("ranks", i, file), 1 << i / REPEATS);
        cr_expect_eq(value("batch", i, file), 96);
        cr_expect_gt(value("step", i, file), value("phases", i, file));
    }
    /* What it measured it does not measure again. */
    double step = value("step", 4, file);
    study(MOST_RANKS, "all", "", &again);
    cr_expect_eq(value("step", 4, file), step);
    cr_expect_eq(points(file), 3 * REPEATS);
    expect(again, "strong scaling: batch 96");
    cr_expect_null(strstr(again, "measured"), "%s", again);
    /* The digest is of modes, sizes and bits, not of times. */
    const char *small = study(2, "few", "--ranks 1,2", &few);
    const char *grown = study(MOST_RANKS, "few", "", &few);
    cr_expect_str_eq(small, grown);
    cr_expect_str_eq(digest_of(grown), digest_of(file));
}

/* Three ranks do not divide the slices. */
Test(scale, weak, .fini = workspace_remove) {
    const char *said;
    make_dataset(1000, 10);
    const char *file = study(3, "out", "--ranks 1,3 --mode strong,weak", &said);
    expect(said, "weak, 3 ranks on 1 node: predicted ");
    expect(said, "weak scaling: batch 96 in 8 slices on 1 rank, growing with the ranks; same bits");
    cr_assert_eq(points(file), 4 * REPEATS);
    for (int i = 0; i < 4 * REPEATS; i++) {
        int factor = i >= 3 * REPEATS ? 3 : 1;
        cr_expect_eq(value("mode", i, file), i >= 2 * REPEATS);
        cr_expect_eq(value("batch", i, file), 96 * factor);
        cr_expect_eq(value("slices", i, file), 8 * factor);
    }
}

/* ---- for programs --------------------------------------------------------------------------- */

static void check_point(const char *point) {
    static const char *const names[] = {"compute", "exchange", "update", "data", "imbalance"};
    double sum = 0, step = json_number(point, "step_seconds.median");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        double seconds = json_number(point, text("phases.%s", names[i]));
        cr_expect_geq(seconds, 0, "%s", names[i]);
        sum += seconds;
    }
    cr_expect_float_eq(sum / step, 1, 1e-6);
    cr_expect_leq(json_number(point, "step_seconds.low"), step);
    cr_expect_geq(json_number(point, "step_seconds.high"), step);
    cr_expect_eq(json_number(point, "step_seconds.confidence"), 0.75, "of three repeats");
    cr_expect_eq(json_number(point, "repeats"), REPEATS);
    cr_expect_gt(json_number(point, "exchange_bytes"), 0);
    cr_expect_float_eq(json_number(point, "efficiency") * json_number(point, "ranks"),
                       json_number(point, "speedup.median"), 1e-6);
    cr_expect_eq(strncmp(json_find(point, "same_bits"), "true", 4), 0);
}

/* What was measured once is printed as often as one likes. */
Test(scale, json_and_csv, .fini = workspace_remove) {
    const char *said;
    make_dataset(1000, 10);
    const char *json = text("%s/a.json", workspace());
    study(3, "out", text("--mode strong,weak --json %s", json), &said);
    expect(said, "weak scaling"); /* the table too */
    json = run_well("cat %s", json);
    json_check(json);
    cr_expect_eq(json_number(json, "steps"), 4);
    cr_expect_eq(json_number(json, "warm_up_steps"), 3);
    const char *all = json_find(json, "points");
    int count = 0;
    for (const char *point = json_next(all, NULL); point; point = json_next(all, point), count++) {
        check_point(point);
        cr_expect_eq(strncmp(json_find(point, "error"), "null", 4) == 0, count % 3 == 0,
                     "the first size is not predicted");
    }
    cr_expect_eq(count, 6);
    const char *again =
        run_well("%s %s scale %s --out %s/out " STUDY " --mode strong,weak --quiet --json -",
                 mpirun(3), program(), make_config(), workspace());
    cr_expect_str_eq(again, json); /* and nothing else is printed */
    const char *csv = run_well("%s %s scale %s --out %s/out " STUDY " --quiet --csv -", mpirun(3),
                               program(), make_config(), workspace());
    cr_expect_eq(strncmp(csv, "mode,ranks,nodes,batch,slices,repeats,step,", 43), 0, "%s", csv);
    cr_expect_eq(count_of(csv, "\n"), 7, "%s", csv);
    cr_expect_eq(count_of(csv, ","), 7 * 30 - 7, "%s", csv);
    expect(csv, "\nstrong,3,1,96,8,3,");
    expect(csv, "\nweak,3,1,288,24,3,");
}

Test(scale, extra_p, .fini = workspace_remove) {
    const char *said, *file = text("%s/extra-p.txt", workspace());
    make_dataset(1000, 10);
    study(3, "out", text("--mode weak --extra-p %s", file), &said);
    const char *content = run_well("cat %s", file);
    expect(content, "PARAMETER ranks\nPOINTS 1 2 3\n\nREGION compute\nMETRIC seconds\nDATA ");
    cr_expect_eq(count_of(content, "\nREGION "), 6, "%s", content);
    cr_expect_eq(count_of(content, "\nDATA "), 6 * 3, "%s", content);
    const char *python = python_with("extrap");
    if (python == NULL)
        skip_test("there is no Extra-P");
    cr_expect_str_eq(
        run_well("%s -c 'from extrap.fileio.file_reader.text_file_reader import TextFileReader\n"
                 "import sys\n"
                 "read = TextFileReader().read_experiment(sys.argv[1])\n"
                 "print(len(read.coordinates), *sorted(str(path) for path in read.callpaths),\n"
                 "      *(metric.name for metric in read.metrics))' %s 2>/dev/null",
                 python, file),
        "3 compute data exchange imbalance step update seconds\n");
}

/* ---- a job for each size -------------------------------------------------------------------- */

Test(scale, joined, .fini = workspace_remove) {
    const char *said, *options = "--mode strong,weak --base 1", *folder = workspace();
    make_dataset(1000, 10);
    study(3, "all", "--mode strong,weak --ranks 1,2,3", &said);
    for (int ranks = 1; ranks <= 3; ranks++)
        study(ranks, text("job-%d", ranks), text("%s --ranks %d", options, ranks), &said);
    const char *joined = run_well("%s scale --join %s/job-3/scale.h5 %s/job-1/scale.h5 "
                                  "%s/job-2/scale.h5 --out %s/joined --json %s/a.json",
                                  program(), folder, folder, folder, folder, folder);
    expect(joined, "strong scaling: batch 96 in 8 slices at every size; same bits at every size\n");
    expect(joined, "weak scaling: batch 96 in 8 slices on 1 rank, growing with the ranks");
    cr_expect_eq(count_of(joined, "predicted from the smaller sizes"), 2, "%s", joined);
    const char *json = run_well("cat %s/a.json", folder), *all = json_find(json, "points");
    json_check(json);
    int count = 0;
    for (const char *point = json_next(all, NULL); point; point = json_next(all, point), count++) {
        check_point(point);
        cr_expect_eq(json_number(point, "ranks"), count % 3 + 1);
        cr_expect_eq(strncmp(json_find(point, "error"), "null", 4) == 0, count % 3 == 0);
    }
    cr_expect_eq(count, 6);
    /* Whatever the order of the files, it is the study of one job. */
    cr_expect_str_eq(digest_of(text("%s/joined/scale.h5", folder)),
                     digest_of(text("%s/all/scale.h5", folder)));
    REFUSED(WORDS("joined/scale.h5", "is there already"),
            "%s scale --join %s/job-1/scale.h5 --out %s/joined", program(), folder, folder);
    REFUSED(WORDS("job-2/scale.h5", "joined/scale.h5", "the same repeat", "strong, 2 ranks"),
            "%s scale --join %s/job-2/scale.h5 %s/joined/scale.h5 --out %s/x", program(), folder,
            folder, folder);
    cr_expect_not(exists("%s/x/*", folder));
    /* Without --base that of weak scaling is the job's own smallest size. */
    study(2, "other", "--ranks 2 --set seed=9 --set train.momentum=0.5", &said);
    REFUSED(WORDS("job-1/scale.h5' and '",
                  "other/scale.h5' are of different studies: "
                  "seed is 7 in the first, 9 in the second; train.momentum is 0.9 in the first, "
                  "0.5 in the second; --base, or the smallest size, is 1 in the first, 2 in the "
                  "second"),
            "%s scale --join %s/job-1/scale.h5 %s/other/scale.h5 --out %s/x", program(), folder,
            folder, folder);
    REFUSED(WORDS("need --join"), "%s scale a.yaml b.yaml", program());
}

/* ---- what goes wrong ------------------------------------------------------------------------ */

/* A rank is killed in the middle of the repeats on 2 ranks; with the same command the study goes
 * on, with what was measured. */
Test(scale, killed, .fini = workspace_remove) {
    make_dataset(1000, 10);
    const char *config = make_config(), *folder = workspace();
    const char *file = text("%s/out/scale.h5", folder);
    outcome result = run(
        "points() { h5dump -y -d /scale/points %s 2>/dev/null | grep -E '^ +[0-9]' || echo 0; }\n"
        "%s bash -c 'echo $$ >%s/pid-${OMPI_COMM_WORLD_RANK:-$PMI_RANK}; exec \"$@\"' - %s scale "
        "%s --out %s/out --quiet --steps 20 --repeats 6 & job=$!\n"
        "until [ $(points) -gt 7 ]; do kill -0 $job || break; sleep 0.05; done\n"
        "kill -KILL $(cat %s/pid-1); wait $job; echo \"ended with $?\"\n",
        file, mpirun(3), folder, program(), config, folder, folder);
    cr_expect_null(strstr(result.output, "ended with 0"), "%s", result.output);
    int before = points(file);
    cr_assert(before > 7 && before < 12, "%d rows when it was killed", before);
    double first = value("step", 0, file), last = value("step", before - 1, file);
    const char *said = run_well("%s %s scale %s --out %s/out --steps 20 --repeats 8", mpirun(3),
                                program(), config, folder);
    cr_expect_eq(value("step", 0, file), first);
    cr_expect_eq(value("step", before - 1, file), last);
    cr_expect_eq(points(file), 3 * 8, "%s", said);
    expect(said, "same bits at every size");
    expect(said, "3 ranks on 1 node: measured");
}

Test(scale, refusals, .fini = workspace_remove) {
    const char *said, *config = (make_dataset(500, 10), make_config());
#define REFUSES(words, options)                                                                    \
    REFUSED(WORDS words, "%s %s scale %s --out %s/out %s", mpirun(2), program(), config,           \
            workspace(), options)
#define REFUSES_ALONE(words, options)                                                              \
    REFUSED(WORDS words, "%s scale %s --out %s/out %s", program(), config, workspace(), options)
    REFUSES(("--ranks", "'2,1'", "from 1 to 2"), "--ranks 2,1");
    REFUSES(("--ranks", "'1,3'"), "--ranks 1,3");
    REFUSES_ALONE(("--ranks", "'1,'"), "--ranks 1,");
    REFUSES_ALONE(("--ranks", "'many'"), "--ranks many");
    REFUSES_ALONE(("--mode", "'week'", "did you mean 'weak'?"), "--mode week");
    REFUSES_ALONE(("--mode", "strong,weak"), "--mode strong,");
    REFUSES_ALONE(("--repeats", "'0'"), "--repeats 0");
    REFUSES_ALONE(("--extra-p", "one mode"), "--mode strong,weak --extra-p x.txt");
    REFUSES(("--base is 2", "smallest size, 1"), "--base 2");
    REFUSES_ALONE(("--json", "--csv", "standard output"), "--json - --csv -");
    REFUSES_ALONE(("/nowhere/a.csv", "cannot write"), "--csv /nowhere/a.csv");
    REFUSES_ALONE(("overwritten", "config"), text("--json %s", config));
    REFUSES(("strong scaling to 2 ranks", "batch.slices is 1"), "--set batch.slices=1");
    REFUSES(("batches of 600 samples", "500"), "--mode weak --set batch.size=300 " STUDY);
    cr_expect_not(exists("%s/out/*.tmp.*", workspace()));
    run_well("rm -rf %s/out", workspace());
    study(2, "out", "", &said);
    REFUSES(("scale.h5", "of another study"), STUDY " --set seed=9");
    REFUSES(("scale.h5", "of another study"), STUDY " --ranks 2");
    run_well("mkdir %s/own && cp %s/data.h5 %s/own/scale.h5", workspace(), workspace(),
             workspace());
    REFUSED(WORDS("overwritten"), "%s scale %s --out %s/own --set data.file=%s/own/scale.h5",
            program(), config, workspace(), workspace());
}
