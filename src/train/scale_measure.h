/* train, inside: the repeats of one size of a scaling study. */
#ifndef LOCKSTEP_TRAIN_SCALE_MEASURE_H
#define LOCKSTEP_TRAIN_SCALE_MEASURE_H

#include "lockstep/scale.h"

typedef struct ls_scale_measure ls_scale_measure;

/* Collective.  An engine on these ranks, with the batch of the configuration; of *size, which has
 * mode, ranks, batch and slices, the rest is filled in.  `judged`: trainings follow, which need
 * samples to judge by.  `largest`: batch of the study, that the training samples have to do for. */
ls_status ls_scale_measure_create(ls_comm *comm, const ls_config *config, const char *name,
                                  bool judged, int64_t largest, ls_scale_size *size,
                                  ls_scale_measure **measure);
/* Collective.  One repeat, from the first weights on: LS_SCALE_WARM_UP steps and then *steps, which
 * 0 is chosen for.  Times and digest of *row, on rank 0. */
ls_status ls_scale_measure_repeat(ls_scale_measure *measure, int64_t *steps, ls_scale_row *row);
void ls_scale_measure_free(ls_scale_measure *measure); /* Collective */

#endif
