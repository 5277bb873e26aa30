/* nn: dropout (Srivastava et al. 2014), inverted: what is kept is scaled by 1 / (1 - rate).  The
 * mask is a pure function of (seed, epoch, sample id, layer, element).
 *
 * Philox key: of the stream LS_STREAM_DROPOUT.  Counter, for elements 4k to 4k + 3 of a sample in
 * row-major order: { k, sample id (low 32 bits), sample id (next 16 bits) | layer << 16, epoch };
 * word i of the four is element 4k + i, which is kept if ls_unit_float(word) >= rate. */
#include <math.h>

#include "nn/loops.h"
#include "nn/plan.h"

enum { COUNTERS = 64 }; /* drawn at a time */

typedef struct ls_dropout {
    ls_op op;
    double rate;
    uint32_t number; /* counts the net's dropout layers */
} ls_dropout;

static ls_status dropout_prepare(ls_op *op, ls_variant *variant, ls_prepared *prepared) {
    variant->layouts[op->out[0]] = ls_layout_of(variant, op->in[0]);
    if (variant->mode == LS_MODE_EVALUATE) {
        prepared->forward = LS_ALIAS;
        return LS_OK;
    }
    prepared->forward = prepared->backward[0] = LS_IN_PLACE;
    prepared->workspace = ls_layout_elements(ls_layout_of(variant, op->in[0]));
    return LS_OK;
}

/* One byte an element, 1: keep. */
static void draw_mask(const ls_dropout *dropout, const ls_plan *plan, uint64_t sample,
                      size_t elements, uint8_t *keep) {
    uint32_t threshold = (uint32_t)ceil(dropout->rate * 0x1p24); /* of the upper 24 bits */
    uint32_t key[2], words[4 * COUNTERS];
    uint32_t counter[4] = {0, (uint32_t)sample,
                           (uint32_t)(sample >> 32 & 0xffff) | dropout->number << 16, plan->epoch};
    ls_stream_key(plan->seed, LS_STREAM_DROPOUT, key);
    for (size_t i = 0; i < elements; i += 4 * COUNTERS) {
        size_t left = elements - i, count = left < 4 * COUNTERS ? left : 4 * COUNTERS;
        counter[0] = (uint32_t)(i / 4);
        ls_philox_run(key, counter, (count + 3) / 4, words);
        for (size_t k = 0; k < count; k++)
            keep[i + k] = words[k] >> 8 >= threshold;
    }
}

static float kept_scale(const ls_dropout *dropout) {
    return (float)(1.0 / (1.0 - dropout->rate));
}

static ls_status dropout_forward(ls_op *op, ls_plan *plan, int slot) {
    const ls_dropout *dropout = (const ls_dropout *)op;
    const ls_work *work = ls_op_work(plan, op, slot);
    if (plan->mode == LS_MODE_EVALUATE)
        return LS_OK;
    size_t count = ls_plan_elements(plan, op->in[0], slot);
    size_t elements = count / (size_t)work->samples;
    for (int64_t n = 0; n < work->samples; n++)
        draw_mask(dropout, plan, work->sample_ids[n], elements,
                  (uint8_t *)work->workspace + (size_t)n * elements);
    ls_loop_mask(plan->net->type, count, kept_scale(dropout), work->workspace, work->in[0],
                 work->out[0]);
    return LS_OK;
}

static ls_status dropout_backward(ls_op *op, ls_plan *plan, int slot) {
    const ls_work *work = ls_op_work(plan, op, slot);
    ls_loop_mask(plan->net->type, ls_plan_elements(plan, op->in[0], slot),
                 kept_scale((const ls_dropout *)op), work->workspace, work->out_gradient[0],
                 work->in_gradient[0]);
    return LS_OK;
}

static const ls_op_class DROPOUT = {
    .prepare = dropout_prepare, .forward = dropout_forward, .backward = dropout_backward};

ls_status ls_dropout_add(ls_builder *builder, const ls_layer_spec *layer, int in, int *out) {
    const ls_shape shape = *ls_builder_shape(builder, in);
    double rate = layer->dropout.rate;
    if (!(rate >= 0 && rate < 1))
        return ls_layer_fail(builder, layer, "its rate %g is not in [0, 1)", rate);
    LS_TRY(ls_plain_add(builder, in, &shape, &in)); /* elements are counted in row-major order */
    ls_dropout *dropout;
    LS_TRY(LS_NEW(dropout, 1));
    dropout->op = (ls_op){.class = &DROPOUT, .ins = 1, .outs = 1, .keeps_workspace = true};
    dropout->rate = rate;
    dropout->number = (uint32_t)builder->net->dropouts++;
    LS_TRY(ls_builder_append(builder, &dropout->op, &in, &shape));
    *out = dropout->op.out[0];
    return LS_OK;
}
