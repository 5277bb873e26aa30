/* nn: dense layers: y = x W^T + b.  The weights and their gradient go by blocks of output rows, all
 * slots within a block: it stays in cache for all slots, or until the sink has taken it.
 *
 * Forward computes y^T = W x^T: the product then packs the few samples instead of the many weights;
 * measured 2.5 times as fast for 3136 x 1024, 32 samples, in float32 with x transposed before. */
#include "lockstep/threads.h"
#include "nn/loops.h"
#include "nn/plan.h"

enum {
    BLOCK_BYTES = 512 * 1024, /* of a block of weights: half of a core's L2 cache */
    BLOCK_GRAIN = 16,         /* rows */
    DATA_ROWS = 128,          /* of float32 weights at a time for the gradient of the input */
};

/* Products; REST: for the last block, where it is smaller. */
enum { FORWARD, FORWARD_REST, WEIGHTS, WEIGHTS_REST, DATA, DATA_MORE, DATA_REST, PRODUCTS };

typedef struct ls_dense {
    ls_op op;
    ls_compute_type type; /* of x and W in the products */
    int64_t inputs, units;
    int64_t block, data_block; /* rows of the weights: for W and its gradient, for that of x */
    bool bias;
} ls_dense;

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* ---- preparing ------------------------------------------------------------------------------ */

static ls_status get_product(const ls_variant *variant, const ls_product_spec *spec,
                             ls_prepared *prepared, int which) {
    return ls_product_get(variant->net->engine, spec, &prepared->product[which]);
}

static ls_status prepare_forward(const ls_dense *dense, const ls_variant *variant,
                                 ls_prepared *prepared) {
    bool transposed = dense->type == LS_COMPUTE_FLOAT32; /* x is */
    ls_product_spec spec = {.type = dense->type,
                            .transpose_b = !transposed,
                            .m = dense->block,
                            .n = variant->samples,
                            .k = dense->inputs,
                            .lda = dense->inputs,
                            .ldb = transposed ? variant->samples : dense->inputs,
                            .ldc = variant->samples};
    LS_TRY(get_product(variant, &spec, prepared, FORWARD));
    spec.m = dense->units % dense->block;
    return spec.m > 0 ? get_product(variant, &spec, prepared, FORWARD_REST) : LS_OK;
}

static ls_status prepare_weights(const ls_dense *dense, const ls_variant *variant,
                                 ls_prepared *prepared) {
    ls_product_spec spec = {.type = dense->type,
                            .transpose_a = true,
                            .m = dense->block,
                            .n = dense->inputs,
                            .k = variant->samples,
                            .lda = dense->units,
                            .ldb = dense->inputs,
                            .ldc = dense->inputs};
    LS_TRY(get_product(variant, &spec, prepared, WEIGHTS));
    spec.m = dense->units % dense->block;
    return spec.m > 0 ? get_product(variant, &spec, prepared, WEIGHTS_REST) : LS_OK;
}

static ls_status prepare_data(const ls_dense *dense, const ls_variant *variant,
                              ls_prepared *prepared) {
    ls_product_spec spec = {.type = dense->type,
                            .result = dense->type,
                            .m = variant->samples,
                            .n = dense->inputs,
                            .k = dense->data_block,
                            .lda = dense->units,
                            .ldb = dense->inputs,
                            .ldc = dense->inputs};
    LS_TRY(get_product(variant, &spec, prepared, DATA));
    if (dense->data_block == dense->units)
        return LS_OK;
    spec.add = true;
    LS_TRY(get_product(variant, &spec, prepared, DATA_MORE));
    spec.k = dense->units % dense->data_block;
    return spec.k > 0 ? get_product(variant, &spec, prepared, DATA_REST) : LS_OK;
}

/* Of a slot's workspace: in float32 x^T (inputs, samples), then y^T (units, samples). */
static size_t transposed_input_floats(const ls_dense *dense, int64_t samples) {
    bool transposed = dense->type == LS_COMPUTE_FLOAT32;
    return transposed ? ls_align_floats((size_t)(dense->inputs * samples)) : 0;
}

static float *transposed_output(const ls_dense *dense, const ls_work *work) {
    return (float *)work->workspace + transposed_input_floats(dense, work->samples);
}

