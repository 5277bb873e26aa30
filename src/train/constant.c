/* The best answer that does not look at the inputs, in the loss as it is configured: what a network
 * must beat to have learned anything. */
#include <math.h>

#include "train/constant.h"
#include "train/engine.h"

/* With weights w and smoothing a the targets of N samples sum up to m_c = w_c ((1 - a) n_c + a N /
 * classes), and the best constant probabilities are p = m / sum(m).  A class without samples
 * counts as one, so that its loss is finite: a split that judges may have it. */
static void probabilities(const ls_engine *engine, const int64_t *counts, double *p) {
    const double smoothing = engine->config->model.label_smoothing;
    const double samples = (double)ls_data_count(engine->train);
    double sum = 0;
    for (int64_t c = 0; c < engine->outputs; c++) {
        const double count = counts[c] > 0 ? (double)counts[c] : 1;
        const double weight = engine->class_weights ? engine->class_weights[c] : 1;
        p[c] = weight * ((1 - smoothing) * count + smoothing * samples / (double)engine->outputs);
        sum += p[c];
    }
    for (int64_t c = 0; c < engine->outputs; c++)
        p[c] /= sum;
}

/* Of each class, in place of its probability p: -sum_i w_i q_i log p_i, where q is 1 - a at the
 * class and a / classes at all. */
static void class_losses(const ls_engine *engine, double *p) {
    const double smoothing = engine->config->model.label_smoothing;
    double shared = 0;
    for (int64_t c = 0; c < engine->outputs; c++) {
        const double weight = engine->class_weights ? engine->class_weights[c] : 1;
        p[c] = weight > 0 ? -weight * log(p[c]) : 0;
        shared += smoothing / (double)engine->outputs * p[c];
    }
    for (int64_t c = 0; c < engine->outputs; c++)
        p[c] = (1 - smoothing) * p[c] + shared;
}

static ls_status of_classes(ls_engine *engine) {
    int64_t *counts;
    LS_TRY(LS_NEW(counts, (size_t)engine->outputs));
    ls_data_class_counts(engine->train, counts);
    probabilities(engine, counts, engine->constant);
    class_losses(engine, engine->constant);
    ls_free(counts);
    return LS_OK;
}

/* The mean, which is 0 where targets are normalised. */
static ls_status of_values(ls_engine *engine) {
    ls_normalization targets = {0};
    if (engine->config->data.normalize)
        return LS_OK;
    LS_TRY(ls_normalization_measure_targets(engine->comm, engine->train, &targets));
    for (int64_t i = 0; i < engine->outputs; i++)
        engine->constant[i] = targets.mean[i];
    ls_normalization_free(&targets);
    return LS_OK;
}

ls_status ls_constant_create(ls_engine *engine) {
    ls_status status = LS_NEW(engine->constant, (size_t)engine->outputs);
    if (status == LS_OK && engine->classes)
        status = of_classes(engine);
    LS_TRY(ls_comm_agree(engine->comm, status));
    return engine->classes ? LS_OK : of_values(engine);
}

double ls_constant_loss(const ls_engine *engine, const ls_batch_plan *plan, int slot) {
    const int64_t samples = ls_plan_samples(plan->plan, slot), outputs = engine->outputs;
    double sum = 0;
    if (engine->classes) {
        const int32_t *target = ls_plan_classes(plan->plan, slot);
        for (int64_t n = 0; n < samples; n++)
            sum += engine->constant[target[n]];
        return sum;
    }
    const float *target = ls_plan_targets(plan->plan, slot); /* (samples, outputs) */
    for (int64_t i = 0; i < samples * outputs; i++) {
        const double difference = engine->constant[i % outputs] - target[i];
        sum += difference * difference;
    }
    return sum / (double)outputs;
}
