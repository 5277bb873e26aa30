/* AdamW. */
#include <math.h>

#include "lockstep/optim.h"

/* One element; the order of operations is that of torch.optim.AdamW. */
static inline void update(const ls_hyper *adam, float g, float *m, float *v, float *w) {
    float decayed = *w * (1 - adam->lr * adam->weight_decay);
    *m += (1 - adam->momentum) * (g - *m);
    *v = adam->beta2 * *v + (1 - adam->beta2) * g * g;
    float divisor = sqrtf(*v) * adam->correction2 + adam->epsilon;
    *w = decayed - adam->lr * adam->correction1 * *m / divisor;
}

LS_CLONES
static void run_fixed(ls_hyper adam, size_t count, const int32_t *restrict sums, float scale,
                      float *restrict m, float *restrict v, float *restrict w) {
    for (size_t i = 0; i < count; i++)
        update(&adam, (float)sums[i] * scale, &m[i], &v[i], &w[i]);
}

LS_CLONES
static void run_float(ls_hyper adam, size_t count, const float *restrict sums, float *restrict m,
                      float *restrict v, float *restrict w) {
    for (size_t i = 0; i < count; i++)
        update(&adam, sums[i], &m[i], &v[i], &w[i]);
}

static void update_fixed(const ls_hyper *adam, size_t count, const int32_t *sums, int exponent,
                         float *const *states, float *w) {
    run_fixed(*adam, count, sums, ldexpf(1.0f, -exponent), states[0], states[1], w);
}

static void update_float(const ls_hyper *adam, size_t count, const float *sums,
                         float *const *states, float *w) {
    run_float(*adam, count, sums, states[0], states[1], w);
}

const ls_optimizer ls_optimizer_adamw = {.name = "adamw",
                                         .state_count = 2,
                                         .state_names = {"momentum", "second_moment"},
                                         .update_fixed = update_fixed,
                                         .update_float = update_float};

void ls_adam_corrections(double beta1, double beta2, int64_t t, float *correction1,
                         float *correction2) {
    *correction1 = (float)(1 / (1 - pow(beta1, (double)t)));
    *correction2 = (float)(1 / sqrt(1 - pow(beta2, (double)t)));
}
