/* Checkpoints of a training run: all that the next step depends on. */
#include "train/state.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lockstep/checkpoint.h"
#include "train/engine.h"
#include "train/origin.h"

enum { PATH_SIZE = 4096, SCORES = 3 };

static const char *const score_names[SCORES] = {"loss", "accuracy", "r2"};

/* ---- writing -------------------------------------------------------------------------------- */

static ls_status write_array(const ls_param *param, const char *group, const float *values,
                             ls_checkpoint_writer *writer) {
    char *name = ls_format("%s/%s", group, param->name);
    if (name == NULL)
        return LS_ERR_SYSTEM;
    ls_status status =
        ls_checkpoint_array(writer, name, LS_TYPE_F32, param->ndims, param->shape, values);
    ls_free(name);
    return status;
}

static ls_status write_param(const ls_engine *engine, const ls_param *param,
                             ls_checkpoint_writer *writer) {
    LS_TRY(write_array(param, "model", engine->weights->params + param->offset, writer));
    if (param->role == LS_PARAM_MEAN || param->role == LS_PARAM_VARIANCE)
        return LS_OK;
    for (int i = 0; i < engine->weights->optimizer->state_count; i++)
        LS_TRY(write_array(param, engine->weights->optimizer->state_names[i],
                           engine->weights->states[i] + param->offset, writer));
    return LS_OK;
}

static ls_status write_normalization(const ls_engine *engine, ls_checkpoint_writer *writer) {
    const ls_normalization *norm = &engine->norm, *target = &engine->target_norm;
    LS_TRY(ls_checkpoint_array(writer, "data/mean", LS_TYPE_F64, 1, &norm->channels, norm->mean));
    LS_TRY(ls_checkpoint_array(writer, "data/deviation", LS_TYPE_F64, 1, &norm->channels,
                               norm->deviation));
    if (engine->classes)
        return LS_OK;
    LS_TRY(ls_checkpoint_array(writer, "data/target_mean", LS_TYPE_F64, 1, &target->channels,
                               target->mean));
    return ls_checkpoint_array(writer, "data/target_deviation", LS_TYPE_F64, 1, &target->channels,
                               target->deviation);
}

/* The fixed-point exponents come from the gradients of the step before: without them the next
 * step would round otherwise. */
static ls_status write_arrays(const ls_engine *engine, ls_checkpoint_writer *writer) {
    int64_t params = (int64_t)ls_net_param_count(engine->net);
    for (int64_t i = 0; i < params; i++)
        LS_TRY(write_param(engine, ls_net_param(engine->net, (size_t)i), writer));
    LS_TRY(ls_checkpoint_array(writer, "exchange/exponent", LS_TYPE_I32, 1, &params,
                               engine->quantizer->exponent));
    return write_normalization(engine, writer);
}

/* What evaluating it asks of data. */
static ls_status write_model_facts(const ls_engine *engine, ls_checkpoint_writer *writer) {
    const ls_shape *shape = &engine->shape;
    const int64_t ndims = shape->ndims;
    const char *targets = engine->classes ? "classes" : engine->in_double ? "float64" : "float32";
    LS_TRY(ls_checkpoint_array(writer, "data/shape", LS_TYPE_I64, 1, &ndims, shape->size));
    LS_TRY(ls_checkpoint_integer(writer, "data/outputs", engine->outputs));
    if (engine->class_weights)
        LS_TRY(ls_checkpoint_array(writer, "data/class_weights", LS_TYPE_F64, 1, &engine->outputs,
                                   engine->class_weights));
    return ls_checkpoint_text(writer, "data/targets", targets);
}

static ls_status write_scores(const ls_train_state *state, ls_checkpoint_writer *writer) {
    char name[64];
    for (int split = 0; split < LS_SPLIT_COUNT; split++) {
        const ls_score *score = &state->score[split];
        const double values[] = {score->loss, score->accuracy, score->r2};
        for (int i = 0; i < SCORES; i++) {
            snprintf(name, sizeof name, "state/%s_%s", ls_split_name(split), score_names[i]);
            LS_TRY(ls_checkpoint_number(writer, name, values[i]));
        }
    }
    LS_TRY(ls_checkpoint_number(writer, "state/best", state->best));
    return ls_checkpoint_integer(writer, "state/best_step", state->best_step);
}

