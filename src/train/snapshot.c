/* Keeping and restoring the state that a step changes, and its digest. */
#include <string.h>

#include "train/engine.h"

/* This rank's piece of the node's shared state: parameters, statistics and momentum are one array.
 */
struct ls_snapshot {
    size_t first, count;
    float *values;
};

static size_t state_size(const ls_engine *engine) {
    return ls_net_flat_size(engine->net) + ls_net_trained_size(engine->net);
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
    memcpy(made->values, engine->params + made->first, made->count * sizeof(float));
    *snapshot = made;
    return LS_OK;
}

void ls_engine_restore(ls_engine *engine, ls_snapshot *snapshot) {
    memcpy(engine->params + snapshot->first, snapshot->values, snapshot->count * sizeof(float));
    ls_free(snapshot->values);
    ls_free(snapshot);
    ls_gradient_reset(engine);
    ls_comm_node_barrier(engine->comm);
    ls_engine_params_changed(engine);
}

ls_status ls_engine_digest(ls_engine *engine, char text[LS_DIGEST_TEXT]) {
    ls_status status = LS_OK;
    if (ls_comm_rank(engine->comm) == 0) {
        ls_hash *hash = NULL;
        status = ls_hash_create(&hash);
        if (status == LS_OK) {
            ls_hash_add(hash, engine->params, state_size(engine) * sizeof(float));
            ls_hash_text(hash, text);
            ls_hash_free(hash);
        }
    }
    return ls_comm_agree(engine->comm, status);
}
