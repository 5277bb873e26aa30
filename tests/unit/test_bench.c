/* bench: from events to sums, from the ranks' sums to the result, and what is printed of it.  The
 * trace's text of a rank. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "cli/bench.h"
#include "nn_check.h"
#include "train/bench_sums.h"
#include "train/trace.h"

#define TRY(expression) cr_assert_eq((expression), LS_OK, "%s: %s", #expression, ls_message())
#define NEAR(value, expected)                                                                      \
    cr_expect_float_eq(value, expected, 1e-12, "%s: %.15g", #value, (double)(value))

/* Operations: conv1, activation2, flatten3, dense4 and the loss. */
static net_network small_network(void) {
    return net_open(
        &(net_case){.input = {3, {2, 8, 8}},
                    .outputs = 10,
                    .loss = LS_LOSS_CROSS_ENTROPY,
                    .layers = NN_LIST(NN_CONV(16, 3), NN_RELU, NN_FLATTEN, NN_DENSE(10))});
}

/* ---- sums ----------------------------------------------------------------------------------- */

enum { OPS = 2, BUCKETS = 2, FIRST_BUCKET = LS_SUM_OPS + OPS * LS_SUM_OP_WIDTH };

/* A step whose backward pass ends at 10; bucket 0 is hidden, half of bucket 1 is exposed. */
static void add_example(ls_recorder *recorder) {
    ls_record(recorder, LS_EVENT_FORWARD, 0, 1, 2);
    ls_record(recorder, LS_EVENT_FORWARD, 1, 2, 5);
    ls_record(recorder, LS_EVENT_PHASE, LS_PHASE_FORWARD, 1, 5);
    ls_record(recorder, LS_EVENT_GRADIENT, 0, 6, 6.5);
    ls_record(recorder, LS_EVENT_GRADIENT, 0, 7, 7.25);
    ls_record(recorder, LS_EVENT_FINAL, 0, 7.25, 7.5);
    ls_record(recorder, LS_EVENT_BACKWARD, 1, 5, 8);
    ls_record(recorder, LS_EVENT_BUCKET, 0, 8, 9);
    ls_record(recorder, LS_EVENT_BACKWARD, 0, 8, 10);
    ls_record(recorder, LS_EVENT_PHASE, LS_PHASE_BACKWARD, 5, 10);
    ls_record(recorder, LS_EVENT_WAIT, 1, 11, 11.5);
    ls_record(recorder, LS_EVENT_BUCKET, 1, 9, 11);
    ls_record(recorder, LS_EVENT_WAIT, -1, 12, 14);
    ls_record(recorder, LS_EVENT_STEP, 7, 0, 14);
}

Test(bench, sums_of_steps) {
    ls_bench_sums sums;
    ls_recorder recorder = {0};
    ls_step_report report = {.seconds = {1, 4, 0, 5, 1, 3}};
    TRY(ls_bench_sums_make(OPS, BUCKETS, &sums));
    add_example(&recorder);
    ls_bench_sums_add(&sums, &report, &recorder);
    ls_bench_sums_add(&sums, &report, &recorder);
    ls_bench_sums_finish(&sums, 2, NULL);
    for (int phase = 0; phase < LS_PHASE_COUNT; phase++)
        NEAR(sums.value[LS_SUM_PHASES + phase], report.seconds[phase]);
    NEAR(sums.value[LS_SUM_NODE_WAIT], 2);
    NEAR(sums.value[LS_SUM_GRADIENTS], 0.75);
    NEAR(sums.value[LS_SUM_PROGRESS], 0.25);
    NEAR(sums.value[LS_SUM_OPS], 1);
    NEAR(sums.value[LS_SUM_OPS + 3], 2);
    NEAR(sums.value[LS_SUM_OPS + LS_SUM_OP_WIDTH], 3);
    NEAR(sums.value[LS_SUM_OPS + LS_SUM_OP_WIDTH + 3], 3);
    NEAR(sums.value[FIRST_BUCKET], 1);
    NEAR(sums.value[FIRST_BUCKET + 1], 0);
    NEAR(sums.value[FIRST_BUCKET + 2], 2);
    NEAR(sums.value[FIRST_BUCKET + 3], 1);
    ls_recorder_free(&recorder);
    ls_bench_sums_free(&sums);
}

