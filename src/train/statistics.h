/* train, inside: batch-norm statistics of a step, the mean over all slices: an elementwise maximum
 * over the ranks fixes an exponent for each, then 64-bit integers are summed, in any order to the
 * same bits.  Both travel while backward runs. */
#ifndef LOCKSTEP_TRAIN_STATISTICS_H
#define LOCKSTEP_TRAIN_STATISTICS_H

#include "lockstep/comm.h"
#include "lockstep/nn.h"

typedef struct ls_statistics {
    const ls_net *net;
    size_t count;          /* of a slice: ls_net_statistics_size */
    ls_allreduce *largest; /* bits of the largest |value| */
    ls_allreduce *sums;    /* of value * samples * 2^exponent */
    float *slice;          /* (count), scratch */
    double *scale;         /* (count), 2^exponent; 0 where a slice's is not finite */
    const ls_plan *plan;   /* of the step; NULL: this rank has nothing to add */
    int64_t samples;       /* of its batch */
    bool summing;          /* the sums are on their way, or there */
} ls_statistics;

/* Not collective; all ranks make theirs alike.  The net stays the caller's. */
ls_status ls_statistics_create(ls_comm *comm, const ls_net *net, ls_statistics **statistics);
void ls_statistics_free(ls_statistics *statistics);

/* Collective, after the forward pass of a batch of `samples`; the plan, NULL on a rank that has
 * no sample or has failed, is read until the wait. */
ls_status ls_statistics_start(ls_statistics *statistics, const ls_plan *plan, int64_t samples);
/* Sends the sums off once the maxima are there, and makes progress.  The ranks need not call it
 * together, but must not start another control message between start and wait. */
ls_status ls_statistics_poll(ls_statistics *statistics);
/* Collective. */
ls_status ls_statistics_wait(ls_statistics *statistics);
/* running <- (1 - m) running + m batch, batch the mean over the slices, weighted by their samples;
 * NaN where a slice's is not finite.  Of the whole array of parameters; after the wait. */
void ls_statistics_merge(const ls_statistics *statistics, float *params);

#endif
