/* One step: forward, rank 0's decision while backward runs, exchange, update. */
#include <math.h>
#include <string.h>

#include "train/engine.h"

enum { MOST_PASSES = 3 }; /* a second one has the right exponents */

typedef struct ls_step {
    ls_engine *engine;
    const ls_batch_plan *plan;
    int64_t epoch, batch, number; /* number: since the start of epoch 0 */
    ls_decide *decide;
    void *context;
    bool decided; /* the broadcast of the decision was started */
    bool agreed;  /* all ranks know of the failure */
    ls_step_report *report;
    ls_recorder *recorder; /* NULL: none */
    double mark;           /* start of the phase that runs */
} ls_step;

const char *ls_phase_name(ls_phase phase) {
    static const char *const names[LS_PHASE_COUNT] = {"data",     "forward",  "control",
                                                      "backward", "exchange", "update"};
    return names[phase];
}

double ls_phases_work(const double seconds[LS_PHASE_COUNT]) {
    return seconds[LS_PHASE_DATA] + seconds[LS_PHASE_FORWARD] + seconds[LS_PHASE_BACKWARD];
}

static void end_phase(ls_step *step, ls_phase phase) {
    double now = ls_seconds();
    step->report->seconds[phase] += now - step->mark;
    if (step->recorder)
        ls_record(step->recorder, LS_EVENT_PHASE, phase, step->mark, now);
    step->mark = now;
}

/* ---- decision ------------------------------------------------------------------------------- */

/* Rank 0: adds up what the slices gave, in their order. */
static void add_losses(ls_step *step, ls_orders *orders) {
    ls_engine *engine = step->engine;
    double sum = 0, constant = 0;
    for (int slice = 0; slice < engine->slices; slice++) {
        int64_t first, count;
        const ls_forward_row *row = ls_gather_row(engine->control->rows, slice);
        ls_slice_samples(step->report->samples, engine->slices, slice, &first, &count);
        sum += row->loss;
        constant += row->constant;
        orders->correct += row->correct;
        orders->stop_requested |= row->stop_requested != 0;
        orders->failed |= row->status != LS_OK;
        engine->control->slice_loss[slice] = count > 0 ? row->loss / (double)count : (double)NAN;
        engine->control->slice_gain[slice] =
            count > 0 ? (row->constant - row->loss) / (double)count : (double)NAN;
    }
    /* NaN of either sign: "-nan" is for nobody */
    orders->loss = isnan(sum) ? (double)NAN : sum / (double)step->report->samples;
    orders->gain = isnan(sum) ? (double)NAN : (constant - sum) / (double)step->report->samples;
}

static void report_losses(const ls_step *step, const ls_orders *orders) {
    step->report->loss = orders->loss;
    step->report->gain = orders->gain;
    step->report->correct = orders->correct;
    step->report->stop_requested = orders->stop_requested;
    step->report->slice_loss = step->engine->control->slice_loss;
    step->report->slice_gain = step->engine->control->slice_gain;
}

/* Sends the losses, the statistics and, on all but rank 0, posts the broadcast that will follow.
 * Every rank starts them in this order: losses, maxima of the statistics, decision, their sums. */
static ls_status open_control(ls_step *step, ls_status status) {
    ls_engine *engine = step->engine;
    const ls_plan *plan = status == LS_OK ? step->plan->plan : NULL;
    LS_TRY(ls_gather_start(engine->control->rows));
    LS_TRY(ls_statistics_start(engine->control->statistics, plan, step->report->samples));
    if (ls_comm_rank(engine->comm) == 0)
        return LS_OK;
    step->decided = true;
    return ls_broadcast_start(engine->control->orders);
}

static void set_rates(const ls_engine *engine, ls_orders *orders) {
    const ls_decision *decision = &orders->decision;
    ls_rates *rates = &orders->rates;
    rates->lr = (float)decision->lr;
    rates->momentum = (float)decision->momentum;
    ls_adam_corrections(decision->momentum, engine->config->train.beta2,
                        engine->weights->updates + 1, &rates->correction1, &rates->correction2);
}

static ls_status broadcast_decision(ls_step *step) {
    ls_engine *engine = step->engine;
    ls_orders *orders = ls_broadcast_data(engine->control->orders);
    *orders = (ls_orders){.decision = {.stop = true}};
    add_losses(step, orders);
    report_losses(step, orders);
    if (!orders->failed)
        orders->decision = step->decide(step->context, step->report);
    if (engine->control->carried)
        memcpy(orders->carried, engine->control->carried, engine->control->carried_size);
    set_rates(engine, orders);
    step->decided = true;
    return ls_broadcast_start(engine->control->orders);
}

