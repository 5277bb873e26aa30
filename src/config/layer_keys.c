/* The table of layer kinds and their keys.  A new key of a layer is one row here and one field in
 * lockstep/model.h. */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "config/keys.h"

#define KEY(part, field)                                                                           \
    .name = #field, .type = LS_KEY_TYPE_OF(((ls_layer_spec *)0)->part.field),                      \
    .offset = offsetof(ls_layer_spec, part.field)
#define REPEAT_KEY(field)                                                                          \
    .name = #field, .type = LS_KEY_TYPE_OF(((ls_repeat *)0)->field),                               \
    .offset = offsetof(ls_repeat, field)

/* Every layer's first key. */
#define NAME_KEY                                                                                   \
    {                                                                                              \
        .name = "name", .type = LS_KEY_TEXT, .offset = offsetof(ls_layer_spec, name),              \
        .initial = "", .help = "Name of its arrays; without one: the kind and a number, as conv2." \
    }

static const ls_key name_keys[] = {NAME_KEY};

static const ls_key dense_keys[] = {
    NAME_KEY,
    {KEY(dense, units), .example = "10", .min = 1, .max = INT_MAX, .help = "Outputs."},
    {KEY(dense, bias), .initial = "true", .help = "Add a bias to every output."},
};

static const ls_key conv_keys[] = {
    NAME_KEY,
    {KEY(conv, filters), .example = "32", .min = 1, .max = INT_MAX, .help = "Output channels."},
    {KEY(conv, kernel), .example = "3", .min = 1, .max = INT_MAX, .help = "Size of the window."},
    {KEY(conv, stride), .initial = "1", .min = 1, .max = INT_MAX, .help = "Step of the window."},
    {KEY(conv, padding), .initial = "0", .min = 0, .max = INT_MAX,
     .help = "Zeros added on each side."},
    {KEY(conv, dilation), .initial = "1", .min = 1, .max = INT_MAX,
     .help = "Distance of the kernel's elements."},
    {KEY(conv, groups), .initial = "1", .min = 1, .max = INT_MAX,
     .help = "Groups of channels that do not mix; divides the channels of input and output."},
    {KEY(conv, bias), .initial = "true", .help = "Add a bias to every output channel."},
};

static const ls_key pool_keys[] = {
    NAME_KEY,
    {KEY(pool, size), .example = "2", .min = 1, .max = INT_MAX, .help = "Size of the window."},
    {KEY(pool, stride), .initial = "size", .min = 1, .max = INT_MAX, .words = LS_WORDS("size"),
     .help = "Step of the window; size: as large as the window."},
    {KEY(pool, padding), .initial = "0", .min = 0, .max = INT_MAX,
     .help = "Elements added on each side; an average leaves them out."},
};

static const ls_key batch_norm_keys[] = {
    NAME_KEY,
    {KEY(batch_norm, epsilon), .initial = "1e-5", .min = 0, .max = 1, .open = LS_ABOVE_MIN,
     .help = "Added to the variance."},
    {KEY(batch_norm, momentum), .initial = "0.1", .min = 0, .max = 1, .open = LS_ABOVE_MIN,
     .help = "Share of the new statistics in the running ones."},
    {KEY(batch_norm, zero_scale), .initial = "false",
     .help = "Scale starts at 0 instead of 1: for the last one in a residual block."},
};

static const ls_key leaky_relu_keys[] = {
    NAME_KEY,
    {KEY(leaky_relu, slope), .initial = "0.01", .min = 0, .max = 1,
     .help = "Slope for negative inputs."},
};

static const ls_key scale_keys[] = {
    NAME_KEY,
    {KEY(scale, factor), .example = "1.2", .min = -INFINITY, .max = INFINITY,
     .help = "What every element is multiplied by."},
};

static const ls_key dropout_keys[] = {
    NAME_KEY,
    {KEY(dropout, rate), .example = "0.5", .min = 0, .max = 1, .open = LS_BELOW_MAX,
     .help = "Share of the elements set to 0 in training."},
};

static const ls_key residual_keys[] = {
    NAME_KEY,
    {KEY(residual, body), .example = "[conv: {filters: 32, kernel: 3, padding: 1}, relu]",
     .help = "Layers of the block."},
    {KEY(residual, projection), .initial = "[]",
     .help = "Layers of the shortcut; none: the input as it is."},
};

static const ls_key repeat_keys[] = {
    {REPEAT_KEY(times), .example = "3", .min = 1, .max = 1000, .help = "How many times."},
    {REPEAT_KEY(layers), .example = "[dense: {units: 100}, relu]", .help = "Without own names."},
};

#define KEYS(array) .keys = array, .key_count = sizeof(array) / sizeof *(array)

const ls_layer_word ls_layer_words[] = {
    [LS_LAYER_DENSE] = {KEYS(dense_keys), .help = "Fully connected layer."},
    [LS_LAYER_CONV] = {KEYS(conv_keys),
                       .help = "Convolution in 1, 2 or 3 dimensions, as many as the input has."},
    [LS_LAYER_MAX_POOL] = {KEYS(pool_keys), .help = "Largest element of each window."},
    [LS_LAYER_AVG_POOL] = {KEYS(pool_keys), .help = "Mean of each window."},
    [LS_LAYER_GLOBAL_AVG_POOL] = {KEYS(name_keys),
                                  .help = "Mean of each channel; gives a flat sample."},
    [LS_LAYER_BATCH_NORM] = {KEYS(batch_norm_keys),
                             .help = "Batch norm over a slice, per channel, with scale and shift."},
    [LS_LAYER_RELU] = {KEYS(name_keys), .help = "max(x, 0)."},
    [LS_LAYER_LEAKY_RELU] = {KEYS(leaky_relu_keys),
                             .help = "x for positive x, slope x for negative."},
    [LS_LAYER_TANH] = {KEYS(name_keys), .help = "Hyperbolic tangent."},
    [LS_LAYER_SIGMOID] = {KEYS(name_keys), .help = "1 / (1 + exp(-x))."},
    [LS_LAYER_GELU] = {KEYS(name_keys),
                       .help = "x times the normal distribution function of x, exact."},
    [LS_LAYER_SCALE] = {KEYS(scale_keys),
                        .help = "Multiplies by a constant, as an output after tanh."},
    [LS_LAYER_DROPOUT] = {KEYS(dropout_keys),
                          .help =
                              "Sets random elements to 0 in training and scales the others up."},
    [LS_LAYER_FLATTEN] = {KEYS(name_keys),
                          .help =
                              "Makes a sample flat: (channels, height, width) becomes one row."},
    [LS_LAYER_RESIDUAL] = {KEYS(residual_keys), .help = "out = body(in) + projection(in)."},
    [LS_LAYER_KINDS] =
        {KEYS(repeat_keys),
         .help = "Not a layer: the same list of layers several times, each with its own weights."},
};

const size_t ls_layer_word_count = sizeof ls_layer_words / sizeof *ls_layer_words;

const char *ls_layer_word_name(const ls_layer_word *word) {
    size_t kind = (size_t)(word - ls_layer_words);
    return kind < LS_LAYER_KINDS ? ls_layer_kind_name((ls_layer_kind)kind) : "repeat";
}

const ls_layer_word *ls_layer_word_find(const char *name) {
    for (size_t i = 0; i < ls_layer_word_count; i++)
        if (strcmp(ls_layer_word_name(&ls_layer_words[i]), name) == 0)
            return &ls_layer_words[i];
    return NULL;
}
