/* moments: mean and squared deviations of channels over ranges of samples, in double precision and
 * in an order that depends on the samples alone.  Not collective. */
#ifndef LOCKSTEP_DATA_MOMENTS_H
#define LOCKSTEP_DATA_MOMENTS_H

#include "lockstep/io.h"

/* Of one channel: how many values, their mean, and the sum of squared deviations from it. */
typedef struct ls_moments {
    double count, mean, squares;
} ls_moments;

/* Samples (channels, spatial): sample(context, i, ...) gives number i, valid until the next call.
 */
typedef struct ls_measured {
    ls_type type;
    int64_t channels, spatial;
    ls_status (*sample)(const void *context, int64_t index, const void **values);
    const void *context;
} ls_measured;

/* Of samples [first, first + count): one entry a channel.  Each sample is asked for once, in its
 * order. */
ls_status ls_moments_measure(const ls_measured *samples, int64_t first, int64_t count,
                             ls_moments *moments);
/* Adds what `other` holds: Chan, Golub and LeVeque 1979. */
void ls_moments_merge(ls_moments *moments, const ls_moments *other);
/* The standard deviation; 1 where it is 0 as float32. */
double ls_moments_deviation(const ls_moments *moments);

#endif
