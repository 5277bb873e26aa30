/* nn: a network's parameters, its forward and its backward pass on one process.
 *
 * Knows neither MPI nor HDF5.  A dense layer takes all slices that this rank owns at once: its many
 * weights stay in cache.  Between dense layers a slice passes all layers before the next one
 * starts: its arrays do; with several threads each takes one.  A slice is computed alone, with the
 * same shapes everywhere; its result does not depend on which other slices are computed beside it.
 *
 * All arrays here are row-major float32, whatever the network computes in.  N: samples of a slice,
 * C: channels.
 * Nothing in this header is collective. */
#ifndef LOCKSTEP_NN_H
#define LOCKSTEP_NN_H

#include "lockstep/base.h"
#include "lockstep/model.h"
#include "lockstep/record.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ls_net ls_net;
typedef struct ls_plan ls_plan;

/* ---- the process-wide compute library ------------------------------------------------------- */

/* Threads per rank (see lockstep/threads.h; any number gives the same bits) and the highest
 * instruction set ("auto", "sse41", "avx2", "avx512", "avx512_bf16", "amx").  Call once, before the
 * first network, on the thread that will use it.  LS_ERR_INPUT when this machine has less than what
 * is pinned. */
ls_status ls_compute_init(int threads, const char *isa);
/* The instruction set in force, and the library with its version, for the run file and for the
 * comparison between ranks.  Static strings. */
const char *ls_compute_isa(void);
const char *ls_compute_library(void);
/* Whether the instruction set in force has this type; without, ls_plan_create may fail for it. */
bool ls_compute_has(ls_compute_type type);

/* ---- networks ------------------------------------------------------------------------------- */

typedef enum ls_param_role {
    LS_PARAM_WEIGHT, /* dense: (out, in); conv: (out, in / groups, [kd,] [kh,] kw), as in PyTorch */
    LS_PARAM_BIAS,   /* (out) */
    LS_PARAM_SCALE,  /* batch-norm gamma, (C) */
    LS_PARAM_SHIFT,  /* batch-norm beta, (C) */
    LS_PARAM_MEAN,   /* batch-norm running statistics, (C): not trained, see ls_plan_statistics */
    LS_PARAM_VARIANCE
} ls_param_role;

/* A named array inside the network's one flat array of parameters. */
typedef struct ls_param {
    const char *name; /* "conv1/weight"; inside a residual block "block1/body/conv1/weight" */
    ls_param_role role;
    int ndims;
    int64_t shape[LS_MAX_DIMS];
    size_t count;      /* elements */
    size_t offset;     /* of the first element in the flat array; a multiple of 16 */
    double momentum;   /* of LS_PARAM_MEAN and _VARIANCE: running = (1-m) running + m batch */
    size_t statistics; /* of these: index of the first element in ls_plan_statistics */
} ls_param;

/* Builds the network for samples of shape `input` and `outputs` classes or regression targets.
 * Shape errors are LS_ERR_INPUT and name the layer, its line and both shapes, and the last layer
 * must give `outputs` values a sample; 0: any number.  A dense layer takes an input of any shape,
 * flattened.  The spec is not kept.
 *
 * With bf16, activations, their gradients and the weights of dense and conv layers are rounded to
 * it (to nearest, ties to even); products are summed in float32.  Biases, batch norm's scale, shift
 * and statistics, the output of a dense layer that comes last, the loss and the gradients of
 * parameters are float32. */
ls_status ls_net_create(const ls_model_spec *spec, const ls_shape *input, int64_t outputs,
                        ls_compute_type type, ls_net **net);
void ls_net_free(ls_net *net);

/* The loss of a sample counts `weights[class]` times: `outputs` of them, kept by reference; NULL:
 * once.  With label smoothing as in PyTorch: each class's term by its own weight. */
void ls_net_weigh_classes(ls_net *net, const double *weights);

