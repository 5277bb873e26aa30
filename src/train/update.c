/* The update: the sums chunk by chunk, as each rank's share of them is complete. */
#include "train/update.h"

#include <math.h>

/* What is done to the sums, chunk by chunk. */
typedef struct ls_update {
    ls_updater *updater;
    bool measures, updates;  /* notes their squares; changes weights and states */
    float factor;            /* of the gradient, from clipping */
    ls_hyper decayed, plain; /* with weight decay, and without */
} ls_update;

/* ---- making --------------------------------------------------------------------------------- */

/* A part lies in one chunk and one parameter.  Going through the array, each next part has a larger
 * chunk, a larger parameter, or both. */
static size_t part_of(size_t chunk, size_t param) {
    return chunk + param;
}

static size_t chunk_count(const ls_net *net) {
    return (ls_net_trained_size(net) + LS_CHUNK - 1) / LS_CHUNK;
}

ls_status ls_updater_create(ls_comm *comm, const ls_train_config *config, ls_weights *weights,
                            const ls_quantizer *quantizer, ls_exchange *exchange,
                            ls_updater **updater) {
    const ls_net *net = weights->net;
    size_t chunks = chunk_count(net), params = ls_net_param_count(net);
    size_t parts = weights->optimizer->norms ? part_of(chunks, params) : 0;
    size_t bytes = (chunks + 2 * parts) * sizeof(double);
    ls_updater *made;
    ls_status status = LS_NEW(made, 1);
    if (status == LS_OK) {
        *made = (ls_updater){
            .config = config, .weights = weights, .quantizer = quantizer, .exchange = exchange};
        status = LS_NEW(made->trust, params);
    }
    status = ls_comm_agree(comm, status);
    if (status == LS_OK)
        status = ls_shared_create(comm, bytes, "norms of the gradient", &made->memory);
    if (status != LS_OK) {
        ls_updater_free(made);
        return status;
    }
    made->squares = ls_shared_data(made->memory);
    made->part_squares = made->squares + chunks;
    *updater = made;
    return LS_OK;
}

void ls_updater_free(ls_updater *updater) {
    if (updater == NULL)
        return;
    ls_shared_free(updater->memory);
    ls_free(updater->trust);
    ls_free(updater);
}

/* ---- one parameter -------------------------------------------------------------------------- */

static bool is_decayed(const ls_updater *updater, const ls_param *param) {
    return param->role == LS_PARAM_WEIGHT || updater->config->decay_all;
}

static void measure_part(ls_updater *updater, size_t index, size_t offset, size_t count,
                         double gradient) {
    double *squares = updater->part_squares + 2 * part_of(offset / LS_CHUNK, index);
    squares[0] = gradient;
    squares[1] = ls_square_sum_float(count, updater->weights->params + offset);
}

/* Updates elements [offset, offset + count), at most LS_CHUNK, of one parameter. */
static void update_param(const ls_update *update, size_t index, size_t offset, size_t count,
                         const void *sums) {
    const ls_updater *updater = update->updater;
    const ls_quantizer *quantizer = updater->quantizer;
    const ls_weights *weights = updater->weights;
    const ls_optimizer *optimizer = weights->optimizer;
    bool decayed = is_decayed(updater, ls_net_param(weights->net, index));
    ls_hyper hyper = decayed ? update->decayed : update->plain;
    hyper.trust = updater->trust[index];
    float *states[LS_MOST_STATES], *w = weights->params + offset;
    for (int i = 0; i < optimizer->state_count; i++)
        states[i] = weights->states[i] + offset;
    float gradient[LS_CHUNK];
    ls_quantizer_scale(quantizer, index, update->factor, count, sums, gradient);
    optimizer->update(&hyper, count, gradient, states, w);
    if (weights->rounded)
        ls_net_round(count, w, weights->rounded + offset);
}

/* ---- all of them ---------------------------------------------------------------------------- */

