/* nn: dense layers: y = x W^T + b.  The weights and their gradient go by blocks of output rows, all
 * slots within a block: it stays in cache for all slots, or until the sink has taken it.
 *
 * Forward computes y^T = W x^T, with x and y transposed: the product then packs the few samples
 * instead of the many weights; measured 2.5 times as fast for 3136 x 1024, 32 samples. */
#include "nn/loops.h"
#include "nn/plan.h"

enum {
    BLOCK_BYTES = 512 * 1024, /* of a block of weights: half of a core's L2 cache */
    BLOCK_GRAIN = 16,         /* rows */
    DATA_ROWS = 128           /* of weights at a time for the gradient of the input */
};

typedef struct ls_dense {
    ls_op op;
    int64_t inputs, units, block; /* rows of a block */
    bool bias;
} ls_dense;

/* Of a slot's workspace: x^T (inputs, samples), then y^T (units, samples). */
static float *transposed_output(const ls_dense *dense, const ls_work *work) {
    return (float *)work->workspace + ls_align_floats((size_t)(dense->inputs * work->samples));
}

static ls_status dense_prepare(ls_op *op, ls_variant *variant, ls_prepared *prepared) {
    const ls_dense *dense = (const ls_dense *)op;
    size_t samples = (size_t)variant->samples, units = (size_t)dense->units;
    size_t inputs = (size_t)dense->inputs, block = (size_t)dense->block;
    prepared->workspace = sizeof(float) * (ls_align_floats(inputs * samples) + units * samples);
    prepared->scratch = sizeof(float) * (block * inputs > units ? block * inputs : units);
    return ls_variant_plain(variant, op->out[0], &variant->layouts[op->out[0]]);
}

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static ls_status dense_forward(ls_op *op, ls_plan *plan) {
    const ls_dense *dense = (const ls_dense *)op;
    const int64_t K = dense->inputs, units = dense->units;
    const float *weights = ls_param_data(plan->net, op->first_param);
    for (int slot = 0; slot < plan->slot_count; slot++) {
        const ls_work *work = ls_op_work(plan, op, slot);
        ls_loop_transpose(work->samples, K, work->in[0], work->workspace);
    }
    for (int64_t first = 0; first < units; first += dense->block)
        for (int slot = 0; slot < plan->slot_count; slot++) {
            const ls_work *work = ls_op_work(plan, op, slot);
            const int64_t n = work->samples;
            LS_TRY(ls_matrix_product('N', 'N', smaller(dense->block, units - first), n, K,
                                     weights + first * K, K, work->workspace, n, 0,
                                     transposed_output(dense, work) + first * n, n));
        }
    for (int slot = 0; slot < plan->slot_count; slot++) {
        const ls_work *work = ls_op_work(plan, op, slot);
        ls_loop_transpose(units, work->samples, transposed_output(dense, work), work->out[0]);
        if (dense->bias)
            ls_loop_add_bias(work->samples, units, ls_param_data(plan->net, op->first_param + 1),
                             work->out[0]);
    }
    return LS_OK;
}

static void bias_gradient(const ls_dense *dense, ls_plan *plan) {
    size_t param = dense->op.first_param + 1, units = (size_t)dense->units;
    for (int slot = 0; slot < plan->slot_count; slot++) {
        const ls_work *work = ls_op_work(plan, &dense->op, slot);
        ls_loop_sum_rows(work->samples, dense->units, work->out_gradient[0], work->scratch);
        ls_plan_emit(plan, slot, param, 0, units, work->scratch);
    }
    ls_plan_final(plan, param, 0, units);
}

