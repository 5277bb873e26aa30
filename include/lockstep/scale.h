/* scale: a scaling study: the time of a step on 1, 2, 4, ... of the ranks, its phases, what a model
 * expects of the next size, and the time to a target.  Statistics and model are pure functions of
 * what was measured. */
#ifndef LOCKSTEP_SCALE_H
#define LOCKSTEP_SCALE_H

#include <math.h>

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

/* What it took to train to the target: up to the end of the epoch that reached it. */
typedef struct ls_scale_training {
    double reached;                /* 1; 0: not within train.epochs; NaN: was not trained */
    double steps, epochs, samples; /* to the target, or all that were trained; 0: it diverged */
    double lr;                     /* base learning rate; NaN where it diverged */
} ls_scale_training;
#define LS_SCALE_NOT_TRAINED ((ls_scale_training){NAN, NAN, NAN, NAN, NAN})

/* One repeat: times are s, means over its steps. */
typedef struct ls_scale_row {
    ls_scale_size size;
    double step, phase[LS_SCALE_PHASES];
    double alone;                /* the exchange of a step without compute, s */
    double predicted, low, high; /* before it ran, s; NaN: nothing was known */
    char digest[LS_DIGEST_TEXT]; /* of weights, statistics and momentum after its steps */
    ls_scale_training training;  /* on this many ranks */
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
    /* That of the size; in strong mode one size's is that of all with the same bits, for they take
     * the same steps. */
    ls_scale_training training;
    double to_target; /* training.steps * step.median, s; NaN where the target was not reached */
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

/* ---- the study ------------------------------------------------------------------------------ */

enum {
    LS_SCALE_WARM_UP = 3, /* steps before those that count, in each repeat */
    LS_SCALE_LIMIT = 64   /* sizes of a mode */
};

typedef struct ls_scale_study {
    char *about;                   /* the configuration's file and what was set, as given */
    char *version, *isa, *library, /* that computes */
        *hosts; /* of the process that wrote the file last; "" where the file does not say */
    char *identity, *configuration; /* what tells this study from others; YAML */
    int64_t steps;                  /* of a repeat; 0: none was measured yet */
    int64_t base, asked_steps;      /* as in the job, base never 0; -1: the file does not say */
    bool layout_invariant;  /* false with exchange_sum: float32: each size has bits of its own */
    char *target, *lr_rule; /* of the trainings; NULL where there are none */
    double noise_scale;     /* samples; 0: not given */
    ls_scale_row *rows;     /* in the order in which they were measured */
    int64_t row_count;
    ls_scale_point *points; /* of these rows */
    size_t point_count;
} ls_scale_study;
void ls_scale_study_free(ls_scale_study *study);

/* The learning rate of a training to the target, of a batch of B samples. */
typedef enum ls_scale_lr_rule {
    LS_SCALE_LR_AUTO,   /* what a range test with this batch recommends */
    LS_SCALE_LR_LINEAR, /* train.lr * B / R, R train.lr_reference_batch or the configuration's batch
                           (Goyal et al. 2017) */
    LS_SCALE_LR_SQRT,   /* train.lr * sqrt(B / R) (Krizhevsky 2014) */
    LS_SCALE_LR_FIXED,  /* as the configuration says */
    LS_SCALE_LR_RULES
} ls_scale_lr_rule;
const char *ls_scale_lr_rule_name(ls_scale_lr_rule rule); /* "auto", "linear", "sqrt", "fixed" */

typedef struct ls_scale_job {
    const char *path;   /* of the run file: begun, or gone on with where it is of this study */
    const char *folder; /* it is there, and the trainings are: folder/train-strong, train-weak-4 */
    const char *name;   /* the configuration's file, for messages */
    bool modes[LS_SCALE_MODES];
    int ranks[LS_SCALE_LIMIT]; /* rising */
    int rank_count;
    int base; /* ranks that batch.size and batch.slices are for in weak mode: both grow with the
                 ranks; 0: the first of `ranks` */
    int64_t repeats, steps; /* steps of a repeat; 0: about a second's at the first size */
    const char *target;     /* "accuracy 0.9", see ls_target_parse; NULL: nothing is trained */
    ls_scale_lr_rule lr_rule;
    double noise_scale; /* samples, kept with the study; 0: unknown */
    const ls_note *notes;
    size_t note_count;
    /* Called on rank 0, before the first repeat of a size (expected->step is NaN where nothing is
     * known yet) and after the last one. */
    void (*before)(void *context, const ls_scale_size *size, const ls_scale_prediction *expected);
    void (*after)(void *context, const ls_scale_point *point);
    void (*trained)(void *context, const ls_scale_point *point); /* to the target */
    void *context;
} ls_scale_job;

/* Not collective.  The size of `mode` on `ranks` ranks: batch and slices; the rest is 0.
 * LS_ERR_INPUT where it cannot be: more ranks than slices, a batch that is no whole number. */
ls_status ls_scale_plan(const ls_config *config, const ls_scale_job *job, ls_scale_mode mode,
                        int ranks, ls_scale_size *size);

/* Collective.  Measures what the file does not have yet: each repeat begins with the same weights
 * and is in the file once it is through; a training goes on from its last checkpoint.  A rank that
 * is not of a size sleeps.  The configuration's batch and learning rate are those of the last size
 * afterwards.  *result on rank 0 only; ls_scale_study_free. */
ls_status ls_scale(ls_comm *comm, ls_config *config, const ls_scale_job *job,
                   ls_scale_study *result);

/* Not collective.  The study of a run file, finished or not. */
ls_status ls_scale_read(const char *path, ls_scale_study *study);

/* Not collective.  The rows of several files of one study, of jobs with a size each, in a new file,
 * in the order of one job: by mode and ranks.  What had no smaller size in its own file is
 * predicted from those of the others.  Not every file needs to have trainings.  LS_ERR_INPUT: of
 * different studies, with what differs, or with other steps; trainings to other targets, or of a
 * size with another outcome; a repeat that is in two files, or of a size on other nodes or cores;
 * `path` is there already. */
ls_status ls_scale_join(const char *const *paths, size_t count, const char *path);

#ifdef __cplusplus
}
#endif
#endif
