/* cli: how far a run is: one line that renews itself on a terminal, a log line now and then
 * elsewhere. */
#ifndef LOCKSTEP_CLI_PROGRESS_H
#define LOCKSTEP_CLI_PROGRESS_H

#include "lockstep/train.h"

typedef struct ls_progress {
    bool terminal;
    double shown; /* when the last line was written, s */
    bool open;    /* the terminal's line is not ended yet */
} ls_progress;

void ls_progress_begin(ls_progress *progress);
/* For ls_find_lr_job.progress; the context is the ls_progress. */
void ls_progress_find_lr(void *context, const ls_find_lr_progress *now);
/* For ls_train_job.progress. */
void ls_progress_train(void *context, const ls_train_progress *now);
void ls_progress_end(ls_progress *progress);

#endif
