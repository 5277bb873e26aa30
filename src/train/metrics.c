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

double ls_balanced_accuracy(int64_t classes, const int64_t *samples, const int64_t *hits) {
    double sum = 0, count = 0;
    for (int64_t c = 0; c < classes; c++) {
        if (samples[c] == 0)
            continue;
        sum += (double)hits[c] / (double)samples[c];
        count++;
    }
    return sum / count;
}

double ls_macro_f1(int64_t classes, const int64_t *samples, const int64_t *taken,
                   const int64_t *hits) {
    double sum = 0, count = 0;
    for (int64_t c = 0; c < classes; c++) {
        if (samples[c] + taken[c] == 0)
            continue;
        sum += 2 * (double)hits[c] / (double)(samples[c] + taken[c]);
        count++;
    }
    return sum / count;
}

void ls_softmax(int64_t classes, const float *z, float *p) {
    const double largest = z[ls_best_class(classes, z)];
    double sum = 0;
    for (int64_t i = 0; i < classes; i++)
        sum += exp(z[i] - largest);
    for (int64_t i = 0; i < classes; i++)
        p[i] = (float)(exp(z[i] - largest) / sum);
}

void ls_errors_add(int64_t outputs, const double *y, const double *target, double *squares,
                   double *absolutes) {
    for (int64_t i = 0; i < outputs; i++) {
        const double difference = y[i] - target[i];
        squares[i] += difference * difference;
        absolutes[i] += fabs(difference);
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
