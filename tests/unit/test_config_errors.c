/* config: what is wrong in a file is refused with one exact line: place, key, what was expected. */
#include <stdio.h>

#include "test_config.h"

static void expect_all(const refusal *cases, size_t count) {
    for (size_t i = 0; i < count; i++)
        expect_message(cases[i].text, NULL, cases[i].message);
}
#define EXPECT_ALL(cases) expect_all(cases, sizeof(cases) / sizeof *(cases))

Test(config_errors, yaml) {
    static const refusal cases[] = {
        {"a: [1\n", "x.yaml:2:1: not valid YAML: flow sequence without a closing bracket"},
        {"batch:\n\tsize: 1\n",
         "x.yaml:2:1: not valid YAML: tab character may not be used as indentation"},
        {"seed: 1\nseed: 2\n", "x.yaml:2:1: not valid YAML: duplicate key"},
        {"seed: *one\n", "x.yaml:1:8: not valid YAML: invalid alias"},
        {"seed: 1\n}\n",
         "x.yaml:2:1: not valid YAML: flow mapping with invalid extra closing brace"},
        {"seed: 1\n---\nseed: 2\n",
         "x.yaml:3:1: a second YAML document starts here; only one can be used"},
        {"seed: 1\n# \xfc\n", "x.yaml:2:3: byte 0xfc is no text in UTF-8"},
        {"seed: 1\x01\n", "x.yaml:1:8: byte 0x01 is no text in UTF-8"},
        /* libfyaml 0.7.12 would not return from this one. */
        {"seed: 1\n%  - c: {a\xe9 b}\n", "x.yaml:2:11: byte 0xe9 is no text in UTF-8"},
    };
    EXPECT_ALL(cases);
}

Test(config_errors, empty_and_missing) {
    static const refusal cases[] = {
        {"", "x.yaml: the file is empty; the key 'data.file' is missing"},
        {"# nothing\n", "x.yaml: the file is empty; the key 'data.file' is missing"},
        {"---\n...\n", "x.yaml: the file is empty; the key 'data.file' is missing"},
        {"model: {layers: [relu]}\n", "x.yaml: the key 'data.file' is missing"},
        {"data: {file: a}\nmodel:\n", "x.yaml: the key 'model.layers' is missing"},
        {"[seed]\n", "x.yaml:1:2: expected keys with values, as in 'seed: 1'"},
        {"seed\n", "x.yaml:1:1: expected keys with values, as in 'seed: 1'"},
    };
    EXPECT_ALL(cases);
    expect_message("", SETS("data.file=a"),
                   "x.yaml: the file is empty; the key 'model.layers' is missing");
}

Test(config_errors, unknown_and_repeated_keys) {
    static const refusal cases[] = {
        {"batch:\n  slice: 1\n", "x.yaml:2:3: unknown key 'batch.slice'; did you mean "
                                 "'batch.slices'?"},
        {"slices: 1\n", "x.yaml:1:1: unknown key 'slices'; did you mean 'batch.slices'?"},
        {"find_lr:\n  nesterov: true\n",
         "x.yaml:2:3: unknown key 'find_lr.nesterov'; did you mean 'train.nesterov'?"},
        {"trian: {lr: 1}\n", "x.yaml:1:1: unknown key 'trian'; did you mean 'train'?"},
        {"zzzzzz: 1\n", "x.yaml:1:1: unknown key 'zzzzzz'; 'lockstep help config' lists the keys"},
        {"? [a]\n: b\n", "x.yaml:1:4: unknown key '[a]'; 'lockstep help config' lists the keys"},
        {"batch: 128\n", "x.yaml:1:8: 'batch' is not one key but a group of keys: batch.size, "
                         "batch.slices, batch.drop_last"},
        {"batch:\n  size: 3\nbatch.size: 4\n",
         "x.yaml:3:1: 'batch.size' is given twice, first on line 2"},
    };
    EXPECT_ALL(cases);
}