static ls_status write_state(const ls_engine *engine, const ls_train_state *state,
                             ls_checkpoint_writer *writer) {
    int64_t per_epoch = ls_engine_steps_per_epoch(engine);
    LS_TRY(ls_checkpoint_integer(writer, "state/step", state->step));
    LS_TRY(ls_checkpoint_integer(writer, "state/epoch", state->step / per_epoch));
    LS_TRY(ls_checkpoint_integer(writer, "state/batch", state->step % per_epoch));
    LS_TRY(ls_checkpoint_integer(writer, "state/calibrated", engine->quantizer->calibrated));
    LS_TRY(ls_checkpoint_number(writer, "state/lr", state->lr));
    LS_TRY(ls_checkpoint_number(writer, "state/loss_average", state->smooth.average));
    LS_TRY(ls_checkpoint_integer(writer, "state/loss_points", state->smooth.points));
    LS_TRY(ls_checkpoint_number(writer, "state/epoch_loss", state->epoch_loss));
    LS_TRY(ls_checkpoint_integer(writer, "state/epoch_samples", state->epoch_samples));
    LS_TRY(write_scores(state, writer));
    LS_TRY(ls_checkpoint_text(writer, "state/run", state->run));
    return ls_checkpoint_text(writer, "state/compute_type", ls_compute_type_name(engine->type));
}

ls_status ls_state_write(ls_engine *engine, const ls_train_state *state, const char *path) {
    ls_checkpoint_writer *writer = NULL;
    LS_TRY(ls_checkpoint_create(path, &writer));
    ls_status status = write_arrays(engine, writer);
    if (status == LS_OK)
        status = write_state(engine, state, writer);
    if (status == LS_OK)
        status = write_model_facts(engine, writer);
    if (status == LS_OK)
        status = ls_origin_write(engine, writer);
    if (status == LS_OK)
        status = ls_checkpoint_finish(writer);
    ls_checkpoint_writer_free(writer);
    return status;
}

/* ---- reading -------------------------------------------------------------------------------- */

static ls_status read_param(const ls_checkpoint_reader *reader, const char *name,
                            const ls_param *param, float *out) {
    ls_array_info info;
    LS_TRY(ls_checkpoint_info(reader, name, &info));
    bool same = info.ndims == param->ndims;
    for (int i = 0; i < param->ndims && same; i++)
        same = info.shape[i] == param->shape[i];
    if (!same)
        return ls_fail(LS_ERR_INPUT, "the checkpoint's %s has another shape than the network's",
                       name);
    return ls_checkpoint_read(reader, name, LS_TYPE_F32, param->count, out + param->offset);
}

ls_status ls_state_read_param(const ls_checkpoint_reader *reader, const char *group,
                              const ls_param *param, float *out) {
    char *name = ls_format("%s/%s", group, param->name);
    if (name == NULL)
        return LS_ERR_SYSTEM;
    ls_status status = read_param(reader, name, param, out);
    ls_free(name);
    return status;
}

/* Whole node: one rank reads into the shared arrays. */
static ls_status read_weights(ls_engine *engine, ls_checkpoint_reader *reader) {
    for (size_t i = 0; i < ls_net_param_count(engine->net); i++) {
        const ls_param *param = ls_net_param(engine->net, i);
        LS_TRY(ls_state_read_param(reader, "model", param, engine->weights->params));
        if (param->role == LS_PARAM_MEAN || param->role == LS_PARAM_VARIANCE)
            continue;
        for (int k = 0; k < engine->weights->optimizer->state_count; k++)
            LS_TRY(ls_state_read_param(reader, engine->weights->optimizer->state_names[k], param,
                                       engine->weights->states[k]));
    }
    return LS_OK;
}

