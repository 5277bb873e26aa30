/* train: the distributed step, and the experiments made of steps. */
#ifndef LOCKSTEP_TRAIN_H
#define LOCKSTEP_TRAIN_H

#include "lockstep/base.h"
#include "lockstep/comm.h"
#include "lockstep/config.h"
#include "lockstep/data.h"
#include "lockstep/lr.h"
#include "lockstep/nn.h"
#include "lockstep/record.h"
#include "lockstep/schedule.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- engine: data, network, weights and exchange of one run --------------------------------- */

typedef struct ls_engine ls_engine;

/* Collective.  Opens the training split (and those of validation and test, when `with_judges`),
 * builds the network, initialises the node-shared weights.  The configuration is kept by reference.
 * `name` is the configuration's file name, for messages. */
ls_status ls_engine_create(ls_comm *comm, const ls_config *config, const char *name,
                           bool with_judges, ls_engine **engine);
/* Collective.  An engine that evaluates and predicts alone: weights, shapes, normalisation and the
 * number of classes come from a checkpoint, samples from the test split, without its targets where
 * only predictions are wanted.  LS_ERR_INPUT when they do not fit. */
ls_status ls_engine_open(ls_comm *comm, const ls_config *config, const char *checkpoint,
                         bool with_targets, ls_engine **engine);
/* Collective. */
void ls_engine_free(ls_engine *engine);

/* Not collective.  Not of a checkpoint's engine: train_data, steps_per_epoch. */
const ls_net *ls_engine_net(const ls_engine *engine);
const ls_data *ls_engine_train_data(const ls_engine *engine);
bool ls_engine_has_classes(const ls_engine *engine); /* otherwise a regression */
const ls_normalization *ls_engine_normalization(const ls_engine *engine); /* of the inputs */
int64_t ls_engine_steps_per_epoch(const ls_engine *engine);
/* The node-shared weights, ls_net_flat_size floats, and momentum buffer, ls_net_trained_size
 * floats. */
float *ls_engine_params(ls_engine *engine);
float *ls_engine_momentum(ls_engine *engine);
/* Collective over the ranks of this node, once all of them have finished changing the weights: what
 * is derived from them follows. */
void ls_engine_params_changed(ls_engine *engine);

/* Collective.  Loads weights, running statistics and normalisation of a trained model from a
 * checkpoint. LS_ERR_INPUT when it does not fit the network. */
ls_status ls_engine_load(ls_engine *engine, const char *path);

/* Collective.  Digest of weights, running statistics and momentum, on rank 0: that of a checkpoint
 * which has them. */
ls_status ls_engine_digest(ls_engine *engine, char text[LS_DIGEST_TEXT]);

/* Collective.  Keeps, and puts back, weights, momentum and running statistics. */
typedef struct ls_snapshot ls_snapshot;
ls_status ls_engine_save(ls_engine *engine, ls_snapshot **snapshot);
void ls_engine_restore(ls_engine *engine, ls_snapshot *snapshot); /* frees it too */

/* Where the time of a step went, s. */
typedef enum ls_phase {
    LS_PHASE_DATA,
    LS_PHASE_FORWARD,
    LS_PHASE_CONTROL,  /* waiting for losses and decisions */
    LS_PHASE_BACKWARD, /* with quantisation */
    LS_PHASE_EXCHANGE, /* exposed: after backward, for the other ranks' gradients and sums */
    LS_PHASE_UPDATE,   /* with waiting for the node's other ranks to finish theirs */
    LS_PHASE_COUNT
} ls_phase;
const char *ls_phase_name(ls_phase phase);

/* What a step measured; the same on all ranks but the times. */
typedef struct ls_step_report {
    int64_t samples; /* true count of this batch */
    double loss;     /* mean over the samples */
    int64_t correct;
    const double
        *slice_loss; /* mean loss of each slice, NaN for an empty one; valid until the next step */
    double gradient_norm; /* of the mean gradient, over all trained parameters */
    bool stop_requested;  /* by ls_engine_request_stop, on any rank */
    int redone;           /* times the backward pass was redone with a larger fixed-point range */
    double seconds[LS_PHASE_COUNT];
} ls_step_report;

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

