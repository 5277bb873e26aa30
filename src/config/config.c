/* Reads a configuration: the file's keys, then --set, then what involves several keys. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/layers.h"

enum { FILE_LIMIT = 16 << 20 }; /* bytes; whatever is larger is no configuration */

typedef struct reader {
    ls_place file; /* for messages about the file as a whole */
    bool empty;    /* the file holds no keys */
    ls_config *config;
    ls_place *given; /* of each key: where it was given last; line 0 and no set: nowhere */
} reader;

/* ---- the file's text ------------------------------------------------------------------------ */

static ls_status read_stream(FILE *stream, const char *file, ls_text *text) {
    char block[4096];
    size_t length;
    while ((length = fread(block, 1, sizeof block, stream)) > 0) {
        if (memchr(block, '\0', length))
            return ls_fail(LS_ERR_INPUT, "%s: not a text file, so no configuration", file);
        if (text->length + length > FILE_LIMIT)
            return ls_fail(LS_ERR_INPUT, "%s: larger than %d MiB, so no configuration", file,
                           FILE_LIMIT >> 20);
        ls_text_add(text, "%.*s", (int)length, block);
    }
    if (ferror(stream))
        return ls_fail(LS_ERR_INPUT, "%s: cannot be read: %s", file, strerror(errno));
    ls_text_add(text, "%s", "");
    return text->failed ? LS_ERR_SYSTEM : LS_OK;
}

ls_status ls_config_load(const char *file, char **text) {
    ls_text read = {0};
    FILE *stream = fopen(file, "rb");
    if (stream == NULL)
        return ls_fail(LS_ERR_INPUT, "%s: cannot be opened: %s", file, strerror(errno));
    ls_status status = read_stream(stream, file, &read);
    fclose(stream);
    if (status == LS_OK)
        *text = read.data;
    else
        ls_text_free(&read);
    return status;
}

/* ---- keys ----------------------------------------------------------------------------------- */

static bool is_section(const char *name) {
    size_t length = strlen(name);
    for (size_t i = 0; i < ls_config_key_count; i++)
        if (strncmp(ls_config_keys[i].name, name, length) == 0 &&
            ls_config_keys[i].name[length] == '.')
            return true;
    return false;
}

static ls_status fail_section(const ls_place *place, const char *section) {
    ls_text known = {0};
    size_t length = strlen(section);
    for (size_t i = 0; i < ls_config_key_count; i++)
        if (strncmp(ls_config_keys[i].name, section, length) == 0 &&
            ls_config_keys[i].name[length] == '.')
            ls_text_add(&known, "%s%s", known.length ? ", " : "", ls_config_keys[i].name);
    ls_status status = ls_fail_at(place, "'%s' is not one key but a group of keys: %s", section,
                                  known.data ? known.data : "");
    ls_text_free(&known);
    return status;
}

static ls_status fail_unknown(const ls_place *place, const char *name) {
    enum { SECTIONS_LIMIT = 32 };
    const char *sections[SECTIONS_LIMIT];
    char shown[LS_PRINTABLE];
    LS_REQUIRE(ls_config_section_count <= SECTIONS_LIMIT);
    for (size_t i = 0; i < ls_config_section_count; i++)
        sections[i] = ls_config_sections[i].name;
    const char *nearest = ls_key_nearest(ls_config_keys, ls_config_key_count, name);
    if (nearest == NULL)
        nearest = ls_nearest(name, sections, ls_config_section_count);
    ls_printable(name, shown);
    if (nearest)
        return ls_fail_at(place, "unknown key '%s'; did you mean '%s'?", shown, nearest);
    return ls_fail_at(place, "unknown key '%s'; 'lockstep help config' lists the keys", shown);
}

static bool is_given(const ls_place *given) {
    return given->line > 0 || given->set;
}

static ls_status read_key(reader *r, const ls_key *key, const ls_place *key_place,
                          struct fy_node *node) {
    ls_place *given = &r->given[key - ls_config_keys];
    ls_place place = ls_node_place(node, key_place);
    if (is_given(given))
        return ls_fail_at(key_place, "'%s' is given twice, first on line %d", key->name,
                          given->line);
    *given = place;
    if (key->type == LS_KEY_LAYERS)
        return ls_layers_read(node, key, &place, (void *)((char *)r->config + key->offset));
    ls_value value;
    LS_TRY(ls_node_value(node, &value));
    ls_status status = ls_key_read(key, NULL, r->config, &place, &value);
    ls_free((char *)value.text);
    return status;
}

