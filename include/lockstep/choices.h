/* choices: what a configuration chooses by a word, each enum with its words.  Part of base: config
 * reads the words, other modules act on the values. */
#ifndef LOCKSTEP_CHOICES_H
#define LOCKSTEP_CHOICES_H

/* Of a list of X(constant, word): the constants, the words; LS_WORDS_OF(LIST) for an array. */
#define LS_CONSTANT(constant, word) constant,
#define LS_WORD(constant, word) word,
#define LS_WORDS_OF(LIST)                                                                          \
    (const char *const[]) {                                                                        \
        LIST(LS_WORD) 0                                                                            \
    }

/* ---- the network ---------------------------------------------------------------------------- */

#define LS_LOSSES(X)                                                                               \
    X(LS_LOSS_CROSS_ENTROPY, "cross_entropy")                                                      \
    X(LS_LOSS_MEAN_SQUARED_ERROR, "mean_squared_error")
typedef enum ls_loss { LS_LOSSES(LS_CONSTANT) } ls_loss;

/* How weights start.  He et al. 2015: N(0, 2/fan_in); Glorot and Bengio 2010: U(+-sqrt(6/(fan_in
 * + fan_out))).  With He, a last layer with weights starts at N(0, 0.01^2) (Goyal et al. 2017).
 * Biases and batch-norm shifts start at 0, batch-norm scales at 1. */
#define LS_INITS(X)                                                                                \
    X(LS_INIT_HE, "he")                                                                            \
    X(LS_INIT_GLOROT, "glorot")
typedef enum ls_init { LS_INITS(LS_CONSTANT) } ls_init;

/* What a network's activations, their gradients and the weights that it multiplies with are kept
 * in.  bfloat16 is the upper half of a float32: its range, 8 bits of precision. */
#define LS_COMPUTE_TYPES(X)                                                                        \
    X(LS_COMPUTE_FLOAT32, "float32")                                                               \
    X(LS_COMPUTE_BF16, "bf16")
typedef enum ls_compute_type { LS_COMPUTE_TYPES(LS_CONSTANT) } ls_compute_type;

/* ---- learning ------------------------------------------------------------------------------- */

/* How weights change; the formulas are in lockstep/optim.h. */
#define LS_OPTIMIZERS(X)                                                                           \
    X(LS_OPTIMIZER_SGD, "sgd")                                                                     \
    X(LS_OPTIMIZER_LARS, "lars")                                                                   \
    X(LS_OPTIMIZER_ADAMW, "adamw")
typedef enum ls_optimizer_kind { LS_OPTIMIZERS(LS_CONSTANT) } ls_optimizer_kind;

/* The LR of a range test; ls_ramp_lr. */
#define LS_RAMPS(X)                                                                                \
    X(LS_RAMP_EXPONENTIAL, "exponential")                                                          \
    X(LS_RAMP_LINEAR, "linear")
typedef enum ls_ramp_kind { LS_RAMPS(LS_CONSTANT) } ls_ramp_kind;

/* The LR of a training run; the formulas are in lockstep/schedule.h. */
#define LS_SCHEDULES(X)                                                                            \
    X(LS_SCHEDULE_CONSTANT, "constant")                                                            \
    X(LS_SCHEDULE_STEP, "step")                                                                    \
    X(LS_SCHEDULE_MULTISTEP, "multistep")                                                          \
    X(LS_SCHEDULE_EXPONENTIAL, "exponential")                                                      \
    X(LS_SCHEDULE_POLYNOMIAL, "polynomial")                                                        \
    X(LS_SCHEDULE_COSINE, "cosine")                                                                \
    X(LS_SCHEDULE_COSINE_RESTARTS, "cosine_restarts")                                              \
    X(LS_SCHEDULE_TRIANGULAR, "triangular")                                                        \
    X(LS_SCHEDULE_TRIANGULAR2, "triangular2")                                                      \
    X(LS_SCHEDULE_EXP_RANGE, "exp_range")                                                          \
    X(LS_SCHEDULE_ONE_CYCLE, "one_cycle")
typedef enum ls_schedule_kind { LS_SCHEDULES(LS_CONSTANT) } ls_schedule_kind;