/* A backward pass that was done again: each bucket is held against its own. */
Test(bench, buckets_of_a_redone_pass) {
    ls_bench_sums sums;
    ls_recorder recorder = {0};
    ls_step_report report = {0};
    TRY(ls_bench_sums_make(1, 1, &sums));
    ls_record(&recorder, LS_EVENT_PHASE, LS_PHASE_BACKWARD, 0, 2);
    ls_record(&recorder, LS_EVENT_BUCKET, 0, 1, 5);
    ls_record(&recorder, LS_EVENT_PHASE, LS_PHASE_BACKWARD, 6, 10);
    ls_record(&recorder, LS_EVENT_BUCKET, 0, 9, 11);
    ls_bench_sums_add(&sums, &report, &recorder);
    NEAR(sums.value[LS_SUM_OPS + LS_SUM_OP_WIDTH], 4 + 2);
    NEAR(sums.value[LS_SUM_OPS + LS_SUM_OP_WIDTH + 1], 3 + 1);
    ls_recorder_free(&recorder);
    ls_bench_sums_free(&sums);
}

Test(bench, result_of_two_ranks) {
    static const int64_t samples[] = {4, 3};
    net_network network = small_network();
    ls_plan *plan = net_plan(&network, LS_MODE_TRAIN, 2, samples, 0);
    size_t ops = ls_net_op_count(network.net);
    ls_bench_sums sums;
    ls_bench_result result = {.ranks = 2};
    TRY(ls_bench_sums_make(ops, 1, &sums));
    ls_bench_sums_finish(&sums, 1, plan);
    sums.value[LS_SUM_PHASES + LS_PHASE_UPDATE] = 2;
    sums.value[LS_SUM_SGEMM_RATE] = 30;
    sums.value[LS_SUM_GEMM_RATE] = 60;
    sums.value[LS_SUM_NODE] = 500;
    sums.value[LS_SUM_PROPORTIONAL] = 200;
    sums.value[LS_SUM_OPS] = 0.5; /* conv1, forward */
    double *all = ls_calloc(2 * sums.count, sizeof *all);
    memcpy(all, sums.value, sums.count * sizeof *all);
    memcpy(all + sums.count, sums.value, sums.count * sizeof *all);
    all[sums.count + LS_SUM_PHASES + LS_PHASE_UPDATE] = 6;
    all[sums.count + LS_SUM_SGEMM_RATE] = 50;
    all[sums.count + LS_SUM_OPS] = 1.5;
    TRY(ls_bench_sums_result(&sums, all, 2, network.net, plan, &result));
    NEAR(result.phase[LS_PHASE_UPDATE].rank0, 2);
    NEAR(result.phase[LS_PHASE_UPDATE].mean, 4);
    NEAR(result.phase[LS_PHASE_UPDATE].largest, 6);
    NEAR(result.rank[0].phase[LS_PHASE_UPDATE], 2);
    NEAR(result.rank[1].phase[LS_PHASE_UPDATE], 6);
    NEAR(result.rank[1].proportional, 200);
    NEAR(result.sgemm_rate, 40);
    NEAR(result.gemm_rate, 60);
    NEAR(result.node_proportional, 500);
    cr_expect_str_eq(result.layers[0].name, "conv1");
    NEAR(result.layers[0].forward.seconds, 1);
    cr_expect_str_eq(result.layers[result.layer_count - 1].name, "loss");
    cr_expect_not_null(result.layers[0].forward.work.kernel[0]);
    cr_expect_not_null(result.layers[0].backward.work.kernel[0]);
    cr_expect_null(result.layers[0].backward.work.kernel[1],
                   "the first layer has no such gradient");
    cr_expect_null(result.layers[result.layer_count - 1].forward.work.kernel[0]);
    double flops = 7 * ls_net_forward_flops(network.net);
    double first = result.layers[0].forward.work.flops;
    cr_expect_gt(first, 0);
    NEAR(result.flops, 2 * (3 * flops - first)); /* both ranks have all samples here */
    ls_free(all);
    ls_bench_result_free(&result);
    ls_bench_sums_free(&sums);
    ls_plan_free(plan);
    net_close(&network);
}

/* ---- what is printed ------------------------------------------------------------------------ */

enum { MANY_BUCKETS = 12 };

