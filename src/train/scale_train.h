/* train, inside: the trainings of a scaling study, up to its target. */
#ifndef LOCKSTEP_TRAIN_SCALE_TRAIN_H
#define LOCKSTEP_TRAIN_SCALE_TRAIN_H

#include "lockstep/scale.h"

/* The learning rate that the configuration of a study begins with, and its batch. */
typedef struct ls_scale_rate {
    ls_scale_lr_rule rule;
    double lr;     /* NaN: auto */
    int64_t batch; /* that it is for */
} ls_scale_rate;

/* Not collective.  LS_ERR_INPUT where the rule needs a number that train.lr does not give. */
ls_status ls_scale_rate_of(const ls_config *config, ls_scale_lr_rule rule, ls_scale_rate *rate);

/* Collective over the ranks of the size.  Trains with the batch of the configuration, which has the
 * target; the learning rate is set in it.  Goes on from the newest checkpoint of the size's folder
 * in job->folder.  A training that diverges has not reached the target. */
ls_status ls_scale_train(ls_comm *comm, ls_config *config, const ls_scale_job *job,
                         const ls_scale_rate *rate, const ls_scale_size *size,
                         ls_scale_training *training);

#endif
