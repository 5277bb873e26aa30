/* noise: the gradient noise scale: up to what batch, and so on how many ranks, a larger batch saves
 * steps.  McCandlish, Kaplan, Amodei et al., "An Empirical Model of Large-Batch Training", 2018.
 *
 * With the mean gradient G over all samples and the covariance C of single samples' gradients, the
 * simple noise scale is B_noise = tr(C) / |G|^2.  To the same loss, batches of B samples take
 * 1 + B_noise / B times the least steps, of very large batches, and 1 + B / B_noise times the least
 * samples, of very small ones: at B = B_noise twice of both.  That holds for plain SGD with the
 * best learning rate for each batch, and a Hessian that is a multiple of the identity. */
#ifndef LOCKSTEP_NOISE_H
#define LOCKSTEP_NOISE_H

#include "lockstep/train.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- estimates: pure ------------------------------------------------------------------------ */

/* |G|^2 and tr(C) from one step, unbiased (appendix A.1 of the paper, with slices as the small
 * batches). A batch of B samples has slices of b_s; g_s is the part of slice s in the mean gradient
 * g, their sum, q the sum of (b_s / B)^2.  Then
 *   |G|^2 = (|g|^2 - sum |g_s|^2) / (1 - q),   tr(C) = B (sum |g_s|^2 - q |g|^2) / (1 - q).
 * Single steps scatter, and may be negative. */
typedef struct ls_noise_step {
    double square, trace;
} ls_noise_step;
/* mean_square: |g|^2; slice_squares: sum |g_s|^2.  Not finite for less than two slices with
 * samples.
 */
ls_noise_step ls_noise_of_step(int64_t samples, int slices, double mean_square,
                               double slice_squares);

enum {
    LS_NOISE_GROUPS = 10, /* of the steps of a window; a window moves by a tenth of its length */
    LS_NOISE_MOVES = 100, /* of such a tenth a run has about so many, or fewer */
};

/* The scale over a window of steps: the ratio of the two means.  Errors are those of the jackknife
 * over LS_NOISE_GROUPS groups of steps, each with every tenth step; batches are independent, and so
 * what is common to neighbours, a trend, is no error. Steps that are NaN were not measured. */
typedef struct ls_noise_window {
    int64_t first, count; /* steps */
    double square, trace; /* means */
    double scale, error;  /* NaN where |G|^2 is not above two of its standard errors: the noise is
                             too large for so few steps */
    double least;         /* what the scale is above, by two standard errors of |G|^2 */
} ls_noise_window;
/* count: LS_NOISE_GROUPS or more. */
ls_noise_window ls_noise_over(const double *square, const double *trace, int64_t first,
                              int64_t count);

/* ---- the run -------------------------------------------------------------------------------- */

typedef struct ls_noise_job {
    const char *path;   /* of the run file */
    const char *folder; /* of the range test's, where train.lr is auto */
    int64_t steps;      /* 0, or more than the training has: all of it */
    const ls_note *notes;
    size_t note_count;
    void (*progress)(void *context, const ls_find_lr_progress *progress); /* may be NULL */
    void *context;
} ls_noise_job;

/* Collective.  Takes the first `steps` steps of the training that the configuration describes, to
 * the same bits, and measures each whole batch; writes the run file.  LS_ERR_INPUT with one slice,
 * with exchange_sum: float32, or for less than LS_NOISE_GROUPS steps; LS_ERR_NUMERIC when the loss
 * or a gradient is not finite. */
ls_status ls_noise(ls_engine *engine, const ls_noise_job *job);

/* Of a run file, finished or not. */
typedef struct ls_noise_study {
    char *about;         /* the configuration's file and what was set, as given */
    char *version, *isa; /* "" where the file does not say */
    int64_t batch, slices;
    double lr;    /* base learning rate */
    int64_t rows; /* steps */
    double *smoothed_loss;
    ls_noise_window *points; /* each a tenth of a window on from the one before; at least one */
    size_t point_count;
} ls_noise_study;
/* Not collective.  LS_ERR_INPUT: the file is none, or is shorter than a window. */
ls_status ls_noise_read(const char *path, ls_noise_study *study);
void ls_noise_study_free(ls_noise_study *study);

#ifdef __cplusplus
}
#endif
#endif
