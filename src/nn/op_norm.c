/* nn: batch norm (Ioffe and Szegedy 2015) over a slice, with the ReLU that follows it.  In training
 * by the slice's own mean and biased variance, otherwise by the running ones. */
#include "nn/plan.h"

enum { SCALE, SHIFT };

typedef struct ls_norm {
    ls_op op;
    int64_t channels;
    float epsilon;
    bool relu;
    size_t statistics; /* number of the running mean among the untrained parameters */
    size_t places[2];  /* of the slice's mean and variance in ls_work.statistics */
} ls_norm;

/* Scratch: the library's, and the gradients of scale and shift. */
typedef struct ls_norm_scratch {
    size_t scale, shift, library, total; /* bytes */
} ls_norm_scratch;

static ls_norm_scratch lay_out(const ls_norm *norm, const ls_prepared *prepared) {
    size_t channels = ls_align_bytes(sizeof(float) * (size_t)norm->channels);
    return (ls_norm_scratch){0, channels, 2 * channels,
                             2 * channels + ls_prepared_scratch(prepared)};
}

/* A flat array (N, C) is an (N, C, 1, 1) with C the fastest: there are fast kernels for that. */
static ls_status norm_layout(const ls_norm *norm, const ls_variant *variant,
                             const ls_layout **layout) {
    int value = norm->op.in[0];
    if (variant->net->values[value].shape.ndims > 1) {
        *layout = ls_layout_of(variant, value);
        return LS_OK;
    }
    const ls_dims dims = {4, {variant->samples, norm->channels, 1, 1}};
    ls_compute_type type = variant->net->values[value].type;
    return ls_layout_channels_last(variant->net->engine, type, &dims, layout);
}

static ls_status norm_prepare(ls_op *op, ls_variant *variant, ls_prepared *prepared) {
    const ls_norm *norm = (const ls_norm *)op;
    ls_dnnl_engine *engine = variant->net->engine;
    ls_kernel **kernel = prepared->kernel;
    bool train = variant->mode == LS_MODE_TRAIN;
    const ls_layout *data;
    LS_TRY(norm_layout(norm, variant, &data));
    LS_TRY(ls_norm_forward(engine, data, norm->epsilon, train, norm->relu, &kernel[LS_FORWARD]));
    if (train)
        LS_TRY(ls_norm_backward(engine, norm->epsilon, norm->relu, kernel[LS_FORWARD],
                                &kernel[LS_BACKWARD]));
    variant->layouts[op->out[0]] = ls_layout_of(variant, op->in[0]);
    prepared->forward = train ? LS_OWN : LS_IN_PLACE;
    prepared->backward[0] = LS_IN_PLACE;
    prepared->workspace = train ? ls_kernel_bytes(kernel[LS_FORWARD], LS_ARG_WORKSPACE) : 0;
    prepared->scratch = lay_out(norm, prepared).total;
    return LS_OK;
}

static ls_status norm_bind(ls_op *op, const ls_net *net, ls_work *work) {
    const ls_norm *norm = (const ls_norm *)op;
    const ls_prepared *prepared = work->prepared;
    ls_norm_scratch scratch = lay_out(norm, prepared);
    unsigned char *base = work->scratch;
    bool train = prepared->kernel[LS_BACKWARD] != NULL;
    size_t running = net->trained_count + norm->statistics;
    const float *mean = train ? work->statistics + norm->places[0] : ls_param_data(net, running);
    const float *variance =
        train ? work->statistics + norm->places[1] : ls_param_data(net, running + 1);
    const float *scale = ls_param_data(net, op->first_param + SCALE);
    const float *shift = ls_param_data(net, op->first_param + SHIFT);
    const ls_binding forward[] = {{LS_ARG_SRC, work->in[0]},
                                  {LS_ARG_DST, work->out[0]},
                                  {LS_ARG_MEAN, mean},
                                  {LS_ARG_VARIANCE, variance},
                                  {LS_ARG_SCALE, scale},
                                  {LS_ARG_SHIFT, shift},
                                  {LS_ARG_WORKSPACE, work->workspace},
                                  {LS_ARG_SCRATCH, base + scratch.library}};
    LS_TRY(ls_work_bind(work, net, LS_FORWARD, forward, sizeof forward / sizeof *forward));
    if (!train)
        return LS_OK;
    /* the first layer has no gradient of its input to give: it goes where that of its output is */
    void *in_gradient = work->in_gradient[0] ? work->in_gradient[0] : work->out_gradient[0];
    const ls_binding backward[] = {{LS_ARG_SRC, work->in[0]},
                                   {LS_ARG_MEAN, mean},
                                   {LS_ARG_VARIANCE, variance},
                                   {LS_ARG_SCALE, scale},
                                   {LS_ARG_SHIFT, shift},
                                   {LS_ARG_DIFF_DST, work->out_gradient[0]},
                                   {LS_ARG_DIFF_SRC, in_gradient},
                                   {LS_ARG_DIFF_SCALE, base + scratch.scale},
                                   {LS_ARG_DIFF_SHIFT, base + scratch.shift},
                                   {LS_ARG_WORKSPACE, work->workspace},
                                   {LS_ARG_SCRATCH, base + scratch.library}};
    return ls_work_bind(work, net, LS_BACKWARD, backward, sizeof backward / sizeof *backward);
}

