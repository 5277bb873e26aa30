/* train, inside: what every run file says of its run. */
#ifndef LOCKSTEP_TRAIN_NOTES_H
#define LOCKSTEP_TRAIN_NOTES_H

#include "lockstep/io.h"
#include "lockstep/train.h"

/* The resolved configuration and the caller's notes. */
ls_status ls_notes_write_plain(ls_run *run, const ls_config *config, const ls_note *notes,
                               size_t count);
/* The same, and the normalisation of the inputs. */
ls_status ls_notes_write(ls_run *run, const ls_engine *engine, const ls_note *notes, size_t count);

#endif
