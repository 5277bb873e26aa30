/* nn: convolutions in 1 to 3 dimensions.  The kernels choose their layouts; weights are packed into
 * theirs once per change of the parameters, gradients of weights are unpacked for the sink. */
#include "nn/op_conv.h"

#include "lockstep/threads.h"
#include "nn/conv_loops.h"
#include "nn/conv_parts.h"
#include "nn/winograd.h"

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

/* The pass in parts where that can be. */
static ls_status part(ls_conv *conv, ls_prepared *prepared, int pass) {
    const double flops = conv->op.flops;
    return ls_conv_parts(conv->net->engine, &conv->window, (ls_conv_direction)pass,
                         conv->weights.n > conv->window.ndims + 2, flops, &prepared->kernel[pass],
                         &prepared->parts[pass]);
}

/* A reorder if the layouts differ. */
static ls_status adapt(ls_conv *conv, const ls_layout *from, const ls_layout *to,
                       ls_kernel **kernel) {
    return from == to ? LS_OK : ls_reorder(conv->net->engine, from, to, kernel);
}

/* True where our loops can do the gradient of the weights. */
static bool by_loops(const ls_conv *conv, const ls_variant *variant, ls_conv_shape *shape) {
    return ls_conv_shape_make(&conv->window, &conv->weights, ls_layout_of(variant, conv->op.in[0]),
                              ls_layout_of(variant, conv->op.out[0]), shape);
}

/* True where Winograd's method does the pass. */
static bool by_winograd(const ls_conv *conv, const ls_variant *variant, int pass,
                        ls_winograd *winograd) {
    ls_conv_shape shape;
    return by_loops(conv, variant, &shape) && ls_winograd_make(&shape, pass == DATA, winograd) &&
           ls_winograd_pays(winograd);
}

/* A kernel that is not needed after all. */
static void drop(ls_prepared *prepared, int which) {
    ls_kernel_free(prepared->kernel[which]);
    prepared->kernel[which] = NULL;
}

/* The pass is made by loops of our own, called `name`, with `scratch` bytes for each thread. */
static void prepare_own(ls_prepared *prepared, int pass, const char *name, size_t scratch,
                        int parts) {
    prepared->own[pass] = name;
    prepared->parts[pass] = parts;
    prepared->loops = scratch > prepared->loops ? scratch : prepared->loops;
}

/* The weights as the pass takes them: slots of other sizes may have other tiles. */
static ls_packed *winograd_weights(ls_conv *conv, const ls_winograd *winograd) {
    return &conv->winograd[winograd->reverse][winograd->kind.outputs > 2];
}

/* Forward or the gradient of the input. */
static ls_status prepare_winograd(ls_conv *conv, const ls_winograd *winograd,
                                  ls_prepared *prepared) {
    const size_t count = ls_winograd_weight_floats(winograd);
    ls_packed *packed = winograd_weights(conv, winograd);
    prepare_own(prepared, winograd->reverse ? DATA : FORWARD, LS_WINOGRAD,
                ls_winograd_scratch(winograd), ls_winograd_parts(winograd));
    if (packed->data)
        return LS_OK;
    packed->data = ls_calloc(count, sizeof(float));
    if (!packed->data)
        return LS_ERR_SYSTEM;
    conv->net->packed_bytes += count * sizeof(float);
    return LS_OK;
}

static ls_status prepare_data(ls_conv *conv, const ls_variant *variant, ls_prepared *prepared) {
    ls_kernel **kernel = prepared->kernel;
    ls_winograd winograd;
    if (by_winograd(conv, variant, DATA, &winograd))
        return prepare_winograd(conv, &winograd, prepared);
    const ls_layout *in = ls_layout_of(variant, conv->op.in[0]);
    const ls_layout *out = ls_layout_of(variant, conv->op.out[0]);
    LS_TRY(ls_conv_backward_data(conv->net->engine, &conv->window, kernel[FORWARD], false,
                                 &kernel[DATA]));
    LS_TRY(choose_layouts(conv, kernel, DATA, ls_conv_backward_data));
    LS_TRY(adapt(conv, out, ls_kernel_layout(kernel[DATA], LS_ARG_DIFF_DST), &kernel[DST_DATA]));
    LS_TRY(adapt(conv, ls_kernel_layout(kernel[DATA], LS_ARG_DIFF_SRC), in, &kernel[SRC_GRADIENT]));
    LS_TRY(part(conv, prepared, DATA));
    return ls_conv_prepare_pack(conv, prepared, DATA, PACK_DATA);
}