/* Of the scratch: the library's, then floats: y, or a block of gradients for each thread. */
static size_t library_scratch(const ls_prepared *prepared) {
    size_t bytes = 0;
    for (int i = 0; i < prepared->products; i++)
        if (prepared->product[i])
            bytes = larger(bytes, ls_product_scratch(prepared->product[i]));
    return ls_align_bytes(bytes);
}

static float *scratch_floats(const ls_work *work) {
    return (float *)((unsigned char *)work->scratch + library_scratch(work->prepared));
}

static ls_status dense_prepare(ls_op *op, ls_variant *variant, ls_prepared *prepared) {
    const ls_dense *dense = (const ls_dense *)op;
    const ls_value *values = variant->net->values;
    ls_compute_type type = values[op->out[0]].type;
    size_t outputs = (size_t)(dense->units * variant->samples);
    size_t block = (size_t)(dense->block * dense->inputs);
    LS_TRY(prepare_forward(dense, variant, prepared));
    if (ls_variant_trains(variant, op)) {
        LS_TRY(prepare_weights(dense, variant, prepared));
        if (values[op->in[0]].needs_gradient)
            LS_TRY(prepare_data(dense, variant, prepared));
    }
    prepared->workspace =
        sizeof(float) * (transposed_input_floats(dense, variant->samples) + outputs);
    block *= (size_t)ls_threads();
    prepared->scratch = library_scratch(prepared) + sizeof(float) * larger(block, outputs);
    return ls_variant_plain(variant, op->out[0], type, &variant->layouts[op->out[0]]);
}

/* ---- passes --------------------------------------------------------------------------------- */

/* Product `which` of a block of `rows`, or its REST. */
static ls_status multiply(const ls_dense *dense, const ls_work *work, int which, int64_t rows,
                          const void *a, const void *b, void *c) {
    const ls_product *product = work->prepared->product[rows == dense->block ? which : which + 1];
    return ls_product_run(product, a, b, c, work->scratch);
}

/* The weights from a row on, as the products take them. */
static const void *weights_at(const ls_dense *dense, const ls_net *net, int64_t row) {
    size_t param = dense->op.first_param, first = (size_t)(row * dense->inputs);
    if (dense->type == LS_COMPUTE_FLOAT32)
        return ls_param_data(net, param) + first;
    return net->rounded + net->params.entries[param].param.offset + first;
}

/* The same element of an array of the products' type further on. */
static const void *element_at(const ls_dense *dense, const void *array, int64_t index) {
    return (const unsigned char *)array + ls_type_bytes(dense->type) * (size_t)index;
}

static void write_output(const ls_dense *dense, const ls_net *net, const ls_work *work) {
    bool rounded = net->values[dense->op.out[0]].type != LS_COMPUTE_FLOAT32;
    float *y = rounded ? scratch_floats(work) : work->out[0];
    ls_loop_transpose(dense->units, work->samples, transposed_output(dense, work), y);
    if (dense->bias)
        ls_loop_add_bias(work->samples, dense->units, ls_param_data(net, dense->op.first_param + 1),
                         y);
    if (rounded)
        ls_loop_round((size_t)(work->samples * dense->units), y, work->out[0]);
}

/* A pass over blocks of the weights, or over slots. */
typedef struct ls_dense_pass {
    const ls_dense *dense;
    ls_plan *plan;
    int64_t first; /* unit, or row */
} ls_dense_pass;

/* Products in bf16 share the library's scratch: they come one after the other. */
static ls_status run_units(const ls_dense *dense, int64_t count, ls_loop_body *body,
                           ls_dense_pass *pass) {
    if (dense->type == LS_COMPUTE_FLOAT32)
        return ls_parallel(count, body, pass);
    for (int64_t i = 0; i < count; i++)
        LS_TRY(body(pass, i));
    return LS_OK;
}

static int64_t blocks_of(const ls_dense *dense) {
    return (dense->units + dense->block - 1) / dense->block;
}

static ls_status transpose_input(void *context, int64_t slot) {
    const ls_dense_pass *pass = context;
    const ls_work *work = ls_op_work(pass->plan, &pass->dense->op, (int)slot);
    ls_loop_transpose(work->samples, pass->dense->inputs, work->in[0], work->workspace);
    return LS_OK;
}