/* Other roundings would be another run.  Checkpoints from before there was a choice do not say. */
static ls_status check_type(const ls_engine *engine, const ls_checkpoint_reader *reader) {
    const char *now = ls_compute_type_name(engine->type);
    char *stored = NULL;
    if (ls_checkpoint_get_text(reader, "state/compute_type", &stored) != LS_OK)
        ls_message_set("");
    const char *then = stored ? stored : ls_compute_type_name(LS_COMPUTE_FLOAT32);
    ls_status status = LS_OK;
    if (strcmp(then, now) != 0)
        status = ls_fail(LS_ERR_INPUT,
                         "the checkpoint was computed in %s, this run computes in %s: it could not "
                         "go on as it was; set compute.type to %s, or start a new run from its "
                         "weights by init",
                         then, now, then);
    ls_free(stored);
    return status;
}

/* Checkpoints did not always have it: the mean of an epoch that they cut is not known then. */
static ls_status read_epoch_loss(const ls_checkpoint_reader *reader, ls_train_state *state) {
    if (ls_checkpoint_get_number(reader, "state/epoch_loss", &state->epoch_loss) == LS_OK)
        return ls_checkpoint_get_integer(reader, "state/epoch_samples", &state->epoch_samples);
    ls_message_set("");
    state->epoch_loss = (double)NAN;
    return LS_OK;
}

/* What no run can have written: whoever made the file sealed it all the same. */
static ls_status check_ranges(const ls_engine *engine, const ls_train_state *state) {
    const int64_t most = INT64_C(1) << 53;
    const char *wrong = NULL;
    if (state->step < 0 || state->step > most)
        wrong = "step";
    else if (!(state->lr > 0) || !isfinite(state->lr))
        wrong = "lr";
    else if (!isfinite(state->smooth.average))
        wrong = "loss_average";
    else if (state->smooth.points < 0 || state->smooth.points > state->step)
        wrong = "loss_points";
    else if (isinf(state->epoch_loss))
        wrong = "epoch_loss";
    else if (state->epoch_samples < 0 || state->epoch_samples > most)
        wrong = "epoch_samples";
    else if (isinf(state->best))
        wrong = "best";
    else if (state->best_step < 0 || state->best_step > state->step)
        wrong = "best_step";
    if (wrong)
        return ls_fail(LS_ERR_INPUT, "the checkpoint's state/%s has a value that no run has",
                       wrong);
    for (size_t i = 0; i < ls_net_param_count(engine->net); i++)
        if (!ls_fixed_is_exponent(engine->quantizer->exponent[i]))
            return ls_fail(LS_ERR_INPUT,
                           "the checkpoint's exchange/exponent has a value that no run has: %d",
                           engine->quantizer->exponent[i]);
    return LS_OK;
}

static ls_status read_run_name(const ls_checkpoint_reader *reader, ls_train_state *state) {
    char *name;
    if (ls_checkpoint_get_text(reader, "state/run", &name) != LS_OK) {
        ls_message_set(""); /* checkpoints did not always have it */
        return LS_OK;
    }
    snprintf(state->run, sizeof state->run, "%s", name);
    ls_free(name);
    return LS_OK;
}

static ls_status read_exponents(ls_engine *engine, const ls_checkpoint_reader *reader) {
    return ls_checkpoint_read(reader, "exchange/exponent", LS_TYPE_I32,
                              ls_net_param_count(engine->net), engine->quantizer->exponent);
}

static ls_status read_score(const ls_checkpoint_reader *reader, ls_split split, ls_score *score) {
    double *const values[] = {&score->loss, &score->accuracy, &score->r2};
    char name[64];
    for (int i = 0; i < SCORES; i++) {
        snprintf(name, sizeof name, "state/%s_%s", ls_split_name(split), score_names[i]);
        LS_TRY(ls_checkpoint_get_number(reader, name, values[i]));
    }
    return LS_OK;
}

