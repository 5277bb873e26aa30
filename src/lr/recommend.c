/* Smith's bounds for cyclical learning rates and our own recommendation: lr.h has the rules, and
 * the reasons for them. */
#include <math.h>
#include <stdio.h>

#include "lr/gain.h"
#include "lr/slope.h"
#include "lr/suggest.h"

static const double SAFE_SHARE = 0.5; /* of the edge of stability */
static const double MOST_LAG = 3;     /* how far below the edge its cause is looked for */

/* What the loss rises by at the edge: of its fall, or of the scatter of single samples' losses. */
static const double RISE_OF_FALL = 0.1, RISE_OF_SCATTER = 0.25;

static void bounds_of(const ls_slope *slope, ls_suggestion *base, ls_suggestion *max) {
    int64_t bottom = slope->bottom;
    double off = fmax(0.1 * slope->depth, 3 * slope->error);
    int64_t begins = ls_slope_first(slope, 0, bottom, false, slope->start - off);
    double slow = ls_slope_above_bottom(slope, 0.05), best = slope->level[begins];
    int64_t ends = begins;
    while (ends < bottom && slope->level[ends] > slow && slope->level[ends + 1] <= best + off) {
        ends++;
        best = fmin(best, slope->level[ends]);
    }
    ls_suggestion_set(base, slope->lr[begins], begins);
    ls_suggestion_set(max, slope->lr[ends], ends);
}

/* The accuracy, when there is one, as a curve that falls. */
static ls_status bounds_fall(const ls_curve *curve, ls_slope *slope) {
    if (curve->accuracy == NULL)
        return ls_slope_create("loss", curve->count, curve->lr, curve->loss, curve->noise,
                               curve->diverged, slope);
    double *falling;
    LS_TRY(LS_NEW(falling, (size_t)curve->count));
    for (int64_t i = 0; i < curve->count; i++)
        falling[i] = -curve->accuracy[i];
    ls_status status =
        ls_slope_create("accuracy", curve->count, curve->lr, falling, NULL, curve->diverged, slope);
    ls_free(falling);
    return status;
}

void ls_suggest_bounds(const ls_curve *curve, ls_suggestion out[LS_SUGGEST_COUNT]) {
    ls_suggestion *base = &out[LS_SUGGEST_BASE_LR], *max = &out[LS_SUGGEST_MAX_LR];
    char reason[LS_REASON_TEXT] = "out of memory";
    ls_slope slope = {0};
    if (bounds_fall(curve, &slope) == LS_OK && ls_slope_supports(&slope, reason)) {
        bounds_of(&slope, base, max);
    } else {
        ls_suggestion_refuse(base, "%s", reason);
        ls_suggestion_refuse(max, "%s", reason);
    }
    ls_slope_free(&slope);
}

/* Where the LR was that the loss at the edge shows: momentum takes 1 / (1 - mu) steps to follow. */
static double before_lag(const ls_slope *slope, int64_t edge, double momentum) {
    const double steps = fmin(rint(1 / (1 - momentum)), 1e9);
    int64_t from = edge - (int64_t)steps;
    double lr = slope->lr[from < 0 ? 0 : from];
    return fmax(lr, slope->lr[edge] / MOST_LAG);
}

static void recommend(const ls_curve *curve, const ls_slope *slope, ls_suggestion *out) {
    const double momentum = curve->momentum, scatter = slope->noise * sqrt((double)curve->batch);
    const double rise = fmax(RISE_OF_FALL * slope->depth, RISE_OF_SCATTER * scatter);
    int64_t edge = ls_slope_edge(slope, rise);
    double at = before_lag(slope, edge, momentum);
    ls_suggestion_set(out, SAFE_SHARE * at, edge);
    int length = snprintf(out->reason, LS_REASON_TEXT,
                          "half of %.2g: the edge of stability, %.2g, "
                          "less the lag of momentum %g",
                          at, slope->lr[edge], momentum);
    if (edge == slope->count - 1 && !slope->diverged)
        snprintf(out->reason + length, (size_t)(LS_REASON_TEXT - length),
                 "; the loss had not risen by the last point: a larger find_lr.end may show more");
}

/* `noisy`: for the length of the test, not for its range. */
static void refuse(const char *reason, bool noisy, ls_suggestion *out) {
    ls_suggestion_refuse(out, "%s", reason);
    out->noisy = noisy;
}

/* Whether something is learned, however noisy the loss. */
static bool gain_is_clear(const ls_curve *curve, const ls_slope *slope) {
    return slope->depth > 0 && slope->count >= LS_SLOPE_LEAST && curve->batch > 0 &&
           ls_gain_is_clear(curve, slope->count);
}

static void judge(const ls_curve *curve, const ls_slope *slope, ls_suggestion *out) {
    char reason[LS_REASON_TEXT];
    if (!ls_slope_supports(slope, reason) && !gain_is_clear(curve, slope))
        refuse(reason, slope->depth > 0, out);
    else if (ls_slope_is_cut(slope))
        ls_suggestion_refuse(out,
                             "the loss still falls at the last learning rate, %g: set "
                             "find_lr.end higher",
                             slope->lr[slope->count - 1]);
    else if (!ls_gain_supports(curve, slope->count, slope->bottom, reason))
        refuse(reason, true, out);
    else
        recommend(curve, slope, out);
}

void ls_suggest_recommended(const ls_curve *curve, ls_suggestion *out) {
    ls_slope slope = {0};
    if (ls_slope_create("loss", curve->count, curve->lr, curve->loss, curve->noise, curve->diverged,
                        &slope) == LS_OK)
        judge(curve, &slope, out);
    else
        ls_suggestion_refuse(out, "out of memory");
    ls_slope_free(&slope);
}
