/* Mean and squared deviations, always added in the same order: eight lanes a run of contiguous
 * values, which compilers turn into vector code without changing the sum. */
#include "data/moments.h"
#include "data/values.h"

#include <math.h>

enum { LANES = 8, BLOCK = 2048 };

static double sum_run(const double *x, int64_t count) {
    double sum = 0;
    int64_t i = 0;
    if (count >= LANES) {
        double lane[LANES] = {0};
        for (; i + LANES <= count; i += LANES)
            for (int l = 0; l < LANES; l++)
                lane[l] += x[i + l];
        for (int l = 0; l < LANES; l++)
            sum += lane[l];
    }
    for (; i < count; i++)
        sum += x[i];
    return sum;
}

/* What values have beyond their mean, or its squares, in their place. */
static void centre(double *x, int64_t count, double mean, bool squares) {
    for (int64_t i = 0; i < count; i++) {
        const double beyond = x[i] - mean;
        x[i] = squares ? beyond * beyond : beyond;
    }
}

void ls_moments_add(ls_type type, const void *values, int64_t channels, int64_t spatial,
                    const ls_moments *moments, bool squares, double *sums) {
    const char *sample = values;
    double block[BLOCK];
    const int64_t elements = channels * spatial;
    for (int64_t start = 0; start < elements; start += BLOCK) {
        const int64_t count = elements - start < BLOCK ? elements - start : BLOCK;
        int64_t channel = start / spatial, left = (channel + 1) * spatial - start;
        ls_values_doubles(type, sample + (size_t)start * ls_type_size(type), count, block);
        for (int64_t i = 0; i < count && spatial == 1; i++) {
            centre(block + i, 1, moments[start + i].mean, squares);
            sums[start + i] += block[i];
        }
        for (int64_t i = 0, run; i < count && spatial > 1; i += run, channel++, left = spatial) {
            run = left < count - i ? left : count - i;
            centre(block + i, run, moments[channel].mean, squares);
            sums[channel] += sum_run(block + i, run);
        }
    }
}

void ls_moments_begin(ls_type type, const void *sample, int64_t count, int64_t channels,
                      int64_t spatial, ls_moments *moments) {
    const size_t size = ls_type_size(type);
    for (int64_t c = 0; c < channels; c++) {
        moments[c] = (ls_moments){.count = (double)(count * spatial)};
        ls_values_doubles(type, (const char *)sample + (size_t)(c * spatial) * size, 1,
                          &moments[c].mean);
    }
}

void ls_moments_means(int64_t channels, ls_moments *moments, double *sums) {
    for (int64_t c = 0; c < channels; c++) {
        moments[c].mean += sums[c] / moments[c].count;
        sums[c] = 0;
    }
}

void ls_moments_end(int64_t channels, const double *sums, ls_moments *moments) {
    for (int64_t c = 0; c < channels; c++)
        moments[c].squares = sums[c];
}

ls_status ls_moments_measure(ls_type type, const void *samples, int64_t count, int64_t channels,
                             int64_t spatial, ls_moments *moments) {
    const size_t bytes = ls_type_size(type) * (size_t)(channels * spatial);
    const char *first = samples;
    double *sums;
    LS_TRY(LS_NEW(sums, (size_t)channels));
    ls_moments_begin(type, first, count, channels, spatial, moments);
    for (int64_t i = 0; i < count; i++)
        ls_moments_add(type, first + (size_t)i * bytes, channels, spatial, moments, false, sums);
    ls_moments_means(channels, moments, sums);
    for (int64_t i = 0; i < count; i++)
        ls_moments_add(type, first + (size_t)i * bytes, channels, spatial, moments, true, sums);
    ls_moments_end(channels, sums, moments);
    ls_free(sums);
    return LS_OK;
}

void ls_moments_merge(ls_moments *moments, const ls_moments *other) {
    const double count = moments->count + other->count;
    const double apart = other->mean - moments->mean;
    moments->mean += apart * (other->count / count);
    moments->squares += other->squares + apart * apart * moments->count * (other->count / count);
    moments->count = count;
}

double ls_moments_deviation(const ls_moments *moments) {
    const double deviation = sqrt(moments->squares / moments->count);
    return (float)deviation > 0 ? deviation : 1;
}