static ls_status prepare_weights(ls_conv *conv, const ls_variant *variant, ls_prepared *prepared) {
    ls_kernel **kernel = prepared->kernel;
    const ls_layout *in = ls_layout_of(variant, conv->op.in[0]), *plain, *packed;
    const ls_layout *out = ls_layout_of(variant, conv->op.out[0]);
    ls_conv_shape shape;
    ls_winograd winograd;
    if (by_winograd(conv, variant, WEIGHTS, &winograd)) {
        prepared->shared = ls_winograd_gradient_scratch(&winograd);
        prepare_own(prepared, WEIGHTS, LS_WINOGRAD, 0, ls_winograd_gradient_parts(&winograd));
        return LS_OK;
    }
    LS_TRY(ls_conv_backward_weights(conv->net->engine, &conv->window, kernel[FORWARD], false,
                                    &kernel[WEIGHTS]));
    if (by_loops(conv, variant, &shape) &&
        ls_conv_gradient_pays(&shape, !ls_kernel_is_reference(kernel[WEIGHTS]))) {
        drop(prepared, WEIGHTS);
        prepare_own(prepared, WEIGHTS, LS_OWN_LOOPS, ls_conv_gradient_scratch(&shape),
                    ls_conv_gradient_parts(&shape));
        return LS_OK;
    }
    LS_TRY(choose_layouts(conv, kernel, WEIGHTS, ls_conv_backward_weights));
    const ls_kernel *weights = kernel[WEIGHTS];
    LS_TRY(adapt(conv, in, ls_kernel_layout(weights, LS_ARG_SRC), &kernel[SRC_WEIGHTS]));
    LS_TRY(adapt(conv, out, ls_kernel_layout(weights, LS_ARG_DIFF_DST), &kernel[DST_WEIGHTS]));
    LS_TRY(part(conv, prepared, WEIGHTS));
    packed = ls_kernel_layout(kernel[WEIGHTS], LS_ARG_DIFF_WEIGHTS);
    LS_TRY(ls_conv_plain_block(conv, packed, &plain));
    return adapt(conv, packed, plain, &kernel[UNPACK]);
}

/* After the passes that ask the library's whole kernel. */
static ls_status prepare_forward(ls_conv *conv, const ls_variant *variant, ls_prepared *prepared) {
    ls_winograd winograd;
    if (!by_winograd(conv, variant, FORWARD, &winograd)) {
        LS_TRY(part(conv, prepared, FORWARD));
        return ls_conv_prepare_pack(conv, prepared, FORWARD, PACK_FORWARD);
    }
    drop(prepared, FORWARD);
    drop(prepared, SRC_FORWARD);
    return prepare_winograd(conv, &winograd, prepared);
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
    variant->layouts[op->out[0]] = ls_kernel_layout(kernel[FORWARD], LS_ARG_DST);
    if (ls_variant_trains(variant, op)) {
        LS_TRY(prepare_weights(conv, variant, prepared));
        if (values[op->in[0]].needs_gradient)
            LS_TRY(prepare_data(conv, variant, prepared));
    }
    LS_TRY(prepare_forward(conv, variant, prepared));
    prepared->calls = ls_conv_first_call(conv, prepared, CONV_KERNELS);
    prepared->scratch = ls_conv_lay_out(conv, prepared).total;
    return LS_OK;
}

/* ---- passes --------------------------------------------------------------------------------- */

static ls_status run_call(void *context, int64_t index) {
    ls_call **first = context;
    return ls_call_run(first[index]);
}

static ls_status run_parts(const ls_conv *conv, const ls_work *work, int which) {
    return ls_parallel(ls_conv_call_count(conv, work->prepared, which), run_call,
                       work->call + ls_conv_first_call(conv, work->prepared, which));
}

/* Packs the weights anew if they have changed. */
static ls_status refresh(ls_conv *conv, const ls_work *work, int user, int pack) {
    ls_packed *packed = ls_conv_packed(conv, work->prepared, user, pack);
    if (!packed || packed->version == conv->net->version)
        return LS_OK;
    LS_TRY(run_parts(conv, work, pack));
    packed->version = conv->net->version;
    return LS_OK;
}

static ls_status refresh_winograd(ls_conv *conv, const ls_plan *plan, int slot, int pass) {
    const ls_variant *variant = plan->slots[slot].variant;
    ls_winograd winograd;
    if (!variant->prepared[conv->op.index].own[pass])
        return LS_OK;
    LS_REQUIRE(by_winograd(conv, variant, pass, &winograd));
    ls_packed *packed = winograd_weights(conv, &winograd);
    if (packed->version == conv->net->version)
        return LS_OK;
    ls_winograd_pack(&winograd, ls_param_data(conv->net, conv->op.first_param), packed->data);
    packed->version = conv->net->version;
    return LS_OK;
}

