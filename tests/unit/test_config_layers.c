/* config: the list of layers: forms of an entry, windows, names, residual blocks, repetition. */
#include "test_config.h"

#define HEAD "data: {file: a}\nmodel:\n  layers:\n"

static void expect_name(const ls_layer_list *list, size_t index, const char *name) {
    cr_assert_lt(index, list->count);
    cr_expect_str_eq(list->layers[index].name, name);
}

Test(config_layers, entries) {
    ls_config *c = parse_with(HEAD "    - relu\n"
                                   "    - relu:\n"
                                   "    - leaky_relu\n"
                                   "    - leaky_relu: {slope: 0.2}\n"
                                   "    - batch_norm\n"
                                   "    - batch_norm:\n"
                                   "        zero_scale: true\n"
                                   "        momentum: 1\n"
                                   "    - dropout: {rate: 0.25}\n"
                                   "    - dense: {units: 7, bias: false}\n"
                                   "    - global_avg_pool: {name: The-last_1}\n",
                              NULL);
    const ls_layer_spec *layer = c->model.layers.layers;
    cr_assert_eq(c->model.layers.count, 9);
    cr_expect_eq(layer[0].kind, LS_LAYER_RELU);
    cr_expect_eq(layer[2].kind, LS_LAYER_LEAKY_RELU);
    cr_expect_eq(layer[2].leaky_relu.slope, 0.01);
    cr_expect_eq(layer[3].leaky_relu.slope, 0.2);
    cr_expect_eq(layer[4].kind, LS_LAYER_BATCH_NORM);
    cr_expect_eq(layer[4].batch_norm.epsilon, 1e-5);
    cr_expect_eq(layer[4].batch_norm.momentum, 0.1);
    cr_expect_not(layer[4].batch_norm.zero_scale);
    cr_expect(layer[5].batch_norm.zero_scale);
    cr_expect_eq(layer[5].batch_norm.momentum, 1);
    cr_expect_eq(layer[6].dropout.rate, 0.25);
    cr_expect_eq(layer[7].dense.units, 7);
    cr_expect_not(layer[7].dense.bias);
    cr_expect_eq(layer[8].kind, LS_LAYER_GLOBAL_AVG_POOL);
    cr_expect_str_eq(layer[8].name, "The-last_1");
    cr_expect_eq(layer[5].line, 9);
    cr_expect_eq(layer[8].line, 14);
    ls_config_free(c);
}

Test(config_layers, every_activation) {
    static const ls_layer_kind kinds[] = {LS_LAYER_RELU, LS_LAYER_LEAKY_RELU, LS_LAYER_TANH,
                                          LS_LAYER_SIGMOID, LS_LAYER_GELU};
    ls_config *c =
        parse_with("data.file: a\nmodel.layers: [relu, leaky_relu, tanh, sigmoid, gelu]\n", NULL);
    for (size_t i = 0; i < 5; i++) {
        cr_expect_eq(c->model.layers.layers[i].kind, kinds[i]);
    }
    expect_name(&c->model.layers, 4, "gelu1");
    ls_config_free(c);
}

static void expect_extent(const ls_extent *extent, int count, int64_t a, int64_t b, int64_t d) {
    const int64_t sizes[LS_MAX_SPATIAL] = {a, b, d};
    cr_assert_eq(extent->count, count);
    for (int i = 0; i < count; i++)
        cr_expect_eq(extent->size[i], sizes[i]);
}

Test(config_layers, windows) {
    ls_config *c = parse_with(HEAD "    - conv: {filters: 3, kernel: [3, 5], padding: [0, 2]}\n"
                                   "    - conv:\n"
                                   "        filters: 4\n"
                                   "        kernel:\n"
                                   "          - 1\n"
                                   "          - 2\n"
                                   "          - 3\n"
                                   "        stride: 2\n"
                                   "        dilation: [7]\n"
                                   "        groups: 2\n"
                                   "    - max_pool: {size: 2}\n"
                                   "    - avg_pool: {size: [2, 3], stride: [1, 2], padding: 1}\n"
                                   "    - max_pool: {size: 2, stride: size}\n",
                              NULL);
    const ls_layer_spec *layer = c->model.layers.layers;
    cr_expect_eq(layer[0].conv.filters, 3);
    expect_extent(&layer[0].conv.kernel, 2, 3, 5, 0);
    expect_extent(&layer[0].conv.padding, 2, 0, 2, 0);
    expect_extent(&layer[0].conv.stride, 1, 1, 0, 0);
    expect_extent(&layer[0].conv.dilation, 1, 1, 0, 0);
    cr_expect_eq(layer[0].conv.groups, 1);
    cr_expect(layer[0].conv.bias);
    expect_extent(&layer[1].conv.kernel, 3, 1, 2, 3);
    expect_extent(&layer[1].conv.stride, 1, 2, 0, 0);
    expect_extent(&layer[1].conv.padding, 1, 0, 0, 0);
    expect_extent(&layer[1].conv.dilation, 1, 7, 0, 0);
    cr_expect_eq(layer[1].conv.groups, 2);
    expect_extent(&layer[2].pool.size, 1, 2, 0, 0);
    expect_extent(&layer[2].pool.stride, 0, 0, 0, 0);
    expect_extent(&layer[2].pool.padding, 1, 0, 0, 0);
    expect_extent(&layer[3].pool.stride, 2, 1, 2, 0);
    expect_extent(&layer[4].pool.stride, 0, 0, 0, 0);
    ls_config_free(c);
}

