/* nn, inside: the network, its parameters, and what it keeps for each variant of computation. */
#ifndef LOCKSTEP_NN_NET_H
#define LOCKSTEP_NN_NET_H

#include "nn/op.h"

enum {
    LS_PARAM_GRAIN = 16 /* floats: LS_ALIGN bytes; parameters start at multiples */
};

typedef struct ls_value {
    ls_shape shape; /* of one sample */
    ls_compute_type type;
    int producer, consumer; /* operations; producer -1: the input; consumer -1: the loss */
    bool needs_gradient;    /* something before it is trained */
} ls_value;

/* How a parameter starts. */
typedef struct ls_start {
    enum { LS_START_CONSTANT, LS_START_NORMAL, LS_START_UNIFORM } kind;
    double value; /* the constant, the standard deviation, or the bound */
} ls_start;

typedef struct ls_param_entry {
    ls_param param;
    ls_start start;
    /* of running statistics: */
    size_t place;    /* of the slice's own in ls_work.statistics */
    int64_t spatial; /* elements of a channel in one sample */
} ls_param_entry;

typedef struct ls_param_list {
    size_t count, capacity;
    ls_param_entry *entries;
} ls_param_list;

/* A layer as the user wrote it, for the table. */
typedef struct ls_layer_record {
    char *path;
    ls_layer_kind kind;
    ls_shape shape; /* of the output */
    size_t parameters;
} ls_layer_record;

struct ls_net {
    ls_dnnl_engine *engine;
    ls_compute_type type; /* of all values but the input and the output, which are float32 */
    ls_shape input;
    int64_t outputs;
    ls_loss loss;
    double label_smoothing;
    const double *class_weights; /* (outputs); NULL: all 1 */

    size_t op_count, op_capacity;
    ls_op **ops;
    size_t value_count, value_capacity;
    ls_value *values; /* 0: the input */
    int output;       /* the value that the loss takes: flat, plain, float32 */

    ls_param_list params; /* once built: trained ones first */
    size_t trained_count, trained_size, flat_size;
    size_t statistics_size;  /* floats of ls_plan_statistics */
    size_t statistics_space; /* floats with each array aligned */

    size_t layer_count, layer_capacity;
    ls_layer_record *layers;
    int dropouts;           /* numbers the dropout layers */
    const char *norm_layer; /* see ls_net_norm_values */
    int64_t norm_values;

    const float *flat;
    const uint16_t *rounded; /* flat in bf16; NULL in float32 */
    uint64_t version; /* of the values in flat; packed weights carry the one they were made of */

    ls_variant *variants;
    unsigned char *arena; /* shared by all plans */
    size_t arena_bytes;
    uint64_t addresses; /* grows whenever flat or arena move: plans bind again */
    const ls_plan *active;
    size_t plan_bytes, packed_bytes; /* for ls_net_memory */
    ls_recorder *recorder;           /* of operations; NULL: none */
};

/* A block of memory over the time of a forward and a backward pass; see memory.c. */
typedef struct ls_buffer {
    size_t bytes;
    int birth, death; /* first and last time it is used */
    size_t offset;
} ls_buffer;

enum { LS_NO_BUFFER = -1, LS_INPUT_BUFFER = -2 /* the slot's own input */ };

/* The whole network prepared for a mode and a number of samples. */
struct ls_variant {
    ls_variant *next;
    ls_net *net;
    ls_mode mode;
    int64_t samples;
    const ls_layout **layouts;  /* of each value */
    ls_prepared *prepared;      /* of each operation */
    size_t scratch, loops;      /* largest of the operations' */
    size_t buffer_count, bytes; /* of one slot: at most all arrays alive at a time */
    ls_buffer *buffers;
    int *value_buffer, *gradient_buffer; /* of each value */
    int *workspace_buffer;               /* of each operation */
};

/* ---- building: build.c, params.c ------------------------------------------------------------ */

struct ls_builder {
    ls_net *net;
    ls_init init;
    const char *path, *kind;  /* of the layer in work: "fc1", "block1/body/conv1"; "conv" */
    ls_param_list statistics; /* parameters that are not trained, until the end of the build */
};

