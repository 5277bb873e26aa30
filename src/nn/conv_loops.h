/* nn, inside: gradients of convolution weights by loops of our own, with fused multiply-adds of
 * AVX2 or AVX-512.  The bits depend on the shape and on the width of the vectors alone. */
#ifndef LOCKSTEP_NN_CONV_LOOPS_H
#define LOCKSTEP_NN_CONV_LOOPS_H

#include "nn/dnnl/kernel.h"

/* The input is (samples, blocks of channels, in[0], in[1], in[2], inner): plain for inner 1.  The
 * output likewise, in blocks of `lanes` filters.  Channels and filters that the last blocks have
 * beyond the array's are 0. */
typedef struct ls_conv_shape {
    int lanes; /* 8: AVX2, 16: AVX-512 */
    int64_t samples, channels, inner, filters;
    int64_t in[3], out[3], kernel[3], stride[3], padding[3], dilation[3];
} ls_conv_shape;

/* The shape of a convolution with an input and an output in these layouts.  False where the loops
 * are not for it: in another type than float32; with groups; where the output is not in blocks of
 * as many filters as a vector of the instruction set in force has lanes. */
bool ls_conv_shape_make(const ls_window *window, const ls_dims *weights, const ls_layout *src,
                        const ls_layout *dst, ls_conv_shape *shape);
/* Whether the loops are faster than oneDNN 2.6: `library_fast` says whether that has a kernel for
 * the layouts of the forward pass.  A function of the shape and the instruction set alone, as
 * measured. */
bool ls_conv_gradient_pays(const ls_conv_shape *shape, bool library_fast);
/* Parts of about the same work that threads may share; their number has no part in the bits. */
int ls_conv_gradient_parts(const ls_conv_shape *shape);
/* Bytes of scratch that the gradient needs for each thread. */
size_t ls_conv_gradient_scratch(const ls_conv_shape *shape);
/* dw (filters, channels, kernel) and, unless NULL, db (filters), of the input x and the gradient of
 * the output dy.  Thread i has its scratch at scratch + i * step, in bytes. */
void ls_conv_gradient(const ls_conv_shape *shape, const float *x, const float *dy, void *scratch,
                      size_t step, float *dw, float *db);

#endif
