/* nn, inside: convolutions of few taps by Winograd's method (A. Lavin and S. Gray, "Fast Algorithms
 * for Convolutional Neural Networks", 2016), with fused multiply-adds of AVX2.  Multiplications of
 * an output:
 *
 *     3 x 3 taps       2.25 instead of 9
 *     5 x 5            9 instead of 25
 *     3 x 3 x 3        3.4 instead of 27, of small volumes 8
 *
 * The bits depend on the shape alone. */
#ifndef LOCKSTEP_NN_WINOGRAD_H
#define LOCKSTEP_NN_WINOGRAD_H

#include "nn/conv_loops.h"
#include "nn/winograd_tile.h"

/* A pass that makes `to` of `from`: the output of the input, or the gradient of the input of that
 * of the output. */
typedef struct ls_winograd {
    ls_winograd_kind kind;              /* with two axes in[0] and out[0] are 1 */
    bool reverse;                       /* the latter */
    int64_t samples, channels, filters; /* `from` has `channels`, `to` has `filters` */
    int64_t in[3], out[3], padding[3];  /* likewise */
    int64_t tiles[3];                   /* along each axis, the last with fewer outputs */
} ls_winograd;

/* The pass that makes the output, or, reversed, the gradient of the input.  False where the method
 * is not for the convolution. */
bool ls_winograd_make(const ls_conv_shape *shape, bool reverse, ls_winograd *winograd);
/* Whether the method is faster than oneDNN 2.6 and the other loops, for the pass and, where that is
 * not reversed, for the gradient of the weights: a function of the shape alone, as measured. */
bool ls_winograd_pays(const ls_winograd *winograd);

/* Floats of the weights as a pass takes them. */
size_t ls_winograd_weight_floats(const ls_winograd *winograd);
/* Of the weights (filters, channels, kernel) of the convolution. */
void ls_winograd_pack(const ls_winograd *winograd, const float *weights, float *packed);

/* Parts of about the same work that threads may share. */
int ls_winograd_parts(const ls_winograd *winograd);
/* Bytes of scratch that a pass needs for each thread. */
size_t ls_winograd_scratch(const ls_winograd *winograd);
/* The output, or the gradient of the input, which is written whole.  bias may be NULL.  Thread i
 * has its scratch at scratch + i * step, in bytes. */
void ls_winograd_run(const ls_winograd *winograd, const float *from, const float *packed,
                     const float *bias, float *to, void *scratch, size_t step);

/* The gradient of the weights, for a pass that is not reversed: dw (filters, channels, kernel) and,
 * unless NULL, db (filters).  All threads share its scratch. */
int ls_winograd_gradient_parts(const ls_winograd *winograd);
size_t ls_winograd_gradient_scratch(const ls_winograd *winograd);
void ls_winograd_gradient(const ls_winograd *winograd, const float *x, const float *dy,
                          void *scratch, float *dw, float *db);

#endif
