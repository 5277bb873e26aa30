/* nn/dnnl: oneDNN 2 and 3 behind one set of functions. */
#include "nn/dnnl/compat.h"

#include <stdlib.h>

/* oneDNN counts the gaps between the taps of a window: a dense kernel has dilation 0. */
static void count_gaps(const ls_window *window, dnnl_dims_t gaps) {
    for (int i = 0; i < window->ndims; i++)
        gaps[i] = window->dilation[i] - 1;
}

static dnnl_data_type_t data_type(ls_compute_type type) {
    return type == LS_COMPUTE_BF16 ? dnnl_bf16 : dnnl_f32;
}

#if DNNL_VERSION_MAJOR < 3

/* Keeps a descriptor that was made well. */
static dnnl_status_t keep_md(dnnl_status_t status, const dnnl_memory_desc_t *made, ls_md *md) {
    return status == dnnl_success ? ls_md_clone(md, made) : status;
}

dnnl_status_t ls_md_create(ls_md *md, ls_compute_type type, const ls_dims *dims,
                           dnnl_format_tag_t tag) {
    dnnl_memory_desc_t made;
    return keep_md(dnnl_memory_desc_init_by_tag(&made, dims->n, dims->size, data_type(type), tag),
                   &made, md);
}

dnnl_status_t ls_md_create_strided(ls_md *md, ls_compute_type type, const ls_dims *dims,
                                   const int64_t *steps) {
    dnnl_memory_desc_t made;
    return keep_md(
        dnnl_memory_desc_init_by_strides(&made, dims->n, dims->size, data_type(type), steps), &made,
        md);
}

dnnl_status_t ls_md_clone(ls_md *md, ls_md other) {
    dnnl_memory_desc_t *made = malloc(sizeof *made);
    if (!made)
        return dnnl_out_of_memory;
    *made = *other;
    *md = made;
    return dnnl_success;
}

void ls_md_free(ls_md md) {
    free((void *)md);
}

ls_dims ls_md_dims(ls_md md) {
    ls_dims dims = {0};
    for (; md && dims.n < md->ndims && dims.n < LS_MAX_LAYOUT_DIMS; dims.n++)
        dims.size[dims.n] = md->dims[dims.n];
    return dims;
}

ls_compute_type ls_md_type(ls_md md) {
    return md->data_type == dnnl_bf16 ? LS_COMPUTE_BF16 : LS_COMPUTE_FLOAT32;
}

static dnnl_status_t create(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                            dnnl_status_t described, const void *description) {
    if (described != dnnl_success)
        return described;
    return dnnl_primitive_desc_create(pd, description, context->attributes, context->engine,
                                      context->hint);
}

dnnl_status_t ls_pd_conv_forward(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                 const ls_window *window, ls_md src, ls_md weights, ls_md bias,
                                 ls_md dst) {
    dnnl_dims_t gaps;
    count_gaps(window, gaps);
    dnnl_convolution_desc_t d;
    dnnl_status_t described = dnnl_dilated_convolution_forward_desc_init(
        &d, dnnl_forward_training, dnnl_convolution_direct, src, weights, bias, dst, window->stride,
        gaps, window->padding, window->padding);
    return create(pd, context, described, &d);
}

dnnl_status_t ls_pd_conv_backward_data(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                       const ls_window *window, ls_md diff_src, ls_md weights,
                                       ls_md diff_dst) {
    dnnl_dims_t gaps;
    count_gaps(window, gaps);
    dnnl_convolution_desc_t d;
    dnnl_status_t described = dnnl_dilated_convolution_backward_data_desc_init(
        &d, dnnl_convolution_direct, diff_src, weights, diff_dst, window->stride, gaps,
        window->padding, window->padding);
    return create(pd, context, described, &d);
}

dnnl_status_t ls_pd_conv_backward_weights(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                          const ls_window *window, ls_md src, ls_md diff_weights,
                                          ls_md diff_bias, ls_md diff_dst) {
    dnnl_dims_t gaps;
    count_gaps(window, gaps);
    dnnl_convolution_desc_t d;
    dnnl_status_t described = dnnl_dilated_convolution_backward_weights_desc_init(
        &d, dnnl_convolution_direct, src, diff_weights, diff_bias, diff_dst, window->stride, gaps,
        window->padding, window->padding);
    return create(pd, context, described, &d);
}

dnnl_status_t ls_pd_pool_forward(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                 dnnl_prop_kind_t prop, dnnl_alg_kind_t algorithm,
                                 const ls_window *window, ls_md src, ls_md dst) {
    dnnl_pooling_desc_t d;
    dnnl_status_t described =
        dnnl_pooling_forward_desc_init(&d, prop, algorithm, src, dst, window->stride,
                                       window->kernel, window->padding, window->padding);
    return create(pd, context, described, &d);
}

