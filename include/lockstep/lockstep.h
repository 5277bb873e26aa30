/* lockstep as a library: synchronous, data-parallel momentum SGD over MPI, with the same bits on
 * any number of ranks.  These declarations, and lockstep/mpi.h, which makes an ls_comm of an MPI
 * communicator, are the library's interface; the other headers are its modules' own.
 *
 * "Collective" functions must be called by all ranks of the communicator in the same order, and
 * return the same status on all of them.  The library starts no MPI, ends no process and prints
 * nothing.  Of the process, not of an engine: the log, the instruction set and number of threads
 * (compute.isa, compute.threads: the first engine's), and HDF5's own printing of errors, which is
 * off once a file was opened. */
#ifndef LOCKSTEP_LOCKSTEP_H
#define LOCKSTEP_LOCKSTEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the shared library exports. */
#define LS_API __attribute__((visibility("default")))

/* ---- version -------------------------------------------------------------------------------- */

#define LS_VERSION_MAJOR 0
#define LS_VERSION_MINOR 1
#define LS_VERSION_PATCH 0

/* Of the library in use: "0.1.0". */
LS_API const char *ls_build_version(void);

/* ---- status --------------------------------------------------------------------------------- */

/* Every function that can fail returns one of these.  A failing function has set no output. */
typedef enum ls_status {
    LS_OK = 0,
    LS_ERR_INPUT,   /* the user's input is wrong: file, key, shape, type, folder: exit code 2 */
    LS_ERR_SYSTEM,  /* memory, disk, MPI, a library call that should have worked: exit code 1 */
    LS_ERR_NUMERIC, /* a loss or gradient that is not finite: exit code 3 */
    LS_ERR_BUG,     /* our own mistake, found by a check: exit code 4 */
    LS_STOPPED      /* stopped as asked, between two steps: exit code 5 */
} ls_status;

/* The process exit code for a status. */
LS_API int ls_exit_code(ls_status status);

/* What went wrong, in one line, "" if nothing has; of this thread.  The first failure since
 * ls_message_set counts: later ones are its consequences.  Valid until the next failure. */
LS_API const char *ls_message(void);
/* Replaces it, or with "" removes it, for what is to come after a failure. */
LS_API void ls_message_set(const char *message);

/* ---- log ------------------------------------------------------------------------------------ */

typedef enum ls_log_level { LS_LOG_QUIET, LS_LOG_NORMAL, LS_LOG_VERBOSE } ls_log_level;

/* Called with one message, without the end of its last line; a warning has level LS_LOG_QUIET. From
 * the thread that calls the library, and from the one that watches waits (stall_seconds). */
typedef void ls_log_function(void *context, ls_log_level level, const char *line);

/* Of the process: who gets the messages; NULL, as at the start: nobody. */
LS_API void ls_log_to(ls_log_function *function, void *context);
/* Of the process: messages above `level` are dropped. */
LS_API void ls_log_set(ls_log_level level);
LS_API ls_log_level ls_log_get(void);

/* ---- ranks ---------------------------------------------------------------------------------- */

typedef struct ls_comm ls_comm;

/* Made by ls_comm_create of lockstep/mpi.h.  Collective. */
LS_API void ls_comm_free(ls_comm *comm);

/* Called on the rank that it strikes, before the failed function returns: what is wrong (in
 * ls_message too) is known to this rank alone, and the others may wait for it. */
typedef void ls_comm_failure(void *context, ls_comm *comm, ls_status status);
/* Not collective.  NULL, as at the start: nothing is called. */
LS_API void ls_comm_on_failure(ls_comm *comm, ls_comm_failure *function, void *context);
/* Not collective.  MPI has failed, or this rank has where it cannot tell the others: from here on
 * functions of this communicator fail, and free what they can without the other ranks.  Returns
 * `status`. */
LS_API ls_status ls_comm_break(ls_comm *comm, ls_status status);
/* Not collective.  LS_ERR_SYSTEM once it is broken. */
LS_API ls_status ls_comm_check(const ls_comm *comm);

/* Not collective. */
LS_API int ls_comm_rank(const ls_comm *comm);
LS_API int ls_comm_size(const ls_comm *comm);

/* ---- configuration -------------------------------------------------------------------------- */

typedef struct ls_config ls_config;

/* Not collective: all ranks are to give the same text.  A configuration in YAML, as the program's;
 * configs/reference.yaml has every key.  LS_ERR_INPUT names line, key, what was expected and the
 * nearest known choice. */
