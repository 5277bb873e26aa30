/* The trainings of a scaling study: what it takes to reach the target with a size's batch. */
#include "train/scale_train.h"

#include <math.h>
#include <stdio.h>

#include "train/engine.h"

/* ---- the learning rate ---------------------------------------------------------------------- */

ls_status ls_scale_rate_of(const ls_config *config, ls_scale_lr_rule rule, ls_scale_rate *rate) {
    const ls_train_config *train = &config->train;
    if (isnan(train->lr) && (rule == LS_SCALE_LR_LINEAR || rule == LS_SCALE_LR_SQRT))
        return ls_fail(LS_ERR_INPUT,
                       "--lr %s scales a given train.lr, which is auto: give a number (--set "
                       "train.lr=0.05), or take --lr auto, a range test for each batch",
                       ls_scale_lr_rule_name(rule));
    *rate = (ls_scale_rate){.rule = rule,
                            .lr = train->lr,
                            .batch = train->lr_reference_batch > 0 ? train->lr_reference_batch
                                                                   : config->batch.size};
    return LS_OK;
}

static ls_status set_rate(ls_config *config, const ls_scale_rate *rate, int64_t batch) {
    char text[32] = "auto";
    double factor = (double)batch / (double)rate->batch;
    if (rate->rule == LS_SCALE_LR_FIXED)
        return LS_OK;
    if (rate->rule == LS_SCALE_LR_LINEAR)
        snprintf(text, sizeof text, "%.17g", rate->lr * factor);
    if (rate->rule == LS_SCALE_LR_SQRT)
        snprintf(text, sizeof text, "%.17g", rate->lr * sqrt(factor));
    LS_TRY(ls_config_set(config, "train.lr_reference_batch", "0"));
    return ls_config_set(config, "train.lr", text);
}

/* ---- the training --------------------------------------------------------------------------- */

static char *folder_of(const ls_scale_job *job, const ls_scale_size *size) {
    const char *mode = ls_scale_mode_name(size->mode);
    if (size->mode == LS_SCALE_STRONG)
        return ls_format("%s/train-%s", job->folder, mode);
    return ls_format("%s/train-%s-%d", job->folder, mode, size->ranks);
}

static ls_status fill(const ls_engine *engine, const ls_train_result *result,
                      ls_scale_training *training) {
    const ls_batch_config *batch = &engine->config->batch;
    int64_t per_epoch = ls_engine_steps_per_epoch(engine);
    int64_t samples = batch->drop_last ? per_epoch * batch->size : ls_data_count(engine->train);
    if (!ls_train_end_is_final(result->end))
        return ls_fail(LS_STOPPED, "stopped as asked (%s) in a training; the same command goes on",
                       ls_train_end_name(result->end));
    *training = (ls_scale_training){.reached = result->end == LS_TRAIN_TARGET,
                                    .steps = (double)result->steps,
                                    .epochs = (double)result->steps / (double)per_epoch,
                                    .lr = result->lr};
    training->samples = training->epochs * (double)samples;
    return LS_OK;
}

static ls_status train_in(ls_engine *engine, const ls_scale_job *job, const char *folder,
                          ls_scale_training *training) {
    const ls_train_job run = {
        .folder = folder, .resume = true, .notes = job->notes, .note_count = job->note_count};
    ls_train_result result;
    ls_status status = ls_train(engine, &run, &result);
    if (status != LS_ERR_NUMERIC)
        return status == LS_OK ? fill(engine, &result, training) : status;
    if (ls_comm_rank(engine->comm) == 0)
        ls_warn("%s; the target is not reached", ls_message());
    ls_message_set("");
    *training = (ls_scale_training){.lr = NAN};
    return LS_OK;
}

ls_status ls_scale_train(ls_comm *comm, ls_config *config, const ls_scale_job *job,
                         const ls_scale_rate *rate, const ls_scale_size *size,
                         ls_scale_training *training) {
    ls_engine *engine = NULL;
    char *folder = folder_of(job, size);
    ls_status status = folder ? LS_OK : LS_ERR_SYSTEM;
    if (status == LS_OK && ls_comm_rank(comm) == 0)
        status = ls_make_folder(folder);
    if (status == LS_OK)
        status = set_rate(config, rate, size->batch);
    status = ls_comm_agree(comm, status);
    if (status == LS_OK)
        status = ls_engine_create(comm, config, job->name, true, &engine);
    if (status == LS_OK) {
        ls_log(LS_LOG_NORMAL, "%s, batch %lld on %d rank%s: training to %s, at most %lld epochs",
               ls_scale_mode_name(size->mode), (long long)size->batch, size->ranks,
               size->ranks == 1 ? "" : "s", job->target, (long long)config->train.epochs);
        status = train_in(engine, job, folder, training);
    }
    ls_engine_free(engine);
    ls_free(folder);
    return status;
}
