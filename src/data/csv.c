/* CSV files as a table: header, target column, kind of the targets, numbers. */
#include "data/csv.h"
#include "data/values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One file while it is read. */
typedef struct csv_file {
    const char *path;
    ls_csv_rows rows;
    ls_csv_row header;     /* empty: none */
    long first_line;       /* where the number of fields was learnt */
    size_t fields, target; /* fields a row; place of the target */
} csv_file;

static bool is_number(const char *field) {
    char *end;
    strtod(field, &end);
    return end != field && *end == '\0';
}

/* "1,5" or "1,234,567". */
static bool has_decimal_comma(const char *field) {
    static const char digits[] = "0123456789";
    field += *field == '-' || *field == '+';
    const size_t whole = strspn(field, digits);
    return whole > 0 && field[whole] == ',' &&
           field[whole + 1 + strspn(field + whole + 1, "0123456789,")] == '\0';
}

/* ---- layout of a file ----------------------------------------------------------------------- */

static bool has_number(const ls_csv_row *row, size_t but) {
    bool any = false;
    for (size_t c = 0; c < row->count; c++)
        any |= c != but && is_number(ls_csv_field(row, c));
    return any;
}

static bool has_number_at(const ls_csv_row *row, size_t column) {
    return column < row->count && is_number(ls_csv_field(row, column));
}

/* Whether a first row holds names: the next one has numbers, among the inputs or as its target,
 * where the first has none.  Rows of words alone do not tell. */
static bool is_header(const csv_file *file, const ls_csv_row *first, const ls_csv_row *second) {
    const bool target = has_number_at(first, file->target);
    const bool next_target = has_number_at(second, file->target);
    if (has_number(first, file->target))
        return !target && next_target;
    if (second->count == 0 || has_number(second, file->target))
        return true;
    if (!next_target)
        ls_warn("%s:%ld: taken as a header, for the next row has no number either; if it is a "
                "sample, put a line of names above it",
                file->path, first->line);
    return !target || !next_target;
}

static ls_status find_target(csv_file *file, const ls_csv_row *first, const char *wanted,
                             bool *named) {
    *named = false;
    file->target = file->fields - 1;
    if (!wanted)
        return LS_OK;
    char *end;
    const unsigned long long number = strtoull(wanted, &end, 10);
    if (*wanted >= '0' && *wanted <= '9' && *end == '\0') {
        if (number >= file->fields)
            return ls_fail(LS_ERR_INPUT,
                           "%s: no column %s for the target; expected 0 to %zu, or a name",
                           file->path, wanted, file->fields - 1);
        file->target = (size_t)number;
        return LS_OK;
    }
    *named = true;
    for (size_t c = 0; c < first->count; c++)
        if (strcmp(ls_csv_field(first, c), wanted) == 0) {
            file->target = c;
            return LS_OK;
        }
    const char **names;
    LS_TRY(LS_NEW(names, first->count));
    for (size_t c = 0; c < first->count; c++)
        names[c] = ls_csv_field(first, c);
    const char *nearest = ls_nearest(wanted, names, first->count);
    ls_free(names);
    return ls_fail(LS_ERR_INPUT,
                   "%s:%ld: no column '%s' for the target%s%s%s; expected a name of the "
                   "header line, or a number from 0",
                   file->path, first->line, wanted, nearest ? " (nearest: '" : "",
                   nearest ? nearest : "", nearest ? "')" : "");
}

/* Learns the layout from the first two rows, and keeps the header. */
static ls_status find_layout(csv_file *file, ls_csv_row *first, const ls_csv_row *second,
                             const char *target_column) {
    bool named;
    file->fields = first->count;
    file->first_line = first->line;
    if (file->fields < 2)
        return ls_fail(LS_ERR_INPUT,
                       "%s:%ld: one column; expected inputs and a target, separated by commas, "
                       "semicolons or tabs",
                       file->path, first->line);
    LS_TRY(find_target(file, first, target_column, &named));
    if (named || is_header(file, first, second)) {
        file->header = *first;
        *first = (ls_csv_row){0};
    }
    return LS_OK;
}

