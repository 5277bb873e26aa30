/* Evaluations as training sees them: scores, the best of them, and the ends that follow. */
#include "train/judge.h"

#include <math.h>

#include "train/engine.h"

const ls_score ls_no_score = {NAN, NAN, NAN};

ls_status ls_score_measure(ls_engine *engine, ls_split split, ls_score *score) {
    ls_evaluation evaluation;
    *score = ls_no_score;
    if (engine->classes)
        return ls_engine_evaluate(engine, split, 0, &score->loss, &score->accuracy);
    LS_TRY(ls_engine_evaluate_full(engine, split, 0, &evaluation));
    score->loss = evaluation.loss;
    score->r2 = evaluation.r2;
    ls_evaluation_free(&evaluation);
    return LS_OK;
}

double ls_score_value(const ls_engine *engine, const ls_score *score) {
    return engine->classes ? score->accuracy : score->loss;
}

bool ls_score_is_better(const ls_engine *engine, double value, double best) {
    return isnan(best) || (engine->classes ? value > best : value < best);
}

static bool reaches(const ls_target *target, const ls_score *score) {
    switch (target->metric) {
    case LS_TARGET_ACCURACY:
        return score->accuracy >= target->value;
    case LS_TARGET_LOSS:
        return score->loss <= target->value;
    case LS_TARGET_R2:
        return score->r2 >= target->value;
    }
    return false;
}

ls_train_end ls_judge_end(const ls_engine *engine, const ls_train_state *state) {
    const ls_train_config *config = &engine->config->train;
    ls_target target;
    ls_split judge;
    if (!ls_engine_judge(engine, &judge) || isnan(state->best))
        return LS_TRAIN_DONE;
    if (ls_target_parse(config->target, &target) && reaches(&target, &state->score[judge]))
        return LS_TRAIN_TARGET;
    const int64_t idle = state->step - state->best_step;
    if (config->stop_after > 0 && idle / engine->steps_per_epoch >= config->stop_after)
        return LS_TRAIN_NO_PROGRESS;
    return LS_TRAIN_DONE;
}

ls_status ls_judge_check(const ls_engine *engine) {
    const ls_train_config *config = &engine->config->train;
    const bool target = !ls_config_is_none(config->target);
    ls_split judge;
    if ((!target && config->stop_after == 0) || ls_engine_judge(engine, &judge))
        return LS_OK;
    return ls_fail(LS_ERR_INPUT,
                   "train.%s needs a validation or a test split, and data.test_inputs is none: "
                   "data.validation takes a share of the training samples",
                   target ? "target" : "stop_after");
}
