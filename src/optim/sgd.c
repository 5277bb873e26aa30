/* Momentum SGD on gradient sums, and their sum of squares. */
#include <math.h>

#include "lockstep/optim.h"

enum { LANES = 16 }; /* independent partial sums: a fixed order that vectorises */

/* One element; the order of operations is that of torch.optim.SGD. */
static inline void element(const ls_hyper *sgd, float gradient, float *v, float *w) {
    float g = gradient + sgd->weight_decay * *w;
    *v = sgd->momentum * *v + g;
    float direction = sgd->nesterov ? g + sgd->momentum * *v : *v;
    *w -= sgd->lr * direction;
}

LS_CLONES
static void run(ls_hyper sgd, size_t count, const float *restrict gradient, float *restrict v,
                float *restrict w) {
    for (size_t i = 0; i < count; i++)
        element(&sgd, gradient[i], &v[i], &w[i]);
}

static void update(const ls_hyper *sgd, size_t count, const float *gradient, float *const *states,
                   float *w) {
    run(*sgd, count, gradient, states[0], w);
}

const ls_optimizer ls_optimizer_sgd = {
    .name = "sgd", .state_count = 1, .state_names = {"momentum"}, .update = update};

const ls_optimizer *ls_optimizer_of(ls_optimizer_kind kind) {
    static const ls_optimizer *const all[] = {[LS_OPTIMIZER_SGD] = &ls_optimizer_sgd,
                                              [LS_OPTIMIZER_LARS] = &ls_optimizer_lars,
                                              [LS_OPTIMIZER_ADAMW] = &ls_optimizer_adamw};
    return all[kind];
}

/* ---- squares -------------------------------------------------------------------------------- */

static double add_lanes(const double lane[LANES]) {
    double sum = 0;
    for (int i = 0; i < LANES; i++)
        sum += lane[i];
    return sum;
}

LS_CLONES
static double square_sum_fixed(size_t count, const int32_t *restrict sums) {
    double lane[LANES] = {0};
    size_t whole = count / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            lane[j] += (double)sums[i + j] * (double)sums[i + j];
    for (size_t i = whole; i < count; i++)
        lane[i - whole] += (double)sums[i] * (double)sums[i];
    return add_lanes(lane);
}

LS_CLONES
static double square_sum_float(size_t count, const float *restrict sums) {
    double lane[LANES] = {0};
    size_t whole = count / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            lane[j] += (double)sums[i + j] * (double)sums[i + j];
    for (size_t i = whole; i < count; i++)
        lane[i - whole] += (double)sums[i] * (double)sums[i];
    return add_lanes(lane);
}

double ls_square_sum_fixed(size_t count, const int32_t *sums, int exponent) {
    return ldexp(square_sum_fixed(count, sums), -2 * exponent);
}

double ls_square_sum_float(size_t count, const float *sums) {
    return square_sum_float(count, sums);
}
