/* The repeats of one size: warm-up, steps that count, the exchange alone. */
#include "train/scale_measure.h"

#include <math.h>

#include "train/engine.h"
#include "train/judge.h"
#include "train/steady.h"

enum { LEAST_STEPS = 10, MOST_STEPS = 2000, EXCHANGES = 10 };
#define REPEAT_SECONDS 1.0

struct ls_scale_measure {
    ls_engine *engine;
    ls_steady steady;
};

/* ---- the engine ----------------------------------------------------------------------------- */

static ls_status check_samples(const ls_engine *engine, int64_t largest) {
    int64_t samples = ls_data_count(engine->train);
    if (largest <= samples)
        return LS_OK;
    return ls_fail(LS_ERR_INPUT,
                   "the largest size has batches of %lld samples, but there are %lld to train on: "
                   "take a smaller batch.size, or fewer ranks",
                   (long long)largest, (long long)samples);
}

static ls_status describe(const ls_engine *engine, ls_scale_size *size) {
    size->nodes = ls_comm_node_count(engine->comm);
    size->buckets = ls_exchange_buckets(engine->exchange);
    size->bytes = 0;
    for (int i = 0; i < size->buckets; i++)
        size->bytes += (double)ls_exchange_bucket_bytes(engine->exchange, i);
    return ls_comm_crowd(engine->comm, (int)engine->config->compute.threads, &size->crowd);
}

ls_status ls_scale_measure_create(ls_comm *comm, const ls_config *config, const char *name,
                                  bool judged, int64_t largest, ls_scale_size *size,
                                  ls_scale_measure **measure) {
    ls_scale_measure *made;
    ls_status status;
    LS_TRY(ls_comm_agree(comm, LS_NEW(made, 1)));
    LS_TRY_GOTO(failed, ls_engine_create(comm, config, name, judged, &made->engine));
    if (judged)
        LS_TRY_GOTO(failed, ls_judge_check(made->engine));
    LS_TRY_GOTO(failed, check_samples(made->engine, largest));
    LS_TRY_GOTO(failed, ls_steady_begin(made->engine, &made->steady));
    LS_TRY_GOTO(failed, describe(made->engine, size));
    *measure = made;
    return LS_OK;
failed:
    ls_scale_measure_free(made);
    return status;
}

void ls_scale_measure_free(ls_scale_measure *measure) {
    if (measure == NULL)
        return;
    ls_engine_free(measure->engine);
    ls_free(measure);
}

/* ---- the exchange alone --------------------------------------------------------------------- */

static void see_nothing(void *context, size_t offset, size_t count, const void *sums) {
    (void)context;
    (void)offset;
    (void)count;
    (void)sums;
}

/* One without gradients, all buckets of which start at once. */
static ls_status exchange_alone(const ls_engine *engine, double *seconds) {
    ls_exchange *exchange = engine->exchange;
    ls_exchange_begin(exchange);
    ls_exchange_add_zeros(exchange);
    LS_TRY(ls_comm_barrier(engine->comm));
    double start = ls_seconds();
    ls_exchange_final(exchange, 0);
    LS_TRY(ls_exchange_finish(exchange, see_nothing, NULL));
    *seconds = ls_seconds() - start;
    return LS_OK;
}

static ls_status measure_exchange(const ls_engine *engine, double *median) {
    double seconds[EXCHANGES];
    for (int i = 0; i < EXCHANGES; i++)
        LS_TRY(exchange_alone(engine, &seconds[i]));
    *median = ls_scale_interval(seconds, EXCHANGES).median;
    return LS_OK;
}

/* ---- steps ---------------------------------------------------------------------------------- */

/* Sums of a rank over the steps, and then its own work in each of them: one array, that travels. */
enum { SUM_COMPUTE, SUM_UPDATE, SUM_DATA, SUMS };

static void add_report(const ls_step_report *report, double *sums, int64_t step) {
    const double *seconds = report->seconds;
    sums[SUM_COMPUTE] += seconds[LS_PHASE_FORWARD] + seconds[LS_PHASE_BACKWARD];
    sums[SUM_UPDATE] += seconds[LS_PHASE_UPDATE];
    sums[SUM_DATA] += seconds[LS_PHASE_DATA];
    sums[SUMS + step] = ls_phases_work(seconds);
}

