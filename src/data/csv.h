/* csv: tables of numbers, one row a sample, with the target in one column.  Nothing here is
 * collective. */
#ifndef LOCKSTEP_DATA_CSV_H
#define LOCKSTEP_DATA_CSV_H

#include "data/reader.h"
#include "lockstep/csv.h"

/* ---- tables --------------------------------------------------------------------------------- */

typedef enum ls_csv_kind {
    LS_CSV_ANY,     /* to be found out: labels, classes or numbers */
    LS_CSV_LABELS,  /* text: classes by name */
    LS_CSV_CLASSES, /* whole numbers: classes */
    LS_CSV_NUMBERS  /* regression */
} ls_csv_kind;

/* Names, sorted unless they were given. */
typedef struct ls_labels {
    char **names;
    size_t count, capacity;
    size_t *sorted; /* places in names, in the order of the alphabet */
    size_t sorted_capacity;
    bool given; /* others are an error */
} ls_labels;

/* The place of a name, in order of appearance; a new one is added. */
ls_status ls_labels_add(ls_labels *labels, const char *name, size_t *place);
bool ls_labels_find(const ls_labels *labels, const char *name, size_t *place);
/* Puts the names that were added in order: from now on they are given.  (*place)[i] is where name i
 * went; the caller frees it. */
ls_status ls_labels_sort(ls_labels *labels, size_t **place);
void ls_labels_free(ls_labels *labels);

#define LS_CSV_WORDS 1000 /* at most, in a column of words */

/* An input column of a file. */
typedef struct ls_csv_column {
    char *name; /* of the header, or "column 3" */
    bool named; /* by a header */
    bool words; /* each of `labels` becomes an input: 1 where the row has it, else 0 */
    ls_labels labels;
} ls_csv_column;

typedef struct ls_csv_columns {
    ls_csv_column *column;
    size_t count; /* 0 before the first row is read */
} ls_csv_columns;

/* What a training split tells its test split. */
typedef struct ls_csv_names {
    ls_labels labels; /* of the target */
    ls_csv_columns columns;
} ls_csv_names;

void ls_csv_names_free(ls_csv_names *names);

typedef struct ls_csv_table {
    ls_csv_kind kind;
    size_t rows, columns; /* columns: without the target; words make several */
    double *inputs;       /* (rows, columns) */
    double *targets;      /* (rows): numbers, or places in the labels */
    size_t input_capacity, target_capacity;
    bool whole;     /* all targets so far are whole numbers */
    char *negative; /* where the first whole number below 0 is, or NULL */
} ls_csv_table;

/* Reads the files one after the other; each may have a header.  `target_column`: name, number from
 * 0, or NULL for the last.  `kind` may be known already (a test split is as its training split);
 * `names` are filled unless they are known.  LS_ERR_INPUT names file, line and column. */
ls_status ls_csv_read(const char *const *paths, size_t count, const char *target_column,
                      ls_csv_kind kind, ls_csv_names *names, ls_csv_table *table);
/* The last step of reading: columns of words become their inputs. */
ls_status ls_csv_columns_expand(ls_csv_columns *columns, ls_csv_table *table);
void ls_csv_table_free(ls_csv_table *table);

#endif
