/* nn, inside: element-by-element loops.  Each element alone and without contraction: the bits
 * depend neither on the instruction set nor on the layout.  Paddings of blocked layouts, 0, stay 0.
 */
#ifndef LOCKSTEP_NN_LOOPS_H
#define LOCKSTEP_NN_LOOPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Arrays may be the same, but not overlap otherwise. */

/* y = x > 0 ? x : slope x; a NaN stays. */
void ls_loop_leaky(size_t count, float slope, const float *x, float *y);
/* dx = reference > 0 ? dy : slope dy. */
void ls_loop_leaky_gradient(size_t count, float slope, const float *reference, const float *dy,
                            float *dx);
/* y = a + b, with ReLU if wanted. */
void ls_loop_add(size_t count, bool relu, const float *a, const float *b, float *y);
/* y = keep ? scale x : 0. */
void ls_loop_mask(size_t count, float scale, const uint8_t *keep, const float *x, float *y);
void ls_loop_scale(size_t count, float scale, float *x);
/* y (rows, count): bias is added to each row. */
void ls_loop_add_bias(int64_t rows, int64_t count, const float *bias, float *y);
/* to (columns, rows) = transposed from (rows, columns); the arrays do not overlap. */
void ls_loop_transpose(int64_t rows, int64_t columns, const float *from, float *to);
/* sums (count) of the rows of x (rows, count), in their order. */
void ls_loop_sum_rows(int64_t rows, int64_t count, const float *x, float *sums);

#endif
