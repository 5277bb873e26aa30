/* The benchmark: warm-up, windows of steps with every event noted, this machine's matrix products
 * between them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lockstep/trace.h"
#include "train/bench_sums.h"
#include "train/engine.h"
#include "train/steady.h"

enum { WARM_UP = 5, PRODUCTS = 3 /* before each window */, MOST_STEPS = 100000 };
#define WINDOW_SECONDS 1.0

/* Products of one type. */
typedef struct gemms {
    ls_gemm *gemm;
    double *rates;
    int64_t count;
} gemms;

typedef struct bench {
    ls_engine *engine;
    const ls_bench_job *job;
    ls_bench_result *result;
    ls_steady steady;
    ls_recorder recorder;
    ls_bench_sums sums;
    gemms sgemm, other; /* in float32; in the type in force, where that is another */
    double *sorted;     /* room for the windows' rates */
} bench;

/* ---- before the windows --------------------------------------------------------------------- */

static ls_status warm_up(bench *b) {
    int64_t steps = WARM_UP + (b->job->trace ? LS_TRACE_STEPS : 0);
    ls_step_report report;
    double start = ls_seconds();
    b->result->launch = b->job->entered - b->job->started;
    b->result->set_up = start - b->job->entered;
    for (int64_t i = 0; i < steps; i++) {
        LS_TRY(ls_steady_step(&b->steady, &report));
        if (i == 0)
            b->result->first_step = b->steady.seconds;
    }
    return LS_OK;
}

static ls_status warm_up_traced(bench *b) {
    ls_trace *trace = NULL;
    if (b->job->trace == NULL)
        return warm_up(b);
    LS_TRY(ls_trace_begin(b->engine, b->job->trace, WARM_UP, &trace));
    ls_status status = warm_up(b);
    if (status == LS_OK)
        status = ls_trace_write(trace);
    ls_trace_free(trace);
    return status;
}

/* What this rank's process takes, and all processes of its node together. */
static ls_status measure_memory(bench *b) {
    ls_comm *comm = b->engine->comm;
    int ranks = ls_comm_node_size(comm);
    ls_shared *shared;
    LS_TRY(
        ls_shared_create(comm, (size_t)ranks * sizeof(size_t), "the memory of the ranks", &shared));
    size_t *all = ls_shared_data(shared);
    ls_process_memory mine = ls_process_memory_now();
    all[ls_comm_node_rank(comm)] = mine.proportional;
    ls_comm_node_barrier(comm);
    b->sums.value[LS_SUM_PEAK] = (double)mine.peak_resident;
    b->sums.value[LS_SUM_PROPORTIONAL] = (double)mine.proportional;
    for (int rank = 0; rank < ranks; rank++)
        b->sums.value[LS_SUM_NODE] += (double)all[rank];
    ls_comm_node_barrier(comm);
    ls_shared_free(shared);
    b->result->memory = ls_engine_memory_now(b->engine);
    return LS_OK;
}

/* ---- this machine's matrix products --------------------------------------------------------- */

static ls_status make_gemms(const bench *b, ls_compute_type type, gemms *made) {
    LS_TRY(LS_NEW(made->rates, (size_t)(PRODUCTS * b->job->windows)));
    LS_TRY(ls_gemm_create(type, LS_BENCH_PRODUCT, &made->gemm));
    return ls_gemm_run(made->gemm);
}

static void free_gemms(const gemms *made) {
    ls_gemm_free(made->gemm);
    ls_free(made->rates);
}

static ls_status measure_gemms(gemms *measured) {
    for (int i = 0; i < PRODUCTS; i++) {
        double start = ls_seconds();
        LS_TRY(ls_gemm_run(measured->gemm));
        measured->rates[measured->count++] =
            2.0 * pow(LS_BENCH_PRODUCT, 3) / (ls_seconds() - start);
    }
    return LS_OK;
}

/* Collective: all ranks at the same time. */
static ls_status measure_products(bench *b) {
    LS_TRY(ls_comm_barrier(b->engine->comm));
    ls_status status = measure_gemms(&b->sgemm);
    if (status == LS_OK && b->other.gemm)
        status = measure_gemms(&b->other);
    return ls_comm_agree(b->engine->comm, status);
}

/* ---- windows -------------------------------------------------------------------------------- */

