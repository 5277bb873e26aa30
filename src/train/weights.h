/* train, inside: the weights of a node: parameters, the optimizer's states and, in bf16, the
 * rounded copy, in memory that its ranks share.  Each rank starts, saves and rounds a part. */
#ifndef LOCKSTEP_TRAIN_WEIGHTS_H
#define LOCKSTEP_TRAIN_WEIGHTS_H

#include "lockstep/comm.h"
#include "lockstep/io.h"
#include "lockstep/nn.h"
#include "lockstep/optim.h"

typedef struct ls_weights {
    ls_comm *comm;
    ls_net *net; /* bound to params and rounded */
    const ls_optimizer *optimizer;
    ls_shared *memory;             /* of all that follows but `frozen` */
    float *params;                 /* (ls_net_flat_size), parameters and running statistics */
    float *states[LS_MOST_STATES]; /* the optimizer's, (ls_net_trained_size) each, after params */
    uint16_t *rounded;             /* params in bf16, by ls_net_round; NULL in float32 */
    int64_t updates;               /* done since the states were zero */
    bool *frozen; /* (ls_net_param_count): not updated, not part of the gradient's norm */
} ls_weights;

/* Collective.  Starting values, states zero, nothing frozen.  The net stays the caller's. */
ls_status ls_weights_create(ls_comm *comm, ls_net *net, const ls_optimizer *optimizer,
                            ls_compute_type type, uint64_t seed, ls_weights **weights);
void ls_weights_free(ls_weights *weights);

/* Collective on the node, once one of its ranks has written params: rounds them, and tells the net.
 */
void ls_weights_changed(ls_weights *weights);

/* This rank's part of params and states, and the count of updates. */
typedef struct ls_weights_copy {
    size_t first, count;
    float *values;
    int64_t updates;
} ls_weights_copy;
/* Collective. */
ls_status ls_weights_save(const ls_weights *weights, ls_weights_copy *copy);
/* Collective on the node. */
void ls_weights_restore(ls_weights *weights, const ls_weights_copy *copy);

/* Not collective.  Of the arrays as a checkpoint has them. */
ls_status ls_weights_digest(const ls_weights *weights, char text[LS_DIGEST_TEXT]);

#endif
