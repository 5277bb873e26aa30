/* moments: mean and squared deviations of channels over ranges of samples, in double precision and
 * in an order that depends on the samples alone.  Not collective. */
#ifndef LOCKSTEP_DATA_MOMENTS_H
#define LOCKSTEP_DATA_MOMENTS_H

#include "lockstep/io.h"

/* Of one channel: how many values, their mean, and the sum of squared deviations from it. */
typedef struct ls_moments {
    double count, mean, squares;
} ls_moments;

/* Of samples (count, channels, spatial): one entry a channel.  Two passes. */
ls_status ls_moments_measure(ls_type type, const void *samples, int64_t count, int64_t channels,
                             int64_t spatial, ls_moments *moments);
/* The same sample by sample: begin with the first of `count`, whose values make the sums of a
 * constant exact; add all, means, add all again for their squares, end.  add: what the values have
 * beyond the means of their channels, or its squares, to sums (channels), which begin with 0. */
void ls_moments_begin(ls_type type, const void *sample, int64_t count, int64_t channels,
                      int64_t spatial, ls_moments *moments);
void ls_moments_add(ls_type type, const void *values, int64_t channels, int64_t spatial,
                    const ls_moments *moments, bool squares, double *sums);
void ls_moments_means(int64_t channels, ls_moments *moments, double *sums);
void ls_moments_end(int64_t channels, const double *sums, ls_moments *moments);
/* Adds what `other` holds: Chan, Golub and LeVeque 1979. */
void ls_moments_merge(ls_moments *moments, const ls_moments *other);
/* The standard deviation; 1 where it is 0 as float32. */
double ls_moments_deviation(const ls_moments *moments);

#endif