ls_status ls_control_create(ls_comm *comm, const ls_net *net, int slices, ls_control **control) {
    ls_control *made = NULL;
    ls_status status = LS_OK;
    LS_TRY(LS_NEW(made, 1));
    LS_TRY_GOTO(fail, ls_gather_create(comm, slices, sizeof(ls_forward_row), &made->rows));
    LS_TRY_GOTO(fail, ls_statistics_create(comm, net, &made->statistics));
    LS_TRY_GOTO(fail, ls_broadcast_create(comm, sizeof(ls_orders), &made->orders));
    if (ls_comm_rank(comm) == 0) {
        LS_TRY_GOTO(fail, LS_NEW(made->slice_loss, 2 * (size_t)slices));
        made->slice_gain = made->slice_loss + slices;
    }
    *control = made;
    return LS_OK;
fail:
    ls_control_free(made);
    return status;
}

void ls_control_free(ls_control *control) {
    if (control == NULL)
        return;
    ls_free(control->slice_loss);
    ls_broadcast_free(control->orders);
    ls_statistics_free(control->statistics);
    ls_gather_free(control->rows);
    ls_free(control);
}

ls_status ls_engine_carry(ls_engine *engine, void *what, size_t size) {
    LS_REQUIRE(size <= LS_MOST_CARRIED);
    engine->control->carried = what;
    engine->control->carried_size = size;
    return LS_OK;
}

/* Between layers of the backward pass.  What fails comes again when it is waited for. */
static void poll_control(void *context) {
    ls_step *step = context;
    ls_engine *engine = step->engine;
    bool here = ls_gather_test(engine->control->rows);
    if (!step->decided) { /* rank 0 */
        if (!here || broadcast_decision(step) != LS_OK)
            return;
    }
    ls_broadcast_test(engine->control->orders);
    ls_statistics_poll(engine->control->statistics);
}

static ls_status close_control(ls_step *step, const ls_orders **orders) {
    ls_engine *engine = step->engine;
    LS_TRY(ls_gather_wait(engine->control->rows));
    if (!step->decided)
        LS_TRY(broadcast_decision(step));
    LS_TRY(ls_broadcast_wait(engine->control->orders));
    LS_TRY(ls_statistics_wait(engine->control->statistics));
    *orders = ls_broadcast_data(engine->control->orders);
    if (engine->control->carried)
        memcpy(engine->control->carried, (*orders)->carried, engine->control->carried_size);
    report_losses(step, *orders);
    return LS_OK;
}

/* ---- passes --------------------------------------------------------------------------------- */

static ls_status fill(ls_step *step) {
    ls_engine *engine = step->engine;
    LS_TRY(ls_batch_begin(engine, engine->train, step->report->samples, step->epoch, step->batch));
    LS_TRY(ls_batch_plan_get(engine, LS_MODE_TRAIN, step->report->samples, &step->plan));
    LS_TRY(ls_batch_fill(engine, step->plan, engine->train, step->epoch, step->batch));
    end_phase(step, LS_PHASE_DATA);
    return LS_OK;
}

static ls_status forward(ls_step *step) {
    ls_engine *engine = step->engine;
    if (step->plan->plan)
        LS_TRY(ls_plan_forward(step->plan->plan, (uint64_t)engine->config->seed,
                               (uint32_t)step->epoch));
    end_phase(step, LS_PHASE_FORWARD);
    return LS_OK;
}

/* Of a slice's gradient, while in cache. */
typedef struct ls_block {
    ls_quantizer *quantizer;
    int slice;
    size_t param, offset;
    const float *gradient;
} ls_block;

static void quantise(void *context, size_t offset, size_t count, bool first, void *addends) {
    const ls_block *block = context;
    ls_quantizer_add(block->quantizer, block->slice, block->param, count,
                     block->gradient + (offset - block->offset), first, addends);
}

static void take_block(void *context, int slot, size_t param, size_t offset, size_t count,
                       const float *gradient) {
    const ls_step *step = context;
    ls_engine *engine = step->engine;
    ls_block block = {engine->quantizer, step->plan->slice[slot], param, offset, gradient};
    ls_exchange_add(engine->exchange, offset, count, slot == 0, quantise, &block);
    if (engine->quantizer->measures && !engine->weights->frozen[param])
        ls_quantizer_add_squares(engine->quantizer, param, count, gradient);
}

static void take_final(void *context, size_t offset, size_t count) {
    ls_step *step = context;
    (void)count;
    ls_exchange_final(step->engine->exchange, offset);
    poll_control(step);
    ls_data_poll(step->engine->train);
}

static ls_status backward(ls_step *step) {
    ls_engine *engine = step->engine;
    const ls_batch_plan *plan = step->plan;
    const ls_grad_sink sink = {.context = step, .block = take_block, .final = take_final};
    ls_exchange_begin(engine->exchange);
    ls_quantizer_begin(engine->quantizer);
    if (plan->plan)
        LS_TRY(ls_plan_backward(plan->plan, 1.0f / (float)plan->samples, &sink));
    else
        ls_exchange_add_zeros(engine->exchange);
    ls_exchange_final(engine->exchange, 0);
    end_phase(step, LS_PHASE_BACKWARD);
    return LS_OK;
}

