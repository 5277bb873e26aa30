/* system tests: what a benchmark prints and writes, and traces of all ranks. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "system/command.h"
#include "system/json.h"

enum { TRACED_STEPS = 5, MOST_RANKS = 3, MOST_DEPTH = 8 };

#define HALF_NANOSECOND 0.0005 /* in microseconds: numbers have whole nanoseconds */

static const char *content(const char *path) {
    return run_well("cat %s", path);
}

/* ---- the benchmark -------------------------------------------------------------------------- */

#define BENCH "--quiet --steps 4 --windows 3"

static double phases_sum(const char *json, const char *which) {
    static const char *const names[] = {"data",     "forward",  "control",
                                        "backward", "exchange", "update"};
    double sum = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        double seconds = json_number(json, text("phases.%s.%s", names[i], which));
        cr_expect_geq(seconds, 0, "%s", names[i]);
        sum += seconds;
    }
    return sum;
}

/* The layers lie in the phases, and these in the step. */
static void check_times(const char *json) {
    double step = json_number(json, "step_seconds"), layers = 0, flops = 0;
    double ranks = json_number(json, "ranks");
    cr_expect_leq(phases_sum(json, "rank0"), 1.001 * step);
    cr_expect_gt(phases_sum(json, "rank0"), 0.5 * step);
    const char *all = json_find(json, "layers");
    for (const char *layer = json_next(all, NULL); layer; layer = json_next(all, layer)) {
        layers += json_number(layer, "forward.seconds") + json_number(layer, "backward.seconds");
        flops += json_number(layer, "forward.flops") + json_number(layer, "backward.flops");
    }
    double passes =
        json_number(json, "phases.forward.mean") + json_number(json, "phases.backward.mean");
    cr_expect_leq(layers, 1.001 * passes);
    cr_expect_gt(layers, 0.5 * passes);
    cr_expect_float_eq(ranks * flops / json_number(json, "flops_per_step"), 1, 1e-6);
    cr_expect_leq(json_number(json, "backward_quantising.mean"),
                  json_number(json, "phases.backward.mean"));
}

/* What each rank gives is what the means are of, as far as nine digits tell. */
static void check_ranks(const char *json, int ranks) {
    const char *all = json_find(json, "per_rank"), *host = run_well("hostname | tr -d '\n'");
    double forward = 0, peak = 0;
    int count = 0;
    for (const char *rank = json_next(all, NULL); rank; rank = json_next(all, rank), count++) {
        cr_expect_str_eq(json_string(rank, "host"), host);
        forward += json_number(rank, "phases.forward");
        double resident = json_number(rank, "peak_resident");
        peak = resident > peak ? resident : peak;
    }
    cr_expect_eq(count, ranks);
    cr_expect_float_eq(forward / count / json_number(json, "phases.forward.mean"), 1, 2e-8);
    cr_expect_eq(peak, json_number(json, "memory.peak_resident.largest"));
    cr_expect_str_eq(json_string(json, "hosts.0"), host);
    cr_expect_null(json_find(json, "hosts.1"));
}

static const char *now(void) {
    return run_well("date -u +%%Y-%%m-%%dT%%H:%%M:%%SZ | tr -d '\n'");
}

static void check_where(const char *json, const char *before) {
    const char *info = run_well("%s info --build", program());
    cr_expect_not_null(strstr(info, json_string(json, "mpi_library")), "%s", info);
    const char *date = json_string(json, "date");
    cr_expect(strcmp(before, date) <= 0 && strcmp(date, now()) <= 0, "%s", date);
    cr_expect_str_eq(json_string(json, "exchange"), "node");
    cr_expect_str_eq(json_string(json, "exchange_sum"), "int32");
}

