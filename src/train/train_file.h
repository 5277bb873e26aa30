/* train, inside: the run file of a training run, written by rank 0. */
#ifndef LOCKSTEP_TRAIN_TRAIN_FILE_H
#define LOCKSTEP_TRAIN_TRAIN_FILE_H

#include "train/notes.h"
#include "train/state.h"

typedef struct ls_train_file ls_train_file;

typedef struct ls_train_point {
    double lr, momentum, smoothed;
    double epoch_loss; /* mean over the samples of the epoch that this step ends; otherwise NaN */
    ls_score score[LS_SPLIT_COUNT]; /* after the epoch that this step ends; otherwise NaN */
    const ls_step_report *report;
} ls_train_point;

/* Creates folder/train.h5 with room for `steps` rows; takes over the first state->step rows of the
 * file that is there.  Where it is not of this run, or cannot be read, it is kept under another
 * name, and the rows that are lost, NaN in the new file, are told. */
ls_status ls_train_file_open(const ls_run_facts *facts, const ls_train_job *job, int64_t steps,
                             const ls_train_state *state, ls_train_file **file);
/* Adds the row of step `step`; rows are committed a few times a second. */
ls_status ls_train_file_add(ls_train_file *file, int64_t step, const ls_train_point *point);
/* All rows so far are on the disk when this returns: before a checkpoint that relies on them. */
ls_status ls_train_file_sync(ls_train_file *file);
ls_status ls_train_file_finish(ls_train_file *file, const ls_train_result *result);
void ls_train_file_free(ls_train_file *file);

#endif
