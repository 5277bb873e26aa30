/* nn, inside: matrix products by loops of our own, with fused multiply-adds of AVX2.  Each sum is
 * over k in order, 128 at a time: the bits depend on k alone. */
#ifndef LOCKSTEP_NN_PRODUCT_LOOPS_H
#define LOCKSTEP_NN_PRODUCT_LOOPS_H

#include "nn/dnnl/kernel.h"

/* Whether the loops can compute a product here, and are faster than oneDNN 2.6: a function of the
 * sizes and the instruction set alone, as measured. */
bool ls_product_loops_pay(const ls_product_spec *spec);
/* C = op(A) B, or C + op(A) B, in float32. */
void ls_product_loops(const ls_product_spec *spec, const float *a, const float *b, float *c);

#endif
