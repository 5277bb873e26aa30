/* The model of a scaling study: what the next size is expected to take, phase by phase. */
#include <math.h>

#include "lockstep/scale.h"

#define UNKNOWN_ERROR 0.5        /* where nothing was predicted yet */
#define LEAST_ERROR 0.05         /* what earlier predictions met may be luck */
#define BACKWARD_SHARE (2.0 / 3) /* of compute, where it can hide more than there was to hide */

enum { TERMS = 3 };

/* ---- fits ----------------------------------------------------------------------------------- */

typedef struct equations {
    double matrix[TERMS][TERMS], right[TERMS]; /* of the normal equations */
} equations;

/* The relative error counts: each row is divided by its value. */
static void add_equation(equations *all, const double terms[TERMS], double value) {
    if (!(value > 0))
        return;
    for (int i = 0; i < TERMS; i++) {
        for (int k = 0; k < TERMS; k++)
            all->matrix[i][k] += terms[i] * terms[k] / (value * value);
        all->right[i] += terms[i] / value;
    }
}

/* With the terms of `subset` alone: by Gauss, false where they are not independent. */
static bool solve(const equations *all, unsigned subset, double found[TERMS]) {
    double a[TERMS][TERMS + 1];
    for (int i = 0; i < TERMS; i++) {
        bool used = subset >> i & 1;
        for (int k = 0; k < TERMS; k++)
            a[i][k] = used && (subset >> k & 1) ? all->matrix[i][k] : i == k;
        a[i][TERMS] = used ? all->right[i] : 0;
    }
    for (int i = 0; i < TERMS; i++) {
        if (!(a[i][i] > 1e-9 * all->matrix[i][i] && a[i][i] > 0))
            return false;
        for (int row = 0; row < TERMS; row++) {
            double factor = row == i ? 0 : a[row][i] / a[i][i];
            for (int k = i; k <= TERMS; k++)
                a[row][k] -= factor * a[i][k];
        }
    }
    for (int i = 0; i < TERMS; i++) {
        found[i] = a[i][TERMS] / a[i][i];
        if (found[i] < 0)
            return false;
    }
    return true;
}

/* Of all subsets of the terms with coefficients >= 0, the one with the least squares: there are
 * few. Its cost less that of nothing is -right . found. */
static void fit(const equations *all, double best[TERMS]) {
    double gain = 0;
    best[0] = best[1] = best[2] = 0;
    for (unsigned subset = 1; subset < 1u << TERMS; subset++) {
        double found[TERMS], here = 0;
        if (!solve(all, subset, found))
            continue;
        for (int i = 0; i < TERMS; i++)
            here += all->right[i] * found[i];
        if (here > gain * (1 + 1e-9)) {
            gain = here;
            for (int i = 0; i < TERMS; i++)
                best[i] = found[i];
        }
    }
}

