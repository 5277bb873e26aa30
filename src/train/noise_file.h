/* train, inside: the run file of a noise scale, written by rank 0. */
#ifndef LOCKSTEP_TRAIN_NOISE_FILE_H
#define LOCKSTEP_TRAIN_NOISE_FILE_H

#include "lockstep/noise.h"
#include "train/notes.h"

typedef struct ls_noise_file ls_noise_file;

/* Creates job->path with room for `steps` rows; lr: the base learning rate. */
ls_status ls_noise_file_create(const ls_run_facts *facts, const ls_noise_job *job, int64_t steps,
                               double lr, ls_noise_file **file);
/* Adds row `step`; measured is NaN where it was not. */
ls_status ls_noise_file_add(ls_noise_file *file, int64_t step, double lr, double smoothed,
                            const ls_step_report *report, const ls_noise_step *measured);
ls_status ls_noise_file_finish(ls_noise_file *file, const char *state_digest);
void ls_noise_file_free(ls_noise_file *file);

#endif