LS_API ls_status ls_config_create(const char *yaml, ls_config **config);
/* Not collective.  Sets one key, "train.lr", to a value as after --set, "0.1".  LS_ERR_INPUT,
 * and nothing is changed, for what is not understood, and for what does not fit the values there
 * are: batch.size comes before more batch.slices than it had.  Not while an engine has it. */
LS_API ls_status ls_config_set(ls_config *config, const char *key, const char *value);
LS_API void ls_config_free(ls_config *config);

/* ---- data ----------------------------------------------------------------------------------- */

typedef enum ls_type {
    LS_TYPE_U8,
    LS_TYPE_I8,
    LS_TYPE_U16,
    LS_TYPE_I16,
    LS_TYPE_U32,
    LS_TYPE_I32,
    LS_TYPE_U64,
    LS_TYPE_I64,
    LS_TYPE_F32,
    LS_TYPE_F64
} ls_type;

#define LS_MAX_DIMS 5 /* N, C, depth, height, width; weights: out, in, depth, height, width */

/* The shape of one sample: channels and 0 to 3 spatial sizes.  A flat sample has ndims 1. */
typedef struct ls_shape {
    int ndims;
    int64_t size[LS_MAX_DIMS - 1]; /* C, [D,] [H,] [W] */
} ls_shape;

/* Where the samples of a split come from: in the caller's memory, or by a function. */
typedef struct ls_data_source {
    const char *name; /* for messages: "the wind tunnel's samples" */
    int64_t count;
    ls_shape shape;      /* of a sample */
    ls_type type;        /* of its values */
    int64_t targets;     /* of a sample: 1 class number, or as many floats as outputs; 0: none */
    ls_type target_type; /* any integer: classes; LS_TYPE_F32 or LS_TYPE_F64: regression */

    /* All samples, (count, shape) and (count, targets), where `read` is NULL. */
    const void *inputs_array, *targets_array;
    /* Writes samples ids[0] to ids[count - 1], one after another; inputs or targets is NULL where
     * they are not wanted.  Not collective: each rank asks for the samples that it needs, in the
     * thread that calls lockstep.  Other than LS_OK is returned from where the samples were wanted.
     */
    ls_status (*read)(void *context, const uint64_t *ids, int64_t count, void *inputs,
                      void *targets);
    /* Says, ahead of `read` and in its order, what will be read; may be NULL. */
    void (*prefetch)(void *context, const uint64_t *ids, int64_t count);
    void *context;
} ls_data_source;

/* ---- engine: data, network, weights and exchange of one run --------------------------------- */

typedef struct ls_engine ls_engine;

/* Collective.  Opens the training split (and those of validation and test, when `with_judges`),
 * builds the network, initialises the node-shared weights.  The configuration is kept by reference.
 * `name` is the configuration's file name, for messages. */
LS_API ls_status ls_engine_create(ls_comm *comm, const ls_config *config, const char *name,
                                  bool with_judges, ls_engine **engine);
/* Collective.  The same with samples of other sources, the same ones on every rank; they are read
 * before it returns, into memory that the ranks of a node share, and not kept.  Keys data.file,
 * data.train_inputs, data.layout and their like are not looked at, but data.transform is.
 * validation and test may be NULL. */
LS_API ls_status ls_engine_create_from(ls_comm *comm, const ls_config *config,
                                       const ls_data_source *train,
                                       const ls_data_source *validation, const ls_data_source *test,
                                       ls_engine **engine);
/* Collective.  An engine that evaluates and predicts alone: weights, shapes, normalisation and the
 * number of classes come from a checkpoint, samples from the test split, without its targets where
 * only predictions are wanted.  LS_ERR_INPUT when they do not fit. */
LS_API ls_status ls_engine_open(ls_comm *comm, const ls_config *config, const char *checkpoint,
                                bool with_targets, ls_engine **engine);
/* Collective.  Before its configuration and its ls_comm. */
LS_API void ls_engine_free(ls_engine *engine);

/* Not collective.  Not of a checkpoint's engine. */
LS_API int64_t ls_engine_steps_per_epoch(const ls_engine *engine);

#define LS_DIGEST_TEXT 33 /* bytes of a digest as text: 32 hexadecimal digits and the end */

/* Collective.  Loads weights, running statistics and normalisation of a trained model from a
 * checkpoint. LS_ERR_INPUT when it does not fit the network. */
LS_API ls_status ls_engine_load(ls_engine *engine, const char *path);

