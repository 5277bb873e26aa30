/* Tests of nn: the layers in double precision, by their definitions. */
#include "nn_reference.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct array {
    int64_t samples;
    ls_shape shape;
    double *data; /* (N, C, ...) */
} array;

typedef struct context {
    const ls_net *net;
    const double *flat;
    const net_slice *slice;
    double *statistics;
    uint32_t dropouts; /* seen so far */
} context;

static int64_t elements(const ls_shape *shape) {
    int64_t count = 1;
    for (int i = 0; i < shape->ndims; i++)
        count *= shape->size[i];
    return count;
}

static array make(int64_t samples, ls_shape shape) {
    array made = {samples, shape, calloc((size_t)(samples * elements(&shape)), sizeof(double))};
    cr_assert(made.data);
    return made;
}

static const ls_param *find(const context *c, const char *path, const char *name) {
    size_t length = strlen(path);
    for (size_t i = 0; i < ls_net_param_count(c->net); i++) {
        const ls_param *known = ls_net_param(c->net, i);
        if (strncmp(known->name, path, length) == 0 && known->name[length] == '/' &&
            strcmp(known->name + length + 1, name) == 0)
            return known;
    }
    cr_assert_fail("no parameter %s/%s", path, name);
    return NULL;
}

static const double *param(const context *c, const char *path, const char *name) {
    return c->flat + find(c, path, name)->offset;
}

/* ---- windows: every array as (C, D, H, W) --------------------------------------------------- */

typedef struct grid {
    int64_t size[3];
} grid;

static grid spatial(const ls_shape *shape) {
    grid made = {{1, 1, 1}};
    for (int i = 1; i < shape->ndims; i++)
        made.size[3 - (shape->ndims - i)] = shape->size[i];
    return made;
}

/* An extent as three numbers, `missing` where there is no such dimension. */
static grid extent(const ls_extent *from, int ndims, int64_t missing) {
    grid made = {{missing, missing, missing}};
    for (int i = 0; i < ndims && from->count > 0; i++)
        made.size[3 - ndims + i] = from->size[from->count == 1 ? 0 : i];
    return made;
}

typedef struct window {
    grid in, out, kernel, stride, padding, dilation;
} window;

static window make_window(const array *x, const ls_extent *kernel, const ls_extent *stride,
                          const ls_extent *padding, const ls_extent *dilation, ls_shape *out) {
    int ndims = x->shape.ndims - 1;
    window w = {spatial(&x->shape),        {{0}},
                extent(kernel, ndims, 1),  extent(stride, ndims, 1),
                extent(padding, ndims, 0), extent(dilation, ndims, 1)};
    for (int i = 0; i < 3; i++)
        w.out.size[i] = (w.in.size[i] + 2 * w.padding.size[i] -
                         w.dilation.size[i] * (w.kernel.size[i] - 1) - 1) /
                            w.stride.size[i] +
                        1;
    *out = x->shape;
    for (int i = 0; i < ndims; i++)
        out->size[1 + i] = w.out.size[3 - ndims + i];
    return w;
}

static int64_t volume(grid g) {
    return g.size[0] * g.size[1] * g.size[2];
}

static void position(grid g, int64_t index, int64_t at[3]) {
    at[2] = index % g.size[2];
    at[1] = index / g.size[2] % g.size[1];
    at[0] = index / g.size[2] / g.size[1];
}

/* Index into the input of kernel tap `tap` for output `out`; -1 in the padding. */
static int64_t source(const window *w, int64_t out, int64_t tap) {
    int64_t o[3], t[3], index = 0;
    position(w->out, out, o);
    position(w->kernel, tap, t);
    for (int i = 0; i < 3; i++) {
        int64_t x = o[i] * w->stride.size[i] + t[i] * w->dilation.size[i] - w->padding.size[i];
        if (x < 0 || x >= w->in.size[i])
            return -1;
        index = index * w->in.size[i] + x;
    }
    return index;
}

static array conv(const context *c, const ls_conv_spec *spec, const char *path, const array *x) {
    ls_shape shape;
    window w =
        make_window(x, &spec->kernel, &spec->stride, &spec->padding, &spec->dilation, &shape);
    shape.size[0] = spec->filters;
    array y = make(x->samples, shape);
    const double *weight = param(c, path, "weight");
    int64_t per_group = x->shape.size[0] / spec->groups, taps = volume(w.kernel);
    int64_t in = volume(w.in), out = volume(w.out);
    for (int64_t n = 0; n < x->samples; n++)
        for (int64_t f = 0; f < spec->filters; f++)
            for (int64_t o = 0; o < out; o++) {
                double sum = spec->bias ? param(c, path, "bias")[f] : 0;
                int64_t first = f / (spec->filters / spec->groups) * per_group;
                for (int64_t k = 0; k < per_group; k++)
                    for (int64_t t = 0; t < taps; t++) {
                        int64_t at = source(&w, o, t);
                        if (at >= 0)
                            sum += weight[(f * per_group + k) * taps + t] *
                                   x->data[(n * x->shape.size[0] + first + k) * in + at];
                    }
                y.data[(n * spec->filters + f) * out + o] = sum;
            }
    return y;
}

