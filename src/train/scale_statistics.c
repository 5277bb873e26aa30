/* Statistics of a scaling study: medians with intervals, and the points of its rows. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lockstep/scale.h"

const char *ls_scale_mode_name(ls_scale_mode mode) {
    static const char *const names[] = {"strong", "weak"};
    return names[mode];
}

const char *ls_scale_phase_name(ls_scale_phase phase) {
    static const char *const names[] = {"compute", "exchange", "update", "data", "imbalance"};
    return names[phase];
}

const char *ls_scale_lr_rule_name(ls_scale_lr_rule rule) {
    static const char *const names[] = {"auto", "linear", "sqrt", "fixed"};
    return names[rule];
}

static int by_value(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

#define COVERAGE 0.95

/* P(B <= i), B binomial (n, 1/2). */
static double binomial(int64_t n, int64_t i) {
    double sum = 0;
    for (int64_t k = 0; k <= i; k++)
        sum += exp(lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1) -
                   (double)n * log(2));
    return sum;
}

ls_interval ls_scale_interval(double *values, int64_t count) {
    int64_t i = 1; /* from 1, as in the paper */
    qsort(values, (size_t)count, sizeof *values, by_value);
    while (2 * (i + 1) <= count && 1 - 2 * binomial(count, i) >= COVERAGE)
        i++;
    return (ls_interval){.median = (values[(count - 1) / 2] + values[count / 2]) / 2,
                         .low = values[i - 1],
                         .high = values[count - i],
                         .confidence = count > 1 ? 1 - 2 * binomial(count, i - 1) : 0};
}

/* ---- points --------------------------------------------------------------------------------- */

static bool is_of(const ls_scale_row *row, const ls_scale_size *size) {
    return row->size.mode == size->mode && row->size.ranks == size->ranks;
}

static int by_size(const void *left, const void *right) {
    const ls_scale_size *a = &((const ls_scale_point *)left)->size;
    const ls_scale_size *b = &((const ls_scale_point *)right)->size;
    return a->mode != b->mode ? (a->mode > b->mode) - (a->mode < b->mode)
                              : (a->ranks > b->ranks) - (a->ranks < b->ranks);
}

/* Places in a row of what a median is taken of: the phases, then these. */
enum { ALONE = LS_SCALE_PHASES, STEP, VALUES };

static double value_of(const ls_scale_row *row, int which) {
    return which == STEP ? row->step : which == ALONE ? row->alone : row->phase[which];
}

/* Of the rows of point->size; `room` for all of them. */
static void fill_point(const ls_scale_row *rows, int64_t count, double *room,
                       ls_scale_point *point) {
    double sum = 0;
    const ls_scale_row *first = NULL, *own = NULL;
    point->same_bits = true;
    for (int which = 0; which < VALUES; which++) {
        point->repeats = 0;
        for (int64_t i = 0; i < count; i++)
            if (is_of(&rows[i], &point->size))
                room[point->repeats++] = value_of(&rows[i], which);
        ls_interval found = ls_scale_interval(room, point->repeats);
        if (which == STEP)
            point->step = found;
        else if (which == ALONE)
            point->alone = found.median;
        else
            sum += point->phase[which] = found.median;
    }
    for (int p = 0; p < LS_SCALE_PHASES && sum > 0; p++)
        point->phase[p] *= point->step.median / sum;
    for (int64_t i = 0; i < count; i++) {
        const ls_scale_row *row = &rows[i];
        if (row->size.mode != point->size.mode)
            continue;
        first = first ? first : row;
        if (!is_of(row, &point->size))
            continue;
        own = own ? own : row;
        const ls_scale_row *expected = point->size.mode == LS_SCALE_STRONG ? first : own;
        point->same_bits = point->same_bits && strcmp(row->digest, expected->digest) == 0;
    }
    point->predicted = own->predicted;
    point->low = own->low;
    point->high = own->high;
    point->error = point->step.median / point->predicted - 1;
}

/* Whether the training of a row is that of the point too: in strong mode all take the same steps.
 */
static bool shares_training(const ls_scale_row *row, const ls_scale_row *first,
                            const ls_scale_point *point) {
    if (isnan(row->training.reached) || row->size.mode != point->size.mode)
        return false;
    return is_of(row, &point->size) || (point->size.mode == LS_SCALE_STRONG && point->same_bits &&
                                        strcmp(row->digest, first->digest) == 0);
}

static void find_training(const ls_scale_row *rows, int64_t count, ls_scale_point *point) {
    const ls_scale_row *first = NULL;
    point->training = LS_SCALE_NOT_TRAINED;
    for (int64_t i = 0; i < count; i++) {
        if (first == NULL && rows[i].size.mode == point->size.mode)
            first = &rows[i];
        if (shares_training(&rows[i], first, point))
            point->training = rows[i].training;
    }
    point->to_target =
        point->training.reached == 1 ? point->training.steps * point->step.median : (double)NAN;
}

static void compare(const ls_scale_point *base, ls_scale_point *point) {
    double batches = (double)point->size.batch / (double)base->size.batch * base->size.ranks;
    point->speedup = batches * base->step.median / point->step.median;
    point->speedup_low = batches * base->step.low / point->step.high;
    point->speedup_high = batches * base->step.high / point->step.low;
    point->efficiency = point->speedup / point->size.ranks;
    if (point == base)
        point->speedup_low = point->speedup_high = point->speedup;
}

ls_status ls_scale_summarize(const ls_scale_row *rows, int64_t count, ls_scale_point **points,
                             size_t *point_count) {
    ls_scale_point *made = NULL;
    double *room = NULL;
    size_t used = 0;
    LS_TRY(LS_NEW(made, (size_t)count));
    if (LS_NEW(room, (size_t)count) != LS_OK) {
        ls_free(made);
        return LS_ERR_SYSTEM;
    }
    for (int64_t i = 0; i < count; i++) {
        size_t k = 0;
        while (k < used && !is_of(&rows[i], &made[k].size))
            k++;
        if (k == used)
            made[used++].size = rows[i].size;
    }
    if (used > 0)
        qsort(made, used, sizeof *made, by_size);
    for (size_t k = 0, base = 0; k < used; k++) {
        base = made[k].size.mode != made[base].size.mode ? k : base;
        fill_point(rows, count, room, &made[k]);
        find_training(rows, count, &made[k]);
        compare(&made[base], &made[k]);
    }
    ls_free(room);
    *points = made;
    *point_count = used;
    return LS_OK;
}
