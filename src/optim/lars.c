/* LARS: momentum SGD with a learning rate for each parameter, of the norms of both. */
#include <math.h>

#include "lockstep/optim.h"

static inline void element(const ls_hyper *lars, float gradient, float *v, float *w) {
    float g = gradient + lars->weight_decay * *w;
    *v = lars->momentum * *v + lars->lr * lars->trust * g;
    *w -= *v;
}

LS_CLONES
static void run(ls_hyper lars, size_t count, const float *restrict gradient, float *restrict v,
                float *restrict w) {
    for (size_t i = 0; i < count; i++)
        element(&lars, gradient[i], &v[i], &w[i]);
}

static void update(const ls_hyper *lars, size_t count, const float *gradient, float *const *states,
                   float *w) {
    run(*lars, count, gradient, states[0], w);
}

const ls_optimizer ls_optimizer_lars = {
    .name = "lars", .state_count = 1, .state_names = {"momentum"}, .norms = true, .update = update};

float ls_lars_trust(double eta, double weights, double gradient, double weight_decay) {
    if (!(weights > 0) || !(gradient > 0))
        return 1;
    return (float)(eta * weights / (gradient + weight_decay * weights));
}
