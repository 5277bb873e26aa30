/* io: checkpoint files: the state of a training, whole or not at all.  A checkpoint is plain HDF5
 * behind 512 bytes that hold its length and checksum; src/io/FORMAT.md specifies it.
 *
 * Nothing in this header is collective: rank 0 writes, rank 0 or each rank reads. */
#ifndef LOCKSTEP_CHECKPOINT_H
#define LOCKSTEP_CHECKPOINT_H

#include "lockstep/io.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- writing -------------------------------------------------------------------------------- */

/* A new checkpoint, written under a temporary name and renamed by finish: a failure leaves nothing
 * behind and an older file of that name as it was.  Names are paths in the file,
 * "model/conv1/weight"; groups are made as needed. */
typedef struct ls_checkpoint_writer ls_checkpoint_writer;

/* LS_ERR_INPUT for a folder that cannot be written. */
ls_status ls_checkpoint_create(const char *path, ls_checkpoint_writer **writer);
/* Writes an array straight from `values`, row-major; ndims 0: a single value.  Each name once.
 * Arrays in "model/" and "momentum/" make up the file's digest. */
ls_status ls_checkpoint_array(ls_checkpoint_writer *writer, const char *name, ls_type type,
                              int ndims, const int64_t *shape, const void *values);
/* An attribute of the file, "step", or of a group of it, "state/step".  Set again, the last value
 * counts.  The text "configuration", and any of more than 32 KiB, becomes a dataset. */
ls_status ls_checkpoint_number(ls_checkpoint_writer *writer, const char *name, double value);
ls_status ls_checkpoint_integer(ls_checkpoint_writer *writer, const char *name, int64_t value);
ls_status ls_checkpoint_text(ls_checkpoint_writer *writer, const char *name, const char *value);
/* Stores the digest and the checksum, brings the file to the disk, gives it its name and brings
 * that to the disk.  LS_ERR_SYSTEM, also from the functions above: no room, a failing disk. */
ls_status ls_checkpoint_finish(ls_checkpoint_writer *writer);
/* Frees; removes the temporary file unless finished. */
void ls_checkpoint_writer_free(ls_checkpoint_writer *writer);

/* ---- reading -------------------------------------------------------------------------------- */

typedef struct ls_checkpoint_reader ls_checkpoint_reader;

/* Reads the whole file once to compare its checksum.  LS_ERR_INPUT names the file and says what is
 * wrong: truncated, damaged, no checkpoint, another version. */
ls_status ls_checkpoint_open(const char *path, ls_checkpoint_reader **reader);
/* Opens a checkpoint, or any other HDF5 file: weights that another program wrote. */
ls_status ls_weights_open(const char *path, ls_checkpoint_reader **reader);
void ls_checkpoint_close(ls_checkpoint_reader *reader);

/* LS_ERR_INPUT names the nearest array where there is none of that name. */
ls_status ls_checkpoint_info(const ls_checkpoint_reader *reader, const char *name,
                             ls_array_info *info);
/* Reads all values of an array, which must be `count` of this type: no value is converted. */
ls_status ls_checkpoint_read(const ls_checkpoint_reader *reader, const char *name, ls_type type,
                             size_t count, void *out);
/* LS_ERR_INPUT when there is no such value, or it is of another kind. */
ls_status ls_checkpoint_get_number(const ls_checkpoint_reader *reader, const char *name,
                                   double *value);
ls_status ls_checkpoint_get_integer(const ls_checkpoint_reader *reader, const char *name,
                                    int64_t *value);
/* *value is to be freed with ls_free.  "digest" is the stored digest. */
ls_status ls_checkpoint_get_text(const ls_checkpoint_reader *reader, const char *name,
                                 char **value);
/* Calls visit for each array of numbers below group `prefix` ("" is the file), at any depth, in the
 * byte order of the names, which are whole: "model/conv1/weight".  Ends with the first failure. */
typedef ls_status ls_checkpoint_visit(void *context, const char *name, const ls_array_info *info);
ls_status ls_checkpoint_names(const ls_checkpoint_reader *reader, const char *prefix,
                              ls_checkpoint_visit *visit, void *context);

/* ---- the checkpoints of a folder ------------------------------------------------------------ */

/* "FOLDER/checkpoint-STEP.h5", the names that the functions below look for; NULL when memory runs
 * out.  Free with ls_free. */
char *ls_checkpoint_path(const char *folder, int64_t step);
/* Opens the checkpoint with the largest step that is whole.  Adds a line to `rejected` for each
 * with a larger step: which, and why.  LS_ERR_INPUT when none is whole, or there is none;
 * LS_ERR_SYSTEM when the folder cannot be listed.  A message that was recorded before the call
 * stays. */
ls_status ls_checkpoint_newest(const char *folder, ls_text *rejected, ls_checkpoint_reader **reader,
                               char **path);
/* Removes checkpoints older than the newest `keep` (at least 1) that are whole: as those are read
 * to be sure, the last good one is never removed.  Damaged ones among the newest stay.  Removes
 * temporary files of checkpoints, best.h5 and train.h5 that killed processes left.  Not while this
 * process is writing one. */
ls_status ls_checkpoint_prune(const char *folder, int64_t keep);

#ifdef __cplusplus
}
#endif
#endif
