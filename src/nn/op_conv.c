/* nn: convolutions in 1 to 3 dimensions.  The kernels choose their layouts; weights are packed into
 * theirs once per change of the parameters, gradients of weights are unpacked for the sink. */
#include "nn/plan.h"

enum {
    FORWARD,
    DATA,         /* gradient of the input */
    WEIGHTS,      /* gradient of the weights and the bias */
    PACK_FORWARD, /* weights into the layout of FORWARD, of DATA */
    PACK_DATA,
    UNPACK, /* gradient of the weights into plain layout */
    SRC_IN, /* input into the layout of the kernels, and its gradient back */
    SRC_OUT,
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
} ls_conv;

/* Scratch: the library's, then what lives only within one pass of a slot, in bytes. */
typedef struct ls_conv_scratch {
    size_t library, packed_gradient, plain_gradient, bias_gradient, src_gradient, total;
} ls_conv_scratch;

static size_t take(size_t *total, size_t bytes) {
    size_t start = *total;
    *total += ls_align_bytes(bytes);
    return start;
}

static ls_conv_scratch lay_out(const ls_conv *conv, const ls_prepared *prepared) {
    ls_conv_scratch scratch = {0};
    scratch.library = take(&scratch.total, ls_prepared_scratch(prepared));
    const ls_kernel *weights = prepared->kernel[WEIGHTS], *data = prepared->kernel[DATA];
    if (weights) {
        size_t packed = ls_kernel_bytes(weights, LS_ARG_DIFF_WEIGHTS);
        size_t plain = sizeof(float) * conv->weight_count;
        scratch.packed_gradient = take(&scratch.total, packed);
        scratch.plain_gradient =
            prepared->kernel[UNPACK] ? take(&scratch.total, plain) : scratch.packed_gradient;
        scratch.bias_gradient = take(&scratch.total, ls_kernel_bytes(weights, LS_ARG_DIFF_BIAS));
    }
    if (data)
        scratch.src_gradient = take(&scratch.total, ls_kernel_bytes(data, LS_ARG_DIFF_SRC));
    return scratch;
}

/* ---- packed weights ------------------------------------------------------------------------- */

static ls_packed *find_packed(ls_conv *conv, const ls_layout *layout) {
    for (int i = 0; i < conv->packed_count; i++)
        if (conv->packed[i].layout == layout)
            return &conv->packed[i];
    return NULL;
}

/* Prepares a reorder from the flat array into the layout that `user` wants, if it is another. */
static ls_status prepare_pack(ls_conv *conv, ls_prepared *prepared, int user, int pack) {
    ls_dnnl_engine *engine = conv->net->engine;
    const ls_layout *plain, *wanted = ls_kernel_layout(prepared->kernel[user], LS_ARG_WEIGHTS);
    if (ls_layout_is_plain(wanted))
        return LS_OK;
    LS_TRY(ls_layout_plain(engine, &conv->weights, &plain));
    LS_TRY(ls_reorder(engine, plain, wanted, &prepared->kernel[pack]));
    if (find_packed(conv, wanted))
        return LS_OK;
    LS_REQUIRE(conv->packed_count < MAX_PACKED);
    void *data = ls_calloc(1, ls_layout_bytes(wanted));
    if (!data)
        return LS_ERR_SYSTEM;
    conv->packed[conv->packed_count++] = (ls_packed){wanted, data, 0};
    conv->net->packed_bytes += ls_layout_bytes(wanted);
    return LS_OK;
}

/* The weights as kernel `user` wants them. */
static const void *weights_of(ls_conv *conv, const ls_prepared *prepared, int user, int pack) {
    if (!prepared->kernel[pack])
        return ls_param_data(conv->net, conv->op.first_param);
    return find_packed(conv, ls_kernel_layout(prepared->kernel[user], LS_ARG_WEIGHTS))->data;
}

static ls_status bind_pack(ls_conv *conv, ls_work *work, int user, int pack) {
    if (!work->prepared->kernel[pack])
        return LS_OK;
    unsigned char *library = (unsigned char *)work->scratch + lay_out(conv, work->prepared).library;
    return ls_work_bind_reorder(work, conv->net, pack,
                                ls_param_data(conv->net, conv->op.first_param),
                                weights_of(conv, work->prepared, user, pack), library);
}

