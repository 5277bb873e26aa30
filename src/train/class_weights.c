/* The weights of the classes in the loss, resolved by the training split's samples. */
#include "train/engine.h"
#include "train/splits.h"

/* 1 / samples; 1 of a class without any. */
static void balance(int64_t classes, const int64_t *counts, double *weights) {
    for (int64_t c = 0; c < classes; c++)
        weights[c] = counts[c] > 0 ? 1 / (double)counts[c] : 1;
}

/* By scale, so that the mean over the samples is 1.  False: it is 0. */
static bool scale_to_mean_1(int64_t classes, const int64_t *counts, double *weights) {
    double samples = 0, sum = 0;
    for (int64_t c = 0; c < classes; c++) {
        samples += (double)counts[c];
        sum += (double)counts[c] * weights[c];
    }
    for (int64_t c = 0; c < classes; c++)
        weights[c] *= samples / sum;
    return sum > 0;
}

static ls_status fill(const ls_engine *engine, int64_t *counts, double *weights) {
    const ls_class_weights *wanted = &engine->config->model.class_weights;
    const int64_t classes = engine->outputs;
    ls_data_class_counts(engine->train, counts);
    if (wanted->balanced)
        balance(classes, counts, weights);
    for (int64_t c = 0; c < wanted->count; c++)
        weights[c] = wanted->value[c];
    if (!scale_to_mean_1(classes, counts, weights))
        return ls_fail(LS_ERR_INPUT, "model.class_weights are 0 for all training samples");
    return LS_OK;
}

ls_status ls_class_weights_resolve(ls_engine *engine) {
    const ls_class_weights *wanted = &engine->config->model.class_weights;
    int64_t *counts;
    if (!wanted->balanced && wanted->count == 0)
        return LS_OK;
    if (!wanted->balanced && wanted->count != engine->outputs)
        return ls_fail(LS_ERR_INPUT,
                       "model.class_weights has %lld values: expected one for each of the %lld "
                       "classes",
                       (long long)wanted->count, (long long)engine->outputs);
    LS_TRY(LS_NEW(engine->class_weights, (size_t)engine->outputs));
    LS_TRY(LS_NEW(counts, (size_t)engine->outputs));
    ls_status status = fill(engine, counts, engine->class_weights);
    ls_free(counts);
    return status;
}
