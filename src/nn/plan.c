/* nn: plans: memory and calls for given slices, and the passes over them. */

#include "nn/plan.h"

#include <math.h>

#include "lockstep/threads.h"
#include "nn/loops.h"

enum { PIECE_FLOATS = 32768 }; /* 128 KiB: what the sink gets at a time */

/* ---- making --------------------------------------------------------------------------------- */

/* Takes room for an array in a block, or places it there once the block is known. */
static void *carve(unsigned char *block, size_t *used, size_t bytes) {
    void *place = block ? block + *used : NULL;
    *used += ls_align_bytes(bytes);
    return place;
}

/* The slot's own arrays; called with NULL first, to learn how much they need. */
static void carve_slot(const ls_net *net, ls_slot *slot, unsigned char *block, size_t *used) {
    size_t samples = (size_t)slot->samples, outputs = (size_t)net->outputs;
    size_t inputs = (size_t)ls_shape_elements(&net->input);
    bool classes = net->loss == LS_LOSS_CROSS_ENTROPY;
    bool train = slot->variant->mode == LS_MODE_TRAIN;
    slot->input = carve(block, used, sizeof(float) * samples * inputs);
    slot->sample_ids = carve(block, used, sizeof(uint64_t) * samples);
    if (classes)
        slot->classes = carve(block, used, sizeof(int32_t) * samples);
    else
        slot->targets = carve(block, used, sizeof(float) * samples * outputs);
    if (train)
        slot->statistics = carve(block, used, sizeof(float) * net->statistics_space);
}

static ls_status make_slots(ls_plan *plan, const int64_t *samples) {
    ls_net *net = plan->net;
    size_t count = (size_t)plan->slot_count;
    LS_TRY(LS_NEW(plan->slots, count));
    LS_TRY(LS_NEW(plan->work, count * net->op_count));
    for (size_t i = 0; i < count; i++) {
        ls_slot *slot = &plan->slots[i];
        LS_REQUIRE(samples[i] >= 1);
        slot->samples = samples[i];
        LS_TRY(ls_variant_get(net, plan->mode, samples[i], &slot->variant));
        if (slot->variant->scratch > plan->scratch_bytes)
            plan->scratch_bytes = ls_align_bytes(slot->variant->scratch);
        if (slot->variant->loops > plan->loops_bytes)
            plan->loops_bytes = ls_align_bytes(slot->variant->loops);
        carve_slot(net, slot, NULL, &plan->memory_bytes);
    }
    plan->arena_bytes =
        (size_t)plan->lanes * plan->scratch_bytes + (size_t)ls_threads() * plan->loops_bytes;
    for (size_t i = 0; i < count; i++) {
        plan->slots[i].base = plan->arena_bytes;
        plan->arena_bytes += plan->slots[i].variant->bytes;
    }
    size_t used = 0;
    LS_TRY(LS_NEW(plan->memory, plan->memory_bytes));
    for (size_t i = 0; i < count; i++)
        carve_slot(net, &plan->slots[i], plan->memory, &used);
    net->plan_bytes += plan->memory_bytes;
    return LS_OK;
}

/* The arena is as large as the largest plan needs; plans bind anew when it has moved. */
static ls_status grow_arena(ls_net *net, size_t bytes) {
    if (bytes <= net->arena_bytes)
        return LS_OK;
    unsigned char *arena = ls_calloc(1, bytes);
    if (!arena)
        return LS_ERR_SYSTEM;
    ls_free(net->arena);
    net->arena = arena;
    net->arena_bytes = bytes;
    net->addresses++;
    net->active = NULL; /* what another pass left is lost */
    return LS_OK;
}

ls_status ls_plan_create(ls_net *net, ls_mode mode, int slots, const int64_t *samples,
                         ls_plan **plan) {
    LS_REQUIRE(slots >= 1);
    ls_plan *made;
    LS_TRY(LS_NEW(made, 1));
    made->net = net;
    made->mode = mode;
    made->slot_count = slots;
    made->lanes = slots < ls_threads() ? slots : ls_threads();
    ls_status status = make_slots(made, samples);
    if (status == LS_OK)
        status = grow_arena(net, made->arena_bytes);
    if (status != LS_OK)
        ls_plan_free(made);
    else
        *plan = made;
    return status;
}

