/* train, inside: what every run file says of its run. */
#ifndef LOCKSTEP_TRAIN_NOTES_H
#define LOCKSTEP_TRAIN_NOTES_H

#include "lockstep/io.h"
#include "lockstep/train.h"

/* The resolved configuration and the caller's notes. */
ls_status ls_notes_write_plain(ls_run *run, const ls_config *config, const ls_note *notes,
                               size_t count);

/* What a run file says of the engine whose run it is; all by reference. */
typedef struct ls_run_facts {
    const ls_config *config;
    ls_compute_type type; /* in force */
    int64_t steps_per_epoch;
    const ls_normalization *inputs, *targets; /* targets: NULL with classes */
} ls_run_facts;

/* As ls_notes_write_plain, and type and normalisation. */
ls_status ls_notes_write(ls_run *run, const ls_run_facts *facts, const ls_note *notes,
                         size_t count);

/* What a run file says there, or `otherwise`, in new memory. */
ls_status ls_notes_read(ls_run_reader *reader, const char *name, const char *otherwise,
                        char **value);

#endif