/* The first parameter that ends after `offset`. */
static size_t find_param(const ls_net *net, size_t offset) {
    size_t low = 0, high = ls_net_param_count(net);
    while (low < high) {
        size_t middle = (low + high) / 2;
        const ls_param *param = ls_net_param(net, middle);
        if (param->offset + param->count > offset)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* One chunk of the flat array, parameter by parameter. */
static void take_chunk(void *context, size_t offset, size_t count, const void *sums) {
    const ls_update *update = context;
    ls_updater *updater = update->updater;
    const ls_weights *weights = updater->weights;
    const ls_net *net = weights->net;
    size_t end = offset + count, width = ls_addend_bytes(updater->quantizer->addend);
    double squares = 0;
    for (size_t i = find_param(net, offset); i < ls_net_param_count(net); i++) {
        const ls_param *param = ls_net_param(net, i);
        if (param->offset >= end)
            break;
        if (weights->frozen[i])
            continue;
        size_t from = param->offset > offset ? param->offset : offset;
        size_t to = param->offset + param->count < end ? param->offset + param->count : end;
        const void *part = (const char *)sums + (from - offset) * width;
        if (update->measures) {
            double gradient = ls_quantizer_square_sum(updater->quantizer, i, to - from, part);
            squares += gradient;
            if (weights->optimizer->norms)
                measure_part(updater, i, from, to - from, gradient);
        }
        if (update->updates)
            update_param(update, i, from, to - from, part);
    }
    if (update->measures)
        updater->squares[offset / LS_CHUNK] = squares;
}

/* The factor that brings the norm down to train.clip_norm, as torch.nn.utils.clip_grad_norm_. */
static float clip_factor(const ls_updater *updater) {
    double factor = updater->config->clip_norm / (ls_updater_norm(updater) + 1e-6);
    return factor < 1 ? (float)factor : 1;
}

/* What LARS makes of the norms of each array that is decayed; the others have 1. */
static void find_trust(const ls_update *update) {
    ls_updater *updater = update->updater;
    const ls_train_config *config = updater->config;
    const ls_net *net = updater->weights->net;
    for (size_t i = 0; i < ls_net_param_count(net); i++) {
        const ls_param *param = ls_net_param(net, i);
        double gradient = 0, weights = 0;
        updater->trust[i] = 1;
        if (!is_decayed(updater, param) || updater->weights->frozen[i])
            continue;
        size_t first = param->offset / LS_CHUNK;
        size_t last = (param->offset + param->count - 1) / LS_CHUNK;
        for (size_t chunk = first; chunk <= last; chunk++) {
            const double *squares = updater->part_squares + 2 * part_of(chunk, i);
            gradient += squares[0];
            weights += squares[1];
        }
        updater->trust[i] =
            ls_lars_trust(config->trust, sqrt(weights), (double)update->factor * sqrt(gradient),
                          config->weight_decay);
    }
}

/* Every node has all sums, so norms need no message: its ranks measure their chunks, then all of
 * them read the node's squares. */
static ls_status apply_measured(ls_update *update) {
    ls_updater *updater = update->updater;
    LS_TRY(ls_exchange_wait(updater->exchange));
    update->measures = true;
    ls_exchange_visit_sums(updater->exchange, take_chunk, update);
    ls_comm_node_barrier(updater->weights->comm);
    if (updater->config->clip_norm > 0)
        update->factor = clip_factor(updater);
    if (updater->weights->optimizer->norms)
        find_trust(update);
    update->measures = false;
    update->updates = true;
    ls_exchange_visit_sums(updater->exchange, take_chunk, update);
    ls_exchange_close(updater->exchange);
    return LS_OK;
}

ls_status ls_updater_apply(ls_updater *updater, const ls_rates *rates) {
    const ls_train_config *config = updater->config;
    ls_hyper hyper = {.lr = rates->lr,
                      .momentum = rates->momentum,
                      .nesterov = config->nesterov,
                      .beta2 = (float)config->beta2,
                      .epsilon = (float)config->epsilon,
                      .correction1 = rates->correction1,
                      .correction2 = rates->correction2};
    ls_update update = {.updater = updater, .factor = 1, .decayed = hyper, .plain = hyper};
    update.decayed.weight_decay = (float)config->weight_decay;
    updater->weights->updates++;
    if (config->clip_norm > 0 || updater->weights->optimizer->norms)
        return apply_measured(&update);
    update.measures = update.updates = true;
    return ls_exchange_finish(updater->exchange, take_chunk, &update);
}

double ls_updater_norm(const ls_updater *updater) {
    size_t chunks = chunk_count(updater->weights->net);
    double sum = 0;
    for (size_t i = 0; i < chunks; i++)
        sum += updater->squares[i];
    return sqrt(sum);
}
