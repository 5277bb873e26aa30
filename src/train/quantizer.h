/* train, inside: gradients as fixed point: an exponent for each parameter, from the largest
 * gradients of the step before; see "fixed point" in lockstep/optim.h. */
#ifndef LOCKSTEP_TRAIN_QUANTIZER_H
#define LOCKSTEP_TRAIN_QUANTIZER_H

#include <pthread.h>

#include "lockstep/comm.h"
#include "lockstep/nn.h"

typedef struct ls_quantizer {
    const ls_net *net;
    ls_addend addend; /* LS_ADDEND_FLOAT32: nothing is quantised, ranges are noted */
    ls_comm *comm;
    int slices;                    /* of a batch */
    int *exponent, *next_exponent; /* per parameter: of this pass and of the next */
    bool *reached;                 /* per parameter: a gradient other than 0 was seen */
    bool calibrated;               /* the exponents come from gradients seen, not from a guess */
    ls_allreduce *largest;         /* per parameter: bits of the largest |gradient| of the pass */
    bool measures;                 /* the squares of slices' gradients too */
    ls_allreduce *squares; /* per parameter: their sum, two numbers (ls_fixed_add_squares); NULL
                              until it is wanted */
    double slice_squares;  /* of the last pass that was checked, over all parameters */
    int64_t not_finite;    /* of this rank: slice * parameters + parameter, the least; INT64_MAX */
    pthread_mutex_t lock;  /* of largest, squares and not_finite: several threads add */
} ls_quantizer;

/* Collective.  The net stays the caller's. */
ls_status ls_quantizer_create(ls_comm *comm, const ls_net *net, ls_exchange_type type, int slices,
                              ls_quantizer **quantizer);
void ls_quantizer_free(ls_quantizer *quantizer);

/* Before the gradients of a pass. */
void ls_quantizer_begin(ls_quantizer *quantizer);
/* Adds `count` elements of a parameter's gradient in a slice to the rank's addends; `first`: in
 * their place.  Several threads may call it at a time, for other elements. */
void ls_quantizer_add(ls_quantizer *quantizer, int slice, size_t param, size_t count,
                      const float *gradient, bool first, void *addends);
/* Not collective; all ranks do alike, between two steps.  From now on ls_quantizer_check sums the
 * squares, in `slice_squares`, of what ls_quantizer_add_squares is given; or no more.  Of integers:
 * the same bits on any number of ranks.  Not where nothing is quantised.  LS_ERR_SYSTEM without
 * memory. */
ls_status ls_quantizer_measure(ls_quantizer *quantizer, bool measures);
/* Of `count` elements of a parameter's gradient in a slice; while it measures.  Several threads may
 * call it at a time. */
void ls_quantizer_add_squares(ls_quantizer *quantizer, size_t param, size_t count,
                              const float *gradient);
/* Collective, after a pass.  Whether the exponents in use suit the largest gradients of all slices;
 * also works out those of the next pass.  LS_ERR_NUMERIC, on all ranks, names a gradient that is
 * not finite. */
ls_status ls_quantizer_check(ls_quantizer *quantizer, int64_t step, bool *fits);
/* The same on all ranks.  Whether any pass that was checked since the last reset had a gradient
 * other than 0 for that parameter. */
bool ls_quantizer_reached(const ls_quantizer *quantizer, size_t param);
/* Takes over the exponents of the next pass. */
void ls_quantizer_next(ls_quantizer *quantizer);
/* Forgets all gradients: the exponents are found anew. */
void ls_quantizer_reset(ls_quantizer *quantizer);

/* Of `count` sums of a parameter, at most LS_CHUNK: their squares' sum; as floats, times `factor`.
 */
double ls_quantizer_square_sum(const ls_quantizer *quantizer, size_t param, size_t count,
                               const void *sums);
void ls_quantizer_scale(const ls_quantizer *quantizer, size_t param, float factor, size_t count,
                        const void *sums, float *out);

#endif
