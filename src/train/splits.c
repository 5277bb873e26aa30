/* The splits of a run: training samples, those that judge it, and what follows from them: shapes,
 * classes, normalisation. */
#include <stdio.h>
#include <string.h>

#include "train/constant.h"
#include "train/engine.h"
#include "train/splits.h"
#include "train/state.h"

static const char *targets_name(bool classes) {
    return classes ? "classes" : "targets a sample";
}

static ls_status make_identities(ls_engine *engine) {
    ls_status status = ls_normalization_identity(engine->shape.size[0], &engine->norm);
    if (status == LS_OK && !engine->classes)
        status = ls_normalization_identity(engine->outputs, &engine->target_norm);
    return ls_comm_agree(engine->comm, status);
}

static ls_status check_count(const ls_engine *engine, const char *key, const ls_numbers *numbers) {
    if (numbers->count == 1 || numbers->count == engine->outputs)
        return LS_OK;
    return ls_fail(LS_ERR_INPUT,
                   "%s has %d numbers, and a sample has %lld target%s: expected one, or one each",
                   key, numbers->count, (long long)engine->outputs,
                   engine->outputs == 1 ? "" : "s");
}

/* scale * target + offset is (target - mean) / deviation. */
static ls_status scale_targets(ls_engine *engine) {
    const ls_numbers *scale = &engine->config->data.target_scale;
    const ls_numbers *offset = &engine->config->data.target_offset;
    LS_TRY(check_count(engine, "data.target_scale", scale));
    LS_TRY(check_count(engine, "data.target_offset", offset));
    for (int64_t t = 0; t < engine->outputs; t++) {
        const double factor = scale->value[scale->count > 1 ? t : 0];
        const double added = offset->value[offset->count > 1 ? t : 0];
        engine->target_norm.deviation[t] = 1 / factor;
        engine->target_norm.mean[t] = added == 0 ? 0 : -added / factor;
    }
    return LS_OK;
}

static ls_status normalize_data(ls_engine *engine) {
    const ls_data_config *data = &engine->config->data;
    LS_TRY(make_identities(engine));
    if (data->normalize) {
        ls_normalization_free(&engine->norm);
        LS_TRY(ls_normalization_measure(engine->comm, engine->train, &engine->norm));
    }
    if (engine->classes)
        return LS_OK;
    if (data->target_scale.count > 0)
        return ls_comm_agree(engine->comm, scale_targets(engine));
    if (!data->normalize)
        return LS_OK;
    ls_normalization_free(&engine->target_norm);
    return ls_normalization_measure_targets(engine->comm, engine->train, &engine->target_norm);
}

/* ---- the splits ----------------------------------------------------------------------------- */

/* Of the samples, for messages. */
static const char *name_of_data(const ls_engine *engine) {
    return engine->sources ? engine->sources->train->name : engine->data_name;
}

ls_form ls_splits_form(const ls_engine *engine) {
    const ls_data_config *data = &engine->config->data;
    return (ls_form){data->layout, data->transform};
}

/* Most of the buffer is for training: what evaluates is read in the order of the files. */
static ls_store store_of(const ls_data_config *data, bool judges) {
    return (ls_store){data->residence, data->buffer * 1048576, judges ? 0.125 : 0.75};
}

/* Collective.  In files of its own or, where it has none, in those of data.file. */
static ls_status open_split(ls_engine *engine, const ls_paths *own, const char *inputs,
                            const char *targets, int64_t classes, ls_data **split) {
    const ls_paths *paths = own && *own->lines ? own : &engine->config->data.file;
    const ls_store store = store_of(&engine->config->data, own != NULL);
    const ls_form form = ls_splits_form(engine);
    ls_files *files;
    LS_TRY(ls_files_find(engine->comm, paths->lines, &files));
    ls_free(engine->data_name);
    engine->data_name = ls_strdup(ls_files_title(files));
    ls_status status = ls_comm_agree(engine->comm, engine->data_name ? LS_OK : LS_ERR_SYSTEM);
    const char *stage = engine->config->data.stage;
    if (status == LS_OK && !ls_config_is_none(stage))
        status = ls_files_stage(engine->comm, stage, files);
    if (status == LS_OK)
        status = ls_data_open(engine->comm, files, inputs, targets, classes, &form, &store, split);
    ls_files_free(files);
    return status;
}

/* What is wrong with a split that only evaluates. */
static ls_status fail_split(const char *name) {
    char *message = ls_format("the %s split: %s ('data.%s_inputs: none' trains without one)", name,
                              ls_message(), name);
    if (message)
        ls_message_set(message);
    ls_free(message);
    return LS_ERR_INPUT;
}