Test(config_errors, values) {
    static const refusal cases[] = {
        {"seed: -1\n",
         "x.yaml:1:7: seed: expected an integer from 0 to 9007199254740992, got '-1'"},
        {"batch:\n  size: many\n",
         "x.yaml:2:9: batch.size: expected an integer from 1 to 2147483647, got 'many'"},
        {"batch:\n  size: \"128\"\n",
         "x.yaml:2:10: batch.size: expected an integer from 1 to 2147483647, got the text '128'"},
        {"batch:\n  size:\n",
         "x.yaml:2:3: batch.size: expected an integer from 1 to 2147483647, got nothing"},
        {"batch:\n  size: {a: 1}\n",
         "x.yaml:2:10: batch.size: expected an integer from 1 to 2147483647, got '{a: 1}'"},
        {"batch:\n  size: [1, 2]\n",
         "x.yaml:2:10: batch.size: expected an integer from 1 to 2147483647, got '[1, 2]'"},
        {"batch.size: 1e3\n",
         "x.yaml:1:13: batch.size: expected an integer from 1 to 2147483647, got '1e3'"},
        {"batch.size: 0x10\n",
         "x.yaml:1:13: batch.size: expected an integer from 1 to 2147483647, got '0x10'"},
        {"batch.size: 2147483648\n",
         "x.yaml:1:13: batch.size: expected an integer from 1 to 2147483647, got '2147483648'"},
        {"batch.size: 99999999999999999999999\n",
         "x.yaml:1:13: batch.size: expected an integer from 1 to 2147483647, got "
         "'99999999999999999999999'"},
        {"find_lr.end: 1e999\n",
         "x.yaml:1:14: find_lr.end: expected a number above 0, got '1e999'"},
        {"find_lr.end: 1e-999\n",
         "x.yaml:1:14: find_lr.end: expected a number above 0, got '1e-999'"},
        {"model.layers: [scale: {factor: inf}]\n",
         "x.yaml:1:32: scale.factor: expected a number, not inf or nan, got 'inf'"},
        {"find_lr.end: nan\n", "x.yaml:1:14: find_lr.end: expected a number above 0, got 'nan'"},
        {"find_lr.end: 0x1p3\n",
         "x.yaml:1:14: find_lr.end: expected a number above 0, got '0x1p3'"},
        {"find_lr.end: 1_000\n",
         "x.yaml:1:14: find_lr.end: expected a number above 0, got '1_000'"},
        {"find_lr.end: 1 2\n", "x.yaml:1:14: find_lr.end: expected a number above 0, got '1 2'"},
        {"find_lr.beta: 1\n",
         "x.yaml:1:15: find_lr.beta: expected a number from 0 to below 1, got '1'"},
        {"train.weight_decay: -1\n",
         "x.yaml:1:21: train.weight_decay: expected a number of at least 0, got '-1'"},
        {"train.lr: aut\n", "x.yaml:1:11: train.lr: expected a number above 0, or auto, got 'aut'; "
                            "did you mean 'auto'?"},
        {"data.normalize: yes\n", "x.yaml:1:17: data.normalize: expected true or false, got 'yes'"},
        {"data.file: ''\n",
         "x.yaml:1:13: data.file: expected a path, a pattern, or a list of them, got nothing"},
        {"data.file: ~\n",
         "x.yaml:1:12: data.file: expected a path, a pattern, or a list of them, got nothing"},
        {"data.file: []\n",
         "x.yaml:1:1: data.file: expected a path, a pattern, or a list of them, got '[]'"},
        {"data.file: [a, '', b]\n", "x.yaml:1:13: data.file: expected a path, a pattern, or a list "
                                    "of them, got the texts '[a, , b]'"},
        {"data.train_targets: [a]\n",
         "x.yaml:1:22: data.train_targets: expected a text, got '[a]'"},
        {"data.train_inputs: []\n",
         "x.yaml:1:1: data.train_inputs: expected a text, or a list of them, got '[]'"},
        {"data.train_inputs: [a, [b]]\n",
         "x.yaml:1:21: data.train_inputs: expected a text, or a list of them, got '[a, [b]]'"},
        {"data.target_scale: [1, auto]\n",
         "x.yaml:1:21: data.target_scale: expected a number, or a list of up to 16, not inf or "
         "nan, or auto, got '[1, auto]'"},
        {"data.transform: [log1p, {scale: 0}]\n",
         "x.yaml:1:18: data.transform: expected log1p, {scale: a} with a not 0, {clip: [a, b]} "
         "with a below b, or a list of up to 8 of them, got '[log1p, {scale: 0}]'"},
        {"data.transform: {log1p: 1}\n",
         "x.yaml:1:18: data.transform: expected log1p, {scale: a} with a not 0, {clip: [a, b]} "
         "with a below b, or a list of up to 8 of them, got '{log1p: 1}'"},
        {"model.class_weights: [1, '2']\n",
         "x.yaml:1:23: model.class_weights: expected none, balanced or a list of numbers of at "
         "least 0, got the texts '[1, 2]'"},
        {"find_lr.ramp: exponental\n",
         "x.yaml:1:15: find_lr.ramp: expected exponential or linear, got 'exponental'; did you "
         "mean 'exponential'?"},
        {"compute.isa: |\n  a\n  b\n",
         "x.yaml:2:1: compute.isa: expected auto, sse41, avx2, avx512, avx512_bf16 or amx, got the "
         "text 'a b '"},
    };
    EXPECT_ALL(cases);
}

