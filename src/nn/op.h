/* nn, inside: operations.  A network is a list of operations over values, each kind in a file of
 * its own behind one table of functions.  A value has one producer and one consumer. */
#ifndef LOCKSTEP_NN_OP_H
#define LOCKSTEP_NN_OP_H

#include "lockstep/nn.h"
#include "nn/dnnl/kernel.h"

enum {
    /* kernels of operations that have one for each pass; others number theirs as they like */
    LS_FORWARD = 0,
    LS_BACKWARD = 1,
    LS_PASSES = 2,
    LS_OP_VALUES = 2, /* inputs or outputs of an operation */
    /* what threads share of a slot, where an operation can be parted */
    LS_SHARE_FORWARD = 0,
    LS_SHARE_BACKWARD = 1, /* the gradient of the input */
    LS_SHARE_GRADIENT = 2,
    LS_SHARES = 3
};

typedef struct ls_op ls_op;
typedef struct ls_op_class ls_op_class;
typedef struct ls_variant ls_variant;
typedef struct ls_builder ls_builder;

/* What all operations have; each kind embeds it as its first member. */
struct ls_op {
    const ls_op_class *class;
    size_t index;     /* in the net */
    char *layer;      /* path of the layer it belongs to */
    const char *kind; /* of that layer */
    int ins, outs;
    int in[LS_OP_VALUES], out[LS_OP_VALUES]; /* values */
    /* what backward reads again */
    bool keeps_input, keeps_output, keeps_workspace;
    bool backward;              /* has parameters or passes a gradient on */
    size_t params, first_param; /* trained ones, consecutive */
    double flops;               /* multiplications and additions of one sample, forward */
};

/* Where an array of an operation's result lives. */
typedef enum ls_sharing {
    LS_OWN,      /* memory of its own */
    LS_ALIAS,    /* is the array it comes from: nothing is computed */
    LS_IN_PLACE, /* may overwrite the array it comes from, if nobody reads that later */
    LS_TWIN      /* the gradient of in[1] only: is the gradient of in[0] */
} ls_sharing;

/* An operation prepared for one mode and one number of samples. */
typedef struct ls_prepared {
    int kernels, products;      /* of the class */
    ls_kernel **kernel;         /* (kernels), numbered by the operation, as the products are */
    const ls_product **product; /* (products) */
    ls_sharing forward;         /* out[*], from in[0] */
    ls_sharing backward[LS_OP_VALUES]; /* gradient of in[*], from that of out[0] */
    size_t workspace; /* bytes of the slot, from forward on; until backward if the op keeps it */
    size_t scratch;   /* bytes shared by the slots, while forward or backward runs */
    /* for loops of our own: bytes that each thread needs, that the threads of a slot share */
    size_t loops, shared;
    int parts[LS_SHARES]; /* that threads share of a slot; 0: no matter, or not parted */
    /* what of our own makes a pass, as ls_pass_work names it; NULL: the library */
    const char *own[LS_SHARES];
    int calls; /* of the kernels, then of their parts */
} ls_prepared;

/* An operation on the arrays of one slot.  Gradients are NULL where none is wanted. */
typedef struct ls_work {
    const ls_prepared *prepared;
    ls_call **call; /* of the kernels, then of their parts */
    int64_t samples;
    void *in[LS_OP_VALUES], *out[LS_OP_VALUES];
    void *in_gradient[LS_OP_VALUES], *out_gradient[LS_OP_VALUES];
    void *workspace, *scratch;
    void *loops; /* what each thread has for loops of our own, `loops_step` bytes */
    size_t loops_step;
    float *statistics;          /* of the slot, all batch norms; see ls_norm_add */
    const uint64_t *sample_ids; /* (samples) */
} ls_work;