static double rates[] = {900, 1100, 1000};
static ls_bench_bucket buckets[MANY_BUCKETS];
static ls_bench_layer layers[] = {
    {"conv1",
     "conv",
     144,
     0,
     {0.010, {4e8, 1e6, {"jit:avx2"}}},
     {0.020, {4e8, 2e6, {LS_OWN_LOOPS, "jit:avx2"}}}},
    {"dense\"2\"", "dense", 80, 0, {0.004, {2e8, 8e6, {NULL}}}, {0.010, {4e8, 16e6, {NULL}}}},
    {"conv3",
     "conv",
     9,
     0,
     {0.010, {2e8, 1e6, {LS_WINOGRAD}}},
     {0.020, {4e8, 2e6, {"jit", "jit"}}}},
    {"pool", "max_pool", 0, 0, {0, {0, 0, {LS_OWN_LOOPS}}}, {0, {0, 0, {LS_OWN_LOOPS}}}},
    {"loss", "loss", 0, 0, {0, {0, 0, {NULL}}}, {0, {0, 0, {NULL}}}},
};

static ls_bench_rank example_ranks[] = {
    {"no\"de", {[LS_PHASE_FORWARD] = 0.024, [LS_PHASE_BACKWARD] = 0.05}, 1 << 20, 1 << 20},
    {"node7", {[LS_PHASE_FORWARD] = 0.026, [LS_PHASE_BACKWARD] = 0.05}, 3 << 20, (double)NAN},
    {"no\"de", {0}, 0, 0},
};

static ls_bench_result example(void) {
    for (int i = 0; i < MANY_BUCKETS; i++)
        buckets[i] = (ls_bench_bucket){1024 * 1024, 0.003, i < 10 ? 0 : 0.001};
    return (ls_bench_result){
        .ended = 86400 + 3661,
        .exchange = LS_EXCHANGE_FLAT,
        .addend = LS_ADDEND_INT64,
        .rank = example_ranks,
        .ranks = 2,
        .nodes = 1,
        .threads = 2,
        .batch = 100,
        .slices = 4,
        .parameters = 1230000,
        .lr = 0.01,
        .warm_up = 5,
        .steps = 20,
        .windows = 3,
        .rates = rates,
        .rate_median = 1000,
        .rate_min = 900,
        .rate_max = 1100,
        .step_seconds = 0.102,
        .phase =
            {[LS_PHASE_FORWARD] = {0.024, 0.025, 0.026}, [LS_PHASE_BACKWARD] = {0.05, 0.05, 0.05}},
        .gradients = {0.002, 0.002, 0.002},
        .cpu_seconds = {0.1, 0.1, 0.1},
        .slowest = {.rank = 1, .host = "node7", .seconds = 0.08, .mean = 0.075},
        .node_wait = {0.001, 0.001, 0.001},
        .buckets = buckets,
        .bucket_count = MANY_BUCKETS,
        .layers = layers,
        .layer_count = 5,
        .flops = 4e9,
        .sgemm_rate = 40e9,
        .gemm_rate = 40e9,
        .peak_resident = {1 << 20, 2 << 20, 3 << 20},
        .proportional = {1 << 20, 1 << 20, (double)NAN},
        .node_proportional = 2 << 20,
        .memory = {.data = 10 << 20, .network = 5 << 20},
        .launch = 0.2,
        .set_up = 0.3,
        .first_step = 0.1};
}

static void has(const ls_text *text, const char *part) {
    cr_expect(strstr(text->data, part) != NULL, "no '%s' in:\n%s", part, text->data);
}