static void free_calls(ls_work *work) {
    for (int k = 0; work->call && k < work->prepared->calls; k++)
        ls_call_free(work->call[k]);
    ls_free(work->call);
    work->call = NULL;
}

static void unbind(ls_plan *plan) {
    size_t count = plan->work ? plan->net->op_count * (size_t)plan->slot_count : 0;
    for (size_t i = 0; i < count; i++)
        free_calls(&plan->work[i]);
    plan->addresses = 0;
}

void ls_plan_free(ls_plan *plan) {
    if (!plan)
        return;
    if (plan->net->active == plan)
        plan->net->active = NULL;
    if (plan->memory)
        plan->net->plan_bytes -= plan->memory_bytes;
    unbind(plan);
    ls_free(plan->memory);
    ls_free(plan->work);
    ls_free(plan->slots);
    ls_free(plan);
}

/* ---- binding -------------------------------------------------------------------------------- */

static void *buffer_address(const ls_plan *plan, const ls_slot *slot, int buffer) {
    if (buffer == LS_NO_BUFFER)
        return NULL;
    if (buffer == LS_INPUT_BUFFER)
        return slot->input;
    return plan->net->arena + slot->base + slot->variant->buffers[buffer].offset;
}

static void *value_address(const ls_plan *plan, const ls_slot *slot, int value) {
    return buffer_address(plan, slot, slot->variant->value_buffer[value]);
}

static void *gradient_address(const ls_plan *plan, const ls_slot *slot, int value) {
    return buffer_address(plan, slot, slot->variant->gradient_buffer[value]);
}

static void set_work(const ls_plan *plan, const ls_op *op, const ls_slot *slot, ls_work *work) {
    work->prepared = &slot->variant->prepared[op->index];
    work->samples = slot->samples;
    for (int k = 0; k < op->ins; k++) {
        work->in[k] = value_address(plan, slot, op->in[k]);
        work->in_gradient[k] = gradient_address(plan, slot, op->in[k]);
    }
    for (int k = 0; k < op->outs; k++) {
        work->out[k] = value_address(plan, slot, op->out[k]);
        work->out_gradient[k] = gradient_address(plan, slot, op->out[k]);
    }
    work->workspace = buffer_address(plan, slot, slot->variant->workspace_buffer[op->index]);
    size_t lane = (size_t)(slot - plan->slots) % (size_t)plan->lanes;
    work->scratch = plan->net->arena + lane * plan->scratch_bytes;
    work->loops = plan->net->arena + (size_t)plan->lanes * plan->scratch_bytes;
    work->loops_step = plan->loops_bytes;
    work->statistics = slot->statistics;
    work->sample_ids = slot->sample_ids;
}

/* Makes the calls for the addresses that the net has now. */
static ls_status bind(ls_plan *plan) {
    ls_net *net = plan->net;
    if (plan->addresses == net->addresses)
        return LS_OK;
    unbind(plan);
    for (size_t i = 0; i < net->op_count; i++) {
        ls_op *op = net->ops[i];
        for (int slot = 0; slot < plan->slot_count; slot++) {
            ls_work *work = ls_op_work(plan, op, slot);
            set_work(plan, op, &plan->slots[slot], work);
            LS_TRY(LS_NEW(work->call, (size_t)work->prepared->calls));
            if (op->class->bind)
                LS_TRY(op->class->bind(op, net, work));
        }
    }
    plan->addresses = net->addresses;
    return LS_OK;
}

size_t ls_plan_elements(const ls_plan *plan, int value, int slot) {
    return ls_layout_elements(ls_layout_of(plan->slots[slot].variant, value));
}

/* ---- passes --------------------------------------------------------------------------------- */

/* Operations that take all slots at once part the network into runs.  Within a run a slot, or one
 * for each thread, passes all operations before the next starts: its arrays are still in cache.
 * With many slots a rank that is worth 3 to 7 % of a step of ResNet-20; with one or two it is the
 * same. */
