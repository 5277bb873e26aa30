/* train, inside: the engine, of parts with headers of their own. */
#ifndef LOCKSTEP_TRAIN_ENGINE_H
#define LOCKSTEP_TRAIN_ENGINE_H

#include "lockstep/augment.h"
#include "train/batch.h"
#include "train/notes.h"
#include "train/step.h"

/* The caller's, of each split; NULL: none. */
typedef struct ls_sources {
    const ls_data_source *train, *validation, *test;
} ls_sources;

struct ls_engine {
    ls_comm *comm;
    const ls_config *config;
    const ls_sources *sources;          /* while it is made; NULL: files */
    ls_data *train, *validation, *test; /* NULL: none */
    char *data_name;                    /* for messages: of the files opened last; owned */
    /* What the model is made for, from the training split or from a checkpoint: */
    ls_shape shape; /* of a sample */
    bool classes;
    int64_t outputs;       /* classes, or targets a sample */
    double *class_weights; /* (outputs), in the loss; NULL: none */
    double *constant; /* (outputs): loss of each class, or values, of the best constant answer */
    bool in_double;   /* the targets were float64 */
    const char *checkpoint; /* the model's, when only that is there and not train; else NULL */
    ls_normalization norm, target_norm; /* of the targets: regression only */
    ls_augment augment;                 /* of training samples */
    float *background;                  /* per channel: the normalised value of raw 0 */
    ls_compute_type type;               /* in force: the configuration's, if this CPU has it */
    ls_net *net;
    int slices, first_slice, end_slice; /* of the batch; this rank's: [first, end) */
    int64_t steps_per_epoch;

    ls_weights *weights;
    ls_quantizer *quantizer;
    ls_exchange *exchange;
    ls_updater *updater;

    ls_batches *batches;
    ls_control *control;

    ls_plan *own_plan; /* of ls_engine_predict_batch; NULL: none yet */
    int64_t own_samples;

    ls_recorder *recorder; /* NULL: none */
    int64_t record_skip, record_steps;
};

/* What is said of it in a run file. */
ls_run_facts ls_engine_facts(const ls_engine *engine);

#endif
