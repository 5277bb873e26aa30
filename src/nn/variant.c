/* nn: the network prepared for a mode and a number of samples: kernels, layouts, and which array
 * lives when.  Slots of equal size share it, in all plans. */
#include "nn/net.h"

static void prepared_free(ls_prepared *prepared) {
    for (int k = 0; prepared->kernel && k < prepared->kernels; k++)
        ls_kernel_free(prepared->kernel[k]);
    ls_free(prepared->kernel);
    ls_free(prepared->product);
}

void ls_variant_free(ls_variant *variant) {
    if (!variant)
        return;
    for (size_t i = 0; variant->prepared && i < variant->net->op_count; i++)
        prepared_free(&variant->prepared[i]);
    ls_free(variant->layouts);
    ls_free(variant->prepared);
    ls_free(variant->buffers);
    ls_free(variant->value_buffer);
    ls_free(variant->gradient_buffer);
    ls_free(variant->workspace_buffer);
    ls_free(variant);
}

ls_status ls_variant_plain(const ls_variant *variant, int value, ls_compute_type type,
                           const ls_layout **layout) {
    ls_dims dims = ls_shape_dims(&variant->net->values[value].shape, variant->samples);
    return ls_layout_plain(variant->net->engine, type, &dims, layout);
}

static ls_status allocate(ls_variant *variant) {
    const ls_net *net = variant->net;
    LS_TRY(LS_NEW(variant->layouts, net->value_count));
    LS_TRY(LS_NEW(variant->prepared, net->op_count));
    LS_TRY(LS_NEW(variant->value_buffer, net->value_count));
    LS_TRY(LS_NEW(variant->gradient_buffer, net->value_count));
    LS_TRY(LS_NEW(variant->workspace_buffer, net->op_count));
    return LS_NEW(variant->buffers, 2 * net->value_count + net->op_count);
}

static ls_status prepare_op(ls_variant *variant, ls_op *op, ls_prepared *prepared) {
    prepared->kernels = op->class->kernels;
    prepared->calls = op->class->kernels;
    prepared->products = op->class->products;
    LS_TRY(LS_NEW(prepared->kernel, (size_t)prepared->kernels));
    LS_TRY(LS_NEW(prepared->product, (size_t)prepared->products));
    return op->class->prepare(op, variant, prepared);
}

static ls_status prepare(ls_variant *variant) {
    const ls_net *net = variant->net;
    LS_TRY(ls_variant_plain(variant, 0, LS_COMPUTE_FLOAT32, &variant->layouts[0]));
    for (size_t i = 0; i < net->op_count; i++) {
        LS_TRY(prepare_op(variant, net->ops[i], &variant->prepared[i]));
        const ls_prepared *made = &variant->prepared[i];
        variant->scratch = made->scratch > variant->scratch ? made->scratch : variant->scratch;
        variant->loops = made->loops > variant->loops ? made->loops : variant->loops;
    }
    return ls_variant_plan_memory(variant);
}

ls_status ls_variant_get(ls_net *net, ls_mode mode, int64_t samples, ls_variant **variant) {
    for (ls_variant *known = net->variants; known; known = known->next)
        if (known->mode == mode && known->samples == samples) {
            *variant = known;
            return LS_OK;
        }
    ls_variant *made;
    LS_TRY(LS_NEW(made, 1));
    made->net = net;
    made->mode = mode;
    made->samples = samples;
    ls_status status = allocate(made);
    if (status == LS_OK)
        status = prepare(made);
    if (status != LS_OK) {
        ls_variant_free(made);
        return status;
    }
    made->next = net->variants;
    net->variants = made;
    *variant = made;
    return LS_OK;
}
