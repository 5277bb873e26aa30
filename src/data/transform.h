/* transform: changes of input values, one after another, before they are normalised.  Pure
 * functions of each value; nothing here is collective. */
#ifndef LOCKSTEP_DATA_TRANSFORM_H
#define LOCKSTEP_DATA_TRANSFORM_H

#include "lockstep/data.h"

/* Made for values of one type. */
typedef struct ls_transformer {
    ls_transforms steps;
    ls_type from, to; /* to: LS_TYPE_F32 where it holds all values of `from`, otherwise _F64 */
    float *table;     /* of each value of an integer of 8 or 16 bits, by its bits; else NULL */
    bool total;       /* no value is refused */
} ls_transformer;

/* NULL where there is nothing to do. */
ls_status ls_transformer_make(const ls_transforms *steps, ls_type from, ls_transformer **made);
void ls_transformer_free(ls_transformer *t);

/* `count` values of type t->from become values of type t->to; not a number where one is refused. */
void ls_transformer_apply(const ls_transformer *t, const void *values, int64_t count, void *out);
/* LS_ERR_INPUT, naming the sample, for a value that is refused; t may be NULL. */
ls_status ls_transformer_check(const ls_transformer *t, const void *samples, int64_t first,
                               int64_t count, int64_t elements, const char *name);

/* In place: log(1 + x), not a number unless -1 < x < infinity.  Of IEEE 754's basic operations
 * alone, so its bits depend on no library; within 2 units of the last place. */
void ls_log1p(int64_t count, double *x);

#endif
