/* nn, inside: element-by-element loops.  Each element alone and without contraction: the bits
 * depend neither on the instruction set nor on the layout.  Paddings of blocked layouts, 0, stay 0.
 *
 * Those that take a type work on arrays of it: they compute in float32 and round the result. */
#ifndef LOCKSTEP_NN_LOOPS_H
#define LOCKSTEP_NN_LOOPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lockstep/model.h"

static inline int64_t ls_smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Arrays may be the same, but not overlap otherwise. */

/* y = x > 0 ? x : slope x; a NaN stays. */
void ls_loop_leaky(ls_compute_type type, size_t count, float slope, const void *x, void *y);
/* dx = reference > 0 ? dy : slope dy. */
void ls_loop_leaky_gradient(ls_compute_type type, size_t count, float slope, const void *reference,
                            const void *dy, void *dx);
/* y = a + b, with ReLU if wanted. */
void ls_loop_add(ls_compute_type type, size_t count, bool relu, const void *a, const void *b,
                 void *y);
/* y = scale x. */
void ls_loop_scale(ls_compute_type type, size_t count, float scale, const void *x, void *y);
/* y = keep ? scale x : 0. */
void ls_loop_mask(ls_compute_type type, size_t count, float scale, const uint8_t *keep,
                  const void *x, void *y);
/* y, bfloat16, is x rounded to nearest, ties to even; a NaN stays one.  They do not overlap. */
void ls_loop_round(size_t count, const float *x, uint16_t *y);
/* The same of x, float32: the first half of the array then holds the result. */
void ls_loop_round_in_place(size_t count, void *x);
/* y (rows, count): bias is added to each row. */
void ls_loop_add_bias(int64_t rows, int64_t count, const float *bias, float *y);
/* to (columns, rows) = transposed from (rows, columns); the arrays do not overlap. */
void ls_loop_transpose(int64_t rows, int64_t columns, const float *from, float *to);
/* sums (count), float32, of the rows of x (rows, count), in their order. */
void ls_loop_sum_rows(ls_compute_type type, int64_t rows, int64_t count, const void *x,
                      float *sums);

#endif
