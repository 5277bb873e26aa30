/* From the events of steps to the numbers of a benchmark: pure arithmetic. */
#include <string.h>

#include "train/bench_sums.h"

enum { FORWARD = 0, BACKWARD = 3, SECONDS = 0, FLOPS = 1, BYTES = 2 };

static size_t op_place(size_t op) {
    return LS_SUM_OPS + op * LS_SUM_OP_WIDTH;
}

static size_t bucket_place(const ls_bench_sums *sums, size_t bucket) {
    return op_place(sums->ops) + 2 * bucket;
}

ls_status ls_bench_sums_make(size_t ops, size_t buckets, ls_bench_sums *sums) {
    ls_bench_sums made = {.ops = ops, .buckets = buckets};
    made.count = bucket_place(&made, buckets);
    LS_TRY(LS_NEW(made.value, made.count));
    *sums = made;
    return LS_OK;
}

void ls_bench_sums_free(ls_bench_sums *sums) {
    ls_free(sums->value);
    *sums = (ls_bench_sums){0};
}

/* ---- on each rank --------------------------------------------------------------------------- */

/* When the backward pass ended in which a bucket became final. */
static double backward_end(const ls_recorder *recorder, const ls_event *bucket) {
    for (size_t i = 0; i < recorder->count; i++) {
        const ls_event *event = &recorder->events[i];
        if (event->kind == LS_EVENT_PHASE && event->index == LS_PHASE_BACKWARD &&
            event->end >= bucket->start)
            return event->end;
    }
    return bucket->end;
}

static void add_bucket(ls_bench_sums *sums, const ls_recorder *recorder, const ls_event *event) {
    double *value = &sums->value[bucket_place(sums, (size_t)event->index)];
    double end = backward_end(recorder, event);
    value[0] += event->end - event->start;
    value[1] += event->end > end ? event->end - end : 0;
}

void ls_bench_sums_add(ls_bench_sums *sums, const ls_step_report *report,
                       const ls_recorder *recorder) {
    for (int phase = 0; phase < LS_PHASE_COUNT; phase++)
        sums->value[LS_SUM_PHASES + phase] += report->seconds[phase];
    for (size_t i = 0; i < recorder->count; i++) {
        const ls_event *event = &recorder->events[i];
        double seconds = event->end - event->start;
        if (event->kind == LS_EVENT_FORWARD)
            sums->value[op_place((size_t)event->index) + FORWARD + SECONDS] += seconds;
        else if (event->kind == LS_EVENT_BACKWARD)
            sums->value[op_place((size_t)event->index) + BACKWARD + SECONDS] += seconds;
        else if (event->kind == LS_EVENT_GRADIENT)
            sums->value[LS_SUM_GRADIENTS] += seconds;
        else if (event->kind == LS_EVENT_FINAL)
            sums->value[LS_SUM_PROGRESS] += seconds;
        else if (event->kind == LS_EVENT_BUCKET)
            add_bucket(sums, recorder, event);
        else if (event->kind == LS_EVENT_WAIT && event->index < 0)
            sums->value[LS_SUM_NODE_WAIT] += seconds;
    }
}

static void divide(double *values, size_t count, int64_t by) {
    for (size_t i = 0; i < count; i++)
        values[i] /= (double)by;
}

void ls_bench_sums_finish(ls_bench_sums *sums, int64_t steps, const ls_plan *plan) {
    divide(sums->value, LS_SUM_SGEMM_RATE, steps);
    divide(sums->value + LS_SUM_OPS, sums->count - LS_SUM_OPS, steps);
    for (size_t op = 0; op < sums->ops && plan; op++) {
        ls_pass_work forward, backward;
        double *value = &sums->value[op_place(op)];
        ls_plan_work(plan, op, &forward, &backward);
        value[FORWARD + FLOPS] = forward.flops;
        value[FORWARD + BYTES] = forward.bytes;
        value[BACKWARD + FLOPS] = backward.flops;
        value[BACKWARD + BYTES] = backward.bytes;
    }
}

/* ---- over the ranks ------------------------------------------------------------------------- */

typedef struct all_ranks {
    const ls_bench_sums *sums;
    const double *values; /* (ranks, sums->count) */
    int ranks;
} all_ranks;

static ls_bench_spread spread(const all_ranks *all, size_t place) {
    ls_bench_spread result = {.rank0 = all->values[place]};
    for (int rank = 0; rank < all->ranks; rank++) {
        double value = all->values[(size_t)rank * all->sums->count + place];
        result.mean += value / all->ranks;
        result.largest = value > result.largest ? value : result.largest;
    }
    return result;
}

static void add_pass(const all_ranks *all, size_t place, ls_bench_pass *pass) {
    pass->seconds += spread(all, place + SECONDS).mean;
    pass->work.flops += spread(all, place + FLOPS).mean;
    pass->work.bytes += spread(all, place + BYTES).mean;
}