/* One cycle's way up and down. */
#define LS_ANNEALS(X)                                                                              \
    X(LS_ANNEAL_COSINE, "cosine")                                                                  \
    X(LS_ANNEAL_LINEAR, "linear")
typedef enum ls_anneal { LS_ANNEALS(LS_CONSTANT) } ls_anneal;

/* ---- data ----------------------------------------------------------------------------------- */

/* Where inputs are.  node: in memory that the ranks of a node share.  spread: there too, but each
 * node has a share of them, and sends it to others when they need it.  stream: read from the files
 * when they are needed, through a buffer.  auto: the first of these that takes at most half of the
 * memory that is free. */
#define LS_RESIDENCES(X)                                                                           \
    X(LS_RESIDENCE_AUTO, "auto")                                                                   \
    X(LS_RESIDENCE_NODE, "node")                                                                   \
    X(LS_RESIDENCE_SPREAD, "spread")                                                               \
    X(LS_RESIDENCE_STREAM, "stream")
typedef enum ls_residence { LS_RESIDENCES(LS_CONSTANT) } ls_residence;

/* How the order of the training samples changes with the epochs: lockstep/data.h.  The words are
 * those of a boolean, and one more. */
#define LS_SHUFFLES(X)                                                                             \
    X(LS_SHUFFLE_FALSE, "false")                                                                   \
    X(LS_SHUFFLE_TRUE, "true")                                                                     \
    X(LS_SHUFFLE_WINDOW, "window")
typedef enum ls_shuffle { LS_SHUFFLES(LS_CONSTANT) } ls_shuffle;

/* Where the axis of channels is in the inputs of files: (N, C, [D,] [H,] [W]), or (N, [D,] [H,]
 * [W,] C). */
#define LS_DATA_LAYOUTS(X)                                                                         \
    X(LS_CHANNELS_FIRST, "channels_first")                                                         \
    X(LS_CHANNELS_LAST, "channels_last")
typedef enum ls_data_layout { LS_DATA_LAYOUTS(LS_CONSTANT) } ls_data_layout;

/* Changes of each input value x, before it is normalised.  log1p: log(1 + x).  scale: value[0] x.
 * clip: into [value[0], value[1]]. */
#define LS_TRANSFORMS(X)                                                                           \
    X(LS_TRANSFORM_LOG1P, "log1p")                                                                 \
    X(LS_TRANSFORM_SCALE, "scale")                                                                 \
    X(LS_TRANSFORM_CLIP, "clip")
typedef enum ls_transform_kind { LS_TRANSFORMS(LS_CONSTANT) } ls_transform_kind;

typedef struct ls_transform {
    ls_transform_kind kind;
    double value[2];
} ls_transform;

#define LS_TRANSFORMS_LIMIT 8
/* One after another. */
typedef struct ls_transforms {
    int count;
    ls_transform step[LS_TRANSFORMS_LIMIT];
} ls_transforms;

/* ---- summing over ranks --------------------------------------------------------------------- */

/* auto: node where every node has the same number of ranks, otherwise flat.  node: through the
 * node's shared memory, then among nodes, each rank its part.  flat: each bucket over all ranks. */
#define LS_EXCHANGE_MODES(X)                                                                       \
    X(LS_EXCHANGE_AUTO, "auto")                                                                    \
    X(LS_EXCHANGE_NODE, "node")                                                                    \
    X(LS_EXCHANGE_FLAT, "flat")
typedef enum ls_exchange_mode { LS_EXCHANGE_MODES(LS_CONSTANT) } ls_exchange_mode;

/* fixed: fixed point, int32 or, with many slices, int64, the same bits on any layout.  float32, for
 * comparison: the bits depend on layout and MPI's algorithm. */
#define LS_EXCHANGE_TYPES(X)                                                                       \
    X(LS_EXCHANGE_FIXED, "fixed")                                                                  \
    X(LS_EXCHANGE_FLOAT32, "float32")
typedef enum ls_exchange_type { LS_EXCHANGE_TYPES(LS_CONSTANT) } ls_exchange_type;

#endif
