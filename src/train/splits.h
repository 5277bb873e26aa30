/* train, inside: the splits of a run, and what follows from them. */
#ifndef LOCKSTEP_TRAIN_SPLITS_H
#define LOCKSTEP_TRAIN_SPLITS_H

#include "lockstep/data.h"
#include "lockstep/train.h"

/* Collective.  Opens the training split and, with judges, those that evaluate; or, of the model in
 * engine->checkpoint, the test split alone. */
ls_status ls_splits_open(ls_engine *engine, bool with_judges);
ls_status ls_splits_open_model(ls_engine *engine, bool with_targets);
/* How inputs become samples. */
ls_form ls_splits_form(const ls_engine *engine);
/* Not collective.  engine->class_weights, from the configuration and the training samples
 * (class_weights.c). */
ls_status ls_class_weights_resolve(ls_engine *engine);

#endif
