/* config: defaults, every type of value, --set, and what a run's file says when it is read back. */
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lockstep/train.h"
#include "test_config.h"

#define MINIMAL                                                                                    \
    "data: {file: a.h5}\n"                                                                         \
    "model: {layers: [flatten, dense: {units: 10}]}\n"

/* The values that the documentation promises, written out by hand. */
Test(config, defaults) {
    ls_config *c = parse_with(MINIMAL, NULL);
    cr_expect_eq(c->seed, 1);
    cr_expect_str_eq(c->data.file.lines, "a.h5");
    cr_expect_str_eq(c->data.train_inputs.lines, "train/inputs");
    cr_expect_str_eq(c->data.train_targets, "train/targets");
    cr_expect_str_eq(c->data.test_inputs.lines, "test/inputs");
    cr_expect_str_eq(c->data.test_targets, "test/targets");
    cr_expect(c->data.normalize && c->data.shuffle);
    cr_expect(c->data.target_scale.count == 0 && c->data.target_offset.count == 1 &&
              c->data.target_offset.value[0] == 0);
    cr_expect(c->data.layout == LS_CHANNELS_FIRST && c->data.transform.count == 0);
    cr_expect_eq(c->batch.size, 128);
    cr_expect_eq(c->batch.slices, 4);
    cr_expect(c->augment.crop_padding == 0 && !c->augment.flip && c->augment.cutout == 0);
    cr_expect_eq(c->train.clip_norm, 0);
    cr_expect_eq(c->find_lr.start, 1e-8);
    cr_expect_eq(c->find_lr.end, 10);
    cr_expect_eq(c->find_lr.steps, LS_AUTO);
    cr_expect_eq(c->find_lr.ramp, LS_RAMP_EXPONENTIAL);
    cr_expect_eq(c->find_lr.beta, 0.98);
    cr_expect_eq(c->find_lr.stop_factor, 4);
    cr_expect_not(c->find_lr.accuracy);
    cr_expect_eq(c->find_lr.validation_every, 0);
    cr_expect_eq(c->find_lr.validation_samples, 1000);
    cr_expect_eq(c->train.epochs, 10);
    cr_expect_eq(c->train.lr, 0.1);
    cr_expect_eq(c->train.momentum, 0.9);
    cr_expect_not(c->train.nesterov);
    cr_expect_eq(c->train.weight_decay, 0);
    cr_expect_not(c->train.decay_all);
    cr_expect_eq(c->compute.type, LS_COMPUTE_FLOAT32);
    cr_expect_str_eq(c->compute.isa, "auto");
    cr_expect_eq(c->compute.threads, 1);
    cr_expect_eq(c->exchange, LS_EXCHANGE_AUTO);
    cr_expect_eq(c->exchange_sum, LS_EXCHANGE_FIXED);
    cr_expect_eq(c->stall_seconds, 60);
    cr_expect_eq(c->model.loss, LS_LOSS_CROSS_ENTROPY);
    cr_expect_eq(c->model.label_smoothing, 0);
    cr_expect_not(c->model.class_weights.balanced);
    cr_expect_eq(c->model.class_weights.count, 0);
    cr_expect_eq(c->data.validation, 0);
    cr_expect_str_eq(c->data.validation_inputs.lines, "none");
    cr_expect_eq(c->train.stop_after, 0);
    cr_expect_str_eq(c->train.target, "none");
    cr_expect_eq(c->model.init, LS_INIT_HE);
    cr_expect_eq(c->model.layers.count, 2);
    ls_config_free(c);
}

