/* train, inside: what made a checkpoint, and whether this run may go on from it. */
#ifndef LOCKSTEP_TRAIN_ORIGIN_H
#define LOCKSTEP_TRAIN_ORIGIN_H

#include "train/state.h"

/* Not collective.  Stores configuration, data, instruction set and versions. */
ls_status ls_origin_write(const ls_engine *engine, ls_checkpoint_writer *writer);

/* Not collective (rank 0).  Compares with what the engine has now.  Another model, optimizer,
 * dataset,
 * ...: LS_ERR_INPUT names keys and values, or with `allow` a warning does.  Another schedule is
 * told, with the learning rates that come of it; other bits to come are warned of.  *state was read
 * from the checkpoint; state->lr becomes train.lr where that was changed to a number. */
ls_status ls_origin_check(const ls_engine *engine, const ls_checkpoint_reader *reader, bool allow,
                          ls_train_state *state);

#endif
