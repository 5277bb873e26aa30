/* train, inside: forward passes over a split, in the order of the dataset. */
#ifndef LOCKSTEP_TRAIN_EVALUATE_H
#define LOCKSTEP_TRAIN_EVALUATE_H

#include "train/batch.h"

/* The split in memory; LS_ERR_INPUT when there is none. */
ls_status ls_split_data(const ls_engine *engine, ls_split split, const ls_data **data);
/* One forward pass over batch `batch`, of `samples` samples, of a split in dataset order, which has
 * begun.  Not collective: fails on this rank alone. */
ls_status ls_batch_evaluate(ls_engine *engine, const ls_data *data, int64_t samples, int64_t batch,
                            const ls_batch_plan **plan);
/* Collective.  Mean gain over the slices of batch `batch` of a split, in dataset order, in a pass
 * as in training, and its standard error; on rank 0.  The statistics of a batch and not the running
 * ones, which lag where the LR grows. */
ls_status ls_engine_gain(ls_engine *engine, ls_split split, int64_t batch, double *gain,
                         double *noise);

#endif
