/* io's private helpers around HDF5: error text, opening, text and number values, the list of what a
 * file holds, and output files that appear whole or not at all.  Not collective unless marked. */
#ifndef LOCKSTEP_IO_H5_H
#define LOCKSTEP_IO_H5_H

#include <hdf5.h>
#include <sys/resource.h>
#include <time.h>

#include "lockstep/io.h"

#define LS_FORMAT_RUN "lockstep run"
#define LS_FORMAT_DATASET "lockstep dataset"
#define LS_FORMAT_CHECKPOINT "lockstep checkpoint"
#define LS_FORMAT_VERSION 2 /* those before it are read too */

/* ---- errors (error.c) ----------------------------------------------------------------------- */

/* Keeps HDF5 from printing its error stack.  Every function that opens or creates a file calls it
 * first. */
void ls_h5_quiet(void);
/* ls_fail with ": " and HDF5's most specific reason after the message.  Call it right after the
 * failed call: every other call into HDF5 forgets the reason. */
ls_status ls_h5_fail(ls_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- opening (open.c) ----------------------------------------------------------------------- */

/* LS_ERR_INPUT unless `path` is a readable file that begins like HDF5; or with a seal, see below,
 * which must fit. */
ls_status ls_h5_check(const char *path, bool *sealed);
/* File access properties: no file locks (they fail on many parallel file systems, and nothing here
 * writes to a file that others have open), closing closes all that is in the file. */
hid_t ls_h5_access(void);
/* Opens to read; Collective when `access` says so.  Run ls_h5_check before. */
ls_status ls_h5_open_with(const char *path, hid_t access, hid_t *file);
/* Checks and opens to read, by this process alone. */
ls_status ls_h5_open(const char *path, hid_t *file);
/* The same, and LS_ERR_INPUT, before HDF5 sees the file, unless it is sealed. */
ls_status ls_h5_open_sealed(const char *path, hid_t *file);
/* Whether attribute "format" of the file is this one. */
bool ls_h5_is(hid_t file, const char *format);
/* LS_ERR_INPUT unless it is, and of a version that we know.  `what`: "a run file of lockstep". */
ls_status ls_h5_check_format(hid_t file, const char *path, const char *format, const char *what);
/* Calls read(path, text), for a file that is not sealed in a child process, whose crash or search
 * without end is LS_ERR_INPUT with a message.  What `read` leaves is lost but for its status, its
 * message and its text. */
typedef ls_status ls_h5_read(const char *path, ls_text *text);
ls_status ls_h5_read_apart(const char *path, ls_h5_read *read, ls_text *text);
/* Closes anything; a negative id is nothing. */
void ls_h5_release(hid_t id);

/* ---- types (types.c) ------------------------------------------------------------------------ */

/* The memory type of an element type. */
hid_t ls_h5_native(ls_type type);
/* Whether `type` is a number that an ls_type can hold. */
bool ls_h5_number(hid_t type, ls_type *number);
/* "string", "compound", ... */
const char *ls_h5_class(hid_t type);

/* ---- what is in other files (elsewhere.c) --------------------------------------------------- */

/* H5Oopen by name, but a link into what is no regular file fails as one that leads nowhere does. */
hid_t ls_h5_object_open(hid_t file, const char *name);
/* LS_ERR_INPUT for a dataset whose values are in a raw file, and for a virtual one of which not
 * every value is in a dataset that is there. */
ls_status ls_h5_check_elsewhere(hid_t dataset, const char *path, const char *name);

/* ---- arrays of numbers (numbers.c) ---------------------------------------------------------- */

/* An open dataset of numbers.  `path` and `name` are for messages, borrowed. */
typedef struct ls_h5_numbers {
    const char *path, *name;
    hid_t dataset, memory; /* `memory` is a predefined type: not to be closed */
    ls_type type;
    size_t size; /* bytes of an element in memory */
    int ndims;   /* 0: a single value */
    hsize_t shape[H5S_MAX_RANK];
} ls_h5_numbers;

/* LS_ERR_INPUT names the nearest dataset where there is none of that name. */
ls_status ls_h5_numbers_open(hid_t file, const char *path, const char *name,
                             ls_h5_numbers *numbers);
/* Reads entries [first, first + count) of the first dimension; with ndims 0, the value.  No
 * transfer is larger than `limit` bytes. */
ls_status ls_h5_numbers_read(const ls_h5_numbers *numbers, hsize_t first, hsize_t count,
                             size_t limit, void *out);
void ls_h5_numbers_close(ls_h5_numbers *numbers);

/* ls_array_layout_read, ls_array_chunk_samples (layout.c). */
ls_status ls_h5_layout(const ls_h5_numbers *numbers, const ls_array_info *info,
                       ls_array_layout *layout);
int64_t ls_h5_chunk_samples(hid_t dataset);
/* Of each chunk: its first element, the filters left out, where it lies, its bytes.  0: go on. */
typedef int ls_h5_chunk(const hsize_t *offset, unsigned mask, haddr_t at, hsize_t bytes,
                        void *context);
typedef enum ls_h5_walk { LS_H5_WALK_WHOLE, LS_H5_WALK_DAMAGED, LS_H5_WALK_OTHER } ls_h5_walk;
/* Gives all `stored` chunks of an array in the order of the file's index, without HDF5
 * (chunk_tree.c).  DAMAGED: HDF5 would not find what the index has, some were given; OTHER: the
 * index is of another kind. */
ls_h5_walk ls_h5_walk_chunks(hid_t dataset, int ndims, hsize_t stored, ls_h5_chunk *take,
                             void *context);

/* HDF5 before 1.12.3 fails where one MPI-IO transfer has 2 GiB or more. */
#define LS_H5_TRANSFER ((size_t)512 << 20)
/* For tests. */
void ls_array_set_transfer(ls_array *array, size_t bytes);

/* ---- text values (text.c) ------------------------------------------------------------------- */

/* Elements of attribute or dataset `id`, which has strings.  Free each and the array with ls_free.
 */
ls_status ls_h5_strings(hid_t id, char ***strings, size_t *count);
void ls_h5_strings_free(char **strings, size_t count);
/* The value of attribute or dataset `id` for people: strings, or numbers with 9 digits, with ", "
 * between them; "(1000 values)" where there are many.  NULL with a message when it cannot be read.
 */
char *ls_h5_value(hid_t id);
/* Attribute `name` of `object` like that; NULL without a message if there is none. */
char *ls_h5_attribute(hid_t object, const char *name);
/* The same where both are to be told apart: *value is NULL if there is none, and LS_ERR_INPUT says
 * that it cannot be read.  `path` is for the message. */
ls_status ls_h5_attribute_read(hid_t object, const char *path, const char *name, char **value);

/* ---- what a file holds (tree.c) ------------------------------------------------------------- */

typedef enum ls_h5_kind { LS_H5_GROUP, LS_H5_DATASET, LS_H5_OTHER } ls_h5_kind;

typedef struct ls_h5_item {
    char *path; /* "train/inputs"; "" is the root */
    ls_h5_kind kind;
} ls_h5_item;

typedef struct ls_h5_tree {
    size_t count, capacity;
    ls_h5_item *items;
} ls_h5_tree;

/* Everything in the file that is stored in it (links elsewhere are LS_H5_OTHER), the root too, in
 * the byte order of the paths. */
ls_status ls_h5_tree_read(hid_t file, const char *path, ls_h5_tree *tree);
void ls_h5_tree_free(ls_h5_tree *tree);
/* Calls visit with each attribute's name and value, in the order of the names. */
typedef ls_status ls_h5_visit_attribute(void *context, const char *name, const char *value);
ls_status ls_h5_attributes(hid_t object, const char *path, ls_h5_visit_attribute *visit,
                           void *context);
/* Fails with "no dataset ..." and the nearest name, or all of them. */
ls_status ls_h5_no_dataset(hid_t file, const char *path, const char *name);

/* ---- output files (output.c) ---------------------------------------------------------------- */

/* A file under a temporary name in its final folder.  Start with {.file = H5I_INVALID_HID}. */
typedef struct ls_h5_output {
    char *path, *temporary;
    hid_t file;
    bool sealed;
    bool failed;         /* a write did: the file can only be removed */
    struct rlimit limit; /* on the size of files, put back then */
} ls_h5_output;

#define LS_H5_NO_OUTPUT ((ls_h5_output){.file = H5I_INVALID_HID})

/* Creates the temporary file with format, version and provenance of the build.  LS_ERR_INPUT for a
 * folder that cannot be written. */
ls_status ls_h5_output_open(const char *path, const char *format, time_t created, bool sealed,
                            ls_h5_output *output);
/* Ends HDF5's work on the file, which stays under its temporary name. */
ls_status ls_h5_output_close(ls_h5_output *output);
/* Closes, seals what is to be sealed, brings the file to the disk and gives it its name. */
ls_status ls_h5_output_publish(ls_h5_output *output);
/* Frees; removes the temporary file unless published. */
void ls_h5_output_free(ls_h5_output *output);
/* "cannot write 'PATH': REASON".  Call it right after the failed call, before anything is closed.
 */
ls_status ls_h5_output_fail(ls_h5_output *output);
/* Before `bytes` of values are written, or a dataset made that has its space from the start:
 * LS_ERR_SYSTEM where a hard limit on the size of files has no room for them. */
ls_status ls_h5_output_room(ls_h5_output *output, size_t bytes);
/* Brings a dataset's values to the file and closes it. */
ls_status ls_h5_output_end(ls_h5_output *output, hid_t dataset);

/* Opens group `path` of the file ("" is the root), making what is missing. */
ls_status ls_h5_output_group(ls_h5_output *output, const char *path, hid_t *group);
/* Opens GROUP of "GROUP/NAME" like that; `name` points into `path`. */
ls_status ls_h5_output_parent(ls_h5_output *output, const char *path, hid_t *group,
                              const char **name);
/* Attribute "NAME" of the root or "GROUP/NAME" of a group, replacing an older one.  A text named
 * "configuration", and one too long for an attribute, becomes a dataset of that path. */
ls_status ls_h5_output_text(ls_h5_output *output, const char *path, const char *value);
ls_status ls_h5_output_number(ls_h5_output *output, const char *path, double value);
/* Text and integer attributes of an open object. */
ls_status ls_h5_output_label(ls_h5_output *output, hid_t object, const char *name,
                             const char *value);
ls_status ls_h5_output_integer(ls_h5_output *output, hid_t object, const char *name, int64_t value);
/* Dataset `name` with `count` strings, UTF-8 of the longest one's length. */
ls_status ls_h5_output_strings(ls_h5_output *output, const char *name, const char *const *strings,
                               size_t count);

/* ---- seals (checkpoint_seal.c) -------------------------------------------------------------- */

/* Bytes in front of a sealed file's HDF5, which calls them its user block. */
#define LS_H5_SEAL 512

/* Writes the seal of file `path`; `name` is for messages. */
ls_status ls_h5_seal(const char *path, const char *name);
/* LS_ERR_INPUT when the file begins with a seal and any of its bytes is not as it was sealed;
 * *sealed is false when it begins with something else. */
ls_status ls_h5_seal_check(const char *path, bool *sealed);

/* ---- digest (digest.c) ---------------------------------------------------------------------- */

/* Of the values in an open file; FORMAT.md says which. */
ls_status ls_h5_digest(hid_t file, const char *path, char text[LS_DIGEST_TEXT]);

#endif