Test(bench, table) {
    ls_text table = {0};
    ls_bench_result result = example();
    ls_bench_table("a.yaml", &result, &table);
    cr_assert_not(table.failed);
    has(&table, "a.yaml: 2 ranks on 1 node, batch 100 in 4 slices, 1.23 M parameters\n");
    has(&table,
        "\n2 threads a rank, 3 windows of 20 steps after 5 of warm-up, learning rate 0.01,");
    has(&table, "samples/s   1000 median, 900 to 1100 over the windows\n");
    has(&table, "step        102 ms mean, 100 of them on a processor\n");
    has(&table, "20.0 GF/s a rank in dense and conv layers: 50 % of its SGEMM's 40.0");
    has(&table, "slowest     rank 1 on node7: 80.0 ms of a step in data, forward and backward; "
                "mean 75.0\n");
    has(&table, "start-up    0.60 s: 0.20 until MPI was there, 0.30 set-up, 0.10 first step\n");
    has(&table, "\nforward                       24.0      25.0      26.0   24.5 %\n");
    has(&table, "\n0 to 3, mean                  1024      3.00      3.00         -\n");
    has(&table, "\n11                            1024      3.00      2.00      1.00\n");
    has(&table, "\nconv1                         10.0    40.0    0.10      20.0    20.0    0.10   "
                "29.4 %\n");
    has(&table, "\n2 conv                        20.0    30.0    0.10      40.0    20.0    0.10   "
                "58.8 %\n");
    has(&table, "\nloss                             -       -       -         -       -       -    "
                "0.0 %\n");
    has(&table, "\npeak resident                 1.00      2.00      3.00  shared pages in full\n");
    has(&table, "\nown loops   conv1 (gradient of the weights), pool\nwinograd    conv3\n");
    has(&table, "for the node: data 10.0, weights and momentum 0.0, gradients 0.0;\n");
    cr_expect_null(strstr(table.data, " \n"), "spaces at a line's end:\n%s", table.data);
    ls_text_free(&table);
}

Test(bench, table_in_bf16) {
    ls_text table = {0};
    ls_bench_result result = example();
    result.type = LS_COMPUTE_BF16;
    result.gemm_rate = 80e9;
    ls_bench_table("a.yaml", &result, &table);
    has(&table, ": 25 % of its bf16 product's 80.0, 50 % of its SGEMM's 40.0 (1024 x 1024)\n");
    ls_text_free(&table);
}

Test(bench, table_of_one_rank) {
    ls_text table = {0};
    ls_bench_result result = example();
    result.ranks = 1;
    result.redone = 2;
    result.threads = 1;
    ls_bench_table("a.yaml", &result, &table);
    has(&table, "a.yaml: 1 rank on 1 node,");
    has(&table, "\n3 windows of 20 steps");
    has(&table, "on a processor; 2 backward passes done again\n");
    cr_expect_null(strstr(table.data, "bucket"), "nothing travels:\n%s", table.data);
    cr_expect_null(strstr(table.data, "waiting for the node"), "nobody to wait for");
    ls_text_free(&table);
}

Test(bench, json) {
    ls_text json = {0};
    ls_bench_result result = example();
    result.ranks = 3; /* the third on the host of the first */
    ls_bench_json("a \"b\".yaml", &result, &json);
    cr_assert_not(json.failed);
    has(&json, "{\n  \"config\": \"a \\\"b\\\".yaml\",\n");
    has(&json, "\"samples_per_second\": {\"median\": 1000, \"min\": 900, \"max\": 1100, "
               "\"windows\": [900, 1100, 1000]}");
    has(&json, "\"forward\": {\"rank0\": 0.024, \"mean\": 0.025, \"largest\": 0.026}");
    has(&json, "{\"bytes\": 1048576, \"seconds\": 0.003, \"hidden_seconds\": 0.002, "
               "\"exposed_seconds\": 0.001}");
    has(&json, "{\"name\": \"dense\\\"2\\\"\", \"kind\": \"dense\", \"parameters\": 80, "
               "\"statistics\": 0, \"forward\": {\"seconds\": 0.004, \"flops\": 200000000, "
               "\"bytes\": 8000000, \"kernels\": []}");
    has(&json, "\"bytes\": 2000000, \"kernels\": [\"own loops\", \"jit:avx2\"]}");
    has(&json, "\"proportional\": {\"rank0\": 1048576, \"mean\": 1048576, \"largest\": null}");
    has(&json, "\n  \"date\": \"1970-01-02T01:01:01Z\",\n");
    has(&json, "\n  \"mpi_transport\": null,\n  \"exchange\": \"flat\",\n  \"exchange_sum\": "
               "\"int64\",\n");
    has(&json, "\n  \"hosts\": [\"no\\\"de\", \"node7\"],\n");
    has(&json,
        "\n    {\"host\": \"node7\", \"phases\": {\"data\": 0, \"forward\": 0.026, \"control\": 0, "
        "\"backward\": 0.05, \"exchange\": 0, \"update\": 0}, \"peak_resident\": 3145728, "
        "\"proportional\": null}");
    has(&json, "\"start_up\": {\"mpi\": 0.2, \"set_up\": 0.3, \"first_step\": 0.1}\n}\n");
    ls_text_free(&json);
}