/* As other programs make one: from text, then key by key; what is refused changes nothing. */
Test(config, set_by_key) {
    ls_config *c = NULL;
    cr_assert_eq(ls_config_create(MINIMAL, &c), LS_OK, "%s", ls_message());
    cr_expect_eq(ls_config_set(c, "train.lr", "0.25"), LS_OK, "%s", ls_message());
    cr_expect_eq(ls_config_set(c, "data.file", "b c.h5"), LS_OK, "%s", ls_message());
    cr_expect_eq(ls_config_set(c, "data.train_inputs", "[a/x, b]"), LS_OK, "%s", ls_message());
    cr_expect_eq(ls_config_set(c, "init_new", "[a, b]"), LS_OK, "%s", ls_message());
    cr_expect_eq(ls_config_set(c, "batch.size", "256"), LS_OK, "%s", ls_message());
    cr_expect_eq(ls_config_set(c, "train.lrr", "1"), LS_ERR_INPUT);
    cr_expect_not_null(strstr(ls_message(), "did you mean 'train.lr'"), "%s", ls_message());
    ls_message_set("");
    cr_expect_eq(ls_config_set(c, "batch.slices", "257"), LS_ERR_INPUT);
    cr_expect_not_null(strstr(ls_message(), "must not be larger than batch.size (256)"), "%s",
                       ls_message());
    ls_message_set("");
    cr_expect_eq(ls_config_set(c, "train.epochs", "many"), LS_ERR_INPUT);
    cr_expect(c->train.lr == 0.25 && c->batch.size == 256 && c->batch.slices == 4);
    cr_expect_str_eq(c->data.file.lines, "b c.h5");
    cr_expect_str_eq(c->data.train_inputs.lines, "a/x\nb");
    cr_expect_eq(c->model.layers.count, 2);
    ls_config_free(c);
    ls_message_set("");
    cr_expect_eq(ls_config_create("data: {file: a.h5}\n", &c), LS_ERR_INPUT);
    cr_expect_not_null(strstr(ls_message(), "the configuration"), "%s", ls_message());
}

/* Where no learning rate is given: of SGD, of fine-tuning, of AdamW. */
Test(config, rules_of_thumb) {
    static const struct {
        const char *const sets[3];
        double lr;
    } rules[] = {{{NULL}, 0.1},
                 {{"init=a.h5", NULL}, 0.01},
                 {{"train.optimizer=lars", NULL}, 0.1},
                 {{"train.optimizer=adamw", NULL}, 0.001},
                 {{"train.optimizer=adamw", "init=a.h5", NULL}, 0.0001},
                 {{"train.optimizer=adamw", "train.lr=0.1", NULL}, 0.1}};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        ls_config *c = parse_with(MINIMAL, rules[i].sets);
        cr_expect_float_eq(c->train.lr, rules[i].lr, 1e-12, "rule %zu: %g", i, c->train.lr);
        ls_config_free(c);
    }
    ls_config *c = parse_with(MINIMAL, SETS("init=a.h5", "train.lr=auto"));
    cr_expect(isnan(c->train.lr));
    ls_config_free(c);
    expect_message(MINIMAL, SETS("train.nesterov=true", "train.optimizer=adamw"),
                   "--set train.nesterov=true: train.nesterov is a kind of train.optimizer sgd's "
                   "momentum: expected false with another");
}

Test(config, every_type) {
    ls_config *c = parse_with("seed: 9007199254740992\n"
                              "data:\n"
                              "  file: 'with space.h5'\n"
                              "  test_inputs: 12\n"
                              "  normalize: false\n"
                              "batch: {size: +256, slices: 007}\n"
                              "find_lr:\n"
                              "  start: 1E-3\n"
                              "  end: .5\n"
                              "  ramp: \"linear\"\n"
                              "train: {lr: 5, momentum: 0, nesterov: true, weight_decay: 5.e-4}\n"
                              "train.epochs: 3\n"
                              "compute:\n"
                              "  isa: avx2\n"
                              "exchange: flat\n"
                              "exchange_sum: float32\n"
                              "find_lr.beta: 0\n"
                              "model:\n"
                              "  loss: mean_squared_error\n"
                              "  init: glorot\n"
                              "  layers: [relu]\n",
                              NULL);
    cr_expect_eq(c->seed, INT64_C(9007199254740992));
    cr_expect_str_eq(c->data.file.lines, "with space.h5");
    cr_expect_str_eq(c->data.test_inputs.lines, "12");
    cr_expect_not(c->data.normalize);
    cr_expect_eq(c->batch.size, 256);
    cr_expect_eq(c->batch.slices, 7);
    cr_expect_eq(c->find_lr.start, 1e-3);
    cr_expect_eq(c->find_lr.end, 0.5);
    cr_expect_eq(c->find_lr.beta, 0);
    cr_expect_eq(c->find_lr.ramp, LS_RAMP_LINEAR);
    cr_expect_eq(c->train.lr, 5);
    cr_expect_eq(c->train.momentum, 0);
    cr_expect(c->train.nesterov);
    cr_expect_eq(c->train.weight_decay, 5e-4);
    cr_expect_eq(c->train.epochs, 3);
    cr_expect_str_eq(c->compute.isa, "avx2");
    cr_expect_eq(c->exchange, LS_EXCHANGE_FLAT);
    cr_expect_eq(c->exchange_sum, LS_EXCHANGE_FLOAT32);
    cr_expect_eq(c->model.loss, LS_LOSS_MEAN_SQUARED_ERROR);
    cr_expect_eq(c->model.init, LS_INIT_GLOROT);
    ls_config_free(c);
}