/* Fails with "line 7: dense layer 'fc1': ...". */
ls_status ls_layer_fail(const ls_builder *builder, const ls_layer_spec *layer, const char *format,
                        ...) __attribute__((format(printf, 3, 4)));

enum { LS_SHAPE_TEXT = 96 };
/* "(16, 7, 7)"; returns text. */
const char *ls_shape_text(const ls_shape *shape, char text[LS_SHAPE_TEXT]);
int64_t ls_shape_elements(const ls_shape *shape);
int64_t ls_shape_spatial(const ls_shape *shape); /* elements of one channel */
/* Sizes of an array for the kernels: (N, C), or (N, C, [D,] H, W) with at least two spatial ones.
 */
ls_dims ls_shape_dims(const ls_shape *shape, int64_t samples);

/* What conv and pooling layers have in common. */
typedef struct ls_window_spec {
    ls_extent kernel, stride, padding, dilation; /* count 0: 1, 1, 0, 1 */
} ls_window_spec;
/* Checks the window against the input; gives the window, and the output's spatial sizes. */
ls_status ls_window_make(const ls_builder *builder, const ls_layer_spec *layer,
                         const ls_window_spec *spec, const ls_shape *in, ls_window *window,
                         ls_shape *out);

/* Appends an operation, which the net then owns (whatever the outcome), with its `ins` and `outs`
 * set, from the values `in` to new ones of `shape` and of their type. */
ls_status ls_builder_append(ls_builder *builder, ls_op *op, const int *in, const ls_shape *shape);
/* Takes the last operation and its one output off the net; the caller owns it. */
ls_op *ls_builder_take_last(ls_builder *builder);
/* The operation that makes the value if it is of that class, or NULL. */
ls_op *ls_builder_producer(const ls_builder *builder, const ls_op_class *class, int value);
const ls_shape *ls_builder_shape(const ls_builder *builder, int value);
/* Adds a trained parameter path/name to the operation in work. */
ls_status ls_builder_param(ls_builder *builder, ls_op *op, const char *name, ls_param_role role,
                           int ndims, const int64_t *shape, ls_start start);
/* The starting values of a weight with these fans. */
ls_start ls_weight_start(ls_init init, double fan_in, double fan_out);
/* Adds running mean and variance; gives the number of the first among the untrained ones, and the
 * places of the slice's own ones. */
ls_status ls_builder_statistics(ls_builder *builder, const ls_shape *shape, double momentum,
                                size_t *number, size_t places[2]);
/* Puts the untrained parameters after the trained ones and lays all out. */
ls_status ls_params_finish(ls_builder *builder);
void ls_params_free(ls_param_list *list);
/* Frees an operation with all it owns. */
void ls_op_free(ls_op *op);

/* ---- variants: variant.c, memory.c ---------------------------------------------------------- */

ls_status ls_variant_get(ls_net *net, ls_mode mode, int64_t samples, ls_variant **variant);
void ls_variant_free(ls_variant *variant);
/* Fills the buffers of a variant whose operations are prepared. */
ls_status ls_variant_plan_memory(ls_variant *variant);
/* Gives buffers their offsets in one block of `total` bytes: those alive at the same time do not
 * overlap; all are multiples of LS_ALIGN. */
ls_status ls_memory_place(size_t count, ls_buffer *buffers, size_t *total);

static inline size_t ls_align_bytes(size_t bytes) {
    return (bytes + LS_ALIGN - 1) / LS_ALIGN * LS_ALIGN;
}
static inline size_t ls_align_floats(size_t floats) {
    return (floats + LS_PARAM_GRAIN - 1) / LS_PARAM_GRAIN * LS_PARAM_GRAIN;
}

/* The plain layout for the value's shape, in a type. */
ls_status ls_variant_plain(const ls_variant *variant, int value, ls_compute_type type,
                           const ls_layout **layout);

static inline const ls_layout *ls_layout_of(const ls_variant *variant, int value) {
    return variant->layouts[value];
}
static inline bool ls_variant_trains(const ls_variant *variant, const ls_op *op) {
    return variant->mode == LS_MODE_TRAIN && op->backward;
}
static inline const float *ls_param_data(const ls_net *net, size_t index) {
    return net->flat + net->params.entries[index].param.offset;
}

#endif