/* Parameters in layer order: first all that are trained, then the running statistics. */
size_t ls_net_param_count(const ls_net *net);
const ls_param *ls_net_param(const ls_net *net, size_t index);
/* Length of the flat array in floats, paddings included, and of its trained part, which comes
 * first.  Both are multiples of 16; paddings stay 0. */
size_t ls_net_flat_size(const ls_net *net);
size_t ls_net_trained_size(const ls_net *net);
/* Floats that ls_plan_statistics gives for one slice. */
size_t ls_net_statistics_size(const ls_net *net);
/* Values per channel that one sample gives to the batch norm that gets the fewest, and the path of
 * that layer (owned by the net); 0 and NULL without one.  A slice must give it two. */
int64_t ls_net_norm_values(const ls_net *net, const char **layer);

/* Fills elements [first, end) of `flat`, multiples of 16, with starting values: a pure function of
 * (seed, parameter, element). */
void ls_net_init_params(const ls_net *net, uint64_t seed, size_t first, size_t end, float *flat);
/* The flat array that the network computes with and, for a network in bf16, as many bfloat16 that
 * ls_net_round makes of it; NULL in float32.  Not owned, may be shared among processes; nobody may
 * change them during a forward or backward pass.  Aligned to LS_ALIGN. */
void ls_net_bind(ls_net *net, const float *flat, const uint16_t *rounded);
/* `count` floats to the nearest bfloat16, ties to even. */
void ls_net_round(size_t count, const float *flat, uint16_t *rounded);
/* Tells that the bound values changed: what was derived from them is made anew when needed. */
void ls_net_params_changed(ls_net *net);

/* One line a layer: name, output shape, parameters; and the totals. */
void ls_net_describe(const ls_net *net, ls_text *text);

/* ---- plans: a network prepared for given slices --------------------------------------------- */

typedef enum ls_mode {
    LS_MODE_TRAIN,   /* batch norm by the slice's own statistics, dropout on, backward possible */
    LS_MODE_EVALUATE /* running statistics, no dropout */
} ls_mode;

/* Prepares `slots` slices of `samples[i]` samples (all >= 1): kernels, memory, packed weights.  A
 * step then allocates nothing and creates no kernel.  Slots are numbered as given; a rank's slot i
 * is its i-th slice.  Several plans may live, one is in use at a time; they share memory, so what
 * a pass left behind is lost when another plan starts one. */
ls_status ls_plan_create(ls_net *net, ls_mode mode, int slots, const int64_t *samples,
                         ls_plan **plan);
void ls_plan_free(ls_plan *plan);
int ls_plan_slots(const ls_plan *plan);
int64_t ls_plan_samples(const ls_plan *plan, int slot);

/* What the caller fills before a forward pass. */
float *ls_plan_input(ls_plan *plan, int slot);         /* (N, C, [D,] [H,] [W]) */
int32_t *ls_plan_classes(ls_plan *plan, int slot);     /* (N), cross-entropy */
float *ls_plan_targets(ls_plan *plan, int slot);       /* (N, outputs), mean squared error */
uint64_t *ls_plan_sample_ids(ls_plan *plan, int slot); /* (N), index in the dataset, for dropout */

/* One forward pass over all slots, up to the loss.  Dropout's masks are a pure function of (seed,
 * epoch, sample id, layer, element). */
ls_status ls_plan_forward(ls_plan *plan, uint64_t seed, uint32_t epoch);

/* What a slice's forward pass gave. */
typedef struct ls_slice_result {
    double loss; /* sum over the samples: cross-entropy in nats; squared error, mean over outputs */
    int64_t correct; /* samples whose largest output is the target class; 0 for regression */
} ls_slice_result;

ls_slice_result ls_plan_result(const ls_plan *plan, int slot);
/* (N, outputs): the last layer's output, before softmax.  Valid until the next pass of any plan, or
 * the next ls_plan_create, which may move the memory that plans share. */
