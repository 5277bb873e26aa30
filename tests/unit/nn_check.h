/* Tests of nn: short ways to describe a network, and to compare it with the reference.  Names start
 * with net_, not nn_, which Criterion's nanomsg has taken. */
#ifndef LOCKSTEP_TESTS_NN_CHECK_H
#define LOCKSTEP_TESTS_NN_CHECK_H

#include "lockstep/nn.h"

/* ---- layers --------------------------------------------------------------------------------- */

#define NN_EACH(number)                                                                            \
    {                                                                                              \
        1, {                                                                                       \
            number                                                                                 \
        }                                                                                          \
    } /* an ls_extent: the same in every dimension */
#define NN_LIST(...)                                                                               \
    {                                                                                              \
        sizeof((ls_layer_spec[]){__VA_ARGS__}) / sizeof(ls_layer_spec), (ls_layer_spec[]) {        \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define NN_DENSE(u)                                                                                \
    {                                                                                              \
        .kind = LS_LAYER_DENSE, .dense = {.units = (u), .bias = true }                             \
    }
/* More of an ls_conv_spec may follow: .stride = NN_EACH(2). */
#define NN_CONV(f, k, ...) NN_GROUPS(f, k, 1, __VA_ARGS__)
#define NN_GROUPS(f, k, g, ...)                                                                    \
    {                                                                                              \
        .kind = LS_LAYER_CONV, .conv = {                                                           \
            .filters = (f),                                                                        \
            .kernel = NN_EACH(k),                                                                  \
            .groups = (g),                                                                         \
            .bias = true,                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define NN_MAX_POOL(k, ...)                                                                        \
    {                                                                                              \
        .kind = LS_LAYER_MAX_POOL, .pool = {.size = NN_EACH(k), __VA_ARGS__ }                      \
    }
#define NN_AVG_POOL(k, ...)                                                                        \
    {                                                                                              \
        .kind = LS_LAYER_AVG_POOL, .pool = {.size = NN_EACH(k), __VA_ARGS__ }                      \
    }
#define NN_GLOBAL_POOL                                                                             \
    { .kind = LS_LAYER_GLOBAL_AVG_POOL }
#define NN_NORM                                                                                    \
    {                                                                                              \
        .kind = LS_LAYER_BATCH_NORM, .batch_norm = {.epsilon = 1e-5, .momentum = 0.1 }             \
    }
#define NN_ACTIVATION(f)                                                                           \
    {                                                                                              \
        .kind = (f), .leaky_relu = {.slope = 0.1 }                                                 \
    }
#define NN_RELU NN_ACTIVATION(LS_LAYER_RELU)
#define NN_SCALE(x)                                                                                \
    {                                                                                              \
        .kind = LS_LAYER_SCALE, .scale = {.factor = (x) }                                          \
    }
#define NN_DROPOUT(r)                                                                              \
    {                                                                                              \
        .kind = LS_LAYER_DROPOUT, .dropout = {.rate = (r) }                                        \
    }
#define NN_FLATTEN                                                                                 \
    { .kind = LS_LAYER_FLATTEN }
#define NN_RESIDUAL(...)                                                                           \
    {                                                                                              \
        .kind = LS_LAYER_RESIDUAL, .residual = { __VA_ARGS__ }                                     \
    }

/* ---- networks ------------------------------------------------------------------------------- */

enum { NN_MAX_SLOTS = 4 };

/* What a test wants; layers need no names. */
typedef struct net_case {
    ls_shape input;
    int64_t outputs;
    ls_loss loss;
    double label_smoothing;
    const double *class_weights; /* (outputs), or NULL */
    ls_layer_list layers;
    ls_compute_type type;
    int slots;
    int64_t samples[NN_MAX_SLOTS];
} net_case;

/* The network of a case, with random parameters and running statistics, bound. */
typedef struct net_network {
    ls_model_spec spec;
    ls_shape input;
    int64_t outputs;
    ls_compute_type type;
    ls_net *net;
    float *flat;
    uint16_t *rounded; /* in bf16 */
} net_network;

net_network net_open(const net_case *wanted);
/* Computes with this flat array from now on. */
void net_bind(net_network *network, const float *flat);
void net_close(net_network *network);
/* A plan whose inputs, targets and sample ids are a function of `first_id`, which numbers the
 * samples from slot 0 on: the same sample has the same data in every plan. */
ls_plan *net_plan(const net_network *network, ls_mode mode, int slots, const int64_t *samples,
                  uint64_t first_id);

/* Gradients as they come: one flat array a slot. */
typedef struct net_gradients {
    const net_network *network;
    int slots;
    float *gradient[NN_MAX_SLOTS];
    int *count[NN_MAX_SLOTS]; /* how often each element came */
    size_t final_from;        /* elements from here on are final */
} net_gradients;

/* Runs a backward pass, and checks that each trained element comes once, before it is final, and
 * that `final` falls to 0. */
void net_backward(ls_plan *plan, const net_network *network, float loss_scale,
                  net_gradients *gradients);
void net_gradients_free(net_gradients *gradients);

/* Compares the case with the reference: outputs, loss and statistics in both modes, every gradient
 * with central differences of the reference's loss.  Then the case in bf16, if this machine has it,
 * with the case in float32. */
void net_check(const net_case *wanted);
/* The latter alone. */
void net_check_bf16(const net_case *wanted);

#endif
