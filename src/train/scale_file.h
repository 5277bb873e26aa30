/* train, inside: the run file of a scaling study: one row a repeat.  Rank 0's; not collective. */
#ifndef LOCKSTEP_TRAIN_SCALE_FILE_H
#define LOCKSTEP_TRAIN_SCALE_FILE_H

#include "lockstep/io.h"
#include "lockstep/scale.h"

typedef struct ls_scale_file {
    ls_run *run;
    ls_scale_row *rows; /* those of the file */
    int64_t count, capacity;
    int64_t steps; /* of a repeat; 0: not known yet */
} ls_scale_file;

/* Begins job->path, or goes on with it, with room for `more` rows.  `identity` tells this study
 * from others: LS_ERR_INPUT where the file is of another one. */
ls_status ls_scale_file_open(const ls_config *config, const ls_scale_job *job, const char *identity,
                             int64_t more, ls_scale_file **file);
/* The first row says how many steps a repeat has. */
ls_status ls_scale_file_add(ls_scale_file *file, const ls_scale_row *row, int64_t steps);
ls_status ls_scale_file_finish(ls_scale_file *file);
void ls_scale_file_free(ls_scale_file *file);

#endif