/* Weights: a word or a list of any length, the last one counts, written as they are read. */
Test(config, class_weights) {
    ls_text written = {0};
    ls_config *c = parse_with(
        MINIMAL, SETS("model.class_weights=[1, 2]", "model.class_weights=[ 3,0.25,0,1e-3 ]"));
    cr_expect_eq(c->model.class_weights.count, 4);
    cr_expect_eq(c->model.class_weights.value[1], 0.25);
    ls_config_write(c, &written);
    cr_expect_not_null(strstr(written.data, "class_weights: [3, 0.25, 0, 0.001]\n"));
    ls_text_free(&written);
    ls_config_free(c);
    c = parse_with(MINIMAL, SETS("model.class_weights=[1, 2]", "model.class_weights=balanced"));
    cr_expect(c->model.class_weights.balanced);
    cr_expect_null(c->model.class_weights.value);
    ls_config_write(c, &written);
    cr_expect_not_null(strstr(written.data, "class_weights: balanced\n"));
    ls_text_free(&written);
    ls_config_free(c);
    c = parse_with("model: {layers: [relu], class_weights: [1,\n  2, 3]}\ndata: {file: a}\n", NULL);
    cr_expect_eq(c->model.class_weights.count, 3);
    ls_config_free(c);
}

Test(config, targets) {
    static const char *const wrong[] = {"accuracy", "accuracy ", "accuracy x", "accuracy 0.9 ",
                                        "0.9",      "auc 0.9",   "loss inf",   "loss nan"};
    ls_target target;
    cr_expect(ls_target_parse("accuracy 0.9", &target));
    cr_expect(target.metric == LS_TARGET_ACCURACY && target.value == 0.9);
    cr_expect(ls_target_parse("loss 2e-3", &target));
    cr_expect(target.metric == LS_TARGET_LOSS && target.value == 2e-3);
    cr_expect(ls_target_parse("r2 -1", &target));
    cr_expect(target.metric == LS_TARGET_R2 && target.value == -1);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_expect_not(ls_target_parse(wrong[i], &target), "%s", wrong[i]);
}

/* What editors on other systems leave in a file; and sections whose keys are all commented out. */
Test(config, harmless_forms) {
    ls_config *c = parse_with(
        "\xef\xbb\xbf---\r\nseed: 7\r\nfind_lr:\r\n  # end: 3\r\n" MINIMAL "...\r\n", NULL);
    cr_expect_eq(c->seed, 7);
    cr_expect_eq(c->find_lr.end, 10);
    ls_config_free(c);
}

