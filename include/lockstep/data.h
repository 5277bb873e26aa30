/* data: samples.  One split (train or test) of a dataset in memory that the ranks of a node share,
 * the order in which an epoch visits it, normalisation, and the conversion of other formats. */
#ifndef LOCKSTEP_DATA_H
#define LOCKSTEP_DATA_H

#include "lockstep/base.h"
#include "lockstep/comm.h"
#include "lockstep/io.h"
#include "lockstep/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- order ---------------------------------------------------------------------------------- */

/* The sample at place `place` (0..count-1) of epoch `epoch`: a permutation that is a pure function
 * of (seed, epoch), computed without a table: a Feistel network of Philox rounds over the next
 * power of two, walked until it falls inside (Black and Rogaway 2002).  count 0 gives 0. */
uint64_t ls_order(uint64_t seed, uint32_t epoch, uint64_t count, uint64_t place);

/* Samples of slice `slice` in a batch of `samples` samples: places [*first, *first + *count) of the
 * batch, balanced over the slices.  Pure. */
void ls_slice_samples(int64_t samples, int slices, int slice, int64_t *first, int64_t *count);

/* The order of data.shuffle: window.  Chunks of neighbouring samples are shuffled and put in a row,
 * which is cut into as many parts as there are slices: each slice takes its samples from its own
 * part, so that a chunk is read by one rank, but for those at a cut.  A part is shuffled in windows
 * that follow one another.  A pure function, of the batch and its slices too. */
typedef struct ls_windows {
    uint64_t seed;
    int64_t count; /* samples of an epoch */
    int64_t batch; /* samples */
    int slices;
    int64_t chunk;  /* samples */
    int64_t window; /* chunks */
} ls_windows;

/* Writes the samples of slice `slice` in batch `batch` of the epoch, `count` of them: its share as
 * of ls_slice_samples.  The batch may be the last one, which is not full. */
void ls_windows_samples(const ls_windows *windows, uint32_t epoch, int64_t batch, int slice,
                        int64_t count, uint64_t *samples);

/* ---- files ---------------------------------------------------------------------------------- */

/* HDF5 files whose samples follow one another. */
typedef struct ls_files ls_files;

/* Not collective.  `lines`: a path a line, or a pattern as of a shell (* ? [...]), whose files are
 * taken in the order of the bytes of their names; the name of a file that is there is no pattern.
 * LS_ERR_INPUT: nothing fits a pattern, a file is named twice.  That a path is there is not
 * checked.  Free with ls_files_free. */
ls_status ls_files_list(const char *lines, ls_files **files);
/* Collective.  What rank 0 finds. */
ls_status ls_files_find(ls_comm *comm, const char *lines, ls_files **files);
/* Collective.  Copies the files to a folder of each node's own, where a copy of the same size and
 * time is not there yet, and takes the copies from here on; the title stays.  They are left there.
 * LS_ERR_INPUT: there is no room. */
ls_status ls_files_stage(ls_comm *comm, const char *folder, ls_files *files);
void ls_files_free(ls_files *files);
int64_t ls_files_count(const ls_files *files);
const char *ls_files_path(const ls_files *files, int64_t index);
const char *ls_files_title(const ls_files *files); /* "a.h5", or "a.h5 and 63 more" */
/* Not collective.  ls_check_output for each of the files. */
ls_status ls_files_check_output(const char *lines, const char *output);

/* ---- a split -------------------------------------------------------------------------------- */

typedef struct ls_data ls_data;

/* How inputs become samples. */
typedef struct ls_form {
    ls_data_layout layout;   /* of those in files */
    ls_transforms transform; /* of each value */
} ls_form;

typedef struct ls_store {
    ls_residence residence;
    double buffer; /* bytes on each node, which its ranks divide; NaN: as there is memory */
    double share;  /* of it, that this split may take */
} ls_store;

/* Collective.  Reads inputs (N, C, [D,] [H,] [W]), or as `form` says (NULL: so), and targets ((N)
 * integers: classes; (N) or (N, outputs) floats: regression) from datasets of those names in each
 * of the files: each rank its shard, all shards of a node in one shared copy: inputs in the file's
 * own type, targets as int32, or as the float32 or float64 they are; or the inputs where `store`
 * says, NULL: there.  targets NULL: none are read, and there are 0 outputs. LS_ERR_INPUT: missing,
 * truncated, shapes that do not fit, no samples, a class below 0 or, when classes > 0, not below
 * `classes`, values that are not finite as float32, or as they are transformed, floats as targets
 * when classes > 0. */
ls_status ls_data_open(ls_comm *comm, ls_files *files, const char *inputs, const char *targets,
                       int64_t classes, const ls_form *form, const ls_store *store, ls_data **data);
