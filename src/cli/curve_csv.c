/* A curve from a CSV: a header that names the columns lr and loss, then one row a step. */
#include "cli/curve.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LR, LOSS, WANTED };

typedef struct csv_reader {
    const char *path;
    FILE *file;
    char *line;
    size_t room;
    int64_t number;     /* of the line */
    int column[WANTED]; /* where lr and loss stand */
    int64_t capacity;
} csv_reader;

/* The next line that is not blank, without its end and a byte order mark; false at the end. */
static bool next_line(csv_reader *reader) {
    while (getline(&reader->line, &reader->room, reader->file) >= 0) {
        reader->number++;
        if (reader->number == 1 && strncmp(reader->line, "\xef\xbb\xbf", 3) == 0)
            memmove(reader->line, reader->line + 3, strlen(reader->line + 3) + 1);
        reader->line[strcspn(reader->line, "\r\n")] = '\0';
        if (reader->line[strspn(reader->line, " \t")] != '\0')
            return true;
    }
    return false;
}

/* Cuts the next field off *rest, without the blanks around it; NULL after the last. */
static char *next_field(char **rest) {
    char *field = strsep(rest, ",");
    if (field == NULL)
        return NULL;
    field += strspn(field, " \t");
    size_t length = strlen(field);
    while (length > 0 && (field[length - 1] == ' ' || field[length - 1] == '\t'))
        field[--length] = '\0';
    return field;
}

static ls_status read_header(csv_reader *reader) {
    static const char *const names[WANTED] = {"lr", "loss"};
    if (!next_line(reader))
        return ls_fail(LS_ERR_INPUT,
                       "%s: the file is empty; expected a CSV with the header lr,loss",
                       reader->path);
    char *rest = reader->line, *field;
    reader->column[LR] = reader->column[LOSS] = -1;
    for (int at = 0; (field = next_field(&rest)) != NULL; at++)
        for (int i = 0; i < WANTED; i++)
            if (strcmp(field, names[i]) == 0)
                reader->column[i] = at;
    for (int i = 0; i < WANTED; i++)
        if (reader->column[i] < 0)
            return ls_fail(LS_ERR_INPUT,
                           "%s:%lld: no column '%s'; expected a run file, or a CSV with the header "
                           "lr,loss",
                           reader->path, (long long)reader->number, names[i]);
    return LS_OK;
}

static ls_status read_number(const csv_reader *reader, const char *name, const char *field,
                             double *value) {
    char *end = NULL;
    if (field)
        *value = strtod(field, &end);
    if (field == NULL || end == field || *end != '\0')
        return ls_fail(LS_ERR_INPUT, "%s:%lld: expected a number for %s, found %s%s%s",
                       reader->path, (long long)reader->number, name, field ? "'" : "nothing",
                       field ? field : "", field ? "'" : "");
    return LS_OK;
}

static ls_status read_row(csv_reader *reader, double row[WANTED]) {
    char *rest = reader->line, *field, *found[WANTED] = {NULL, NULL};
    for (int at = 0; (field = next_field(&rest)) != NULL; at++)
        for (int i = 0; i < WANTED; i++)
            if (at == reader->column[i])
                found[i] = field;
    LS_TRY(read_number(reader, "lr", found[LR], &row[LR]));
    return read_number(reader, "loss", found[LOSS], &row[LOSS]);
}

static ls_status check_lr(const csv_reader *reader, double lr, const ls_curve_data *data) {
    double before = data->count > 0 ? data->lr[data->count - 1] : 0;
    if (isfinite(lr) && lr > before)
        return LS_OK;
    if (data->count == 0 || !(lr > 0) || !isfinite(lr))
        return ls_fail(LS_ERR_INPUT, "%s:%lld: expected a positive learning rate, found %g",
                       reader->path, (long long)reader->number, lr);
    return ls_fail(LS_ERR_INPUT,
                   "%s:%lld: expected a learning rate above the one before, %.9g, found %.9g",
                   reader->path, (long long)reader->number, before, lr);
}

static ls_status grow(double **values, int64_t count, int64_t capacity) {
    double *more;
    LS_TRY(LS_NEW(more, (size_t)capacity));
    if (count > 0)
        memcpy(more, *values, (size_t)count * sizeof *more);
    ls_free(*values);
    *values = more;
    return LS_OK;
}

static ls_status read_rows(csv_reader *reader, ls_curve_data *data) {
    while (next_line(reader)) {
        double row[WANTED];
        LS_TRY(read_row(reader, row));
        LS_TRY(check_lr(reader, row[LR], data));
        if (data->count == reader->capacity) {
            reader->capacity = reader->capacity ? 2 * reader->capacity : 512;
            LS_TRY(grow(&data->lr, data->count, reader->capacity));
            LS_TRY(grow(&data->loss, data->count, reader->capacity));
        }
        data->lr[data->count] = row[LR];
        data->loss[data->count++] = row[LOSS];
    }
    if (ferror(reader->file))
        return ls_fail(LS_ERR_INPUT, "cannot read '%s': %s", reader->path, strerror(errno));
    if (data->count == 0)
        return ls_fail(LS_ERR_INPUT, "%s: no rows after the header; expected one a step",
                       reader->path);
    return LS_OK;
}

ls_status ls_curve_read_csv(const char *path, ls_curve_data *data) {
    csv_reader reader = {.path = path, .file = fopen(path, "r")};
    if (reader.file == NULL)
        return ls_fail(LS_ERR_INPUT, "cannot open '%s': %s", path, strerror(errno));
    ls_curve_data new = {0};
    ls_status status = read_header(&reader);
    if (status == LS_OK)
        status = read_rows(&reader, &new);
    free(reader.line);
    fclose(reader.file);
    if (status != LS_OK) {
        ls_curve_free(&new);
        return status;
    }
    *data = new;
    return LS_OK;
}
