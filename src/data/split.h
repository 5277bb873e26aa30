/* split: what a split holds in memory, for the files of this module: loading, normalisation,
 * batches. */
#ifndef LOCKSTEP_DATA_SPLIT_H
#define LOCKSTEP_DATA_SPLIT_H

#include "lockstep/data.h"
#include "lockstep/io.h"

struct ls_data {
    int64_t count;
    ls_shape shape;            /* of one sample */
    int64_t channels, spatial; /* shape.size[0], and the product of the others */
    ls_type type;              /* of the inputs */
    bool is_classes;
    int64_t outputs;
    const void *inputs;     /* (count, channels, spatial) in their own type */
    const int32_t *classes; /* (count), or NULL */
    ls_type target_type;    /* LS_TYPE_F32 or LS_TYPE_F64 */
    const void *targets;    /* (count, outputs), or NULL */
    ls_shared *inputs_memory, *targets_memory;
};

#endif
