/* The rows of a CSV file: quotes, line ends, separators. */
#include "data/csv.h"

#include <string.h>

enum { BUFFER = 1 << 16, END = -1 };

/* The separator that the first line holds most of, outside quotes. */
static char find_separator(const char *text, size_t length) {
    static const char known[] = {',', ';', '\t'};
    size_t seen[sizeof known] = {0}, best = 0;
    bool quoted = false;
    for (size_t i = 0; i < length && (quoted || (text[i] != '\n' && text[i] != '\r')); i++) {
        quoted ^= text[i] == '"';
        for (size_t k = 0; k < sizeof known; k++)
            seen[k] += !quoted && text[i] == known[k];
    }
    for (size_t k = 1; k < sizeof known; k++)
        if (seen[k] > seen[best])
            best = k;
    return known[best];
}

ls_status ls_csv_rows_open(const char *path, ls_csv_rows *rows) {
    ls_csv_rows opened = {.line = 1};
    ls_status status;
    LS_TRY_GOTO(failed, ls_reader_open(path, &opened.reader));
    LS_TRY_GOTO(failed, LS_NEW(opened.buffer, BUFFER));
    LS_TRY_GOTO(failed, ls_reader_some(opened.reader, opened.buffer, BUFFER, &opened.length));
    if (opened.length >= 3 && memcmp(opened.buffer, "\xEF\xBB\xBF", 3) == 0) /* byte-order mark */
        opened.next = 3;
    opened.separator = find_separator(opened.buffer + opened.next, opened.length - opened.next);
    *rows = opened;
    return LS_OK;
failed:
    ls_csv_rows_close(&opened);
    return status;
}

void ls_csv_rows_close(ls_csv_rows *rows) {
    ls_free(rows->buffer);
    ls_reader_close(rows->reader);
    *rows = (ls_csv_rows){0};
}

/* The next byte, or END, without taking it. */
static ls_status look(ls_csv_rows *rows, int *byte) {
    if (rows->next == rows->length) {
        rows->next = 0;
        LS_TRY(ls_reader_some(rows->reader, rows->buffer, BUFFER, &rows->length));
    }
    *byte = rows->next < rows->length ? (unsigned char)rows->buffer[rows->next] : END;
    if (*byte == 0)
        return ls_fail(LS_ERR_INPUT, "%s:%ld: holds a zero byte: not a CSV file",
                       ls_reader_path(rows->reader), rows->line);
    return LS_OK;
}

/* Takes the byte just looked at; a line end of any kind (LF, CR, CR LF) counts once. */
static ls_status take(ls_csv_rows *rows, int byte) {
    rows->next++;
    if (byte == '\r') {
        int after;
        LS_TRY(look(rows, &after));
        if (after != '\n')
            rows->line++;
    }
    rows->line += byte == '\n';
    return LS_OK;
}

static ls_status add(ls_csv_row *row, char byte) {
    LS_TRY(ls_grow(&row->text, row->length, &row->capacity, 1));
    row->text[row->length++] = byte;
    return LS_OK;
}

static ls_status quoted_field(ls_csv_rows *rows, ls_csv_row *row) {
    const long line = rows->line;
    int byte;
    LS_TRY(take(rows, '"'));
    for (;;) {
        LS_TRY(look(rows, &byte));
        if (byte == END)
            return ls_fail(LS_ERR_INPUT, "%s:%ld:%zu: a quote that is never closed",
                           ls_reader_path(rows->reader), line, row->count);
        LS_TRY(take(rows, byte));
        if (byte == '"') {
            LS_TRY(look(rows, &byte));
            if (byte != '"')
                break;
            LS_TRY(take(rows, byte));
        }
        LS_TRY(add(row, (char)byte));
    }
    while (byte == ' ' && rows->separator != ' ') {
        LS_TRY(take(rows, byte));
        LS_TRY(look(rows, &byte));
    }
    if (byte != rows->separator && byte != '\n' && byte != '\r' && byte != END)
        return ls_fail(LS_ERR_INPUT, "%s:%ld:%zu: text after a closing quote; expected '%c'",
                       ls_reader_path(rows->reader), rows->line, row->count, rows->separator);
    return LS_OK;
}

static ls_status plain_field(ls_csv_rows *rows, ls_csv_row *row) {
    const size_t start = row->length;
    for (;;) {
        int byte;
        LS_TRY(look(rows, &byte));
        if (byte == rows->separator || byte == '\n' || byte == '\r' || byte == END)
            break;
        LS_TRY(take(rows, byte));
        LS_TRY(add(row, (char)byte));
    }
    while (row->length > start && strchr(" \t", row->text[row->length - 1]))
        row->length--;
    return LS_OK;
}

static ls_status read_field(ls_csv_rows *rows, ls_csv_row *row) {
    int byte;
    LS_TRY(ls_grow(&row->start, row->count, &row->start_capacity, sizeof *row->start));
    row->start[row->count++] = row->length;
    for (;;) {
        LS_TRY(look(rows, &byte));
        if (byte == rows->separator || (byte != ' ' && byte != '\t'))
            break;
        LS_TRY(take(rows, byte));
    }
    LS_TRY(byte == '"' ? quoted_field(rows, row) : plain_field(rows, row));
    return add(row, '\0');
}

ls_status ls_csv_rows_next(ls_csv_rows *rows, ls_csv_row *row, bool *more) {
    int byte;
    do { /* a row of one empty field is a blank line */
        row->length = row->count = 0;
        row->line = rows->line;
        LS_TRY(look(rows, &byte));
        if (byte == END) {
            *more = false;
            return LS_OK;
        }
        for (;;) {
            LS_TRY(read_field(rows, row));
            LS_TRY(look(rows, &byte));
            if (byte != END)
                LS_TRY(take(rows, byte));
            if (byte != rows->separator)
                break;
        }
        if (byte == '\r') {
            LS_TRY(look(rows, &byte));
            if (byte == '\n')
                LS_TRY(take(rows, byte));
        }
    } while (row->count == 1 && row->text[0] == '\0');
    *more = true;
    return LS_OK;
}

void ls_csv_row_free(ls_csv_row *row) {
    ls_free(row->text);
    ls_free(row->start);
    *row = (ls_csv_row){0};
}
