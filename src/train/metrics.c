/* Metrics of an evaluation: classes by their outputs, squared errors and R2. */
#include "train/metrics.h"

#include <math.h>

int64_t ls_best_class(int64_t classes, const float *z) {
    int64_t best = 0;
    for (int64_t i = 1; i < classes; i++)
        best = z[i] > z[best] ? i : best;
    return best;
}

bool ls_is_among_top(int64_t classes, const float *z, int64_t target, int64_t most) {
    int64_t ahead = 0;
    for (int64_t i = 0; i < classes; i++)
        ahead += z[i] > z[target] || (i < target && z[i] == z[target]);
    return ahead < most && !isnan(z[target]);
}

void ls_softmax(int64_t classes, const float *z, float *p) {
    const double largest = z[ls_best_class(classes, z)];
    double sum = 0;
    for (int64_t i = 0; i < classes; i++)
        sum += exp(z[i] - largest);
    for (int64_t i = 0; i < classes; i++)
        p[i] = (float)(exp(z[i] - largest) / sum);
}

void ls_squared_errors_add(int64_t outputs, const double *y, const double *target, double *sums) {
    for (int64_t i = 0; i < outputs; i++) {
        const double difference = y[i] - target[i];
        sums[i] += difference * difference;
    }
}

void ls_deviations_add(int64_t outputs, int64_t number, const double *target, double *mean,
                       double *sums) {
    for (int64_t i = 0; i < outputs; i++) {
        const double before = target[i] - mean[i];
        mean[i] += before / (double)number;
        sums[i] += before * (target[i] - mean[i]);
    }
}

double ls_r2(double errors, double deviations) {
    return deviations > 0 ? 1 - errors / deviations : (double)NAN;
}
