/* train, inside: batches: which samples a slice takes, their plans, and what slices report. */
#ifndef LOCKSTEP_TRAIN_BATCH_H
#define LOCKSTEP_TRAIN_BATCH_H

#include "lockstep/config.h"
#include "lockstep/data.h"
#include "lockstep/nn.h"
#include "lockstep/train.h"

enum { PLAN_LIMIT = 6 }; /* full and last batch: of training, of evaluation over all, over a part */

/* The plan for this rank's slices of a batch of `samples`. */
typedef struct ls_batch_plan {
    ls_mode mode;
    int64_t samples; /* of the whole batch; 0: the place is free */
    ls_plan *plan;   /* NULL where no slice of this rank has a sample */
    int *slice;      /* of each slot */
    int64_t used;    /* when it was last wanted, counted in calls */
} ls_batch_plan;

/* Those of a rank. */
typedef struct ls_batches {
    ls_batch_plan plans[PLAN_LIMIT];
    int64_t calls;
    uint64_t *ids; /* scratch: sample indices of one slice */
    bool checked;  /* and what they leave out told */
} ls_batches;

/* Not collective.  `longest`: samples of a batch. */
ls_status ls_batches_create(size_t longest, ls_batches **batches);
void ls_batches_free(ls_batches *batches);

/* Steps of an epoch of `samples`: without a last batch that is left out. */
int64_t ls_batch_count(const ls_batch_config *batch, const ls_net *net, int64_t samples);
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

#endif