Test(config, steps_of_the_range_test) {
    const struct {
        const char *set;
        int64_t steps, made;
    } cases[] = {{"find_lr.steps=auto", LS_AUTO, 500},
                 {"find_lr.steps=0", 0, 37},
                 {"find_lr.steps=7", 7, 7}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ls_config *c = parse_with(MINIMAL, SETS(cases[i].set));
        cr_expect_eq(c->find_lr.steps, cases[i].steps, "%s", cases[i].set);
        cr_expect_eq(ls_find_lr_steps(c->find_lr.steps, 37), cases[i].made, "%s", cases[i].set);
        ls_config_free(c);
    }
    const int64_t training[] = {100, 14990, 15000, 20000, 25000, 1000000};
    const int64_t longer[] = {0, 0, 1000, 1500, 2000, 2000};
    for (size_t i = 0; i < sizeof training / sizeof training[0]; i++)
        cr_expect_eq(ls_find_lr_longer_steps(training[i]), longer[i], "%lld",
                     (long long)training[i]);
    expect_message(MINIMAL, SETS("find_lr.steps=aut"),
                   "--set find_lr.steps=aut: find_lr.steps: expected an integer from 0 to "
                   "2147483647, or auto, got 'aut'; did you mean 'auto'?");
}

/* ---- --set ---------------------------------------------------------------------------------- */

Test(config, set_replaces_and_the_last_one_counts) {
    ls_config *c = parse_with("batch: {size: 64}\n" MINIMAL,
                              SETS("batch.size=32", "batch.slices=2", "batch.size=16",
                                   "train.lr=0.1", "train.lr=auto", "data.file=b=c d.h5",
                                   "model.init=glorot", "model.label_smoothing=0.1"));
    cr_expect_eq(c->batch.size, 16);
    cr_expect_eq(c->batch.slices, 2);
    cr_expect(isnan(c->train.lr));
    cr_expect_str_eq(c->data.file.lines, "b=c d.h5");
    cr_expect_eq(c->model.init, LS_INIT_GLOROT);
    cr_expect_eq(c->model.label_smoothing, 0.1);
    ls_config_free(c);
    c = parse_with("model: {layers: [relu]}\n", SETS("data.file=a.h5"));
    cr_expect_str_eq(c->data.file.lines, "a.h5");
    ls_config_free(c);
}

