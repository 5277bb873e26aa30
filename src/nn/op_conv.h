/* nn, inside: convolutions: what their passes (op_conv.c) and the memory that these work on
 * (conv_memory.c) share. */
#ifndef LOCKSTEP_NN_OP_CONV_H
#define LOCKSTEP_NN_OP_CONV_H

#include "nn/plan.h"

enum {
    /* may be parted, see conv_parts.h: then this is the kernel of a part; numbered as LS_SHARE_*
     * and ls_conv_direction are */
    FORWARD = LS_SHARE_FORWARD,
    DATA = LS_SHARE_BACKWARD,    /* gradient of the input */
    WEIGHTS = LS_SHARE_GRADIENT, /* gradient of the weights and the bias */
    /* reorders: */
    PACK_FORWARD, /* weights for FORWARD, for DATA */
    PACK_DATA,
    UNPACK,      /* gradient of the weights into plain layout */
    SRC_FORWARD, /* input for FORWARD, for WEIGHTS */
    SRC_WEIGHTS,
    DST_DATA, /* gradient of the output for DATA, for WEIGHTS */
    DST_WEIGHTS,
    SRC_GRADIENT, /* gradient of the input, as DATA gives it, into the network's layout */
    CONV_KERNELS,
    MAX_PACKED = 16
};

/* Weights in one layout, shared by all slots and variants. */
typedef struct ls_packed {
    const ls_layout *layout;
    void *data;
    uint64_t version; /* of the net's parameters that it holds */
} ls_packed;

typedef struct ls_conv {
    ls_op op;
    ls_net *net;
    ls_window window;
    ls_dims weights; /* with a dimension for the groups if there are several */
    int64_t filters;
    size_t weight_count;
    bool bias;
    int packed_count;
    ls_packed packed[MAX_PACKED];
    /* for winograd.h, forward and reversed, for small and large tiles; they have no layout */
    ls_packed winograd[2][2];
} ls_conv;

/* Scratch: the library's, then what lives only within one pass of a slot, in bytes.  The gradient
 * of the input has its own (data, dst_data, src_gradient): both gradients may be made at a time. */
typedef struct ls_conv_scratch {
    size_t library /* 0: at the start, a step for each part */, src, dst_weights;
    size_t packed_gradient, plain_gradient, bias_gradient, shared;
    size_t data, dst_data, src_gradient, total;
    size_t step, data_step; /* of the library's, from part to part */
} ls_conv_scratch;

ls_conv_scratch ls_conv_lay_out(const ls_conv *conv, const ls_prepared *prepared);

/* The calls of a kernel, one for each part, which follow one another; first: of CONV_KERNELS, all.
 */
int ls_conv_call_count(const ls_conv *conv, const ls_prepared *prepared, int which);
int ls_conv_first_call(const ls_conv *conv, const ls_prepared *prepared, int which);

/* The layout of a block of the weights, or of their gradient, in the flat array. */
ls_status ls_conv_plain_block(const ls_conv *conv, const ls_layout *block,
                              const ls_layout **layout);
/* Prepares a reorder from the flat array into the layout that `user` wants, if it is another. */
ls_status ls_conv_prepare_pack(ls_conv *conv, ls_prepared *prepared, int user, int pack);
/* The weights as kernel `user` has them; NULL if it takes the flat array's. */
ls_packed *ls_conv_packed(ls_conv *conv, const ls_prepared *prepared, int user, int pack);
/* Makes all calls. */
ls_status ls_conv_bind(ls_op *op, const ls_net *net, ls_work *work);

#endif
