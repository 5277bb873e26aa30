/* AdamW. */
#include <math.h>

#include "lockstep/optim.h"

/* One element; the order of operations is that of torch.optim.AdamW. */
static inline void element(const ls_hyper *adam, float g, float *m, float *v, float *w) {
    float decayed = *w * (1 - adam->lr * adam->weight_decay);
    *m += (1 - adam->momentum) * (g - *m);
    *v = adam->beta2 * *v + (1 - adam->beta2) * g * g;
    float divisor = sqrtf(*v) * adam->correction2 + adam->epsilon;
    *w = decayed - adam->lr * adam->correction1 * *m / divisor;
}

LS_CLONES
static void run(ls_hyper adam, size_t count, const float *restrict gradient, float *restrict m,
                float *restrict v, float *restrict w) {
    for (size_t i = 0; i < count; i++)
        element(&adam, gradient[i], &m[i], &v[i], &w[i]);
}

static void update(const ls_hyper *adam, size_t count, const float *gradient, float *const *states,
                   float *w) {
    run(*adam, count, gradient, states[0], states[1], w);
}

const ls_optimizer ls_optimizer_adamw = {.name = "adamw",
                                         .state_count = 2,
                                         .state_names = {"momentum", "second_moment"},
                                         .update = update};

void ls_adam_corrections(double beta1, double beta2, int64_t t, float *correction1,
                         float *correction2) {
    *correction1 = (float)(1 / (1 - pow(beta1, (double)t)));
    *correction2 = (float)(1 / sqrt(1 - pow(beta2, (double)t)));
}