/* Collective.  Digest of weights, running statistics and the optimizer's states, on rank 0: that of
 * a checkpoint which has them. */
LS_API ls_status ls_engine_digest(ls_engine *engine, char text[LS_DIGEST_TEXT]);

/* Collective.  Keeps, and puts back, weights, the optimizer's states and running statistics. */
typedef struct ls_snapshot ls_snapshot;
LS_API ls_status ls_engine_save(ls_engine *engine, ls_snapshot **snapshot);
LS_API void ls_engine_restore(ls_engine *engine, ls_snapshot *snapshot); /* frees it too */

/* ---- steps ---------------------------------------------------------------------------------- */

/* Where the time of a step went, s. */
typedef enum ls_phase {
    LS_PHASE_DATA,
    LS_PHASE_FORWARD,
    LS_PHASE_CONTROL,  /* waiting for losses and decisions */
    LS_PHASE_BACKWARD, /* with quantisation */
    LS_PHASE_EXCHANGE, /* exposed: after backward, for the other ranks' gradients and sums */
    LS_PHASE_UPDATE,   /* with waiting for the node's other ranks to finish theirs */
    LS_PHASE_COUNT
} ls_phase;
LS_API const char *ls_phase_name(ls_phase phase);

/* What a step measured; the same on all ranks but the times and what slices gave. */
typedef struct ls_step_report {
    int64_t samples; /* true count of this batch */
    double loss;     /* mean over the samples */
    int64_t correct;
    const double *slice_loss; /* rank 0, NULL elsewhere: mean loss of each slice, NaN for an empty
                                 one; valid until the next step */
    double gain; /* how much more the loss of the best constant answer is, over the same samples:
                    the training split's class frequencies, or mean targets */
    const double *slice_gain; /* as slice_loss */
    double gradient_norm;     /* of the mean gradient, over all trained parameters */
    bool stop_requested;      /* by ls_engine_request_stop, on any rank */
    int redone; /* times the backward pass was redone with a larger fixed-point range */
    double seconds[LS_PHASE_COUNT];
} ls_step_report;

/* Rank 0's decision on a step's loss: the LR to apply, or stop before the update. */
typedef struct ls_decision {
    double lr, momentum;
    bool stop;
} ls_decision;

/* Called on rank 0 once the loss of the whole batch is known, while backward is about to run. */
typedef ls_decision ls_decide(void *context, const ls_step_report *report);

#define LS_MOST_CARRIED 64 /* bytes */

/* Not collective, with the same size on all ranks.  What else rank 0 has to say with its decisions:
 * the `size` bytes at `what`, a structure of the caller's, as ls_decide leaves them; after the step
 * they are those of all ranks.  Kept by reference; NULL: nothing, as at the start.  LS_ERR_BUG for
 * more than LS_MOST_CARRIED. */
LS_API ls_status ls_engine_carry(ls_engine *engine, void *what, size_t size);

/* Not collective.  Makes rank 0 learn, with the losses of the next step, that this rank was asked
 * to stop. */
LS_API void ls_engine_request_stop(ls_engine *engine);

/* Collective.  One step on batch `batch` (0..steps_per_epoch-1) of epoch `epoch`: forward, the
 * decision, backward, exchange, update.  With a decision to stop nothing is updated.  *decision
 * is what rank 0 decided, on all ranks.  LS_ERR_NUMERIC, with tensor, slice and step named, for a
 * gradient that is not finite; nothing is updated then either, nor when one rank fails before it
 * has a loss, which all return.  A failure later than that breaks the communicator, see
 * ls_comm_break. */
LS_API ls_status ls_engine_step(ls_engine *engine, int64_t epoch, int64_t batch, ls_decide *decide,
                                void *context, ls_decision *decision, ls_step_report *report);

/* What trained weights are evaluated on. */
typedef enum ls_split { LS_SPLIT_VALIDATION, LS_SPLIT_TEST, LS_SPLIT_COUNT } ls_split;
LS_API const char *ls_split_name(ls_split split); /* "validation", "test" */

/* Not collective.  The split by which training chooses: validation, where there is one, or test.
 * False: there is neither. */
LS_API bool ls_engine_judge(const ls_engine *engine, ls_split *split);

/* Collective.  Mean loss and share of correct classes (NaN for regression) over the first `samples`
 * of a split (0: all), with running statistics; every sample once; the same bits on any layout.
 * LS_ERR_INPUT where there is no such split. */
