/* The steps of a training whose network does not compute: it takes the time that `lockstep bench`
 * has measured, layer by layer.  Everything else is real: src/train's step, quantizer, statistics
 * and update, all of src/comm and src/base.  Runs under any MPI, and under SimGrid's, where
 * sleeping costs no time and a host can be one of a thousand.
 *
 * simulate NETWORK SLICES STEPS [numbers]: `numbers` also computes gradients, made up but the same
 * on any number of ranks, and prints a digest of their sums; without, the arrays hold anything.
 * NETWORK, of one slice, s: "layer NAME dense|other PARAMETERS STATISTICS FORWARD BACKWARD" in
 * forward order, then "update SECONDS" of all parameters.  Prints one line of JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lockstep/mpi.h"
#include "simulate/collectives.h"
#include "train/engine.h"

enum {
    MOST_LAYERS = 1024,
    SLICE_SAMPLES = 32,
    PIECE = 64 * LS_CHUNK, /* of a dense layer's gradient: it becomes final block by block */
    SHARED_BYTES = 1 << 18 /* arrays from here on are one for all ranks, where that is simulated */
};

typedef struct layer {
    char name[96], kind[16];
    size_t parameters, offset, statistics, param; /* param: its index, if it has parameters */
    double forward, backward;
} layer;

struct ls_net {
    layer layers[MOST_LAYERS];
    size_t layer_count, param_count, size, statistics;
    ls_param params[MOST_LAYERS];
    double update;
};

struct ls_plan {
    const ls_net *net;
    int slots, first;
};

struct ls_data {
    int64_t samples;
};

static bool with_numbers;
static double owed;              /* time that was not slept yet */
static double update_of_element; /* s */
static ls_batch_plan batch;

/* ---- time ----------------------------------------------------------------------------------- */

/* Sleeps, but not for less than a clock can: what a sleep took too long is left out of the next. */
static void work(double seconds) {
    const double least = 2e-4;
    owed += seconds;
    if (owed < least)
        return;
    const struct timespec nap = {(time_t)owed, (long)((owed - (double)(time_t)owed) * 1e9)};
    const double start = ls_seconds();
    nanosleep(&nap, NULL);
    owed -= ls_seconds() - start;
}

#ifdef SIMULATED
/* Without numbers the ranks, threads of one process, need no large arrays of their own. */
void *__real_ls_calloc(size_t count, size_t size);
void *__wrap_ls_calloc(size_t count, size_t size);

void *__wrap_ls_calloc(size_t count, size_t size) {
    if (with_numbers || count * size < SHARED_BYTES)
        return __real_ls_calloc(count, size);
    return SMPI_SHARED_MALLOC(count * size);
}
#endif

/* ---- the network ---------------------------------------------------------------------------- */

static ls_status add_layer(ls_net *net, const char *line) {
    LS_REQUIRE(net->layer_count < MOST_LAYERS);
    layer *l = &net->layers[net->layer_count];
    if (sscanf(line, "layer %95s %15s %zu %zu %lf %lf", l->name, l->kind, &l->parameters,
               &l->statistics, &l->forward, &l->backward) != 6)
        return ls_fail(LS_ERR_INPUT,
                       "expected 'layer NAME dense|other PARAMETERS STATISTICS "
                       "FORWARD BACKWARD' or 'update SECONDS', not '%s'",
                       line);
    l->offset = net->size;
    l->param = net->param_count;
    net->layer_count++;
    net->statistics += l->statistics;
    if (l->parameters == 0)
        return LS_OK;
    net->params[net->param_count++] = (ls_param){.name = l->name,
                                                 .role = LS_PARAM_WEIGHT,
                                                 .ndims = 1,
                                                 .shape = {(int64_t)l->parameters},
                                                 .count = l->parameters,
                                                 .offset = l->offset};
    net->size += (l->parameters + 15) / 16 * 16;
    return LS_OK;
}

static ls_status read_network(const char *path, ls_net *net) {
    char line[256];
    FILE *file = fopen(path, "r");
    ls_status status = LS_OK;
    if (file == NULL)
        return ls_fail(LS_ERR_INPUT, "cannot open '%s'", path);
    while (status == LS_OK && fgets(line, sizeof line, file))
        if (sscanf(line, "update %lf", &net->update) != 1)
            status = add_layer(net, line);
    fclose(file);
    if (status == LS_OK && net->size == 0)
        status = ls_fail(LS_ERR_INPUT, "%s: no layer has parameters", path);
    return status;
}

size_t ls_net_param_count(const ls_net *net) {
    return net->param_count;
}

