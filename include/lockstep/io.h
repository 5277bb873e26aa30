/* io: HDF5.  Arrays of a dataset file, and run files with their curves.  The only module that
 * includes hdf5.h.  The layouts are specified in src/io/FORMAT.md. */
#ifndef LOCKSTEP_IO_H
#define LOCKSTEP_IO_H

#include "lockstep/base.h"
#include "lockstep/comm.h"
#include "lockstep/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- element types -------------------------------------------------------------------------- */

size_t ls_type_size(ls_type type);      /* bytes */
const char *ls_type_name(ls_type type); /* "uint8", "float32", ... */

/* ---- reading arrays of a dataset file ------------------------------------------------------- */

typedef struct ls_array ls_array;

typedef struct ls_array_info {
    ls_type type;
    int ndims;
    int64_t shape[LS_MAX_DIMS];
} ls_array_info;

/* Collective.  Opens dataset `name` of HDF5 file `path` on all ranks.  LS_ERR_INPUT: no such file,
 * not HDF5, truncated, no such dataset (with the nearest one), or a type that is no number. */
ls_status ls_array_open(ls_comm *comm, const char *path, const char *name, ls_array **array);
const ls_array_info *ls_array_describe(const ls_array *array);
/* Samples of a chunk; 0: it is not stored in chunks. */
int64_t ls_array_chunk_samples(const ls_array *array);
/* Not collective.  Reads samples [first, first + count) in the array's own type into `out`.  A
 * failed checksum or a short file is LS_ERR_INPUT.  Transfers stay below 2 GiB. */
ls_status ls_array_read(ls_array *array, int64_t first, int64_t count, void *out);
void ls_array_close(ls_array *array);

/* What was done to the bytes of a chunk when it was written, in this order. */
typedef enum ls_filter { LS_FILTER_DEFLATE, LS_FILTER_SHUFFLE, LS_FILTER_FLETCHER32 } ls_filter;
enum { LS_FILTERS_LIMIT = 8 };

typedef struct ls_chunk {
    uint64_t at;         /* of its first byte in the file */
    uint32_t bytes;      /* in the file; of an array that is not chunked: 0 */
    uint32_t unfiltered; /* bit i: filter i was left out */
} ls_chunk;

/* Where the values of an array lie in its file. */
typedef struct ls_array_layout {
    bool plain; /* as below; otherwise ls_array_read alone can read them, and only `chunk` is set */
    int64_t chunk[LS_MAX_DIMS]; /* shape of a chunk; of a contiguous array its own; 0: neither */
    int filter_count;
    ls_filter filters[LS_FILTERS_LIMIT];
    int64_t count;    /* of chunks: the grid that covers the array, row-major */
    ls_chunk *chunks; /* owned; ls_free */
} ls_array_layout;

/* Not collective.  Not plain: another byte order or type than this machine's, other filters, chunks
 * that were never written, values in other files, a user block. */
ls_status ls_array_layout_read(const ls_array *array, ls_array_layout *layout);

/* Not collective (rank 0).  Class names of a dataset file: *count names, NULL and 0 if it has none.
 * Free each and the array with ls_free. */
ls_status ls_class_names_read(const char *path, char ***names, size_t *count);

/* ---- writing a dataset file ----------------------------------------------------------------- */

/* Not collective.  A new dataset file, written under a temporary name and renamed by finish: a
 * failure leaves nothing behind. */
typedef struct ls_dataset_writer ls_dataset_writer;
ls_status ls_dataset_create(const char *path, ls_dataset_writer **writer);
/* Starts array `name` ("train/inputs"): chunked by samples, Fletcher32.  Groups are made as needed.
 * shape[0]: how many samples will come, for the size of chunks; 0 when that is not known. */
ls_status ls_dataset_array(ls_dataset_writer *writer, const char *name, const ls_array_info *info);
/* Appends `count` samples to the array started last. */
ls_status ls_dataset_append(ls_dataset_writer *writer, int64_t count, const void *samples);
ls_status ls_dataset_class_names(ls_dataset_writer *writer, const char *const *names, size_t count);
/* A text attribute of the file, "license", or of a group of it, "provenance/sources". */
ls_status ls_dataset_note(ls_dataset_writer *writer, const char *name, const char *value);
ls_status ls_dataset_finish(ls_dataset_writer *writer);
/* Frees; removes the temporary file unless finished. */
void ls_dataset_writer_free(ls_dataset_writer *writer);

/* ---- run files ------------------------------------------------------------------------------ */

