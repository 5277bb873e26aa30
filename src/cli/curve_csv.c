/* A curve from a CSV: a header that names the columns lr and loss, then one row a step. */
#include "cli/curve.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lockstep/csv.h"

enum { LR, LOSS, WANTED };
static const char *const names[WANTED] = {"lr", "loss"};

typedef struct csv_reader {
    const char *path;
    ls_csv_rows rows;
    ls_csv_row row;
    size_t column[WANTED]; /* where lr and loss stand */
    size_t room[WANTED];   /* of the curve's arrays */
} csv_reader;

static ls_status read_header(csv_reader *reader) {
    const ls_csv_row *row = &reader->row;
    bool more;
    LS_TRY(ls_csv_rows_next(&reader->rows, &reader->row, &more));
    if (!more)
        return ls_fail(LS_ERR_INPUT, "%s: no rows; expected a CSV with the header lr,loss",
                       reader->path);
    for (int i = 0; i < WANTED; i++) {
        size_t at = 0;
        while (at < row->count && strcmp(ls_csv_field(row, at), names[i]) != 0)
            at++;
        if (at == row->count)
            return ls_fail(LS_ERR_INPUT,
                           "%s:%ld: no column '%s'; expected a run file, or a CSV with the header "
                           "lr,loss",
                           reader->path, row->line, names[i]);
        reader->column[i] = at;
    }
    return LS_OK;
}

static ls_status read_number(const csv_reader *reader, int which, double *value) {
    const size_t column = reader->column[which];
    const char *field = column < reader->row.count ? ls_csv_field(&reader->row, column) : NULL;
    char *end = NULL;
    if (field)
        *value = strtod(field, &end);
    if (field == NULL || end == field || *end != '\0')
        return ls_fail(LS_ERR_INPUT, "%s:%ld: expected a number for %s, found %s%s%s", reader->path,
                       reader->row.line, names[which], field ? "'" : "nothing", field ? field : "",
                       field ? "'" : "");
    return LS_OK;
}

static ls_status check_lr(const csv_reader *reader, double lr, const ls_curve_data *data) {
    double before = data->count > 0 ? data->lr[data->count - 1] : 0;
    if (isfinite(lr) && lr > before)
        return LS_OK;
    if (data->count == 0 || !(lr > 0) || !isfinite(lr))
        return ls_fail(LS_ERR_INPUT, "%s:%ld: expected a positive learning rate, found %g",
                       reader->path, reader->row.line, lr);
    return ls_fail(LS_ERR_INPUT,
                   "%s:%ld: expected a learning rate above the one before, %.9g, found %.9g",
                   reader->path, reader->row.line, before, lr);
}

static ls_status read_row(csv_reader *reader, ls_curve_data *data) {
    const size_t count = (size_t)data->count;
    double lr, loss;
    LS_TRY(read_number(reader, LR, &lr));
    LS_TRY(read_number(reader, LOSS, &loss));
    LS_TRY(check_lr(reader, lr, data));
    LS_TRY(ls_grow(&data->lr, count, &reader->room[LR], sizeof *data->lr));
    LS_TRY(ls_grow(&data->loss, count, &reader->room[LOSS], sizeof *data->loss));
    data->lr[count] = lr;
    data->loss[count] = loss;
    data->count++;
    return LS_OK;
}

static ls_status read_all(csv_reader *reader, ls_curve_data *data) {
    bool more;
    LS_TRY(read_header(reader));
    for (;;) {
        LS_TRY(ls_csv_rows_next(&reader->rows, &reader->row, &more));
        if (!more)
            break;
        LS_TRY(read_row(reader, data));
    }
    if (data->count == 0)
        return ls_fail(LS_ERR_INPUT, "%s: no rows after the header; expected one a step",
                       reader->path);
    return LS_OK;
}

ls_status ls_curve_read_csv(const char *path, ls_curve_data *data) {
    csv_reader reader = {.path = path};
    ls_curve_data new = {0};
    LS_TRY(ls_csv_rows_open(path, &reader.rows));
    ls_status status = read_all(&reader, &new);
    ls_csv_row_free(&reader.row);
    ls_csv_rows_close(&reader.rows);
    if (status != LS_OK) {
        ls_curve_free(&new);
        return status;
    }
    *data = new;
    return LS_OK;
}
