/* Training: epochs of steps under a schedule, evaluations, checkpoints, and an end that all
 * ranks agree on at a step boundary. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lockstep/checkpoint.h"
#include "train/base_lr.h"
#include "train/engine.h"
#include "train/judge.h"
#include "train/train_file.h"

#define STOP_FILE_SECONDS 1.0 /* between looks for the file `stop` */

/* What rank 0 says with its decision. */
typedef struct ls_train_orders {
    bool diverged, not_written; /* reasons to stop at once */
    bool save;                  /* a checkpoint is due after the step */
    ls_train_end end;           /* after the step; LS_TRAIN_DONE: nobody wants one */
} ls_train_orders;

typedef struct ls_training {
    ls_engine *engine;
    const ls_config *config;
    const ls_train_job *job;
    ls_schedule schedule;
    ls_train_state state;
    int64_t per_epoch, steps;
    int64_t last_checkpoint;                    /* its step; -1: none */
    int64_t first_step;                         /* of this process */
    ls_train_file *file;                        /* rank 0 */
    double began, started;                      /* s; the run, its first step */
    double last_save, last_look, longest_pause; /* s; pause: evaluation and checkpoint */
    double work; /* s: this rank's own, of the steps since first_step */
    bool stop_file;
    int64_t test_steps; /* of the range test, when it was last asked whether to stop */
    ls_status written;  /* rank 0: the last row; a failure ends the run at the next decision */
    ls_status saved;    /* rank 0: the last checkpoint */
    double best_saved;  /* rank 0: the value of best.h5; NaN: there is none */
    ls_train_orders orders;
} ls_training;

/* What a step was followed by. */
typedef struct ls_aftermath {
    bool save; /* a checkpoint is due */
    ls_train_end end;
    ls_score score[LS_SPLIT_COUNT]; /* NaN where not evaluated */
} ls_aftermath;

const char *ls_train_end_name(ls_train_end end) {
    static const char *const names[] = {"done",   "target",    "no_progress",
                                        "signal", "stop_file", "time_limit"};
    return names[end];
}

bool ls_train_end_is_final(ls_train_end end) {
    return end == LS_TRAIN_DONE || end == LS_TRAIN_TARGET || end == LS_TRAIN_NO_PROGRESS;
}

static bool is_rank_0(const ls_training *run) {
    return ls_comm_rank(run->engine->comm) == 0;
}

/* ---- rank 0 decides ------------------------------------------------------------------------- */

static bool stop_file_is_there(ls_training *run) {
    double now = ls_seconds();
    if (run->stop_file || now - run->last_look < STOP_FILE_SECONDS)
        return run->stop_file;
    char *path = ls_format("%s/stop", run->job->folder);
    run->last_look = now;
    run->stop_file = path && access(path, F_OK) == 0;
    ls_free(path);
    return run->stop_file;
}

/* It asks once: what goes on later is not stopped again. */
static void take_away_stop_file(const ls_training *run) {
    char *path = run->stop_file ? ls_format("%s/stop", run->job->folder) : NULL;
    if (path && unlink(path) != 0)
        ls_warn("cannot remove '%s': it will stop the run that goes on", path);
    ls_free(path);
}

/* Whether the rest of this step, another one and the checkpoint after it might pass the time
 * limit; `steps` were done since `start`. */
static bool time_is_up(const ls_training *run, double start, int64_t steps) {
    double limit = 60 * run->config->train.max_minutes, now = ls_seconds();
    double pace = (now - start) / (double)(steps + 1);
    return limit > 0 && now - run->began + 2 * pace + run->longest_pause > limit;
}

static ls_train_end wanted_end(ls_training *run, const ls_step_report *report) {
    if (run->state.step + 1 == run->steps)
        return LS_TRAIN_DONE; /* whoever asks: there is nothing to go on with */
    if (report->stop_requested)
        return LS_TRAIN_SIGNAL;
    if (stop_file_is_there(run))
        return LS_TRAIN_STOP_FILE;
    return time_is_up(run, run->started, run->state.step - run->first_step) ? LS_TRAIN_TIME_LIMIT
                                                                            : LS_TRAIN_DONE;
}