static bool takes_all_slots(const ls_op *op) {
    return op->class->forward_all || op->class->backward_all;
}

static bool is_run_end(const ls_net *net, size_t end) {
    return end == 0 || end == net->op_count || takes_all_slots(net->ops[end - 1]) ||
           takes_all_slots(net->ops[end]);
}

/* Slots that pass an operation at the same time. */
typedef struct ls_wave {
    ls_plan *plan;
    int first, end;
    ls_op *op;
    ls_status (*pass)(ls_op *op, ls_plan *plan, int slot);
} ls_wave;

static ls_status run_slot(void *context, int64_t index) {
    const ls_wave *wave = context;
    return wave->pass(wave->op, wave->plan, wave->first + (int)index);
}

/* The time that equal pieces of one take, of which each thread does one at a time. */
static double time_of(double one, int pieces) {
    return one / pieces * ((pieces + ls_threads() - 1) / ls_threads());
}

/* In units of what a slot's takes: slots beside each other, or each shared by its parts. */
static double time_beside(const ls_wave *wave) {
    int slots = wave->end - wave->first;
    return time_of(slots, slots);
}

static double time_shared(const ls_wave *wave, const ls_op *op, int share) {
    int parts = wave->plan->slots[wave->first].variant->prepared[op->index].parts[share];
    return parts ? (wave->end - wave->first) * time_of(1, parts) : INFINITY;
}

/* One slot after the other. */
static ls_status run_in_order(const ls_wave *wave, ls_op *op,
                              ls_status (*pass)(ls_op *op, ls_plan *plan, int slot)) {
    for (int slot = wave->first; slot < wave->end && pass; slot++)
        LS_TRY(pass(op, wave->plan, slot));
    return LS_OK;
}

static ls_status run_either(void *context, int64_t index) {
    const ls_wave *wave = context;
    const ls_op_class *class = wave->op->class;
    int slot = wave->first + (int)(index / 2);
    return index % 2 ? class->backward(wave->op, wave->plan, slot)
                     : class->gradient(wave->op, wave->plan, slot);
}

/* Each slot in a thread, or one after the other where threads share each; NULL: nothing to do. */
static ls_status run_wave(ls_wave *wave, ls_op *op, int share,
                          ls_status (*pass)(ls_op *op, ls_plan *plan, int slot)) {
    wave->op = op;
    wave->pass = pass;
    if (time_shared(wave, op, share) < time_beside(wave))
        return run_in_order(wave, op, pass);
    return pass ? ls_parallel(wave->end - wave->first, run_slot, wave) : LS_OK;
}

/* Both gradients; at the same time where there are more threads than slots and that takes less. */
static ls_status run_gradients(ls_wave *wave, ls_op *op) {
    const ls_op_class *class = op->class;
    int slots = wave->end - wave->first;
    bool both =
        class->gradient && class->backward && wave->plan->net->values[op->in[0]].needs_gradient;
    double apart = fmin(time_shared(wave, op, LS_SHARE_GRADIENT), time_beside(wave)) +
                   fmin(time_shared(wave, op, LS_SHARE_BACKWARD), time_beside(wave));
    if (both && slots < ls_threads() && time_of(2 * slots, 2 * slots) < apart) {
        wave->op = op;
        LS_TRY(ls_parallel(2 * slots, run_either, wave));
        return run_in_order(wave, op, class->emit);
    }
    LS_TRY(run_wave(wave, op, LS_SHARE_GRADIENT, class->gradient));
    LS_TRY(run_in_order(wave, op, class->emit));
    return run_wave(wave, op, LS_SHARE_BACKWARD, class->backward);
}

/* The wave that begins with `slot` and passes operations up to the next that takes all slots. */
static ls_wave wave_from(ls_plan *plan, const ls_op *op, int slot) {
    int end = takes_all_slots(op) ? plan->slot_count : slot + plan->lanes;
    return (ls_wave){plan, slot, end < plan->slot_count ? end : plan->slot_count, NULL, NULL};
}