enum { SHOWN = 256 };

/* Names of datasets, for a message of one line. */
static const char *show_names(const char *lines, char shown[SHOWN]) {
    snprintf(shown, SHOWN, "%s", lines);
    for (char *at = shown; (at = strchr(at, '\n'));)
        *at = ',';
    return shown;
}

static bool same_shape(const ls_shape *one, const ls_shape *other) {
    return one->ndims == other->ndims &&
           memcmp(one->size, other->size, (size_t)one->ndims * sizeof one->size[0]) == 0;
}

/* Its classes are those of the model: it need not have a sample of each. */
static ls_status check_judge(const ls_engine *engine, const char *name, const char *inputs,
                             const char *targets, const ls_data *split, ls_status status) {
    const char *file = name_of_data(engine), *train = engine->config->data.train_inputs.lines;
    char here[SHOWN], there[SHOWN];
    LS_TRY(status == LS_ERR_INPUT && !engine->checkpoint && !engine->sources ? fail_split(name)
                                                                             : status);
    if (!same_shape(&engine->shape, ls_data_shape(split)))
        return ls_fail(LS_ERR_INPUT, "%s: samples of '%s' and '%s' differ in shape", file,
                       engine->checkpoint ? engine->checkpoint : show_names(train, there),
                       show_names(inputs, here));
    if (targets == NULL)
        return LS_OK;
    bool classes = ls_data_is_classes(split);
    if (classes == engine->classes && ls_data_outputs(split) == engine->outputs)
        return LS_OK;
    return ls_fail(LS_ERR_INPUT, "%s: '%s' has %lld %s but '%s' has %lld %s", file,
                   engine->config->data.train_targets, (long long)engine->outputs,
                   targets_name(engine->classes), targets, (long long)ls_data_outputs(split),
                   targets_name(classes));
}

/* targets NULL: none. */
static ls_status open_judge(ls_engine *engine, const char *name, const ls_paths *own,
                            const char *inputs, const char *targets, ls_data **split) {
    ls_status status =
        open_split(engine, own, inputs, targets, engine->classes ? engine->outputs : 0, split);
    return check_judge(engine, name, inputs, targets, *split, status);
}

static ls_status load_judge(ls_engine *engine, const char *name, const ls_data_source *source,
                            ls_data **split) {
    if (source == NULL)
        return LS_OK;
    const ls_form form = ls_splits_form(engine);
    const int64_t classes = engine->classes ? engine->outputs : 0;
    ls_status status = ls_data_load(engine->comm, source, true, classes, &form, split);
    return check_judge(engine, name, source->name, source->name, *split, status);
}

/* The last layer, where it is dense, may have units for classes that no training sample is of. */
static int64_t last_units(const ls_model_spec *model) {
    const ls_layer_list *layers = &model->layers;
    const ls_layer_spec *last = layers->count > 0 ? &layers->layers[layers->count - 1] : NULL;
    return last && last->kind == LS_LAYER_DENSE ? last->dense.units : 0;
}

static ls_status count_classes(ls_engine *engine) {
    int64_t found = ls_data_outputs(engine->train), units = last_units(&engine->config->model);
    int64_t *counts, empty = 0, first = -1;
    LS_TRY(LS_NEW(counts, (size_t)found));
    ls_data_class_counts(engine->train, counts);
    for (int64_t c = 0; c < found; c++) {
        empty += counts[c] == 0;
        first = counts[c] == 0 && first < 0 ? c : first;
    }
    ls_free(counts);
    bool speaks = ls_comm_rank(engine->comm) == 0;
    if (empty > 0 && speaks)
        ls_warn("%s: no training sample is of class %lld%s: classes count from 0",
                name_of_data(engine), (long long)first, empty > 1 ? ", nor of some others" : "");
    if (units > found && speaks)
        ls_warn("the last layer has %lld outputs, and the training samples are of classes 0 to "
                "%lld: the others are never trained",
                (long long)units, (long long)found - 1);
    engine->outputs = units > found ? units : found;
    return LS_OK;
}

/* From here on the training split is what is left of it. */
static ls_status hold_out(ls_engine *engine) {
    const ls_config *config = engine->config;
    ls_status status = LS_OK;
    if (config->data.validation > 0)
        status = ls_data_hold_out(engine->train, config->data.validation, (uint64_t)config->seed,
                                  &engine->validation);
    if (status == LS_OK && ls_data_residence(engine->train) != LS_RESIDENCE_NODE)
        status = ls_data_identify(engine->train);
    return ls_comm_agree(engine->comm, status);
}