Test(config, set_refused) {
    static const refusal cases[] = {
        {"batch.sise=3",
         "--set batch.sise=3: unknown key 'batch.sise'; did you mean 'batch.size'?"},
        {"size=3", "--set size=3: unknown key 'size'; did you mean 'batch.size'?"},
        {"batch.size", "--set batch.size: expected key=value"},
        {"batch.size=", "--set batch.size=: batch.size: expected an integer from 1 to 2147483647, "
                        "got nothing"},
        {"batch.size=many", "--set batch.size=many: batch.size: expected an integer from 1 to "
                            "2147483647, got 'many'"},
        {"batch=3", "--set batch=3: 'batch' is not one key but a group of keys: batch.size, "
                    "batch.slices, batch.drop_last"},
        {"model.layers=[relu]", "--set model.layers=[relu]: the layers are set in the file only"},
        {"model.layers.0.slope=1",
         "--set model.layers.0.slope=1: the layers are set in the file only"},
        {"batch.size=2", "--set batch.size=2: batch.slices (4) must not be larger than batch.size "
                         "(2)"},
        {"find_lr.start=20", "--set find_lr.start=20: find_lr.end (10) must be larger than "
                             "find_lr.start (20)"},
        {"data.file=\xff", "--set data.file=?: byte 0xff is no text in UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_message(MINIMAL, SETS(cases[i].text), cases[i].message);
    expect_message(MINIMAL, SETS("model.loss=mean_squared_error", "find_lr.accuracy=true"),
                   "--set find_lr.accuracy=true: find_lr.accuracy needs classes: model.loss "
                   "cross_entropy, not mean_squared_error");
    expect_message(MINIMAL, SETS("model.loss=mean_squared_error", "model.label_smoothing=0.1"),
                   "--set model.label_smoothing=0.1: model.label_smoothing needs classes: "
                   "model.loss cross_entropy, not mean_squared_error");
}

/* ---- writing -------------------------------------------------------------------------------- */

/* Written, read and written again: the same text and the same values. */
static void expect_round_trip(const ls_config *config) {
    ls_text first = {0}, second = {0};
    ls_config_write(config, &first);
    cr_assert_not(first.failed);
    ls_config *again = parse_with(first.data, NULL);
    ls_config_write(again, &second);
    cr_expect_str_eq(first.data, second.data);
    cr_expect_str_eq(config->data.file.lines, again->data.file.lines);
    cr_expect_eq(config->find_lr.start, again->find_lr.start);
    cr_expect_eq(config->train.weight_decay, again->train.weight_decay);
    cr_expect_eq(config->model.layers.count, again->model.layers.count);
    ls_config_free(again);
    ls_text_free(&first);
    ls_text_free(&second);
}

Test(config, round_trip) {
    static const char *const files[] = {"plain.h5", "/abs/ol-ute_1.h5",
                                        "a b",      "true",
                                        "null",     "12",
                                        "-x",       "#x",
                                        "a: b",     "{x}",
                                        "\"q\\",    "tab\t",
                                        "\xc3\xbc", "~"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char set[64];
        snprintf(set, sizeof set, "data.file=%s", files[i]);
        ls_config *c = parse_with(MINIMAL, SETS(set, "train.weight_decay=0.1234567890123456789",
                                                "find_lr.start=4.9406564584124654e-324"));
        cr_expect_str_eq(c->data.file.lines, files[i]);
        expect_round_trip(c);
        ls_config_free(c);
    }
}

Test(config, lists_of_files) {
    static const char *const lists[][2] = {{"[a.h5]", "a.h5"},
                                           {"[ a.h5,b c.h5 , a*.h5 ]", "a.h5\nb c.h5\na*.h5"},
                                           {"[\"x*.h5\", 'true', \"#\"]", "x*.h5\ntrue\n#"},
                                           {"'[ab]*.h5'", "[ab]*.h5"},
                                           {"a,b.h5", "a,b.h5"}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        char *yaml = ls_format("data.file: %s\nmodel.layers: [relu]\n", lists[i][0]);
        ls_config *c = parse_with(yaml, NULL);
        cr_expect_str_eq(c->data.file.lines, lists[i][1]);
        cr_expect_str_eq(c->data.test_file.lines, "");
        expect_round_trip(c);
        ls_config_free(c);
        ls_free(yaml);
    }
    ls_config *c = parse_with(MINIMAL, SETS("data.file=[a*, b]", "data.test_file=c", "seed=2"));
    cr_expect_str_eq(c->data.file.lines, "a*\nb");
    cr_expect_str_eq(c->data.test_file.lines, "c");
    expect_round_trip(c);
    ls_config_free(c);
}

Test(config, numbers_are_written_short) {
    ls_config *c = parse_with(MINIMAL, SETS("train.lr=0.30000000000000004", "find_lr.end=100"));
    ls_text text = {0};
    ls_config_write(c, &text);
    cr_expect_not_null(strstr(text.data, "  start: 1e-08\n"));
    cr_expect_not_null(strstr(text.data, "  end: 100\n"));
    cr_expect_not_null(strstr(text.data, "  momentum: 0.9\n"));
    cr_expect_not_null(strstr(text.data, "  lr: 0.30000000000000004\n"));
    ls_text_free(&text);
    ls_config_free(c);
}

/* ---- the reference and the files in configs/ ------------------------------------------------ */

static char *load(const char *file) {
    char *text = NULL;
    cr_assert_eq(ls_config_load(file, &text), LS_OK, "%s", ls_message());
    return text;
}

Test(config, reference_file_is_up_to_date) {
    ls_text reference = {0};
    ls_config_reference(&reference);
    char *committed = load("configs/reference.yaml");
    cr_expect_str_eq(committed, reference.data,
                     "configs/reference.yaml is not what ls_config_reference writes");
    ls_free(committed);
    ls_text_free(&reference);
}

Test(config, reference_holds_the_defaults) {
    ls_text reference = {0}, written = {0}, defaults = {0};
    ls_config_reference(&reference);
    ls_config *c = parse_with(reference.data, NULL);
    ls_config *d = parse_with("data: {file: data.h5}\nmodel: {layers: [flatten, dense: {units: "
                              "128}, relu, dense: {units: 10}]}\n",
                              NULL);
    ls_config_write(c, &written);
    ls_config_write(d, &defaults);
    cr_expect_str_eq(written.data, defaults.data);
    ls_config_free(c);
    ls_config_free(d);
    ls_text_free(&reference);
    ls_text_free(&written);
    ls_text_free(&defaults);
}

/* Every layer that the reference shows in a comment, "# - conv: {...}", is one that is understood.
 */
Test(config, reference_layers_parse) {
    ls_text reference = {0}, text = {0};
    ls_config_reference(&reference);
    ls_text_add(&text, "data: {file: a}\nmodel:\n  layers:\n");
    int shown = 0;
    for (const char *line = reference.data; (line = strstr(line, "\n# - ")); shown++) {
        line += strlen("\n# ");
        ls_text_add(&text, "    %.*s\n", (int)strcspn(line, "\n"), line);
    }
    cr_expect_eq(shown, 16);
    ls_config *c = parse_with(text.data, NULL);
    cr_expect_eq(c->model.layers.count, 15 + 3 * 2);
    expect_round_trip(c);
    ls_config_free(c);
    ls_text_free(&reference);
    ls_text_free(&text);
}

Test(config, help_names_every_key) {
    ls_text help = {0}, written = {0};
    ls_config *c = parse_with(MINIMAL, NULL);
    ls_config_help(&help);
    static const char *const names[] = {"seed",
                                        "data.file",
                                        "batch.size",
                                        "batch.slices",
                                        "find_lr.start",
                                        "find_lr.end",
                                        "find_lr.steps",
                                        "find_lr.ramp",
                                        "find_lr.beta",
                                        "find_lr.stop_factor",
                                        "train.epochs",
                                        "train.lr",
                                        "train.momentum",
                                        "train.weight_decay",
                                        "compute.type",
                                        "compute.isa",
                                        "compute.threads",
                                        "exchange",
                                        "model.layers"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char line[64];
        snprintf(line, sizeof line, "\n  %s\n", names[i]);
        cr_expect_not_null(strstr(help.data, line), "%s", names[i]);
    }
    cr_expect_not_null(strstr(help.data, "      an integer from 1 to 1024; default 1\n"));
    ls_config_free(c);
    ls_text_free(&help);
    ls_text_free(&written);
}

static ls_config *parse_file(const char *file) {
    char *text = load(file);
    ls_config *c = NULL;
    cr_assert_eq(ls_config_parse(file, text, NULL, 0, &c), LS_OK, "%s", ls_message());
    ls_free(text);
    return c;
}

/* Every file in configs/ is a configuration. */
Test(config, configs_parse) {
    glob_t files;
    cr_assert_eq(glob("configs/*.yaml", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        ls_config *c = parse_file(files.gl_pathv[i]);
        expect_round_trip(c);
        ls_config_free(c);
    }
    globfree(&files);
}

Test(config, layers_of_resnet20) {
    ls_config *c = parse_file("configs/resnet20.yaml");
    cr_expect_eq(c->model.layers.count, 3 + 9 * 2 + 2);
    ls_config_free(c);
}

/* ---- loading -------------------------------------------------------------------------------- */

Test(config, load_refuses_what_is_no_text) {
    char folder[] = "/tmp/lockstep-config-XXXXXX", file[64], message[160];
    char *text = NULL;
    cr_assert_not_null(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/x.yaml", folder);
    cr_expect_eq(ls_config_load(file, &text), LS_ERR_INPUT);
    snprintf(message, sizeof message, "%s: cannot be opened: No such file or directory", file);
    cr_expect_str_eq(ls_message(), message);

    FILE *stream = fopen(file, "wb");
    fwrite("seed: 1\n\0data", 1, 13, stream);
    fclose(stream);
    ls_message_set("");
    cr_expect_eq(ls_config_load(file, &text), LS_ERR_INPUT);
    snprintf(message, sizeof message, "%s: not a text file, so no configuration", file);
    cr_expect_str_eq(ls_message(), message);

    ls_message_set("");
    cr_expect_eq(ls_config_load(folder, &text), LS_ERR_INPUT);
    snprintf(message, sizeof message, "%s: cannot be read: Is a directory", folder);
    cr_expect_str_eq(ls_message(), message);
    cr_expect_null(text);
    unlink(file);
    rmdir(folder);
}
