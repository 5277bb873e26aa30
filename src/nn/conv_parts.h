/* nn, inside: a pass of a convolution in parts that threads share: a part is a block of channels of
 * one sample.  What they are, and so the bits, depends on the shape and the library's kernels. */
#ifndef LOCKSTEP_NN_CONV_PARTS_H
#define LOCKSTEP_NN_CONV_PARTS_H

#include "nn/dnnl/kernel.h"

/* Puts the kernel for one part in place of `*kernel`, where there is one and a sample, of `flops`,
 * is work enough for several.  Gives the number of parts: each sample's blocks of channels, which
 * lie in this order in the array that ls_conv_parted names; 1: the kernel does it all. */
ls_status ls_conv_parts(ls_dnnl_engine *engine, const ls_window *window, ls_conv_direction pass,
                        bool groups, double flops, ls_kernel **kernel, int *parts);

#endif