static ls_decision decide(void *context, const ls_step_report *report) {
    ls_training *run = context;
    const ls_checkpoint_config *checkpoint = &run->config->checkpoint;
    ls_train_orders *orders = &run->orders;
    *orders = (ls_train_orders){.not_written = run->written != LS_OK,
                                .diverged = !isfinite(report->loss)};
    if (orders->not_written || orders->diverged)
        return (ls_decision){.stop = true};
    const double pause = 60 * checkpoint->every_minutes;
    orders->end = wanted_end(run, report);
    orders->save = pause > 0 && ls_seconds() - run->last_save > pause;
    return (ls_decision){.lr = ls_schedule_lr(&run->schedule, run->state.step),
                         .momentum = ls_schedule_momentum(&run->schedule, run->state.step)};
}

/* ---- after a step --------------------------------------------------------------------------- */

/* On rank 0 alone: the other ranks may go on to the next step, whose update waits for rank 0.  A
 * checkpoint that cannot be written is told, and the run goes on: the one before is whole. */
static void save(ls_training *run, const char *name) {
    if (!is_rank_0(run))
        return;
    char *path = ls_format("%s/%s", run->job->folder, name);
    run->saved = path ? ls_train_file_sync(run->file) : LS_ERR_SYSTEM;
    if (run->saved == LS_OK)
        run->saved = ls_state_write(run->engine, &run->state, path);
    if (run->saved != LS_OK)
        ls_warn("%s; the run goes on", ls_message());
    ls_message_set("");
    ls_free(path);
}

static void save_step(ls_training *run) {
    char name[64];
    if (run->written != LS_OK)
        return; /* the run ends, and its message is to stay */
    snprintf(name, sizeof name, "checkpoint-%lld.h5", (long long)run->state.step);
    save(run, name);
    run->last_save = ls_seconds();
    if (run->saved == LS_OK)
        run->last_checkpoint = run->state.step;
    if (is_rank_0(run) && run->saved == LS_OK &&
        ls_checkpoint_prune(run->job->folder, run->config->checkpoint.keep) != LS_OK) {
        ls_warn("%s", ls_message());
        ls_message_set("");
    }
}

/* A best.h5 that could not be written is written with the next weights that are better than those
 * it has. */
static void save_best(ls_training *run, double value) {
    if (!is_rank_0(run) || !ls_score_is_better(run->engine, value, run->best_saved))
        return;
    save(run, "best.h5");
    if (run->saved == LS_OK)
        run->best_saved = value;
}

static bool ends_epoch(const ls_training *run) {
    return run->state.step % run->per_epoch == 0;
}

/* By the split that judges. */
static ls_status judge(ls_training *run, ls_split split, ls_aftermath *after) {
    ls_train_state *state = &run->state;
    LS_TRY(ls_score_measure(run->engine, split, &state->score[split]));
    const double value = ls_score_value(run->engine, &state->score[split]);
    if (ls_score_is_better(run->engine, value, state->best)) {
        state->best = value;
        state->best_step = state->step;
    }
    save_best(run, value);
    const ls_train_end end = ls_judge_end(run->engine, state);
    after->end = end == LS_TRAIN_DONE ? after->end : end;
    return LS_OK;
}

static bool is_over(const ls_training *run, const ls_aftermath *after) {
    return run->state.step == run->steps ||
           (after->end != LS_TRAIN_DONE && ls_train_end_is_final(after->end));
}

