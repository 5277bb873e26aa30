/* nn, inside: a plan: slots with their memory, and the pass in progress. */
#ifndef LOCKSTEP_NN_PLAN_H
#define LOCKSTEP_NN_PLAN_H

#include "nn/net.h"

typedef struct ls_slot {
    int64_t samples;
    ls_variant *variant;
    size_t base; /* of its buffers in the arena */
    float *input, *targets, *statistics;
    int32_t *classes;
    uint64_t *sample_ids;
    ls_slice_result result;
} ls_slot;

struct ls_plan {
    ls_net *net;
    ls_mode mode;
    int slot_count;
    ls_slot *slots;
    ls_work *work;         /* [operation][slot] */
    unsigned char *memory; /* of the slots' own arrays */
    size_t memory_bytes;
    int lanes;            /* slots that run at a time: one for each thread, as far as they go */
    size_t scratch_bytes; /* of a lane; at the start of the arena */
    size_t loops_bytes;   /* of a thread; behind it */
    size_t arena_bytes;
    uint64_t addresses; /* of the net, when the calls were made; 0: never */

    /* the pass in progress */
    uint64_t seed;
    uint32_t epoch;
    float loss_scale;
    const ls_grad_sink *sink;
};

static inline ls_work *ls_op_work(const ls_plan *plan, const ls_op *op, int slot) {
    return &plan->work[op->index * (size_t)plan->slot_count + (size_t)slot];
}

/* Elements of a value in a slot, paddings of its layout included. */
size_t ls_plan_elements(const ls_plan *plan, int value, int slot);
/* Hands elements [first, first + count) of a parameter's gradient to the sink, in pieces that stay
 * in cache. */
void ls_plan_emit(const ls_plan *plan, int slot, size_t param, size_t first, size_t count,
                  const float *gradient);
/* Elements [first, first + count) have come for all slots. */
void ls_plan_final(const ls_plan *plan, size_t param, size_t first, size_t count);

/* The loss of a slot, and in training its gradient by the output, still without loss_scale. */
ls_status ls_loss_forward(const ls_plan *plan, ls_slot *slot, const float *output, float *gradient);

#endif