static ls_status read_section(reader *r, const char *section, const ls_place *place,
                              struct fy_node *node);

static ls_status read_pair(reader *r, const char *section, const ls_place *place,
                           struct fy_node_pair *pair) {
    struct fy_node *value = fy_node_pair_value(pair);
    ls_place key_place = ls_node_place(fy_node_pair_key(pair), place);
    ls_value part;
    LS_TRY(ls_node_value(fy_node_pair_key(pair), &part));
    char *name = ls_format("%s%s%s", section, *section ? "." : "", part.text);
    ls_status status = name ? LS_OK : LS_ERR_SYSTEM;
    if (name) {
        const ls_key *key = ls_key_find(ls_config_keys, ls_config_key_count, name);
        if (key)
            status = read_key(r, key, &key_place, value);
        else if (is_section(name))
            status = read_section(r, name, &key_place, value);
        else
            status = fail_unknown(&key_place, name);
    }
    ls_free(name);
    ls_free((char *)part.text);
    return status;
}

/* The keys below `section`, "" for the whole file. */
static ls_status read_section(reader *r, const char *section, const ls_place *place,
                              struct fy_node *node) {
    struct fy_node_pair *pair;
    void *iterator = NULL;
    if (ls_node_is_null(node))
        return LS_OK;
    if (!fy_node_is_mapping(node)) {
        ls_place at = ls_node_place(node, place);
        if (*section)
            return fail_section(&at, section);
        return ls_fail_at(&at, "expected keys with values, as in 'seed: 1'");
    }
    while ((pair = fy_node_mapping_iterate(node, &iterator)))
        LS_TRY(read_pair(r, section, place, pair));
    return LS_OK;
}

static ls_status read_file(reader *r, const char *text) {
    ls_yaml *yaml;
    LS_TRY(ls_yaml_open(r->file.file, text, &yaml));
    struct fy_node *root = ls_yaml_root(yaml);
    r->empty = ls_node_is_null(root);
    ls_status status = read_section(r, "", &r->file, root);
    ls_yaml_close(yaml);
    return status;
}

/* ---- --set ---------------------------------------------------------------------------------- */

static ls_status apply_named(reader *r, const ls_place *place, const char *name, const char *text) {
    const ls_key *key = ls_key_find(ls_config_keys, ls_config_key_count, name);
    const ls_value value = {*text ? LS_VALUE_PLAIN : LS_VALUE_NOTHING, text};
    if (strncmp(name, "model.layers", strlen("model.layers")) == 0)
        return ls_fail_at(place, "the layers are set in the file only");
    if (key == NULL)
        return is_section(name) ? fail_section(place, name) : fail_unknown(place, name);
    r->given[key - ls_config_keys] = *place;
    return ls_key_read(key, NULL, r->config, place, &value);
}

static ls_status apply_set(reader *r, const char *set) {
    const ls_place place = {.set = set};
    const char *equals = strchr(set, '=');
    LS_TRY(ls_check_characters(&place, set));
    if (equals == NULL)
        return ls_fail_at(&place, "expected key=value");
    char *name = ls_format("%.*s", (int)(equals - set), set);
    ls_status status = name ? apply_named(r, &place, name, equals + 1) : LS_ERR_SYSTEM;
    ls_free(name);
    return status;
}

/* ---- what involves several keys ------------------------------------------------------------- */

static ls_status check_required(const reader *r) {
    for (size_t i = 0; i < ls_config_key_count; i++)
        if (ls_config_keys[i].initial == NULL && !is_given(&r->given[i]))
            return ls_fail_at(&r->file, "%sthe key '%s' is missing",
                              r->empty ? "the file is empty; " : "", ls_config_keys[i].name);
    return LS_OK;
}

/* Where to point when two keys do not go together: at --set, or else at the first that is given. */
static const ls_place *culprit(const reader *r, const char *first, const char *second) {
    const char *names[] = {first, second};
    const ls_place *best = &r->file;
    for (int i = 1; i >= 0; i--) {
        const ls_key *key = ls_key_find(ls_config_keys, ls_config_key_count, names[i]);
        const ls_place *given = &r->given[key - ls_config_keys];
        if (given->set || (is_given(given) && !best->set))
            best = given;
    }
    return best;
}

