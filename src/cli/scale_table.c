/* A scaling study as a page for people. */
#include <math.h>
#include <stdlib.h>

#include "cli/scale.h"

const ls_scale_point *ls_scale_mode_points(const ls_scale_study *study, ls_scale_mode mode,
                                           size_t *count) {
    const ls_scale_point *first = NULL;
    *count = 0;
    for (size_t i = 0; i < study->point_count; i++) {
        if (study->points[i].size.mode != mode)
            continue;
        first = first ? first : &study->points[i];
        (*count)++;
    }
    return first;
}

static const char *plural(int64_t count) {
    return count == 1 ? "" : "s";
}

static void add_ms(ls_text *text, int width, double seconds) {
    char number[LS_DIGITS_TEXT];
    ls_text_add(text, "%*s", width, ls_digits(1e3 * seconds, number));
}

/* ---- what stands above the rows ------------------------------------------------------------- */

static void add_batch(const ls_scale_size *size, ls_text *text) {
    ls_text_add(text, "batch %lld in %lld slice%s", (long long)size->batch, (long long)size->slices,
                plural(size->slices));
}

static void add_bits(const ls_scale_study *study, const ls_scale_point *points, size_t count,
                     ls_text *text) {
    bool same = true;
    for (size_t i = 0; i < count; i++)
        same = same && points[i].same_bits;
    const char *where =
        points->size.mode == LS_SCALE_STRONG ? "at every size" : "in all repeats of a size";
    if (same)
        ls_text_add(text, "; same bits %s", where);
    else
        ls_text_add(text, "; NOT the same bits %s%s", where,
                    study->layout_invariant ? "" : ": exchange_sum is float32");
}

static void add_heading(const ls_scale_study *study, const ls_scale_point *points, size_t count,
                        ls_text *text) {
    const ls_scale_size *first = &points->size;
    ls_text_add(text, "\n%s scaling: ", ls_scale_mode_name(first->mode));
    add_batch(first, text);
    if (first->mode == LS_SCALE_STRONG)
        ls_text_add(text, " at every size");
    else
        ls_text_add(text, " on %d rank%s, growing with the ranks", first->ranks,
                    plural(first->ranks));
    add_bits(study, points, count, text);
    ls_text_add(text, "\n%6s%6s%10s%8s%8s%10s%11s |%8s%9s%8s%8s%10s |%10s%11s\n", "ranks", "nodes",
                "step, ms", "low", "high", "speed-up", "efficiency", "compute", "exchange",
                "update", "data", "imbalance", "predicted", "error");
}

/* ---- rows ----------------------------------------------------------------------------------- */

static void add_row(const ls_scale_point *point, ls_text *text) {
    static const int widths[LS_SCALE_PHASES] = {8, 9, 8, 8, 10};
    ls_text_add(text, "%6d%6d", point->size.ranks, point->size.nodes);
    add_ms(text, 10, point->step.median);
    add_ms(text, 8, point->step.low);
    add_ms(text, 8, point->step.high);
    ls_text_add(text, "%10.2f%9.1f %% |", point->speedup, 100 * point->efficiency);
    for (int phase = 0; phase < LS_SCALE_PHASES; phase++)
        add_ms(text, widths[phase], point->phase[phase]);
    ls_text_add(text, " |");
    add_ms(text, 10, point->predicted);
    if (isnan(point->error))
        ls_text_add(text, "%11s\n", "-");
    else
        ls_text_add(text, "%+9.1f %%\n", 100 * point->error);
}

static int by_value(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* How good the predictions were. */
static void add_errors(const ls_scale_point *points, size_t count, ls_text *text) {
    double errors[LS_SCALE_LIMIT];
    int used = 0;
    for (size_t i = 0; i < count && used < LS_SCALE_LIMIT; i++)
        if (!isnan(points[i].error))
            errors[used++] = fabs(points[i].error);
    if (used == 0)
        return;
    qsort(errors, (size_t)used, sizeof *errors, by_value);
    ls_text_add(text, "predicted from the smaller sizes: median error %.1f %%, largest %.1f %%\n",
                50 * (errors[(used - 1) / 2] + errors[used / 2]), 100 * errors[used - 1]);
}

static void add_mode(const ls_scale_study *study, ls_scale_mode mode, ls_text *text) {
    size_t count;
    const ls_scale_point *points = ls_scale_mode_points(study, mode, &count);
    if (count == 0)
        return;
    add_heading(study, points, count, text);
    for (size_t i = 0; i < count; i++)
        add_row(&points[i], text);
    add_errors(points, count, text);
    ls_scale_add_target(study, points, count, text);
}

/* Repeats and confidence of the point that has least of them. */
static const ls_scale_point *least_repeats(const ls_scale_study *study) {
    const ls_scale_point *least = &study->points[0];
    for (size_t i = 1; i < study->point_count; i++)
        if (study->points[i].repeats < least->repeats)
            least = &study->points[i];
    return least;
}

void ls_scale_table(const ls_scale_study *study, ls_text *text) {
    if (study->point_count == 0)
        return;
    const ls_scale_point *least = least_repeats(study);
    ls_text_add(text,
                "%s: %lld repeat%s of %lld steps after %d to warm up; medians, low to high with "
                "%.1f %% confidence\n",
                study->about, (long long)least->repeats, plural(least->repeats),
                (long long)study->steps, LS_SCALE_WARM_UP, 100 * least->step.confidence);
    for (int mode = 0; mode < LS_SCALE_MODES; mode++)
        add_mode(study, (ls_scale_mode)mode, text);
}