/* Checkpoints did not always have what concerns validation; the best is the newest then. */
static ls_status read_scores(const ls_checkpoint_reader *reader, ls_train_state *state) {
    LS_TRY(ls_checkpoint_get_number(reader, "state/best", &state->best));
    LS_TRY(read_score(reader, LS_SPLIT_TEST, &state->score[LS_SPLIT_TEST]));
    if (ls_checkpoint_get_integer(reader, "state/best_step", &state->best_step) == LS_OK)
        return read_score(reader, LS_SPLIT_VALIDATION, &state->score[LS_SPLIT_VALIDATION]);
    ls_message_set("");
    state->best_step = state->step;
    return LS_OK;
}

static ls_status read_state(ls_engine *engine, ls_checkpoint_reader *reader,
                            ls_train_state *state) {
    int64_t calibrated;
    ls_range_test_begin(&state->smooth, engine->config->find_lr.beta, 0);
    LS_TRY(check_type(engine, reader));
    LS_TRY(ls_checkpoint_get_integer(reader, "state/step", &state->step));
    LS_TRY(ls_checkpoint_get_integer(reader, "state/calibrated", &calibrated));
    LS_TRY(ls_checkpoint_get_number(reader, "state/lr", &state->lr));
    LS_TRY(ls_checkpoint_get_number(reader, "state/loss_average", &state->smooth.average));
    LS_TRY(ls_checkpoint_get_integer(reader, "state/loss_points", &state->smooth.points));
    LS_TRY(read_epoch_loss(reader, state));
    LS_TRY(read_scores(reader, state));
    engine->quantizer->calibrated = calibrated != 0;
    return read_run_name(reader, state);
}

/* Float64; float32 in checkpoints of older versions. */
static ls_status read_doubles(const ls_checkpoint_reader *reader, const char *name, size_t count,
                              double *out) {
    ls_array_info info;
    float *narrow;
    LS_TRY(ls_checkpoint_info(reader, name, &info));
    if (info.type != LS_TYPE_F32)
        return ls_checkpoint_read(reader, name, LS_TYPE_F64, count, out);
    LS_TRY(LS_NEW(narrow, count));
    ls_status status = ls_checkpoint_read(reader, name, LS_TYPE_F32, count, narrow);
    for (size_t i = 0; i < count; i++)
        out[i] = (double)narrow[i];
    ls_free(narrow);
    return status;
}

static ls_status read_normalization(ls_engine *engine, const ls_checkpoint_reader *reader) {
    const ls_normalization *norm = &engine->norm, *target = &engine->target_norm;
    size_t channels = (size_t)norm->channels, outputs = (size_t)target->channels;
    LS_TRY(read_doubles(reader, "data/mean", channels, norm->mean));
    LS_TRY(read_doubles(reader, "data/deviation", channels, norm->deviation));
    if (engine->classes)
        return LS_OK;
    LS_TRY(read_doubles(reader, "data/target_mean", outputs, target->mean));
    return read_doubles(reader, "data/target_deviation", outputs, target->deviation);
}

static ls_status read_model_facts(const ls_checkpoint_reader *reader, ls_engine *engine) {
    ls_array_info info;
    ls_shape *shape = &engine->shape;
    char *targets;
    if (ls_checkpoint_info(reader, "data/shape", &info) != LS_OK) {
        ls_message_set(""); /* checkpoints did not always have it */
        return LS_OK;
    }
    if (info.ndims != 1 || info.shape[0] < 1 || info.shape[0] >= LS_MAX_DIMS)
        return ls_fail(LS_ERR_INPUT, "'data/shape' in '%s' is no shape of a sample",
                       engine->checkpoint);
    shape->ndims = (int)info.shape[0];
    LS_TRY(
        ls_checkpoint_read(reader, "data/shape", LS_TYPE_I64, (size_t)shape->ndims, shape->size));
    LS_TRY(ls_checkpoint_get_integer(reader, "data/outputs", &engine->outputs));
    LS_TRY(ls_checkpoint_get_text(reader, "data/targets", &targets));
    engine->classes = strcmp(targets, "classes") == 0;
    engine->in_double = strcmp(targets, "float64") == 0;
    ls_free(targets);
    for (int d = 0; d < shape->ndims; d++)
        if (shape->size[d] < 1)
            return ls_fail(LS_ERR_INPUT, "'data/shape' in '%s' is no shape of a sample",
                           engine->checkpoint);
    return engine->outputs >= 1
               ? LS_OK
               : ls_fail(LS_ERR_INPUT, "'%s' is of a model without outputs", engine->checkpoint);
}