dnnl_status_t ls_pd_pool_backward(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                  dnnl_alg_kind_t algorithm, const ls_window *window,
                                  ls_md diff_src, ls_md diff_dst) {
    dnnl_pooling_desc_t d;
    dnnl_status_t described =
        dnnl_pooling_backward_desc_init(&d, algorithm, diff_src, diff_dst, window->stride,
                                        window->kernel, window->padding, window->padding);
    return create(pd, context, described, &d);
}

dnnl_status_t ls_pd_norm_forward(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                 dnnl_prop_kind_t prop, ls_md data, float epsilon, unsigned flags) {
    dnnl_batch_normalization_desc_t d;
    dnnl_status_t described =
        dnnl_batch_normalization_forward_desc_init(&d, prop, data, epsilon, flags);
    return create(pd, context, described, &d);
}

dnnl_status_t ls_pd_norm_backward(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                  ls_md data, float epsilon, unsigned flags) {
    dnnl_batch_normalization_desc_t d;
    dnnl_status_t described =
        dnnl_batch_normalization_backward_desc_init(&d, dnnl_backward, data, data, epsilon, flags);
    return create(pd, context, described, &d);
}

dnnl_status_t ls_pd_matmul(dnnl_primitive_desc_t *pd, const ls_pd_context *context, ls_md a,
                           ls_md b, ls_md c) {
    dnnl_matmul_desc_t d;
    dnnl_status_t described = dnnl_matmul_desc_init(&d, a, b, NULL, c);
    return create(pd, context, described, &d);
}

dnnl_status_t ls_pd_eltwise_forward(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                    dnnl_alg_kind_t algorithm, ls_md data) {
    dnnl_eltwise_desc_t d;
    dnnl_status_t described =
        dnnl_eltwise_forward_desc_init(&d, dnnl_forward_training, algorithm, data, 0, 0);
    return create(pd, context, described, &d);
}

dnnl_status_t ls_pd_eltwise_backward(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                     dnnl_alg_kind_t algorithm, ls_md data) {
    dnnl_eltwise_desc_t d;
    dnnl_status_t described = dnnl_eltwise_backward_desc_init(&d, algorithm, data, data, 0, 0);
    return create(pd, context, described, &d);
}

bool ls_norm_backward_takes_shift(void) {
    return true;
}

dnnl_cpu_isa_t ls_isa_unlimited(void) {
    return dnnl_cpu_isa_all;
}

#else

dnnl_status_t ls_md_create(ls_md *md, ls_compute_type type, const ls_dims *dims,
                           dnnl_format_tag_t tag) {
    dnnl_memory_desc_t made;
    dnnl_status_t status =
        dnnl_memory_desc_create_with_tag(&made, dims->n, dims->size, data_type(type), tag);
    if (status == dnnl_success)
        *md = made;
    return status;
}

dnnl_status_t ls_md_create_strided(ls_md *md, ls_compute_type type, const ls_dims *dims,
                                   const int64_t *steps) {
    dnnl_memory_desc_t made;
    dnnl_status_t status =
        dnnl_memory_desc_create_with_strides(&made, dims->n, dims->size, data_type(type), steps);
    if (status == dnnl_success)
        *md = made;
    return status;
}

dnnl_status_t ls_md_clone(ls_md *md, ls_md other) {
    dnnl_memory_desc_t made;
    dnnl_status_t status = dnnl_memory_desc_clone(&made, other);
    if (status == dnnl_success)
        *md = made;
    return status;
}

void ls_md_free(ls_md md) {
    dnnl_memory_desc_destroy((dnnl_memory_desc_t)md);
}

ls_dims ls_md_dims(ls_md md) {
    ls_dims dims = {0};
    int ndims = 0;
    const dnnl_dims_t *sizes = NULL;
    if (!md || dnnl_memory_desc_query(md, dnnl_query_ndims_s32, &ndims) != dnnl_success ||
        ndims == 0 || dnnl_memory_desc_query(md, dnnl_query_dims, &sizes) != dnnl_success)
        return dims;
    for (; dims.n < ndims && dims.n < LS_MAX_LAYOUT_DIMS; dims.n++)
        dims.size[dims.n] = (*sizes)[dims.n];
    return dims;
}

ls_compute_type ls_md_type(ls_md md) {
    dnnl_data_type_t type = dnnl_f32;
    bool known = dnnl_memory_desc_query(md, dnnl_query_data_type, &type) == dnnl_success;
    return known && type == dnnl_bf16 ? LS_COMPUTE_BF16 : LS_COMPUTE_FLOAT32;
}

