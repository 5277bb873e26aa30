/* train, inside: the engine and the parts of a step. */
#ifndef LOCKSTEP_TRAIN_ENGINE_H
#define LOCKSTEP_TRAIN_ENGINE_H

#include "lockstep/augment.h"
#include "lockstep/optim.h"
#include "lockstep/train.h"
#include "train/notes.h"
#include "train/statistics.h"
#include "train/update.h"

enum { PLAN_LIMIT = 6 }; /* full and last batch: of training, of evaluation over all, over a part */

/* The plan for this rank's slices of a batch of `samples`. */
typedef struct ls_batch_plan {
    ls_mode mode;
    int64_t samples; /* of the whole batch; 0: the place is free */
    ls_plan *plan;   /* NULL where no slice of this rank has a sample */
    int *slice;      /* of each slot */
    int64_t used;    /* when it was last wanted, counted in calls */
} ls_batch_plan;

/* What rank 0 gathers of each slice after forward. */
typedef struct ls_forward_row {
    double loss, constant; /* sums; constant: of the best constant answer */
    int64_t correct;
    uint32_t stop_requested;
    uint32_t status; /* ls_status of the rank whose slice this is */
} ls_forward_row;

/* The caller's, of each split; NULL: none. */
typedef struct ls_sources {
    const ls_data_source *train, *validation, *test;
} ls_sources;

/* What rank 0 tells the others in a step. */
typedef struct ls_orders {
    ls_decision decision;
    double loss, gain; /* means over the samples */
    int64_t correct;
    int32_t stop_requested, failed; /* on any rank */
    unsigned char carried[LS_MOST_CARRIED];
    ls_rates rates; /* corrections of one rank, as hosts' pow may differ */
} ls_orders;

struct ls_engine {
    ls_comm *comm;
    const ls_config *config;
    const ls_sources *sources;          /* while it is made; NULL: files */
    ls_data *train, *validation, *test; /* NULL: none */
    char *data_name;                    /* for messages: of the files opened last; owned */
    /* What the model is made for, from the training split or from a checkpoint: */
    ls_shape shape; /* of a sample */
    bool classes;
    int64_t outputs;       /* classes, or targets a sample */
    double *class_weights; /* (outputs), in the loss; NULL: none */
    double *constant; /* (outputs): loss of each class, or values, of the best constant answer */
    bool in_double;   /* the targets were float64 */
    const char *checkpoint; /* the model's, when only that is there and not train; else NULL */
    ls_normalization norm, target_norm; /* of the targets: regression only */
    ls_augment augment;                 /* of training samples */
    float *background;                  /* per channel: the normalised value of raw 0 */
    ls_compute_type type;               /* in force: the configuration's, if this CPU has it */
    ls_net *net;
    int slices, first_slice, end_slice; /* of the batch; this rank's: [first, end) */
    int64_t steps_per_epoch;
    bool batches_checked; /* and what they leave out told */

    ls_weights *weights;
    ls_quantizer *quantizer;
    ls_exchange *exchange;
    ls_updater *updater;

    ls_plan *own_plan; /* of ls_engine_predict_batch; NULL: none yet */
    int64_t own_samples;
    ls_batch_plan plans[PLAN_LIMIT];
    int64_t plan_calls;
    uint64_t *ids; /* scratch: sample indices of one slice */

    ls_gather *forward_rows;   /* ls_forward_row */
    ls_statistics *statistics; /* of batch norms */
    ls_broadcast *decision;    /* ls_orders */

    void *carried; /* by decisions: the caller's; NULL: nothing */
    size_t carried_size;
    bool stop_requested;             /* on this rank */
    double *slice_loss, *slice_gain; /* of the last step; on rank 0 */

    ls_recorder *recorder; /* NULL: none */
    int64_t record_skip, record_steps;
};

/* What is said of it in a run file. */
ls_run_facts ls_engine_facts(const ls_engine *engine);

/* ---- splits (splits.c, class_weights.c) ----------------------------------------------------- */

/* Collective.  Opens the training split and, with judges, those that evaluate; or, of the model in
 * engine->checkpoint, the test split alone. */