static ls_status forward_op(ls_wave *wave, size_t index) {
    ls_net *net = wave->plan->net;
    ls_op *op = net->ops[index];
    double start = ls_record_start(net->recorder);
    if (op->class->forward_all)
        LS_TRY(op->class->forward_all(op, wave->plan));
    LS_TRY(run_in_order(wave, op, op->class->refresh));
    LS_TRY(run_wave(wave, op, LS_SHARE_FORWARD, op->class->forward));
    ls_record_end(net->recorder, LS_EVENT_FORWARD, (int64_t)index, start);
    return LS_OK;
}

/* Operations [first, end). */
static ls_status forward_run(ls_plan *plan, size_t first, size_t end) {
    for (int slot = 0; slot < plan->slot_count;) {
        ls_wave wave = wave_from(plan, plan->net->ops[first], slot);
        for (size_t i = first; i < end; i++)
            LS_TRY(forward_op(&wave, i));
        slot = wave.end;
    }
    return LS_OK;
}

static ls_status forward_loss(ls_plan *plan) {
    const ls_net *net = plan->net;
    double start = ls_record_start(net->recorder);
    for (int i = 0; i < plan->slot_count; i++) {
        ls_slot *slot = &plan->slots[i];
        LS_TRY(ls_loss_forward(plan, slot, value_address(plan, slot, net->output),
                               gradient_address(plan, slot, net->output)));
    }
    ls_record_end(net->recorder, LS_EVENT_FORWARD, (int64_t)net->op_count, start);
    return LS_OK;
}

ls_status ls_plan_forward(ls_plan *plan, uint64_t seed, uint32_t epoch) {
    ls_net *net = plan->net;
    LS_REQUIRE(net->flat != NULL && (net->type == LS_COMPUTE_FLOAT32 || net->rounded != NULL));
    LS_TRY(bind(plan));
    net->active = NULL;
    plan->seed = seed;
    plan->epoch = epoch;
    for (size_t first = 0, end = 1; end <= net->op_count; end++)
        if (is_run_end(net, end)) {
            LS_TRY(forward_run(plan, first, end));
            first = end;
        }
    LS_TRY(forward_loss(plan));
    net->active = plan;
    return LS_OK;
}

static void finish_params(const ls_plan *plan, const ls_op *op) {
    for (size_t i = op->params; i > 0; i--) {
        size_t param = op->first_param + i - 1;
        ls_plan_final(plan, param, 0, plan->net->params.entries[param].param.count);
    }
}

static ls_status backward_op(ls_wave *wave, size_t index) {
    ls_net *net = wave->plan->net;
    ls_op *op = net->ops[index];
    if (!op->backward)
        return LS_OK;
    double start = ls_record_start(net->recorder);
    if (op->class->backward_all)
        LS_TRY(op->class->backward_all(op, wave->plan));
    LS_TRY(run_gradients(wave, op));
    if (!op->class->backward_all && wave->end == wave->plan->slot_count)
        finish_params(wave->plan, op);
    ls_record_end(net->recorder, LS_EVENT_BACKWARD, (int64_t)index, start);
    return LS_OK;
}

/* Operations [first, end), from the last.  Their gradients become final while the last slots pass,
 * so that the exchange of all but the last still overlaps. */
static ls_status backward_run(ls_plan *plan, size_t first, size_t end) {
    for (int slot = 0; slot < plan->slot_count;) {
        ls_wave wave = wave_from(plan, plan->net->ops[first], slot);
        for (size_t i = end; i > first; i--)
            LS_TRY(backward_op(&wave, i - 1));
        slot = wave.end;
    }
    return LS_OK;
}

static void backward_loss(const ls_plan *plan, float loss_scale) {
    const ls_net *net = plan->net;
    double start = ls_record_start(net->recorder);
    for (int i = 0; i < plan->slot_count; i++) {
        float *gradient = gradient_address(plan, &plan->slots[i], net->output);
        if (gradient)
            ls_loop_scale(LS_COMPUTE_FLOAT32, (size_t)(plan->slots[i].samples * net->outputs),
                          loss_scale, gradient, gradient);
    }
    ls_record_end(net->recorder, LS_EVENT_BACKWARD, (int64_t)net->op_count, start);
}

