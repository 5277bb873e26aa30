/* files: an array that lies in several HDF5 files, joined along its samples, for the files of this
 * module. */
#ifndef LOCKSTEP_DATA_FILES_H
#define LOCKSTEP_DATA_FILES_H

#include "lockstep/data.h"
#include "lockstep/io.h"

typedef struct ls_joint {
    ls_files *files;
    char *name;         /* of the dataset in each file */
    ls_array_info info; /* of all: the samples of all files */
    int64_t *first;     /* of each file its first sample, and after them the count of all */
    int64_t chunk;      /* samples of a chunk of the first file; 0: it has none */
    char digest[LS_DIGEST_TEXT]; /* of the files' samples and bytes */
    ls_array *array;             /* open to be read; NULL: none */
    int64_t opened;              /* the file that it is in */
} ls_joint;

/* Collective.  Each file is opened by one rank.  `files` is kept.  LS_ERR_INPUT:
 * what ls_array_open refuses, and files that differ in type or shape. */
ls_status ls_joint_open(ls_comm *comm, ls_files *files, const char *name, ls_joint *joint);
/* Not collective.  For another reader. */
ls_status ls_joint_copy(const ls_joint *joint, ls_joint *copy);
void ls_joint_close(ls_joint *joint);

/* Not collective.  Reads samples [first, first + count), file by file, each opened when its turn
 * comes. */
ls_status ls_joint_read(ls_joint *joint, int64_t first, int64_t count, void *out);
/* The file that a sample is in. */
int64_t ls_joint_file(const ls_joint *joint, int64_t sample);

struct ls_files {
    int64_t count;
    int users; /* of this struct: the last one frees it */
    char **path;
    char *title; /* for messages: a path, or "a.h5 and 63 more" */
};

/* Another user, who frees it too. */
ls_files *ls_files_keep(ls_files *files);

#endif
