/* The LR range test: one run with the LR ramped up each step.  Rank 0 smooths the loss, decides and
 * writes the curve; everybody obeys; afterwards the engine is as it was. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/curve_file.h"
#include "train/engine.h"
#include "train/evaluate.h"

/* What rank 0 says with its decision. */
typedef struct ls_find_lr_orders {
    ls_stop stop;
    bool asked, not_written; /* other reasons to stop */
} ls_find_lr_orders;

typedef struct ls_find_lr_run {
    ls_engine *engine;
    const ls_find_lr_config *config;
    const ls_find_lr_job *job;
    int64_t steps;
    ls_range_test test; /* rank 0 */
    ls_split judge;     /* where has_judge */
    bool has_judge;
    int64_t gain_every, gain_batches; /* of the judge: steps between batches, and their count */
    int64_t step;
    double lr, started;
    int64_t samples;
    ls_curve_file *file; /* rank 0 */
    ls_status written;   /* rank 0: a failure to write ends the test at the next decision */
    ls_find_lr_orders orders;
} ls_find_lr_run;

static ls_decision decide(void *context, const ls_step_report *report) {
    ls_find_lr_run *run = context;
    ls_find_lr_orders *orders = &run->orders;
    *orders = (ls_find_lr_orders){.not_written = run->written != LS_OK};
    if (!orders->not_written)
        orders->asked = report->stop_requested;
    if (!orders->not_written && !orders->asked)
        orders->stop = ls_range_test_take(&run->test, report->loss);
    return (ls_decision){.lr = run->lr,
                         .momentum = run->engine->config->train.momentum,
                         .stop = orders->not_written || orders->asked || orders->stop};
}

/* ---- one point ------------------------------------------------------------------------------ */

static ls_status validate(ls_find_lr_run *run, double *loss) {
    double accuracy;
    *loss = (double)NAN;
    if (run->config->validation_every == 0 || (run->step + 1) % run->config->validation_every != 0)
        return LS_OK;
    return ls_engine_evaluate(run->engine, run->judge, run->config->validation_samples, loss,
                              &accuracy);
}

/* A batch of the judge's samples now and then, in turn: so many that those of a window of the rule
 * (lr.h, gain) are all different. */
enum { GAIN_EVERY = 2 };

static void plan_gains(ls_find_lr_run *run) {
    const ls_data *data;
    if (!run->has_judge || ls_split_data(run->engine, run->judge, &data) != LS_OK)
        return;
    const int64_t window = 2 * (run->steps / 20) + 1;
    const int64_t full = ls_data_count(data) / run->engine->config->batch.size;
    run->gain_batches = full > 0 ? full : 1;
    run->gain_every = (window + run->gain_batches - 1) / run->gain_batches;
    run->gain_every = run->gain_every > GAIN_EVERY ? run->gain_every : GAIN_EVERY;
}

/* What the network knows: of the step's own samples while they are new to it, or where there are
 * no others, else of a batch of the judge's after the step. */
static ls_status measure_gain(const ls_find_lr_run *run, const ls_step_report *report,
                              ls_curve_point *point) {
    const int64_t since = run->step - ls_engine_steps_per_epoch(run->engine);
    if (since < 0 || !run->has_judge) {
        point->gain = report->gain;
        if (report->slice_gain)
            point->gain_noise = ls_slice_noise((size_t)run->engine->slices, report->slice_gain);
        return LS_OK;
    }
    if (since % run->gain_every != 0)
        return LS_OK;
    return ls_engine_gain(run->engine, run->judge, since / run->gain_every % run->gain_batches,
                          &point->gain, &point->gain_noise);
}

static void record(ls_find_lr_run *run, const ls_curve_point *measured) {
    if (run->file == NULL)
        return;
    ls_curve_point point = *measured;
    point.lr = run->lr;
    point.smoothed = run->test.smoothed;
    run->written = ls_curve_file_add(run->file, run->step, &point);
}

static void show(ls_find_lr_run *run, const ls_step_report *report) {
    if (run->job->progress == NULL || ls_comm_rank(run->engine->comm) != 0)
        return;
    ls_find_lr_progress progress = {.step = run->step + 1,
                                    .steps = run->steps,
                                    .lr = run->lr,
                                    .loss = report->loss,
                                    .smoothed = run->test.smoothed,
                                    .samples = run->samples,
                                    .seconds = ls_seconds() - run->started};
    run->job->progress(run->job->context, &progress);
}

/* A gradient that is not finite ends the test as a loss does; its name goes into the run file. */
static void stop_for_gradient(ls_find_lr_result *result) {
    snprintf(result->stop_detail, sizeof result->stop_detail, "%s", ls_message());
    ls_message_set("");
}

