/* train, inside: the best constant answer, which a network that learns has to beat. */
#ifndef LOCKSTEP_TRAIN_CONSTANT_H
#define LOCKSTEP_TRAIN_CONSTANT_H

#include "train/batch.h"

/* Collective.  engine->constant: what to answer without a look at the inputs, for the least loss
 * on the training samples. */
ls_status ls_constant_create(ls_engine *engine);
/* Its loss on the samples of a slot, summed. */
double ls_constant_loss(const ls_engine *engine, const ls_batch_plan *plan, int slot);

#endif
