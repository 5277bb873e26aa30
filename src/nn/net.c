/* nn: what a network shows: its parameters, its table of layers, its sizes. */
#include <string.h>

#include "nn/loops.h"
#include "nn/net.h"

void ls_net_free(ls_net *net) {
    if (!net)
        return;
    for (ls_variant *variant = net->variants; variant;) {
        ls_variant *next = variant->next;
        ls_variant_free(variant);
        variant = next;
    }
    for (size_t i = 0; i < net->op_count; i++)
        ls_op_free(net->ops[i]);
    for (size_t i = 0; i < net->layer_count; i++)
        ls_free(net->layers[i].path);
    ls_params_free(&net->params);
    ls_dnnl_engine_free(net->engine);
    ls_free(net->arena);
    ls_free(net->layers);
    ls_free(net->values);
    ls_free(net->ops);
    ls_free(net);
}

void ls_net_weigh_classes(ls_net *net, const double *weights) {
    net->class_weights = weights;
}

size_t ls_net_param_count(const ls_net *net) {
    return net->params.count;
}

const ls_param *ls_net_param(const ls_net *net, size_t index) {
    return &net->params.entries[index].param;
}

size_t ls_net_flat_size(const ls_net *net) {
    return net->flat_size;
}

size_t ls_net_trained_size(const ls_net *net) {
    return net->trained_size;
}

int64_t ls_net_norm_values(const ls_net *net, const char **layer) {
    *layer = net->norm_layer;
    return net->norm_values;
}

size_t ls_net_statistics_size(const ls_net *net) {
    return net->statistics_size;
}

void ls_net_bind(ls_net *net, const float *flat, const uint16_t *rounded) {
    net->addresses += net->flat != flat;
    net->flat = flat;
    net->rounded = rounded;
    ls_net_params_changed(net);
}

void ls_net_round(size_t count, const float *flat, uint16_t *rounded) {
    ls_loop_round(count, flat, rounded);
}

void ls_net_params_changed(ls_net *net) {
    net->version++;
}

double ls_net_forward_flops(const ls_net *net) {
    double flops = 0;
    for (size_t i = 0; i < net->op_count; i++)
        flops += net->ops[i]->flops;
    return flops;
}

size_t ls_net_memory(const ls_net *net) {
    return net->arena_bytes + net->packed_bytes + net->plan_bytes;
}

static int longest(int a, size_t b) {
    return a > (int)b ? a : (int)b;
}

void ls_net_describe(const ls_net *net, ls_text *text) {
    char shape[LS_SHAPE_TEXT];
    int width = 5;
    size_t total = 0;
    for (size_t i = 0; i < net->layer_count; i++)
        width = longest(width, strlen(net->layers[i].path));
    ls_text_add(text, "%-*s  %-15s  %-18s  %12s\n", width, "layer", "kind", "output", "parameters");
    ls_text_add(text, "%-*s  %-15s  %-18s  %12s\n", width, "input", "",
                ls_shape_text(&net->input, shape), "");
    for (size_t i = 0; i < net->layer_count; i++) {
        const ls_layer_record *layer = &net->layers[i];
        total += layer->parameters;
        ls_text_add(text, "%-*s  %-15s  %-18s  %12zu\n", width, layer->path,
                    ls_layer_kind_name(layer->kind), ls_shape_text(&layer->shape, shape),
                    layer->parameters);
    }
    ls_text_add(text, "%-*s  %-15s  %-18s  %12zu\n", width, "total", "", "", total);
    ls_text_add(text, "%.3g Mflop a sample forward\n", ls_net_forward_flops(net) * 1e-6);
}
