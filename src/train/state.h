/* train, inside: the state of a training run beside the engine's, and its checkpoints. */
#ifndef LOCKSTEP_TRAIN_STATE_H
#define LOCKSTEP_TRAIN_STATE_H

#include "lockstep/checkpoint.h"
#include "lockstep/train.h"

/* What a checkpoint holds beside the weights, statistics, momentum and fixed-point exponents.
 * The rank count is not part of it. */
typedef struct ls_train_state {
    char run[LS_DIGEST_TEXT]; /* names the run, in its files; "" where it is not known */
    int64_t step;             /* steps done: epoch and place in it follow */
    double lr;                /* base LR */
    ls_range_test smooth;     /* of the training loss */
    double epoch_loss;        /* sum over the samples of the epoch under way, as trained on */
    int64_t epoch_samples;
    double best;                    /* ls_score_value of the judge so far; NaN before the first */
    int64_t best_step;              /* after which it was measured */
    ls_score score[LS_SPLIT_COUNT]; /* the last ones; NaN before the first */
} ls_train_state;

/* Not collective (rank 0; no rank of its node may write the weights meanwhile).  Writes a
 * checkpoint to `path`, atomically. */
ls_status ls_state_write(ls_engine *engine, const ls_train_state *state, const char *path);

/* Collective.  Shape, outputs and kind of targets of the model in engine->checkpoint; 0 outputs
 * where it does not say. */
ls_status ls_state_read_model(ls_engine *engine);

/* Not collective.  Reads array GROUP/NAME of a parameter, which must have the network's shape,
 * to its place in the flat array `out`. */
ls_status ls_state_read_param(const ls_checkpoint_reader *reader, const char *group,
                              const ls_param *param, float *out);

/* Not collective.  Names a run that begins: another text each time. */
void ls_state_name_run(ls_train_state *state);

/* Collective.  Loads the newest whole checkpoint of the folder into the engine and *state; rank
 * 0 tells what it took and which newer ones it rejected.  *found is false where the folder has
 * no checkpoint: the run starts from the beginning, as in a batch script that always says
 * --resume.  LS_ERR_INPUT when there are only damaged ones, or when it is of another model,
 * dataset, optimizer, ..., unless that is allowed (origin.h). */
ls_status ls_state_resume(ls_engine *engine, const char *folder, bool allow, ls_train_state *state,
                          bool *found);

#endif
