/* LARS: momentum SGD with a learning rate for each parameter, of the norms of both. */
#include <math.h>

#include "lockstep/optim.h"

static inline void update(const ls_hyper *lars, float gradient, float *v, float *w) {
    float g = gradient + lars->weight_decay * *w;
    *v = lars->momentum * *v + lars->lr * lars->trust * g;
    *w -= *v;
}

LS_CLONES
static void run_fixed(ls_hyper lars, size_t count, const int32_t *restrict sums, float scale,
                      float *restrict v, float *restrict w) {
    for (size_t i = 0; i < count; i++)
        update(&lars, (float)sums[i] * scale, &v[i], &w[i]);
}

LS_CLONES
static void run_float(ls_hyper lars, size_t count, const float *restrict sums, float *restrict v,
                      float *restrict w) {
    for (size_t i = 0; i < count; i++)
        update(&lars, sums[i], &v[i], &w[i]);
}

static void update_fixed(const ls_hyper *lars, size_t count, const int32_t *sums, int exponent,
                         float *const *states, float *w) {
    run_fixed(*lars, count, sums, ldexpf(1.0f, -exponent), states[0], w);
}

static void update_float(const ls_hyper *lars, size_t count, const float *sums,
                         float *const *states, float *w) {
    run_float(*lars, count, sums, states[0], w);
}

const ls_optimizer ls_optimizer_lars = {.name = "lars",
                                        .state_count = 1,
                                        .state_names = {"momentum"},
                                        .norms = true,
                                        .update_fixed = update_fixed,
                                        .update_float = update_float};

float ls_lars_trust(double eta, double weights, double gradient, double weight_decay) {
    if (!(weights > 0) || !(gradient > 0))
        return 1;
    return (float)(eta * weights / (gradient + weight_decay * weights));
}
