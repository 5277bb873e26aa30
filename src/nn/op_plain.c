/* nn: the step from any layout to the plain one, seen in another shape: flatten, and what comes
 * before operations that need plain arrays; also from one type to the other.  Where the array is
 * already what is wanted nothing is computed. */
#include "nn/plan.h"

static ls_status plain_prepare(ls_op *op, ls_variant *variant, ls_prepared *prepared) {
    const ls_layout *in = ls_layout_of(variant, op->in[0]), *plain;
    ls_dnnl_engine *engine = variant->net->engine;
    ls_compute_type type = variant->net->values[op->out[0]].type;
    LS_TRY(ls_variant_plain(variant, op->out[0], type, &variant->layouts[op->out[0]]));
    if (ls_layout_is_plain(in) && ls_layout_type(in) == type) {
        prepared->forward = prepared->backward[0] = LS_ALIAS;
        return LS_OK;
    }
    LS_TRY(ls_variant_plain(variant, op->in[0], type, &plain));
    LS_TRY(ls_reorder(engine, in, plain, &prepared->kernel[LS_FORWARD]));
    if (ls_variant_trains(variant, op))
        LS_TRY(ls_reorder(engine, plain, in, &prepared->kernel[LS_BACKWARD]));
    prepared->scratch = ls_prepared_scratch(prepared);
    return LS_OK;
}

static ls_status plain_bind(ls_op *op, const ls_net *net, ls_work *work) {
    (void)op;
    LS_TRY(ls_work_bind_reorder(work, net, LS_FORWARD, work->in[0], work->out[0], work->scratch));
    return ls_work_bind_reorder(work, net, LS_BACKWARD, work->out_gradient[0], work->in_gradient[0],
                                work->scratch);
}

static const ls_op_class PLAIN = {.kernels = LS_PASSES,
                                  .prepare = plain_prepare,
                                  .bind = plain_bind,
                                  .forward = ls_op_run_forward,
                                  .backward = ls_op_run_backward};

ls_status ls_convert_add(ls_builder *builder, int in, const ls_shape *shape, ls_compute_type type,
                         int *out) {
    bool flat = ls_builder_shape(builder, in)->ndims == 1 && shape->ndims == 1;
    if (flat && builder->net->values[in].type == type) {
        *out = in; /* flat arrays are always plain */
        return LS_OK;
    }
    ls_op *op;
    LS_TRY(LS_NEW(op, 1));
    *op = (ls_op){.class = &PLAIN, .ins = 1, .outs = 1};
    LS_TRY(ls_builder_append(builder, op, &in, shape));
    *out = op->out[0];
    builder->net->values[*out].type = type;
    return LS_OK;
}

ls_status ls_plain_add(ls_builder *builder, int in, const ls_shape *shape, int *out) {
    return ls_convert_add(builder, in, shape, builder->net->values[in].type, out);
}

ls_status ls_flatten_add(ls_builder *builder, const ls_layer_spec *layer, int in, int *out) {
    (void)layer;
    const ls_shape flat = {1, {ls_shape_elements(ls_builder_shape(builder, in))}};
    return ls_plain_add(builder, in, &flat, out);
}