/* dW = dy^T x, from the last block to the first, so that what is final grows from the end. */
static ls_status weight_gradient(const ls_dense *dense, ls_plan *plan) {
    const int64_t K = dense->inputs, units = dense->units;
    size_t param = dense->op.first_param;
    for (int64_t first = (units - 1) / dense->block * dense->block; first >= 0;
         first -= dense->block) {
        int64_t rows = smaller(dense->block, units - first);
        size_t start = (size_t)(first * K), count = (size_t)(rows * K);
        for (int slot = 0; slot < plan->slot_count; slot++) {
            const ls_work *work = ls_op_work(plan, &dense->op, slot);
            LS_TRY(ls_matrix_product('T', 'N', rows, K, work->samples,
                                     work->out_gradient[0] + first, units, work->in[0], K, 0,
                                     work->scratch, K));
            ls_plan_emit(plan, slot, param, start, count, work->scratch);
        }
        ls_plan_final(plan, param, start, count);
    }
    return LS_OK;
}

/* dx = dy W, summed over blocks of the units. */
static ls_status input_gradient(const ls_dense *dense, ls_plan *plan) {
    const int64_t K = dense->inputs, units = dense->units;
    const float *weights = ls_param_data(plan->net, dense->op.first_param);
    for (int64_t first = 0; first < units; first += DATA_ROWS)
        for (int slot = 0; slot < plan->slot_count; slot++) {
            const ls_work *work = ls_op_work(plan, &dense->op, slot);
            LS_TRY(ls_matrix_product('N', 'N', work->samples, K, smaller(DATA_ROWS, units - first),
                                     work->out_gradient[0] + first, units, weights + first * K, K,
                                     first == 0 ? 0.0f : 1.0f, work->in_gradient[0], K));
        }
    return LS_OK;
}

static ls_status dense_backward(ls_op *op, ls_plan *plan) {
    const ls_dense *dense = (const ls_dense *)op;
    if (dense->bias)
        bias_gradient(dense, plan);
    LS_TRY(weight_gradient(dense, plan));
    bool wanted = plan->net->values[op->in[0]].needs_gradient;
    return wanted ? input_gradient(dense, plan) : LS_OK;
}

static const ls_op_class DENSE = {
    .prepare = dense_prepare, .forward_all = dense_forward, .backward_all = dense_backward};

static int64_t rows_per_block(int64_t inputs, int64_t units) {
    int64_t rows = BLOCK_BYTES / (int64_t)sizeof(float) / inputs / BLOCK_GRAIN * BLOCK_GRAIN;
    rows = rows < BLOCK_GRAIN ? BLOCK_GRAIN : rows;
    return rows < units ? rows : units;
}

ls_status ls_dense_add(ls_builder *builder, const ls_layer_spec *layer, int in, int *out) {
    const ls_dense_spec *spec = &layer->dense;
    if (spec->units < 1)
        return ls_layer_fail(builder, layer, "has %lld units, needs at least 1",
                             (long long)spec->units);
    const ls_shape flat = {1, {ls_shape_elements(ls_builder_shape(builder, in))}};
    const ls_shape shape = {1, {spec->units}};
    LS_TRY(ls_plain_add(builder, in, &flat, &in));
    ls_dense *dense;
    LS_TRY(LS_NEW(dense, 1));
    dense->op = (ls_op){.class = &DENSE, .ins = 1, .outs = 1, .keeps_input = true};
    dense->inputs = flat.size[0];
    dense->units = spec->units;
    dense->bias = spec->bias;
    dense->block = rows_per_block(dense->inputs, dense->units);
    LS_TRY(ls_builder_append(builder, &dense->op, &in, &shape));
    const int64_t weight[] = {dense->units, dense->inputs};
    ls_start start = ls_weight_start(builder->init, (double)dense->inputs, (double)dense->units);
    LS_TRY(ls_builder_param(builder, &dense->op, "weight", LS_PARAM_WEIGHT, 2, weight, start));
    if (dense->bias)
        LS_TRY(ls_builder_param(builder, &dense->op, "bias", LS_PARAM_BIAS, 1, &dense->units,
                                (ls_start){LS_START_CONSTANT, 0}));
    builder->net->flops += 2.0 * (double)dense->inputs * (double)dense->units;
    *out = dense->op.out[0];
    return LS_OK;
}