/* Rank 0's verdict on a step's loss: the LR to apply, or stop before the update. */
typedef struct ls_verdict {
    double lr, momentum;
    int32_t stop;  /* 0: go on; else the caller's reason, handed back on all ranks */
    int32_t after; /* the caller's orders for after the step, handed back on all ranks */
} ls_verdict;

/* Called on rank 0 once the loss of the whole batch is known, while backward is about to run. */
typedef ls_verdict ls_decide(void *context, const ls_step_report *report);

/* Not collective.  Makes rank 0 learn, with the losses of the next step, that this rank was asked
 * to stop. */
void ls_engine_request_stop(ls_engine *engine);

/* Collective.  One step on batch `batch` (0..steps_per_epoch-1) of epoch `epoch`: forward, the
 * verdict, backward, exchange, momentum SGD.  With a verdict to stop nothing is updated.  *verdict
 * is what rank 0 decided, on all ranks.  LS_ERR_NUMERIC, with tensor, slice and step named, for a
 * gradient that is not finite; nothing is updated then either, nor when one rank fails before it
 * has a loss, which all return.  A failure later than that breaks the communicator, see
 * ls_comm_break. */
ls_status ls_engine_step(ls_engine *engine, int64_t epoch, int64_t batch, ls_decide *decide,
                         void *context, ls_verdict *verdict, ls_step_report *report);

/* What trained weights are evaluated on. */
typedef enum ls_split { LS_SPLIT_VALIDATION, LS_SPLIT_TEST, LS_SPLIT_COUNT } ls_split;
const char *ls_split_name(ls_split split); /* "validation", "test" */

/* Not collective.  The split by which training chooses: validation, where there is one, or test.
 * False: there is neither. */
bool ls_engine_judge(const ls_engine *engine, ls_split *split);

/* Collective.  Mean loss and share of correct classes (NaN for regression) over the first `samples`
 * of a split (0: all), with running statistics; every sample once; the same bits on any layout.
 * LS_ERR_INPUT where there is no such split. */
ls_status ls_engine_evaluate(ls_engine *engine, ls_split split, int64_t samples, double *loss,
                             double *accuracy);

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

/* Collective.  Writes the outputs for the test split, in dataset order, to HDF5 file `file`, which
 * appears when it is whole: dataset `outputs` (N, outputs), the class probabilities as float32 or
 * the regression values in the type of the targets, and with classes `predicted_class` (N) int32.
 * The same bits on any layout. */
ls_status ls_engine_predict(ls_engine *engine, const char *file);

/* ---- the LR range test ---------------------------------------------------------------------- */

typedef struct ls_find_lr_result {
    ls_stop stop;
    int64_t stop_step; /* the step that stopped the test, -1 when the ramp went through */
    char stop_detail[LS_REASON_TEXT]; /* which gradient was not finite; "" otherwise */
    int64_t points;                   /* of the curve */
    ls_suggestion suggestions[LS_SUGGEST_COUNT];
    bool restored; /* the digest of weights, statistics and momentum after the test is that of
                      before */
    char digest[LS_DIGEST_TEXT];
} ls_find_lr_result;

/* A text attribute for the run file: who ran what, built how. */
typedef struct ls_note {
    const char *name, *value;
} ls_note;

/* Where a running test stands; given on rank 0 after each step. */
typedef struct ls_find_lr_progress {
    int64_t step, steps; /* steps done, and of the whole ramp */
    double lr, loss, smoothed;
    int64_t samples; /* since the start */
    double seconds;  /* since the start */
} ls_find_lr_progress;

typedef struct ls_find_lr_job {
    const char *folder; /* must exist; find-lr.h5 is written here, by rank 0 */
    const ls_note *notes;
    size_t note_count;
    void (*progress)(void *context, const ls_find_lr_progress *progress); /* may be NULL */
    bool (*interrupted)(void *context); /* whether this process was asked to stop; may be NULL */
    void *context;
} ls_find_lr_job;

/* Collective.  Runs the test and puts the engine back into the state before it.  *result on all
 * ranks.  LS_STOPPED when it was asked to stop. */
ls_status ls_find_lr(ls_engine *engine, const ls_find_lr_job *job, ls_find_lr_result *result);