static ls_status conv_refresh(ls_op *op, ls_plan *plan, int slot) {
    ls_conv *conv = (ls_conv *)op;
    const ls_work *work = ls_op_work(plan, op, slot);
    LS_TRY(refresh_winograd(conv, plan, slot, FORWARD));
    LS_TRY(refresh_winograd(conv, plan, slot, DATA));
    LS_TRY(refresh(conv, work, FORWARD, PACK_FORWARD));
    return refresh(conv, work, DATA, PACK_DATA);
}

/* Forward or the gradient of the input. */
static ls_status run_winograd(ls_conv *conv, ls_plan *plan, int slot, int pass) {
    const ls_work *work = ls_op_work(plan, &conv->op, slot);
    const bool reverse = pass == DATA;
    const float *bias = conv->bias ? ls_param_data(conv->net, conv->op.first_param + 1) : NULL;
    ls_winograd winograd;
    LS_REQUIRE(by_winograd(conv, plan->slots[slot].variant, pass, &winograd));
    ls_winograd_run(&winograd, reverse ? work->out_gradient[0] : work->in[0],
                    winograd_weights(conv, &winograd)->data, reverse ? NULL : bias,
                    reverse ? work->in_gradient[0] : work->out[0], work->loops, work->loops_step);
    return LS_OK;
}

static ls_status conv_forward(ls_op *op, ls_plan *plan, int slot) {
    const ls_work *work = ls_op_work(plan, op, slot);
    if (work->prepared->own[FORWARD])
        return run_winograd((ls_conv *)op, plan, slot, FORWARD);
    LS_TRY(ls_work_run(work, SRC_FORWARD));
    return run_parts((const ls_conv *)op, work, FORWARD);
}

static ls_status own_gradient(const ls_conv *conv, ls_plan *plan, int slot) {
    const ls_work *work = ls_op_work(plan, &conv->op, slot);
    const ls_variant *variant = plan->slots[slot].variant;
    const ls_conv_scratch scratch = ls_conv_lay_out(conv, work->prepared);
    unsigned char *base = work->scratch;
    float *dw = (float *)(base + scratch.plain_gradient);
    float *db = conv->bias ? (float *)(base + scratch.bias_gradient) : NULL;
    ls_winograd winograd;
    ls_conv_shape shape;
    if (by_winograd(conv, variant, WEIGHTS, &winograd)) {
        ls_winograd_gradient(&winograd, work->in[0], work->out_gradient[0], base + scratch.shared,
                             dw, db);
        return LS_OK;
    }
    LS_REQUIRE(by_loops(conv, variant, &shape));
    ls_conv_gradient(&shape, work->in[0], work->out_gradient[0], work->loops, work->loops_step, dw,
                     db);
    return LS_OK;
}

static ls_status conv_gradient(ls_op *op, ls_plan *plan, int slot) {
    const ls_conv *conv = (const ls_conv *)op;
    const ls_work *work = ls_op_work(plan, op, slot);
    if (work->prepared->own[WEIGHTS])
        return own_gradient(conv, plan, slot);
    LS_TRY(ls_work_run(work, SRC_WEIGHTS));
    LS_TRY(ls_work_run(work, DST_WEIGHTS));
    LS_TRY(run_parts(conv, work, WEIGHTS));
    return run_parts(conv, work, UNPACK);
}

static ls_status conv_emit(ls_op *op, ls_plan *plan, int slot) {
    const ls_conv *conv = (const ls_conv *)op;
    const ls_work *work = ls_op_work(plan, op, slot);
    const ls_conv_scratch scratch = ls_conv_lay_out(conv, work->prepared);
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
    if (work->prepared->own[DATA])
        return run_winograd((ls_conv *)op, plan, slot, DATA);
    LS_TRY(ls_work_run(work, DST_DATA));
    LS_TRY(run_parts((const ls_conv *)op, work, DATA));
    return ls_work_run(work, SRC_GRADIENT);
}

static const char *pass_name(const ls_prepared *prepared, int pass) {
    return prepared->own[pass] ? prepared->own[pass] : ls_prepared_name(prepared, pass);
}

static void name_kernels(const ls_prepared *prepared, ls_pass_work *forward,
                         ls_pass_work *backward) {
    forward->kernel[0] = pass_name(prepared, FORWARD);
    backward->kernel[0] = pass_name(prepared, WEIGHTS);
    backward->kernel[1] = pass_name(prepared, DATA);
}

static void conv_clear(ls_op *op) {
    ls_conv *conv = (ls_conv *)op;
    for (int i = 0; i < conv->packed_count; i++)
        ls_free(conv->packed[i].data);
    for (int reverse = 0; reverse < 2; reverse++)
        for (int large = 0; large < 2; large++)
            ls_free(conv->winograd[reverse][large].data);
}

static const ls_op_class CONV = {.kernels = CONV_KERNELS,
                                 .prepare = conv_prepare,
                                 .bind = ls_conv_bind,
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