const ls_param *ls_net_param(const ls_net *net, size_t index) {
    return &net->params[index];
}

size_t ls_net_trained_size(const ls_net *net) {
    return net->size;
}

size_t ls_net_statistics_size(const ls_net *net) {
    return net->statistics;
}

void ls_net_params_changed(ls_net *net) {
    (void)net;
}

void ls_net_record(ls_net *net, ls_recorder *recorder) {
    (void)net;
    (void)recorder;
}

void ls_net_round(size_t count, const float *flat, uint16_t *rounded) {
    (void)count;
    (void)flat;
    (void)rounded;
}

/* ---- passes --------------------------------------------------------------------------------- */

int ls_plan_slots(const ls_plan *plan) {
    return plan->slots;
}

int64_t ls_plan_samples(const ls_plan *plan, int slot) {
    (void)plan;
    (void)slot;
    return SLICE_SAMPLES;
}

/* Element i of array `stream` of a slice, in [-1, 1): four at a time. */
static void make_up(int slice, size_t stream, size_t first, size_t count, float *out) {
    const uint32_t key[2] = {(uint32_t)stream, 1};
    uint32_t words[4];
    for (size_t i = 0; i < count; i += 4) {
        const uint32_t counter[4] = {(uint32_t)((first + i) / 4), (uint32_t)slice};
        ls_philox(key, counter, words);
        for (size_t j = 0; j < 4 && i + j < count; j++)
            out[i + j] = 2 * ls_unit_float(words[j]) - 1;
    }
}

void ls_plan_statistics(const ls_plan *plan, int slot, float *out) {
    make_up(plan->first + slot, MOST_LAYERS, 0, plan->net->statistics, out);
}

ls_status ls_plan_forward(ls_plan *plan, uint64_t seed, uint32_t epoch) {
    (void)seed;
    (void)epoch;
    for (size_t i = 0; i < plan->net->layer_count; i++)
        work(plan->slots * plan->net->layers[i].forward);
    return LS_OK;
}

static void give_numbers(const ls_plan *plan, const layer *l, size_t first, size_t end,
                         const ls_grad_sink *sink) {
    float gradient[LS_CHUNK];
    for (int slot = 0; slot < plan->slots; slot++)
        for (size_t at = first; at < end; at += LS_CHUNK) {
            size_t count = end - at < LS_CHUNK ? end - at : LS_CHUNK;
            make_up(plan->first + slot, l->param, at, count, gradient);
            sink->block(sink->context, slot, l->param, l->offset + at, count, gradient);
        }
}

/* Of the pieces, the last one first. */
static void give(const ls_plan *plan, const layer *l, size_t piece, double seconds,
                 const ls_grad_sink *sink) {
    if (l->parameters == 0)
        work(seconds);
    for (size_t end = l->parameters, first; end > 0; end = first) {
        first = (end - 1) / piece * piece;
        work(seconds * (double)(end - first) / (double)l->parameters);
        if (with_numbers)
            give_numbers(plan, l, first, end, sink);
        sink->final(sink->context, l->offset + first, end - first);
    }
}

/* Takes all slices at once; other layers see a slice pass them all before the next one. */
static bool is_dense(const layer *l) {
    return strcmp(l->kind, "dense") == 0;
}

ls_status ls_plan_backward(ls_plan *plan, float loss_scale, const ls_grad_sink *sink) {
    const layer *layers = plan->net->layers;
    (void)loss_scale;
    for (size_t end = plan->net->layer_count, first; end > 0; end = first) {
        double before = 0; /* of one slice in layers [first, end) */
        first = end - 1;
        if (is_dense(&layers[first])) {
            give(plan, &layers[first], PIECE, plan->slots * layers[first].backward, sink);
            continue;
        }
        while (first > 0 && !is_dense(&layers[first - 1]))
            first--;
        for (size_t i = first; i < end; i++)
            before += layers[i].backward;
        work((plan->slots - 1) * before);
        for (size_t i = end; i > first; i--)
            give(plan, &layers[i - 1], layers[i - 1].parameters, layers[i - 1].backward, sink);
    }
    return LS_OK;
}

/* ---- batches -------------------------------------------------------------------------------- */

int64_t ls_data_count(const ls_data *data) {
    return data->samples;
}

int64_t ls_batch_samples(const ls_engine *engine, int64_t count, int64_t number) {
    (void)engine;
    (void)number;
    return count;
}

int64_t ls_engine_steps_per_epoch(const ls_engine *engine) {
    return engine->steps_per_epoch;
}

void ls_slice_samples(int64_t samples, int slices, int slice, int64_t *first, int64_t *count) {
    *count = samples / slices;
    *first = slice * *count;
}