bool ls_target_parse(const char *text, ls_target *target) {
    static const char *const metrics[] = {"accuracy ", "loss ", "r2 "};
    for (int i = 0; i < 3; i++) {
        size_t length = strlen(metrics[i]);
        if (strncmp(text, metrics[i], length) != 0)
            continue;
        char *end;
        target->metric = (ls_target_metric)i;
        target->value = strtod(text + length, &end);
        return end > text + length && *end == '\0' && isfinite(target->value);
    }
    return false;
}

bool ls_config_is_none(const char *value) {
    return strcmp(value, "none") == 0;
}

/* The rules of thumb, where no learning rate is given. */
static void set_thumb_lr(const reader *r) {
    const ls_key *key = ls_key_find(ls_config_keys, ls_config_key_count, "train.lr");
    ls_train_config *train = &r->config->train;
    if (is_given(&r->given[key - ls_config_keys]))
        return;
    if (!ls_config_is_none(r->config->init))
        train->lr = 0.01;
    if (train->optimizer == LS_OPTIMIZER_ADAMW)
        train->lr /= 100;
}

static ls_status check_optimizer(const reader *r) {
    const ls_train_config *train = &r->config->train;
    if (train->nesterov && train->optimizer != LS_OPTIMIZER_SGD)
        return ls_fail_at(culprit(r, "train.nesterov", "train.optimizer"),
                          "train.nesterov is a kind of train.optimizer sgd's momentum: expected "
                          "false with another");
    return LS_OK;
}

static ls_status check_validation(const reader *r) {
    const ls_data_config *data = &r->config->data;
    bool inputs = !ls_config_is_none(data->validation_inputs.lines);
    bool targets = !ls_config_is_none(data->validation_targets);
    if (inputs != targets)
        return ls_fail_at(culprit(r, "data.validation_inputs", "data.validation_targets"),
                          "data.validation_inputs and data.validation_targets go together: "
                          "expected both or none");
    if (inputs && data->validation > 0)
        return ls_fail_at(culprit(r, "data.validation", "data.validation_inputs"),
                          "data.validation takes a share of the training samples: expected it or "
                          "data.validation_inputs, not both");
    return LS_OK;
}

static ls_status check_target_scale(const reader *r) {
    const ls_numbers *scale = &r->config->data.target_scale;
    const ls_numbers *offset = &r->config->data.target_offset;
    for (int i = 0; i < scale->count; i++)
        if (scale->value[i] == 0)
            return ls_fail_at(culprit(r, "data.target_scale", "data.target_scale"),
                              "data.target_scale: expected numbers other than 0");
    if (scale->count == 0 && (offset->count > 1 || offset->value[0] != 0))
        return ls_fail_at(culprit(r, "data.target_offset", "data.target_scale"),
                          "data.target_offset goes with data.target_scale: expected both or none");
    if (scale->count > 0 && r->config->model.loss != LS_LOSS_MEAN_SQUARED_ERROR)
        return ls_fail_at(culprit(r, "data.target_scale", "model.loss"),
                          "data.target_scale is for regression: expected model.loss "
                          "mean_squared_error, not cross_entropy");
    return LS_OK;
}

static ls_status check_target(const reader *r) {
    static const char *const metrics[] = {"accuracy", "loss", "r2"};
    const char *text = r->config->train.target;
    bool classes = r->config->model.loss == LS_LOSS_CROSS_ENTROPY;
    const ls_place *place = culprit(r, "train.target", "model.loss");
    char shown[LS_PRINTABLE], word[16];
    ls_target target;
    if (ls_config_is_none(text))
        return LS_OK;
    if (!ls_target_parse(text, &target)) {
        snprintf(word, sizeof word, "%.*s", (int)strcspn(text, " "), text);
        const char *nearest = ls_nearest(word, metrics, sizeof metrics / sizeof *metrics);
        nearest = nearest && strcmp(nearest, word) == 0 ? NULL : nearest;
        return ls_fail_at(place,
                          "train.target: expected a metric, accuracy, loss or r2, and a value, as "
                          "in 'accuracy 0.9', got '%s'%s%s%s",
                          ls_printable(text, shown), nearest ? "; did you mean '" : "",
                          nearest ? nearest : "", nearest ? "'?" : "");
    }
    if (target.metric == (classes ? LS_TARGET_R2 : LS_TARGET_ACCURACY))
        return ls_fail_at(place, "train.target: %s is not a metric of model.loss %s: expected %s",
                          metrics[target.metric], classes ? "cross_entropy" : "mean_squared_error",
                          classes ? "accuracy or loss" : "loss or r2");
    return LS_OK;
}