LS_API ls_status ls_engine_evaluate(ls_engine *engine, ls_split split, int64_t samples,
                                    double *loss, double *accuracy);

/* Not collective.  Classes, or values of a regression, that the network gives for a sample. */
LS_API int64_t ls_engine_outputs(const ls_engine *engine);
/* Not collective, by this rank alone.  What the network says of `count` samples, (count, shape) in
 * the caller's memory, of any type, in the units of the training samples: class probabilities, or
 * values in the units of the targets, into `outputs` (count, ls_engine_outputs).  The last
 * bits may depend on `count`.  Keeps what it has made for `count`: the same count again is fast. */
LS_API ls_status ls_engine_predict_batch(ls_engine *engine, int64_t count, ls_type type,
                                         const void *inputs, float *outputs);
/* Collective.  Writes the outputs for the test split, in dataset order, to HDF5 file `file`, which
 * appears when it is whole: dataset `outputs` (N, outputs), the class probabilities as float32 or
 * the regression values in the type of the targets, and with classes `predicted_class` (N) int32.
 * The same bits on any layout. */
LS_API ls_status ls_engine_predict(ls_engine *engine, const char *file);

/* ---- the LR range test ---------------------------------------------------------------------- */

typedef enum ls_stop {
    LS_STOP_NONE,      /* go on */
    LS_STOP_END,       /* the ramp is through */
    LS_STOP_DIVERGED,  /* smoothed loss passed stop_factor times its best */
    LS_STOP_NOT_FINITE /* the loss, or a gradient, is not a finite number */
} ls_stop;

LS_API const char *ls_stop_name(ls_stop stop); /* "end", "diverged", "not_finite" */

#define LS_REASON_TEXT 256

/* One suggestion: a value, or the reason why there is none. */
typedef struct ls_suggestion {
    const char *name;
    bool found;
    double value;
    bool noisy;                  /* refused, but a longer test may see what is there */
    int64_t index;               /* of the point it was read off, -1 when it is none */
    char reason[LS_REASON_TEXT]; /* why there is none; for `recommended` also how it was chosen */
} ls_suggestion;

/* What is read off a curve of learning rate and loss; ls_suggest of the sources defines each. */
enum {
    LS_SUGGEST_MINIMUM, /* a tenth of the LR of the smallest smoothed loss; index: of that */
    LS_SUGGEST_STEEP,   /* with valley and slide: those of fastai's lr_find */
    LS_SUGGEST_VALLEY,
    LS_SUGGEST_SLIDE,
    LS_SUGGEST_BASE_LR, /* Smith's bounds for cyclical learning rates */
    LS_SUGGEST_MAX_LR,
    LS_SUGGEST_RECOMMENDED, /* the one to train with; index: of the edge of stability */
    LS_SUGGEST_COUNT
};

/* The name of LS_SUGGEST_...: a static string. */
LS_API const char *ls_suggestion_name(int which);

/* A text attribute for the run file: who ran what, built how. */
typedef struct ls_note {
    const char *name, *value;
} ls_note;

typedef struct ls_find_lr_result {
    ls_stop stop;
    int64_t stop_step; /* the step that stopped the test, -1 when the ramp went through */
    char stop_detail[LS_REASON_TEXT];   /* which gradient was not finite; "" otherwise */
    int64_t points;                     /* of the curve */
    char advice[LS_REASON_TEXT];        /* what to do when no LR is recommended; "" otherwise */
    char unreached[LS_REASON_TEXT / 2]; /* parameters without a gradient in all steps; "": none */
    ls_suggestion suggestions[LS_SUGGEST_COUNT];
    bool restored; /* the digest of weights, statistics and momentum after the test is that of
                      before */
    char digest[LS_DIGEST_TEXT];
} ls_find_lr_result;

/* Where a running test stands; given on rank 0 after each step. */
typedef struct ls_find_lr_progress {
    int64_t step, steps; /* steps done, and of the whole ramp */
    double lr, loss, smoothed;
    int64_t samples; /* since the start */
    double seconds;  /* since the start */
} ls_find_lr_progress;

typedef struct ls_find_lr_job {
    const char *folder; /* must exist; find-lr.h5 is written here, by rank 0 */
    const ls_note *notes;
    size_t note_count;
    void (*progress)(void *context, const ls_find_lr_progress *progress); /* may be NULL */
    bool (*interrupted)(void *context); /* whether this process was asked to stop; may be NULL */
    void *context;
} ls_find_lr_job;