dnnl_status_t ls_pd_conv_forward(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                 const ls_window *window, ls_md src, ls_md weights, ls_md bias,
                                 ls_md dst) {
    dnnl_dims_t gaps;
    count_gaps(window, gaps);
    return dnnl_convolution_forward_primitive_desc_create(
        pd, context->engine, dnnl_forward_training, dnnl_convolution_direct, src, weights, bias,
        dst, window->stride, gaps, window->padding, window->padding, context->attributes);
}

dnnl_status_t ls_pd_conv_backward_data(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                       const ls_window *window, ls_md diff_src, ls_md weights,
                                       ls_md diff_dst) {
    dnnl_dims_t gaps;
    count_gaps(window, gaps);
    return dnnl_convolution_backward_data_primitive_desc_create(
        pd, context->engine, dnnl_convolution_direct, diff_src, weights, diff_dst, window->stride,
        gaps, window->padding, window->padding, context->hint, context->attributes);
}

dnnl_status_t ls_pd_conv_backward_weights(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                          const ls_window *window, ls_md src, ls_md diff_weights,
                                          ls_md diff_bias, ls_md diff_dst) {
    dnnl_dims_t gaps;
    count_gaps(window, gaps);
    return dnnl_convolution_backward_weights_primitive_desc_create(
        pd, context->engine, dnnl_convolution_direct, src, diff_weights, diff_bias, diff_dst,
        window->stride, gaps, window->padding, window->padding, context->hint, context->attributes);
}

static const dnnl_dims_t NO_GAPS = {0};

dnnl_status_t ls_pd_pool_forward(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                 dnnl_prop_kind_t prop, dnnl_alg_kind_t algorithm,
                                 const ls_window *window, ls_md src, ls_md dst) {
    return dnnl_pooling_forward_primitive_desc_create(
        pd, context->engine, prop, algorithm, src, dst, window->stride, window->kernel, NO_GAPS,
        window->padding, window->padding, context->attributes);
}

dnnl_status_t ls_pd_pool_backward(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                  dnnl_alg_kind_t algorithm, const ls_window *window,
                                  ls_md diff_src, ls_md diff_dst) {
    return dnnl_pooling_backward_primitive_desc_create(
        pd, context->engine, algorithm, diff_src, diff_dst, window->stride, window->kernel, NO_GAPS,
        window->padding, window->padding, context->hint, context->attributes);
}

dnnl_status_t ls_pd_norm_forward(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                 dnnl_prop_kind_t prop, ls_md data, float epsilon, unsigned flags) {
    return dnnl_batch_normalization_forward_primitive_desc_create(
        pd, context->engine, prop, data, data, epsilon, flags, context->attributes);
}

dnnl_status_t ls_pd_norm_backward(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                  ls_md data, float epsilon, unsigned flags) {
    return dnnl_batch_normalization_backward_primitive_desc_create(
        pd, context->engine, dnnl_backward, data, data, data, epsilon, flags, context->hint,
        context->attributes);
}

dnnl_status_t ls_pd_matmul(dnnl_primitive_desc_t *pd, const ls_pd_context *context, ls_md a,
                           ls_md b, ls_md c) {
    return dnnl_matmul_primitive_desc_create(pd, context->engine, a, b, NULL, c,
                                             context->attributes);
}

dnnl_status_t ls_pd_eltwise_forward(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                    dnnl_alg_kind_t algorithm, ls_md data) {
    return dnnl_eltwise_forward_primitive_desc_create(pd, context->engine, dnnl_forward_training,
                                                      algorithm, data, data, 0, 0,
                                                      context->attributes);
}

dnnl_status_t ls_pd_eltwise_backward(dnnl_primitive_desc_t *pd, const ls_pd_context *context,
                                     dnnl_alg_kind_t algorithm, ls_md data) {
    return dnnl_eltwise_backward_primitive_desc_create(
        pd, context->engine, algorithm, data, data, data, 0, 0, context->hint, context->attributes);
}

bool ls_norm_backward_takes_shift(void) {
    return false;
}

dnnl_cpu_isa_t ls_isa_unlimited(void) {
    return dnnl_cpu_isa_default;
}

#endif

dnnl_status_t ls_md_create_matrix(ls_md *md, ls_compute_type type, int64_t rows, int64_t columns,
                                  int64_t row_step, int64_t column_step) {
    const ls_dims sizes = {2, {rows, columns}};
    const int64_t steps[LS_MAX_LAYOUT_DIMS] = {row_step, column_step};
    return ls_md_create_strided(md, type, &sizes, steps);
}
