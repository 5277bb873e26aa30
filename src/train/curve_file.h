/* train, inside: the run file of a range test, written by rank 0. */
#ifndef LOCKSTEP_TRAIN_CURVE_FILE_H
#define LOCKSTEP_TRAIN_CURVE_FILE_H

#include "train/notes.h"

typedef struct ls_curve_file ls_curve_file;

typedef struct ls_curve_point {
    double lr, smoothed;
    double validation;       /* NaN where not measured */
    double gain, gain_noise; /* the same; see ls_curve */
    const ls_step_report *report;
} ls_curve_point;

/* Creates job->folder/find-lr.h5 with room for `steps` points. */
ls_status ls_curve_file_create(const ls_run_facts *facts, const ls_find_lr_job *job, int64_t steps,
                               ls_curve_file **file);
/* Adds point `step`.  It is in the file soon: points are committed a few times a second. */
ls_status ls_curve_file_add(ls_curve_file *file, int64_t step, const ls_curve_point *point);
/* Works out the suggestions from the points so far, into *result, and finishes the file. */
ls_status ls_curve_file_finish(ls_curve_file *file, ls_find_lr_result *result);
void ls_curve_file_free(ls_curve_file *file);

#endif
