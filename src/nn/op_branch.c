/* nn: the two ends of a residual block: a fork, whose gradient is the sum of the branches', and a
 * sum, with the ReLU that follows it, whose gradient goes to both branches. */
#include "nn/loops.h"
#include "nn/plan.h"

/* ---- fork ----------------------------------------------------------------------------------- */

static ls_status fork_prepare(ls_op *op, ls_variant *variant, ls_prepared *prepared) {
    for (int i = 0; i < op->outs; i++)
        variant->layouts[op->out[i]] = ls_layout_of(variant, op->in[0]);
    prepared->forward = LS_ALIAS;
    prepared->backward[0] = LS_IN_PLACE;
    return LS_OK;
}

static ls_status fork_backward(ls_op *op, ls_plan *plan, int slot) {
    const ls_work *work = ls_op_work(plan, op, slot);
    ls_loop_add(plan->net->type, ls_plan_elements(plan, op->in[0], slot), false,
                work->out_gradient[0], work->out_gradient[1], work->in_gradient[0]);
    return LS_OK;
}

static const ls_op_class FORK = {.prepare = fork_prepare, .backward = fork_backward};

ls_status ls_fork_add(ls_builder *builder, int in, int out[2]) {
    ls_op *op;
    const ls_shape shape = *ls_builder_shape(builder, in);
    LS_TRY(LS_NEW(op, 1));
    *op = (ls_op){.class = &FORK, .ins = 1, .outs = 2};
    LS_TRY(ls_builder_append(builder, op, &in, &shape));
    out[0] = op->out[0];
    out[1] = op->out[1];
    return LS_OK;
}

/* ---- sum ------------------------------------------------------------------------------------ */

/* in[1] is brought into the layout of in[0], in scratch, and its gradient back. */
enum { CONVERT, CONVERT_BACK, KERNELS };

typedef struct ls_sum {
    ls_op op;
    bool relu;
} ls_sum;

static ls_status prepare_convert(ls_op *op, ls_variant *variant, ls_prepared *prepared) {
    ls_dnnl_engine *engine = variant->net->engine;
    const ls_layout *first = ls_layout_of(variant, op->in[0]);
    const ls_layout *second = ls_layout_of(variant, op->in[1]);
    if (first == second)
        return LS_OK;
    LS_TRY(ls_reorder(engine, second, first, &prepared->kernel[CONVERT]));
    LS_TRY(ls_reorder(engine, first, second, &prepared->kernel[CONVERT_BACK]));
    prepared->scratch = ls_align_bytes(ls_layout_bytes(first)) + ls_prepared_scratch(prepared);
    prepared->backward[1] = LS_OWN;
    return LS_OK;
}

/* Both inputs have the gradient of the sum: it is one array unless their layouts differ. */
static ls_status sum_prepare(ls_op *op, ls_variant *variant, ls_prepared *prepared) {
    const ls_value *values = variant->net->values;
    ls_sharing share = ((ls_sum *)op)->relu ? LS_IN_PLACE : LS_ALIAS;
    variant->layouts[op->out[0]] = ls_layout_of(variant, op->in[0]);
    prepared->forward = LS_IN_PLACE;
    prepared->backward[0] = share;
    prepared->backward[1] = values[op->in[0]].needs_gradient ? LS_TWIN : share;
    return prepare_convert(op, variant, prepared);
}

static ls_status sum_bind(ls_op *op, const ls_net *net, ls_work *work) {
    const ls_kernel *convert = work->prepared->kernel[CONVERT];
    if (!convert)
        return LS_OK;
    void *library =
        (unsigned char *)work->scratch + ls_align_bytes(ls_kernel_bytes(convert, LS_ARG_DST));
    LS_TRY(ls_work_bind_reorder(work, net, CONVERT, work->in[1], work->scratch, library));
    const void *gradient = ((ls_sum *)op)->relu ? work->scratch : work->out_gradient[0];
    return work->in_gradient[1] ? ls_work_bind_reorder(work, net, CONVERT_BACK, gradient,
                                                       work->in_gradient[1], library)
                                : LS_OK;
}

static ls_status sum_forward(ls_op *op, ls_plan *plan, int slot) {
    const ls_work *work = ls_op_work(plan, op, slot);
    const void *second = work->in[1];
    if (work->call[CONVERT]) {
        LS_TRY(ls_call_run(work->call[CONVERT]));
        second = work->scratch;
    }
    ls_loop_add(plan->net->type, ls_plan_elements(plan, op->out[0], slot), ((ls_sum *)op)->relu,
                work->in[0], second, work->out[0]);
    return LS_OK;
}

static ls_status sum_backward(ls_op *op, ls_plan *plan, int slot) {
    const ls_work *work = ls_op_work(plan, op, slot);
    bool relu = ((ls_sum *)op)->relu;
    size_t count = ls_plan_elements(plan, op->out[0], slot);
    ls_compute_type type = plan->net->type;
    /* before in[0]'s, which may take the place of the sum's */
    if (work->call[CONVERT_BACK]) {
        if (relu)
            ls_loop_leaky_gradient(type, count, 0, work->out[0], work->out_gradient[0],
                                   work->scratch);
        LS_TRY(ls_call_run(work->call[CONVERT_BACK]));
    }
    void *gradient = work->in_gradient[0] ? work->in_gradient[0] : work->in_gradient[1];
    if (relu && !(work->call[CONVERT_BACK] && gradient == work->in_gradient[1]))
        ls_loop_leaky_gradient(type, count, 0, work->out[0], work->out_gradient[0], gradient);
    return LS_OK;
}

static const ls_op_class SUM = {.kernels = KERNELS,
                                .prepare = sum_prepare,
                                .bind = sum_bind,
                                .forward = sum_forward,
                                .backward = sum_backward};

bool ls_sum_fuse_relu(const ls_builder *builder, int value) {
    ls_sum *sum = (ls_sum *)ls_builder_producer(builder, &SUM, value);
    if (!sum || sum->relu)
        return false;
    sum->relu = sum->op.keeps_output = true;
    return true;
}

ls_status ls_sum_add(ls_builder *builder, const int in[2], int *out) {
    ls_sum *sum;
    const ls_shape shape = *ls_builder_shape(builder, in[0]);
    LS_TRY(LS_NEW(sum, 1));
    sum->op = (ls_op){.class = &SUM, .ins = 2, .outs = 1};
    LS_TRY(ls_builder_append(builder, &sum->op, in, &shape));
    *out = sum->op.out[0];
    return LS_OK;
}