/* On all ranks: room for them; on rank 0, which has a reader, their values. */
static ls_status read_class_weights(const ls_checkpoint_reader *reader, ls_engine *engine) {
    const size_t classes = (size_t)engine->outputs;
    LS_TRY(LS_NEW(engine->class_weights, classes));
    return reader ? ls_checkpoint_read(reader, "data/class_weights", LS_TYPE_F64, classes,
                                       engine->class_weights)
                  : LS_OK;
}

/* The loss that it was trained on has them. */
static ls_status share_class_weights(const ls_checkpoint_reader *reader, ls_engine *engine) {
    const ls_class_weights *wanted = &engine->config->model.class_weights;
    if ((!wanted->balanced && wanted->count == 0) || engine->outputs == 0)
        return LS_OK;
    LS_TRY(ls_comm_agree(engine->comm, read_class_weights(reader, engine)));
    return ls_comm_broadcast(engine->comm, engine->class_weights,
                             (size_t)engine->outputs * sizeof *engine->class_weights, 0);
}

static ls_status share_model(const ls_checkpoint_reader *reader, ls_engine *engine) {
    LS_TRY(ls_comm_broadcast(engine->comm, &engine->shape, sizeof engine->shape, 0));
    LS_TRY(ls_comm_broadcast(engine->comm, &engine->classes, sizeof engine->classes, 0));
    LS_TRY(ls_comm_broadcast(engine->comm, &engine->in_double, sizeof engine->in_double, 0));
    LS_TRY(ls_comm_broadcast(engine->comm, &engine->outputs, sizeof engine->outputs, 0));
    return share_class_weights(reader, engine);
}

ls_status ls_state_read_model(ls_engine *engine) {
    ls_checkpoint_reader *reader = NULL;
    ls_status status = LS_OK;
    if (ls_comm_rank(engine->comm) == 0)
        status = ls_checkpoint_open(engine->checkpoint, &reader);
    if (reader)
        status = read_model_facts(reader, engine);
    status = ls_comm_agree(engine->comm, status);
    if (status == LS_OK)
        status = share_model(reader, engine);
    ls_checkpoint_close(reader);
    return status;
}

static ls_status read_model(ls_engine *engine, const ls_checkpoint_reader *reader) {
    LS_TRY(read_normalization(engine, reader));
    for (size_t i = 0; i < ls_net_param_count(engine->net); i++)
        LS_TRY(ls_state_read_param(reader, "model", ls_net_param(engine->net, i),
                                   engine->weights->params));
    return LS_OK;
}

/* One rank of each node reads a checkpoint, which is checked as a whole each time; what is not in
 * the node's memory the others hear from rank 0. */
static bool reads_for_node(const ls_engine *engine) {
    return ls_comm_node_rank(engine->comm) == 0;
}

static ls_status share_normalization(const ls_engine *engine, const ls_normalization *norm) {
    size_t bytes = (size_t)norm->channels * sizeof *norm->mean;
    LS_TRY(ls_comm_broadcast(engine->comm, norm->mean, bytes, 0));
    return ls_comm_broadcast(engine->comm, norm->deviation, bytes, 0);
}

ls_status ls_engine_load(ls_engine *engine, const char *path) {
    ls_checkpoint_reader *reader = NULL;
    ls_status status = LS_OK;
    if (reads_for_node(engine))
        status = ls_checkpoint_open(path, &reader);
    if (reader)
        status = read_model(engine, reader);
    ls_checkpoint_close(reader);
    LS_TRY(ls_comm_agree(engine->comm, status));
    LS_TRY(share_normalization(engine, &engine->norm));
    if (!engine->classes)
        LS_TRY(share_normalization(engine, &engine->target_norm));
    ls_engine_params_changed(engine);
    return LS_OK;
}

