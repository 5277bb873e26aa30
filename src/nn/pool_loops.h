/* nn, inside: maximum pooling by loops of our own.  Maxima are exact: the bits depend neither on
 * the instruction set nor on the layout. */
#ifndef LOCKSTEP_NN_POOL_LOOPS_H
#define LOCKSTEP_NN_POOL_LOOPS_H

#include "nn/dnnl/kernel.h"

/* Arrays are (outer, depth, height, width, inner): plain ones have 1 inner element, blocked ones a
 * block of channels, those with the channels last all of them. */
typedef struct ls_pool_shape {
    ls_compute_type type;
    int64_t outer, inner;
    int64_t in[3], out[3], kernel[3], stride[3], padding[3];
} ls_pool_shape;

/* The shape for an input of `src` and an output of `dst`, and its layout, which is like the
 * input's. False where these loops are not for it: in a layout of another kind; with a window of
 * more than 256 elements, whose numbers do not fit into a byte; in bf16 where windows overlap, as
 * sums of gradients would be rounded one by one. */
bool ls_pool_shape_make(const ls_window *window, const ls_layout *src, const ls_dims *dst,
                        ls_pool_shape *shape);
/* Elements of the output. */
size_t ls_pool_outputs(const ls_pool_shape *shape);
/* y = the maximum of each window of x; `largest`, a byte for each output, the place of the first of
 * the largest in the window; NULL: not wanted.  A NaN is less than all numbers, as oneDNN has it;
 * the maximum over NaNs and -inf is the lowest number, at place 0. */
void ls_pool_max(const ls_pool_shape *shape, const void *x, void *y, uint8_t *largest);
/* dx = the sum of the dy of the windows in which an element was the largest. */
void ls_pool_max_gradient(const ls_pool_shape *shape, const uint8_t *largest, const void *dy,
                          void *dx);

#endif
