/* nn/dnnl: making kernels and running them. */
#include <string.h>

#include "nn/dnnl/engine.h"

struct ls_kernel {
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t primitive;
    const ls_layout *layout[LS_ARGS];
};

struct ls_call {
    const ls_dnnl_engine *engine;
    dnnl_primitive_t primitive; /* of the kernel */
    int count;
    dnnl_exec_arg_t args[LS_ARGS];
};

/* How oneDNN names an argument, and how it tells the layout. */
static const struct {
    int arg;
    dnnl_query_t query;
    int index;
} ARGUMENTS[LS_ARGS] = {
    [LS_ARG_SRC] = {DNNL_ARG_SRC, dnnl_query_src_md, 0},
    [LS_ARG_DST] = {DNNL_ARG_DST, dnnl_query_dst_md, 0},
    [LS_ARG_WEIGHTS] = {DNNL_ARG_WEIGHTS, dnnl_query_weights_md, 0},
    [LS_ARG_BIAS] = {DNNL_ARG_BIAS, dnnl_query_weights_md, 1},
    [LS_ARG_MEAN] = {DNNL_ARG_MEAN, dnnl_query_undef, 0},
    [LS_ARG_VARIANCE] = {DNNL_ARG_VARIANCE, dnnl_query_undef, 0},
    [LS_ARG_SCALE] = {DNNL_ARG_SCALE, dnnl_query_undef, 0},
    [LS_ARG_SHIFT] = {DNNL_ARG_SHIFT, dnnl_query_undef, 0},
    [LS_ARG_WORKSPACE] = {DNNL_ARG_WORKSPACE, dnnl_query_workspace_md, 0},
    [LS_ARG_SCRATCH] = {DNNL_ARG_SCRATCHPAD, dnnl_query_scratchpad_md, 0},
    [LS_ARG_DIFF_SRC] = {DNNL_ARG_DIFF_SRC, dnnl_query_diff_src_md, 0},
    [LS_ARG_DIFF_DST] = {DNNL_ARG_DIFF_DST, dnnl_query_diff_dst_md, 0},
    [LS_ARG_DIFF_WEIGHTS] = {DNNL_ARG_DIFF_WEIGHTS, dnnl_query_diff_weights_md, 0},
    [LS_ARG_DIFF_BIAS] = {DNNL_ARG_DIFF_BIAS, dnnl_query_diff_weights_md, 1},
    [LS_ARG_DIFF_SCALE] = {DNNL_ARG_DIFF_SCALE, dnnl_query_undef, 0},
    [LS_ARG_DIFF_SHIFT] = {DNNL_ARG_DIFF_SHIFT, dnnl_query_undef, 0},
};

/* ---- kernels -------------------------------------------------------------------------------- */

/* Makes the kernel of a primitive descriptor, which it takes, whatever the outcome. */
static ls_status finish(ls_dnnl_engine *engine, dnnl_primitive_desc_t pd, ls_kernel **kernel) {
    ls_kernel *made;
    ls_status status = LS_NEW(made, 1);
    if (status != LS_OK) {
        dnnl_primitive_desc_destroy(pd);
        return status;
    }
    made->pd = pd;
    LS_TRY_GOTO(fail, ls_dnnl(dnnl_primitive_create(&made->primitive, pd), "primitive"));
    for (int i = 0; i < LS_ARGS; i++) {
        if (ARGUMENTS[i].query == dnnl_query_undef)
            continue;
        ls_md md = dnnl_primitive_desc_query_md(pd, ARGUMENTS[i].query, ARGUMENTS[i].index);
        LS_TRY_GOTO(fail, ls_layout_intern(engine, md, &made->layout[i]));
    }
    *kernel = made;
    return LS_OK;
fail:
    ls_kernel_free(made);
    return status;
}

void ls_kernel_free(ls_kernel *kernel) {
    if (!kernel)
        return;
    if (kernel->primitive)
        dnnl_primitive_destroy(kernel->primitive);
    dnnl_primitive_desc_destroy(kernel->pd);
    ls_free(kernel);
}

const ls_layout *ls_kernel_layout(const ls_kernel *kernel, ls_arg arg) {
    return kernel->layout[arg];
}

size_t ls_kernel_bytes(const ls_kernel *kernel, ls_arg arg) {
    return kernel->layout[arg] ? kernel->layout[arg]->bytes : 0;
}

const char *ls_kernel_name(const ls_kernel *kernel) {
    const char *name = NULL;
    dnnl_primitive_desc_query(kernel->pd, dnnl_query_impl_info_str, 0, &name);
    return name ? name : "";
}