/* A value of any length, with anything in it, still gives one line. */
Test(config_errors, long_values_are_cut) {
    ls_text text = {0};
    ls_text_add(&text, "seed: \"");
    for (int i = 0; i < 5000; i++)
        ls_text_add(&text, "\xc3\xa4\\n");
    ls_text_add(&text, "\"\n");
    ls_config *config = NULL;
    cr_expect_eq(ls_config_parse("x.yaml", text.data, NULL, 0, &config), LS_ERR_INPUT);
    cr_expect_null(strchr(ls_message(), '\n'));
    cr_expect_lt(strlen(ls_message()), 160);
    cr_expect_not_null(strstr(ls_message(), "\xc3\xa4 ...'"));
    ls_text_free(&text);
}

Test(config_errors, keys_that_do_not_go_together) {
#define REST "data: {file: a}\nmodel: {layers: [relu]}\n"
    static const refusal cases[] = {
        {"batch:\n  slices: 300\n" REST,
         "x.yaml:2:11: batch.slices (300) must not be larger than batch.size (128)"},
        {"batch:\n  size: 3\n" REST,
         "x.yaml:2:9: batch.slices (4) must not be larger than batch.size (3)"},
        {"find_lr:\n  end: 1e-8\n" REST,
         "x.yaml:2:8: find_lr.end (1e-08) must be larger than find_lr.start (1e-08)"},
        {"data.file: a\nfind_lr.accuracy: true\nmodel:\n  loss: mean_squared_error\n"
         "  layers: [relu]\n",
         "x.yaml:2:19: find_lr.accuracy needs classes: model.loss cross_entropy, not "
         "mean_squared_error"},
        {"data.file: a\nmodel:\n  loss: mean_squared_error\n  label_smoothing: 0.1\n"
         "  layers: [relu]\n",
         "x.yaml:4:20: model.label_smoothing needs classes: model.loss cross_entropy, not "
         "mean_squared_error"},
        {"data.file: a\nmodel:\n  loss: mean_squared_error\n  class_weights: [1, 2]\n"
         "  layers: [relu]\n",
         "x.yaml:4:19: model.class_weights needs classes: model.loss cross_entropy, not "
         "mean_squared_error"},
        {"data:\n  file: a\n  validation_inputs: v\nmodel: {layers: [relu]}\n",
         "x.yaml:3:22: data.validation_inputs and data.validation_targets go together: expected "
         "both or none"},
        {"data:\n  file: a\n  validation_inputs: v\n  validation_targets: t\n  validation: 0.1\n"
         "model: {layers: [relu]}\n",
         "x.yaml:5:15: data.validation takes a share of the training samples: expected it or "
         "data.validation_inputs, not both"},
        {"data.target_offset: 1\n" REST,
         "x.yaml:1:21: data.target_offset goes with data.target_scale: expected both or none"},
        {"data.target_scale: [1, 0]\n" REST,
         "x.yaml:1:21: data.target_scale: expected numbers other than 0"},
        {"data.target_scale: 2\n" REST,
         "x.yaml:1:20: data.target_scale is for regression: expected model.loss "
         "mean_squared_error, not cross_entropy"},
        {"train:\n  target: acuracy 0.9\n" REST,
         "x.yaml:2:11: train.target: expected a metric, accuracy, loss or r2, and a value, as in "
         "'accuracy 0.9', got 'acuracy 0.9'; did you mean 'accuracy'?"},
        {"train:\n  target: accuracy\n" REST,
         "x.yaml:2:11: train.target: expected a metric, accuracy, loss or r2, and a value, as in "
         "'accuracy 0.9', got 'accuracy'"},
        {"train:\n  target: r2 0.9\n" REST,
         "x.yaml:2:11: train.target: r2 is not a metric of model.loss cross_entropy: expected "
         "accuracy or loss"},
        {"model.class_weights: [1, -2]\n" REST,
         "x.yaml:1:23: model.class_weights: expected none, balanced or a list of numbers of at "
         "least 0, got '[1, -2]'"},
        {"model.class_weights: []\n" REST,
         "x.yaml:1:1: model.class_weights: expected none, balanced or a list of numbers of at "
         "least 0, got '[]'"},
        {"model.class_weights: 3\n" REST,
         "x.yaml:1:22: model.class_weights: expected none, balanced or a list of numbers of at "
         "least 0, got '3'"},
    };
    EXPECT_ALL(cases);
    expect_message("batch:\n  slices: 300\n" REST, SETS("batch.size=200"),
                   "--set batch.size=200: batch.slices (300) must not be larger than batch.size "
                   "(200)");
}

