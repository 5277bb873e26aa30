/* nn: convolutions in 1 to 3 dimensions.  The kernels choose their layouts; weights are packed into
 * theirs once per change of the parameters, gradients of weights are unpacked for the sink. */
#include "nn/conv_loops.h"
#include "nn/plan.h"

enum {
    FORWARD,
    DATA,    /* gradient of the input */
    WEIGHTS, /* gradient of the weights and the bias */
    /* reorders: */
    PACK_FORWARD, /* weights for FORWARD, for DATA */
    PACK_DATA,
    UNPACK,      /* gradient of the weights into plain layout */
    SRC_FORWARD, /* input for FORWARD, for WEIGHTS */
    SRC_WEIGHTS,
    DST_DATA, /* gradient of the output for DATA, for WEIGHTS */
    DST_WEIGHTS,
    SRC_GRADIENT, /* gradient of the input, as DATA gives it, into the network's layout */
    KERNELS,
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

/* Scratch: the library's, then what lives only within one pass of a slot, in bytes.  The gradient
 * of the input has its own (data, dst_data, src_gradient): both gradients may be made at a time. */
typedef struct ls_conv_scratch {
    size_t library /* 0: at the start */, src, dst_weights;
    size_t packed_gradient, plain_gradient, bias_gradient;
    size_t data, dst_data, src_gradient, total;
} ls_conv_scratch;

static size_t take(size_t *total, size_t bytes) {
    size_t start = *total;
    *total += ls_align_bytes(bytes);
    return start;
}

/* Of a kernel's argument; kernels that are not there need no room. */
static size_t bytes_of(const ls_prepared *prepared, int which, ls_arg arg) {
    return prepared->kernel[which] ? ls_kernel_bytes(prepared->kernel[which], arg) : 0;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static ls_conv_scratch lay_out(const ls_conv *conv, const ls_prepared *prepared) {
    ls_conv_scratch scratch = {0};
    const ls_kernel *weights = prepared->kernel[WEIGHTS];
    scratch.library = take(&scratch.total, ls_prepared_scratch(prepared));
    scratch.src = take(&scratch.total, larger(bytes_of(prepared, SRC_FORWARD, LS_ARG_DST),
                                              bytes_of(prepared, SRC_WEIGHTS, LS_ARG_DST)));
    scratch.dst_weights = take(&scratch.total, bytes_of(prepared, DST_WEIGHTS, LS_ARG_DST));
    scratch.data =
        take(&scratch.total, larger(bytes_of(prepared, DATA, LS_ARG_SCRATCH),
                                    larger(bytes_of(prepared, DST_DATA, LS_ARG_SCRATCH),
                                           bytes_of(prepared, SRC_GRADIENT, LS_ARG_SCRATCH))));
    scratch.dst_data = take(&scratch.total, bytes_of(prepared, DST_DATA, LS_ARG_DST));
    if (prepared->kernel[SRC_GRADIENT])
        scratch.src_gradient = take(&scratch.total, bytes_of(prepared, DATA, LS_ARG_DIFF_SRC));
    if (prepared->loops) {
        scratch.plain_gradient = take(&scratch.total, sizeof(float) * conv->weight_count);
        scratch.bias_gradient = take(&scratch.total, sizeof(float) * (size_t)conv->filters);
    }
    if (!weights)
        return scratch;
    scratch.packed_gradient = take(&scratch.total, ls_kernel_bytes(weights, LS_ARG_DIFF_WEIGHTS));
    scratch.plain_gradient = prepared->kernel[UNPACK]
                                 ? take(&scratch.total, sizeof(float) * conv->weight_count)
                                 : scratch.packed_gradient;
    scratch.bias_gradient = take(&scratch.total, ls_kernel_bytes(weights, LS_ARG_DIFF_BIAS));
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
    LS_TRY(ls_layout_plain(engine, LS_COMPUTE_FLOAT32, &conv->weights, &plain));
    if (wanted == plain)
        return LS_OK;
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
    return ls_work_bind_reorder(work, conv->net, pack,
                                ls_param_data(conv->net, conv->op.first_param),
                                weights_of(conv, work->prepared, user, pack), work->scratch);
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

typedef ls_status ls_make_backward(ls_dnnl_engine *engine, const ls_window *window,
                                   const ls_kernel *forward, bool free_choice, ls_kernel **kernel);

/* The layouts that the forward kernel likes best may leave a backward one without a fast
 * implementation (with few input channels it likes the plain one): then that one chooses too. */
static ls_status choose_layouts(ls_conv *conv, ls_kernel **kernel, int which,
                                ls_make_backward *make) {
    ls_kernel *choosy;
    if (!ls_kernel_is_reference(kernel[which]))
        return LS_OK;
    LS_TRY(make(conv->net->engine, &conv->window, kernel[FORWARD], true, &choosy));
    ls_kernel_free(kernel[which]);
    kernel[which] = choosy;
    return LS_OK;
}

/* A reorder if the layouts differ. */
static ls_status adapt(ls_conv *conv, const ls_layout *from, const ls_layout *to,
                       ls_kernel **kernel) {
    return from == to ? LS_OK : ls_reorder(conv->net->engine, from, to, kernel);
}

static ls_status prepare_data(ls_conv *conv, const ls_variant *variant, ls_prepared *prepared) {
    ls_kernel **kernel = prepared->kernel;
    const ls_layout *in = ls_layout_of(variant, conv->op.in[0]);
    const ls_layout *out = ls_layout_of(variant, conv->op.out[0]);
    LS_TRY(ls_conv_backward_data(conv->net->engine, &conv->window, kernel[FORWARD], false,
                                 &kernel[DATA]));
    LS_TRY(choose_layouts(conv, kernel, DATA, ls_conv_backward_data));
    LS_TRY(adapt(conv, out, ls_kernel_layout(kernel[DATA], LS_ARG_DIFF_DST), &kernel[DST_DATA]));
    LS_TRY(adapt(conv, ls_kernel_layout(kernel[DATA], LS_ARG_DIFF_SRC), in, &kernel[SRC_GRADIENT]));
    return prepare_pack(conv, prepared, DATA, PACK_DATA);
}

/* True where our loops can do the gradient of the weights. */
static bool by_loops(const ls_conv *conv, const ls_variant *variant, ls_conv_shape *shape) {
    return ls_conv_shape_make(&conv->window, &conv->weights, ls_layout_of(variant, conv->op.in[0]),
                              ls_layout_of(variant, conv->op.out[0]), shape);
}

static ls_status prepare_weights(ls_conv *conv, const ls_variant *variant, ls_prepared *prepared) {
    ls_dnnl_engine *engine = conv->net->engine;
    ls_kernel **kernel = prepared->kernel;
    const ls_layout *in = ls_layout_of(variant, conv->op.in[0]), *plain;
    const ls_layout *out = ls_layout_of(variant, conv->op.out[0]);
    ls_conv_shape shape;
    LS_TRY(
        ls_conv_backward_weights(engine, &conv->window, kernel[FORWARD], false, &kernel[WEIGHTS]));
    if (by_loops(conv, variant, &shape) &&
        ls_conv_gradient_pays(&shape, !ls_kernel_is_reference(kernel[WEIGHTS]))) {
        ls_kernel_free(kernel[WEIGHTS]);
        kernel[WEIGHTS] = NULL;
        prepared->loops = ls_conv_gradient_scratch(&shape);
        return LS_OK;
    }
    LS_TRY(choose_layouts(conv, kernel, WEIGHTS, ls_conv_backward_weights));
    const ls_kernel *weights = kernel[WEIGHTS];
    LS_TRY(adapt(conv, in, ls_kernel_layout(weights, LS_ARG_SRC), &kernel[SRC_WEIGHTS]));
    LS_TRY(adapt(conv, out, ls_kernel_layout(weights, LS_ARG_DIFF_DST), &kernel[DST_WEIGHTS]));
    LS_TRY(ls_layout_plain(engine, LS_COMPUTE_FLOAT32, &conv->weights, &plain));
    return adapt(conv, ls_kernel_layout(weights, LS_ARG_DIFF_WEIGHTS), plain, &kernel[UNPACK]);
}

static ls_status conv_prepare(ls_op *op, ls_variant *variant, ls_prepared *prepared) {
    ls_conv *conv = (ls_conv *)op;
    const ls_value *values = variant->net->values;
    ls_kernel **kernel = prepared->kernel;
    ls_dims src = ls_shape_dims(&values[op->in[0]].shape, variant->samples);
    ls_dims dst = ls_shape_dims(&values[op->out[0]].shape, variant->samples);
    LS_TRY(ls_conv_forward(conv->net->engine, values[op->in[0]].type, &conv->window, &src,
                           &conv->weights, conv->bias, &dst, &kernel[FORWARD]));
    LS_TRY(adapt(conv, ls_layout_of(variant, op->in[0]),
                 ls_kernel_layout(kernel[FORWARD], LS_ARG_SRC), &kernel[SRC_FORWARD]));
    LS_TRY(prepare_pack(conv, prepared, FORWARD, PACK_FORWARD));
    variant->layouts[op->out[0]] = ls_kernel_layout(kernel[FORWARD], LS_ARG_DST);
    if (ls_variant_trains(variant, op)) {
        LS_TRY(prepare_weights(conv, variant, prepared));
        if (values[op->in[0]].needs_gradient)
            LS_TRY(prepare_data(conv, variant, prepared));
    }
    prepared->scratch = lay_out(conv, prepared).total;
    return LS_OK;
}

/* ---- binding -------------------------------------------------------------------------------- */

/* The reorder `which` from `from` into scratch, if there is one, with the library's scratch at
 * `library`; gives where the array is then. */
static ls_status bind_adapted(ls_work *work, const ls_net *net, int which, const void *from,
                              size_t library, size_t place, const void **data) {
    unsigned char *scratch = work->scratch;
    *data = work->prepared->kernel[which] ? scratch + place : from;
    return ls_work_bind_reorder(work, net, which, from, *data, scratch + library);
}

static ls_status bind_forward(ls_conv *conv, const ls_net *net, ls_work *work) {
    const ls_conv_scratch scratch = lay_out(conv, work->prepared);
    const void *src;
    LS_TRY(bind_pack(conv, work, FORWARD, PACK_FORWARD));
    LS_TRY(bind_adapted(work, net, SRC_FORWARD, work->in[0], 0, scratch.src, &src));
    const ls_binding bindings[] = {
        {LS_ARG_SRC, src},
        {LS_ARG_WEIGHTS, weights_of(conv, work->prepared, FORWARD, PACK_FORWARD)},
        {LS_ARG_BIAS, conv->bias ? ls_param_data(net, conv->op.first_param + 1) : NULL},
        {LS_ARG_DST, work->out[0]},
        {LS_ARG_SCRATCH, work->scratch}};
    return ls_work_bind(work, net, FORWARD, bindings, 5);
}

static ls_status bind_weights(const ls_conv *conv, const ls_net *net, ls_work *work) {
    const ls_conv_scratch scratch = lay_out(conv, work->prepared);
    unsigned char *base = work->scratch;
    const void *src, *dst;
    LS_TRY(bind_adapted(work, net, SRC_WEIGHTS, work->in[0], 0, scratch.src, &src));
    LS_TRY(
        bind_adapted(work, net, DST_WEIGHTS, work->out_gradient[0], 0, scratch.dst_weights, &dst));
    LS_TRY(ls_work_bind_reorder(work, net, UNPACK, base + scratch.packed_gradient,
                                base + scratch.plain_gradient, base));
    const ls_binding bindings[] = {{LS_ARG_SRC, src},
                                   {LS_ARG_DIFF_DST, dst},
                                   {LS_ARG_DIFF_WEIGHTS, base + scratch.packed_gradient},
                                   {LS_ARG_DIFF_BIAS, base + scratch.bias_gradient},
                                   {LS_ARG_SCRATCH, base}};
    return ls_work_bind(work, net, WEIGHTS, bindings, 5);
}

static ls_status bind_data(ls_conv *conv, const ls_net *net, ls_work *work) {
    const ls_conv_scratch scratch = lay_out(conv, work->prepared);
    unsigned char *base = work->scratch;
    bool adapted = work->prepared->kernel[SRC_GRADIENT] != NULL;
    const void *gradient = adapted ? base + scratch.src_gradient : work->in_gradient[0];
    const void *dst;
    LS_TRY(bind_pack(conv, work, DATA, PACK_DATA));
    LS_TRY(bind_adapted(work, net, DST_DATA, work->out_gradient[0], scratch.data, scratch.dst_data,
                        &dst));
    LS_TRY(ls_work_bind_reorder(work, net, SRC_GRADIENT, gradient, work->in_gradient[0],
                                base + scratch.data));
    const ls_binding bindings[] = {
        {LS_ARG_WEIGHTS, weights_of(conv, work->prepared, DATA, PACK_DATA)},
        {LS_ARG_DIFF_DST, dst},
        {LS_ARG_DIFF_SRC, gradient},
        {LS_ARG_SCRATCH, base + scratch.data}};
    return ls_work_bind(work, net, DATA, bindings, 4);
}

static ls_status conv_bind(ls_op *op, const ls_net *net, ls_work *work) {
    ls_conv *conv = (ls_conv *)op;
    LS_TRY(bind_forward(conv, net, work));
    if (work->prepared->kernel[WEIGHTS])
        LS_TRY(bind_weights(conv, net, work));
    return work->prepared->kernel[DATA] ? bind_data(conv, net, work) : LS_OK;
}

/* ---- passes --------------------------------------------------------------------------------- */

static ls_status conv_refresh(ls_op *op, ls_plan *plan, int slot) {
    const ls_work *work = ls_op_work(plan, op, slot);
    LS_TRY(refresh((ls_conv *)op, work, FORWARD, PACK_FORWARD));
    return refresh((ls_conv *)op, work, DATA, PACK_DATA);
}

static ls_status conv_forward(ls_op *op, ls_plan *plan, int slot) {
    const ls_work *work = ls_op_work(plan, op, slot);
    LS_TRY(ls_work_run(work, SRC_FORWARD));
    return ls_work_run(work, FORWARD);
}

static ls_status conv_gradient(ls_op *op, ls_plan *plan, int slot) {
    const ls_conv *conv = (const ls_conv *)op;
    const ls_work *work = ls_op_work(plan, op, slot);
    unsigned char *base = work->scratch;
    ls_conv_shape shape;
    if (work->prepared->loops) {
        const ls_conv_scratch scratch = lay_out(conv, work->prepared);
        LS_REQUIRE(by_loops(conv, plan->slots[slot].variant, &shape));
        ls_conv_gradient(&shape, work->in[0], work->out_gradient[0], work->loops, work->loops_step,
                         (float *)(base + scratch.plain_gradient),
                         conv->bias ? (float *)(base + scratch.bias_gradient) : NULL);
        return LS_OK;
    }
    LS_TRY(ls_work_run(work, SRC_WEIGHTS));
    LS_TRY(ls_work_run(work, DST_WEIGHTS));
    LS_TRY(ls_work_run(work, WEIGHTS));
    return ls_work_run(work, UNPACK);
}

static ls_status conv_emit(ls_op *op, ls_plan *plan, int slot) {
    const ls_conv *conv = (const ls_conv *)op;
    const ls_work *work = ls_op_work(plan, op, slot);
    const ls_conv_scratch scratch = lay_out(conv, work->prepared);
    const unsigned char *base = work->scratch;
    if (conv->bias)
        ls_plan_emit(plan, slot, op->first_param + 1, 0, (size_t)conv->filters,
                     (const float *)(base + scratch.bias_gradient));
    ls_plan_emit(plan, slot, op->first_param, 0, conv->weight_count,
                 (const float *)(base + scratch.plain_gradient));
    return LS_OK;
}

static ls_status conv_backward(ls_op *op, ls_plan *plan, int slot) {
    const ls_work *work = ls_op_work(plan, op, slot);
    LS_TRY(ls_work_run(work, DST_DATA));
    LS_TRY(ls_work_run(work, DATA));
    return ls_work_run(work, SRC_GRADIENT);
}

static void name_kernels(const ls_prepared *prepared, ls_pass_work *forward,
                         ls_pass_work *backward) {
    forward->kernel[0] = ls_prepared_name(prepared, FORWARD);
    backward->kernel[0] = prepared->loops ? LS_OWN_LOOPS : ls_prepared_name(prepared, WEIGHTS);
    backward->kernel[1] = ls_prepared_name(prepared, DATA);
}

static void conv_clear(ls_op *op) {
    ls_conv *conv = (ls_conv *)op;
    for (int i = 0; i < conv->packed_count; i++)
        ls_free(conv->packed[i].data);
}

static const ls_op_class CONV = {.kernels = KERNELS,
                                 .prepare = conv_prepare,
                                 .bind = conv_bind,
                                 .refresh = conv_refresh,
                                 .forward = conv_forward,
                                 .gradient = conv_gradient,
                                 .emit = conv_emit,
                                 .backward = conv_backward,
                                 .name_kernels = name_kernels,
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
                             "%lld groups do not divide both its %lld filters and the "
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
    conv->op.flops = 2.0 * (double)conv->weight_count * (double)ls_shape_spatial(out);
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
    conv->op = (ls_op){.class = &CONV, .ins = 1, .outs = 1, .keeps_input = true};
    conv->net = builder->net;
    conv->window = made;
    conv->filters = spec->filters;
    conv->bias = spec->bias;
    LS_TRY(ls_builder_append(builder, &conv->op, &in, &shape));
    int ndims = weight_dims(conv, spec, &from, weight);
    *out = conv->op.out[0];
    return conv_params(builder, conv, ndims, weight);
}
