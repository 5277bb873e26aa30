/* train, inside: the learning rate of a run, and losses that are not finite. */
#ifndef LOCKSTEP_TRAIN_BASE_LR_H
#define LOCKSTEP_TRAIN_BASE_LR_H

#include "lockstep/train.h"

/* Collective.  The learning rate of a run that begins: train.lr or, where that is auto, what a
 * range test recommends; LS_ERR_INPUT when it has none. */
ls_status ls_base_lr(ls_engine *engine, const ls_find_lr_job *test, double *lr);
/* LS_ERR_NUMERIC, of a loss that is not finite. */
ls_status ls_fail_diverged(const ls_step_report *report, int64_t step);

#endif