bool ls_kernel_is_reference(const ls_kernel *kernel) {
    return strncmp(ls_kernel_name(kernel), "ref", 3) == 0;
}

static ls_pd_context context_of(const ls_dnnl_engine *engine, const ls_kernel *forward) {
    return (ls_pd_context){engine->engine, engine->attributes, forward ? forward->pd : NULL};
}

/* The descriptors of a convolution. */
typedef struct ls_conv_mds {
    ls_md src, weights, dst, bias; /* bias may be NULL */
} ls_conv_mds;

static void free_mds(ls_conv_mds *md) {
    ls_md all[] = {md->src, md->weights, md->dst, md->bias};
    for (int i = 0; i < 4; i++)
        if (all[i])
            ls_md_free(all[i]);
}

static ls_status any_md(ls_compute_type type, const ls_dims *dims, ls_md *md) {
    return ls_dnnl(ls_md_create(md, type, dims, dnnl_format_tag_any), "memory descriptor");
}

static ls_status same_md(const ls_layout *layout, ls_md *md) {
    return ls_dnnl(ls_md_clone(md, layout->md), "memory descriptor");
}

/* Of a backward kernel, with weights or their gradient of `type`; those of the activations like the
 * forward kernel's unless `free_choice`. */
static ls_status backward_mds(const ls_kernel *forward, ls_compute_type type, bool free_choice,
                              ls_conv_mds *md) {
    const ls_layout *src = forward->layout[LS_ARG_SRC], *dst = forward->layout[LS_ARG_DST];
    const ls_layout *bias = forward->layout[LS_ARG_BIAS];
    LS_TRY(any_md(type, &forward->layout[LS_ARG_WEIGHTS]->dims, &md->weights));
    LS_TRY(free_choice ? any_md(src->type, &src->dims, &md->src) : same_md(src, &md->src));
    LS_TRY(free_choice ? any_md(dst->type, &dst->dims, &md->dst) : same_md(dst, &md->dst));
    return bias ? same_md(bias, &md->bias) : LS_OK;
}

ls_status ls_conv_forward(ls_dnnl_engine *engine, ls_compute_type type, const ls_window *window,
                          const ls_dims *src, const ls_dims *weights, bool bias, const ls_dims *dst,
                          ls_kernel **kernel) {
    const ls_dims bias_dims = {1, {dst->size[1]}};
    ls_conv_mds md = {0};
    ls_pd_context context = context_of(engine, NULL);
    dnnl_primitive_desc_t pd;
    ls_status status;
    LS_TRY_GOTO(done, any_md(type, src, &md.src));
    LS_TRY_GOTO(done, any_md(type, weights, &md.weights));
    LS_TRY_GOTO(done, any_md(type, dst, &md.dst));
    LS_TRY_GOTO(done, bias ? any_md(LS_COMPUTE_FLOAT32, &bias_dims, &md.bias) : LS_OK);
    LS_TRY_GOTO(done, ls_dnnl(ls_pd_conv_forward(&pd, &context, window, md.src, md.weights, md.bias,
                                                 md.dst),
                              "convolution"));
    status = finish(engine, pd, kernel);
done:
    free_mds(&md);
    return status;
}

ls_status ls_conv_backward_data(ls_dnnl_engine *engine, const ls_window *window,
                                const ls_kernel *forward, bool free_choice, ls_kernel **kernel) {
    ls_conv_mds md = {0};
    ls_pd_context context = context_of(engine, forward);
    dnnl_primitive_desc_t pd;
    ls_status status;
    ls_compute_type type = forward->layout[LS_ARG_WEIGHTS]->type;
    LS_TRY_GOTO(done, backward_mds(forward, type, free_choice, &md));
    LS_TRY_GOTO(done,
                ls_dnnl(ls_pd_conv_backward_data(&pd, &context, window, md.src, md.weights, md.dst),
                        "convolution, gradient of the data"));
    status = finish(engine, pd, kernel);
done:
    free_mds(&md);
    return status;
}

ls_status ls_conv_backward_weights(ls_dnnl_engine *engine, const ls_window *window,
                                   const ls_kernel *forward, bool free_choice, ls_kernel **kernel) {
    ls_conv_mds md = {0};
    ls_pd_context context = context_of(engine, forward);
    dnnl_primitive_desc_t pd;
    ls_status status;
    LS_TRY_GOTO(done, backward_mds(forward, LS_COMPUTE_FLOAT32, free_choice, &md));
    LS_TRY_GOTO(done, ls_dnnl(ls_pd_conv_backward_weights(&pd, &context, window, md.src, md.weights,
                                                          md.bias, md.dst),
                              "convolution, gradient of the weights"));
    status = finish(engine, pd, kernel);
done:
    free_mds(&md);
    return status;
}

