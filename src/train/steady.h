/* train, inside: steps that are taken for their time alone: on full batches, with a constant
 * learning rate: train.lr, or LS_BENCH_LR. */
#ifndef LOCKSTEP_TRAIN_STEADY_H
#define LOCKSTEP_TRAIN_STEADY_H

#include "lockstep/bench.h"

typedef struct ls_steady {
    ls_engine *engine;
    double lr;
    int64_t done;   /* steps: the next one is on the batch of that number */
    double seconds; /* of the last step */
} ls_steady;

/* Not collective.  The engine's epochs are of full batches from here on, if there is one.
 * LS_ERR_INPUT as of ls_batches_check. */
ls_status ls_steady_begin(ls_engine *engine, ls_steady *steady);
ls_status ls_steady_step(ls_steady *steady, ls_step_report *report); /* Collective */
/* Collective.  Where *steps is 0 it becomes the steps, `least` to `most`, that take `seconds`, if
 * they are like rank 0's last one; rank 0's value counts. */
ls_status ls_steady_choose(const ls_steady *steady, double seconds, int64_t least, int64_t most,
                           int64_t *steps);

#endif