/* The row of a layer: operations of one layer need not follow each other. */
static ls_bench_layer *layer_row(ls_bench_result *result, const char *name, const char *kind) {
    for (size_t i = 0; i < result->layer_count; i++)
        if (strcmp(result->layers[i].name, name) == 0)
            return &result->layers[i];
    ls_bench_layer *row = &result->layers[result->layer_count++];
    *row = (ls_bench_layer){.name = name, .kind = kind};
    return row;
}

/* Of an operation to its layer, of whose operations one has names. */
static void name_kernels(const ls_plan *plan, size_t op, ls_bench_layer *row) {
    ls_pass_work forward, backward;
    ls_plan_work(plan, op, &forward, &backward);
    if (forward.kernel[0] == NULL)
        return;
    memcpy(row->forward.work.kernel, forward.kernel, sizeof forward.kernel);
    memcpy(row->backward.work.kernel, backward.kernel, sizeof backward.kernel);
}

/* "conv1/weight" belongs to "conv1", "block1/conv1/weight" to "block1/conv1". */
static bool is_of_layer(const ls_param *param, const char *layer) {
    size_t length = strlen(layer);
    return strncmp(param->name, layer, length) == 0 && param->name[length] == '/' &&
           strchr(param->name + length + 1, '/') == NULL;
}

static void count_params(const ls_net *net, ls_bench_layer *row) {
    for (size_t i = 0; i < ls_net_param_count(net); i++) {
        const ls_param *param = ls_net_param(net, i);
        if (!is_of_layer(param, row->name))
            continue;
        if (param->role == LS_PARAM_MEAN || param->role == LS_PARAM_VARIANCE)
            row->statistics += param->count;
        else
            row->parameters += param->count;
    }
}

static void fill_layers(const all_ranks *all, const ls_net *net, const ls_plan *plan,
                        ls_bench_result *result) {
    for (size_t op = 0; op < all->sums->ops; op++) {
        ls_bench_layer *row = layer_row(result, ls_net_op_layer(net, op), ls_net_op_kind(net, op));
        add_pass(all, op_place(op) + FORWARD, &row->forward);
        add_pass(all, op_place(op) + BACKWARD, &row->backward);
        if (plan)
            name_kernels(plan, op, row);
    }
    for (size_t i = 0; i < result->layer_count; i++)
        count_params(net, &result->layers[i]);
    for (size_t i = 0; i < result->layer_count; i++)
        result->flops += all->ranks * (result->layers[i].forward.work.flops +
                                       result->layers[i].backward.work.flops);
}

static void fill_ranks(const all_ranks *all, ls_bench_result *result) {
    for (int i = 0; i < all->ranks; i++) {
        const double *values = all->values + (size_t)i * all->sums->count;
        ls_bench_rank *rank = &result->rank[i];
        memcpy(rank->phase, values + LS_SUM_PHASES, sizeof rank->phase);
        rank->peak_resident = values[LS_SUM_PEAK];
        rank->proportional = values[LS_SUM_PROPORTIONAL];
    }
}

ls_status ls_bench_sums_result(const ls_bench_sums *sums, const double *values, int ranks,
                               const ls_net *net, const ls_plan *plan, ls_bench_result *result) {
    const all_ranks all = {sums, values, ranks};
    LS_TRY(LS_NEW(result->layers, sums->ops));
    LS_TRY(LS_NEW(result->buckets, sums->buckets));
    LS_TRY(LS_NEW(result->rank, (size_t)ranks));
    fill_ranks(&all, result);
    for (int phase = 0; phase < LS_PHASE_COUNT; phase++)
        result->phase[phase] = spread(&all, LS_SUM_PHASES + (size_t)phase);
    result->node_wait = spread(&all, LS_SUM_NODE_WAIT);
    result->gradients = spread(&all, LS_SUM_GRADIENTS);
    result->progress = spread(&all, LS_SUM_PROGRESS);
    result->cpu_seconds = spread(&all, LS_SUM_CPU);
    result->data_waited = spread(&all, LS_SUM_DATA_WAITED);
    result->data_read = spread(&all, LS_SUM_DATA_READ).mean * ranks;
    result->data_used = spread(&all, LS_SUM_DATA_USED).mean * ranks;
    result->data_held = spread(&all, LS_SUM_DATA_HELD);
    result->control_bytes = spread(&all, LS_SUM_CONTROL_BYTES);
    result->control_messages = spread(&all, LS_SUM_CONTROL_MESSAGES);
    result->sgemm_rate = spread(&all, LS_SUM_SGEMM_RATE).mean;
    result->gemm_rate = spread(&all, LS_SUM_GEMM_RATE).mean;
    result->peak_resident = spread(&all, LS_SUM_PEAK);
    result->proportional = spread(&all, LS_SUM_PROPORTIONAL);
    result->node_proportional = spread(&all, LS_SUM_NODE).largest;
    fill_layers(&all, net, plan, result);
    result->bucket_count = sums->buckets;
    for (size_t i = 0; i < sums->buckets; i++) {
        result->buckets[i].seconds = spread(&all, bucket_place(sums, i)).mean;
        result->buckets[i].exposed = spread(&all, bucket_place(sums, i) + 1).mean;
    }
    return LS_OK;
}