/* Collective.  The same of a source, whose values are checked like those of a file. */
ls_status ls_data_load(ls_comm *comm, const ls_data_source *source, bool with_targets,
                       int64_t classes, const ls_form *form, ls_data **data);
/* Not collective.  `count` samples without targets, of that shape and type, in the caller's memory,
 * which is borrowed until ls_data_close. */
ls_status ls_data_wrap(const ls_shape *shape, ls_type type, int64_t count, const void *inputs,
                       const ls_form *form, ls_data **data);
/* Not collective.  The shape of a sample of inputs that are such an array, `name` for messages.
 * LS_ERR_INPUT when it cannot hold inputs. */
ls_status ls_data_sample_shape(ls_data_layout layout, const ls_array_info *inputs, const char *name,
                               ls_shape *shape);
/* Not collective.  Warns of inputs, array `name`, that look like images with their axes in another
 * place. */
void ls_data_warn_of_axes(const ls_data *data, const char *name);
/* What an input of value 0 becomes; 0 without transforms. */
double ls_data_zero(const ls_data *data);
/* Samples that ls_data_hold_out takes out of `samples`, two or more.  Pure. */
int64_t ls_held_out_count(int64_t samples, double share);
/* Not collective, the same on all ranks.  Takes `share` (0, 0.5] of the samples, one at least, out
 * of `data` into *held: one of each block of neighbouring ones, at random by the seed; both keep
 * the order that they had.  *held lives by the memory of `data`, and is closed too.  LS_ERR_INPUT:
 * there is a single sample. */
ls_status ls_data_hold_out(ls_data *data, double share, uint64_t seed, ls_data **held);
/* Collective. */
void ls_data_close(ls_data *data);

/* Not collective. */
int64_t ls_data_count(const ls_data *data);
/* Neighbouring samples that are read together: of a chunk of the first file, or 1 MiB. */
int64_t ls_data_chunk(const ls_data *data);
/* Of one sample; inputs (N) count as one channel. */
const ls_shape *ls_data_shape(const ls_data *data);
bool ls_data_is_classes(const ls_data *data);
/* Classes (largest + 1, or as given), or targets a sample. */
int64_t ls_data_outputs(const ls_data *data);
/* Whether the targets are float64. */
bool ls_data_has_double_targets(const ls_data *data);
/* Samples of each class, into `counts` (outputs). */
void ls_data_class_counts(const ls_data *data, int64_t *counts);
/* Of the one copy that the ranks of a node share. */
size_t ls_data_bytes(const ls_data *data);

/* Not collective.  What tells this split from others, a line each, "samples: 60000": count, shapes,
 * types, samples of each class, a hash of 64 samples spread over it and, of several files, one of
 * their samples and sizes in bytes. */
ls_status ls_data_identity(const ls_data *data, ls_text *text);

/* Not collective.  Reads what ls_data_identity hashes, once and for all, of this node's files; has
 * to come before it unless the split is in the node's memory. */
ls_status ls_data_identify(ls_data *data);

/* ---- normalisation -------------------------------------------------------------------------- */

/* Per channel of the inputs, as they are transformed, or per output of the regression targets: x <-
 * (x - mean) / deviation. What float32 holds (uint8, int8, uint16, int16, float32) is normalised in
 * float32, all else in double: a mean that is large against the deviation is gone before anything
 * becomes float32. */
typedef struct ls_normalization {
    int64_t channels;         /* or outputs */
    double *mean, *deviation; /* deviation of a constant channel: 1 */
} ls_normalization;

/* Collective.  Over all samples of the split; sums over fixed chunks of samples, so the same bits
 * at any rank count. */
ls_status ls_normalization_measure(ls_comm *comm, const ls_data *data, ls_normalization *norm);
ls_status ls_normalization_measure_targets(ls_comm *comm, const ls_data *data,
                                           ls_normalization *norm);
/* Mean 0, deviation 1.  Both arrays are one block: free with ls_normalization_free. */
ls_status ls_normalization_identity(int64_t channels, ls_normalization *norm);
void ls_normalization_free(ls_normalization *norm);

/* Not collective.  From normalised values (count, channels) back: in double, or rounded to float32
 * as those of float32 targets are. */
void ls_normalization_undo(const ls_normalization *norm, bool in_double, int64_t count,
                           const float *normalized, double *out);

/* ---- batches -------------------------------------------------------------------------------- */

/* What each rank reads, turn by turn, of a split that is streamed or spread.  ids(context, what,
 * rank, turn, out) writes the samples of turn 0, 1, ..., `most` at most, and returns their count: a
 * pure function, the same on all ranks, called from any thread.  After turn period - 1 comes 0
 * again; period 0: never. */
typedef struct ls_turns {
    int64_t (*ids)(const void *context, int64_t what, int rank, int64_t turn, uint64_t *out);
    const void *context;
    int64_t what, most, period;
} ls_turns;

