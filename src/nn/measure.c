/* nn: what operations are called, and how much they have to do: for benchmarks and traces. */
#include "nn/plan.h"

#define LOSS "loss"

size_t ls_net_op_count(const ls_net *net) {
    return net->op_count + 1;
}

const char *ls_net_op_layer(const ls_net *net, size_t index) {
    return index < net->op_count ? net->ops[index]->layer : LOSS;
}

const char *ls_net_op_kind(const ls_net *net, size_t index) {
    return index < net->op_count ? net->ops[index]->kind : LOSS;
}

void ls_net_record(ls_net *net, ls_recorder *recorder) {
    net->recorder = recorder;
}

static double param_bytes(const ls_net *net, const ls_op *op) {
    size_t floats = 0;
    for (size_t i = op->first_param; i < op->first_param + op->params; i++)
        floats += net->params.entries[i].param.count;
    return (double)(floats * sizeof(float));
}

static double values_bytes(const ls_variant *variant, int count, const int *values) {
    double bytes = 0;
    for (int k = 0; k < count; k++)
        bytes += (double)ls_layout_bytes(ls_layout_of(variant, values[k]));
    return bytes;
}

static double forward_bytes(const ls_variant *variant, const ls_op *op) {
    if (variant->prepared[op->index].forward == LS_ALIAS)
        return 0;
    return values_bytes(variant, op->ins, op->in) + values_bytes(variant, op->outs, op->out);
}

/* Gradients of inputs that are written, and not those of the outputs by another name. */
static double written_bytes(const ls_variant *variant, const ls_op *op) {
    double bytes = 0;
    for (int k = 0; k < op->ins; k++) {
        ls_sharing sharing = variant->prepared[op->index].backward[k];
        if (variant->net->values[op->in[k]].needs_gradient && sharing != LS_ALIAS &&
            sharing != LS_TWIN)
            bytes += values_bytes(variant, 1, &op->in[k]);
    }
    return bytes;
}

static double backward_bytes(const ls_variant *variant, const ls_op *op) {
    double bytes = written_bytes(variant, op);
    if (!ls_variant_trains(variant, op) || (bytes == 0 && op->params == 0))
        return 0;
    bytes += values_bytes(variant, op->outs, op->out);
    bytes += op->keeps_input ? values_bytes(variant, op->ins, op->in) : 0;
    bytes += op->keeps_output ? values_bytes(variant, op->outs, op->out) : 0;
    return bytes;
}

void ls_plan_work(const ls_plan *plan, size_t index, ls_pass_work *forward,
                  ls_pass_work *backward) {
    const ls_net *net = plan->net;
    *forward = *backward = (ls_pass_work){0};
    if (index >= net->op_count)
        return;
    const ls_op *op = net->ops[index];
    bool data_gradient = net->values[op->in[0]].needs_gradient;
    forward->bytes = param_bytes(net, op);
    backward->bytes = param_bytes(net, op) * (data_gradient ? 2 : 1);
    for (int slot = 0; slot < plan->slot_count; slot++) {
        const ls_variant *variant = plan->slots[slot].variant;
        double flops = op->flops * (double)plan->slots[slot].samples;
        forward->flops += flops;
        backward->flops += data_gradient ? 2 * flops : flops;
        forward->bytes += forward_bytes(variant, op);
        backward->bytes += backward_bytes(variant, op);
    }
    if (op->class->name_kernels && plan->slot_count > 0)
        op->class->name_kernels(&plan->slots[0].variant->prepared[index], forward, backward);
    if (plan->mode != LS_MODE_TRAIN)
        *backward = (ls_pass_work){0};
}

/* ---- matrix products ------------------------------------------------------------------------ */

struct ls_gemm {
    ls_dnnl_engine *engine;
    const ls_product *product;
    void *a, *scratch; /* B is A */
    float *c;
};

static void fill(ls_compute_type type, size_t count, void *array) {
    static const uint16_t bf16[] = {0xc040, 0xc000, 0xbf80, 0, 0x3f80, 0x4000, 0x4040};
    for (size_t i = 0; i < count; i++)
        if (type == LS_COMPUTE_BF16)
            ((uint16_t *)array)[i] = bf16[i % 7];
        else
            ((float *)array)[i] = (float)(i % 7) - 3;
}

static ls_status make_gemm(ls_compute_type type, int64_t rows, ls_gemm *gemm) {
    const ls_product_spec spec = {
        .type = type, .m = rows, .n = rows, .k = rows, .lda = rows, .ldb = rows, .ldc = rows};
    size_t count = (size_t)(rows * rows);
    LS_TRY(ls_dnnl_engine_create(&gemm->engine));
    LS_TRY(ls_product_get(gemm->engine, &spec, &gemm->product));
    gemm->a = ls_calloc(count, ls_type_bytes(type));
    gemm->c = ls_calloc(count, sizeof *gemm->c);
    gemm->scratch = ls_calloc(1, ls_product_scratch(gemm->product) + 1);
    if (!gemm->a || !gemm->c || !gemm->scratch)
        return LS_ERR_SYSTEM;
    fill(type, count, gemm->a);
    return LS_OK;
}

ls_status ls_gemm_create(ls_compute_type type, int64_t rows, ls_gemm **gemm) {
    ls_gemm *made;
    LS_TRY(LS_NEW(made, 1));
    ls_status status = make_gemm(type, rows, made);
    if (status != LS_OK)
        ls_gemm_free(made);
    else
        *gemm = made;
    return status;
}

void ls_gemm_free(ls_gemm *gemm) {
    if (!gemm)
        return;
    ls_free(gemm->a);
    ls_free(gemm->c);
    ls_free(gemm->scratch);
    ls_dnnl_engine_free(gemm->engine);
    ls_free(gemm);
}

ls_status ls_gemm_run(const ls_gemm *gemm) {
    return ls_product_run(gemm->product, gemm->a, gemm->a, gemm->c, gemm->scratch);
}

const float *ls_gemm_result(const ls_gemm *gemm) {
    return gemm->c;
}