static array pool(ls_layer_kind kind, const ls_pool_spec *spec, const array *x) {
    ls_shape shape;
    ls_extent dense = {0};
    window w = make_window(x, &spec->size, spec->stride.count ? &spec->stride : &spec->size,
                           &spec->padding, &dense, &shape);
    array y = make(x->samples, shape);
    int64_t in = volume(w.in), out = volume(w.out);
    for (int64_t plane = 0; plane < x->samples * shape.size[0]; plane++)
        for (int64_t o = 0; o < out; o++) {
            double largest = -INFINITY, sum = 0;
            int64_t count = 0;
            for (int64_t t = 0; t < volume(w.kernel); t++) {
                int64_t at = source(&w, o, t);
                if (at < 0)
                    continue;
                double value = x->data[plane * in + at];
                largest = value > largest ? value : largest;
                sum += value;
                count++;
            }
            y.data[plane * out + o] = kind == LS_LAYER_MAX_POOL ? largest : sum / (double)count;
        }
    return y;
}

/* ---- the other layers ----------------------------------------------------------------------- */

static array dense(const context *c, const ls_dense_spec *spec, const char *path, const array *x) {
    int64_t inputs = elements(&x->shape);
    array y = make(x->samples, (ls_shape){1, {spec->units}});
    for (int64_t n = 0; n < x->samples; n++)
        for (int64_t u = 0; u < spec->units; u++) {
            double sum = spec->bias ? param(c, path, "bias")[u] : 0;
            for (int64_t i = 0; i < inputs; i++)
                sum += param(c, path, "weight")[u * inputs + i] * x->data[n * inputs + i];
            y.data[n * spec->units + u] = sum;
        }
    return y;
}

static array global_pool(const array *x) {
    int64_t plane = elements(&x->shape) / x->shape.size[0];
    array y = make(x->samples, (ls_shape){1, {x->shape.size[0]}});
    for (int64_t i = 0; i < x->samples * x->shape.size[0] * plane; i++)
        y.data[i / plane] += x->data[i] / (double)plane;
    return y;
}

static array batch_norm(context *c, const ls_batch_norm_spec *spec, const char *path,
                        const array *x) {
    int64_t channels = x->shape.size[0], plane = elements(&x->shape) / channels;
    double count = (double)(x->samples * plane);
    array y = make(x->samples, x->shape);
    for (int64_t k = 0; k < channels; k++) {
        double mean = 0, variance = 0;
        for (int64_t i = 0; i < x->samples * plane; i++)
            mean += x->data[(i / plane * channels + k) * plane + i % plane] / count;
        for (int64_t i = 0; i < x->samples * plane; i++)
            variance += pow(x->data[(i / plane * channels + k) * plane + i % plane] - mean, 2);
        if (c->statistics) {
            c->statistics[find(c, path, "running_mean")->statistics + (size_t)k] = mean;
            c->statistics[find(c, path, "running_variance")->statistics + (size_t)k] =
                count > 1 ? variance / (count - 1) : 0;
        }
        variance /= count;
        if (c->slice->mode == LS_MODE_EVALUATE) {
            mean = param(c, path, "running_mean")[k];
            variance = param(c, path, "running_variance")[k];
        }
        for (int64_t i = 0; i < x->samples * plane; i++) {
            int64_t at = (i / plane * channels + k) * plane + i % plane;
            y.data[at] =
                (x->data[at] - mean) / sqrt(variance + spec->epsilon) * param(c, path, "scale")[k] +
                param(c, path, "shift")[k];
        }
    }
    return y;
}

static double activate(const ls_layer_spec *layer, double x) {
    switch (layer->kind) {
    case LS_LAYER_RELU:
        return x > 0 ? x : 0;
    case LS_LAYER_LEAKY_RELU:
        return x > 0 ? x : (double)(float)layer->leaky_relu.slope * x;
    case LS_LAYER_TANH:
        return tanh(x);
    case LS_LAYER_SIGMOID:
        return 1 / (1 + exp(-x));
    case LS_LAYER_GELU:
        return 0.5 * x * (1 + erf(x / sqrt(2.0)));
    default:
        return NAN;
    }
}

static array activation(const ls_layer_spec *layer, const array *x) {
    array y = make(x->samples, x->shape);
    for (int64_t i = 0; i < x->samples * elements(&x->shape); i++)
        y.data[i] = activate(layer, x->data[i]);
    return y;
}

static array scale(double factor, const array *x) {
    array y = make(x->samples, x->shape);
    for (int64_t i = 0; i < x->samples * elements(&x->shape); i++)
        y.data[i] = factor * x->data[i];
    return y;
}