/* ---- rows ----------------------------------------------------------------------------------- */

static ls_status field_error(const csv_file *file, const ls_csv_row *row, size_t column,
                             const char *problem) {
    const char *name = column < file->header.count ? ls_csv_field(&file->header, column) : "";
    return ls_fail(LS_ERR_INPUT, "%s:%ld:%zu: '%s'%s%s%s %s", file->path, row->line, column + 1,
                   ls_csv_field(row, column), *name ? " in column '" : "", name, *name ? "'" : "",
                   problem);
}

static ls_status parse_number(const csv_file *file, const ls_csv_row *row, size_t column,
                              double *number) {
    const char *field = ls_csv_field(row, column);
    if (!is_number(field))
        return field_error(file, row, column, "is not a number");
    *number = strtod(field, NULL);
    if (!isfinite((float)*number))
        return field_error(file, row, column, "is not a finite float32 number");
    return LS_OK;
}

/* The place of a field among names: those given, or those met so far. */
static ls_status parse_name(const csv_file *file, const ls_csv_row *row, size_t column,
                            ls_labels *labels, const char *what, double *place) {
    const char *field = ls_csv_field(row, column);
    size_t found = 0;
    if (!labels->given) {
        LS_TRY(ls_labels_add(labels, field, &found));
    } else if (!ls_labels_find(labels, field, &found)) {
        const char *nearest = ls_nearest(field, (const char *const *)labels->names, labels->count);
        char *problem = ls_format("is not one of the %zu %s%s%s", labels->count, what,
                                  nearest ? "; the nearest is " : "", nearest ? nearest : "");
        ls_status status = problem ? field_error(file, row, column, problem) : LS_ERR_SYSTEM;
        ls_free(problem);
        return status;
    }
    *place = (double)found;
    return LS_OK;
}

static ls_status parse_label(const csv_file *file, const ls_csv_row *row, ls_labels *labels,
                             double *place) {
    if (*ls_csv_field(row, file->target) == '\0')
        return field_error(file, row, file->target, "is not a label");
    return parse_name(file, row, file->target, labels,
                      "class names given, or of the training labels", place);
}

static ls_status parse_word(const csv_file *file, const ls_csv_row *row, size_t column,
                            ls_labels *words, double *place) {
    const char *field = ls_csv_field(row, column);
    if (*field == '\0')
        return field_error(file, row, column, "is empty, in a column of words");
    if (is_number(field))
        return field_error(file, row, column, "is a number, in a column that began with a word");
    LS_TRY(parse_name(file, row, column, words, "words that the training rows have", place));
    if (words->count > LS_CSV_WORDS)
        return field_error(file, row, column,
                           "is one word too many: a column may have 1000 of them");
    return LS_OK;
}

/* An input: a number, or the place of a word. */
static ls_status parse_input(const csv_file *file, const ls_csv_row *row, size_t column,
                             ls_csv_column *about, double *number) {
    return about->words ? parse_word(file, row, column, &about->labels, number)
                        : parse_number(file, row, column, number);
}

static ls_status refuse_decimal_comma(const csv_file *file, const ls_csv_row *row, size_t column) {
    if (!has_decimal_comma(ls_csv_field(row, column)))
        return LS_OK;
    return field_error(file, row, column, "has a comma; expected a number with a decimal point");
}

/* The first row of the first training file says which columns hold words. */
static ls_status learn_columns(const csv_file *file, const ls_csv_row *row,
                               ls_csv_columns *columns) {
    LS_TRY(LS_NEW(columns->column, file->fields));
    for (size_t c = 0; c < file->fields; c++) {
        if (c == file->target)
            continue;
        ls_csv_column *column = &columns->column[columns->count++];
        const char *field = ls_csv_field(row, c);
        LS_TRY(refuse_decimal_comma(file, row, c));
        column->words = *field != '\0' && !is_number(field);
        column->named = file->header.count > 0;
        column->name =
            column->named ? ls_strdup(ls_csv_field(&file->header, c)) : ls_format("column %zu", c);
        if (!column->name)
            return LS_ERR_SYSTEM;
    }
    return LS_OK;
}