/* Packs the weights anew if they have changed. */
static ls_status refresh(ls_conv *conv, const ls_work *work, int user, int pack) {
    if (!work->call[pack])
        return LS_OK;
    ls_packed *packed =
        find_packed(conv, ls_kernel_layout(work->prepared->kernel[user], LS_ARG_WEIGHTS));
    if (packed->version == conv->net->version)
        return LS_OK;
    LS_TRY(ls_work_run(work, pack));
    packed->version = conv->net->version;
    return LS_OK;
}

/* ---- preparing ------------------------------------------------------------------------------ */

/* The kernels that compute, for an input in `layout`, or one of their choice if it is NULL. */
static ls_status make_kernels(ls_conv *conv, const ls_variant *variant, const ls_layout *layout,
                              ls_kernel **kernel) {
    const ls_op *op = &conv->op;
    const ls_value *values = variant->net->values;
    ls_dnnl_engine *engine = conv->net->engine;
    const ls_conv_arrays arrays = {
        ls_shape_dims(&values[op->in[0]].shape, variant->samples), conv->weights,
        ls_shape_dims(&values[op->out[0]].shape, variant->samples), conv->bias, layout};
    for (int i = FORWARD; i <= WEIGHTS; i++) {
        ls_kernel_free(kernel[i]);
        kernel[i] = NULL;
    }
    LS_TRY(ls_conv_forward(engine, &conv->window, &arrays, &kernel[FORWARD]));
    if (!ls_variant_trains(variant, op))
        return LS_OK;
    if (values[op->in[0]].needs_gradient)
        LS_TRY(ls_conv_backward_data(engine, &conv->window, kernel[FORWARD], &kernel[DATA]));
    return ls_conv_backward_weights(engine, &conv->window, kernel[FORWARD], &kernel[WEIGHTS]);
}

static bool all_fast(ls_kernel *const *kernel) {
    for (int i = FORWARD; i <= WEIGHTS; i++)
        if (kernel[i] && ls_kernel_is_reference(kernel[i]))
            return false;
    return true;
}

/* The layout that the forward kernel likes best may leave a backward one without a fast
 * implementation: with few input channels it likes the plain one.  Then blocked ones are tried. */
static ls_status choose_kernels(ls_conv *conv, ls_variant *variant, ls_kernel **kernel) {
    ls_dims src = ls_shape_dims(&variant->net->values[conv->op.in[0]].shape, variant->samples);
    LS_TRY(make_kernels(conv, variant, NULL, kernel));
    for (int block = 16; block >= 8 && !all_fast(kernel); block /= 2) {
        const ls_layout *layout;
        LS_TRY(ls_layout_blocked(conv->net->engine, &src, block, &layout));
        LS_TRY(make_kernels(conv, variant, layout, kernel));
    }
    return all_fast(kernel) ? LS_OK : make_kernels(conv, variant, NULL, kernel);
}

/* Reorders between the layouts of the kernels and those of the network. */
static ls_status add_reorders(ls_conv *conv, ls_variant *variant, ls_prepared *prepared) {
    ls_dnnl_engine *engine = conv->net->engine;
    ls_kernel **kernel = prepared->kernel;
    const ls_layout *in = ls_layout_of(variant, conv->op.in[0]), *plain;
    const ls_layout *src = ls_kernel_layout(kernel[FORWARD], LS_ARG_SRC);
    LS_TRY(prepare_pack(conv, prepared, FORWARD, PACK_FORWARD));
    if (src != in) {
        LS_TRY(ls_reorder(engine, in, src, &kernel[SRC_IN]));
        prepared->workspace = ls_layout_bytes(src);
    }
    if (kernel[DATA]) {
        LS_TRY(prepare_pack(conv, prepared, DATA, PACK_DATA));
        if (src != in)
            LS_TRY(ls_reorder(engine, src, in, &kernel[SRC_OUT]));
    }
    if (!kernel[WEIGHTS])
        return LS_OK;
    const ls_layout *gradient = ls_kernel_layout(kernel[WEIGHTS], LS_ARG_DIFF_WEIGHTS);
    LS_TRY(ls_layout_plain(engine, &conv->weights, &plain));
    return gradient == plain ? LS_OK : ls_reorder(engine, gradient, plain, &kernel[UNPACK]);
}

static ls_status conv_prepare(ls_op *op, ls_variant *variant, ls_prepared *prepared) {
    ls_conv *conv = (ls_conv *)op;
    LS_TRY(choose_kernels(conv, variant, prepared->kernel));
    LS_TRY(add_reorders(conv, variant, prepared));
    variant->layouts[op->out[0]] = ls_kernel_layout(prepared->kernel[FORWARD], LS_ARG_DST);
    prepared->scratch = lay_out(conv, prepared).total;
    return LS_OK;
}

