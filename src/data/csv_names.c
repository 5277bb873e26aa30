/* Names in CSV files: class labels, and columns of words that become one input for each word. */
#include "data/csv.h"

#include <string.h>

/* ---- labels --------------------------------------------------------------------------------- */

void ls_labels_free(ls_labels *labels) {
    for (size_t i = 0; i < labels->count; i++)
        ls_free(labels->names[i]);
    ls_free(labels->names);
    ls_free(labels->sorted);
    *labels = (ls_labels){0};
}

/* The place of a name in `sorted`, or where it belongs. */
static bool search(const ls_labels *labels, const char *name, size_t *at) {
    size_t low = 0, high = labels->count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const int order = strcmp(labels->names[labels->sorted[middle]], name);
        if (order == 0) {
            *at = middle;
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *at = low;
    return false;
}

ls_status ls_labels_add(ls_labels *labels, const char *name, size_t *place) {
    const size_t count = labels->count;
    size_t at;
    if (search(labels, name, &at)) {
        *place = labels->sorted[at];
        return LS_OK;
    }
    LS_TRY(ls_grow(&labels->names, count, &labels->capacity, sizeof(char *)));
    LS_TRY(ls_grow(&labels->sorted, count, &labels->sorted_capacity, sizeof(size_t)));
    if (!(labels->names[count] = ls_strdup(name)))
        return LS_ERR_SYSTEM;
    memmove(labels->sorted + at + 1, labels->sorted + at, (count - at) * sizeof(size_t));
    labels->sorted[at] = count;
    labels->count++;
    *place = count;
    return LS_OK;
}

bool ls_labels_find(const ls_labels *labels, const char *name, size_t *place) {
    size_t at;
    if (!search(labels, name, &at))
        return false;
    *place = labels->sorted[at];
    return true;
}

ls_status ls_labels_sort(ls_labels *labels, size_t **place) {
    char **names;
    size_t *moved;
    LS_TRY(LS_NEW(names, labels->count));
    ls_status status = LS_NEW(moved, labels->count);
    if (status != LS_OK) {
        ls_free(names);
        return status;
    }
    for (size_t i = 0; i < labels->count; i++) {
        names[i] = labels->names[labels->sorted[i]];
        moved[labels->sorted[i]] = i;
    }
    for (size_t i = 0; i < labels->count; i++)
        labels->sorted[i] = i;
    ls_free(labels->names);
    labels->names = names;
    labels->given = true;
    *place = moved;
    return LS_OK;
}

/* ---- columns of words ----------------------------------------------------------------------- */

/* The words of a training split come in the order of the alphabet. */
static ls_status sort_words(ls_labels *words, size_t column, ls_csv_table *table) {
    size_t *place;
    if (words->given)
        return LS_OK;
    LS_TRY(ls_labels_sort(words, &place));
    for (size_t row = 0; row < table->rows; row++) {
        double *value = &table->inputs[row * table->columns + column];
        *value = (double)place[(size_t)*value];
    }
    ls_free(place);
    return LS_OK;
}

static void expand_row(const ls_csv_columns *columns, const double *in, double *out) {
    for (size_t c = 0; c < columns->count; c++) {
        const ls_csv_column *column = &columns->column[c];
        if (column->words)
            out[(size_t)in[c]] = 1;
        else
            *out = in[c];
        out += column->words ? column->labels.count : 1;
    }
}

ls_status ls_csv_columns_expand(ls_csv_columns *columns, ls_csv_table *table) {
    size_t width = 0;
    bool any = false;
    double *wide;
    for (size_t c = 0; c < columns->count; c++) {
        ls_csv_column *column = &columns->column[c];
        if (column->words)
            LS_TRY(sort_words(&column->labels, c, table));
        any |= column->words;
        width += column->words ? column->labels.count : 1;
    }
    if (!any)
        return LS_OK;
    LS_TRY(LS_NEW(wide, table->rows * width));
    for (size_t row = 0; row < table->rows; row++)
        expand_row(columns, table->inputs + row * table->columns, wide + row * width);
    ls_free(table->inputs);
    table->inputs = wide;
    table->columns = width;
    return LS_OK;
}

void ls_csv_names_free(ls_csv_names *names) {
    for (size_t c = 0; c < names->columns.count; c++) {
        ls_labels_free(&names->columns.column[c].labels);
        ls_free(names->columns.column[c].name);
    }
    ls_free(names->columns.column);
    ls_labels_free(&names->labels);
    *names = (ls_csv_names){0};
}
