/* train, inside: starting from other weights. */
#ifndef LOCKSTEP_TRAIN_WARM_START_H
#define LOCKSTEP_TRAIN_WARM_START_H

#include "lockstep/train.h"

/* Collective.  Loads config->init, if any, and marks the frozen parameters.  LS_ERR_INPUT names
 * a layer that does not fit, or a name in the lists that no layer has. */
ls_status ls_warm_start(ls_engine *engine);

#endif
