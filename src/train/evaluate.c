/* Evaluation over the test split: every sample once, summed in slice order. */
#include "train/engine.h"

static ls_status evaluate_batch(ls_engine *engine, int64_t samples, int64_t batch, double *loss,
                                int64_t *correct) {
    const ls_batch_plan *plan;
    LS_TRY(ls_batch_plan_get(engine, LS_MODE_EVALUATE, samples, &plan));
    ls_batch_fill(engine, plan, engine->test, -1, batch);
    if (plan->plan)
        LS_TRY(ls_plan_forward(plan->plan, 0, 0));
    ls_batch_publish(engine, plan);
    LS_TRY(ls_board_start(engine->forward_board));
    LS_TRY(ls_board_wait(engine->forward_board));
    ls_batch_sum(engine, loss, correct);
    return LS_OK;
}

ls_status ls_engine_evaluate(ls_engine *engine, int64_t samples, double *loss, double *accuracy) {
    LS_REQUIRE(engine->test != NULL);
    int64_t count = ls_data_count(engine->test);
    if (samples > 0 && samples < count)
        count = samples;
    double loss_sum = 0;
    int64_t correct_sum = 0;
    for (int64_t batch = 0; batch * engine->config->batch.size < count; batch++) {
        double batch_loss;
        int64_t batch_correct;
        LS_TRY(evaluate_batch(engine, ls_batch_samples(engine, count, batch), batch, &batch_loss,
                              &batch_correct));
        loss_sum += batch_loss;
        correct_sum += batch_correct;
    }
    *loss = loss_sum / (double)count;
    *accuracy = (double)correct_sum / (double)count;
    return LS_OK;
}