/* Step `run->step`: *stop says whether and why the test ends here. */
static ls_status take_step(ls_find_lr_run *run, ls_find_lr_result *result, ls_stop *stop) {
    ls_engine *engine = run->engine;
    int64_t per_epoch = ls_engine_steps_per_epoch(engine);
    ls_decision decision;
    ls_step_report report;
    ls_curve_point point = {.validation = (double)NAN,
                            .gain = (double)NAN,
                            .gain_noise = (double)NAN,
                            .report = &report};
    run->lr =
        ls_ramp_lr(run->config->ramp, run->config->start, run->config->end, run->steps, run->step);
    if (run->job->interrupted && run->job->interrupted(run->job->context))
        ls_engine_request_stop(engine);
    ls_status status = ls_engine_step(engine, run->step / per_epoch, run->step % per_epoch, decide,
                                      run, &decision, &report);
    bool gradient_failed = status == LS_ERR_NUMERIC;
    if (status != LS_OK && !gradient_failed)
        return status;
    if (!gradient_failed && run->orders.asked)
        return ls_fail(LS_STOPPED,
                       "stopped as asked in the range test, after %lld of its %lld steps: it "
                       "begins anew next time",
                       (long long)run->step, (long long)run->steps);
    if (!gradient_failed && run->orders.not_written)
        return ls_comm_agree(engine->comm, run->written);
    *stop = gradient_failed ? LS_STOP_NOT_FINITE : run->orders.stop;
    if (*stop != LS_STOP_NONE && !gradient_failed)
        return LS_OK; /* the point that stops the test is not part of the curve */
    if (gradient_failed) {
        stop_for_gradient(result);
    } else {
        LS_TRY(validate(run, &point.validation));
        LS_TRY(measure_gain(run, &report, &point));
    }
    run->samples += report.samples;
    record(run, &point);
    show(run, &report);
    return LS_OK;
}

static ls_status ramp_up(ls_find_lr_run *run, ls_find_lr_result *result) {
    ls_stop stop = LS_STOP_NONE;
    for (run->step = 0; run->step < run->steps && stop == LS_STOP_NONE; run->step++)
        LS_TRY(take_step(run, result, &stop));
    result->stop = stop == LS_STOP_NONE ? LS_STOP_END : stop;
    result->stop_step = stop == LS_STOP_NONE ? -1 : run->step - 1;
    result->points = run->test.points;
    return LS_OK;
}

/* Dead units, or weights of 0, pass no gradient on to what is before them. */
static void list_unreached(const ls_engine *engine, char names[LS_REASON_TEXT / 2]) {
    size_t length = 0;
    names[0] = '\0';
    for (size_t i = 0; i < ls_net_param_count(engine->net); i++) {
        const ls_param *param = ls_net_param(engine->net, i);
        if (param->role == LS_PARAM_MEAN || param->role == LS_PARAM_VARIANCE ||
            engine->weights->frozen[i] || ls_quantizer_reached(engine->quantizer, i) ||
            length >= LS_REASON_TEXT / 2)
            continue;
        length += (size_t)snprintf(names + length, LS_REASON_TEXT / 2 - length, "%s%s",
                                   length ? ", " : "", param->name);
    }
}

/* ---- the test ------------------------------------------------------------------------------- */

static ls_status open_file(ls_find_lr_run *run) {
    ls_status status = LS_OK;
    const ls_run_facts facts = ls_engine_facts(run->engine);
    if (ls_comm_rank(run->engine->comm) == 0)
        status = ls_curve_file_create(&facts, run->job, run->steps, &run->file);
    return ls_comm_agree(run->engine->comm, status);
}

/* Rank 0 reads the suggestions off the curve and finishes the file; all get the result. */
static ls_status conclude(ls_find_lr_run *run, ls_find_lr_result *result) {
    ls_comm *comm = run->engine->comm;
    ls_status status = run->written;
    if (run->file && status == LS_OK)
        status = ls_curve_file_finish(run->file, result);
    LS_TRY(ls_comm_agree(comm, status));
    LS_TRY(ls_comm_broadcast(comm, result, sizeof *result, 0));
    for (int i = 0; i < LS_SUGGEST_COUNT; i++)
        result->suggestions[i].name = ls_suggestion_name(i); /* addresses differ between ranks */
    return LS_OK;
}

static ls_status run_between_digests(ls_find_lr_run *run, ls_find_lr_result *result) {
    char before[LS_DIGEST_TEXT] = "", after[LS_DIGEST_TEXT] = "";
    ls_snapshot *snapshot;
    LS_TRY(ls_engine_digest(run->engine, before));
    LS_TRY(ls_engine_save(run->engine, &snapshot));
    LS_TRY(ls_engine_carry(run->engine, &run->orders, sizeof run->orders));
    ls_status status = ramp_up(run, result);
    LS_TRY(ls_engine_carry(run->engine, NULL, 0));
    list_unreached(run->engine, result->unreached);
    ls_engine_restore(run->engine, snapshot);
    LS_TRY(status);
    LS_TRY(ls_engine_digest(run->engine, after));
    result->restored = strcmp(before, after) == 0;
    memcpy(result->digest, after, sizeof result->digest);
    return conclude(run, result);
}