Test(config_layers, default_names) {
    ls_config *c = parse_with("data.file: a\nmodel.layers: [relu, flatten, relu: {name: x}, tanh, "
                              "relu, flatten]\n",
                              NULL);
    static const char *const names[] = {"relu1", "flatten1", "x", "tanh1", "relu3", "flatten2"};
    for (size_t i = 0; i < 6; i++)
        expect_name(&c->model.layers, i, names[i]);
    ls_config_free(c);
}

Test(config_layers, nested_residual) {
    ls_config *c = parse_with(HEAD "    - residual:\n"
                                   "        name: outer\n"
                                   "        body:\n"
                                   "          - relu\n"
                                   "          - residual: {body: [tanh, relu]}\n"
                                   "        projection:\n"
                                   "          - conv: {filters: 8, kernel: 1}\n"
                                   "    - relu\n",
                              NULL);
    const ls_layer_spec *outer = &c->model.layers.layers[0];
    cr_expect_eq(outer->kind, LS_LAYER_RESIDUAL);
    cr_expect_str_eq(outer->name, "outer");
    cr_assert_eq(outer->residual.body.count, 2);
    cr_assert_eq(outer->residual.projection.count, 1);
    cr_expect_eq(outer->residual.projection.layers[0].conv.filters, 8);
    const ls_layer_spec *inner = &outer->residual.body.layers[1];
    cr_expect_eq(inner->kind, LS_LAYER_RESIDUAL);
    cr_assert_eq(inner->residual.body.count, 2);
    cr_expect_eq(inner->residual.projection.count, 0);
    expect_name(&inner->residual.body, 1, "relu1"); /* names count within their own list */
    expect_name(&c->model.layers, 1, "relu1");
    ls_config_free(c);
}

Test(config_layers, repeat) {
    ls_config *c =
        parse_with("data.file: a\nmodel.layers: [relu, repeat: {times: 2, layers: [tanh, "
                   "repeat: {times: 3, layers: [relu]}]}, tanh]\n",
                   NULL);
    static const char *const names[] = {"relu1", "tanh1", "relu2", "relu3", "relu4",
                                        "tanh2", "relu5", "relu6", "relu7", "tanh3"};
    cr_assert_eq(c->model.layers.count, 10);
    for (size_t i = 0; i < 10; i++)
        expect_name(&c->model.layers, i, names[i]);
    ls_config_free(c);
}

/* Anchors, aliases and merge keys; the lines are those of the anchored text. */
Test(config_layers, anchors) {
    ls_config *c = parse_with(HEAD "    - conv: &wide {filters: 8, kernel: 3, padding: 1}\n"
                                   "    - conv: *wide\n"
                                   "    - conv: {<<: *wide, filters: 9}\n"
                                   "    - &block\n"
                                   "      residual: {body: [conv: *wide, relu]}\n"
                                   "    - *block\n"
                                   "    - *block\n",
                              NULL);
    const ls_layer_spec *layer = c->model.layers.layers;
    cr_assert_eq(c->model.layers.count, 6);
    cr_expect_eq(layer[1].conv.filters, 8);
    cr_expect_eq(layer[1].conv.padding.size[0], 1);
    cr_expect_eq(layer[2].conv.filters, 9);
    cr_expect_eq(layer[2].conv.kernel.size[0], 3);
    cr_expect_eq(layer[5].residual.body.layers[0].conv.filters, 8);
    expect_name(&c->model.layers, 5, "residual3");
    ls_config_free(c);
}

Test(config_layers, every_kind) {
    for (int kind = 0; kind < LS_LAYER_KINDS; kind++) {
        char *text = ls_format("data.file: a\nmodel.layers: [%s: {%s}]\n",
                               ls_layer_kind_name((ls_layer_kind)kind),
                               kind == LS_LAYER_DENSE      ? "units: 1"
                               : kind == LS_LAYER_CONV     ? "filters: 1, kernel: 1"
                               : kind == LS_LAYER_MAX_POOL ? "size: 1"
                               : kind == LS_LAYER_AVG_POOL ? "size: 1"
                               : kind == LS_LAYER_SCALE    ? "factor: 2"
                               : kind == LS_LAYER_DROPOUT  ? "rate: 0"
                               : kind == LS_LAYER_RESIDUAL ? "body: [relu]"
                                                           : "");
        ls_config *c = parse_with(text, NULL);
        cr_expect_eq((int)c->model.layers.layers[0].kind, kind);
        ls_config_free(c);
        ls_free(text);
    }
}
