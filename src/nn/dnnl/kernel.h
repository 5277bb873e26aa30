/* nn/dnnl: compute kernels and memory layouts, without a word of oneDNN.  A kernel is made once for
 * given shapes; a call is a kernel with the addresses it works on; running a call allocates
 * nothing.
 *
 * Spatial arrays have 2 or 3 spatial dimensions here: one dimension is taken as a height of 1. */
#ifndef LOCKSTEP_NN_DNNL_KERNEL_H
#define LOCKSTEP_NN_DNNL_KERNEL_H

#include "lockstep/model.h"

#define LS_MAX_LAYOUT_DIMS 12 /* as many as oneDNN reads; used are at most 6 */

typedef struct ls_dims {
    int n;
    int64_t size[LS_MAX_LAYOUT_DIMS];
} ls_dims;

/* The window of a convolution or pooling; dilation 1 is a dense kernel. */
typedef struct ls_window {
    int ndims; /* 2 or 3 */
    int64_t kernel[LS_MAX_LAYOUT_DIMS], stride[LS_MAX_LAYOUT_DIMS], padding[LS_MAX_LAYOUT_DIMS],
        dilation[LS_MAX_LAYOUT_DIMS];
} ls_window;

typedef struct ls_dnnl_engine ls_dnnl_engine;
typedef struct ls_layout ls_layout; /* of one array, its type included, or of a workspace */
typedef struct ls_kernel ls_kernel;
typedef struct ls_call ls_call;
typedef struct ls_product ls_product;

static inline size_t ls_type_bytes(ls_compute_type type) {
    return type == LS_COMPUTE_BF16 ? sizeof(uint16_t) : sizeof(float);
}

/* Whether this instruction set, a name of compute.isa, or a higher one is in force. */
bool ls_isa_has(const char *name);

/* The owner of everything below; free it last. */
ls_status ls_dnnl_engine_create(ls_dnnl_engine **engine);
void ls_dnnl_engine_free(ls_dnnl_engine *engine);

/* ---- layouts: owned by the engine; equal layouts are one pointer ---------------------------- */

ls_status ls_layout_plain(ls_dnnl_engine *engine, ls_compute_type type, const ls_dims *dims,
                          const ls_layout **layout);
/* Of (N, C, H, W): C the fastest.  The same memory as (N, C) if H and W are 1. */
ls_status ls_layout_channels_last(ls_dnnl_engine *engine, ls_compute_type type, const ls_dims *dims,
                                  const ls_layout **layout);
ls_compute_type ls_layout_type(const ls_layout *layout);
size_t ls_layout_bytes(const ls_layout *layout);
size_t ls_layout_elements(const ls_layout *layout); /* paddings included */
bool ls_layout_is_plain(const ls_layout *layout);   /* row-major without gaps */
ls_dims ls_layout_dims(const ls_layout *layout);
/* Gives the numbers of a spatial array that is (outer, [depth,] height, width, inner) in memory:
 * plain, in blocks of 8 or 16 channels, or channels last; false for another. */
bool ls_layout_view(const ls_layout *layout, int64_t *outer, int64_t *inner);
/* Of a part of an array that is plain: its sizes, with the steps of the whole. */
ls_status ls_layout_part(ls_dnnl_engine *engine, const ls_layout *plain, const ls_dims *sizes,
                         const ls_layout **part);
/* The layout of the same kind for other sizes. */
ls_status ls_layout_like(ls_dnnl_engine *engine, const ls_layout *layout, const ls_dims *dims,
                         const ls_layout **like);

/* ---- kernels -------------------------------------------------------------------------------- */

typedef enum ls_arg {
    LS_ARG_SRC,
    LS_ARG_DST,
    LS_ARG_WEIGHTS,
    LS_ARG_BIAS,
    LS_ARG_MEAN,
    LS_ARG_VARIANCE,
    LS_ARG_SCALE,
    LS_ARG_SHIFT,
    LS_ARG_WORKSPACE,
    LS_ARG_SCRATCH,
    LS_ARG_DIFF_SRC,
    LS_ARG_DIFF_DST,
    LS_ARG_DIFF_WEIGHTS,
    LS_ARG_DIFF_BIAS,
    LS_ARG_DIFF_SCALE,
    LS_ARG_DIFF_SHIFT,
    LS_ARGS
} ls_arg;

/* The layout that the kernel wants for an argument; NULL if it has no such argument. */
const ls_layout *ls_kernel_layout(const ls_kernel *kernel, ls_arg arg);
/* Bytes of an argument, 0 if there is none. */
size_t ls_kernel_bytes(const ls_kernel *kernel, ls_arg arg);
/* The library's name of the implementation: "jit:avx2". */
const char *ls_kernel_name(const ls_kernel *kernel);
/* True for an implementation that is only right, not fast. */
bool ls_kernel_is_reference(const ls_kernel *kernel);
void ls_kernel_free(ls_kernel *kernel);

