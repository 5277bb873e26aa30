/* model: the description of a network, as plain data.  `config` fills it from YAML, `nn` builds a
 * network from it.  Part of base: it has no code but the functions at the end. */
#ifndef LOCKSTEP_MODEL_H
#define LOCKSTEP_MODEL_H

#include "lockstep/base.h"
#include "lockstep/choices.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LS_MAX_SPATIAL 3 /* depth, height, width */

/* Every kind of layer, and its name in configuration files.  Each has a row in config's table of
 * layers, with its keys, and an ls_NAME_add in nn, with its shape rule and operations. */
#define LS_LAYERS(X)                                                                               \
    X(DENSE, dense)                                                                                \
    X(CONV, conv)                                                                                  \
    X(MAX_POOL, max_pool)                                                                          \
    X(AVG_POOL, avg_pool)                                                                          \
    X(GLOBAL_AVG_POOL, global_avg_pool)                                                            \
    X(BATCH_NORM, batch_norm)                                                                      \
    X(RELU, relu)                                                                                  \
    X(LEAKY_RELU, leaky_relu)                                                                      \
    X(TANH, tanh)                                                                                  \
    X(SIGMOID, sigmoid)                                                                            \
    X(GELU, gelu) /* exact, with erf; Hendrycks and Gimpel 2016 */                                 \
    X(SCALE, scale)                                                                                \
    X(DROPOUT, dropout)                                                                            \
    X(FLATTEN, flatten)                                                                            \
    X(RESIDUAL, residual)

#define LS_LAYER_CONSTANT(KIND, name) LS_LAYER_##KIND,
typedef enum ls_layer_kind { LS_LAYERS(LS_LAYER_CONSTANT) LS_LAYER_KINDS } ls_layer_kind;

/* A window of a convolution or pooling.  A count of 1 means the same number in every spatial
 * dimension; otherwise one number per dimension, outermost (depth) first. */
typedef struct ls_extent {
    int count;
    int64_t size[LS_MAX_SPATIAL];
} ls_extent;

typedef struct ls_layer_spec ls_layer_spec;

typedef struct ls_layer_list {
    size_t count;
    ls_layer_spec *layers;
} ls_layer_list;

typedef struct ls_dense_spec {
    int64_t units;
    bool bias;
} ls_dense_spec;

typedef struct ls_conv_spec {
    int64_t filters;
    ls_extent kernel, stride, padding, dilation; /* dilation 1: dense kernel */
    int64_t groups;
    bool bias;
} ls_conv_spec;

typedef struct ls_pool_spec {
    ls_extent size, stride, padding; /* stride.count 0: the size.  Average excludes padding */
} ls_pool_spec;

typedef struct ls_batch_norm_spec {
    double epsilon;  /* default 1e-5 */
    double momentum; /* share of the new statistics in the running ones, default 0.1 */
    bool zero_scale; /* gamma starts at 0: for the last one of a residual block (Goyal et al. 2017)
                      */
} ls_batch_norm_spec;

typedef struct ls_leaky_relu_spec {
    double slope; /* for negative inputs, default 0.01 */
} ls_leaky_relu_spec;

typedef struct ls_scale_spec {
    double factor;
} ls_scale_spec;

typedef struct ls_dropout_spec {
    double
        rate; /* share of elements set to 0 in training, [0, 1); the rest is scaled by 1/(1-rate) */
} ls_dropout_spec;

/* out = body(in) + projection(in); an empty projection is the identity. */
typedef struct ls_residual_spec {
    ls_layer_list body, projection;
} ls_residual_spec;

struct ls_layer_spec {
    ls_layer_kind kind;
    char *name; /* unique within its list; default: kind and number, as in "conv2" */
    int line;   /* of the configuration file, 0 if there is none */
    union {
        ls_dense_spec dense;
        ls_conv_spec conv;
        ls_pool_spec pool;
        ls_batch_norm_spec batch_norm;
        ls_leaky_relu_spec leaky_relu;
        ls_scale_spec scale;
        ls_dropout_spec dropout;
        ls_residual_spec residual;
    };
};

/* Weights of the classes in the loss, by scale: a training set's mean is 1. */
typedef struct ls_class_weights {
    bool balanced; /* 1 / samples of the class, by the training set */
    int64_t count; /* otherwise: of `value`, one a class; 0: all are the same */
    double *value;
} ls_class_weights;

typedef struct ls_model_spec {
    ls_loss loss;
    double label_smoothing; /* [0, 1): target = (1 - a) onehot + a / classes */
    ls_class_weights class_weights;
    ls_init init;
    ls_layer_list layers;
} ls_model_spec;

/* "conv", "max_pool", ...: the names used in configuration files. */
const char *ls_layer_kind_name(ls_layer_kind kind);
const char *ls_compute_type_name(ls_compute_type type); /* "float32", "bf16" */
/* Frees what the spec owns and empties it. */
void ls_model_spec_free(ls_model_spec *spec);

#ifdef __cplusplus
}
#endif
#endif