/* Collective.  Raises the LR with each step, as the keys of find_lr say, reads the suggestions off
 * the curve and puts the engine back into the state before.  With find_lr.steps auto a test whose
 * recommendation is refused as `noisy` is followed by a longer one, announced, whose file takes the
 * place of the first's, where both take at most a tenth of the training's steps.  *result on all
 * ranks.  LS_STOPPED when it was asked to stop. */
LS_API ls_status ls_find_lr(ls_engine *engine, const ls_find_lr_job *job,
                            ls_find_lr_result *result);

/* ---- training ------------------------------------------------------------------------------- */

enum { LS_HOST_SIZE = 65 };
/* The rank whose own work takes longest, so that the others wait for it. */
typedef struct ls_slowest {
    int rank;
    char host[LS_HOST_SIZE];
    double seconds, mean; /* of that rank; over the ranks */
} ls_slowest;

/* Why a training run ended. */
typedef enum ls_train_end {
    LS_TRAIN_DONE,        /* all epochs */
    LS_TRAIN_TARGET,      /* train.target is reached */
    LS_TRAIN_NO_PROGRESS, /* not in train.stop_after epochs */
    LS_TRAIN_SIGNAL,      /* asked to by a signal */
    LS_TRAIN_STOP_FILE,   /* a file `stop` in the folder, which is removed */
    LS_TRAIN_TIME_LIMIT   /* train.max_minutes */
} ls_train_end;

/* "done", "target", "no_progress", "signal", "stop_file", "time_limit" */
LS_API const char *ls_train_end_name(ls_train_end end);
/* Whether the run has come to its own end, and is not to be gone on with. */
LS_API bool ls_train_end_is_final(ls_train_end end);

/* An evaluation in few words: what does not apply is NaN. */
typedef struct ls_score {
    double loss, accuracy, r2; /* accuracy: classes; r2: regression, as in ls_evaluation */
} ls_score;

/* Where a training run stands; given on rank 0 after each step. */
typedef struct ls_train_progress {
    int64_t checkpoint;                 /* step of the newest checkpoint, -1: none yet */
    int64_t step, steps, epoch, epochs; /* steps done, and in all; the epoch under way, from 1 */
    double lr, loss, smoothed;
    double epoch_loss; /* mean over the samples of the epoch that ends; NaN within one */
    ls_score score[LS_SPLIT_COUNT]; /* after this step's epoch; NaN where not evaluated */
    double samples_per_second;      /* since the start of this process */
    double seconds_left;
} ls_train_progress;

typedef struct ls_train_job {
    const char
        *folder; /* must exist; train.h5, checkpoints and best.h5 are written here, by rank 0 */
    bool resume; /* go on from the newest valid checkpoint in the folder */
    bool allow_changes; /* also where model, optimizer, dataset, ... are not those it was made with
                         */
    const ls_note *notes;
    size_t note_count;
    bool (*interrupted)(void); /* whether this process was asked to stop; may be NULL */
    void (*progress)(void *context, const ls_train_progress *progress); /* may be NULL */
    void *context;
} ls_train_job;

typedef struct ls_train_result {
    ls_train_end end;
    double lr;     /* the base LR: as configured, or as the range test recommends */
    int64_t steps; /* done in all, those before a resume included */
    ls_score score[LS_SPLIT_COUNT]; /* of the last evaluations; NaN without one */
    double best;        /* accuracy, or loss for regression, of the judge; NaN without one */
    int64_t best_epoch; /* after which it was measured, from 1; 0 without one */
    char digest[LS_DIGEST_TEXT]; /* of weights, statistics and momentum; on rank 0 */
    ls_slowest slowest;          /* own work of a step, see ls_phases_work; on rank 0 */
} ls_train_result;

/* Collective.  Trains for train.epochs epochs, or until train.target, train.stop_after or someone
 * says stop; evaluates the judge (ls_engine_judge), if any, after each epoch, and the test split,
 * if it is not the judge, after the last one; writes DIR/train.h5, DIR/checkpoint-<step>.h5 and
 * DIR/best.h5.  With train.lr auto the range test runs first (DIR/find-lr.h5), and its
 * recommendation is the base LR: LS_ERR_INPUT when it has none, LS_STOPPED when asked to stop
 * meanwhile. LS_ERR_NUMERIC when the loss or a gradient is not finite: the checkpoints before
 * stay. */
LS_API ls_status ls_train(ls_engine *engine, const ls_train_job *job, ls_train_result *result);

#ifdef __cplusplus
}
#endif
#endif
