/* nn: maximum and average pooling in 1 to 3 dimensions, and the average over everything.  Maxima
 * are loops of our own where they can: oneDNN 2's are at 2 GB/s with AVX2. */
#include "nn/plan.h"
#include "nn/pool_loops.h"

typedef struct ls_pool {
    ls_op op;
    ls_pooling pooling;
    ls_window window;
} ls_pool;

/* True where our loops do it, which the layout of the input decides. */
static bool by_loops(const ls_pool *pool, const ls_variant *variant, ls_pool_shape *shape) {
    const ls_dims dst =
        ls_shape_dims(&variant->net->values[pool->op.out[0]].shape, variant->samples);
    return pool->pooling == LS_POOL_MAX &&
           ls_pool_shape_make(&pool->window, ls_layout_of(variant, pool->op.in[0]), &dst, shape);
}

static ls_status pool_prepare(ls_op *op, ls_variant *variant, ls_prepared *prepared) {
    const ls_pool *pool = (const ls_pool *)op;
    const ls_net *net = variant->net;
    ls_kernel **kernel = prepared->kernel;
    bool train = ls_variant_trains(variant, op);
    ls_dims dst = ls_shape_dims(&net->values[op->out[0]].shape, variant->samples);
    const ls_layout *src = ls_layout_of(variant, op->in[0]);
    ls_pool_shape shape;
    if (by_loops(pool, variant, &shape)) {
        prepared->workspace = train ? ls_pool_outputs(&shape) : 0;
        return ls_layout_like(net->engine, src, &dst, &variant->layouts[op->out[0]]);
    }
    LS_TRY(ls_pool_forward(net->engine, pool->pooling, &pool->window, src, &dst, train,
                           &kernel[LS_FORWARD]));
    variant->layouts[op->out[0]] = ls_kernel_layout(kernel[LS_FORWARD], LS_ARG_DST);
    if (train) {
        LS_TRY(ls_pool_backward(net->engine, pool->pooling, &pool->window, kernel[LS_FORWARD],
                                &kernel[LS_BACKWARD]));
        prepared->workspace = ls_kernel_bytes(kernel[LS_FORWARD], LS_ARG_WORKSPACE);
    }
    prepared->scratch = ls_prepared_scratch(prepared);
    return LS_OK;
}

static ls_status pool_bind(ls_op *op, const ls_net *net, ls_work *work) {
    (void)op;
    const ls_binding forward[] = {{LS_ARG_SRC, work->in[0]},
                                  {LS_ARG_DST, work->out[0]},
                                  {LS_ARG_WORKSPACE, work->workspace},
                                  {LS_ARG_SCRATCH, work->scratch}};
    const ls_binding backward[] = {{LS_ARG_DIFF_DST, work->out_gradient[0]},
                                   {LS_ARG_DIFF_SRC, work->in_gradient[0]},
                                   {LS_ARG_WORKSPACE, work->workspace},
                                   {LS_ARG_SCRATCH, work->scratch}};
    LS_TRY(ls_work_bind(work, net, LS_FORWARD, forward, 4));
    return ls_work_bind(work, net, LS_BACKWARD, backward, 4);
}

static ls_status pool_forward(ls_op *op, ls_plan *plan, int slot) {
    const ls_work *work = ls_op_work(plan, op, slot);
    ls_pool_shape shape;
    if (!by_loops((const ls_pool *)op, plan->slots[slot].variant, &shape))
        return ls_work_run(work, LS_FORWARD);
    ls_pool_max(&shape, work->in[0], work->out[0], work->workspace);
    return LS_OK;
}

static ls_status pool_backward(ls_op *op, ls_plan *plan, int slot) {
    const ls_work *work = ls_op_work(plan, op, slot);
    ls_pool_shape shape;
    if (!by_loops((const ls_pool *)op, plan->slots[slot].variant, &shape))
        return ls_work_run(work, LS_BACKWARD);
    if (work->in_gradient[0])
        ls_pool_max_gradient(&shape, work->workspace, work->out_gradient[0], work->in_gradient[0]);
    return LS_OK;
}

