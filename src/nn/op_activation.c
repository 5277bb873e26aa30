/* nn: activations.  ReLU and leaky ReLU are loops of our own in any layout; tanh, sigmoid and GELU
 * are the library's. */
#include "nn/loops.h"
#include "nn/plan.h"

typedef struct ls_activation {
    ls_op op;
    float slope;          /* of leaky ReLU and, 0, of ReLU */
    ls_function function; /* of the others */
} ls_activation;

/* ---- by loops ------------------------------------------------------------------------------- */

static ls_status loop_prepare(ls_op *op, ls_variant *variant, ls_prepared *prepared) {
    variant->layouts[op->out[0]] = ls_layout_of(variant, op->in[0]);
    prepared->forward = prepared->backward[0] = LS_IN_PLACE;
    return LS_OK;
}

static ls_status loop_forward(ls_op *op, ls_plan *plan, int slot) {
    const ls_work *work = ls_op_work(plan, op, slot);
    ls_loop_leaky(plan->net->type, ls_plan_elements(plan, op->in[0], slot),
                  ((ls_activation *)op)->slope, work->in[0], work->out[0]);
    return LS_OK;
}

static ls_status loop_backward(ls_op *op, ls_plan *plan, int slot) {
    const ls_work *work = ls_op_work(plan, op, slot);
    const void *reference = op->keeps_output ? work->out[0] : work->in[0];
    ls_loop_leaky_gradient(plan->net->type, ls_plan_elements(plan, op->in[0], slot),
                           ((ls_activation *)op)->slope, reference, work->out_gradient[0],
                           work->in_gradient[0]);
    return LS_OK;
}

static const ls_op_class LOOP = {
    .prepare = loop_prepare, .forward = loop_forward, .backward = loop_backward};

/* ---- by the library ------------------------------------------------------------------------- */

static ls_status kernel_prepare(ls_op *op, ls_variant *variant, ls_prepared *prepared) {
    ls_function function = ((ls_activation *)op)->function;
    ls_dnnl_engine *engine = variant->net->engine;
    ls_kernel **kernel = prepared->kernel;
    const ls_layout *data = ls_layout_of(variant, op->in[0]);
    LS_TRY(ls_function_forward(engine, function, data, &kernel[LS_FORWARD]));
    if (ls_variant_trains(variant, op))
        LS_TRY(ls_function_backward(engine, function, kernel[LS_FORWARD], &kernel[LS_BACKWARD]));
    variant->layouts[op->out[0]] = data;
    prepared->forward = prepared->backward[0] = LS_IN_PLACE;
    prepared->scratch = ls_prepared_scratch(prepared);
    return LS_OK;
}

static ls_status kernel_bind(ls_op *op, const ls_net *net, ls_work *work) {
    const ls_binding forward[] = {
        {LS_ARG_SRC, work->in[0]}, {LS_ARG_DST, work->out[0]}, {LS_ARG_SCRATCH, work->scratch}};
    const ls_binding kept = op->keeps_output ? (ls_binding){LS_ARG_DST, work->out[0]}
                                             : (ls_binding){LS_ARG_SRC, work->in[0]};
    const ls_binding backward[] = {kept,
                                   {LS_ARG_DIFF_DST, work->out_gradient[0]},
                                   {LS_ARG_DIFF_SRC, work->in_gradient[0]},
                                   {LS_ARG_SCRATCH, work->scratch}};
    LS_TRY(ls_work_bind(work, net, LS_FORWARD, forward, 3));
    return ls_work_bind(work, net, LS_BACKWARD, backward, 4);
}

static const ls_op_class KERNEL = {.kernels = LS_PASSES,
                                   .prepare = kernel_prepare,
                                   .bind = kernel_bind,
                                   .forward = ls_op_run_forward,
                                   .backward = ls_op_run_backward};

/* ---- building ------------------------------------------------------------------------------- */

bool ls_activation_can_wait(const ls_builder *builder, int value) {
    const ls_activation *made = (ls_activation *)ls_builder_producer(builder, &LOOP, value);
    return made && made->slope >= 0;
}

static ls_status append(ls_builder *builder, const ls_activation *wanted, int in, int *out) {
    const ls_shape shape = *ls_builder_shape(builder, in);
    ls_activation *made;
    LS_TRY(LS_NEW(made, 1));
    *made = *wanted;
    made->op.ins = made->op.outs = 1;
    made->op.keeps_output = !made->op.keeps_input;
    LS_TRY(ls_builder_append(builder, &made->op, &in, &shape));
    *out = made->op.out[0];
    return LS_OK;
}

/* The output tells the input's sign only if the slope does not turn it. */
static ls_status append_loop(ls_builder *builder, float slope, int in, int *out) {
    const ls_activation wanted = {.op = {.class = &LOOP, .keeps_input = slope < 0}, .slope = slope};
    return append(builder, &wanted, in, out);
}

static ls_status append_kernel(ls_builder *builder, ls_function function, int in, int *out) {
    const ls_activation wanted = {
        .op = {.class = &KERNEL, .keeps_input = function == LS_FUNCTION_GELU},
        .function = function};
    return append(builder, &wanted, in, out);
}

ls_status ls_relu_add(ls_builder *builder, const ls_layer_spec *layer, int in, int *out) {
    (void)layer;
    *out = in;
    bool fused = ls_norm_fuse_relu(builder, in) || ls_sum_fuse_relu(builder, in);
    return fused ? LS_OK : append_loop(builder, 0, in, out);
}

ls_status ls_leaky_relu_add(ls_builder *builder, const ls_layer_spec *layer, int in, int *out) {
    return append_loop(builder, (float)layer->leaky_relu.slope, in, out);
}

ls_status ls_tanh_add(ls_builder *builder, const ls_layer_spec *layer, int in, int *out) {
    (void)layer;
    return append_kernel(builder, LS_FUNCTION_TANH, in, out);
}

ls_status ls_sigmoid_add(ls_builder *builder, const ls_layer_spec *layer, int in, int *out) {
    (void)layer;
    return append_kernel(builder, LS_FUNCTION_SIGMOID, in, out);
}

ls_status ls_gelu_add(ls_builder *builder, const ls_layer_spec *layer, int in, int *out) {
    (void)layer;
    return append_kernel(builder, LS_FUNCTION_GELU, in, out);
}