/* What each pass of a convolution parts, reads or makes beside it, and its weights. */
static const struct {
    ls_arg parted, other, weights, bias;
    int dim; /* of the weights, that `parted` has as channels */
} PASSES[LS_CONV_PASSES] = {
    [LS_CONV_FORWARD] = {LS_ARG_DST, LS_ARG_SRC, LS_ARG_WEIGHTS, LS_ARG_BIAS, 0},
    [LS_CONV_DATA] = {LS_ARG_DIFF_SRC, LS_ARG_DIFF_DST, LS_ARG_WEIGHTS, LS_ARG_BIAS, 1},
    [LS_CONV_WEIGHTS] = {LS_ARG_DIFF_DST, LS_ARG_SRC, LS_ARG_DIFF_WEIGHTS, LS_ARG_DIFF_BIAS, 0},
};

ls_arg ls_conv_parted(ls_conv_direction pass) {
    return PASSES[pass].parted;
}

int ls_conv_parted_dim(ls_conv_direction pass) {
    return PASSES[pass].dim;
}

/* Like the array's, of one sample. */
static ls_status part_md(ls_dnnl_engine *engine, const ls_layout *whole, int64_t channels,
                         ls_md *md) {
    const ls_layout *part;
    ls_dims dims = whole->dims;
    dims.size[0] = 1;
    dims.size[1] = channels;
    LS_TRY(ls_layout_like(engine, whole, &dims, &part));
    return same_md(part, md);
}

static ls_status part_mds(ls_dnnl_engine *engine, ls_conv_direction pass, const ls_kernel *whole,
                          int64_t channels, ls_conv_mds *md) {
    const ls_layout *parted = whole->layout[PASSES[pass].parted];
    const ls_layout *other = whole->layout[PASSES[pass].other];
    const ls_layout *weights = whole->layout[PASSES[pass].weights];
    const ls_layout *bias = whole->layout[PASSES[pass].bias];
    const ls_dims bias_dims = {1, {channels}};
    bool data = pass == LS_CONV_DATA; /* its other array is the output's gradient */
    ls_dims weight_dims = weights->dims;
    if (channels < parted->dims.size[1])
        weight_dims.size[PASSES[pass].dim] = channels;
    LS_TRY(part_md(engine, parted, channels, data ? &md->src : &md->dst));
    LS_TRY(part_md(engine, other, other->dims.size[1], data ? &md->dst : &md->src));
    LS_TRY(any_md(weights->type, &weight_dims, &md->weights));
    return bias ? any_md(LS_COMPUTE_FLOAT32, &bias_dims, &md->bias) : LS_OK;
}

/* The library's answer; backward passes want a forward one first, which knows the type that weights
 * are kept in. */
static dnnl_status_t part_pd(const ls_dnnl_engine *engine, const ls_window *window,
                             ls_conv_direction pass, const ls_conv_mds *md, ls_md weights,
                             dnnl_primitive_desc_t *pd) {
    ls_pd_context context = context_of(engine, NULL);
    dnnl_primitive_desc_t forward;
    dnnl_status_t status =
        ls_pd_conv_forward(&forward, &context, window, md->src, weights, md->bias, md->dst);
    if (status != dnnl_success || pass == LS_CONV_FORWARD) {
        *pd = forward;
        return status;
    }
    context.hint = forward;
    status = pass == LS_CONV_DATA
                 ? ls_pd_conv_backward_data(pd, &context, window, md->src, md->weights, md->dst)
                 : ls_pd_conv_backward_weights(pd, &context, window, md->src, md->weights, md->bias,
                                               md->dst);
    dnnl_primitive_desc_destroy(forward);
    return status;
}

ls_status ls_conv_part_kernel(ls_dnnl_engine *engine, const ls_window *window,
                              ls_conv_direction pass, const ls_kernel *whole, int64_t channels,
                              ls_kernel **part) {
    const ls_layout *src = whole->layout[pass == LS_CONV_DATA ? LS_ARG_DIFF_SRC : LS_ARG_SRC];
    ls_conv_mds md = {0};
    ls_md weights = NULL;
    dnnl_primitive_desc_t pd;
    ls_status status = LS_OK;
    *part = NULL;
    if (!whole->layout[PASSES[pass].parted]->view || !whole->layout[PASSES[pass].other]->view)
        return LS_OK;
    LS_TRY_GOTO(done, part_mds(engine, pass, whole, channels, &md));
    const ls_dims dims = ls_md_dims(md.weights);
    LS_TRY_GOTO(done, any_md(src->type, &dims, &weights));
    if (part_pd(engine, window, pass, &md, weights, &pd) != dnnl_success)
        goto done;
    LS_TRY_GOTO(done, finish(engine, pd, part));
    if (strcmp(ls_kernel_name(*part), ls_kernel_name(whole)) != 0) {
        ls_kernel_free(*part);
        *part = NULL;
    }
done:
    free_mds(&md);
    if (weights)
        ls_md_free(weights);
    return status;
}

