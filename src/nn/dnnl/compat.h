/* nn/dnnl: the one place that knows how the C APIs of oneDNN 2 and 3 differ: memory descriptors
 * (a struct in 2, opaque in 3), primitive descriptors (through operation descriptors in 2). */
#ifndef LOCKSTEP_NN_DNNL_COMPAT_H
#define LOCKSTEP_NN_DNNL_COMPAT_H

#include <oneapi/dnnl/dnnl.h>
#include <stdbool.h>
#include <stdint.h>

#include "nn/dnnl/kernel.h"

/* A memory descriptor by reference. */
#if DNNL_VERSION_MAJOR < 3
typedef const dnnl_memory_desc_t *ls_md;
#else
typedef const_dnnl_memory_desc_t ls_md;
#endif

/* New descriptors; free with ls_md_free. */
dnnl_status_t ls_md_create(ls_md *md, ls_compute_type type, const ls_dims *dims,
                           dnnl_format_tag_t tag);
/* With these steps, in elements, in each dimension. */
dnnl_status_t ls_md_create_strided(ls_md *md, ls_compute_type type, const ls_dims *dims,
                                   const int64_t *steps);
/* A matrix with these steps from row to row and from column to column. */
dnnl_status_t ls_md_create_matrix(ls_md *md, ls_compute_type type, int64_t rows, int64_t columns,
                                  int64_t row_step, int64_t column_step);
dnnl_status_t ls_md_clone(ls_md *md, ls_md other);
void ls_md_free(ls_md md);
/* Its sizes; n is 0 for an empty descriptor or NULL. */
ls_dims ls_md_dims(ls_md md);
/* Of its elements; LS_COMPUTE_FLOAT32 too where it is neither. */
ls_compute_type ls_md_type(ls_md md);

/* Primitive descriptors.  `hint` is the forward primitive's for the backward ones. */
typedef struct ls_pd_context {
    dnnl_engine_t engine;
    const_dnnl_primitive_attr_t attributes;
    const_dnnl_primitive_desc_t hint;
} ls_pd_context;

/* bias may be NULL. */
dnnl_status_t ls_pd_conv_forward(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                 const ls_window *window, ls_md src, ls_md weights, ls_md bias,
                                 ls_md dst);
dnnl_status_t ls_pd_conv_backward_data(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                       const ls_window *window, ls_md diff_src, ls_md weights,
                                       ls_md diff_dst);
dnnl_status_t ls_pd_conv_backward_weights(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                          const ls_window *window, ls_md src, ls_md diff_weights,
                                          ls_md diff_bias, ls_md diff_dst);
dnnl_status_t ls_pd_pool_forward(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                 dnnl_prop_kind_t prop, dnnl_alg_kind_t algorithm,
                                 const ls_window *window, ls_md src, ls_md dst);
dnnl_status_t ls_pd_pool_backward(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                  dnnl_alg_kind_t algorithm, const ls_window *window,
                                  ls_md diff_src, ls_md diff_dst);
dnnl_status_t ls_pd_norm_forward(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                 dnnl_prop_kind_t prop, ls_md data, float epsilon, unsigned flags);
dnnl_status_t ls_pd_norm_backward(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                  ls_md data, float epsilon, unsigned flags);
/* Whether the gradient asks for the shift, which it does not use. */
bool ls_norm_backward_takes_shift(void);
dnnl_status_t ls_pd_matmul(dnnl_primitive_desc_t *pd, const ls_pd_context *context, ls_md a,
                           ls_md b, ls_md c);
dnnl_status_t ls_pd_eltwise_forward(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                    dnnl_alg_kind_t algorithm, ls_md data);
dnnl_status_t ls_pd_eltwise_backward(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                     dnnl_alg_kind_t algorithm, ls_md data);

/* The instruction set that stands for no limit. */
dnnl_cpu_isa_t ls_isa_unlimited(void);

#endif