static void check_rest(const char *json, int ranks) {
    double size = json_number(json, "batch");
    cr_expect_eq(size, 96);
    cr_expect_eq(json_number(json, "ranks"), ranks);
    cr_expect_eq(json_number(json, "window_steps"), 4);
    cr_expect_eq(json_number(json, "lr"), 0.01, "train.lr is auto");
    double median = json_number(json, "samples_per_second.median"), seconds = 0;
    cr_expect_leq(json_number(json, "samples_per_second.min"), median);
    cr_expect_geq(json_number(json, "samples_per_second.max"), median);
    for (int i = 0; i < 3; i++)
        seconds += 4 * size / json_number(json, text("samples_per_second.windows.%d", i));
    cr_expect_float_eq(seconds / (12 * json_number(json, "step_seconds")), 1, 1e-6);
    cr_expect_null(json_find(json, "samples_per_second.windows.3"));
    cr_expect_gt(json_number(json, "sgemm_flops_per_second"), 0);
    cr_expect_gt(json_number(json, "gemm_flops_per_second"), 0);
    cr_expect_geq(json_number(json, "memory.node"), json_number(json, "memory.proportional.mean"));
    cr_expect_leq(json_number(json, "memory.proportional.largest"),
                  json_number(json, "memory.peak_resident.largest"));
    cr_expect_geq(json_number(json, "memory.node_data"), 1000 * 28 * 28);
    cr_expect_gt(json_number(json, "start_up.set_up"), 0);
    double bytes = 0;
    const char *buckets = json_find(json, "buckets");
    for (const char *bucket = json_next(buckets, NULL); bucket; bucket = json_next(buckets, bucket))
        bytes += json_number(bucket, "bytes");
    cr_expect_geq(bytes, 4 * json_number(json, "parameters"));
}

Test(bench, numbers_add_up, .fini = workspace_remove) {
    make_dataset(1000, 10);
    const char *config = make_config(), *file = text("%s/bench.json", workspace());
    for (int ranks = 1; ranks <= MOST_RANKS; ranks++) {
        const char *before = now();
        const char *table = run_well("%s %s bench %s " BENCH " --set train.lr=auto --json %s",
                                     mpirun(ranks), program(), config, file);
        cr_expect_not_null(strstr(table, text("%s: %d rank", config, ranks)), "%s", table);
        cr_expect_not_null(strstr(table, "\nresidual1/body/conv1 "), "%s", table);
        cr_expect_not_null(strstr(table, "\npeak resident "), "%s", table);
        cr_expect_eq(strstr(table, "\nbucket ") != NULL, ranks > 1, "%s", table);
        const char *json = content(file);
        json_check(json);
        check_times(json);
        check_rest(json, ranks);
        check_ranks(json, ranks);
        check_where(json, before);
    }
}

/* Which one it is depends on the machine; that it is found, tests/rank/comm.c checks. */
Test(bench, slowest_rank, .fini = workspace_remove) {
    make_dataset(1000, 10);
    const char *config = make_config(), *file = text("%s/bench.json", workspace());
    const char *table =
        run_well("%s %s bench %s " BENCH " --json %s", mpirun(2), program(), config, file);
    const char *json = content(file), *host = run_well("hostname | tr -d '\\n'");
    const char *named =
        text("\nslowest     rank %d on %s: ", (int)json_number(json, "slowest.rank"), host);
    cr_expect_not_null(strstr(table, named), "%s", table);
    cr_expect_geq(json_number(json, "slowest.seconds"), json_number(json, "slowest.mean"));
    cr_expect_gt(json_number(json, "slowest.mean"), 0);
    cr_expect_not_null(strstr(json, text("\"host\": \"%s\"", host)), "%s", json);
    const char *said = run_well("%s %s train %s --verbose --set train.lr=0.05 "
                                "--set train.epochs=2 --out %s/run 2>&1",
                                mpirun(2), program(), config, workspace());
    cr_expect_not_null(strstr(said, "\nslowest: rank "), "%s", said);
    cr_expect_not_null(strstr(said, text(" on %s, ", host)), "%s", said);
}

