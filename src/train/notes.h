/* train, inside: what every run file says of its run. */
#ifndef LOCKSTEP_TRAIN_NOTES_H
#define LOCKSTEP_TRAIN_NOTES_H

#include "lockstep/io.h"
#include "lockstep/train.h"

/* The resolved configuration, the normalisation of the inputs, and the caller's notes. */
ls_status ls_notes_write(ls_run *run, const ls_engine *engine, const ls_note *notes, size_t count);

#endif
