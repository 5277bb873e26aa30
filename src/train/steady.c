/* Steps for their time alone. */
#include "train/steady.h"

#include <math.h>

#include "train/engine.h"

static ls_decision decide(void *context, const ls_step_report *report) {
    const ls_steady *steady = context;
    (void)report;
    return (ls_decision){.lr = steady->lr, .momentum = steady->engine->config->train.momentum};
}

ls_status ls_steady_begin(ls_engine *engine, ls_steady *steady) {
    int64_t full = ls_data_count(engine->train) / engine->config->batch.size;
    double lr = engine->config->train.lr;
    LS_TRY(ls_batches_check(engine));
    engine->steps_per_epoch = full > 0 ? full : 1;
    *steady = (ls_steady){.engine = engine, .lr = isnan(lr) ? LS_BENCH_LR : lr};
    return LS_OK;
}

ls_status ls_steady_step(ls_steady *steady, ls_step_report *report) {
    ls_decision decision;
    int64_t per_epoch = steady->engine->steps_per_epoch;
    double start = ls_seconds();
    ls_status status = ls_engine_step(steady->engine, steady->done / per_epoch,
                                      steady->done % per_epoch, decide, steady, &decision, report);
    steady->seconds = ls_seconds() - start;
    steady->done++;
    return status;
}

ls_status ls_steady_choose(const ls_steady *steady, double seconds, int64_t least, int64_t most,
                           int64_t *steps) {
    double enough = ceil(seconds / fmax(steady->seconds, 1e-9));
    int64_t chosen = enough < (double)most ? (int64_t)enough : most;
    chosen = chosen < least ? least : chosen;
    if (*steps > 0)
        chosen = *steps;
    LS_TRY(ls_comm_broadcast(steady->engine->comm, &chosen, sizeof chosen, 0));
    *steps = chosen;
    return LS_OK;
}