static dnnl_alg_kind_t pooling_algorithm(ls_pooling pooling) {
    return pooling == LS_POOL_MAX ? dnnl_pooling_max : dnnl_pooling_avg_exclude_padding;
}

ls_status ls_pool_forward(ls_dnnl_engine *engine, ls_pooling pooling, const ls_window *window,
                          const ls_layout *src, const ls_dims *dst, bool train,
                          ls_kernel **kernel) {
    ls_md any;
    LS_TRY(any_md(src->type, dst, &any));
    ls_pd_context context = context_of(engine, NULL);
    dnnl_primitive_desc_t pd;
    ls_status status = ls_dnnl(
        ls_pd_pool_forward(&pd, &context, train ? dnnl_forward_training : dnnl_forward_inference,
                           pooling_algorithm(pooling), window, src->md, any),
        "pooling");
    ls_md_free(any);
    return status == LS_OK ? finish(engine, pd, kernel) : status;
}

ls_status ls_pool_backward(ls_dnnl_engine *engine, ls_pooling pooling, const ls_window *window,
                           const ls_kernel *forward, ls_kernel **kernel) {
    ls_pd_context context = context_of(engine, forward);
    dnnl_primitive_desc_t pd;
    LS_TRY(ls_dnnl(ls_pd_pool_backward(&pd, &context, pooling_algorithm(pooling), window,
                                       forward->layout[LS_ARG_SRC]->md,
                                       forward->layout[LS_ARG_DST]->md),
                   "pooling, gradient"));
    return finish(engine, pd, kernel);
}

/* The arrays of one number a channel. */
static ls_status set_channel_layouts(ls_dnnl_engine *engine, ls_kernel *kernel,
                                     const ls_layout *data) {
    static const ls_arg args[] = {LS_ARG_MEAN,  LS_ARG_VARIANCE,   LS_ARG_SCALE,
                                  LS_ARG_SHIFT, LS_ARG_DIFF_SCALE, LS_ARG_DIFF_SHIFT};
    const ls_dims channels = {1, {data->dims.size[1]}};
    const ls_layout *layout;
    LS_TRY(ls_layout_plain(engine, LS_COMPUTE_FLOAT32, &channels, &layout));
    for (size_t i = 0; i < sizeof args / sizeof *args; i++)
        kernel->layout[args[i]] = layout;
    return LS_OK;
}

static ls_status finish_norm(ls_dnnl_engine *engine, dnnl_primitive_desc_t pd,
                             const ls_layout *data, ls_kernel **kernel) {
    ls_kernel *made;
    LS_TRY(finish(engine, pd, &made));
    ls_status status = set_channel_layouts(engine, made, data);
    if (status != LS_OK)
        ls_kernel_free(made);
    else
        *kernel = made;
    return status;
}

static unsigned norm_flags(bool relu) {
    return dnnl_use_scale | dnnl_use_shift | (relu ? dnnl_fuse_norm_relu : 0u);
}

ls_status ls_norm_forward(ls_dnnl_engine *engine, const ls_layout *data, float epsilon, bool train,
                          bool relu, ls_kernel **kernel) {
    ls_pd_context context = context_of(engine, NULL);
    dnnl_prop_kind_t prop = train ? dnnl_forward_training : dnnl_forward_inference;
    unsigned flags = norm_flags(relu) | (train ? 0u : dnnl_use_global_stats);
    dnnl_primitive_desc_t pd;
    LS_TRY(ls_dnnl(ls_pd_norm_forward(&pd, &context, prop, data->md, epsilon, flags),
                   "batch normalization"));
    return finish_norm(engine, pd, data, kernel);
}

ls_status ls_norm_backward(ls_dnnl_engine *engine, float epsilon, bool relu,
                           const ls_kernel *forward, ls_kernel **kernel) {
    ls_pd_context context = context_of(engine, forward);
    const ls_layout *data = forward->layout[LS_ARG_SRC];
    dnnl_primitive_desc_t pd;
    LS_TRY(ls_dnnl(ls_pd_norm_backward(&pd, &context, data->md, epsilon, norm_flags(relu)),
                   "batch normalization, gradient"));
    LS_TRY(finish_norm(engine, pd, data, kernel));
    if (!ls_norm_backward_takes_shift())
        (*kernel)->layout[LS_ARG_SHIFT] = NULL;
    return LS_OK;
}

