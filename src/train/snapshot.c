/* Keeping and restoring the state that a step changes, and its digest. */
#include <stdlib.h>
#include <string.h>

#include "lockstep/io.h"
#include "train/engine.h"

/* This rank's piece of the node's shared state: parameters, statistics and the optimizer's states
 * are one array. */
struct ls_snapshot {
    size_t first, count;
    float *values;
    int64_t updates;
};

static size_t state_size(const ls_engine *engine) {
    return ls_net_flat_size(engine->net) +
           (size_t)engine->optimizer->state_count * ls_net_trained_size(engine->net);
}

ls_status ls_engine_save(ls_engine *engine, ls_snapshot **snapshot) {
    ls_snapshot *made = NULL;
    size_t size = state_size(engine), ranks = (size_t)ls_comm_node_size(engine->comm);
    size_t rank = (size_t)ls_comm_node_rank(engine->comm);
    ls_status status = LS_NEW(made, 1);
    if (status == LS_OK) {
        made->first = size * rank / ranks;
        made->count = size * (rank + 1) / ranks - made->first;
        status = LS_NEW(made->values, made->count);
    }
    status = ls_comm_agree(engine->comm, status);
    if (status != LS_OK) {
        ls_free(made);
        return status;
    }
    made->updates = engine->updates;
    memcpy(made->values, engine->params + made->first, made->count * sizeof(float));
    *snapshot = made;
    return LS_OK;
}

void ls_engine_restore(ls_engine *engine, ls_snapshot *snapshot) {
    memcpy(engine->params + snapshot->first, snapshot->values, snapshot->count * sizeof(float));
    engine->updates = snapshot->updates;
    ls_free(snapshot->values);
    ls_free(snapshot);
    ls_gradient_reset(engine);
    ls_comm_node_barrier(engine->comm);
    ls_engine_params_changed(engine);
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

static ls_status add_state(const ls_engine *engine, ls_hash *hash) {
    const ls_param **params;
    size_t count = ls_net_param_count(engine->net), trained = 0;
    LS_TRY(LS_NEW(params, count));
    for (size_t i = 0; i < count; i++)
        params[i] = ls_net_param(engine->net, i);
    qsort(params, count, sizeof *params, by_name);
    ls_status status = add_group(hash, "model", params, count, engine->params);
    for (size_t i = 0; i < count; i++)
        if (params[i]->role != LS_PARAM_MEAN && params[i]->role != LS_PARAM_VARIANCE)
            params[trained++] = params[i];
    for (int i = 0; i < engine->optimizer->state_count && status == LS_OK; i++)
        status =
            add_group(hash, engine->optimizer->state_names[i], params, trained, engine->states[i]);
    ls_free(params);
    return status;
}

static ls_status make_digest(const ls_engine *engine, char text[LS_DIGEST_TEXT]) {
    ls_hash *hash = NULL;
    LS_TRY(ls_hash_create(&hash));
    ls_status status = add_state(engine, hash);
    ls_hash_text(hash, text);
    ls_hash_free(hash);
    return status;
}

ls_status ls_engine_digest(ls_engine *engine, char text[LS_DIGEST_TEXT]) {
    bool first = ls_comm_rank(engine->comm) == 0;
    return ls_comm_agree(engine->comm, first ? make_digest(engine, text) : LS_OK);
}
