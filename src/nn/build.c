/* nn: from a model's description to a list of operations over values. */
#include <stdio.h>
#include <string.h>

#include "nn/net.h"

#define OUTPUT_DEVIATION 0.01 /* Goyal et al. 2017, section 5.1 */

ls_status ls_layer_fail(const ls_builder *builder, const ls_layer_spec *layer, const char *format,
                        ...) {
    char what[512], line[32] = "";
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    if (layer->line > 0)
        snprintf(line, sizeof line, "line %d: ", layer->line);
    return ls_fail(LS_ERR_INPUT, "%s%s layer '%s': %s", line, ls_layer_kind_name(layer->kind),
                   builder->path, what);
}

/* ---- operations and values ------------------------------------------------------------------ */

static ls_status add_value(ls_net *net, const ls_shape *shape, ls_compute_type type, int producer,
                           int *value) {
    LS_TRY(ls_grow(&net->values, net->value_count, &net->value_capacity, sizeof *net->values));
    *value = (int)net->value_count++;
    net->values[*value] = (ls_value){*shape, type, producer, -1, false};
    return LS_OK;
}

ls_status ls_builder_append(ls_builder *builder, ls_op *op, const int *in, const ls_shape *shape) {
    ls_net *net = builder->net;
    const ls_shape shape_of_outs = *shape; /* it may be a value's, and the values may move */
    ls_status status = ls_grow(&net->ops, net->op_count, &net->op_capacity, sizeof *net->ops);
    if (status != LS_OK) {
        ls_op_free(op);
        return status;
    }
    const ls_compute_type type = net->values[in[0]].type;
    op->index = net->op_count++;
    net->ops[op->index] = op;
    if (!op->layer) { /* an activation that waited for a pooling layer has its own */
        op->kind = builder->kind;
        op->layer = ls_strdup(builder->path);
        LS_TRY(op->layer ? LS_OK : LS_ERR_SYSTEM);
    }
    for (int i = 0; i < op->ins; i++) {
        op->in[i] = in[i];
        net->values[in[i]].consumer = (int)op->index;
    }
    for (int i = 0; i < op->outs; i++)
        LS_TRY(add_value(net, &shape_of_outs, type, (int)op->index, &op->out[i]));
    return LS_OK;
}

ls_op *ls_builder_take_last(ls_builder *builder) {
    ls_net *net = builder->net;
    ls_op *op = net->ops[--net->op_count];
    LS_ASSERT(op->outs == 1 && op->out[0] == (int)net->value_count - 1);
    net->value_count--;
    net->values[op->in[0]].consumer = -1;
    return op;
}

ls_op *ls_builder_producer(const ls_builder *builder, const ls_op_class *class, int value) {
    int producer = builder->net->values[value].producer;
    if (producer < 0 || builder->net->ops[producer]->class != class)
        return NULL;
    return builder->net->ops[producer];
}

const ls_shape *ls_builder_shape(const ls_builder *builder, int value) {
    return &builder->net->values[value].shape;
}

void ls_op_free(ls_op *op) {
    if (!op)
        return;
    if (op->class->clear)
        op->class->clear(op);
    ls_free(op->layer);
    ls_free(op);
}

/* ---- layers --------------------------------------------------------------------------------- */

static const char *layer_name(const ls_layer_spec *layer) {
    return layer->name ? layer->name : ls_layer_kind_name(layer->kind);
}

static ls_status add_list(ls_builder *builder, const ls_layer_list *list, const char *prefix,
                          int in, int *out);

static ls_status add_branch(ls_builder *builder, const ls_layer_list *list, const char *block,
                            const char *branch, int in, int *out) {
    char *prefix = ls_format("%s/%s/", block, branch);
    if (!prefix)
        return LS_ERR_SYSTEM;
    ls_status status = add_list(builder, list, prefix, in, out);
    ls_free(prefix);
    return status;
}

ls_status ls_residual_add(ls_builder *builder, const ls_layer_spec *layer, int in, int *out) {
    const ls_residual_spec *spec = &layer->residual;
    const char *path = builder->path;
    char texts[2][LS_SHAPE_TEXT];
    int starts[2], ends[2];
    if (spec->body.count == 0)
        return ls_layer_fail(builder, layer, "its body is empty");
    LS_TRY(ls_fork_add(builder, in, starts));
    LS_TRY(add_branch(builder, &spec->body, path, "body", starts[0], &ends[0]));
    LS_TRY(add_branch(builder, &spec->projection, path, "projection", starts[1], &ends[1]));
    builder->path = path;
    builder->kind = ls_layer_kind_name(layer->kind);
    const ls_shape *body = ls_builder_shape(builder, ends[0]);
    const ls_shape *other = ls_builder_shape(builder, ends[1]);
    bool equal = body->ndims == other->ndims;
    for (int i = 0; equal && i < body->ndims; i++)
        equal = body->size[i] == other->size[i];
    if (!equal)
        return ls_layer_fail(builder, layer, "its body gives %s, but its %s %s: they must be equal",
                             ls_shape_text(body, texts[0]),
                             spec->projection.count ? "projection gives" : "input is",
                             ls_shape_text(other, texts[1]));
    return ls_sum_add(builder, ends, out);
}

#define ADD(KIND, name) ls_##name##_add,
static ls_layer_add *const add_kind[] = {LS_LAYERS(ADD)};

static size_t trained_elements(const ls_param_list *params, size_t first) {
    size_t elements = 0;
    for (size_t i = first; i < params->count; i++)
        elements += params->entries[i].param.count;
    return elements;
}