ls_status ls_function_forward(ls_dnnl_engine *engine, ls_function function, const ls_layout *data,
                              ls_kernel **kernel) {
    static const dnnl_alg_kind_t algorithms[] = {[LS_FUNCTION_TANH] = dnnl_eltwise_tanh,
                                                 [LS_FUNCTION_SIGMOID] = dnnl_eltwise_logistic,
                                                 [LS_FUNCTION_GELU] = dnnl_eltwise_gelu_erf};
    ls_pd_context context = context_of(engine, NULL);
    dnnl_primitive_desc_t pd;
    LS_TRY(ls_dnnl(ls_pd_eltwise_forward(&pd, &context, algorithms[function], data->md),
                   "activation"));
    return finish(engine, pd, kernel);
}

ls_status ls_function_backward(ls_dnnl_engine *engine, ls_function function,
                               const ls_kernel *forward, ls_kernel **kernel) {
    static const dnnl_alg_kind_t algorithms[] = {
        [LS_FUNCTION_TANH] = dnnl_eltwise_tanh_use_dst_for_bwd,
        [LS_FUNCTION_SIGMOID] = dnnl_eltwise_logistic_use_dst_for_bwd,
        [LS_FUNCTION_GELU] = dnnl_eltwise_gelu_erf};
    ls_pd_context context = context_of(engine, forward);
    const ls_layout *data = forward->layout[LS_ARG_SRC];
    ls_kernel *made;
    dnnl_primitive_desc_t pd;
    LS_TRY(ls_dnnl(ls_pd_eltwise_backward(&pd, &context, algorithms[function], data->md),
                   "activation, gradient"));
    LS_TRY(finish(engine, pd, &made));
    made->layout[LS_ARG_SRC] = made->layout[LS_ARG_DST] = data;
    *kernel = made;
    return LS_OK;
}

ls_status ls_reorder(ls_dnnl_engine *engine, const ls_layout *from, const ls_layout *to,
                     ls_kernel **kernel) {
    dnnl_primitive_desc_t pd;
    LS_TRY(ls_dnnl(dnnl_reorder_primitive_desc_create(&pd, from->md, engine->engine, to->md,
                                                      engine->engine, engine->attributes),
                   "reorder"));
    return finish(engine, pd, kernel);
}

ls_status ls_matmul(ls_dnnl_engine *engine, ls_md a, ls_md b, ls_md c, ls_kernel **kernel) {
    ls_pd_context context = context_of(engine, NULL);
    dnnl_primitive_desc_t pd;
    LS_TRY(ls_dnnl(ls_pd_matmul(&pd, &context, a, b, c), "matrix product"));
    return finish(engine, pd, kernel);
}

/* ---- calls ---------------------------------------------------------------------------------- */

ls_status ls_call_create(ls_dnnl_engine *engine, const ls_kernel *kernel,
                         const ls_binding *bindings, size_t count, ls_call **call) {
    ls_call *made;
    LS_TRY(LS_NEW(made, 1));
    made->engine = engine;
    made->primitive = kernel->primitive;
    for (size_t i = 0; i < count; i++) {
        const ls_layout *layout = kernel->layout[bindings[i].arg];
        if (!layout)
            continue;
        dnnl_exec_arg_t *arg = &made->args[made->count];
        ls_status status = ls_dnnl(
            dnnl_memory_create(&arg->memory, layout->md, engine->engine, (void *)bindings[i].data),
            "memory object");
        if (status != LS_OK) {
            ls_call_free(made);
            return status;
        }
        arg->arg = ARGUMENTS[bindings[i].arg].arg;
        made->count++;
    }
    *call = made;
    return LS_OK;
}

ls_status ls_call_move(ls_call *call, ls_arg arg, const void *data) {
    for (int i = 0; i < call->count; i++)
        if (call->args[i].arg == ARGUMENTS[arg].arg)
            return ls_dnnl(dnnl_memory_set_data_handle(call->args[i].memory, (void *)data),
                           "memory object");
    return LS_OK;
}

ls_status ls_call_run(const ls_call *call) {
    LS_TRY(ls_dnnl(
        dnnl_primitive_execute(call->primitive, call->engine->stream, call->count, call->args),
        "computation"));
    return ls_dnnl(dnnl_stream_wait(call->engine->stream), "computation");
}

void ls_call_free(ls_call *call) {
    if (!call)
        return;
    for (int i = 0; i < call->count; i++)
        dnnl_memory_destroy(call->args[i].memory);
    ls_free(call);
}
