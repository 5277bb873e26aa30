/* From a slice's gradient to new weights: quantised into the exchange while in cache, checked, and,
 * once summed, applied to this rank's share of the node's weights. */
#include <math.h>
#include <string.h>

#include "train/engine.h"

enum { NOT_FINITE_BITS = 0x7f800000 }; /* float bits from here on are infinity and NaN */

static float bits_as_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ---- while backward runs -------------------------------------------------------------------- */

void ls_gradient_begin(ls_engine *engine, const ls_batch_plan *plan) {
    size_t params = ls_net_param_count(engine->net);
    ls_exchange_begin(engine->exchange);
    for (int slice = engine->first_slice; slice < engine->end_slice; slice++)
        memset(ls_board_row(engine->gradient_board, slice), 0, params * sizeof(uint32_t));
    if (plan->plan == NULL) /* nothing to add */
        memset(ls_exchange_buffer(engine->exchange), 0,
               ls_net_trained_size(engine->net) * sizeof(int32_t));
}

/* The float32 sums of the comparison mode. */
static uint32_t add_float(float *sums, const float *gradient, size_t count, bool first) {
    uint32_t largest = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &gradient[i], sizeof bits);
        bits &= 0x7fffffffu;
        largest = bits > largest ? bits : largest;
        sums[i] = first ? gradient[i] : sums[i] + gradient[i];
    }
    return largest;
}

static void take_block(void *context, int slot, size_t param, size_t offset, size_t count,
                       const float *gradient) {
    const ls_gradient_pass *pass = context;
    ls_engine *engine = pass->engine;
    uint32_t *addends = (uint32_t *)ls_exchange_buffer(engine->exchange) + offset;
    uint32_t *row = ls_board_row(engine->gradient_board, pass->plan->slice[slot]);
    uint32_t largest = engine->fixed
                           ? ls_fixed_add((int32_t *)addends, gradient, count,
                                          engine->exponent[param], engine->slices, slot == 0)
                           : add_float((float *)addends, gradient, count, slot == 0);
    row[param] = largest > row[param] ? largest : row[param];
}

static void take_final(void *context, size_t offset, size_t count) {
    const ls_gradient_pass *pass = context;
    (void)count;
    ls_exchange_final(pass->engine->exchange, offset);
    pass->poll(pass->context);
}

ls_grad_sink ls_gradient_sink(ls_gradient_pass *pass) {
    return (ls_grad_sink){.context = pass, .block = take_block, .final = take_final};
}

void ls_gradient_end(ls_engine *engine) {
    ls_exchange_final(engine->exchange, 0);
}

void ls_gradient_none(ls_engine *engine) {
    ls_exchange_begin(engine->exchange);
    ls_gradient_end(engine);
}

/* ---- checks --------------------------------------------------------------------------------- */

static ls_status check_finite(const ls_engine *engine, int64_t step) {
    size_t params = ls_net_param_count(engine->net);
    for (int slice = 0; slice < engine->slices; slice++) {
        const uint32_t *row = ls_board_row(engine->gradient_board, slice);
        for (size_t i = 0; i < params; i++)
            if (row[i] >= NOT_FINITE_BITS)
                return ls_fail(LS_ERR_NUMERIC,
                               "the gradient of %s is not finite in slice %d of step %lld",
                               ls_net_param(engine->net, i)->name, slice, (long long)step);
    }
    return LS_OK;
}

ls_status ls_gradient_check(ls_engine *engine, int64_t step, bool *fits) {
    size_t params = ls_net_param_count(engine->net);
    LS_TRY(ls_board_start(engine->gradient_board));
    LS_TRY(ls_board_wait(engine->gradient_board));
    LS_TRY(check_finite(engine, step));
    *fits = engine->calibrated || !engine->fixed;
    engine->calibrated = true;
    for (size_t i = 0; i < params; i++) {
        uint32_t bits = 0;
        for (int slice = 0; slice < engine->slices; slice++) {
            uint32_t other = ls_board_row(engine->gradient_board, slice)[i];
            bits = other > bits ? other : bits;
        }
        float largest = bits_as_float(bits);
        if (!ls_fixed_fits(engine->exponent[i], largest, engine->slices) && engine->fixed)
            *fits = false;
        engine->next_exponent[i] =
            largest > 0 ? ls_fixed_exponent(largest, engine->slices) : engine->exponent[i];
    }
    return LS_OK;
}