/* ---- a trace -------------------------------------------------------------------------------- */

Test(trace, events_of_a_rank) {
    net_network network = small_network();
    ls_recorder recorder = {0};
    ls_text text = {0};
    /* another host: its clock is 100 s behind rank 0's */
    ls_trace_rank rank = {.rank = 3,
                          .host = "no\"de",
                          .net = network.net,
                          .begun = 101,
                          .offset = {.seconds = 100, .error = 2e-6}};
    ls_record(&recorder, LS_EVENT_FORWARD, 0, 1.5, 1.75);
    ls_record(&recorder, LS_EVENT_GRADIENT, 1, 1.8, 1.9);
    ls_record(&recorder, LS_EVENT_BUCKET, 2, 1.9, 2);
    ls_record(&recorder, LS_EVENT_WAIT, 2, 1.95, 2);
    ls_record(&recorder, LS_EVENT_WAIT, -1, 2, 2.5);
    ls_record(&recorder, LS_EVENT_PHASE, LS_PHASE_UPDATE, 2, 2.5);
    ls_record(&recorder, LS_EVENT_STEP, 7, 1, 3);
    ls_trace_text(&rank, &recorder, &text);
    cr_expect_str_eq(
        text.data,
        "{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":3,\"args\":{\"name\":\"rank 3 "
        "(no\\\"de)\"}},\n"
        "{\"name\":\"process_sort_index\",\"ph\":\"M\",\"pid\":3,\"args\":{\"sort_index\":3}},\n"
        "{\"name\":\"process_labels\",\"ph\":\"M\",\"pid\":3,\"args\":{\"labels\":\"clock shifted "
        "to rank 0's, to 2.0 us\"}},\n"
        "{\"name\":\"step 7\",\"cat\":\"step\",\"ph\":\"X\",\"pid\":3,\"tid\":0,\"ts\":0.000,"
        "\"dur\":2000000.000},\n"
        "{\"name\":\"conv1\",\"cat\":\"forward\",\"ph\":\"X\",\"pid\":3,\"tid\":0,"
        "\"ts\":500000.000,\"dur\":250000.000},\n"
        "{\"name\":\"conv1/bias\",\"cat\":\"gradient\",\"ph\":\"X\",\"pid\":3,\"tid\":0,"
        "\"ts\":800000.000,\"dur\":100000.000},\n"
        "{\"name\":\"bucket 2\",\"cat\":\"exchange\",\"ph\":\"b\",\"pid\":3,\"tid\":0,"
        "\"id\":\"3.2\",\"ts\":900000.000},\n"
        "{\"name\":\"bucket 2\",\"cat\":\"exchange\",\"ph\":\"e\",\"pid\":3,\"tid\":0,"
        "\"id\":\"3.2\",\"ts\":1000000.000},\n"
        "{\"name\":\"wait for bucket 2\",\"cat\":\"wait\",\"ph\":\"X\",\"pid\":3,\"tid\":0,"
        "\"ts\":950000.000,\"dur\":50000.000},\n"
        "{\"name\":\"update\",\"cat\":\"phase\",\"ph\":\"X\",\"pid\":3,\"tid\":0,"
        "\"ts\":1000000.000,\"dur\":500000.000},\n"
        "{\"name\":\"wait for the node's ranks\",\"cat\":\"wait\",\"ph\":\"X\",\"pid\":3,"
        "\"tid\":0,\"ts\":1000000.000,\"dur\":500000.000}");
    ls_text_free(&text);
    ls_recorder_free(&recorder);
    net_close(&network);
}

/* An offset that cannot be told from none is none: the ranks of a host have one clock. */
Test(trace, one_clock_of_a_host) {
    net_network network = small_network();
    ls_recorder recorder = {0};
    ls_text text = {0};
    ls_trace_rank rank = {.host = "node",
                          .net = network.net,
                          .begun = 1,
                          .offset = {.seconds = -3e-6, .error = 4e-6}};
    ls_record(&recorder, LS_EVENT_STEP, 0, 2, 3);
    ls_trace_text(&rank, &recorder, &text);
    cr_expect_null(strstr(text.data, "process_labels"));
    cr_expect_not_null(strstr(text.data, "\"ts\":1000000.000"), "%s", text.data);
    ls_text_free(&text);
    ls_recorder_free(&recorder);
    net_close(&network);
}
