/* nn: every element times a constant. */
#include "nn/loops.h"
#include "nn/plan.h"

typedef struct ls_scale {
    ls_op op;
    float factor;
} ls_scale;

static ls_status scale_prepare(ls_op *op, ls_variant *variant, ls_prepared *prepared) {
    variant->layouts[op->out[0]] = ls_layout_of(variant, op->in[0]);
    prepared->forward = prepared->backward[0] = LS_IN_PLACE;
    return LS_OK;
}

static ls_status scale_forward(ls_op *op, ls_plan *plan, int slot) {
    const ls_work *work = ls_op_work(plan, op, slot);
    ls_loop_scale(plan->net->type, ls_plan_elements(plan, op->in[0], slot),
                  ((ls_scale *)op)->factor, work->in[0], work->out[0]);
    return LS_OK;
}

static ls_status scale_backward(ls_op *op, ls_plan *plan, int slot) {
    const ls_work *work = ls_op_work(plan, op, slot);
    ls_loop_scale(plan->net->type, ls_plan_elements(plan, op->in[0], slot),
                  ((ls_scale *)op)->factor, work->out_gradient[0], work->in_gradient[0]);
    return LS_OK;
}

static const ls_op_class SCALE = {
    .prepare = scale_prepare, .forward = scale_forward, .backward = scale_backward};

ls_status ls_scale_add(ls_builder *builder, const ls_layer_spec *layer, int in, int *out) {
    const ls_shape shape = *ls_builder_shape(builder, in);
    ls_scale *scale;
    LS_TRY(LS_NEW(scale, 1));
    scale->op = (ls_op){.class = &SCALE, .ins = 1, .outs = 1};
    scale->factor = (float)layer->scale.factor;
    LS_TRY(ls_builder_append(builder, &scale->op, &in, &shape));
    *out = scale->op.out[0];
    return LS_OK;
}