/* After an epoch; the test split, where another one judges, after the last. */
static ls_status evaluate(ls_training *run, ls_aftermath *after) {
    ls_train_state *state = &run->state;
    ls_split split;
    if (!ls_engine_judge(run->engine, &split))
        return LS_OK;
    LS_TRY(judge(run, split, after));
    after->score[split] = state->score[split];
    if (split == LS_SPLIT_TEST || !run->engine->test || !is_over(run, after))
        return LS_OK;
    LS_TRY(ls_score_measure(run->engine, LS_SPLIT_TEST, &state->score[LS_SPLIT_TEST]));
    after->score[LS_SPLIT_TEST] = state->score[LS_SPLIT_TEST];
    return LS_OK;
}

/* Mean training loss over the samples of the epoch that ends; NaN within one. */
static double epoch_loss(const ls_training *run) {
    const ls_train_state *state = &run->state;
    return ends_epoch(run) ? state->epoch_loss / (double)state->epoch_samples : (double)NAN;
}

static bool wants_checkpoint(const ls_training *run, const ls_aftermath *after) {
    const ls_checkpoint_config *checkpoint = &run->config->checkpoint;
    int64_t step = run->state.step, epochs = checkpoint->every_epochs;
    return after->save || after->end != LS_TRAIN_DONE || step == run->steps ||
           (checkpoint->every_steps > 0 && step % checkpoint->every_steps == 0) ||
           (epochs > 0 && step % (epochs * run->per_epoch) == 0);
}

static void show(const ls_training *run, const ls_step_report *report, double lr,
                 const ls_aftermath *after) {
    const ls_train_state *state = &run->state;
    if (run->job->progress == NULL || !is_rank_0(run))
        return;
    double seconds = ls_seconds() - run->started;
    double done = (double)(state->step - run->first_step);
    ls_train_progress progress = {
        .step = state->step,
        .steps = run->steps,
        .epoch = (state->step - 1) / run->per_epoch + 1,
        .epochs = run->config->train.epochs,
        .checkpoint = run->last_checkpoint,
        .lr = lr,
        .loss = report->loss,
        .smoothed = state->smooth.smoothed,
        .epoch_loss = epoch_loss(run),
        .score = {after->score[LS_SPLIT_VALIDATION], after->score[LS_SPLIT_TEST]},
        .samples_per_second = done * (double)run->config->batch.size / seconds,
        .seconds_left = seconds / done * (double)(run->steps - state->step)};
    run->job->progress(run->job->context, &progress);
}

static void record(ls_training *run, const ls_step_report *report, const ls_decision *decision,
                   const ls_aftermath *after) {
    if (run->file == NULL)
        return;
    ls_train_point point = {
        .lr = decision->lr,
        .momentum = decision->momentum,
        .smoothed = run->state.smooth.smoothed,
        .epoch_loss = epoch_loss(run),
        .score = {after->score[LS_SPLIT_VALIDATION], after->score[LS_SPLIT_TEST]},
        .report = report};
    run->written = ls_train_file_add(run->file, run->state.step - 1, &point);
}

/* ---- a step, and the run -------------------------------------------------------------------- */

static ls_status finish_step(ls_training *run, const ls_step_report *report,
                             const ls_decision *decision, ls_train_end *end) {
    double before = ls_seconds();
    ls_aftermath after = {
        .save = run->orders.save, .end = run->orders.end, .score = {ls_no_score, ls_no_score}};
    if (ends_epoch(run))
        LS_TRY(evaluate(run, &after));
    record(run, report, decision, &after);
    if (wants_checkpoint(run, &after))
        save_step(run);
    *end = after.end;
    double pause = ls_seconds() - before;
    run->longest_pause = pause > run->longest_pause ? pause : run->longest_pause;
    show(run, report, decision->lr, &after);
    return LS_OK;
}

static void take_losses(ls_training *run, const ls_step_report *report) {
    ls_train_state *state = &run->state;
    ls_range_test_take(&state->smooth, report->loss);
    if (state->step % run->per_epoch == 0) {
        state->epoch_loss = 0;
        state->epoch_samples = 0;
    }
    state->epoch_loss += report->loss * (double)report->samples;
    state->epoch_samples += report->samples;
}