/* Not collective.  From here on ls_data_inputs is asked for the samples of this turn, all of them
 * in their order, then for those of the next: they are read ahead.  Nothing to do for a split that
 * is in the node's memory.  To each turn of a split that is spread all ranks have to come, whether
 * or not they go on to take its samples: others may wait for what they send; what fails breaks the
 * communicator. */
ls_status ls_data_begin(const ls_data *data, const ls_turns *turns, int64_t turn);
/* Nothing is read ahead any more, and turns->context may go.  Collective where the split is spread.
 */
ls_status ls_data_end(const ls_data *data);
/* Not collective.  Makes progress on samples between nodes. */
void ls_data_poll(const ls_data *data);

/* Since the split was opened, on this rank; all 0 when it is in the node's memory.  Bytes read:
 * from files or, of one that is spread, other nodes. */
typedef struct ls_data_traffic {
    double waited; /* s, for samples that were not there yet */
    uint64_t bytes_read, bytes_used;
} ls_data_traffic;
ls_data_traffic ls_data_traffic_now(const ls_data *data);
ls_residence ls_data_residence(const ls_data *data); /* not LS_RESIDENCE_AUTO */
/* Of all samples of its files, those whose inputs this node has in memory: 0 to 1. */
double ls_data_share(const ls_data *data);

/* Not collective.  Write the samples given by `ids`: inputs as normalised floats (count, C, ...),
 * classes (count), regression targets (count, outputs) normalised, or as they are in the file.
 * Inputs that are streamed may fail: LS_ERR_INPUT names file and sample. */
ls_status ls_data_inputs(const ls_data *data, const ls_normalization *norm, const uint64_t *ids,
                         int64_t count, float *out);
void ls_data_classes(const ls_data *data, const uint64_t *ids, int64_t count, int32_t *out);
void ls_data_targets(const ls_data *data, const ls_normalization *norm, const uint64_t *ids,
                     int64_t count, float *out);
void ls_data_target_values(const ls_data *data, const uint64_t *ids, int64_t count, double *out);

/* ---- conversion ----------------------------------------------------------------------------- */

/* Where a split comes from: files, joined in order.  IDX (plain or .gz) and NPY: inputs and targets
 * in files of their own; CIFAR binary batches and CSV: targets inside the input files.
 *
 * Shapes: IDX images (N, H, W) and volumes (N, D, H, W) get a channel axis; NPY arrays are taken as
 * (N, channels, [D,] [H,] [W]); a CSV row is (columns).  Integer targets (N) or (N, 1) are classes.
 */
typedef struct ls_convert_split {
    const char *const *inputs;
    size_t input_count;
    const char *const *targets;
    size_t target_count; /* 0 where they are inside the input files */
} ls_convert_split;

typedef struct ls_convert_job {
    ls_convert_split train, test; /* test.input_count 0: none */
    const char
        *format; /* "auto" or NULL (by content), "idx", "cifar10", "cifar100", "csv", "npy" */
    const char *target_column; /* CSV: name or number from 0; NULL: the last */
    bool regression;           /* CSV: the target is a float even where all are whole numbers */
    const char *const *class_names;
    size_t class_name_count;
    const char *class_name_file; /* instead: one name a line; NULL: none */
    const ls_shape *shape;       /* of a sample, instead of the file's own; NULL: as above */
    bool channels_last;          /* NPY: inputs are (N, [depth,] [height,] [width,] channels) */
    const char *output;
} ls_convert_job;

/* Not collective.  Writes the dataset file, or nothing.  Adds to `summary` a line on each array. */
ls_status ls_convert(const ls_convert_job *job, ls_text *summary);

typedef enum ls_file_role {
    LS_FILE_TRAIN_INPUTS,
    LS_FILE_TRAIN_TARGETS,
    LS_FILE_TEST_INPUTS,
    LS_FILE_TEST_TARGETS,
    LS_FILE_CLASS_NAMES,
    LS_FILE_ROLES
} ls_file_role;

#define LS_FOLDER_FILES 5 /* of one role: the batches of CIFAR-10 */

/* The files of a well-known dataset in a folder. */
typedef struct ls_folder {
    const char *format;
    char *path[LS_FILE_ROLES][LS_FOLDER_FILES];
    size_t count[LS_FILE_ROLES];
} ls_folder;

/* Not collective.  Finds the files of MNIST and its like, CIFAR-10 or CIFAR-100 by their names.
 * LS_ERR_INPUT: no such folder, none of these datasets, or a file of one is missing. */
ls_status ls_folder_find(const char *folder, ls_folder *files);
void ls_folder_free(ls_folder *files);

#ifdef __cplusplus
}
#endif
#endif