ls_status ls_batch_plan_get(ls_engine *engine, ls_mode mode, int64_t samples,
                            const ls_batch_plan **plan) {
    (void)engine;
    (void)mode;
    (void)samples;
    *plan = &batch;
    return LS_OK;
}

void ls_data_poll(const ls_data *data) {
    (void)data;
}

ls_status ls_batch_begin(const ls_engine *engine, const ls_data *data, int64_t samples,
                         int64_t epoch, int64_t number) {
    (void)engine;
    (void)data;
    (void)samples;
    (void)epoch;
    (void)number;
    return LS_OK;
}

ls_status ls_batch_fill(ls_engine *engine, const ls_batch_plan *plan, const ls_data *data,
                        int64_t epoch, int64_t number) {
    (void)engine;
    (void)plan;
    (void)data;
    (void)epoch;
    (void)number;
    return LS_OK;
}

void ls_batch_publish(ls_engine *engine, const ls_batch_plan *plan, ls_status status) {
    (void)plan;
    for (int slice = engine->first_slice; slice < engine->end_slice; slice++)
        *(ls_forward_row *)ls_gather_mine(engine->control->rows, slice) =
            (ls_forward_row){.loss = slice, .constant = slice, .status = status};
}

/* ---- the update ----------------------------------------------------------------------------- */

static void update(const ls_hyper *hyper, size_t count, const float *gradient, float *const *states,
                   float *w) {
    (void)hyper;
    (void)gradient;
    (void)states;
    (void)w;
    work((double)count * update_of_element);
}

static const ls_optimizer no_optimizer = {.name = "none", .update = update};

/* ---- steps ---------------------------------------------------------------------------------- */

typedef struct simulation {
    ls_engine engine;
    ls_weights weights;
    ls_config config;
    ls_net net;
    ls_plan plan;
    ls_data data;
    double *seconds; /* of each step */
    double phase[LS_PHASE_COUNT];
} simulation;

static ls_status make_engine(ls_comm *comm, simulation *s, int slices) {
    ls_engine *engine = &s->engine;
    *engine = (ls_engine){.comm = comm,
                          .config = &s->config,
                          .train = &s->data,
                          .net = &s->net,
                          .slices = slices,
                          .steps_per_epoch = 1,
                          .weights = &s->weights};
    LS_REQUIRE(slices >= ls_comm_size(comm));
    ls_slice_range(slices, ls_comm_size(comm), ls_comm_rank(comm), &engine->first_slice,
                   &engine->end_slice);
    s->plan = (ls_plan){&s->net, engine->end_slice - engine->first_slice, engine->first_slice};
    s->data.samples = (int64_t)slices * SLICE_SAMPLES;
    s->weights = (ls_weights){.comm = comm, .net = &s->net, .optimizer = &no_optimizer};
    update_of_element = s->net.update / (double)s->net.size;
    batch = (ls_batch_plan){.plan = &s->plan, .samples = s->data.samples};
    LS_TRY(LS_NEW(batch.slice, (size_t)s->plan.slots));
    for (int slot = 0; slot < s->plan.slots; slot++)
        batch.slice[slot] = engine->first_slice + slot;
    LS_TRY(LS_NEW(s->weights.params, s->net.size));
    LS_TRY(LS_NEW(s->weights.frozen, s->net.param_count));
    LS_TRY(ls_quantizer_create(comm, &s->net, LS_EXCHANGE_FIXED, slices, &engine->quantizer));
    LS_TRY(ls_exchange_create(comm, LS_EXCHANGE_AUTO, engine->quantizer->addend, s->net.size,
                              &engine->exchange));
    LS_TRY(ls_updater_create(comm, &s->config.train, &s->weights, engine->quantizer,
                             engine->exchange, &engine->updater));
    return ls_control_create(comm, &s->net, slices, &engine->control);
}

static ls_decision go_on(void *context, const ls_step_report *report) {
    (void)context;
    (void)report;
    return (ls_decision){.lr = 0.1, .momentum = 0.9};
}

/* After one that does not count, unless a single one is all: with numbers the first is done twice,
 * to find the exponents. */
static ls_status run_steps(simulation *s, int steps) {
    ls_decision decision;
    ls_step_report report;
    s->engine.quantizer->calibrated = !with_numbers;
    for (int i = with_numbers || steps > 1 ? -1 : 0; i < steps; i++) {
        const double start = ls_seconds();
        LS_TRY(ls_engine_step(&s->engine, 0, 0, go_on, NULL, &decision, &report));
        if (i < 0)
            continue;
        s->seconds[i] = ls_seconds() - start;
        for (int phase = 0; phase < LS_PHASE_COUNT; phase++)
            s->phase[phase] += report.seconds[phase] / steps;
    }
    return LS_OK;
}