const float *ls_plan_output(const ls_plan *plan, int slot);
/* Mean and (unbiased) variance of every batch norm over this slice, in the order that
 * ls_param.statistics says: ls_net_statistics_size floats.  After a pass in LS_MODE_TRAIN. */
void ls_plan_statistics(const ls_plan *plan, int slot, float *out);

/* Takes gradients while they are in cache.  `offset` counts in the flat array. */
typedef struct ls_grad_sink {
    void *context;
    /* `count` consecutive elements of the gradient of the slice in `slot`: of the slice's summed
     * loss times `loss_scale`.  Each element of each slot comes once a pass, those of a slot after
     * those of the slots before it.  Several threads call it at a time, for other elements. */
    void (*block)(void *context, int slot, size_t param, size_t offset, size_t count,
                  const float *gradient);
    /* Elements [offset, offset + count) have come for all slots.  Comes in falling offset order,
     * paddings left out: what is trained from `offset` on is final.  Ends at offset 0. */
    void (*final)(void *context, size_t offset, size_t count);
} ls_grad_sink;

/* One backward pass after a forward pass of the same plan, last layer first. */
ls_status ls_plan_backward(ls_plan *plan, float loss_scale, const ls_grad_sink *sink);

/* Multiplications and additions (2 a pair) of one sample's forward pass in dense and conv
 * layers. */
double ls_net_forward_flops(const ls_net *net);
/* Bytes that plans hold: activations, gradients, packed weights, scratch. */
size_t ls_net_memory(const ls_net *net);

/* ---- measurements --------------------------------------------------------------------------- */

/* Operations that the passes of the network are made of, in forward order, the last one the loss.
 * A layer may have none (a ReLU that the layer before it takes along) or several (the two ends of a
 * residual block). */
size_t ls_net_op_count(const ls_net *net);
/* The layer an operation belongs to: "residual2/body/conv1", and its kind: "conv"; "loss". */
const char *ls_net_op_layer(const ls_net *net, size_t index);
const char *ls_net_op_kind(const ls_net *net, size_t index);

/* From now on passes note LS_EVENT_FORWARD, _BACKWARD, _GRADIENT and _FINAL; NULL: no more.  Kept
 * by reference. */
void ls_net_record(ls_net *net, ls_recorder *recorder);

/* What an operation has to do in one pass over all slots of a plan. */
typedef struct ls_pass_work {
    /* Multiplications and additions of dense and conv layers, of convolutions as sums over all
     * taps: Winograd's method makes fewer.  Backward: the gradient of the weights, and that of the
     * input unless the layer is the first with parameters. */
    double flops;
    /* Memory that must be touched, whatever is in cache: each slot's inputs and outputs and, once a
     * pass, the parameters; backward the gradients that come and go, what is read again, the
     * parameters' gradients and, for the gradient of the input, the parameters. */
    double bytes;
    /* What computes it, where there is a choice: the library's name of its kernel, LS_OWN_LOOPS,
     * LS_WINOGRAD, or NULL.  Backward of conv layers: the gradient of the weights, then that of the
     * input. */
    const char *kernel[2];
} ls_pass_work;

#define LS_OWN_LOOPS "own loops"
#define LS_WINOGRAD "winograd"

void ls_plan_work(const ls_plan *plan, size_t index, ls_pass_work *forward, ls_pass_work *backward);

/* C = A B of square matrices, A and B of `type`, C float32, by the library's own product: what the
 * rates of layers are compared with.  Holds the matrices: element i of A and of B, row-major, is
 * i mod 7 - 3. */
typedef struct ls_gemm ls_gemm;
ls_status ls_gemm_create(ls_compute_type type, int64_t rows, ls_gemm **gemm);
void ls_gemm_free(ls_gemm *gemm);
ls_status ls_gemm_run(const ls_gemm *gemm);
const float *ls_gemm_result(const ls_gemm *gemm); /* C */

#ifdef __cplusplus
}
#endif
#endif
