/* nn: activations.  ReLU and leaky ReLU are loops of our own in any layout; tanh, sigmoid and GELU
 * are the library's. */
#include "nn/loops.h"
#include "nn/plan.h"

typedef struct ls_activation_op {
    ls_op op;
    ls_activation function;
    float slope; /* of leaky ReLU and, 0, of ReLU */
} ls_activation_op;

static bool is_loop(ls_activation function) {
    return function == LS_RELU || function == LS_LEAKY_RELU;
}

static ls_function function_of(ls_activation activation) {
    return activation == LS_TANH      ? LS_FUNCTION_TANH
           : activation == LS_SIGMOID ? LS_FUNCTION_SIGMOID
                                      : LS_FUNCTION_GELU;
}

/* ---- by loops ------------------------------------------------------------------------------- */

static ls_status loop_prepare(ls_op *op, ls_variant *variant, ls_prepared *prepared) {
    variant->layouts[op->out[0]] = ls_layout_of(variant, op->in[0]);
    prepared->forward = prepared->backward[0] = LS_IN_PLACE;
    return LS_OK;
}

static ls_status loop_forward(ls_op *op, ls_plan *plan, int slot) {
    const ls_work *work = ls_op_work(plan, op, slot);
    ls_loop_leaky(plan->net->type, ls_plan_elements(plan, op->in[0], slot),
                  ((ls_activation_op *)op)->slope, work->in[0], work->out[0]);
    return LS_OK;
}

static ls_status loop_backward(ls_op *op, ls_plan *plan, int slot) {
    const ls_work *work = ls_op_work(plan, op, slot);
    const void *reference = op->keeps_output ? work->out[0] : work->in[0];
    ls_loop_leaky_gradient(plan->net->type, ls_plan_elements(plan, op->in[0], slot),
                           ((ls_activation_op *)op)->slope, reference, work->out_gradient[0],
                           work->in_gradient[0]);
    return LS_OK;
}

static const ls_op_class LOOP = {
    .prepare = loop_prepare, .forward = loop_forward, .backward = loop_backward};

/* ---- by the library ------------------------------------------------------------------------- */

static ls_status kernel_prepare(ls_op *op, ls_variant *variant, ls_prepared *prepared) {
    ls_function function = function_of(((ls_activation_op *)op)->function);
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

static const ls_op_class KERNEL = {.prepare = kernel_prepare,
                                   .bind = kernel_bind,
                                   .forward = ls_op_run_forward,
                                   .backward = ls_op_run_backward};

/* ---- building ------------------------------------------------------------------------------- */

bool ls_activation_can_wait(const ls_builder *builder, int value) {
    const ls_activation_op *made = (ls_activation_op *)ls_builder_producer(builder, &LOOP, value);
    return made && made->slope >= 0;
}

ls_status ls_activation_add(ls_builder *builder, const ls_layer_spec *layer, int in, int *out) {
    const ls_activation_spec *spec = &layer->activation;
    const ls_shape shape = *ls_builder_shape(builder, in);
    if (spec->function == LS_RELU &&
        (ls_norm_fuse_relu(builder, in) || ls_sum_fuse_relu(builder, in))) {
        *out = in;
        return LS_OK;
    }
    ls_activation_op *made;
    LS_TRY(LS_NEW(made, 1));
    bool loop = is_loop(spec->function);
    made->function = spec->function;
    made->slope = spec->function == LS_LEAKY_RELU ? (float)spec->slope : 0;
    made->op = (ls_op){.class = loop ? &LOOP : &KERNEL, .ins = 1, .outs = 1};
    /* the output tells the input's sign only if the slope does not turn it */
    made->op.keeps_input = loop ? made->slope < 0 : spec->function == LS_GELU;
    made->op.keeps_output = !made->op.keeps_input;
    LS_TRY(ls_builder_append(builder, &made->op, &in, &shape));
    *out = made->op.out[0];
    return LS_OK;
}
