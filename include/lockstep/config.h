/* config: the configuration of a run, read from one YAML file and --set options.
 *
 * One table of keys (name, type, default, range, unit, help) makes the reading, the validation, the
 * help page, the reference file and the resolved text that is stored with the results.
 * Not collective: rank 0 reads the text and broadcasts it, every rank parses the same bytes. */
#ifndef LOCKSTEP_CONFIG_H
#define LOCKSTEP_CONFIG_H

#include "lockstep/base.h"
#include "lockstep/model.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LS_INTEGERS_LIMIT 16

typedef struct ls_integers {
    int count;
    int64_t value[LS_INTEGERS_LIMIT];
} ls_integers;

typedef struct ls_numbers {
    int count; /* 0: the key's word */
    double value[LS_INTEGERS_LIMIT];
} ls_numbers;

/* Files, one a line: each a path, or a pattern as of a shell; "": none. */
typedef struct ls_paths {
    char *lines;
} ls_paths;

/* Datasets in a file, one a line, whose channels are joined. */
typedef struct ls_names {
    char *lines;
} ls_names;

typedef struct ls_data_config {
    ls_paths file;                       /* HDF5; relative to the working directory */
    ls_paths test_file, validation_file; /* none: as `file` */
    /* Paths inside the file, or "none": */
    ls_names train_inputs, test_inputs, validation_inputs;
    char *train_targets, *test_targets, *validation_targets;
    double validation;       /* instead: share of the training samples; 0: none */
    ls_data_layout layout;   /* of the inputs in the files */
    ls_transforms transform; /* of their values, before they are normalised */
    bool normalize;          /* by the training set's mean and deviation, per channel or target */
    /* What a regression is trained on, instead of normalised targets: target_scale times a target,
     * plus target_offset; one number for all outputs, or one each.  auto: as `normalize` says. */
    ls_numbers target_scale, target_offset;
    ls_shuffle shuffle;
    int64_t shuffle_chunk;  /* samples; LS_AUTO: as the files have them */
    int64_t shuffle_window; /* chunks */
    ls_residence residence;
    double buffer; /* MiB, of each node; NaN: auto */
    char *stage;   /* folder of each node to copy the files to; "none" */
} ls_data_config;

typedef struct ls_batch_config {
    int64_t size;   /* samples of one optimizer step, over all ranks */
    int64_t slices; /* fixed parts of it; 1..size */
    bool drop_last; /* the last batch of an epoch, where it is not full */
} ls_batch_config;

/* What is done to training samples; see lockstep/augment.h. */
typedef struct ls_augment_config {
    int64_t crop_padding, cutout;
    bool flip;
} ls_augment_config;

#define LS_AUTO (-1) /* the word `auto` of a key that is an integer */

typedef struct ls_find_lr_config {
    double start, end;
    int64_t steps; /* 0: those of one epoch; LS_AUTO: lockstep/train.h */
    ls_ramp_kind ramp;
    double beta;
    double stop_factor;
    bool accuracy;              /* record the accuracy of each batch (Smith's own variant) */
    int64_t validation_every;   /* steps; 0: never */
    int64_t validation_samples; /* the first so many of the test set; 0: all */
} ls_find_lr_config;

typedef struct ls_train_config {
    int64_t epochs;
    double lr;                  /* NaN: auto, from the range test; not given: 0.1, with init 0.01 */
    int64_t lr_reference_batch; /* lr is meant for this batch; 0: for batch.size */
    ls_optimizer_kind optimizer;
    double momentum; /* Adam: beta1 */
    bool nesterov;
    double beta2, epsilon; /* Adam */
    double trust;          /* LARS */
    double weight_decay;
    bool decay_all;     /* also biases and batch-norm scales and shifts */
    double max_minutes; /* 0: no limit */
    double clip_norm;   /* largest norm of the mean gradient; 0: any */
    int64_t stop_after; /* epochs without progress; 0: never */
    char *target;       /* "accuracy 0.9", see ls_target_parse; or "none" */
} ls_train_config;