Test(bench, without_mpirun_and_to_standard_output, .fini = workspace_remove) {
    make_dataset(1000, 10);
    const char *json =
        run_well("%s bench %s " BENCH " --json - --set train.lr=0.003 --set exchange=flat",
                 program(), make_config());
    json_check(json); /* and nothing else is printed */
    cr_expect_str_eq(json_string(json, "exchange"), "flat");
    cr_expect_eq(json_number(json, "lr"), 0.003);
}

/* It leaves nothing behind but what was asked for. */
Test(bench, writes_no_files, .fini = workspace_remove) {
    make_dataset(1000, 10);
    const char *config = make_config(), *folder = text("%s/empty", workspace());
    run_well("mkdir %s && p=$(realpath %s) && cd %s && $p bench %s " BENCH, folder, program(),
             folder, config);
    cr_expect_not(exists("%s/*", folder));
}

/* One batch is all there is, and it is not full. */
Test(bench, less_than_a_batch, .fini = workspace_remove) {
    make_dataset(40, 10);
    const char *json =
        run_well("%s %s bench %s " BENCH " --json -", mpirun(2), program(), make_config());
    cr_expect_eq(json_number(json, "batch"), 40);
}

/* Beside the gradients, 16 slices exchange as much as 256. */
Test(bench, control_does_not_grow_with_the_slices, .fini = workspace_remove) {
    double bytes[2], exchanged[2];
    make_dataset(1024, 10);
    for (int i = 0; i < 2; i++) {
        const char *json = run_well("%s %s bench %s --quiet --steps 1 --windows 1 --json - "
                                    "--set batch.size=1024 --set batch.slices=%d",
                                    mpirun(2), program(), make_config(), i == 0 ? 16 : 256);
        bytes[i] = json_number(json, "control_bytes.largest");
        exchanged[i] = json_number(json, "exchange_bytes");
        cr_expect_gt(json_number(json, "control_messages.mean"), 0);
    }
    cr_expect_gt(bytes[0], 0);
    cr_expect_eq(bytes[0], bytes[1], "%g, %g", bytes[0], bytes[1]);
    cr_expect_eq(exchanged[0], exchanged[1], "%g, %g", exchanged[0], exchanged[1]);
}

Test(bench, refusals, .fini = workspace_remove) {
    make_dataset(200, 10);
    const char *config = make_config();
    REFUSED(WORDS("--steps", "'0'"), "%s bench %s --steps 0", program(), config);
    REFUSED(WORDS("--windows", "'many'"), "%s %s bench %s --windows many", mpirun(2), program(),
            config);
    REFUSED(WORDS("--jason", "--json"), "%s bench %s --jason x", program(), config);
    REFUSED(WORDS("bench"), "%s bench", program());
    REFUSED(WORDS("/nowhere/a.json"), "%s %s bench %s --json /nowhere/a.json", mpirun(2), program(),
            config);
    REFUSED(WORDS("/nowhere/a.trace"), "%s %s bench %s --trace /nowhere/a.trace", mpirun(2),
            program(), config);
    REFUSED(WORDS("/nowhere/a.trace"), "%s find-lr %s --out %s --trace /nowhere/a.trace", program(),
            config, workspace());
    REFUSED(WORDS("none.h5"),
            "%s bench %s --set data.file=none.h5 --json %s/a.json --trace "
            "%s/a.trace",
            program(), config, workspace(), workspace());
    cr_expect_not(exists("%s/a.*", workspace()), "a file of a run that failed");
}

/* ---- traces --------------------------------------------------------------------------------- */

/* What was seen of each rank. */
typedef struct seen {
    double ends[MOST_DEPTH]; /* of the spans around the one at hand */
    int depth;
    int names, steps, forward, backward, phases, opened, closed;
} seen;