/* Block by block, slot by slot within. */
static ls_status multiply_forward(void *context, int64_t index) {
    const ls_dense_pass *pass = context;
    const ls_dense *dense = pass->dense;
    const int slots = pass->plan->slot_count;
    const ls_work *work = ls_op_work(pass->plan, &dense->op, (int)(index % slots));
    int64_t first = index / slots * dense->block;
    return multiply(dense, work, FORWARD, ls_smaller(dense->block, dense->units - first),
                    weights_at(dense, pass->plan->net, first),
                    dense->type == LS_COMPUTE_FLOAT32 ? work->workspace : work->in[0],
                    transposed_output(dense, work) + first * work->samples);
}

static ls_status finish_output(void *context, int64_t slot) {
    const ls_dense_pass *pass = context;
    write_output(pass->dense, pass->plan->net, ls_op_work(pass->plan, &pass->dense->op, (int)slot));
    return LS_OK;
}

static ls_status dense_forward(ls_op *op, ls_plan *plan) {
    const ls_dense *dense = (const ls_dense *)op;
    const int slots = plan->slot_count;
    ls_dense_pass pass = {dense, plan, 0};
    if (dense->type == LS_COMPUTE_FLOAT32)
        LS_TRY(run_units(dense, slots, transpose_input, &pass));
    LS_TRY(run_units(dense, blocks_of(dense) * slots, multiply_forward, &pass));
    return run_units(dense, slots, finish_output, &pass);
}

/* The gradient of a float32 output into the products' type, in its place. */
static void round_gradient(const ls_dense *dense, const ls_plan *plan) {
    if (plan->net->values[dense->op.out[0]].type == dense->type)
        return;
    for (int slot = 0; slot < plan->slot_count; slot++) {
        const ls_work *work = ls_op_work(plan, &dense->op, slot);
        ls_loop_round_in_place((size_t)(work->samples * dense->units), work->out_gradient[0]);
    }
}

static void bias_gradient(const ls_dense *dense, ls_plan *plan) {
    size_t param = dense->op.first_param + 1, units = (size_t)dense->units;
    for (int slot = 0; slot < plan->slot_count; slot++) {
        const ls_work *work = ls_op_work(plan, &dense->op, slot);
        float *sums = scratch_floats(work);
        ls_loop_sum_rows(dense->type, work->samples, dense->units, work->out_gradient[0], sums);
        ls_plan_emit(plan, slot, param, 0, units, sums);
    }
    ls_plan_final(plan, param, 0, units);
}

/* The rows and the slot of the gradient's unit `index`: from the last block to the first, so that
 * what is final grows from the end, slot by slot within. */
typedef struct ls_dense_unit {
    int64_t first, rows;
    int slot;
} ls_dense_unit;

static ls_dense_unit gradient_unit(const ls_dense_pass *pass, int64_t index) {
    const ls_dense *dense = pass->dense;
    const int slots = pass->plan->slot_count;
    int64_t first = (blocks_of(dense) - 1 - index / slots) * dense->block;
    return (ls_dense_unit){first, ls_smaller(dense->block, dense->units - first),
                           (int)(index % slots)};
}

/* Where unit `index` of those that are made together is put. */
static float *gradient_of_unit(const ls_dense_pass *pass, int64_t index) {
    const ls_dense *dense = pass->dense;
    return scratch_floats(ls_op_work(pass->plan, &dense->op, 0)) +
           index * dense->block * dense->inputs;
}

static ls_status multiply_gradient(void *context, int64_t index) {
    const ls_dense_pass *pass = context;
    const ls_dense_unit unit = gradient_unit(pass, pass->first + index);
    const ls_work *work = ls_op_work(pass->plan, &pass->dense->op, unit.slot);
    return multiply(pass->dense, work, WEIGHTS, unit.rows,
                    element_at(pass->dense, work->out_gradient[0], unit.first), work->in[0],
                    gradient_of_unit(pass, index));
}

static void emit_gradient(const ls_dense_pass *pass, int64_t index) {
    const ls_dense_unit unit = gradient_unit(pass, pass->first + index);
    const size_t param = pass->dense->op.first_param, K = (size_t)pass->dense->inputs;
    size_t start = (size_t)unit.first * K, count = (size_t)unit.rows * K;
    ls_plan_emit(pass->plan, unit.slot, param, start, count, gradient_of_unit(pass, index));
    if (unit.slot == pass->plan->slot_count - 1)
        ls_plan_final(pass->plan, param, start, count);
}

