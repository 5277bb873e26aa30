/* io's private view of a run file, for what reads it: reader, digest and description. */
#ifndef LOCKSTEP_IO_RUN_H
#define LOCKSTEP_IO_RUN_H

#include "io/h5.h"

/* The committed rows.  LS_ERR_INPUT when the file does not say. */
ls_status ls_h5_run_points(hid_t file, const char *path, int64_t *points);

#endif
