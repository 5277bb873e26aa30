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
    /* Loss of the best constant answer less that of the network, over the same samples, such as it
     * was not trained on before where there are any; NaN where not measured.  NULL: nowhere. */
    const double *gain, *gain_noise; /* and its standard error, from slices */
    double momentum;                 /* of the test's steps, in [0, 1) */
    int64_t batch;                   /* samples that each loss is the mean of; 0: not known */
    bool diverged; /* the test was stopped after the last point, as the loss ran off or was not
                    finite */
} ls_curve;

/* smoothed[i] for raw losses, as ls_range_test_take does.  A loss that is not finite makes it and
 * all later ones NaN. */
void ls_smooth(double beta, int64_t count, const double *loss, double *smoothed);

/* Standard error of a batch's loss, or gain, from its slices: deviation of the finite values over
 * the root of their count; NaN when there are fewer than 2. */
double ls_slice_noise(size_t slices, const double *slice_loss);

/* Reads all suggestions off a curve.  Pure.
 *
 * The first four are those of fastai's lr_find (fastai 2, callback/schedule.py).  They look at the
 * smoothed loss L, without the first tenth, floor(count/10), and the last 5 points, up to the first
 * NaN.  minimum: LR of the smallest L, divided by 10; its index is of that smallest.  steep: left
 * LR of the pair with the smallest dL/dln(lr).  valley: inside the longest strictly decreasing
 * subsequence.  slide: left end of 15 points, slid left until the end slopes agree to 0.005.
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
 * descent, or none that is clear of the noise. Before that, h = count/20 is tried; the running mean
 * for the edge keeps its width, and is compared with the level of the bottom.  (Of 4,000 simulated
 * curves of pure noise, 15 in 1,000 pass at 20 points, 11 at 469 and 10 at 2,000; with the losses
 * of 8 slices 1, 10 and 14.)
 *
 * Smith's bounds (2017, section 3.3: where the accuracy starts to increase, and where it "slows,
 * becomes ragged, or starts to fall") are read off the accuracy when there is one, else off the
 * loss.  base_lr: the first point that is better than the start by a tenth of the depth (or 3 e).
 * max_lr: from there on, the first point that is within 5 % of the depth (or 3 e) of the bottom
 * (slows), or whose next one is worse than the best so far by a tenth of the depth (or 3 e)
 * (ragged, or falls).
 *
 * recommended: half of the learning rate at the edge of stability, less the lag of momentum.
 * - edge: from the bottom on, the last point before the running mean, over 2h + 1 points with h =
 *   count/40, leaves its smallest value near the bottom by a tenth of the depth, by 3 of its errors
 *   (6 where the level needed h = count/20), or, where the batch is known, by a quarter of the
 *   scatter of single samples' losses, whichever is most. The mean, not the median: single batches
 *   whose loss jumps are how instability begins.
 * - scatter: the noise near the bottom times the root of the batch. Where the inputs tell little,
 *   noise of gradients lifts the loss by more than a tenth of what is learned long before training
 *   is unstable; that goes when the LR falls.
 * - lag: with momentum mu a step's LR has its effect over 1 / (1 - mu) steps. So the LR that led to
 *   the edge is that of so many points before it, but not below a third of the edge's.
 * Its index is the edge's point. Why: a run whose LR falls later is best with the largest LR at
 * which it is stable, and where it becomes unstable hardly depends on the length of the ramp; where
 * the fall ends, which other rules look at, comes earlier the more steps there are.
 *
 * Something is learned where over 2h + 1 points, h = count/20 but in 1..250, the mean gain is
 * above 3.5 of its standard errors (rms of gain_noise, or deviation of the gains, over the root of
 * their count) and above a ten-thousandth of the first loss. Where that is so, and the batch known,
 * a fall within the noise is no reason to refuse: targets that scatter make the loss noisy, the
 * gain less, and for the edge only the scatter counts. It refuses, beside what is said above,
 * - when nothing is learned, where gains are known near the bottom.  With random labels the loss
 *   falls too: from that of the first weights to that of the classes' frequencies.
 * - when the range is too narrow: over the last tenth of the points the level still falls by a
 *   tenth of the depth (or 3 e), and the test was not stopped.
 *
 * Measured by scripts/lr-benchmark: the best LR of a grid, trained to the end, against that of the
 * rule. The half, the lag and the quarter were fixed on the tasks of its half `tune`; README.md has
 * the figures of others. They do not depend on the schedule: on the tasks of `tune` that keep their
 * LR, a smaller share was no better. */
void ls_suggest(const ls_curve *curve, ls_suggestion out[LS_SUGGEST_COUNT]);

#ifdef __cplusplus
}
#endif
#endif