static void take_span(const char *event, seen *rank) {
    const char *category = json_string(event, "cat");
    double start = json_number(event, "ts"), end = start + json_number(event, "dur");
    cr_expect_geq(start, 0);
    cr_expect_geq(end, start);
    while (rank->depth > 0 && rank->ends[rank->depth - 1] <= start + HALF_NANOSECOND)
        rank->depth--;
    if (rank->depth > 0)
        cr_expect_leq(end, rank->ends[rank->depth - 1] + HALF_NANOSECOND,
                      "%s at %.3f does not "
                      "nest",
                      category, start);
    cr_assert_lt(rank->depth, MOST_DEPTH);
    rank->ends[rank->depth++] = end;
    rank->steps += strcmp(category, "step") == 0;
    rank->phases += strcmp(category, "phase") == 0;
    rank->forward += strcmp(category, "forward") == 0;
    rank->backward += strcmp(category, "backward") == 0;
}

/* The events of a trace; the test fails where one is not as it should be. */
static void read_trace(const char *path, int ranks, seen *all) {
    const char *json = content(path), *events;
    json_check(json);
    events = json_find(json, "traceEvents");
    memset(all, 0, (size_t)ranks * sizeof *all);
    for (const char *event = json_next(events, NULL); event; event = json_next(events, event)) {
        int rank = (int)json_number(event, "pid");
        const char *kind = json_string(event, "ph"), *name = json_string(event, "name");
        cr_assert(rank >= 0 && rank < ranks, "pid %d", rank);
        if (strcmp(name, "process_name") == 0) {
            const char *shown = json_string(event, "args.name");
            cr_expect_eq(strncmp(shown, text("rank %d (", rank), 8), 0, "%s", shown);
            all[rank].names++;
        }
        if (*kind == 'X')
            take_span(event, &all[rank]);
        all[rank].opened += *kind == 'b';
        all[rank].closed += *kind == 'e';
    }
}

static void check_trace(const char *path, int ranks) {
    seen all[MOST_RANKS];
    read_trace(path, ranks, all);
    for (int rank = 0; rank < ranks; rank++) {
        cr_expect_eq(all[rank].names, 1);
        cr_expect_eq(all[rank].steps, TRACED_STEPS, "rank %d: %d steps", rank, all[rank].steps);
        cr_expect_geq(all[rank].phases, 6 * TRACED_STEPS);
        cr_expect_geq(all[rank].forward, 8 * TRACED_STEPS);
        cr_expect_geq(all[rank].backward, 8 * TRACED_STEPS);
        cr_expect_geq(all[rank].opened, TRACED_STEPS);
        cr_expect_eq(all[rank].opened, all[rank].closed);
    }
}

Test(trace, of_a_benchmark, .fini = workspace_remove) {
    make_dataset(1000, 10);
    const char *file = text("%s/trace.json", workspace()), *config = make_config();
    for (int ranks = 1; ranks <= MOST_RANKS; ranks += 2) {
        run_well("%s %s bench %s " BENCH " --trace %s", mpirun(ranks), program(), config, file);
        check_trace(file, ranks);
    }
    run_well("%s %s bench %s " BENCH " --trace %s --set exchange=flat", mpirun(2), program(),
             config, file);
    check_trace(file, 2);
}

/* Digest of a run's last checkpoint. */
static const char *trained(const char *out, const char *options) {
    run_well("%s %s train %s --quiet --out %s --set train.lr=0.05 --set train.epochs=2 %s",
             mpirun(2), program(), make_config(), out, options);
    return last_digest(out);
}

Test(trace, training_gives_the_same_bits, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *folder = workspace(), *file = text("%s/trace.json", folder);
    const char *plain = trained(text("%s/plain", folder), "");
    const char *traced = trained(text("%s/traced", folder), text("--trace %s", file));
    cr_expect_str_eq(plain, traced);
    check_trace(file, 2);
}

Test(trace, of_a_range_test, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *file = text("%s/trace.json", workspace());
    run_well("%s %s find-lr %s --quiet --out %s --trace %s", mpirun(3), program(), make_config(),
             workspace(), file);
    check_trace(file, 3);
}