ls_status ls_plan_backward(ls_plan *plan, float loss_scale, const ls_grad_sink *sink) {
    ls_net *net = plan->net;
    LS_REQUIRE(plan->mode == LS_MODE_TRAIN && net->active == plan);
    net->active = NULL; /* gradients overwrite what the forward pass left */
    plan->sink = sink;
    backward_loss(plan, loss_scale);
    for (size_t end = net->op_count, first = end; first-- > 0;)
        if (is_run_end(net, first)) {
            LS_TRY(backward_run(plan, first, end));
            end = first;
        }
    return LS_OK;
}

/* What goes to the sink. */
typedef struct ls_emission {
    const ls_grad_sink *sink;
    int slot;
    size_t param, offset, count;
    const float *gradient;
} ls_emission;

static ls_status emit_piece(void *context, int64_t index) {
    const ls_emission *all = context;
    size_t done = (size_t)index * PIECE_FLOATS;
    size_t piece = all->count - done < PIECE_FLOATS ? all->count - done : PIECE_FLOATS;
    all->sink->block(all->sink->context, all->slot, all->param, all->offset + done, piece,
                     all->gradient + done);
    return LS_OK;
}

void ls_plan_emit(const ls_plan *plan, int slot, size_t param, size_t first, size_t count,
                  const float *gradient) {
    size_t offset = plan->net->params.entries[param].param.offset + first;
    ls_emission all = {plan->sink, slot, param, offset, count, gradient};
    double start = ls_record_start(plan->net->recorder);
    ls_parallel((int64_t)((count + PIECE_FLOATS - 1) / PIECE_FLOATS), emit_piece, &all);
    ls_record_end(plan->net->recorder, LS_EVENT_GRADIENT, (int64_t)param, start);
}

void ls_plan_final(const ls_plan *plan, size_t param, size_t first, size_t count) {
    size_t offset = plan->net->params.entries[param].param.offset + first;
    double start = ls_record_start(plan->net->recorder);
    plan->sink->final(plan->sink->context, offset, count);
    ls_record_end(plan->net->recorder, LS_EVENT_FINAL, (int64_t)param, start);
}

/* ---- what a plan shows ---------------------------------------------------------------------- */

int ls_plan_slots(const ls_plan *plan) {
    return plan->slot_count;
}

int64_t ls_plan_samples(const ls_plan *plan, int slot) {
    return plan->slots[slot].samples;
}

float *ls_plan_input(ls_plan *plan, int slot) {
    return plan->slots[slot].input;
}

int32_t *ls_plan_classes(ls_plan *plan, int slot) {
    return plan->slots[slot].classes;
}

float *ls_plan_targets(ls_plan *plan, int slot) {
    return plan->slots[slot].targets;
}

uint64_t *ls_plan_sample_ids(ls_plan *plan, int slot) {
    return plan->slots[slot].sample_ids;
}

ls_slice_result ls_plan_result(const ls_plan *plan, int slot) {
    return plan->slots[slot].result;
}

const float *ls_plan_output(const ls_plan *plan, int slot) {
    return value_address(plan, &plan->slots[slot], plan->net->output);
}

void ls_plan_statistics(const ls_plan *plan, int slot, float *out) {
    const ls_net *net = plan->net;
    const ls_slot *from = &plan->slots[slot];
    for (size_t i = net->trained_count; i < net->params.count; i++) {
        const ls_param_entry *entry = &net->params.entries[i];
        double n = (double)(from->samples * entry->spatial);
        bool unbias = entry->param.role == LS_PARAM_VARIANCE && n > 1;
        for (size_t k = 0; k < entry->param.count; k++) {
            double value = from->statistics[entry->place + k];
            out[entry->param.statistics + k] = (float)(unbias ? value * n / (n - 1) : value);
        }
    }
}