static ls_status norm_emit(ls_op *op, ls_plan *plan, int slot) {
    const ls_norm *norm = (const ls_norm *)op;
    const ls_work *work = ls_op_work(plan, op, slot);
    ls_norm_scratch scratch = lay_out(norm, work->prepared);
    const unsigned char *base = work->scratch;
    size_t channels = (size_t)norm->channels;
    ls_plan_emit(plan, slot, op->first_param + SHIFT, 0, channels,
                 (const float *)(base + scratch.shift));
    ls_plan_emit(plan, slot, op->first_param + SCALE, 0, channels,
                 (const float *)(base + scratch.scale));
    return LS_OK;
}

static const ls_op_class NORM = {.kernels = LS_PASSES,
                                 .prepare = norm_prepare,
                                 .bind = norm_bind,
                                 .forward = ls_op_run_forward,
                                 .gradient = ls_op_run_backward,
                                 .emit = norm_emit};

bool ls_norm_fuse_relu(const ls_builder *builder, int value) {
    ls_norm *norm = (ls_norm *)ls_builder_producer(builder, &NORM, value);
    if (!norm || norm->relu)
        return false;
    norm->relu = true;
    return true;
}

ls_status ls_batch_norm_add(ls_builder *builder, const ls_layer_spec *layer, int in, int *out) {
    const ls_batch_norm_spec *spec = &layer->batch_norm;
    const ls_shape shape = *ls_builder_shape(builder, in);
    ls_norm *norm;
    if (!(spec->epsilon > 0) || !(spec->momentum >= 0 && spec->momentum <= 1))
        return ls_layer_fail(builder, layer,
                             "needs epsilon > 0 and 0 <= momentum <= 1, but has "
                             "%g and %g",
                             spec->epsilon, spec->momentum);
    LS_TRY(LS_NEW(norm, 1));
    norm->op =
        (ls_op){.class = &NORM, .ins = 1, .outs = 1, .keeps_input = true, .keeps_workspace = true};
    norm->channels = shape.size[0];
    norm->epsilon = (float)spec->epsilon;
    LS_TRY(ls_builder_append(builder, &norm->op, &in, &shape));
    ls_net *net = builder->net;
    if (net->norm_layer == NULL || ls_shape_spatial(&shape) < net->norm_values) {
        net->norm_layer = norm->op.layer;
        net->norm_values = ls_shape_spatial(&shape);
    }
    double gamma = spec->zero_scale ? 0 : 1;
    LS_TRY(ls_builder_param(builder, &norm->op, "scale", LS_PARAM_SCALE, 1, shape.size,
                            (ls_start){LS_START_CONSTANT, gamma}));
    LS_TRY(ls_builder_param(builder, &norm->op, "shift", LS_PARAM_SHIFT, 1, shape.size,
                            (ls_start){LS_START_CONSTANT, 0}));
    LS_TRY(ls_builder_statistics(builder, &shape, spec->momentum, &norm->statistics, norm->places));
    *out = norm->op.out[0];
    return LS_OK;
}