static ls_status check_together(const reader *r) {
    const ls_config *c = r->config;
    if (c->batch.slices > c->batch.size)
        return ls_fail_at(culprit(r, "batch.slices", "batch.size"),
                          "batch.slices (%lld) must not be larger than batch.size (%lld)",
                          (long long)c->batch.slices, (long long)c->batch.size);
    if (c->find_lr.end <= c->find_lr.start)
        return ls_fail_at(culprit(r, "find_lr.end", "find_lr.start"),
                          "find_lr.end (%g) must be larger than find_lr.start (%g)", c->find_lr.end,
                          c->find_lr.start);
    if (isnan(c->train.lr) && c->train.lr_reference_batch > 0)
        return ls_fail_at(culprit(r, "train.lr_reference_batch", "train.lr"),
                          "train.lr_reference_batch scales a given train.lr; auto finds one for "
                          "this batch.size already");
    if (c->model.loss == LS_LOSS_MEAN_SQUARED_ERROR && c->find_lr.accuracy)
        return ls_fail_at(culprit(r, "find_lr.accuracy", "model.loss"),
                          "find_lr.accuracy needs classes: model.loss cross_entropy, not "
                          "mean_squared_error");
    if (c->model.loss == LS_LOSS_MEAN_SQUARED_ERROR && c->model.label_smoothing > 0)
        return ls_fail_at(culprit(r, "model.label_smoothing", "model.loss"),
                          "model.label_smoothing needs classes: model.loss cross_entropy, not "
                          "mean_squared_error");
    if (c->model.loss == LS_LOSS_MEAN_SQUARED_ERROR &&
        (c->model.class_weights.balanced || c->model.class_weights.count > 0))
        return ls_fail_at(culprit(r, "model.class_weights", "model.loss"),
                          "model.class_weights needs classes: model.loss cross_entropy, not "
                          "mean_squared_error");
    LS_TRY(check_optimizer(r));
    LS_TRY(check_validation(r));
    LS_TRY(check_target_scale(r));
    return check_target(r);
}

/* ---- all together --------------------------------------------------------------------------- */

ls_status ls_config_parse(const char *file, const char *text, const char *const *sets,
                          size_t set_count, ls_config **config) {
    ls_status status;
    reader r = {.file = {.file = file}};
    LS_TRY_GOTO(done, LS_NEW(r.config, 1));
    LS_TRY_GOTO(done, LS_NEW(r.given, ls_config_key_count));
    LS_TRY_GOTO(done, ls_keys_set_defaults(ls_config_keys, ls_config_key_count, r.config));
    LS_TRY_GOTO(done, read_file(&r, text));
    for (size_t i = 0; i < set_count; i++)
        LS_TRY_GOTO(done, apply_set(&r, sets[i]));
    LS_TRY_GOTO(done, check_required(&r));
    set_thumb_lr(&r);
    LS_TRY_GOTO(done, check_together(&r));
    *config = r.config;
    r.config = NULL;
done:
    ls_free(r.given);
    ls_config_free(r.config);
    return status;
}

void ls_config_free(ls_config *config) {
    if (config == NULL)
        return;
    for (size_t i = 0; i < ls_config_key_count; i++)
        if (ls_config_keys[i].type == LS_KEY_TEXT || ls_config_keys[i].type == LS_KEY_PATHS ||
            ls_config_keys[i].type == LS_KEY_NAMES)
            ls_free(*(char **)((char *)config + ls_config_keys[i].offset));
    ls_model_spec_free(&config->model);
    ls_free(config);
}

/* ---- for other programs --------------------------------------------------------------------- */

ls_status ls_config_create(const char *yaml, ls_config **config) {
    return ls_config_parse("the configuration", yaml, NULL, 0, config);
}

/* By its own text: what follows from several keys is looked at as always. */
ls_status ls_config_set(ls_config *config, const char *key, const char *value) {
    ls_config *changed = NULL;
    ls_text text = {0};
    char *set = ls_format("%s=%s", key, value);
    const char *const sets[] = {set};
    ls_config_write(config, &text);
    ls_status status = set && !text.failed ? LS_OK : LS_ERR_SYSTEM;
    if (status == LS_OK)
        status = ls_config_parse("the configuration", text.data, sets, 1, &changed);
    if (status == LS_OK) {
        const ls_config before = *config;
        *config = *changed;
        *changed = before;
    }
    ls_config_free(changed);
    ls_text_free(&text);
    ls_free(set);
    return status;
}
