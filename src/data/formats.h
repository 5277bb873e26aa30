/* formats: which format a file has, and the arrays of a split opened for reading, whatever the
 * format. Nothing here is collective. */
#ifndef LOCKSTEP_DATA_FORMATS_H
#define LOCKSTEP_DATA_FORMATS_H

#include "data/csv.h"
#include "data/source.h"
#include "lockstep/data.h"

typedef enum ls_file_format {
    LS_FORMAT_AUTO,
    LS_FORMAT_IDX,
    LS_FORMAT_CIFAR10,
    LS_FORMAT_CIFAR100,
    LS_FORMAT_CSV,
    LS_FORMAT_NPY
} ls_file_format;

/* The format of this name; "auto" or NULL: what `path` looks like.  LS_ERR_INPUT: neither is known.
 */
ls_status ls_file_format_find(const char *name, const char *path, ls_file_format *format);

/* One array out of several files, joined along the samples. */
typedef struct ls_joined {
    ls_array_info info;
    ls_source **parts;
    size_t count;
} ls_joined;

typedef struct ls_split_arrays {
    ls_joined inputs, targets;
} ls_split_arrays;

/* What CSV files need to know, and what the training split of a dataset tells its test split. */
typedef struct ls_csv_context {
    const char *target_column;
    ls_csv_kind kind;
    ls_csv_names names;
} ls_csv_context;

/* Opens all files of a split and checks that they fit each other. */
ls_status ls_split_arrays_open(ls_file_format format, const ls_convert_split *split,
                               ls_csv_context *csv, ls_split_arrays *arrays);
void ls_split_arrays_close(ls_split_arrays *arrays);

#endif