/* Sum over the steps: work of the slowest rank less the mean. */
static double sum_imbalance(const double *all, int ranks, int64_t steps) {
    double sum = 0;
    for (int64_t step = 0; step < steps; step++) {
        double mean = 0, largest = 0;
        for (int rank = 0; rank < ranks; rank++) {
            double work = all[(SUMS + steps) * rank + SUMS + step];
            mean += work / ranks;
            largest = fmax(largest, work);
        }
        sum += largest - mean;
    }
    return sum;
}

/* What is no own work and no update is waiting: for slower ranks first, and what is left for the
 * exchange. */
static void fill_row(const double *all, int ranks, int64_t steps, ls_scale_row *row) {
    static const ls_scale_phase phases[SUMS] = {LS_SCALE_COMPUTE, LS_SCALE_UPDATE, LS_SCALE_DATA};
    double left = row->step;
    for (int i = 0; i < SUMS; i++) {
        double sum = 0;
        for (int rank = 0; rank < ranks; rank++)
            sum += all[(SUMS + steps) * rank + i];
        row->phase[phases[i]] = fmin(sum / ((double)ranks * (double)steps), left);
        left -= row->phase[phases[i]];
    }
    row->phase[LS_SCALE_IMBALANCE] = fmin(sum_imbalance(all, ranks, steps) / (double)steps, left);
    row->phase[LS_SCALE_EXCHANGE] = left - row->phase[LS_SCALE_IMBALANCE];
}

static ls_status gather(ls_comm *comm, const double *mine, int64_t steps, ls_scale_row *row) {
    double *all = NULL;
    int ranks = ls_comm_size(comm);
    size_t count = (size_t)(SUMS + steps);
    bool first = ls_comm_rank(comm) == 0;
    LS_TRY(ls_comm_agree(comm, first ? LS_NEW(all, count * (size_t)ranks) : LS_OK));
    ls_status status = ls_comm_gather(comm, mine, count * sizeof *mine, all);
    if (status == LS_OK && first)
        fill_row(all, ranks, steps, row);
    ls_free(all);
    return status;
}

static ls_status run_steps(ls_scale_measure *measure, int64_t steps, double *sums,
                           ls_scale_row *row) {
    ls_comm *comm = measure->engine->comm;
    ls_step_report report;
    LS_TRY(ls_comm_barrier(comm));
    double start = ls_seconds();
    for (int64_t i = 0; i < steps; i++) {
        LS_TRY(ls_steady_step(&measure->steady, &report));
        add_report(&report, sums, i);
    }
    row->step = (ls_seconds() - start) / (double)steps;
    return gather(comm, sums, steps, row);
}

static ls_status run_repeat(ls_scale_measure *measure, int64_t *steps, ls_scale_row *row) {
    double *sums = NULL;
    ls_step_report report;
    measure->steady.done = 0;
    for (int i = 0; i < LS_SCALE_WARM_UP; i++)
        LS_TRY(ls_steady_step(&measure->steady, &report));
    LS_TRY(ls_steady_choose(&measure->steady, REPEAT_SECONDS, LEAST_STEPS, MOST_STEPS, steps));
    ls_status status = LS_NEW(sums, (size_t)(SUMS + *steps));
    status = ls_comm_agree(measure->engine->comm, status);
    if (status == LS_OK)
        status = run_steps(measure, *steps, sums, row);
    ls_free(sums);
    LS_TRY(status);
    LS_TRY(ls_engine_digest(measure->engine, row->digest));
    return measure_exchange(measure->engine, &row->alone);
}

ls_status ls_scale_measure_repeat(ls_scale_measure *measure, int64_t *steps, ls_scale_row *row) {
    ls_snapshot *first;
    LS_TRY(ls_engine_save(measure->engine, &first));
    ls_status status = run_repeat(measure, steps, row);
    ls_engine_restore(measure->engine, first);
    return status;
}