static void name_kernels(const ls_prepared *prepared, ls_pass_work *forward,
                         ls_pass_work *backward) {
    bool library = prepared->kernel[LS_FORWARD] != NULL;
    forward->kernel[0] = library ? ls_prepared_name(prepared, LS_FORWARD) : LS_OWN_LOOPS;
    backward->kernel[0] = library ? ls_prepared_name(prepared, LS_BACKWARD) : LS_OWN_LOOPS;
}

static const ls_op_class POOL = {.kernels = LS_PASSES,
                                 .prepare = pool_prepare,
                                 .bind = pool_bind,
                                 .forward = pool_forward,
                                 .backward = pool_backward,
                                 .name_kernels = name_kernels};

static ls_status append(ls_builder *builder, ls_pooling pooling, const ls_window *window, int in,
                        const ls_shape *shape, int *out) {
    ls_pool *pool;
    LS_TRY(LS_NEW(pool, 1));
    pool->op = (ls_op){.class = &POOL, .ins = 1, .outs = 1, .keeps_workspace = true};
    pool->pooling = pooling;
    pool->window = *window;
    LS_TRY(ls_builder_append(builder, &pool->op, &in, shape));
    *out = pool->op.out[0];
    return LS_OK;
}

static ls_status make_window(const ls_builder *builder, const ls_layer_spec *layer, int in,
                             ls_window *window, ls_shape *shape) {
    const ls_pool_spec *spec = &layer->pool;
    const ls_window_spec wanted = {.kernel = spec->size,
                                   .stride = spec->stride.count ? spec->stride : spec->size,
                                   .padding = spec->padding};
    LS_TRY(ls_window_make(builder, layer, &wanted, ls_builder_shape(builder, in), window, shape));
    for (int i = 0; i < window->ndims; i++)
        if (window->padding[i] >= window->kernel[i])
            return ls_layer_fail(builder, layer,
                                 "padding %lld must be less than the size %lld: a "
                                 "window would see nothing else",
                                 (long long)window->padding[i], (long long)window->kernel[i]);
    return LS_OK;
}

ls_status ls_avg_pool_add(ls_builder *builder, const ls_layer_spec *layer, int in, int *out) {
    ls_window window;
    ls_shape shape;
    LS_TRY(make_window(builder, layer, in, &window, &shape));
    return append(builder, LS_POOL_AVERAGE, &window, in, &shape, out);
}

ls_status ls_max_pool_add(ls_builder *builder, const ls_layer_spec *layer, int in, int *out) {
    ls_window window;
    ls_shape shape;
    LS_TRY(make_window(builder, layer, in, &window, &shape));
    if (!ls_activation_can_wait(builder, in))
        return append(builder, LS_POOL_MAX, &window, in, &shape, out);
    ls_op *activation = ls_builder_take_last(builder);
    ls_status status = append(builder, LS_POOL_MAX, &window, activation->in[0], &shape, &in);
    if (status != LS_OK) {
        ls_op_free(activation);
        return status;
    }
    LS_TRY(ls_builder_append(builder, activation, &in, &shape));
    *out = activation->out[0];
    return LS_OK;
}

ls_status ls_global_avg_pool_add(ls_builder *builder, const ls_layer_spec *layer, int in,
                                 int *out) {
    const ls_shape shape = *ls_builder_shape(builder, in);
    ls_window_spec whole = {.kernel = {.count = shape.ndims - 1}};
    ls_window window;
    ls_shape pooled;
    const ls_shape flat = {1, {shape.size[0]}};
    for (int i = 1; i < shape.ndims; i++)
        whole.kernel.size[i - 1] = shape.size[i];
    LS_TRY(ls_window_make(builder, layer, &whole, &shape, &window, &pooled));
    LS_TRY(append(builder, LS_POOL_AVERAGE, &window, in, &pooled, &in));
    return ls_plain_add(builder, in, &flat, out);
}