/* Of a rank that has no gradient: nobody will want the sums. */
static void add_nothing(ls_engine *engine) {
    ls_exchange_begin(engine->exchange);
    ls_exchange_final(engine->exchange, 0);
}

/* Forward and backward, with the losses and the decision on their way meanwhile.  What fails on a
 * rank before it gives its losses travels with them: all ranks return it. */
static ls_status run_first_pass(ls_step *step, ls_decision *decision) {
    ls_engine *engine = step->engine;
    const ls_orders *orders;
    ls_status status = fill(step);
    if (status == LS_OK)
        status = forward(step);
    ls_batch_publish(engine, step->plan, status);
    LS_TRY(open_control(step, status));
    if (status == LS_OK)
        LS_TRY(backward(step));
    else
        add_nothing(engine);
    LS_TRY(close_control(step, &orders));
    *decision = orders->decision;
    if (!orders->failed)
        return LS_OK;
    LS_TRY(ls_exchange_discard(engine->exchange));
    step->agreed = true;
    return ls_comm_agree(engine->comm, status);
}

static ls_status run_pass(ls_step *step) {
    LS_TRY(forward(step));
    return backward(step);
}

/* Until the fixed-point exponents suit the gradients: as a rule once. */
static ls_status run_passes(ls_step *step, ls_decision *decision) {
    ls_engine *engine = step->engine;
    for (int pass = 0; pass < MOST_PASSES; pass++) {
        bool fits;
        LS_TRY(pass == 0 ? run_first_pass(step, decision) : run_pass(step));
        end_phase(step, LS_PHASE_CONTROL);
        if (decision->stop)
            return ls_exchange_discard(engine->exchange);
        ls_status status = ls_quantizer_check(engine->quantizer, step->number, &fits);
        end_phase(step, LS_PHASE_EXCHANGE);
        if (status == LS_OK && fits)
            return LS_OK;
        LS_TRY(ls_exchange_discard(engine->exchange));
        step->agreed = true; /* a gradient that is not finite */
        LS_TRY(status);
        step->agreed = false;
        ls_quantizer_next(engine->quantizer);
        step->report->redone++;
    }
    return ls_fail(LS_ERR_BUG, "fixed-point exponents of step %lld found no fit",
                   (long long)step->number);
}

/* ---- the step ------------------------------------------------------------------------------- */

static ls_status apply(ls_step *step) {
    ls_engine *engine = step->engine;
    /* By one rank of the node, before the exchange's closing barrier shows them to the others. */
    if (ls_comm_node_rank(engine->comm) == 0)
        ls_statistics_merge(engine->control->statistics, engine->weights->params);
    const ls_orders *orders = ls_broadcast_data(engine->control->orders);
    LS_TRY(ls_updater_apply(engine->updater, &orders->rates));
    ls_quantizer_next(engine->quantizer);
    ls_net_params_changed(engine->net);
    step->report->gradient_norm = ls_updater_norm(engine->updater);
    end_phase(step, LS_PHASE_UPDATE);
    double waited = ls_exchange_waited(engine->exchange);
    step->report->seconds[LS_PHASE_UPDATE] -= waited;
    step->report->seconds[LS_PHASE_EXCHANGE] += waited;
    return LS_OK;
}

static ls_status take(ls_step *step, ls_decision *decision) {
    LS_TRY(run_passes(step, decision));
    return decision->stop ? LS_OK : apply(step);
}

/* The recorder of the step that begins, if it is one of those to note. */
static ls_recorder *step_recorder(ls_engine *engine) {
    if (engine->recorder == NULL || engine->record_skip-- > 0 || engine->record_steps-- <= 0)
        return NULL;
    return engine->recorder;
}

static void record_into(ls_engine *engine, ls_recorder *recorder) {
    ls_net_record(engine->net, recorder);
    ls_exchange_record(engine->exchange, recorder);
}

ls_status ls_engine_step(ls_engine *engine, int64_t epoch, int64_t batch, ls_decide *decide,
                         void *context, ls_decision *decision, ls_step_report *report) {
    int64_t samples = ls_batch_samples(engine, ls_data_count(engine->train), batch);
    ls_step step = {.engine = engine,
                    .epoch = epoch,
                    .batch = batch,
                    .number = epoch * ls_engine_steps_per_epoch(engine) + batch,
                    .decide = decide,
                    .context = context,
                    .report = report,
                    .recorder = step_recorder(engine),
                    .mark = ls_seconds()};
    double start = step.mark;
    LS_REQUIRE(samples > 0);
    LS_TRY(ls_comm_check(engine->comm));
    *report = (ls_step_report){.samples = samples, .gradient_norm = (double)NAN};
    record_into(engine, step.recorder);
    ls_status status = take(&step, decision);
    record_into(engine, NULL);
    ls_record_end(step.recorder, LS_EVENT_STEP, step.number, start);
    if (status != LS_OK && !step.agreed && ls_comm_size(engine->comm) > 1)
        ls_comm_break(engine->comm, status);
    return status;
}