/* ---- binding -------------------------------------------------------------------------------- */

typedef struct ls_conv_places {
    void *library;
    const void *src, *packed_gradient, *plain_gradient, *bias_gradient, *src_gradient;
} ls_conv_places;

static ls_conv_places places_of(const ls_conv *conv, const ls_work *work) {
    ls_conv_scratch scratch = lay_out(conv, work->prepared);
    unsigned char *base = work->scratch;
    return (ls_conv_places){.library = base + scratch.library,
                            .src = work->prepared->kernel[SRC_IN] ? work->workspace : work->in[0],
                            .packed_gradient = base + scratch.packed_gradient,
                            .plain_gradient = base + scratch.plain_gradient,
                            .bias_gradient = base + scratch.bias_gradient,
                            .src_gradient = work->prepared->kernel[SRC_OUT]
                                                ? base + scratch.src_gradient
                                                : (const unsigned char *)work->in_gradient[0]};
}

static ls_status conv_bind(ls_op *op, const ls_net *net, ls_work *work) {
    ls_conv *conv = (ls_conv *)op;
    const ls_prepared *prepared = work->prepared;
    ls_conv_places at = places_of(conv, work);
    const float *bias = conv->bias ? ls_param_data(net, op->first_param + 1) : NULL;
    LS_TRY(bind_pack(conv, work, FORWARD, PACK_FORWARD));
    LS_TRY(bind_pack(conv, work, DATA, PACK_DATA));
    LS_TRY(ls_work_bind_reorder(work, net, SRC_IN, work->in[0], at.src, at.library));
    LS_TRY(ls_work_bind_reorder(work, net, SRC_OUT, at.src_gradient, work->in_gradient[0],
                                at.library));
    LS_TRY(
        ls_work_bind_reorder(work, net, UNPACK, at.packed_gradient, at.plain_gradient, at.library));
    const ls_binding forward[] = {
        {LS_ARG_SRC, at.src},
        {LS_ARG_WEIGHTS, weights_of(conv, prepared, FORWARD, PACK_FORWARD)},
        {LS_ARG_BIAS, bias},
        {LS_ARG_DST, work->out[0]},
        {LS_ARG_SCRATCH, at.library}};
    LS_TRY(ls_work_bind(work, net, FORWARD, forward, 5));
    const ls_binding weights[] = {{LS_ARG_SRC, at.src},
                                  {LS_ARG_DIFF_DST, work->out_gradient[0]},
                                  {LS_ARG_DIFF_WEIGHTS, at.packed_gradient},
                                  {LS_ARG_DIFF_BIAS, at.bias_gradient},
                                  {LS_ARG_SCRATCH, at.library}};
    LS_TRY(ls_work_bind(work, net, WEIGHTS, weights, 5));
    if (!prepared->kernel[DATA])
        return LS_OK;
    const ls_binding data[] = {{LS_ARG_WEIGHTS, weights_of(conv, prepared, DATA, PACK_DATA)},
                               {LS_ARG_DIFF_DST, work->out_gradient[0]},
                               {LS_ARG_DIFF_SRC, at.src_gradient},
                               {LS_ARG_SCRATCH, at.library}};
    return ls_work_bind(work, net, DATA, data, 4);
}

/* ---- passes --------------------------------------------------------------------------------- */

static ls_status conv_forward(ls_op *op, ls_plan *plan, int slot) {
    const ls_work *work = ls_op_work(plan, op, slot);
    LS_TRY(refresh((ls_conv *)op, work, FORWARD, PACK_FORWARD));
    LS_TRY(ls_work_run(work, SRC_IN));
    return ls_work_run(work, FORWARD);
}

static ls_status conv_backward(ls_op *op, ls_plan *plan, int slot) {
    ls_conv *conv = (ls_conv *)op;
    const ls_work *work = ls_op_work(plan, op, slot);
    ls_conv_places at = places_of(conv, work);
    LS_TRY(ls_work_run(work, WEIGHTS));
    LS_TRY(ls_work_run(work, UNPACK));
    if (conv->bias)
        ls_plan_emit(plan, slot, op->first_param + 1, 0, (size_t)conv->filters, at.bias_gradient);
    ls_plan_emit(plan, slot, op->first_param, 0, conv->weight_count, at.plain_gradient);
    if (!work->call[DATA])
        return LS_OK;
    LS_TRY(refresh(conv, work, DATA, PACK_DATA));
    LS_TRY(ls_work_run(work, DATA));
    return ls_work_run(work, SRC_OUT);
}

