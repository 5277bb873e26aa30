/* train, inside: what the run files of a range test and of training have in common: the series of
 * every step, and when rows are committed.  Rank 0's; not collective. */
#ifndef LOCKSTEP_TRAIN_STEP_FILE_H
#define LOCKSTEP_TRAIN_STEP_FILE_H

#include "lockstep/io.h"
#include "lockstep/train.h"

/* Series of every step; those of the owner follow. */
enum {
    LS_S_LR,
    LS_S_LOSS,
    LS_S_SMOOTHED,
    LS_S_GRADIENT_NORM,
    LS_S_SECONDS,
    LS_S_PHASES,
    LS_S_REDONE,
    LS_S_COUNT,
    LS_S_MOST = 24
};

typedef struct ls_step_file {
    ls_run *run;
    int64_t rows;
    double last_add, last_commit; /* when, s */
} ls_step_file;

/* Lists the series of every step and then `own`; gives their count. */
size_t ls_step_series(const ls_series *own, size_t own_count, ls_series all[LS_S_MOST]);

/* One value in the row of step `step`. */
void ls_step_file_put(ls_step_file *file, size_t series, int64_t step, double value);
/* Ends the row of that step, after all of it that is the owner's has been put.  It is in the file
 * soon: rows are committed a few times a second. */
ls_status ls_step_file_add(ls_step_file *file, int64_t step, double lr, double smoothed,
                           const ls_step_report *report);
ls_status ls_step_file_commit(ls_step_file *file);
/* Commits, says what the end of every run has, and finishes the file. */
ls_status ls_step_file_finish(ls_step_file *file, const char *state_digest, bool layout_invariant);

#endif
