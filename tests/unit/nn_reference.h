/* Tests of nn: an independent network in double precision and plain loops, straight from the
 * definitions, to compare with. */
#ifndef LOCKSTEP_TESTS_NN_REFERENCE_H
#define LOCKSTEP_TESTS_NN_REFERENCE_H

#include "lockstep/nn.h"

/* What a forward pass over one slice depends on. */
typedef struct net_slice {
    ls_mode mode;
    int64_t samples;
    const float *input;
    const int32_t *classes;
    const float *targets;
    const uint64_t *sample_ids;
    uint64_t seed;
    uint32_t epoch;
} net_slice;

/* The slice's loss, summed over its samples; `flat` in the net's layout; `outputs` (N, outputs) and
 * `statistics` (as ls_plan_statistics) may be NULL. */
double net_reference(const ls_net *net, const ls_model_spec *spec, const ls_shape *input,
                     const double *flat, const net_slice *slice, double *outputs,
                     double *statistics);

#endif