/* A table of series that grows by rows while a run goes on, in one group of a file, e.g. /find_lr.
 * Rank 0 writes it; not collective.  All its space is laid out at the start, so that later writes
 * touch nothing but values: killed at any moment, the file is readable and holds the rows committed
 * so far (dataset "points" counts them; values behind are NaN). */
typedef struct ls_run ls_run;

typedef struct ls_series {
    const char *name;
    size_t width;        /* values a row: 1 gives a vector, more a matrix */
    const char *unit;    /* "1", "s", ... */
    const char *comment; /* what it is, stored as attribute */
    bool digested;       /* part of the file's digest: a result, not a time */
} ls_series;

/* Creates DIR/file (over an older one; the folder must be there) with group `group` and room for
 * `capacity` rows of float64. */
ls_status ls_run_create(const char *path, const char *group, int64_t capacity,
                        const ls_series *series, size_t series_count, ls_run **run);
/* Goes on with the run of an existing file, finished or not: its first `rows` rows are kept, the
 * others dropped, series matched by name (NaN where it has none of that name), attributes to be set
 * anew.  Replaces the file whole.  LS_ERR_INPUT when there is no such file, it has fewer rows,
 * another group, a series of another width, or the note LS_RUN_NAME has another text than `name`
 * ("": any). */
#define LS_RUN_NAME "provenance/run"
ls_status ls_run_resume(const char *path, const char *group, const char *name, int64_t capacity,
                        int64_t rows, const ls_series *series, size_t series_count, ls_run **run);
/* Where to put the values of a row, `width` of them, NaN at first; rows are written by commit. */
double *ls_run_row(ls_run *run, size_t series, int64_t row);
/* Rows [0, rows) are in the file when this returns, and survive a kill of the process.  Costs
 * microseconds, whatever the capacity. */
ls_status ls_run_commit(ls_run *run, int64_t rows);
/* Brings the rows committed so far to the disk: they survive a power failure too.  Before a
 * checkpoint is finished: then ls_run_resume finds the rows that led to it. */
ls_status ls_run_sync(ls_run *run);
/* Attributes of the run's group, or of a group below it: name "stop_reason" or
 * "suggestions/valley".  Set again, the last value counts.  The next commit lays the unfinished
 * file out anew for them, in time that grows with the capacity: set what belongs together between
 * two commits. */
ls_status ls_run_set_text(ls_run *run, const char *name, const char *value);
ls_status ls_run_set_number(ls_run *run, const char *name, double value);
/* The same for attributes of the file: "configuration", "provenance/mpi", ... */
ls_status ls_run_note(ls_run *run, const char *name, const char *value);
/* Writes the finished file, cut to the committed rows, under a temporary name, flushes and renames
 * it. Stores the digest. */
ls_status ls_run_finish(ls_run *run);
void ls_run_free(ls_run *run);

/* Reads a run file, finished or not.  LS_ERR_INPUT when it is none. */
typedef struct ls_run_reader ls_run_reader;
ls_status ls_run_open(const char *path, ls_run_reader **reader);
const char *ls_run_group(const ls_run_reader *reader); /* "find_lr" */
bool ls_run_finished(const ls_run_reader *reader);
int64_t ls_run_points(const ls_run_reader *reader);
/* The rows so far of a series: points * width values; NULL if there is no such series.  Owned by
 * the reader. */
const double *ls_run_series(ls_run_reader *reader, const char *name, size_t *width);
/* An attribute as text (numbers with 9 digits); NULL if there is none.  Owned by the reader. */
const char *ls_run_text(ls_run_reader *reader, const char *name);
const char *ls_run_note_text(ls_run_reader *reader, const char *name);
void ls_run_close(ls_run_reader *reader);

/* ---- any file of ours ----------------------------------------------------------------------- */

/* What a file holds, for people: groups, arrays with shapes and types, attributes; and its digest:
 * XXH3-128 over the digested arrays' names and values (FORMAT.md), the same for the same bits of
 * results. */
ls_status ls_file_describe(const char *path, ls_text *text);
ls_status ls_file_digest(const char *path, char text[LS_DIGEST_TEXT]);
/* Adds an array to a digest as ls_file_digest would add dataset `path` with these values. */
void ls_digest_floats(ls_hash *hash, const char *path, int ndims, const int64_t *shape,
                      const float *values);

/* Name and version of the library: "HDF5 1.10.8". */
const char *ls_io_library(void);

#ifdef __cplusplus
}
#endif
#endif