/* The kernel chooses its layouts.  Backward kernels choose that of the weights, and the others too
 * if `free_choice`; otherwise these are the forward kernel's.  The bias and the gradients of
 * weights and bias are float32. */
ls_status ls_conv_forward(ls_dnnl_engine *engine, ls_compute_type type, const ls_window *window,
                          const ls_dims *src, const ls_dims *weights, bool bias, const ls_dims *dst,
                          ls_kernel **kernel);
ls_status ls_conv_backward_data(ls_dnnl_engine *engine, const ls_window *window,
                                const ls_kernel *forward, bool free_choice, ls_kernel **kernel);
ls_status ls_conv_backward_weights(ls_dnnl_engine *engine, const ls_window *window,
                                   const ls_kernel *forward, bool free_choice, ls_kernel **kernel);

typedef enum ls_conv_direction { LS_CONV_FORWARD, LS_CONV_DATA, LS_CONV_WEIGHTS } ls_conv_direction;
enum { LS_CONV_PASSES = 3 };
/* What a pass makes, or in LS_CONV_WEIGHTS takes, by channels, and so can be done some of them at a
 * time: the array, and the dimension of weights without groups. */
ls_arg ls_conv_parted(ls_conv_direction pass);
int ls_conv_parted_dim(ls_conv_direction pass);
/* The kernel for a single sample, and for `channels` channels of ls_conv_parted, in layouts of the
 * same kinds.  NULL if the library has not the same implementation for it. */
ls_status ls_conv_part_kernel(ls_dnnl_engine *engine, const ls_window *window,
                              ls_conv_direction pass, const ls_kernel *whole, int64_t channels,
                              ls_kernel **part);

typedef enum ls_pooling { LS_POOL_MAX, LS_POOL_AVERAGE } ls_pooling; /* without the padding */

/* Follows the layout of its input.  `train`: keeps what the backward pass needs. */
ls_status ls_pool_forward(ls_dnnl_engine *engine, ls_pooling pooling, const ls_window *window,
                          const ls_layout *src, const ls_dims *dst, bool train, ls_kernel **kernel);
ls_status ls_pool_backward(ls_dnnl_engine *engine, ls_pooling pooling, const ls_window *window,
                           const ls_kernel *forward, ls_kernel **kernel);

/* All but the data is float32.  Batch norm, in training by the statistics of the array, which it
 * gives; with ReLU if wanted. */
ls_status ls_norm_forward(ls_dnnl_engine *engine, const ls_layout *data, float epsilon, bool train,
                          bool relu, ls_kernel **kernel);
ls_status ls_norm_backward(ls_dnnl_engine *engine, float epsilon, bool relu,
                           const ls_kernel *forward, ls_kernel **kernel);

typedef enum ls_function { LS_FUNCTION_TANH, LS_FUNCTION_SIGMOID, LS_FUNCTION_GELU } ls_function;

/* The backward kernel takes the forward result (DST) for tanh and sigmoid, SRC for GELU. */
ls_status ls_function_forward(ls_dnnl_engine *engine, ls_function function, const ls_layout *data,
                              ls_kernel **kernel);
ls_status ls_function_backward(ls_dnnl_engine *engine, ls_function function,
                               const ls_kernel *forward, ls_kernel **kernel);

ls_status ls_reorder(ls_dnnl_engine *engine, const ls_layout *from, const ls_layout *to,
                     ls_kernel **kernel);

/* ---- calls ---------------------------------------------------------------------------------- */

typedef struct ls_binding {
    ls_arg arg;
    const void *data; /* written if it is one of the kernel's outputs */
} ls_binding;

/* Arguments that the kernel does not have are left out. */
ls_status ls_call_create(ls_dnnl_engine *engine, const ls_kernel *kernel,
                         const ls_binding *bindings, size_t count, ls_call **call);
/* Another address for an argument that it was created with. */
ls_status ls_call_move(ls_call *call, ls_arg arg, const void *data);
ls_status ls_call_run(const ls_call *call);
void ls_call_free(ls_call *call);

/* ---- matrix products ------------------------------------------------------------------------ */

/* C (m, n) = op(A) op(B), row-major; ld: elements from row to row. */
typedef struct ls_product_spec {
    ls_compute_type type;   /* of A and B */
    ls_compute_type result; /* of C: float32, or the same */
    bool transpose_a, transpose_b;
    bool add; /* to C; float32 only */
    int64_t m, n, k, lda, ldb, ldc;
} ls_product_spec;

/* Owned by the engine; equal ones are one. */
ls_status ls_product_get(ls_dnnl_engine *engine, const ls_product_spec *spec,
                         const ls_product **product);
size_t ls_product_scratch(const ls_product *product);   /* bytes */
const char *ls_product_name(const ls_product *product); /* of what computes it */
ls_status ls_product_run(const ls_product *product, const void *a, const void *b, void *c,
                         void *scratch);
/* A product of float32 alone, which needs no preparation. */
ls_status ls_product_float32(const ls_product_spec *spec, const float *a, const float *b, float *c);

#endif
