/* Training steps whose gradients are measured slice by slice, for the noise scale. */
#include "lockstep/noise.h"

#include <math.h>

#include "train/base_lr.h"
#include "train/engine.h"
#include "train/noise_file.h"

typedef struct ls_noise_run {
    ls_engine *engine;
    const ls_noise_job *job;
    ls_schedule schedule;
    ls_range_test smooth; /* of the loss */
    int64_t steps, step;
    double started, lr; /* lr: base */
    int64_t samples;
    ls_noise_file *file; /* rank 0 */
    ls_status written;   /* rank 0: a failure to write ends the run at the next decision */
} ls_noise_run;

static ls_decision decide(void *context, const ls_step_report *report) {
    const ls_noise_run *run = context;
    if (run->written != LS_OK || !isfinite(report->loss))
        return (ls_decision){.stop = true};
    return (ls_decision){.lr = ls_schedule_lr(&run->schedule, run->step),
                         .momentum = ls_schedule_momentum(&run->schedule, run->step)};
}

/* The last batch of an epoch may be small, and its estimates poor. */
static ls_noise_step measure(const ls_noise_run *run, const ls_step_report *report) {
    const ls_engine *engine = run->engine;
    if (report->samples < ls_batch_samples(engine, ls_data_count(engine->train), 0))
        return (ls_noise_step){(double)NAN, (double)NAN};
    return ls_noise_of_step(report->samples, engine->slices,
                            report->gradient_norm * report->gradient_norm,
                            engine->quantizer->slice_squares);
}

static void show(const ls_noise_run *run, const ls_step_report *report, double lr) {
    if (run->job->progress == NULL || ls_comm_rank(run->engine->comm) != 0)
        return;
    const ls_find_lr_progress progress = {.step = run->step + 1,
                                          .steps = run->steps,
                                          .lr = lr,
                                          .loss = report->loss,
                                          .smoothed = run->smooth.smoothed,
                                          .samples = run->samples,
                                          .seconds = ls_seconds() - run->started};
    run->job->progress(run->job->context, &progress);
}

static ls_status take_step(ls_noise_run *run) {
    const int64_t per_epoch = ls_engine_steps_per_epoch(run->engine);
    ls_decision decision;
    ls_step_report report;
    LS_TRY(ls_engine_step(run->engine, run->step / per_epoch, run->step % per_epoch, decide, run,
                          &decision, &report));
    if (decision.stop && !isfinite(report.loss))
        return ls_fail_diverged(&report, run->step);
    if (decision.stop)
        return ls_comm_agree(run->engine->comm, run->written);
    const ls_noise_step measured = measure(run, &report);
    ls_range_test_take(&run->smooth, report.loss);
    run->samples += report.samples;
    if (run->file)
        run->written = ls_noise_file_add(run->file, run->step, decision.lr, run->smooth.smoothed,
                                         &report, &measured);
    show(run, &report, decision.lr);
    return LS_OK;
}

static ls_status check(ls_noise_run *run) {
    const ls_engine *engine = run->engine;
    const ls_config *config = engine->config;
    const int64_t all = config->train.epochs * ls_engine_steps_per_epoch(engine);
    run->steps = run->job->steps > 0 && run->job->steps < all ? run->job->steps : all;
    if (engine->slices < 2)
        return ls_fail(
            LS_ERR_INPUT,
            "batch.slices is 1, and the noise is what the gradients of slices differ by: "
            "expected 2 or more");
    if (config->exchange_sum != LS_EXCHANGE_FIXED)
        return ls_fail(LS_ERR_INPUT, "exchange_sum is float32, and the noise is measured where "
                                     "gradients become integers: expected fixed");
    if (run->steps < LS_NOISE_GROUPS)
        return ls_fail(LS_ERR_INPUT,
                       "%lld steps (train.epochs has %lld) are too few for a noise scale: expected "
                       "%d or more",
                       (long long)run->steps, (long long)all, LS_NOISE_GROUPS);
    /* Without the LR: what else is wrong with the schedule is told before the range test. */
    return ls_train_schedule(config, (double)NAN, ls_engine_steps_per_epoch(engine),
                             &run->schedule);
}

static ls_status prepare(ls_noise_run *run) {
    ls_engine *engine = run->engine;
    const ls_noise_job *job = run->job;
    const ls_run_facts facts = ls_engine_facts(engine);
    const ls_find_lr_job test = {.folder = job->folder,
                                 .notes = job->notes,
                                 .note_count = job->note_count,
                                 .progress = job->progress,
                                 .context = job->context};
    ls_status status = LS_OK;
    LS_TRY(ls_batches_check(engine));
    LS_TRY(check(run));
    LS_TRY(ls_base_lr(engine, &test, &run->lr));
    LS_TRY(ls_train_schedule(engine->config, run->lr, ls_engine_steps_per_epoch(engine),
                             &run->schedule));
    if (ls_comm_rank(engine->comm) == 0)
        status = ls_noise_file_create(&facts, job, run->steps, run->lr, &run->file);
    if (status == LS_OK)
        status = ls_quantizer_measure(engine->quantizer, true);
    ls_range_test_begin(&run->smooth, engine->config->find_lr.beta, 0);
    run->started = ls_seconds();
    return ls_comm_agree(engine->comm, status);
}

static ls_status conclude(const ls_noise_run *run) {
    char digest[LS_DIGEST_TEXT] = "";
    LS_TRY(ls_engine_digest(run->engine, digest));
    ls_status status = run->written;
    if (run->file && status == LS_OK)
        status = ls_noise_file_finish(run->file, digest);
    return ls_comm_agree(run->engine->comm, status);
}

ls_status ls_noise(ls_engine *engine, const ls_noise_job *job) {
    ls_noise_run run = {.engine = engine, .job = job};
    ls_status status = prepare(&run);
    for (; status == LS_OK && run.step < run.steps; run.step++)
        status = take_step(&run);
    if (status == LS_OK)
        status = conclude(&run);
    if (engine->quantizer->measures)
        ls_quantizer_measure(engine->quantizer, false);
    ls_noise_file_free(run.file);
    return status;
}