void ls_gradient_reset(ls_engine *engine) {
    engine->calibrated = false;
    for (size_t i = 0; i < ls_net_param_count(engine->net); i++)
        engine->exponent[i] = ls_fixed_exponent(0, engine->slices);
}

void ls_gradient_next(ls_engine *engine) {
    memcpy(engine->exponent, engine->next_exponent,
           ls_net_param_count(engine->net) * sizeof *engine->exponent);
}

/* ---- update --------------------------------------------------------------------------------- */

/* What is done to the sums, chunk by chunk. */
typedef struct ls_update {
    ls_engine *engine;
    bool measures, updates;  /* notes their squares; changes weights and states */
    float factor;            /* of the gradient, from clipping */
    ls_hyper decayed, plain; /* with weight decay, and without */
} ls_update;

/* Going through the array, each next part has a larger chunk, a larger parameter, or both. */
static size_t part_of(size_t chunk, size_t param) {
    return chunk + param;
}

size_t ls_gradient_parts(const ls_engine *engine) {
    size_t chunks = (ls_net_trained_size(engine->net) + LS_CHUNK - 1) / LS_CHUNK;
    return engine->optimizer->norms ? part_of(chunks, ls_net_param_count(engine->net)) : 0;
}

static bool is_decayed(const ls_engine *engine, const ls_param *param) {
    return param->role == LS_PARAM_WEIGHT || engine->config->train.decay_all;
}

static double square_sum(const ls_engine *engine, size_t index, size_t count, const void *sums) {
    return engine->fixed ? ls_square_sum_fixed(count, sums, engine->exponent[index])
                         : ls_square_sum_float(count, sums);
}

/* The sums of a part of a chunk, as floats, times `factor`. */
static void scale_sums(const ls_engine *engine, size_t index, float factor, size_t count,
                       const void *sums, float *out) {
    float unit = engine->fixed ? ldexpf(1, -engine->exponent[index]) : 1;
    for (size_t i = 0; i < count; i++) {
        float sum = engine->fixed ? (float)((const int32_t *)sums)[i] : ((const float *)sums)[i];
        out[i] = sum * unit * factor;
    }
}

static void measure_part(ls_engine *engine, size_t index, size_t offset, size_t count,
                         double gradient) {
    double *squares = engine->part_squares + 2 * part_of(offset / LS_CHUNK, index);
    squares[0] = gradient;
    squares[1] = ls_square_sum_float(count, engine->params + offset);
}

/* Updates elements [offset, offset + count), at most LS_CHUNK, of one parameter. */
static void update_param(const ls_update *update, size_t index, size_t offset, size_t count,
                         const void *sums) {
    ls_engine *engine = update->engine;
    bool decayed = is_decayed(engine, ls_net_param(engine->net, index));
    ls_hyper hyper = decayed ? update->decayed : update->plain;
    hyper.trust = engine->trust[index];
    const ls_optimizer *optimizer = engine->optimizer;
    float *states[LS_MOST_STATES], *w = engine->params + offset;
    for (int i = 0; i < optimizer->state_count; i++)
        states[i] = engine->states[i] + offset;
    if (update->factor < 1) {
        float scaled[LS_CHUNK];
        scale_sums(engine, index, update->factor, count, sums, scaled);
        optimizer->update_float(&hyper, count, scaled, states, w);
    } else if (engine->fixed) {
        optimizer->update_fixed(&hyper, count, sums, engine->exponent[index], states, w);
    } else {
        optimizer->update_float(&hyper, count, sums, states, w);
    }
    if (engine->rounded)
        ls_net_round(count, w, engine->rounded + offset);
}

