/* csv: the rows of a CSV file: quotes, separators, line ends.  Not collective. */
#ifndef LOCKSTEP_CSV_H
#define LOCKSTEP_CSV_H

#include "lockstep/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ls_csv_row {
    char *text; /* the fields, each ended by a zero */
    size_t length, capacity;
    size_t *start; /* of each field in text */
    size_t count, start_capacity;
    long line; /* where the row starts, from 1 */
} ls_csv_row;

typedef struct ls_csv_rows {
    struct ls_reader *reader;
    char *buffer;
    size_t length, next;
    long line;
    char separator; /* comma, semicolon or tab: what the first line holds most of */
} ls_csv_rows;

/* Of a plain file, or of one compressed by gzip. */
ls_status ls_csv_rows_open(const char *path, ls_csv_rows *rows);
/* Reads the next row that is not blank.  Quoted fields may hold separators, line ends and doubled
 * quotes; blanks around other fields are dropped.  *more is false at the end. */
ls_status ls_csv_rows_next(ls_csv_rows *rows, ls_csv_row *row, bool *more);
void ls_csv_rows_close(ls_csv_rows *rows);
static inline const char *ls_csv_field(const ls_csv_row *row, size_t column) {
    return row->text + row->start[column];
}
void ls_csv_row_free(ls_csv_row *row);

#ifdef __cplusplus
}
#endif
#endif