static array dropout(context *c, const ls_dropout_spec *spec, const array *x) {
    array y = make(x->samples, x->shape);
    int64_t count = elements(&x->shape);
    uint32_t key[2], number = c->dropouts++;
    ls_stream_key(c->slice->seed, LS_STREAM_DROPOUT, key);
    for (int64_t i = 0; i < x->samples * count; i++) {
        uint64_t id = c->slice->sample_ids[i / count];
        uint32_t counter[4] = {(uint32_t)(i % count / 4), (uint32_t)id,
                               ((uint32_t)(id >> 32) & 0xffff) | number << 16, c->slice->epoch};
        uint32_t words[4];
        ls_philox(key, counter, words);
        bool keep = ls_unit_float(words[i % count % 4]) >= spec->rate;
        y.data[i] = c->slice->mode == LS_MODE_EVALUATE ? x->data[i]
                    : keep                             ? x->data[i] / (1 - spec->rate)
                                                       : 0;
    }
    return y;
}

/* ---- networks ------------------------------------------------------------------------------- */

static array run_list(context *c, const ls_layer_list *list, const char *prefix, const array *x);

static array residual(context *c, const ls_residual_spec *spec, const char *path, const array *x) {
    char *body = ls_format("%s/body/", path), *projection = ls_format("%s/projection/", path);
    array y = run_list(c, &spec->body, body, x);
    array other = run_list(c, &spec->projection, projection, x);
    ls_free(body);
    ls_free(projection);
    for (int64_t i = 0; i < y.samples * elements(&y.shape); i++)
        y.data[i] += other.data[i];
    free(other.data);
    return y;
}

static array run_layer(context *c, const ls_layer_spec *layer, const char *path, const array *x) {
    switch (layer->kind) {
    case LS_LAYER_DENSE:
        return dense(c, &layer->dense, path, x);
    case LS_LAYER_CONV:
        return conv(c, &layer->conv, path, x);
    case LS_LAYER_MAX_POOL:
    case LS_LAYER_AVG_POOL:
        return pool(layer->kind, &layer->pool, x);
    case LS_LAYER_GLOBAL_AVG_POOL:
        return global_pool(x);
    case LS_LAYER_BATCH_NORM:
        return batch_norm(c, &layer->batch_norm, path, x);
    case LS_LAYER_RELU:
    case LS_LAYER_LEAKY_RELU:
    case LS_LAYER_TANH:
    case LS_LAYER_SIGMOID:
    case LS_LAYER_GELU:
        return activation(layer, x);
    case LS_LAYER_SCALE:
        return scale(layer->scale.factor, x);
    case LS_LAYER_DROPOUT:
        return dropout(c, &layer->dropout, x);
    case LS_LAYER_RESIDUAL:
        return residual(c, &layer->residual, path, x);
    case LS_LAYER_FLATTEN:
    case LS_LAYER_KINDS:
        break;
    }
    array y = make(x->samples, (ls_shape){1, {elements(&x->shape)}});
    memcpy(y.data, x->data, sizeof(double) * (size_t)(y.samples * elements(&y.shape)));
    return y;
}

static array run_list(context *c, const ls_layer_list *list, const char *prefix, const array *x) {
    array y = make(x->samples, x->shape);
    memcpy(y.data, x->data, sizeof(double) * (size_t)(x->samples * elements(&x->shape)));
    for (size_t i = 0; i < list->count; i++) {
        char *path = ls_format("%s%s", prefix, list->layers[i].name);
        array next = run_layer(c, &list->layers[i], path, &y);
        ls_free(path);
        free(y.data);
        y = next;
    }
    return y;
}

static double sample_loss(const ls_model_spec *spec, const net_slice *slice, int64_t n,
                          int64_t outputs, const double *z) {
    double sum = 0, loss = 0;
    for (int64_t i = 0; i < outputs; i++)
        sum += exp(z[i]);
    for (int64_t i = 0; i < outputs; i++) {
        if (spec->loss == LS_LOSS_MEAN_SQUARED_ERROR) {
            loss += pow(z[i] - slice->targets[n * outputs + i], 2) / (double)outputs;
        } else {
            double target = spec->label_smoothing / (double)outputs +
                            (slice->classes[n] == i ? 1 - spec->label_smoothing : 0);
            double weight = spec->class_weights.count > 0 ? spec->class_weights.value[i] : 1;
            loss -= weight * target * log(exp(z[i]) / sum);
        }
    }
    return loss;
}

double net_reference(const ls_net *net, const ls_model_spec *spec, const ls_shape *input,
                     const double *flat, const net_slice *slice, double *outputs,
                     double *statistics) {
    context c = {net, flat, slice, statistics, 0};
    array x = make(slice->samples, *input);
    for (int64_t i = 0; i < slice->samples * elements(input); i++)
        x.data[i] = slice->input[i];
    array y = run_list(&c, &spec->layers, "", &x);
    int64_t count = elements(&y.shape);
    double loss = 0;
    for (int64_t n = 0; n < slice->samples; n++)
        loss += sample_loss(spec, slice, n, count, y.data + n * count);
    if (outputs)
        memcpy(outputs, y.data, sizeof(double) * (size_t)(slice->samples * count));
    free(x.data);
    free(y.data);
    return loss;
}