/* The first parameter that ends behind `offset`. */
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
    ls_engine *engine = update->engine;
    size_t end = offset + count;
    double squares = 0;
    for (size_t i = find_param(engine->net, offset); i < ls_net_param_count(engine->net); i++) {
        const ls_param *param = ls_net_param(engine->net, i);
        if (param->offset >= end)
            break;
        if (engine->frozen[i])
            continue;
        size_t from = param->offset > offset ? param->offset : offset;
        size_t to = param->offset + param->count < end ? param->offset + param->count : end;
        const void *part = (const uint32_t *)sums + (from - offset);
        if (update->measures) {
            double gradient = square_sum(engine, i, to - from, part);
            squares += gradient;
            if (engine->optimizer->norms)
                measure_part(engine, i, from, to - from, gradient);
        }
        if (update->updates)
            update_param(update, i, from, to - from, part);
    }
    if (update->measures)
        engine->squares[offset / LS_CHUNK] = squares;
}

/* The factor that brings the norm down to train.clip_norm, as torch.nn.utils.clip_grad_norm_. */
static float clip_factor(const ls_engine *engine) {
    double factor = engine->config->train.clip_norm / (ls_gradient_norm(engine) + 1e-6);
    return factor < 1 ? (float)factor : 1;
}

/* What LARS makes of the norms of each array that is decayed; the others have 1. */
static void find_trust(const ls_update *update) {
    ls_engine *engine = update->engine;
    const ls_train_config *train = &engine->config->train;
    for (size_t i = 0; i < ls_net_param_count(engine->net); i++) {
        const ls_param *param = ls_net_param(engine->net, i);
        double gradient = 0, weights = 0;
        engine->trust[i] = 1;
        if (!is_decayed(engine, param) || engine->frozen[i])
            continue;
        size_t first = param->offset / LS_CHUNK;
        size_t last = (param->offset + param->count - 1) / LS_CHUNK;
        for (size_t chunk = first; chunk <= last; chunk++) {
            const double *squares = engine->part_squares + 2 * part_of(chunk, i);
            gradient += squares[0];
            weights += squares[1];
        }
        engine->trust[i] =
            ls_lars_trust(train->trust, sqrt(weights), (double)update->factor * sqrt(gradient),
                          train->weight_decay);
    }
}

/* Every node has all sums, so norms need no message: its ranks measure their chunks, then all of
 * them read the node's squares. */
static ls_status apply_measured(ls_update *update) {
    ls_engine *engine = update->engine;
    LS_TRY(ls_exchange_wait(engine->exchange));
    update->measures = true;
    ls_exchange_visit_sums(engine->exchange, take_chunk, update);
    ls_comm_node_barrier(engine->comm);
    if (engine->config->train.clip_norm > 0)
        update->factor = clip_factor(engine);
    if (engine->optimizer->norms)
        find_trust(update);
    update->measures = false;
    update->updates = true;
    ls_exchange_visit_sums(engine->exchange, take_chunk, update);
    ls_exchange_close(engine->exchange);
    return LS_OK;
}

ls_status ls_gradient_apply(ls_engine *engine, const ls_orders *orders) {
    const ls_train_config *train = &engine->config->train;
    ls_hyper hyper = {.lr = (float)orders->decision.lr,
                      .momentum = (float)orders->decision.momentum,
                      .nesterov = train->nesterov,
                      .beta2 = (float)train->beta2,
                      .epsilon = (float)train->epsilon,
                      .correction1 = orders->correction1,
                      .correction2 = orders->correction2};
    ls_update update = {.engine = engine, .factor = 1, .decayed = hyper, .plain = hyper};
    update.decayed.weight_decay = (float)train->weight_decay;
    engine->updates++;
    if (train->clip_norm > 0 || engine->optimizer->norms)
        return apply_measured(&update);
    update.measures = update.updates = true;
    return ls_exchange_finish(engine->exchange, take_chunk, &update);
}

double ls_gradient_norm(const ls_engine *engine) {
    size_t chunks = (ls_net_trained_size(engine->net) + LS_CHUNK - 1) / LS_CHUNK;
    double sum = 0;
    for (size_t i = 0; i < chunks; i++)
        sum += engine->squares[i];
    return sqrt(sum);
}