static void add_sums(void *context, size_t offset, size_t count, const void *sums) {
    const uint64_t place = offset;
    ls_hash_add(context, &place, sizeof place);
    ls_hash_add(context, sums, count * sizeof(int32_t));
}

static void add_wide_sums(void *context, size_t offset, size_t count, const void *sums) {
    const uint64_t place = offset;
    ls_hash_add(context, &place, sizeof place);
    ls_hash_add(context, sums, count * sizeof(int64_t));
}

/* Of the last step; a rank sees all of them where it is alone on its node. */
static ls_status digest_sums(const simulation *s, char text[LS_DIGEST_TEXT]) {
    ls_hash *hash;
    bool wide = s->engine.quantizer->addend == LS_ADDEND_INT64;
    LS_TRY(ls_hash_create(&hash));
    ls_exchange_visit_sums(s->engine.exchange, wide ? add_wide_sums : add_sums, hash);
    ls_hash_text(hash, text);
    ls_hash_free(hash);
    return LS_OK;
}

static int by_value(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static ls_status tell(const simulation *s, int steps, double latency) {
    char digest[LS_DIGEST_TEXT] = "";
    const ls_comm *comm = s->engine.comm;
    if (with_numbers && ls_comm_node_size(comm) == 1)
        LS_TRY(digest_sums(s, digest));
    qsort(s->seconds, (size_t)steps, sizeof *s->seconds, by_value);
    printf(
        "{\"ranks\": %d, \"nodes\": %d, \"slices\": %d, \"parameters\": %zu, \"steps\": %d, "
        "\"latency\": %.9g, \"step_seconds\": %.9g, \"least\": %.9g, \"most\": %.9g, \"phases\": {",
        ls_comm_size(comm), ls_comm_node_count(comm), s->engine.slices, s->net.size, steps, latency,
        (s->seconds[(steps - 1) / 2] + s->seconds[steps / 2]) / 2, s->seconds[0],
        s->seconds[steps - 1]);
    for (int phase = 0; phase < LS_PHASE_COUNT; phase++)
        printf("%s\"%s\": %.9g", phase ? ", " : "", ls_phase_name((ls_phase)phase),
               s->phase[phase]);
    printf("}, \"digest\": \"%s\"}\n", digest);
    return LS_OK;
}

static void free_engine(simulation *s) {
    ls_engine *engine = &s->engine;
    ls_control_free(engine->control);
    ls_updater_free(engine->updater);
    ls_exchange_free(engine->exchange);
    ls_quantizer_free(engine->quantizer);
    ls_free(s->weights.frozen);
    ls_free(s->weights.params);
    ls_free(batch.slice);
    ls_free(s->seconds);
}

static ls_status simulate(ls_comm *comm, simulation *s, const char *path, int slices, int steps) {
    LS_REQUIRE(steps > 0);
    LS_TRY(ls_comm_agree(comm, read_network(path, &s->net)));
    LS_TRY(LS_NEW(s->seconds, (size_t)steps));
    LS_TRY(make_engine(comm, s, slices));
    ls_clock_offset offset;
    ls_slowest farthest;
    LS_TRY(ls_comm_clock_offset(comm, &offset));
    LS_TRY(ls_comm_slowest(comm, offset.error, &farthest));
    LS_TRY(run_steps(s, steps));
    return ls_comm_rank(comm) == 0 ? tell(s, steps, farthest.seconds) : LS_OK;
}

int main(int argc, char **argv) {
    ls_comm *comm = NULL;
    simulation *s = NULL;
    MPI_Init(&argc, &argv);
    if (argc < 4) {
        fprintf(stderr, "usage: simulate NETWORK SLICES STEPS [numbers]\n");
        return 2;
    }
    with_numbers = argc > 4 && strcmp(argv[4], "numbers") == 0;
    collectives_without_numbers = !with_numbers;
    ls_status status = LS_NEW(s, 1);
    if (status == LS_OK)
        status = ls_comm_create(MPI_COMM_WORLD, &comm);
    if (status == LS_OK)
        status = simulate(comm, s, argv[1], atoi(argv[2]), atoi(argv[3]));
    if (status != LS_OK)
        fprintf(stderr, "simulate: %s\n", ls_message());
    free_engine(s);
    ls_free(s);
    ls_comm_free(comm);
    MPI_Finalize();
    return status == LS_OK ? 0 : 1;
}