static ls_status parse_target(const csv_file *file, const ls_csv_row *row, ls_labels *labels,
                              ls_csv_table *table) {
    double *target = &table->targets[table->rows];
    if (table->kind == LS_CSV_ANY && table->rows == 0 &&
        !is_number(ls_csv_field(row, file->target)))
        table->kind = LS_CSV_LABELS;
    if (table->rows == 0)
        LS_TRY(refuse_decimal_comma(file, row, file->target));
    if (table->kind == LS_CSV_LABELS)
        return parse_label(file, row, labels, target);
    LS_TRY(parse_number(file, row, file->target, target));
    const bool whole = floor(*target) == *target;
    table->whole &= whole;
    if (table->kind == LS_CSV_CLASSES && !(whole && *target >= 0 && *target <= LS_MAX_CLASS))
        return field_error(file, row, file->target,
                           "is not a class number, while the training targets are");
    if (whole && *target < 0 && !table->negative) {
        table->negative = ls_format("%s:%ld:%zu", file->path, row->line, file->target + 1);
        return table->negative ? LS_OK : LS_ERR_SYSTEM;
    }
    return LS_OK;
}

static ls_status add_row(const csv_file *file, const ls_csv_row *row, ls_csv_names *names,
                         ls_csv_table *table) {
    if (row->count != file->fields)
        return ls_fail(LS_ERR_INPUT, "%s:%ld: %zu fields; expected %zu, as in line %ld", file->path,
                       row->line, row->count, file->fields, file->first_line);
    const size_t columns = table->columns;
    if (names->columns.count == 0)
        LS_TRY(learn_columns(file, row, &names->columns));
    LS_TRY(ls_grow(&table->inputs, table->rows, &table->input_capacity, columns * sizeof(double)));
    LS_TRY(ls_grow(&table->targets, table->rows, &table->target_capacity, sizeof(double)));
    double *out = table->inputs + table->rows * columns;
    ls_csv_column *about = names->columns.column;
    for (size_t c = 0; c < row->count; c++) {
        double number = 0;
        if (c == file->target)
            continue;
        LS_TRY(parse_input(file, row, c, about++, &number));
        *out++ = number;
    }
    LS_TRY(parse_target(file, row, &names->labels, table));
    table->rows++;
    return LS_OK;
}

/* The columns of the files before, in their order. */
static ls_status check_header(const csv_file *file, const ls_csv_columns *columns) {
    const ls_csv_column *known = columns->column;
    for (size_t c = 0; columns->count > 0 && c < file->header.count; c++) {
        if (c == file->target)
            continue;
        const char *name = ls_csv_field(&file->header, c);
        if (known->named && strcmp(known->name, name) != 0)
            return ls_fail(LS_ERR_INPUT,
                           "%s:%ld:%zu: column '%s'; expected '%s', as in the file before it",
                           file->path, file->header.line, c + 1, name, known->name);
        known++;
    }
    return LS_OK;
}

static ls_status read_rows(csv_file *file, ls_csv_row *row, ls_csv_row *next,
                           const char *target_column, ls_csv_names *names, ls_csv_table *table) {
    bool more, after = false;
    LS_TRY(ls_csv_rows_next(&file->rows, row, &more));
    if (more)
        LS_TRY(ls_csv_rows_next(&file->rows, next, &after));
    if (!more)
        return ls_fail(LS_ERR_INPUT, "%s: no rows", file->path);
    LS_TRY(find_layout(file, row, next, target_column));
    const size_t known = names->columns.count;
    if (known > 0 && known != file->fields - 1)
        return ls_fail(LS_ERR_INPUT, "%s:%ld: %zu fields; expected %zu, as in the file before it",
                       file->path, file->first_line, file->fields, known + 1);
    LS_TRY(check_header(file, &names->columns));
    table->columns = file->fields - 1;
    if (file->header.count == 0)
        LS_TRY(add_row(file, row, names, table));
    for (more = after; more;) {
        LS_TRY(add_row(file, next, names, table));
        LS_TRY(ls_csv_rows_next(&file->rows, next, &more));
    }
    return LS_OK;
}

