/* csv: tables of numbers, one row a sample, with the target in one column.  Nothing here is
 * collective. */
#ifndef LOCKSTEP_DATA_CSV_H
#define LOCKSTEP_DATA_CSV_H

#include "data/reader.h"

/* ---- rows ----------------------------------------------------------------------------------- */

typedef struct ls_csv_row {
    char *text; /* the fields, each ended by a zero */
    size_t length, capacity;
    size_t *start; /* of each field in text */
    size_t count, start_capacity;
    long line; /* where the row starts, from 1 */
} ls_csv_row;

typedef struct ls_csv_rows {
    ls_reader *reader;
    char *buffer;
    size_t length, next;
    long line;
    char separator; /* comma, semicolon or tab: what the first line holds most of */
} ls_csv_rows;

ls_status ls_csv_rows_open(const char *path, ls_csv_rows *rows);
/* Reads the next row that is not blank.  Quoted fields may hold separators, line ends and doubled
 * quotes; blanks around other fields are dropped.  *more is false at the end. */
ls_status ls_csv_rows_next(ls_csv_rows *rows, ls_csv_row *row, bool *more);
void ls_csv_rows_close(ls_csv_rows *rows);
static inline const char *ls_csv_field(const ls_csv_row *row, size_t column) {
    return row->text + row->start[column];
}
void ls_csv_row_free(ls_csv_row *row);

/* ---- tables --------------------------------------------------------------------------------- */

typedef enum ls_csv_kind {
    LS_CSV_ANY,     /* to be found out: labels, classes or numbers */
    LS_CSV_LABELS,  /* text: classes by name */
    LS_CSV_CLASSES, /* whole numbers: classes */
    LS_CSV_NUMBERS  /* regression */
} ls_csv_kind;

/* Class names, sorted unless they were given. */
typedef struct ls_labels {
    char **names;
    size_t count, capacity;
    size_t *sorted; /* while they are collected: places in names, in the order of the names */
    size_t sorted_capacity;
    bool given; /* others are an error */
} ls_labels;

void ls_labels_free(ls_labels *labels);

typedef struct ls_csv_table {
    ls_csv_kind kind;
    size_t rows, columns; /* columns: without the target */
    float *inputs;        /* (rows, columns) */
    double *targets;      /* (rows): numbers, or places in the labels */
    size_t input_capacity, target_capacity;
    bool whole;     /* all targets so far are whole numbers */
    char *negative; /* where the first whole number below 0 is, or NULL */
} ls_csv_table;

/* Reads the files one after the other; each may have a header.  `target_column`: name, number from
 * 0, or NULL for the last.  `kind` may be known already (a test split is as its training split);
 * `labels` are filled unless they are given.  LS_ERR_INPUT names file, line and column. */
ls_status ls_csv_read(const char *const *paths, size_t count, const char *target_column,
                      ls_csv_kind kind, ls_labels *labels, ls_csv_table *table);
void ls_csv_table_free(ls_csv_table *table);

#endif