static double dot(const double a[TERMS], const double b[TERMS]) {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/* ---- terms ---------------------------------------------------------------------------------- */

static double per_node(const ls_scale_size *size) {
    return (double)size->ranks / size->nodes;
}

static void update_terms(const ls_scale_size *size, double terms[TERMS]) {
    terms[0] = 1;
    terms[1] = size->crowd / per_node(size);
    terms[2] = 0;
}

static void exchange_terms(const ls_scale_size *size, double terms[TERMS]) {
    double r = per_node(size), k = size->nodes;
    terms[0] = size->buckets * log2(size->ranks);
    terms[1] = size->bytes * (r - 1) / r;
    terms[2] = size->bytes * 2 * (k - 1) / k;
}

/* Relative to the mean: how much more the fullest rank has. */
static double unevenness(const ls_scale_size *size) {
    double s = (double)size->slices / size->ranks;
    return (ceil(s) - s) / s;
}

static double load(const ls_scale_size *size) {
    return (double)size->slices / size->ranks * size->crowd;
}

/* ---- the model ------------------------------------------------------------------------------ */

/* The coefficients of a kind of time over the points of a mode below `ranks`. */
static void fit_points(const ls_scale_point *points, size_t count, ls_scale_mode mode, int ranks,
                       bool update, double found[TERMS]) {
    equations all = {0};
    for (size_t i = 0; i < count; i++) {
        double terms[TERMS];
        if (points[i].size.mode != mode || points[i].size.ranks >= ranks)
            continue;
        if (update)
            update_terms(&points[i].size, terms);
        else
            exchange_terms(&points[i].size, terms);
        if (update || points[i].size.ranks > 1)
            add_equation(&all, terms, update ? points[i].phase[LS_SCALE_UPDATE] : points[i].alone);
    }
    fit(&all, found);
}

static double expected_exchange(const ls_scale_point *last, double alone, double compute) {
    double there = last->alone, exposed = last->phase[LS_SCALE_EXCHANGE];
    if (last->size.ranks == 1 || !(there > 0) || !(alone > 0))
        return alone;
    double last_bucket = there / last->size.buckets;
    double hidden = exposed > 1.5 * last_bucket
                        ? fmax(there - exposed, 0) / last->phase[LS_SCALE_COMPUTE]
                        : BACKWARD_SHARE;
    double least = fmin(exposed, last_bucket) / there;
    double more = fmax(exposed - there, 0); /* waiting beyond the exchange itself */
    return fmax(alone - hidden * compute, least * alone) + more;
}

/* From the points of the mode with fewer ranks. */
static void expect(const ls_scale_point *points, size_t count, const ls_scale_size *next,
                   ls_scale_prediction *made) {
    const ls_scale_point *last = NULL;
    double found[TERMS], terms[TERMS], *phase = made->phase;
    *made = (ls_scale_prediction){.step = NAN, .low = NAN, .high = NAN};
    for (size_t i = 0; i < count; i++)
        if (points[i].size.mode == next->mode && points[i].size.ranks < next->ranks &&
            (last == NULL || points[i].size.ranks > last->size.ranks))
            last = &points[i];
    if (last == NULL)
        return;
    double ratio = load(next) / load(&last->size);
    phase[LS_SCALE_COMPUTE] = last->phase[LS_SCALE_COMPUTE] * ratio;
    phase[LS_SCALE_DATA] = last->phase[LS_SCALE_DATA] * ratio;
    double jitter = last->phase[LS_SCALE_IMBALANCE] / last->phase[LS_SCALE_COMPUTE];
    jitter = fmax(jitter - unevenness(&last->size), 0);
    phase[LS_SCALE_IMBALANCE] = phase[LS_SCALE_COMPUTE] * (unevenness(next) + jitter);
    fit_points(points, count, next->mode, next->ranks, true, found);
    update_terms(next, terms);
    phase[LS_SCALE_UPDATE] = dot(found, terms);
    fit_points(points, count, next->mode, next->ranks, false, found);
    exchange_terms(next, terms);
    phase[LS_SCALE_EXCHANGE] = expected_exchange(last, dot(found, terms), phase[LS_SCALE_COMPUTE]);
    made->step = 0;
    for (int p = 0; p < LS_SCALE_PHASES; p++)
        made->step += phase[p];
}

ls_scale_prediction ls_scale_predict(const ls_scale_point *points, size_t count,
                                     const ls_scale_size *next) {
    ls_scale_prediction made;
    double error = 0, spread = 0;
    int largest = 0;
    bool any = false;
    expect(points, count, next, &made);
    for (size_t i = 0; i < count; i++) {
        ls_scale_prediction earlier;
        if (points[i].size.mode != next->mode || points[i].size.ranks >= next->ranks)
            continue;
        expect(points, count, &points[i].size, &earlier);
        if (isfinite(earlier.step)) {
            any = true;
            error = fmax(error, fabs(points[i].step.median / earlier.step - 1));
        }
        if (points[i].size.ranks > largest) {
            const ls_interval *step = &points[i].step;
            largest = points[i].size.ranks;
            spread = fmax(step->high - step->median, step->median - step->low) / step->median;
        }
    }
    error = fmax(any ? fmax(error, LEAST_ERROR) : UNKNOWN_ERROR, spread);
    made.low = made.step / (1 + error);
    made.high = made.step * (1 + error);
    return made;
}