/* In any case, --quiet or not: a damaged checkpoint is never passed over silently. */
static void tell_rejected(char *lines) {
    char *rest = lines;
    for (char *line; rest && *rest && (line = strsep(&rest, "\n"));)
        ls_warn("%s", line);
}

/* Rank 0 looks; the others, one a node, read the file it names.  An empty path: there is none. */
static ls_status find_newest(ls_engine *engine, const char *folder, char path[PATH_SIZE],
                             ls_checkpoint_reader **reader) {
    char *found = NULL;
    ls_text rejected = {0};
    ls_status status = LS_OK;
    if (ls_comm_rank(engine->comm) == 0) {
        status = ls_checkpoint_newest(folder, &rejected, reader, &found);
        tell_rejected(rejected.data);
        if (status == LS_OK)
            ls_log(LS_LOG_NORMAL, "going on from %s", found);
        if (status == LS_ERR_INPUT && rejected.length == 0) {
            ls_log(LS_LOG_NORMAL, "no checkpoint in %s: starting from the beginning", folder);
            ls_message_set("");
            status = LS_OK;
        }
        snprintf(path, PATH_SIZE, "%s", found ? found : "");
    }
    ls_text_free(&rejected);
    ls_free(found);
    LS_TRY(ls_comm_agree(engine->comm, status));
    return ls_comm_broadcast(engine->comm, path, PATH_SIZE, 0);
}

static ls_status share_state(ls_engine *engine, ls_train_state *state) {
    size_t exponents = ls_net_param_count(engine->net) * sizeof *engine->quantizer->exponent;
    LS_TRY(ls_comm_broadcast(engine->comm, state, sizeof *state, 0));
    engine->weights->updates = state->step;
    LS_TRY(ls_comm_broadcast(engine->comm, &engine->quantizer->calibrated,
                             sizeof engine->quantizer->calibrated, 0));
    return ls_comm_broadcast(engine->comm, engine->quantizer->exponent, exponents, 0);
}

void ls_state_name_run(ls_train_state *state) {
    struct timespec now;
    char host[LS_HOST_SIZE];
    ls_hash *hash;
    clock_gettime(CLOCK_REALTIME, &now);
    ls_host_name(host);
    const int64_t when[] = {now.tv_sec, now.tv_nsec, getpid()};
    if (ls_hash_create(&hash) != LS_OK)
        return;
    ls_hash_add(hash, when, sizeof when);
    ls_hash_add(hash, host, sizeof host);
    ls_hash_text(hash, state->run);
    ls_hash_free(hash);
}

ls_status ls_state_resume(ls_engine *engine, const char *folder, bool allow, ls_train_state *state,
                          bool *found) {
    ls_checkpoint_reader *reader = NULL;
    char path[PATH_SIZE] = "";
    LS_TRY(find_newest(engine, folder, path, &reader));
    *found = path[0] != '\0';
    if (!*found)
        return LS_OK;
    ls_status status = LS_OK;
    if (reads_for_node(engine) && reader == NULL)
        status = ls_checkpoint_open(path, &reader);
    if (reader)
        status = read_state(engine, reader, state);
    if (reader && status == LS_OK && ls_comm_rank(engine->comm) == 0)
        status = ls_origin_check(engine, reader, allow, state);
    if (reader && status == LS_OK)
        status = read_exponents(engine, reader);
    if (reader && status == LS_OK)
        status = check_ranges(engine, state);
    if (reader && status == LS_OK)
        status = read_weights(engine, reader);
    ls_checkpoint_close(reader);
    LS_TRY(ls_comm_agree(engine->comm, status));
    LS_TRY(share_state(engine, state));
    ls_engine_params_changed(engine);
    return LS_OK;
}