/* dW = dy^T x: a unit for each thread, then all of these to the sink. */
static ls_status weight_gradient(const ls_dense *dense, ls_plan *plan) {
    const int64_t units = blocks_of(dense) * plan->slot_count;
    ls_dense_pass pass = {dense, plan, 0};
    for (; pass.first < units; pass.first += ls_threads()) {
        int64_t count = ls_smaller(ls_threads(), units - pass.first);
        LS_TRY(run_units(dense, count, multiply_gradient, &pass));
        for (int64_t i = 0; i < count; i++)
            emit_gradient(&pass, i);
    }
    return LS_OK;
}

static ls_status add_input_gradient(void *context, int64_t slot) {
    const ls_dense_pass *pass = context;
    const ls_dense *dense = pass->dense;
    const ls_work *work = ls_op_work(pass->plan, &dense->op, (int)slot);
    bool whole = dense->data_block <= dense->units - pass->first;
    int which = pass->first == 0 ? DATA : whole ? DATA_MORE : DATA_REST;
    return ls_product_run(
        work->prepared->product[which], element_at(dense, work->out_gradient[0], pass->first),
        weights_at(dense, pass->plan->net, pass->first), work->in_gradient[0], work->scratch);
}

/* dx = dy W, in float32 summed over blocks of the units. */
static ls_status input_gradient(const ls_dense *dense, ls_plan *plan) {
    ls_dense_pass pass = {dense, plan, 0};
    for (; pass.first < dense->units; pass.first += dense->data_block)
        LS_TRY(run_units(dense, plan->slot_count, add_input_gradient, &pass));
    return LS_OK;
}

static ls_status dense_backward(ls_op *op, ls_plan *plan) {
    const ls_dense *dense = (const ls_dense *)op;
    round_gradient(dense, plan);
    if (dense->bias)
        bias_gradient(dense, plan);
    LS_TRY(weight_gradient(dense, plan));
    bool wanted = plan->net->values[op->in[0]].needs_gradient;
    return wanted ? input_gradient(dense, plan) : LS_OK;
}

static const char *name_of(const ls_prepared *prepared, int which) {
    return prepared->product[which] ? ls_product_name(prepared->product[which]) : NULL;
}

static void name_kernels(const ls_prepared *prepared, ls_pass_work *forward,
                         ls_pass_work *backward) {
    forward->kernel[0] = name_of(prepared, FORWARD);
    backward->kernel[0] = name_of(prepared, WEIGHTS);
    backward->kernel[1] = name_of(prepared, DATA);
}

static const ls_op_class DENSE = {.products = PRODUCTS,
                                  .prepare = dense_prepare,
                                  .forward_all = dense_forward,
                                  .backward_all = dense_backward,
                                  .name_kernels = name_kernels};

/* ---- building ------------------------------------------------------------------------------- */

void ls_dense_give_float32(const ls_builder *builder, int value) {
    if (ls_builder_producer(builder, &DENSE, value))
        builder->net->values[value].type = LS_COMPUTE_FLOAT32;
}

static int64_t rows_per_block(ls_compute_type type, int64_t inputs, int64_t units) {
    int64_t rows = BLOCK_BYTES / (int64_t)ls_type_bytes(type) / inputs / BLOCK_GRAIN * BLOCK_GRAIN;
    rows = rows < BLOCK_GRAIN ? BLOCK_GRAIN : rows;
    return rows < units ? rows : units;
}

/* In bf16 dx is one product, which the library blocks itself: it cannot add to one. */
static void set_type(ls_dense *dense, ls_compute_type type) {
    dense->type = type;
    dense->block = rows_per_block(type, dense->inputs, dense->units);
    dense->data_block =
        type == LS_COMPUTE_FLOAT32 ? ls_smaller(DATA_ROWS, dense->units) : dense->units;
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
    LS_TRY(ls_builder_append(builder, &dense->op, &in, &shape));
    set_type(dense, builder->net->type);
    const int64_t weight[] = {dense->units, dense->inputs};
    ls_start start = ls_weight_start(builder->init, (double)dense->inputs, (double)dense->units);
    LS_TRY(ls_builder_param(builder, &dense->op, "weight", LS_PARAM_WEIGHT, 2, weight, start));
    if (dense->bias)
        LS_TRY(ls_builder_param(builder, &dense->op, "bias", LS_PARAM_BIAS, 1, &dense->units,
                                (ls_start){LS_START_CONSTANT, 0}));
    dense->op.flops = 2.0 * (double)dense->inputs * (double)dense->units;
    *out = dense->op.out[0];
    return LS_OK;
}
