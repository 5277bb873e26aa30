/* Momentum SGD on gradient sums, and their sum of squares. */
#include <math.h>

#include "lockstep/optim.h"

enum { LANES = 16 }; /* independent partial sums: a fixed order that vectorises */

/* One element; the order of operations is that of torch.optim.SGD. */
static inline void update(const ls_sgd *sgd, float gradient, float *v, float *w) {
    float g = gradient + sgd->weight_decay * *w;
    *v = sgd->momentum * *v + g;
    float direction = sgd->nesterov ? g + sgd->momentum * *v : *v;
    *w -= sgd->lr * direction;
}

LS_CLONES
static void update_fixed(ls_sgd sgd, size_t count, const int32_t *restrict sums, float scale,
                         float *restrict v, float *restrict w) {
    for (size_t i = 0; i < count; i++)
        update(&sgd, (float)sums[i] * scale, &v[i], &w[i]);
}

LS_CLONES
static void update_float(ls_sgd sgd, size_t count, const float *restrict sums, float *restrict v,
                         float *restrict w) {
    for (size_t i = 0; i < count; i++)
        update(&sgd, sums[i], &v[i], &w[i]);
}

void ls_sgd_update_fixed(const ls_sgd *sgd, size_t count, const int32_t *sums, int exponent,
                         float *v, float *w) {
    update_fixed(*sgd, count, sums, ldexpf(1.0f, -exponent), v, w);
}

void ls_sgd_update_float(const ls_sgd *sgd, size_t count, const float *sums, float *v, float *w) {
    update_float(*sgd, count, sums, v, w);
}

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
