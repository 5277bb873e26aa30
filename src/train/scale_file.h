/* train, inside: the run file of a scaling study: one row a repeat.  Rank 0's; not collective. */
#ifndef LOCKSTEP_TRAIN_SCALE_FILE_H
#define LOCKSTEP_TRAIN_SCALE_FILE_H

#include "lockstep/io.h"
#include "lockstep/scale.h"

typedef struct ls_scale_file {
    ls_run *run;
    ls_scale_row *rows; /* those of the file */
    int64_t count, capacity;
    int64_t steps;          /* of a repeat; 0: not known yet */
    char *target, *lr_rule; /* of the trainings; NULL: there are none */
    double noise_scale;     /* 0: not given */
    char *hosts;            /* on which it was measured so far; NULL: none */
} ls_scale_file;

/* Ranks that the configuration's batch is for in weak mode; -1, of joined files: not known. */
int ls_scale_base(const ls_scale_job *job);
/* Begins job->path, or goes on with it, with room for `more` rows.  `identity` tells this study
 * from others: LS_ERR_INPUT where the file is of another one, or has trainings to another target.
 * Other hosts than the file's are told. */
ls_status ls_scale_file_open(const ls_config *config, const ls_scale_job *job, const char *identity,
                             int64_t more, ls_scale_file **file);
/* The first row says how many steps a repeat has. */
ls_status ls_scale_file_add(ls_scale_file *file, const ls_scale_row *row, int64_t steps);
/* What training on a size that has rows took. */
ls_status ls_scale_file_train(ls_scale_file *file, const ls_scale_size *size,
                              const ls_scale_training *training);
/* LS_ERR_INPUT where the rows of this size are of another layout, whose times do not go together.
 */
ls_status ls_scale_file_check(const ls_scale_file *file, const char *path,
                              const ls_scale_size *size);
/* Of two lists of hosts, "node1 (2 ranks), node2 (2 ranks)", one; *strange: neither has all of the
 * other's.  *all is new memory. */
ls_status ls_scale_hosts_add(const char *before, const char *now, char **all, bool *strange);
ls_status ls_scale_file_finish(ls_scale_file *file);
void ls_scale_file_free(ls_scale_file *file);

#endif
