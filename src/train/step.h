/* train, inside: what the ranks tell each other in a step. */
#ifndef LOCKSTEP_TRAIN_STEP_H
#define LOCKSTEP_TRAIN_STEP_H

#include "lockstep/train.h"
#include "train/statistics.h"
#include "train/update.h"

/* What rank 0 gathers of each slice after forward. */
typedef struct ls_forward_row {
    double loss, constant; /* sums; constant: of the best constant answer */
    int64_t correct;
    uint32_t stop_requested;
    uint32_t status; /* ls_status of the rank whose slice this is */
} ls_forward_row;

/* What rank 0 tells the others in a step. */
typedef struct ls_orders {
    ls_decision decision;
    double loss, gain; /* means over the samples */
    int64_t correct;
    int32_t stop_requested, failed; /* on any rank */
    unsigned char carried[LS_MOST_CARRIED];
    ls_rates rates; /* corrections of one rank, as hosts' pow may differ */
} ls_orders;

/* While backward runs: losses to rank 0, statistics among all, rank 0's decision to all. */
typedef struct ls_control {
    ls_gather *rows;           /* ls_forward_row of each slice */
    ls_statistics *statistics; /* of batch norms */
    ls_broadcast *orders;      /* ls_orders */
    void *carried;             /* by decisions: the caller's; NULL: nothing */
    size_t carried_size;
    bool stop_requested;             /* on this rank */
    double *slice_loss, *slice_gain; /* of the last step; on rank 0 */
} ls_control;

/* Not collective; all ranks make theirs alike. */
ls_status ls_control_create(ls_comm *comm, const ls_net *net, int slices, ls_control **control);
void ls_control_free(ls_control *control);

#endif
