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

/* Adds what the values of a sample have beyond the means of their channels, or its squares, to sums
 * (channels). */
static void add(const ls_measured *samples, const char *sample, const ls_moments *moments,
                bool squares, double *sums) {
    const int64_t channels = samples->channels, spatial = samples->spatial;
    const ls_type type = samples->type;
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

/* The values of the first sample make the sums of a constant exact. */
static void begin(const ls_measured *samples, const char *sample, int64_t count,
                  ls_moments *moments) {
    const size_t channel = ls_type_size(samples->type) * (size_t)samples->spatial;
    for (int64_t c = 0; c < samples->channels; c++) {
        moments[c] = (ls_moments){.count = (double)(count * samples->spatial)};
        ls_values_doubles(samples->type, sample + (size_t)c * channel, 1, &moments[c].mean);
    }
}

static ls_status pass(const ls_measured *samples, int64_t first, int64_t count, bool squares,
                      ls_moments *moments, double *sums) {
    const void *sample;
    for (int64_t c = 0; c < samples->channels; c++)
        sums[c] = 0;
    for (int64_t i = 0; i < count; i++) {
        LS_TRY(samples->sample(samples->context, first + i, &sample));
        if (i == 0 && !squares)
            begin(samples, sample, count, moments);
        add(samples, sample, moments, squares, sums);
    }
    return LS_OK;
}

ls_status ls_moments_measure(const ls_measured *samples, int64_t first, int64_t count,
                             ls_moments *moments) {
    double *sums;
    LS_TRY(LS_NEW(sums, (size_t)samples->channels));
    ls_status status = pass(samples, first, count, false, moments, sums);
    for (int64_t c = 0; c < samples->channels && status == LS_OK; c++)
        moments[c].mean += sums[c] / moments[c].count;
    if (status == LS_OK)
        status = pass(samples, first, count, true, moments, sums);
    for (int64_t c = 0; c < samples->channels && status == LS_OK; c++)
        moments[c].squares = sums[c];
    ls_free(sums);
    return status;
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