static void conv_clear(ls_op *op) {
    ls_conv *conv = (ls_conv *)op;
    for (int i = 0; i < conv->packed_count; i++)
        ls_free(conv->packed[i].data);
}

static const ls_op_class CONV = {.prepare = conv_prepare,
                                 .bind = conv_bind,
                                 .forward = conv_forward,
                                 .backward = conv_backward,
                                 .clear = conv_clear};

/* ---- building ------------------------------------------------------------------------------- */

static ls_status check(const ls_builder *builder, const ls_layer_spec *layer, const ls_shape *in) {
    const ls_conv_spec *spec = &layer->conv;
    char text[LS_SHAPE_TEXT];
    if (spec->filters < 1 || spec->groups < 1)
        return ls_layer_fail(builder, layer, "has %lld filters in %lld groups, needs at least 1",
                             (long long)spec->filters, (long long)spec->groups);
    if (spec->filters % spec->groups != 0 || in->size[0] % spec->groups != 0)
        return ls_layer_fail(builder, layer,
                             "%lld groups divide not both its %lld filters and the "
                             "channels of its input %s",
                             (long long)spec->groups, (long long)spec->filters,
                             ls_shape_text(in, text));
    return LS_OK;
}

/* Sets the weights' sizes for the kernels, and as the user sees them; gives the latter's number. */
static int weight_dims(ls_conv *conv, const ls_conv_spec *spec, const ls_shape *in,
                       int64_t shape[LS_MAX_DIMS]) {
    int64_t inputs = in->size[0] / spec->groups;
    ls_dims *dims = &conv->weights;
    if (spec->groups > 1)
        dims->size[dims->n++] = spec->groups;
    dims->size[dims->n++] = spec->filters / spec->groups;
    dims->size[dims->n++] = inputs;
    for (int i = 0; i < conv->window.ndims; i++)
        dims->size[dims->n++] = conv->window.kernel[i];
    int ndims = in->ndims - 1;
    shape[0] = spec->filters;
    shape[1] = inputs;
    for (int i = 0; i < ndims; i++)
        shape[2 + i] = conv->window.kernel[conv->window.ndims - ndims + i];
    return 2 + ndims;
}

static ls_status conv_params(ls_builder *builder, ls_conv *conv, int ndims,
                             const int64_t shape[LS_MAX_DIMS]) {
    double taps = 1;
    for (int i = 2; i < ndims; i++)
        taps *= (double)shape[i];
    ls_start start =
        ls_weight_start(builder->init, (double)shape[1] * taps, (double)shape[0] * taps);
    LS_TRY(ls_builder_param(builder, &conv->op, "weight", LS_PARAM_WEIGHT, ndims, shape, start));
    conv->weight_count = (size_t)((double)shape[0] * (double)shape[1] * taps);
    const ls_shape *out = ls_builder_shape(builder, conv->op.out[0]);
    builder->net->flops += 2.0 * (double)conv->weight_count * (double)ls_shape_spatial(out);
    if (!conv->bias)
        return LS_OK;
    return ls_builder_param(builder, &conv->op, "bias", LS_PARAM_BIAS, 1, shape,
                            (ls_start){LS_START_CONSTANT, 0});
}

ls_status ls_conv_add(ls_builder *builder, const ls_layer_spec *layer, int in, int *out) {
    const ls_conv_spec *spec = &layer->conv;
    const ls_shape from = *ls_builder_shape(builder, in);
    const ls_window_spec window = {spec->kernel, spec->stride, spec->padding, spec->dilation};
    ls_window made;
    ls_shape shape;
    int64_t weight[LS_MAX_DIMS];
    ls_conv *conv;
    LS_TRY(ls_window_make(builder, layer, &window, &from, &made, &shape));
    LS_TRY(check(builder, layer, &from));
    shape.size[0] = spec->filters;
    LS_TRY(LS_NEW(conv, 1));
    conv->op =
        (ls_op){.class = &CONV, .ins = 1, .outs = 1, .keeps_input = true, .keeps_workspace = true};
    conv->net = builder->net;
    conv->window = made;
    conv->filters = spec->filters;
    conv->bias = spec->bias;
    LS_TRY(ls_builder_append(builder, &conv->op, &in, &shape));
    int ndims = weight_dims(conv, spec, &from, weight);
    *out = conv->op.out[0];
    return conv_params(builder, conv, ndims, weight);
}
