/* lr: the learning rate range test as pure functions: the ramp, the smoothed loss and the stop
 * rule, and the suggestions read off a finished curve.  No MPI, no I/O.  Not collective.
 *
 * Sources: L. N. Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017;
 * S. Gugger, "How Do You Find A Good Learning Rate", 2018. */
#ifndef LOCKSTEP_LR_H
#define LOCKSTEP_LR_H

#include "lockstep/base.h"
#include "lockstep/choices.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the ramp ------------------------------------------------------------------------------- */

/* LR of step i of n: start (end/start)^(i/(n-1)), or start + (end - start) i/(n-1).  n = 1: start.
 * Exactly start at 0 and end at n - 1. */
double ls_ramp_lr(ls_ramp_kind kind, double start, double end, int64_t n, int64_t i);

/* ---- the rule ------------------------------------------------------------------------------- */

typedef enum ls_stop {
    LS_STOP_NONE,      /* go on */
    LS_STOP_END,       /* the ramp is through */
    LS_STOP_DIVERGED,  /* smoothed loss passed stop_factor times its best */
    LS_STOP_NOT_FINITE /* the loss, or a gradient, is not a finite number */
} ls_stop;

const char *ls_stop_name(ls_stop stop); /* "end", "diverged", "not_finite" */

typedef struct ls_range_test {
    double beta, stop_factor;
    /* state */
    int64_t points; /* losses taken, the one that stopped the test excluded */
    double average, smoothed, best;
} ls_range_test;

/* beta in [0, 1); stop_factor > 1, or 0: never stop for divergence. */
void ls_range_test_begin(ls_range_test *test, double beta, double stop_factor);
/* Takes the loss of the next step.  average <- beta average + (1 - beta) loss; smoothed = average /
 * (1 - beta^(i + 1)).  Stops at i > 0 when best > 0 and smoothed > stop_factor best (a negative
 * loss never stops it), and at any i when the loss is not finite; that point is not recorded and
 * the state stays as it was.  Otherwise best <- min(best, smoothed). */
ls_stop ls_range_test_take(ls_range_test *test, double loss);

/* ---- curves and suggestions ----------------------------------------------------------------- */

/* A finished test.  Arrays of `count`, not owned.  The LRs are positive and grow. */
typedef struct ls_curve {
    int64_t count;
    const double *lr, *loss, *smoothed;
    const double *noise;    /* standard error of each loss, from its slices; NULL when not known */
    const double *accuracy; /* share of right answers of each batch; NULL when not measured */
    bool diverged; /* the test was stopped after the last point, as the loss ran off or was not
                      finite */
} ls_curve;

/* smoothed[i] for raw losses, as ls_range_test_take does.  A loss that is not finite makes it and
 * all later ones NaN. */
void ls_smooth(double beta, int64_t count, const double *loss, double *smoothed);

/* Standard error of a batch's loss from its slices: deviation of the finite slice losses over the
 * root of their count; NaN when there are fewer than 2. */
double ls_slice_noise(size_t slices, const double *slice_loss);

#define LS_REASON_TEXT 160

/* One suggestion: a value, or the reason why there is none. */
typedef struct ls_suggestion {
    const char *name;
    bool found;
    double value;
    int64_t index;               /* of the point it was read off, -1 when it is none */
    char reason[LS_REASON_TEXT]; /* why there is none; for `recommended` also how it was chosen */
} ls_suggestion;

/* The first four are those of fastai's lr_find (fastai 2, callback/schedule.py).  They look at the
 * smoothed loss L, without the first tenth, floor(count/10), and the last 5 points, up to the first
 * NaN.
 *
 * The others look at the level of the raw loss: its running median over 2h + 1 points, h = count/40
 * but in 1..250.  It looks both ways, so it does not lag as the smoothed loss does (50 points at
 * beta 0.98, a decade of a 469-point ramp), and neither spikes nor the height of the diverging tail
 * move it.
 * - start: the median of the first tenth of the losses (3 at least) or the first level, whichever
 *   is less; the median of the first 3 if that is clearly more: a linear ramp may fall at once
 * - bottom: the smallest level before the level rises by a quarter of the whole fall, once it has
 *   fallen by half of it: a network that has broken down may give a smaller loss than at its start
 * - depth: start - bottom
 * - e, the error of the level: 1.25 noise / sqrt(2h + 1), noise being the median of ls_curve.noise
 *   up to the bottom, or estimated from the second differences of the losses
 *
 * They refuse when there are fewer than 10 finite losses, or when the depth is not above 5 e: no
 * descent, or none that is clear of the noise.  (Of simulated curves of pure noise, 14 in 1,000
 * pass at 20 points and 4 at 469; with slice losses 1 and 3.)
 *
 * Smith's bounds (2017, section 3.3: where the accuracy starts to increase, and where it "slows,
 * becomes ragged, or starts to fall") are read off the accuracy when there is one, else off the
 * loss.  base_lr: the first point that is better than the start by a tenth of the depth (or 3 e).
 * max_lr: from there on, the first point that is within 5 % of the depth (or 3 e) of the bottom
 * (slows), or whose next one is worse than the best so far by a tenth of the depth (or 3 e)
 * (ragged, or falls).
 *
 * recommended: the valley is where the loss is within a tenth of the depth (or 3 e) of its bottom,
 * from `left`, where it gets there first, to `right`, after which it first leaves it.  Recommended
 * is left^0.6 right^0.4, a little left of the valley's middle on a log scale, but at most right/6,
 * and no further than 3 points before `right`.  Why: `right`, where training becomes unstable,
 * hardly depends on the ramp, but is no place to train at; `left` comes earlier the more steps
 * there are.  On exponential ramps the middle is left of the loss's minimum, near a tenth of where
 * the lagging smoothed loss has its own.  A linear ramp gets to the valley late, which the second
 * limit mends; on a coarse ramp an instability shows some points late, hence the third.
 *
 * Measured on Fashion-MNIST: logistic regression, MLPs, tanh nets, batch norm, LeNet; momentum 0
 * and 0.9; batches of 64 to 512; 151 ramps of 20 to 2,000 points.  How far the training loss after
 * one epoch (about 0.4) at the suggested LR is above that at the best LR: mean, 90 % quantile,
 * worst (4.6 is divergence):
 * - recommended 0.028, 0.070, 0.15
 * - minimum 0.037, 0.084, 0.27; it hangs on the number of points: mean 0.09 at 20 and 0.06 at
 *   2,000 points, where recommended has 0.05 and 0.02
 * - valley 0.31, 0.44, 4.6; steep 0.43, 0.54, 4.6; slide 1.4, 4.6, 4.6 */
enum {
    LS_SUGGEST_MINIMUM, /* LR of the smallest L, divided by 10; index: of that smallest */
    LS_SUGGEST_STEEP,   /* left LR of the pair with the smallest dL/dln(lr) */
    LS_SUGGEST_VALLEY,  /* inside the longest strictly decreasing subsequence */
    LS_SUGGEST_SLIDE,   /* left end of 15 points, slid left until the end slopes agree to 0.005 */
    LS_SUGGEST_BASE_LR, /* bounds for cyclical learning rates */
    LS_SUGGEST_MAX_LR,
    LS_SUGGEST_RECOMMENDED, /* index -1 */
    LS_SUGGEST_COUNT
};

/* The name of LS_SUGGEST_...: a static string. */
const char *ls_suggestion_name(int which);

/* Reads all suggestions off a curve.  Pure. */
void ls_suggest(const ls_curve *curve, ls_suggestion out[LS_SUGGEST_COUNT]);

#ifdef __cplusplus
}
#endif
#endif
