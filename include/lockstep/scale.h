/* scale: a scaling study: the time of a step on 1, 2, 4, ... of the ranks, its phases, and what a
 * model expects of the next size.  Statistics and model are pure functions of what was measured. */
#ifndef LOCKSTEP_SCALE_H
#define LOCKSTEP_SCALE_H

#include "lockstep/train.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ls_scale_mode {
    LS_SCALE_STRONG, /* the global batch is fixed */
    LS_SCALE_WEAK,   /* the batch of a rank is: batch and slices grow with the ranks */
    LS_SCALE_MODES
} ls_scale_mode;
const char *ls_scale_mode_name(ls_scale_mode mode); /* "strong", "weak" */

/* Where the time of a step goes.  The five add up to it. */
typedef enum ls_scale_phase {
    LS_SCALE_COMPUTE,   /* forward and backward, mean over the ranks */
    LS_SCALE_EXCHANGE,  /* waiting for losses, decisions and sums, imbalance taken off */
    LS_SCALE_UPDATE,    /* of the weights, mean over the ranks */
    LS_SCALE_DATA,      /* assembling the batch, mean over the ranks */
    LS_SCALE_IMBALANCE, /* own work of a step's slowest rank less the mean (ls_phases_work) */
    LS_SCALE_PHASES
} ls_scale_phase;
const char *ls_scale_phase_name(ls_scale_phase phase); /* "compute", "exchange", ... */

/* What was run. */
typedef struct ls_scale_size {
    ls_scale_mode mode;
    int ranks, nodes;
    int64_t batch, slices; /* global */
    double crowd;          /* ranks of a node for each of its cores, at least 1 */
    double bytes;          /* of the gradient sums */
    int buckets;           /* that they travel in */
} ls_scale_size;

/* One repeat: times are s, means over its steps. */
typedef struct ls_scale_row {
    ls_scale_size size;
    double step, phase[LS_SCALE_PHASES];
    double alone;                /* the exchange of a step without compute, s */
    double predicted, low, high; /* before it ran, s; NaN: nothing was known */
    char digest[LS_DIGEST_TEXT]; /* of weights, statistics and momentum after its steps */
} ls_scale_row;

/* ---- statistics ----------------------------------------------------------------------------- */

/* A median with its nonparametric confidence interval: order statistics x_(i), x_(n+1-i) with the
 * largest i whose coverage, 1 - 2 P(B < i) with B binomial (n, 1/2), is at least 95 % (Hoefler and
 * Belli, "Scientific Benchmarking of Parallel Computing Systems", SC 2015; Le Boudec 2010).  Of
 * fewer than 6 values none reaches that: then i = 1, all values. */
typedef struct ls_interval {
    double median, low, high;
    double confidence; /* the coverage, 0 of one value */
} ls_interval;
/* Sorts `values`; count >= 1. */
ls_interval ls_scale_interval(double *values, int64_t count);

/* All repeats of a size. */
typedef struct ls_scale_point {
    ls_scale_size size;
    int64_t repeats;
    ls_interval step;
    double phase[LS_SCALE_PHASES]; /* medians, scaled to add up to step.median */
    double alone;                  /* median */
    double predicted, low, high;   /* as in the rows */
    double error;                  /* step.median / predicted - 1; NaN without a prediction */
    /* Samples/s against those of the mode's smallest size, times its ranks: the ideal is `ranks`;
     * low and high from both intervals. */
    double speedup, speedup_low, speedup_high;
    double efficiency; /* speedup / ranks */
    bool same_bits;    /* strong: the digest is that of the mode's first row; weak: of the size's */
} ls_scale_point;

/* The points of `rows`, ordered by mode and ranks.  *points is new memory (ls_free). */
ls_status ls_scale_summarize(const ls_scale_row *rows, int64_t count, ls_scale_point **points,
                             size_t *point_count);

/* ---- model ---------------------------------------------------------------------------------- */

/* What is expected of `next` from the points measured so far; NaN without any of its mode.
 *
 * LogGP-like (Alexandrov et al. 1995), phase by phase, from the largest size p of the mode.  With
 * n ranks, k nodes, r = n / k ranks a node, s = slices / n, o = crowd, G gradient bytes, m buckets:
 *
 * - compute(n) = compute(p) s o / (s_p o_p); data(n) likewise
 * - imbalance(n) = compute(n) ((ceil(s) - s) / s + e), e what p had beyond its own ceil(s_p)
 * - update(n) = a + b o / r, fitted to the sizes so far, a, b >= 0: a rank updates its part
 * - alone(n) = m l log2(n) + g G (r - 1) / r + h G 2 (k - 1) / k, fitted, l, g, h >= 0: latency,
 *   sums over a node, over the network
 * - exchange(n) = max(alone(n) - v compute(n), x alone(n)), and what p waited beyond alone(p):
 *   backward hides the share v of compute that it hid at p, or 2/3 where little more than the last
 *   bucket was exposed there; x: the share exposed at p, at most 1 / m
 *
 * The interval is [step / (1 + d), step (1 + d)], d the largest relative error of this model at the
 * sizes so far, each predicted from those before it, and no less than 5 % and than the interval of
 * size p; 50 % where nothing was predicted yet. */
typedef struct ls_scale_prediction {
    double step, low, high; /* s */
    double phase[LS_SCALE_PHASES];
} ls_scale_prediction;
ls_scale_prediction ls_scale_predict(const ls_scale_point *points, size_t count,
                                     const ls_scale_size *next);

#ifdef __cplusplus
}
#endif
#endif
