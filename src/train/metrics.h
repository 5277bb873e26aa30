/* train, inside: what is measured on outputs and targets.  Pure; sums go sample by sample in the
 * order given, so that they are the same bits wherever they are computed. */
#ifndef LOCKSTEP_TRAIN_METRICS_H
#define LOCKSTEP_TRAIN_METRICS_H

#include "lockstep/base.h"

/* ---- classes -------------------------------------------------------------------------------- */

/* The class with the largest of `classes` outputs; of equals the first. */
int64_t ls_best_class(int64_t classes, const float *z);
/* Whether fewer than `most` classes are ahead of `target`: larger, or equal and before it.  Never
 * for an output that is not a number. */
bool ls_is_among_top(int64_t classes, const float *z, int64_t target, int64_t most);
/* Of `samples` of each class, of those `taken` for it and of the `hits` among both.  Mean of hits /
 * samples over the classes that have samples. */
double ls_balanced_accuracy(int64_t classes, const int64_t *samples, const int64_t *hits);
/* Mean of F1 = 2 hits / (samples + taken) over the classes that have either. */
double ls_macro_f1(int64_t classes, const int64_t *samples, const int64_t *taken,
                   const int64_t *hits);
/* Probabilities exp(z_i) / sum exp(z), computed in double.  `p` may be `z`. */
void ls_softmax(int64_t classes, const float *z, float *p);

/* ---- regression ----------------------------------------------------------------------------- */

/* squares[i] += (y_i - t_i)^2 and absolutes[i] += |y_i - t_i| of one sample. */
void ls_errors_add(int64_t outputs, const double *y, const double *target, double *squares,
                   double *absolutes);
/* Takes the targets of sample `number` (from 1) into their mean and sum of squared deviations from
 * it (Welford 1962); both start at 0. */
void ls_deviations_add(int64_t outputs, int64_t number, const double *target, double *mean,
                       double *sums);
/* 1 - errors / deviations; NaN where the targets are all equal. */
double ls_r2(double errors, double deviations);

#endif