int64_t ls_find_lr_steps(int64_t steps, int64_t per_epoch) {
    return steps == LS_AUTO ? LS_FIND_LR_AUTO_STEPS : steps > 0 ? steps : per_epoch;
}

int64_t ls_find_lr_longer_steps(int64_t training) {
    const int64_t most = (int64_t)LS_FIND_LR_AUTO_STEPS * LS_FIND_LR_LONGER;
    const int64_t left = training / LS_FIND_LR_SHARE - LS_FIND_LR_AUTO_STEPS;
    return left < 2 * LS_FIND_LR_AUTO_STEPS ? 0 : left < most ? left : most;
}

static int64_t training_steps(const ls_find_lr_run *run) {
    return run->engine->config->train.epochs * ls_engine_steps_per_epoch(run->engine);
}

static void announce(const ls_find_lr_run *run) {
    const ls_find_lr_config *config = run->config;
    ls_log(LS_LOG_NORMAL, "range test: up to %lld steps (%.3g epochs), learning rate %g to %g",
           (long long)run->steps,
           (double)run->steps / (double)ls_engine_steps_per_epoch(run->engine), config->start,
           config->end);
    if (run->steps > ls_engine_steps_per_epoch(run->engine) && !run->has_judge)
        ls_log(LS_LOG_NORMAL, "range test: longer than an epoch, and without a validation or test "
                              "split: that targets follow from inputs cannot be told from samples "
                              "learned by heart (data.validation: 0.1 holds some out)");
}

/* What a refusal leaves to do; and, without one, a warning of what is not trained. */
static void advise(const ls_find_lr_run *run, ls_find_lr_result *result) {
    static const char dead[] =
        "no gradient other than 0 reached %s in any step: units after them are "
        "dead, or weights 0";
    const ls_suggestion *recommended = &result->suggestions[LS_SUGGEST_RECOMMENDED];
    if (result->unreached[0] && recommended->found && ls_comm_rank(run->engine->comm) == 0)
        ls_warn(dead, result->unreached);
    if (result->unreached[0] && !recommended->found)
        snprintf(result->advice, sizeof result->advice, dead, result->unreached);
    else if (recommended->noisy && run->config->steps == LS_AUTO &&
             run->steps > LS_FIND_LR_AUTO_STEPS)
        snprintf(result->advice, sizeof result->advice,
                 "a test of %lld steps after one of %d saw no more: look at targets and network",
                 (long long)run->steps, LS_FIND_LR_AUTO_STEPS);
    else if (recommended->noisy)
        snprintf(result->advice, sizeof result->advice,
                 "a longer test sees more, such as find_lr.steps: %lld (the training has %lld)",
                 (long long)run->steps * LS_FIND_LR_LONGER, (long long)training_steps(run));
}

static ls_status one_test(ls_find_lr_run *run, ls_find_lr_result *result) {
    const ls_find_lr_config *config = run->config;
    ls_find_lr_result made = {0};
    announce(run);
    plan_gains(run);
    ls_range_test_begin(&run->test, config->beta, config->stop_factor);
    LS_TRY(open_file(run));
    ls_status status = run_between_digests(run, &made);
    ls_curve_file_free(run->file);
    if (status == LS_OK)
        *result = made;
    return status;
}

ls_status ls_find_lr(ls_engine *engine, const ls_find_lr_job *job, ls_find_lr_result *result) {
    const ls_find_lr_config *config = &engine->config->find_lr;
    ls_find_lr_run run = {.engine = engine, .config = config, .job = job, .started = ls_seconds()};
    LS_TRY(ls_batches_check(engine));
    if (config->validation_every > 0 && !ls_engine_judge(engine, &run.judge))
        return ls_fail(LS_ERR_INPUT, "find_lr.validation_every needs a validation or a test split, "
                                     "and data.test_inputs is none");
    run.has_judge = ls_engine_judge(engine, &run.judge);
    run.steps = ls_find_lr_steps(config->steps, ls_engine_steps_per_epoch(engine));
    LS_TRY(one_test(&run, result));
    const ls_suggestion *recommended = &result->suggestions[LS_SUGGEST_RECOMMENDED];
    const int64_t longer = ls_find_lr_longer_steps(training_steps(&run));
    if (config->steps == LS_AUTO && recommended->noisy && !result->unreached[0] && longer > 0) {
        ls_log(LS_LOG_NORMAL, "%s: a longer test sees more", recommended->reason);
        run.steps = longer;
        run.started = ls_seconds();
        run.samples = 0;
        LS_TRY(one_test(&run, result));
    }
    advise(&run, result);
    return LS_OK;
}
