/* train, inside: from the sums of the gradients to new weights, each rank its share. */
#ifndef LOCKSTEP_TRAIN_UPDATE_H
#define LOCKSTEP_TRAIN_UPDATE_H

#include "lockstep/config.h"
#include "train/quantizer.h"
#include "train/weights.h"

typedef struct ls_updater {
    const ls_train_config *config;
    ls_weights *weights;
    const ls_quantizer *quantizer;
    ls_exchange *exchange;
    ls_shared *memory;    /* of the node: */
    double *squares;      /* sum of squared mean gradients, per chunk of LS_CHUNK elements */
    double *part_squares; /* where the optimizer wants norms: of gradient and weights, per part */
    float *trust;         /* per parameter, of the norms */
} ls_updater;

/* Collective.  Weights, quantizer, exchange and configuration stay the caller's. */
ls_status ls_updater_create(ls_comm *comm, const ls_train_config *config, ls_weights *weights,
                            const ls_quantizer *quantizer, ls_exchange *exchange,
                            ls_updater **updater);
void ls_updater_free(ls_updater *updater);

/* What changes from step to step: learning rate, momentum, and Adam's corrections (ls_hyper). */
typedef struct ls_rates {
    float lr, momentum, correction1, correction2;
} ls_rates;

/* Collective.  Waits for the sums and updates the node's weights. */
ls_status ls_updater_apply(ls_updater *updater, const ls_rates *rates);
/* Norm of the mean gradient applied last. */
double ls_updater_norm(const ls_updater *updater);

#endif