ls_status ls_splits_open(ls_engine *engine, bool with_judges);
ls_status ls_splits_open_model(ls_engine *engine, bool with_targets);
/* How inputs become samples. */
ls_form ls_splits_form(const ls_engine *engine);
/* Not collective.  engine->class_weights, from the configuration and the training samples. */
ls_status ls_class_weights_resolve(ls_engine *engine);

/* ---- the best constant answer (constant.c) -------------------------------------------------- */

/* Collective.  engine->constant: what to answer without a look at the inputs, for the least loss
 * on the training samples. */
ls_status ls_constant_create(ls_engine *engine);
/* Its loss on the samples of a slot, summed. */
double ls_constant_loss(const ls_engine *engine, const ls_batch_plan *plan, int slot);

/* ---- starting from other weights (warm_start.c) --------------------------------------------- */

/* Collective.  Loads config->init, if any, and marks the frozen parameters.  LS_ERR_INPUT names
 * a layer that does not fit, or a name in the lists that no layer has. */
ls_status ls_warm_start(ls_engine *engine);

/* ---- batches (batch.c) ---------------------------------------------------------------------- */

/* Steps of an epoch: without a last batch that is left out. */
int64_t ls_batch_count(const ls_engine *engine);
/* LS_ERR_INPUT when the engine cannot train: no batch is left, a batch norm gets a single value per
 * channel, all is frozen.  Tells, on rank 0 and once, of a batch that is left out. */
ls_status ls_batches_check(ls_engine *engine);
/* Samples of batch `batch` of a split of `count`. */
int64_t ls_batch_samples(const ls_engine *engine, int64_t count, int64_t batch);
/* Training samples that stay together where they are shuffled in windows. */
int64_t ls_batch_chunk(const ls_engine *engine);
/* The plan for a batch of `samples`, made when first wanted; it stays until PLAN_LIMIT others have
 * been wanted. */
ls_status ls_batch_plan_get(ls_engine *engine, ls_mode mode, int64_t samples,
                            const ls_batch_plan **plan);
/* Slots of the plan: 0 where no slice of this rank has a sample. */
int ls_batch_slots(const ls_batch_plan *plan);
/* Comes to batch `batch`, of `samples` samples, before anything else is done for it: on all ranks,
 * also on one that has failed and does no more, where others will (see ls_data_begin).  epoch -1:
 * dataset order. */
ls_status ls_batch_begin(const ls_engine *engine, const ls_data *data, int64_t samples,
                         int64_t epoch, int64_t batch);
/* Writes inputs and targets of the batch that has begun into the plan, augmented when it is for
 * training.  Not collective: inputs that are streamed may fail, on this rank. */
ls_status ls_batch_fill(ls_engine *engine, const ls_batch_plan *plan, const ls_data *data,
                        int64_t epoch, int64_t batch);
/* Writes the results of the last forward pass, or that it failed on this rank, into the rows of its
 * slices. */
void ls_batch_publish(ls_engine *engine, const ls_batch_plan *plan, ls_status status);

/* Collective.  Mean gain over the slices of batch `batch` of a split, in dataset order, in a pass
 * as in training, and its standard error; on rank 0 (evaluate.c).  The statistics of a batch and
 * not the running ones, which lag where the LR grows. */
ls_status ls_engine_gain(ls_engine *engine, ls_split split, int64_t batch, double *gain,
                         double *noise);

/* Collective.  The learning rate of a run that begins: train.lr or, where that is auto, what a
 * range test recommends; LS_ERR_INPUT when it has none (base_lr.c). */
ls_status ls_base_lr(ls_engine *engine, const ls_find_lr_job *test, double *lr);
/* LS_ERR_NUMERIC, of a loss that is not finite (base_lr.c). */
ls_status ls_fail_diverged(const ls_step_report *report, int64_t step);

/* The split in memory; LS_ERR_INPUT when there is none (evaluate.c). */
ls_status ls_split_data(const ls_engine *engine, ls_split split, const ls_data **data);
/* One forward pass over batch `batch`, of `samples` samples, of a split in dataset order, which has
 * begun (evaluate.c).  Not collective: fails on this rank alone. */
ls_status ls_batch_evaluate(ls_engine *engine, const ls_data *data, int64_t samples, int64_t batch,
                            const ls_batch_plan **plan);

#endif