static ls_status read_file(const char *path, const char *target_column, ls_csv_names *names,
                           ls_csv_table *table) {
    csv_file file = {.path = path};
    ls_csv_row row = {0}, next = {0};
    LS_TRY(ls_csv_rows_open(path, &file.rows));
    ls_status status = read_rows(&file, &row, &next, target_column, names, table);
    ls_csv_row_free(&next);
    ls_csv_row_free(&row);
    ls_csv_row_free(&file.header);
    ls_csv_rows_close(&file.rows);
    return status;
}

/* Prices and the like often are whole numbers. */
static void warn_of_classes(const char *path, const ls_csv_table *table, double largest) {
    enum { MANY = 100, ROWS_A_CLASS = 10 };
    if (largest >= MANY && (double)table->rows < ROWS_A_CLASS * (largest + 1))
        ls_warn("%s: the targets, whole numbers up to %.0f in %zu rows, are taken as classes; "
                "--regression keeps them as numbers",
                path, largest, table->rows);
}

static ls_status decide_kind(const char *path, ls_csv_table *table) {
    double largest = 0;
    if (table->rows == 0)
        return ls_fail(LS_ERR_INPUT, "%s: a header and no rows", path);
    if (table->kind != LS_CSV_ANY)
        return LS_OK;
    table->kind = table->whole ? LS_CSV_CLASSES : LS_CSV_NUMBERS;
    if (table->whole && table->negative)
        return ls_fail(
            LS_ERR_INPUT,
            "%s: a target below 0, while all are whole numbers; expected classes from 0, or "
            "--regression to keep them as numbers",
            table->negative);
    for (size_t row = 0; row < table->rows; row++) {
        largest = fmax(largest, table->targets[row]);
        if (table->whole && table->targets[row] > LS_MAX_CLASS)
            return ls_fail(LS_ERR_INPUT,
                           "%s: row %zu has class %.0f; expected at most %d, or "
                           "--regression to keep numbers",
                           path, row + 1, table->targets[row], LS_MAX_CLASS);
    }
    if (table->whole)
        warn_of_classes(path, table, largest);
    return LS_OK;
}

/* Names come in the order of the alphabet, unless they were given. */
static ls_status sort_labels(ls_labels *labels, ls_csv_table *table) {
    size_t *place;
    LS_TRY(ls_labels_sort(labels, &place));
    for (size_t row = 0; row < table->rows; row++)
        table->targets[row] = (double)place[(size_t)table->targets[row]];
    ls_free(place);
    return LS_OK;
}

ls_status ls_csv_read(const char *const *paths, size_t count, const char *target_column,
                      ls_csv_kind kind, ls_csv_names *names, ls_csv_table *table) {
    ls_csv_table read = {.kind = kind, .whole = true};
    ls_status status = LS_OK;
    for (size_t i = 0; i < count; i++)
        LS_TRY_GOTO(failed, read_file(paths[i], target_column, names, &read));
    LS_TRY_GOTO(failed, decide_kind(paths[0], &read));
    if (read.kind == LS_CSV_LABELS && !names->labels.given)
        LS_TRY_GOTO(failed, sort_labels(&names->labels, &read));
    LS_TRY_GOTO(failed, ls_csv_columns_expand(&names->columns, &read));
    *table = read;
    return LS_OK;
failed:
    ls_csv_table_free(&read);
    return status;
}

void ls_csv_table_free(ls_csv_table *table) {
    ls_free(table->inputs);
    ls_free(table->targets);
    ls_free(table->negative);
    *table = (ls_csv_table){0};
}