/* How the LR moves over the run: the formulas are in lockstep/schedule.h.  NaN: auto. */
typedef struct ls_schedule_config {
    ls_schedule_kind kind;
    double warmup_epochs, warmup_factor;
    int64_t every_epochs; /* 0: a third of the run */
    double factor;
    ls_integers milestones; /* epochs */
    double decay, power;
    double base_lr, max_lr, final_lr;
    double cycle_epochs, cycle_multiplier;
    double rise;
    ls_anneal anneal;
    bool cycle_momentum;
    double min_momentum, max_momentum;
} ls_schedule_config;

typedef struct ls_checkpoint_config {
    int64_t every_epochs, every_steps; /* 0: not by this count */
    double every_minutes;
    int64_t keep; /* the newest so many; the best one is kept beside them */
} ls_checkpoint_config;

typedef struct ls_compute_config {
    ls_compute_type type;
    char *isa;       /* "auto", "sse41", "avx2", "avx512", "avx512_bf16", "amx" */
    int64_t threads; /* per rank */
} ls_compute_config;

struct ls_config {
    int64_t seed;
    ls_data_config data;
    ls_batch_config batch;
    ls_augment_config augment;
    ls_model_spec model;
    ls_find_lr_config find_lr;
    ls_train_config train;
    ls_schedule_config schedule;
    ls_checkpoint_config checkpoint;
    ls_compute_config compute;
    char *init;     /* HDF5 file with weights to start from, or "none" */
    char *init_new; /* layers that it need not have, "dense1,dense2", or "none" */
    char *frozen;   /* layers whose weights stay as they are, or "none" */
    ls_exchange_mode exchange;
    ls_exchange_type exchange_sum;
    double stall_seconds; /* of waiting, after which a warning says for whom; 0: never */
};

/* Reads `text` (the contents of `file`, which is used in messages only) and then `sets`,
 * "key=value" each, in order.  LS_ERR_INPUT, with file, line, column, key, what was expected and
 * the nearest known choice, for anything that is not understood.  Also checks what involves
 * several keys. */
ls_status ls_config_parse(const char *file, const char *text, const char *const *sets,
                          size_t set_count, ls_config **config);

/* Reads a whole file into new memory (ls_free).  LS_ERR_INPUT when it cannot be read. */
ls_status ls_config_load(const char *file, char **text);
/* Whether the value of a text key says that there is none. */
bool ls_config_is_none(const char *value);

/* Of paths or names: "a.h5", or "[a.h5, b.h5]". */
void ls_lines_write(const char *lines, ls_text *text);

/* Where a run may end: once a metric of the judging split is as good as this. */
typedef enum ls_target_metric { LS_TARGET_ACCURACY, LS_TARGET_LOSS, LS_TARGET_R2 } ls_target_metric;
typedef struct ls_target {
    ls_target_metric metric;
    double value;
} ls_target;

/* "accuracy 0.9", "loss 0.25" or "r2 0.8"; false for anything else. */
bool ls_target_parse(const char *text, ls_target *target);

/* The resolved configuration as YAML that ls_config_parse reads back to the same values: every key,
 * defaults included. */
void ls_config_write(const ls_config *config, ls_text *text);

/* What another value of a key means to a run that goes on from a checkpoint. */
typedef enum ls_change {
    LS_CHANGE_RUN,      /* another run: another model, optimizer, batch, ... */
    LS_CHANGE_SCHEDULE, /* the learning rates to come */
    LS_CHANGE_NOTHING
} ls_change;

/* Calls visit for each key whose values differ, in the order of writing; of layers, `then` and
 * `now` are the first lines that differ. */
typedef void ls_config_difference(void *context, const char *key, ls_change change,
                                  const char *then, const char *now);
ls_status ls_config_compare(const ls_config *then, const ls_config *now,
                            ls_config_difference *visit, void *context);

/* The reference page: every key and layer with its default, range, unit and help, as commented YAML
 * (configs/reference.yaml), or as a page for people (`lockstep help config`). */
void ls_config_reference(ls_text *text);
void ls_config_help(ls_text *text);

#ifdef __cplusplus
}
#endif
#endif
