/* The weights of a node: laid out, started, kept, restored, and their digest. */
#include "train/weights.h"

#include <stdlib.h>
#include <string.h>

enum { PART_GRAIN = 16 }; /* elements of the flat array */

/* Elements [*first, *end) of params are this rank's. */
static void my_part(const ls_weights *weights, size_t *first, size_t *end) {
    size_t grains = ls_net_flat_size(weights->net) / PART_GRAIN;
    size_t rank = (size_t)ls_comm_node_rank(weights->comm);
    size_t ranks = (size_t)ls_comm_node_size(weights->comm);
    *first = grains * rank / ranks * PART_GRAIN;
    *end = grains * (rank + 1) / ranks * PART_GRAIN;
}

/* Parameters and states are one array. */
static size_t float_count(const ls_weights *weights) {
    return ls_net_flat_size(weights->net) +
           (size_t)weights->optimizer->state_count * ls_net_trained_size(weights->net);
}

static ls_status share(ls_weights *weights, ls_compute_type type) {
    size_t flat = ls_net_flat_size(weights->net), trained = ls_net_trained_size(weights->net);
    size_t floats = float_count(weights);
    size_t rounded = type == LS_COMPUTE_BF16 ? flat : 0;
    size_t bytes = floats * sizeof(float) + rounded * sizeof(uint16_t);
    LS_TRY(ls_shared_create(weights->comm, bytes, "weights and momentum", &weights->memory));
    weights->params = ls_shared_data(weights->memory);
    for (int i = 0; i < weights->optimizer->state_count; i++)
        weights->states[i] = weights->params + flat + (size_t)i * trained;
    weights->rounded = rounded ? (uint16_t *)(weights->params + floats) : NULL;
    return LS_OK;
}

static void start(ls_weights *weights, uint64_t seed) {
    size_t first, end;
    my_part(weights, &first, &end);
    ls_net_init_params(weights->net, seed, first, end, weights->params);
    ls_comm_node_barrier(weights->comm);
    ls_net_bind(weights->net, weights->params, weights->rounded);
    ls_weights_changed(weights);
}

ls_status ls_weights_create(ls_comm *comm, ls_net *net, const ls_optimizer *optimizer,
                            ls_compute_type type, uint64_t seed, ls_weights **weights) {
    ls_weights *made = NULL;
    ls_status status = LS_NEW(made, 1);
    if (status == LS_OK) {
        *made = (ls_weights){.comm = comm, .net = net, .optimizer = optimizer};
        status = LS_NEW(made->frozen, ls_net_param_count(net));
    }
    status = ls_comm_agree(comm, status);
    if (status == LS_OK)
        status = share(made, type);
    if (status != LS_OK) {
        ls_weights_free(made);
        return status;
    }
    start(made, seed);
    *weights = made;
    return LS_OK;
}

void ls_weights_free(ls_weights *weights) {
    if (weights == NULL)
        return;
    ls_shared_free(weights->memory);
    ls_free(weights->frozen);
    ls_free(weights);
}

void ls_weights_changed(ls_weights *weights) {
    size_t first, end;
    my_part(weights, &first, &end);
    if (weights->rounded)
        ls_net_round(end - first, weights->params + first, weights->rounded + first);
    ls_comm_node_barrier(weights->comm);
    ls_net_params_changed(weights->net);
}

/* ---- keeping -------------------------------------------------------------------------------- */

ls_status ls_weights_save(const ls_weights *weights, ls_weights_copy *copy) {
    size_t size = float_count(weights), ranks = (size_t)ls_comm_node_size(weights->comm);
    size_t rank = (size_t)ls_comm_node_rank(weights->comm);
    *copy = (ls_weights_copy){.first = size * rank / ranks, .updates = weights->updates};
    copy->count = size * (rank + 1) / ranks - copy->first;
    ls_status status = ls_comm_agree(weights->comm, LS_NEW(copy->values, copy->count));
    if (status == LS_OK)
        memcpy(copy->values, weights->params + copy->first, copy->count * sizeof(float));
    return status;
}

void ls_weights_restore(ls_weights *weights, const ls_weights_copy *copy) {
    memcpy(weights->params + copy->first, copy->values, copy->count * sizeof(float));
    weights->updates = copy->updates;
    ls_comm_node_barrier(weights->comm);
    ls_weights_changed(weights);
}

/* ---- digest --------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b) {
    const ls_param *const *left = a, *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

/* Those of a checkpoint's group: "model", or a state of the optimizer. */
static ls_status add_group(ls_hash *hash, const char *group, const ls_param *const *params,
                           size_t count, const float *values) {
    for (size_t i = 0; i < count; i++) {
        char *path = ls_format("%s/%s", group, params[i]->name);
        if (path == NULL)
            return LS_ERR_SYSTEM;
        ls_digest_floats(hash, path, params[i]->ndims, params[i]->shape,
                         values + params[i]->offset);
        ls_free(path);
    }
    return LS_OK;
}

static ls_status add_arrays(const ls_weights *weights, ls_hash *hash) {
    const ls_optimizer *optimizer = weights->optimizer;
    const ls_param **params;
    size_t count = ls_net_param_count(weights->net), trained = 0;
    LS_TRY(LS_NEW(params, count));
    for (size_t i = 0; i < count; i++)
        params[i] = ls_net_param(weights->net, i);
    qsort(params, count, sizeof *params, by_name);
    ls_status status = add_group(hash, "model", params, count, weights->params);
    for (size_t i = 0; i < count; i++)
        if (params[i]->role != LS_PARAM_MEAN && params[i]->role != LS_PARAM_VARIANCE)
            params[trained++] = params[i];
    for (int i = 0; i < optimizer->state_count && status == LS_OK; i++)
        status = add_group(hash, optimizer->state_names[i], params, trained, weights->states[i]);
    ls_free(params);
    return status;
}

ls_status ls_weights_digest(const ls_weights *weights, char text[LS_DIGEST_TEXT]) {
    ls_hash *hash = NULL;
    LS_TRY(ls_hash_create(&hash));
    ls_status status = add_arrays(weights, hash);
    ls_hash_text(hash, text);
    ls_hash_free(hash);
    return status;
}