/* A sample could not be read: no rank has changed anything, so the state before the step is saved.
 */
static ls_status keep_state(ls_training *run, ls_status status) {
    char *reason = ls_strdup(ls_message());
    save_step(run);
    if (reason && run->saved == LS_OK)
        ls_fail(status, "%s; what was trained until then is saved: --resume goes on with step %lld",
                reason, (long long)run->state.step);
    else if (reason)
        ls_message_set(reason);
    ls_free(reason);
    return status;
}

static ls_status take_step(ls_training *run, ls_train_end *end) {
    ls_train_state *state = &run->state;
    ls_step_report report;
    ls_decision decision;
    if (run->job->interrupted && run->job->interrupted())
        ls_engine_request_stop(run->engine);
    ls_status status =
        ls_engine_step(run->engine, state->step / run->per_epoch, state->step % run->per_epoch,
                       decide, run, &decision, &report);
    if (status == LS_ERR_INPUT && state->step > run->last_checkpoint && state->step > 0)
        return keep_state(run, status);
    LS_TRY(status);
    if (run->orders.not_written)
        return ls_comm_agree(run->engine->comm, run->written);
    if (run->orders.diverged)
        return ls_fail_diverged(&report, run->state.step);
    take_losses(run, &report);
    run->work += ls_phases_work(report.seconds);
    state->step++;
    return finish_step(run, &report, &decision, end);
}

/* Asked on every rank before each step of the range test, where there is no checkpoint yet. */
static bool stop_test(void *context) {
    ls_training *run = context;
    if (run->job->interrupted && run->job->interrupted())
        return true;
    return is_rank_0(run) &&
           (stop_file_is_there(run) || time_is_up(run, run->began, run->test_steps++));
}

static ls_status find_base_lr(ls_training *run) {
    const ls_train_job *job = run->job;
    const ls_find_lr_job test = {.folder = job->folder,
                                 .notes = job->notes,
                                 .note_count = job->note_count,
                                 .interrupted = stop_test,
                                 .context = run};
    ls_status status = ls_base_lr(run->engine, &test, &run->state.lr);
    if (status == LS_STOPPED)
        take_away_stop_file(run);
    return status;
}

/* *end: the run had ended before, and nothing that was changed makes it go on. */
static ls_status check_resumed(const ls_training *run, ls_train_end *end) {
    const ls_train_state *state = &run->state;
    if (state->step > run->steps)
        return ls_fail(LS_ERR_INPUT,
                       "the newest checkpoint in '%s' is at step %lld, after the last one of "
                       "train.epochs %lld, %lld: expected more epochs, or another --out",
                       run->job->folder, (long long)state->step,
                       (long long)run->config->train.epochs, (long long)run->steps);
    if (state->step == run->steps)
        ls_log(LS_LOG_NORMAL,
               "the run in %s is finished: all %lld epochs are done; more train.epochs go on with "
               "it",
               run->job->folder, (long long)run->config->train.epochs);
    *end = ends_epoch(run) ? ls_judge_end(run->engine, state) : LS_TRAIN_DONE;
    if (*end != LS_TRAIN_DONE && state->step < run->steps)
        ls_log(LS_LOG_NORMAL, "the run in %s is finished (%s): another train.%s goes on with it",
               run->job->folder, ls_train_end_name(*end),
               *end == LS_TRAIN_TARGET ? "target" : "stop_after");
    return LS_OK;
}

/* A new run must not mix its checkpoints with those of another, nor prune them. */
static ls_status check_folder(const ls_training *run) {
    ls_checkpoint_reader *reader = NULL;
    char *path = NULL;
    ls_text rejected = {0};
    if (run->job->resume || !is_rank_0(run))
        return LS_OK;
    ls_status status = ls_checkpoint_newest(run->job->folder, &rejected, &reader, &path);
    bool there = status == LS_OK || rejected.length > 0;
    ls_checkpoint_close(reader);
    ls_text_free(&rejected);
    ls_free(path);
    if (status == LS_ERR_SYSTEM)
        return status;
    ls_message_set("");
    if (!there)
        return LS_OK;
    return ls_fail(LS_ERR_INPUT,
                   "folder '%s' holds checkpoints of another run: go on with it by --resume, or "
                   "choose another --out",
                   run->job->folder);
}

