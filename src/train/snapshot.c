/* Keeping and restoring the state that a step changes, and its digest. */
#include "train/engine.h"

struct ls_snapshot {
    ls_weights_copy weights;
};

ls_status ls_engine_save(ls_engine *engine, ls_snapshot **snapshot) {
    ls_snapshot *made = NULL;
    LS_TRY(ls_comm_agree(engine->comm, LS_NEW(made, 1)));
    ls_status status = ls_weights_save(engine->weights, &made->weights);
    if (status != LS_OK)
        ls_free(made);
    else
        *snapshot = made;
    return status;
}

void ls_engine_restore(ls_engine *engine, ls_snapshot *snapshot) {
    ls_weights_restore(engine->weights, &snapshot->weights);
    ls_quantizer_reset(engine->quantizer);
    ls_free(snapshot->weights.values);
    ls_free(snapshot);
}

ls_status ls_engine_digest(ls_engine *engine, char text[LS_DIGEST_TEXT]) {
    bool first = ls_comm_rank(engine->comm) == 0;
    return ls_comm_agree(engine->comm, first ? ls_weights_digest(engine->weights, text) : LS_OK);
}