struct ls_op_class {
    int kernels, products; /* how many it prepares at the most */
    /* Sets the layouts of the outputs, and `prepared`, of which it owns the kernels even if it
     * fails. */
    ls_status (*prepare)(ls_op *op, ls_variant *variant, ls_prepared *prepared);
    /* Makes the calls; may be NULL.  The net's flat array is bound. */
    ls_status (*bind)(ls_op *op, const ls_net *net, ls_work *work);
    /* Before forward, slot after slot: makes anew what is derived from the parameters. */
    ls_status (*refresh)(ls_op *op, ls_plan *plan, int slot);
    /* One slot; NULL where nothing is computed.  Several slots run at a time, each in a thread with
     * a scratch of its own.  Backward comes in three parts: the gradients of the parameters, into
     * the scratch; their way to the sink, slot after slot; the gradients of the inputs, which may
     * be made while the first are, or with them. */
    ls_status (*forward)(ls_op *op, ls_plan *plan, int slot);
    ls_status (*gradient)(ls_op *op, ls_plan *plan, int slot);
    ls_status (*emit)(ls_op *op, ls_plan *plan, int slot);
    ls_status (*backward)(ls_op *op, ls_plan *plan, int slot);
    /* All slots at once, instead of those above.  Backward tells the sink what is final. */
    ls_status (*forward_all)(ls_op *op, ls_plan *plan);
    ls_status (*backward_all)(ls_op *op, ls_plan *plan);
    /* Sets the kernels' names, where there is a choice; may be NULL. */
    void (*name_kernels)(const ls_prepared *prepared, ls_pass_work *forward,
                         ls_pass_work *backward);
    /* Releases what the kind owns, not `op` itself; may be NULL. */
    void (*clear)(ls_op *op);
};

/* The largest scratch that a kernel wants of those made so far. */
size_t ls_prepared_scratch(const ls_prepared *prepared);
/* The call of kernel `which`, if there is such a kernel. */
ls_status ls_work_bind(ls_work *work, const ls_net *net, int which, const ls_binding *bindings,
                       size_t count);
/* Call `call` of kernel `which`. */
ls_status ls_work_bind_call(ls_work *work, const ls_net *net, int which, int call,
                            const ls_binding *bindings, size_t count);
ls_status ls_work_bind_reorder(ls_work *work, const ls_net *net, int which, const void *from,
                               const void *to, void *scratch);
/* The name of kernel `which`; NULL if there is none. */
const char *ls_prepared_name(const ls_prepared *prepared, int which);
/* Runs that call, if there is one. */
ls_status ls_work_run(const ls_work *work, int which);
/* For ls_op_class: these of LS_FORWARD and of LS_BACKWARD. */
ls_status ls_op_run_forward(ls_op *op, ls_plan *plan, int slot);
ls_status ls_op_run_backward(ls_op *op, ls_plan *plan, int slot);

/* ---- building (build.c): each adds its operations to the net, and gives the value they make - */

typedef ls_status ls_layer_add(ls_builder *builder, const ls_layer_spec *layer, int in, int *out);

#define LS_LAYER_DECLARE(KIND, name) ls_layer_add ls_##name##_add;
LS_LAYERS(LS_LAYER_DECLARE)

/* The value in plain layout, seen as `shape`, which has as many elements. */
ls_status ls_plain_add(ls_builder *builder, int in, const ls_shape *shape, int *out);
/* The same in another type. */
ls_status ls_convert_add(ls_builder *builder, int in, const ls_shape *shape, ls_compute_type type,
                         int *out);
ls_status ls_fork_add(ls_builder *builder, int in, int out[2]);
ls_status ls_sum_add(ls_builder *builder, const int in[2], int *out);

/* Peephole fusions.  True if the producer of `value` takes the ReLU that follows it. */
bool ls_norm_fuse_relu(const ls_builder *builder, int value);
bool ls_sum_fuse_relu(const ls_builder *builder, int value);
/* The dense layer that makes the value, if one does, gives float32. */
void ls_dense_give_float32(const ls_builder *builder, int value);
/* True if the value is made by an activation that is cheap, element by element and non-decreasing:
 * pooling the maximum first gives the same, on fewer elements. */
bool ls_activation_can_wait(const ls_builder *builder, int value);

#endif