/* ---- schedules ------------------------------------------------------------------------------ */

/* Not collective.  The checked schedule of a run.  lr: train.lr or what stands for it, before the
 * linear scaling rule, which is applied here; NaN when it is not known yet: what depends on it is
 * NaN too, and not checked.  LS_ERR_INPUT names what does not fit. */
ls_status ls_train_schedule(const ls_config *config, double lr, int64_t steps_per_epoch,
                            ls_schedule *schedule);

/* ---- training ------------------------------------------------------------------------------- */

/* Why a training run ended. */
typedef enum ls_train_end {
    LS_TRAIN_DONE,        /* all epochs */
    LS_TRAIN_TARGET,      /* train.target is reached */
    LS_TRAIN_NO_PROGRESS, /* not in train.stop_after epochs */
    LS_TRAIN_SIGNAL,      /* asked to by a signal */
    LS_TRAIN_STOP_FILE,   /* a file `stop` in the folder, which is removed */
    LS_TRAIN_TIME_LIMIT   /* train.max_minutes */
} ls_train_end;

/* "done", "target", "no_progress", "signal", "stop_file", "time_limit" */
const char *ls_train_end_name(ls_train_end end);
/* Whether the run has come to its own end, and is not to be gone on with. */
bool ls_train_end_is_final(ls_train_end end);

/* An evaluation in few words: what does not apply is NaN. */
typedef struct ls_score {
    double loss, accuracy, r2; /* accuracy: classes; r2: regression, as in ls_evaluation */
} ls_score;

/* Where a training run stands; given on rank 0 after each step. */
typedef struct ls_train_progress {
    int64_t checkpoint;                 /* step of the newest checkpoint, -1: none yet */
    int64_t step, steps, epoch, epochs; /* steps done, and in all; the epoch under way, from 1 */
    double lr, loss, smoothed;
    double epoch_loss; /* mean over the samples of the epoch that ends; NaN within one */
    ls_score score[LS_SPLIT_COUNT]; /* after this step's epoch; NaN where not evaluated */
    double samples_per_second;      /* since the start of this process */
    double seconds_left;
} ls_train_progress;

typedef struct ls_train_job {
    const char
        *folder; /* must exist; train.h5, checkpoints and best.h5 are written here, by rank 0 */
    bool resume; /* go on from the newest valid checkpoint in the folder */
    bool allow_changes; /* also where model, optimizer, dataset, ... are not those it was made with
                         */
    const ls_note *notes;
    size_t note_count;
    bool (*interrupted)(void); /* whether this process was asked to stop; may be NULL */
    void (*progress)(void *context, const ls_train_progress *progress); /* may be NULL */
    void *context;
} ls_train_job;

typedef struct ls_train_result {
    ls_train_end end;
    double lr;     /* the base LR: as configured, or as the range test recommends */
    int64_t steps; /* done in all, those before a resume included */
    ls_score score[LS_SPLIT_COUNT]; /* of the last evaluations; NaN without one */
    double best;        /* accuracy, or loss for regression, of the judge; NaN without one */
    int64_t best_epoch; /* after which it was measured, from 1; 0 without one */
    char digest[LS_DIGEST_TEXT]; /* of weights, statistics and momentum; on rank 0 */
    ls_slowest slowest;          /* own work of a step, see ls_phases_work; on rank 0 */
} ls_train_result;

/* Collective.  Trains for train.epochs epochs, or until train.target, train.stop_after or someone
 * says stop; evaluates the judge (ls_engine_judge), if any, after each epoch, and the test split,
 * if it is not the judge, after the last one; writes DIR/train.h5, DIR/checkpoint-<step>.h5 and
 * DIR/best.h5.  With train.lr auto the range test runs first (DIR/find-lr.h5), and its
 * recommendation is the base LR: LS_ERR_INPUT when it has none, LS_STOPPED when asked to stop
 * meanwhile. LS_ERR_NUMERIC when the loss or a gradient is not finite: the checkpoints before
 * stay. */
ls_status ls_train(ls_engine *engine, const ls_train_job *job, ls_train_result *result);

#ifdef __cplusplus
}
#endif
#endif