/* Layer by layer, the text below stands as line 5 of the file, from column 7. */
Test(config_errors, layers) {
    static const refusal cases[] = {
        {"conv", "x.yaml:5:7: conv: the key 'filters' is missing"},
        {"conv: {filters: 3}", "x.yaml:5:7: conv: the key 'kernel' is missing"},
        {"conv: {filters: 3, kernal: 3}",
         "x.yaml:5:26: conv: unknown key 'kernal'; did you mean 'kernel'?"},
        {"dropout: {zzzzzzz: 3}",
         "x.yaml:5:17: dropout: unknown key 'zzzzzzz'; its keys are name, rate"},
        {"conv: {filters: 0, kernel: 3}",
         "x.yaml:5:23: conv.filters: expected an integer from 1 to 2147483647, got '0'"},
        {"max_pool: {size: 2, stride: sise}",
         "x.yaml:5:35: max_pool.stride: expected an integer from 1 to 2147483647, or a list of one "
         "per spatial dimension, or size, got 'sise'; did you mean 'size'?"},
        {"dense: 10", "x.yaml:5:14: dense: expected its keys, as in 'dense: {units: ...}'"},
        {"dense:\n      units: 10",
         "x.yaml:6:7: one layer per entry: start a new entry with '-', or indent the keys of the "
         "layer further than its name"},
        {"rellu", "x.yaml:5:7: unknown layer 'rellu'; did you mean 'relu'?"},
        {"activation", "x.yaml:5:7: unknown layer 'activation'; 'lockstep help config' lists them"},
        {"{}", "x.yaml:4:7: model.layers: entry 2 is no layer, such as 'relu' or 'dense: {units: "
               "10}'"},
        {"", "x.yaml:4:7: model.layers: entry 2 is no layer, such as 'relu' or 'dense: {units: "
             "10}'"},
        {"[relu]", "x.yaml:5:8: model.layers: entry 2 is no layer, such as 'relu' or 'dense: "
                   "{units: 10}'"},
        {"relu: {name: a b}",
         "x.yaml:5:7: relu.name: expected letters, digits, '_' and '-', got 'a b'"},
        {"relu: {name: tanh1}", "x.yaml:5: two layers of one list are called 'tanh1', the other on "
                                "line 4; names must differ"},
        {"residual", "x.yaml:5:7: residual: the key 'body' is missing"},
        {"residual: {body: []}", "x.yaml:5:18: body: expected at least one layer"},
        {"residual: {body: 3}", "x.yaml:5:24: body: expected a list of layers, as in '[flatten, "
                                "dense: {units: 10}]'"},
        {"residual: {body: [rellu]}", "x.yaml:5:25: unknown layer 'rellu'; did you mean 'relu'?"},
        {"repeat: {times: 2}", "x.yaml:5:7: repeat: the key 'layers' is missing"},
        {"repeat: {times: 1001, layers: [relu]}",
         "x.yaml:5:23: repeat.times: expected an integer from 1 to 1000, got '1001'"},
        {"repeat: {times: 1000, layers: [repeat: {times: 1000, layers: [relu]}]}",
         "x.yaml:5:69: more than 4096 layers in one list"},
        {"repeat: {times: 1000, layers: [repeat: {times: 1000, layers: [repeat: {times: 1000, "
         "layers: []}]}]}",
         "x.yaml:5:69: repeat.layers: expected at least one layer"},
        {"repeat: {times: 2, layers: [relu: {name: a}]}",
         "x.yaml:5: two layers of one list are called 'a', the other on line 5; names must differ"},
        {"dropout: {rate: 1}",
         "x.yaml:5:23: dropout.rate: expected a number from 0 to below 1, got '1'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text =
            ls_format("data: {file: a}\nmodel:\n  layers:\n    - tanh\n    - %s\n", cases[i].text);
        expect_message(text, NULL, cases[i].message);
        ls_free(text);
    }
    static const char *const extents[] = {"[3, x]", "[1, 2, 3, 4]", "[3, 0]", "size", "3x3"};
    for (size_t i = 0; i < sizeof extents / sizeof *extents; i++) {
        char *text =
            ls_format("data.file: a\nmodel.layers: [conv: {filters: 1, kernel: %s}]\n", extents[i]);
        char *message = ls_format("x.yaml:2:%d: conv.kernel: expected an integer from 1 to "
                                  "2147483647, or a list of one per spatial dimension, got '%s'",
                                  extents[i][0] == '[' ? 44 : 43, extents[i]);
        expect_message(text, NULL, message);
        ls_free(text);
        ls_free(message);
    }
}

/* libfyaml's own display of an error crashes on many tabs. */
Test(config_errors, a_hundred_tabs) {
    ls_config *config;
    ls_text text = {0};
    ls_text_add(&text, "daerne: ");
    for (int i = 0; i < 40; i++)
        ls_text_add(&text, "\t");
    ls_text_add(&text, " t\n ");
    for (int i = 0; i < 100; i++)
        ls_text_add(&text, "\t");
    ls_text_add(&text, "at\n se: ");
    cr_expect_eq(ls_config_parse("x.yaml", text.data, NULL, 0, &config), LS_ERR_INPUT);
    cr_expect_not_null(strstr(ls_message(), "x.yaml:1:"), "%s", ls_message());
    ls_text_free(&text);
}

/* Nine lines that stand for a thousand million values, a value that holds itself, and one level
 * more with each line. */
Test(config_errors, aliases_of_aliases) {
    static const char *const lines[] = {"a%d: &a%d [%s, %s, %s, %s, %s, %s, %s, %s, %s, %s]\n",
                                        "a%d: &a%d [[[[[%s]]]]]\n"};
    for (int deep = 0; deep < 2; deep++) {
        ls_text text = {0};
        ls_text_add(&text, "a0: &a0 1\n");
        for (int i = 1; i < (deep ? 300 : 10); i++) {
            char to[16];
            snprintf(to, sizeof to, "*a%d", i - 1);
            ls_text_add(&text, lines[deep], i, i, to, to, to, to, to, to, to, to, to, to);
        }
        expect_message(text.data, NULL,
                       "x.yaml: too large: more than 262144 values, or 200 levels, once its "
                       "aliases (*NAME) are replaced by what they stand for");
        ls_text_free(&text);
    }
    expect_message("a: &a {b: *a}\n", NULL,
                   "x.yaml: too large: more than 262144 values, or 200 levels, once its aliases "
                   "(*NAME) are replaced by what they stand for");
}