static ls_status prepare(ls_training *run, ls_train_end *end) {
    ls_train_state *state = &run->state;
    *state = (ls_train_state){.best = (double)NAN, .score = {ls_no_score, ls_no_score}};
    ls_range_test_begin(&state->smooth, run->config->find_lr.beta, 0);
    bool resumed = false;
    /* Without the LR: what else is wrong with the schedule is told before the range test. */
    LS_TRY(ls_batches_check(run->engine));
    LS_TRY(ls_judge_check(run->engine));
    LS_TRY(ls_train_schedule(run->config, (double)NAN, run->per_epoch, &run->schedule));
    LS_TRY(ls_comm_agree(run->engine->comm, check_folder(run)));
    if (run->job->resume)
        LS_TRY(ls_state_resume(run->engine, run->job->folder, run->job->allow_changes, state,
                               &resumed));
    if (!resumed && is_rank_0(run))
        ls_state_name_run(state);
    LS_TRY(resumed ? check_resumed(run, end) : find_base_lr(run));
    run->best_saved = state->best;
    run->first_step = state->step;
    run->last_checkpoint = resumed ? state->step : -1;
    LS_TRY(ls_train_schedule(run->config, state->lr, run->per_epoch, &run->schedule));
    ls_status status = LS_OK;
    const ls_run_facts facts = ls_engine_facts(run->engine);
    if (is_rank_0(run))
        status = ls_train_file_open(&facts, run->job, run->steps, state, &run->file);
    return ls_comm_agree(run->engine->comm, status);
}

static ls_status conclude(ls_training *run, ls_train_end end, ls_train_result *result) {
    const ls_train_state *state = &run->state;
    *result =
        (ls_train_result){.end = end,
                          .lr = state->lr,
                          .steps = state->step,
                          .score = {state->score[LS_SPLIT_VALIDATION], state->score[LS_SPLIT_TEST]},
                          .best = state->best,
                          .best_epoch = state->best_step / run->per_epoch};
    if (end == LS_TRAIN_STOP_FILE)
        take_away_stop_file(run);
    LS_TRY(ls_engine_digest(run->engine, result->digest));
    const int64_t done = state->step - run->first_step;
    LS_TRY(ls_comm_slowest(run->engine->comm, done > 0 ? run->work / (double)done : 0,
                           &result->slowest));
    ls_status status = run->file ? ls_train_file_finish(run->file, result) : LS_OK;
    if (status == LS_OK && run->saved != LS_OK)
        status =
            ls_fail(run->saved, "the last checkpoint of %s could not be written", run->job->folder);
    return ls_comm_agree(run->engine->comm, status);
}

ls_status ls_train(ls_engine *engine, const ls_train_job *job, ls_train_result *result) {
    ls_training run = {
        .engine = engine, .config = engine->config, .job = job, .began = ls_seconds()};
    ls_train_end end = LS_TRAIN_DONE;
    run.per_epoch = ls_engine_steps_per_epoch(engine);
    run.steps = run.per_epoch * engine->config->train.epochs;
    ls_status status = prepare(&run, &end);
    run.started = run.last_save = ls_seconds();
    if (status == LS_OK)
        status = ls_engine_carry(engine, &run.orders, sizeof run.orders);
    while (status == LS_OK && end == LS_TRAIN_DONE && run.state.step < run.steps)
        status = take_step(&run, &end);
    ls_engine_carry(engine, NULL, 0);
    if (status == LS_OK)
        status = conclude(&run, end, result);
    ls_train_file_free(run.file);
    return status;
}
