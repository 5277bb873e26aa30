/* train: the distributed step, and the experiments made of steps. */
#ifndef LOCKSTEP_TRAIN_H
#define LOCKSTEP_TRAIN_H

#include "lockstep/base.h"
#include "lockstep/comm.h"
#include "lockstep/config.h"
#include "lockstep/data.h"
#include "lockstep/lr.h"
#include "lockstep/nn.h"
#include "lockstep/optim.h"
#include "lockstep/record.h"
#include "lockstep/schedule.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- engine: data, network, weights and exchange of one run --------------------------------- */

/* Not collective.  Not of a checkpoint's engine: train_data, steps_per_epoch. */
const ls_net *ls_engine_net(const ls_engine *engine);
const ls_data *ls_engine_train_data(const ls_engine *engine);
bool ls_engine_has_classes(const ls_engine *engine); /* otherwise a regression */
const ls_normalization *ls_engine_normalization(const ls_engine *engine); /* of the inputs */
/* The node-shared weights, ls_net_flat_size floats, and a state of the optimizer,
 * ls_net_trained_size floats. */
float *ls_engine_params(ls_engine *engine);
const ls_optimizer *ls_engine_optimizer(const ls_engine *engine);
float *ls_engine_state(ls_engine *engine, int state);
/* Collective over the ranks of this node, once all of them have finished changing the weights: what
 * is derived from them follows. */
void ls_engine_params_changed(ls_engine *engine);

/* Seconds of the phases in which a rank does its own work, and waits for no other: data, forward,
 * backward. */
double ls_phases_work(const double seconds[LS_PHASE_COUNT]);

/* Not collective.  After `skip` more steps this rank notes what it does in each of the `steps` that
 * follow: LS_EVENT_STEP, LS_EVENT_PHASE, and what network and exchange note.  NULL: no more.  Kept
 * by reference. */
void ls_engine_record(ls_engine *engine, ls_recorder *recorder, int64_t skip, int64_t steps);

/* Not collective.  Bytes that an engine holds. */
typedef struct ls_engine_memory {
    size_t data, weights, gradients; /* shared by the ranks of the node; weights: with momentum */
    size_t own_gradients, network;   /* this rank's own; network: activations, packed weights */
} ls_engine_memory;
ls_engine_memory ls_engine_memory_now(const ls_engine *engine);

#define LS_TOP 5                /* of the top-5 accuracy */
#define LS_CONFUSION_LIMIT 4096 /* classes; with more there is no confusion matrix */

/* What an evaluation measured.  What does not apply is NaN, or NULL. */
typedef struct ls_evaluation {
    int64_t samples;
    int64_t outputs; /* classes, or targets a sample */
    double loss;     /* mean over the samples */

    /* Classes.  Of equal outputs the lower class counts as the larger one. */
    double accuracy; /* share of samples whose largest output is the target class */
    double top;      /* share whose target is among the LS_TOP largest, for > LS_TOP classes */
    double balanced_accuracy; /* mean over the classes of the share of their samples taken for
                                 them */
    double macro_f1; /* mean over the classes of 2 hits / (their samples + those taken for them) */
    int64_t *confusion; /* (classes, classes): samples of class [row] taken for class [column] */

    /* Regression, in the units of the dataset's targets. */
    double rmse; /* root of the mean squared error, over samples and outputs */
    double mae;  /* mean absolute error, likewise */
    double r2;   /* mean of output_r2 over the outputs whose targets are not all equal */
    /* Of each output (outputs): */
    double *output_rmse, *output_mae, *output_r2; /* R2 = 1 - sum (y - t)^2 / sum (t - mean t)^2 */
} ls_evaluation;

/* Collective.  ls_engine_evaluate with all that can be said.  Free with ls_evaluation_free. */
ls_status ls_engine_evaluate_full(ls_engine *engine, ls_split split, int64_t samples,
                                  ls_evaluation *evaluation);
void ls_evaluation_free(ls_evaluation *evaluation);

/* ---- the LR range test ---------------------------------------------------------------------- */

/* `find_lr.steps: auto`: 55 points a decade of the default ramp, whatever the data set.  Of 28
 * tasks of scripts/lr-benchmark an epoch has 9 to 940 steps; below 100 or so the edge of stability
 * shows late, or not at all. */
enum {
    LS_FIND_LR_AUTO_STEPS = 500,
    LS_FIND_LR_LONGER = 4, /* times as many, once more, where the fall is within its noise */
    LS_FIND_LR_SHARE = 10  /* both tests take no more steps than one in so many of training */
};

/* Steps of the ramp by the key find_lr.steps, for a training set of so many steps. */
int64_t ls_find_lr_steps(int64_t steps, int64_t per_epoch);
/* Steps of a second test after one of LS_FIND_LR_AUTO_STEPS, before a training of so many steps:
 * as many as LS_FIND_LR_SHARE allows, up to LS_FIND_LR_LONGER times; 0 where that is less than
 * twice, which would hardly show more. */
int64_t ls_find_lr_longer_steps(int64_t training);

/* ---- schedules ------------------------------------------------------------------------------ */

/* Not collective.  Steps of an epoch of `samples` training samples of a shape.  LS_ERR_INPUT: the
 * model does not fit the shape. */
ls_status ls_train_steps_per_epoch(const ls_config *config, const ls_shape *shape, int64_t samples,
                                   int64_t *steps);
/* Not collective.  The checked schedule of a run.  lr: train.lr or what stands for it, before the
 * linear scaling rule, which is applied here; NaN when it is not known yet: what depends on it is
 * NaN too, and not checked.  LS_ERR_INPUT names what does not fit. */
ls_status ls_train_schedule(const ls_config *config, double lr, int64_t steps_per_epoch,
                            ls_schedule *schedule);

#ifdef __cplusplus
}
#endif
#endif