static ls_status open_train(ls_engine *engine) {
    const ls_data_config *data = &engine->config->data;
    const ls_form form = ls_splits_form(engine);
    char shown[SHOWN];
    if (engine->sources)
        LS_TRY(ls_data_load(engine->comm, engine->sources->train, true, 0, &form, &engine->train));
    else
        LS_TRY(open_split(engine, NULL, data->train_inputs.lines, data->train_targets, 0,
                          &engine->train));
    LS_TRY(hold_out(engine));
    const ls_data *train = engine->train;
    engine->shape = *ls_data_shape(train);
    engine->classes = ls_data_is_classes(train);
    engine->outputs = ls_data_outputs(train);
    engine->in_double = ls_data_has_double_targets(train);
    if (ls_comm_rank(engine->comm) == 0)
        ls_data_warn_of_axes(train, show_names(data->train_inputs.lines, shown));
    bool wants_classes = engine->config->model.loss == LS_LOSS_CROSS_ENTROPY;
    if (wants_classes != engine->classes)
        return ls_fail(LS_ERR_INPUT, "%s: '%s' holds %s but model.loss is %s", name_of_data(engine),
                       data->train_targets, wants_classes ? "floats" : "integer classes",
                       wants_classes ? "cross_entropy, which needs integer classes"
                                     : "mean_squared_error, which needs floats");
    if (!engine->classes)
        return LS_OK;
    LS_TRY(ls_comm_agree(engine->comm, count_classes(engine)));
    return ls_comm_agree(engine->comm, ls_class_weights_resolve(engine));
}

/* Each host may have a file of its own. */
static ls_status check_hosts(const ls_engine *engine) {
    ls_text identity = {0};
    if (ls_comm_node_count(engine->comm) == 1)
        return LS_OK;
    ls_status status = ls_data_identity(engine->train, &identity);
    status = ls_comm_agree(engine->comm, status);
    for (char *end = identity.data; status == LS_OK && (end = strchr(end, '\n'));)
        *end = ';';
    if (status == LS_OK)
        status = ls_comm_same(engine->comm, "the training data", identity.data);
    ls_text_free(&identity);
    return status;
}

static ls_status load_judges(ls_engine *engine) {
    const ls_sources *sources = engine->sources;
    if (sources->validation && engine->validation)
        return ls_fail(LS_ERR_INPUT, "data.validation takes a share of the training samples: "
                                     "expected it or a source for validation, not both");
    LS_TRY(load_judge(engine, "validation", sources->validation, &engine->validation));
    return load_judge(engine, "test", sources->test, &engine->test);
}

static ls_status open_judges(ls_engine *engine) {
    const ls_data_config *data = &engine->config->data;
    if (!ls_config_is_none(data->validation_inputs.lines))
        LS_TRY(open_judge(engine, "validation", &data->validation_file,
                          data->validation_inputs.lines, data->validation_targets,
                          &engine->validation));
    if (!ls_config_is_none(data->test_inputs.lines))
        LS_TRY(open_judge(engine, "test", &data->test_file, data->test_inputs.lines,
                          data->test_targets, &engine->test));
    return LS_OK;
}

ls_status ls_splits_open(ls_engine *engine, bool with_judges) {
    LS_TRY(open_train(engine));
    LS_TRY(check_hosts(engine));
    if (engine->sources)
        LS_TRY(load_judges(engine));
    else if (with_judges)
        LS_TRY(open_judges(engine));
    LS_TRY(normalize_data(engine));
    return ls_constant_create(engine);
}

/* What a checkpoint says of the data that it was trained on. */
ls_status ls_splits_open_model(ls_engine *engine, bool with_targets) {
    const ls_data_config *data = &engine->config->data;
    if (ls_config_is_none(data->test_inputs.lines))
        return ls_fail(LS_ERR_INPUT, "data.test_inputs is none: there is no test split; --set "
                                     "data.test_inputs=NAME says which dataset to take");
    LS_TRY(ls_state_read_model(engine));
    if (engine->outputs == 0) { /* a checkpoint of before: the training split says it */
        engine->checkpoint = NULL;
        return ls_splits_open(engine, true);
    }
    LS_TRY(open_judge(engine, "test", &data->test_file, data->test_inputs.lines,
                      with_targets ? data->test_targets : NULL, &engine->test));
    return make_identities(engine);
}