static ls_status add_layer(ls_builder *builder, const ls_layer_spec *layer, int in, int *out) {
    ls_net *net = builder->net;
    size_t first_param = net->params.count;
    LS_TRY(add_kind[layer->kind](builder, layer, in, out));
    if (layer->kind == LS_LAYER_RESIDUAL)
        return LS_OK; /* its layers are in the table */
    LS_TRY(ls_grow(&net->layers, net->layer_count, &net->layer_capacity, sizeof *net->layers));
    char *path = ls_strdup(builder->path);
    if (!path)
        return LS_ERR_SYSTEM;
    net->layers[net->layer_count++] =
        (ls_layer_record){path, layer->kind, *ls_builder_shape(builder, *out),
                          trained_elements(&net->params, first_param)};
    return LS_OK;
}

static ls_status add_list(ls_builder *builder, const ls_layer_list *list, const char *prefix,
                          int in, int *out) {
    for (size_t i = 0; i < list->count; i++) {
        const ls_layer_spec *layer = &list->layers[i];
        char *path =
            ls_format("%s%s", prefix, layer->name ? layer->name : ls_layer_kind_name(layer->kind));
        if (!path)
            return LS_ERR_SYSTEM;
        builder->path = path;
        builder->kind = ls_layer_kind_name(layer->kind);
        ls_status status = add_layer(builder, layer, in, &in);
        ls_free(path);
        LS_TRY(status);
    }
    *out = in;
    return LS_OK;
}

/* ---- the whole network ---------------------------------------------------------------------- */

static ls_status check_output(ls_builder *builder, const ls_model_spec *spec, int value) {
    ls_net *net = builder->net;
    const ls_shape *shape = ls_builder_shape(builder, value);
    const ls_layer_spec *last = &spec->layers.layers[spec->layers.count - 1];
    char text[LS_SHAPE_TEXT];
    if (net->outputs == 0)
        net->outputs = ls_shape_elements(shape);
    if (ls_shape_elements(shape) == net->outputs)
        return LS_OK;
    return ls_layer_fail(&(ls_builder){.path = layer_name(last)}, last,
                         "the last layer gives %s, but the data has (%lld) %s",
                         ls_shape_text(shape, text), (long long)net->outputs,
                         net->loss == LS_LOSS_CROSS_ENTROPY ? "classes" : "targets");
}

/* The outputs go to the loss, and no ReLU halves their variance: He's factor would only make the
 * first losses large.  Small weights start from an even guess. */
static void start_output_small(ls_builder *builder, const ls_model_spec *spec, int value) {
    int producer = builder->net->values[value].producer;
    if (spec->init != LS_INIT_HE || producer < 0 || builder->net->ops[producer]->params == 0)
        return;
    const ls_op *op = builder->net->ops[producer];
    ls_param_entry *weight = &builder->net->params.entries[op->first_param];
    if (weight->param.role == LS_PARAM_WEIGHT)
        weight->start = (ls_start){LS_START_NORMAL, OUTPUT_DEVIATION};
}

/* What depends on the whole list: which operations have a backward pass. */
static void finish_ops(ls_net *net) {
    for (size_t i = 0; i < net->op_count; i++) {
        ls_op *op = net->ops[i];
        op->backward = op->params > 0;
        for (int k = 0; k < op->ins; k++)
            op->backward |= net->values[op->in[k]].needs_gradient;
        for (int k = 0; k < op->outs; k++)
            net->values[op->out[k]].needs_gradient = op->backward;
    }
}

static ls_status build(ls_builder *builder, const ls_model_spec *spec, const ls_shape *input) {
    ls_net *net = builder->net;
    int in, out;
    LS_TRY(add_value(net, input, LS_COMPUTE_FLOAT32, -1, &in));
    builder->path = builder->kind = "input";
    if (net->type != LS_COMPUTE_FLOAT32)
        LS_TRY(ls_convert_add(builder, in, input, net->type, &in));
    LS_TRY(add_list(builder, &spec->layers, "", in, &out));
    LS_TRY(check_output(builder, spec, out));
    start_output_small(builder, spec, out);
    ls_dense_give_float32(builder, out);
    const ls_shape flat = {1, {net->outputs}};
    builder->path = builder->kind = "loss";
    LS_TRY(ls_convert_add(builder, out, &flat, LS_COMPUTE_FLOAT32, &net->output));
    finish_ops(net);
    return ls_params_finish(builder);
}

ls_status ls_net_create(const ls_model_spec *spec, const ls_shape *input, int64_t outputs,
                        ls_compute_type type, ls_net **net) {
    LS_REQUIRE(input->ndims >= 1 && input->ndims < LS_MAX_DIMS && outputs >= 0);
    if (spec->layers.count == 0)
        return ls_fail(LS_ERR_INPUT, "the model has no layers");
    ls_net *made;
    LS_TRY(LS_NEW(made, 1));
    made->type = type;
    made->input = *input;
    made->outputs = outputs;
    made->loss = spec->loss;
    made->label_smoothing = spec->label_smoothing;
    ls_builder builder = {.net = made, .init = spec->init};
    ls_status status = ls_dnnl_engine_create(&made->engine);
    if (status == LS_OK)
        status = build(&builder, spec, input);
    ls_params_free(&builder.statistics);
    if (status != LS_OK)
        ls_net_free(made);
    else
        *net = made;
    return status;
}