static int by_value(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Sorts. */
static double median(double *values, int64_t count) {
    qsort(values, (size_t)count, sizeof *values, by_value);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static ls_status run_window(bench *b, int64_t window) {
    ls_step_report report;
    int64_t samples = 0;
    LS_TRY(measure_products(b));
    double start = ls_seconds(), cpu = ls_process_cpu_seconds();
    for (int64_t i = 0; i < b->result->steps; i++) {
        b->recorder.count = 0;
        LS_TRY(ls_steady_step(&b->steady, &report));
        ls_bench_sums_add(&b->sums, &report, &b->recorder);
        b->result->redone += report.redone;
        samples += report.samples;
    }
    double seconds = ls_seconds() - start;
    b->sums.value[LS_SUM_CPU] += ls_process_cpu_seconds() - cpu;
    b->result->step_seconds += seconds / (double)(b->result->steps * b->job->windows);
    b->result->rates[window] = (double)samples / seconds;
    char rate[LS_DIGITS_TEXT];
    ls_log(LS_LOG_NORMAL, "window %lld/%lld: %s samples/s", (long long)window + 1,
           (long long)b->job->windows, ls_digits(b->result->rates[window], rate));
    return LS_OK;
}

/* What came from files, or other nodes, since `before`. */
static void add_traffic(bench *b, const ls_data_traffic *before) {
    const ls_data_traffic now = ls_data_traffic_now(b->engine->train);
    b->sums.value[LS_SUM_DATA_WAITED] = now.waited - before->waited;
    b->sums.value[LS_SUM_DATA_READ] = (double)(now.bytes_read - before->bytes_read);
    b->sums.value[LS_SUM_DATA_HELD] = ls_data_share(b->engine->train);
    b->sums.value[LS_SUM_DATA_USED] = (double)(now.bytes_used - before->bytes_used);
}

static void add_control(bench *b, const ls_control_traffic *before) {
    const ls_control_traffic now = ls_comm_control_traffic(b->engine->comm);
    b->sums.value[LS_SUM_CONTROL_BYTES] = (double)(now.bytes - before->bytes);
    b->sums.value[LS_SUM_CONTROL_MESSAGES] = (double)(now.messages - before->messages);
}

static ls_status run_windows(bench *b) {
    ls_bench_result *result = b->result;
    const ls_data_traffic before = ls_data_traffic_now(b->engine->train);
    const ls_control_traffic sent = ls_comm_control_traffic(b->engine->comm);
    ls_engine_record(b->engine, &b->recorder, 0, INT64_MAX);
    ls_status status = LS_OK;
    for (int64_t window = 0; status == LS_OK && window < b->job->windows; window++)
        status = run_window(b, window);
    ls_engine_record(b->engine, NULL, 0, 0);
    add_traffic(b, &before);
    add_control(b, &sent);
    LS_TRY(status);
    LS_TRY(ls_comm_agree(b->engine->comm, b->recorder.failed ? LS_ERR_SYSTEM : LS_OK));
    memcpy(b->sorted, result->rates, (size_t)b->job->windows * sizeof *b->sorted);
    result->rate_median = median(b->sorted, b->job->windows);
    result->rate_min = b->sorted[0];
    result->rate_max = b->sorted[b->job->windows - 1];
    return LS_OK;
}

/* ---- the result ----------------------------------------------------------------------------- */

static ls_status gather_hosts(ls_comm *comm, ls_bench_rank *rank) {
    char mine[LS_HOST_SIZE], *all = NULL;
    int ranks = ls_comm_rank(comm) == 0 ? ls_comm_size(comm) : 0;
    ls_host_name(mine);
    LS_TRY(ls_comm_agree(comm, LS_NEW(all, (size_t)ranks * sizeof mine)));
    ls_status status = ls_comm_gather(comm, mine, sizeof mine, all);
    for (int i = 0; i < ranks && status == LS_OK; i++)
        memcpy(rank[i].host, all + (size_t)i * sizeof mine, sizeof mine);
    ls_free(all);
    return status;
}

static ls_status gather(bench *b) {
    ls_engine *engine = b->engine;
    ls_comm *comm = engine->comm;
    const ls_batch_plan *plan;
    double *all = NULL;
    int64_t samples = ls_batch_samples(engine, ls_data_count(engine->train), 0);
    LS_TRY(ls_batch_plan_get(engine, LS_MODE_TRAIN, samples, &plan));
    gemms *typed = b->other.gemm ? &b->other : &b->sgemm;
    b->sums.value[LS_SUM_SGEMM_RATE] = median(b->sgemm.rates, b->sgemm.count);
    b->sums.value[LS_SUM_GEMM_RATE] = median(typed->rates, typed->count);
    ls_bench_sums_finish(&b->sums, b->result->steps * b->result->windows, plan->plan);
    LS_TRY(
        ls_comm_slowest(comm, ls_phases_work(b->sums.value + LS_SUM_PHASES), &b->result->slowest));
    int ranks = ls_comm_rank(comm) == 0 ? ls_comm_size(comm) : 0;
    LS_TRY(ls_comm_agree(comm, LS_NEW(all, b->sums.count * (size_t)ranks)));
    ls_status status = ls_comm_gather(comm, b->sums.value, b->sums.count * sizeof(double), all);
    if (status == LS_OK && ranks > 0)
        status = ls_bench_sums_result(&b->sums, all, ranks, engine->net, plan->plan, b->result);
    ls_free(all);
    for (size_t i = 0; i < b->result->bucket_count; i++)
        b->result->buckets[i].bytes = ls_exchange_bucket_bytes(engine->exchange, (int)i);
    LS_TRY(ls_comm_agree(comm, status));
    return gather_hosts(comm, b->result->rank);
}

static void describe(const bench *b) {
    const ls_engine *engine = b->engine;
    ls_bench_result *result = b->result;
    result->transport = ls_comm_transport();
    result->exchange = ls_exchange_mode_used(engine->exchange);
    result->addend = engine->quantizer->addend;
    result->ranks = ls_comm_size(engine->comm);
    result->nodes = ls_comm_node_count(engine->comm);
    result->threads = (int)engine->config->compute.threads;
    result->batch = ls_batch_samples(engine, ls_data_count(engine->train), 0);
    result->slices = engine->slices;
    result->type = engine->type;
    result->residence = ls_data_residence(engine->train);
    result->lr = b->steady.lr;
    result->warm_up = WARM_UP;
    result->windows = b->job->windows;
    for (size_t i = 0; i < ls_net_param_count(engine->net); i++) {
        const ls_param *param = ls_net_param(engine->net, i);
        if (param->role != LS_PARAM_MEAN && param->role != LS_PARAM_VARIANCE)
            result->parameters += (int64_t)param->count;
    }
}

static ls_status set_up(bench *b) {
    size_t buckets = (size_t)ls_exchange_buckets(b->engine->exchange);
    LS_TRY(ls_bench_sums_make(ls_net_op_count(b->engine->net), buckets, &b->sums));
    LS_TRY(LS_NEW(b->sorted, (size_t)b->job->windows));
    return LS_NEW(b->result->rates, (size_t)b->job->windows);
}

static ls_status run(bench *b) {
    ls_comm *comm = b->engine->comm;
    describe(b);
    LS_TRY(ls_comm_agree(comm, set_up(b)));
    LS_TRY(warm_up_traced(b));
    b->result->steps = b->job->steps;
    LS_TRY(ls_steady_choose(&b->steady, WINDOW_SECONDS, 1, MOST_STEPS, &b->result->steps));
    LS_TRY(measure_memory(b));
    LS_TRY(ls_comm_agree(comm, make_gemms(b, LS_COMPUTE_FLOAT32, &b->sgemm)));
    if (b->engine->type != LS_COMPUTE_FLOAT32)
        LS_TRY(ls_comm_agree(comm, make_gemms(b, b->engine->type, &b->other)));
    LS_TRY(run_windows(b));
    b->result->ended = time(NULL);
    return gather(b);
}

ls_status ls_bench(ls_engine *engine, const ls_bench_job *job, ls_bench_result *result) {
    ls_bench_result made = {0};
    bench b = {.engine = engine, .job = job, .result = &made};
    LS_REQUIRE(job->windows >= 1 && job->steps >= 0);
    LS_TRY(ls_steady_begin(engine, &b.steady));
    ls_status status = run(&b);
    ls_free(b.sorted);
    free_gemms(&b.sgemm);
    free_gemms(&b.other);
    ls_bench_sums_free(&b.sums);
    ls_recorder_free(&b.recorder);
    if (status == LS_OK && ls_comm_rank(engine->comm) == 0)
        *result = made;
    else
        ls_bench_result_free(&made);
    return status;
}

void ls_bench_result_free(ls_bench_result *result) {
    ls_free(result->transport);
    ls_free(result->rank);
    ls_free(result->layers);
    ls_free(result->buckets);
    ls_free(result->rates);
    *result = (ls_bench_result){0};
}
