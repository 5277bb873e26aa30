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
    const int64_t spatial = samples->spatial, elements = samples->channels * spatial;
    const ls_type type = samples->type;
    double block[BLOCK];
    for (int64_t start = 0; start < elements; start += BLOCK) {
        const int64_t count = elements - start < BLOCK ? elements - start : BLOCK;
        int64_t channel = start / spatial, left = (channel + 1) * spatial - start;
        ls_values_doubles(type, sample + (size_t)start * ls_type_size(type), count, block);
        for (int64_t i = 0, run; i < count; i += run, channel++, left = spatial) {
            run = left < count - i ? left : count - i;
            centre(block + i, run, moments[channel].mean, squares);
            sums[channel] += sum_run(block + i, run);
        }
    }
}

/* Of a sample with one value a channel. */
static void take_values(const ls_measured *samples, const char *sample, ls_moments *moments) {
    const ls_type type = samples->type;
    double block[BLOCK];
    for (int64_t start = 0; start < samples->channels; start += BLOCK) {
        const int64_t left = samples->channels - start, count = left < BLOCK ? left : BLOCK;
        ls_values_doubles(type, sample + (size_t)start * ls_type_size(type), count, block);
        for (int64_t i = 0; i < count; i++)
            moments[start + i] = (ls_moments){.count = 1, .mean = block[i]};
    }
}

/* Of one sample, two passes over its values; the first value of a channel makes the sums of a
 * constant exact.  sums (channels) is room. */
static void measure_sample(const ls_measured *samples, const char *sample, ls_moments *moments,
                           double *sums) {
    const int64_t channels = samples->channels, spatial = samples->spatial;
    const size_t channel = ls_type_size(samples->type) * (size_t)spatial;
    if (spatial == 1) {
        take_values(samples, sample, moments);
        return;
    }
    for (int64_t c = 0; c < channels; c++) {
        moments[c] = (ls_moments){.count = (double)spatial};
        ls_values_doubles(samples->type, sample + (size_t)c * channel, 1, &moments[c].mean);
        sums[c] = 0;
    }
    add(samples, sample, moments, false, sums);
    for (int64_t c = 0; c < channels; c++) {
        moments[c].mean += sums[c] / moments[c].count;
        sums[c] = 0;
    }
    add(samples, sample, moments, true, sums);
    for (int64_t c = 0; c < channels; c++)
        moments[c].squares = sums[c];
}

static ls_status measure_all(const ls_measured *samples, int64_t first, int64_t count,
                             ls_moments *moments, ls_moments *one, double *sums) {
    const void *sample;
    for (int64_t i = 0; i < count; i++) {
        LS_TRY(samples->sample(samples->context, first + i, &sample));
        measure_sample(samples, sample, i == 0 ? moments : one, sums);
        for (int64_t c = 0; c < samples->channels && i > 0; c++)
            ls_moments_merge(&moments[c], &one[c]);
    }
    return LS_OK;
}

ls_status ls_moments_measure(const ls_measured *samples, int64_t first, int64_t count,
                             ls_moments *moments) {
    double *sums = NULL;
    ls_moments *one = NULL;
    ls_status status;
    LS_TRY_GOTO(done, LS_NEW(sums, (size_t)samples->channels));
    LS_TRY_GOTO(done, LS_NEW(one, (size_t)samples->channels));
    status = measure_all(samples, first, count, moments, one, sums);
done:
    ls_free(one);
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
