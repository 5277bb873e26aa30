/* Smith's bounds for cyclical learning rates and our own recommendation: lr.h has the rules, and
 * the reasons for them. */
#include <math.h>
#include <stdio.h>

#include "lr/fall.h"
#include "lr/gain.h"
#include "lr/suggest.h"

static const double SAFE_SHARE = 0.5; /* of the edge of stability */
static const double MOST_LAG = 3;     /* how far below the edge its cause is looked for */

static void bounds_of(const ls_fall *fall, ls_suggestion *base, ls_suggestion *max) {
    int64_t bottom = fall->bottom;
    double off = fmax(0.1 * fall->depth, 3 * fall->error);
    int64_t begins = ls_fall_first(fall, 0, bottom, false, fall->start - off);
    double slow = ls_fall_above_bottom(fall, 0.05), best = fall->level[begins];
    int64_t ends = begins;
    while (ends < bottom && fall->level[ends] > slow && fall->level[ends + 1] <= best + off) {
        ends++;
        best = fmin(best, fall->level[ends]);
    }
    ls_suggestion_set(base, fall->lr[begins], begins);
    ls_suggestion_set(max, fall->lr[ends], ends);
}

/* The accuracy, when there is one, as a curve that falls. */
static ls_status bounds_fall(const ls_curve *curve, ls_fall *fall) {
    if (curve->accuracy == NULL)
        return ls_fall_create("loss", curve->count, curve->lr, curve->loss, curve->noise,
                              curve->diverged, fall);
    double *falling;
    LS_TRY(LS_NEW(falling, (size_t)curve->count));
    for (int64_t i = 0; i < curve->count; i++)
        falling[i] = -curve->accuracy[i];
    ls_status status =
        ls_fall_create("accuracy", curve->count, curve->lr, falling, NULL, curve->diverged, fall);
    ls_free(falling);
    return status;
}

void ls_suggest_bounds(const ls_curve *curve, ls_suggestion out[LS_SUGGEST_COUNT]) {
    ls_suggestion *base = &out[LS_SUGGEST_BASE_LR], *max = &out[LS_SUGGEST_MAX_LR];
    char reason[LS_REASON_TEXT] = "out of memory";
    ls_fall fall = {0};
    if (bounds_fall(curve, &fall) == LS_OK && ls_fall_supports(&fall, reason)) {
        bounds_of(&fall, base, max);
    } else {
        ls_suggestion_refuse(base, "%s", reason);
        ls_suggestion_refuse(max, "%s", reason);
    }
    ls_fall_free(&fall);
}

/* Where the LR was that the loss at the edge shows: momentum takes 1 / (1 - mu) steps to follow. */
static double before_lag(const ls_fall *fall, int64_t edge, double momentum) {
    const double steps = fmin(rint(1 / (1 - momentum)), 1e9);
    int64_t from = edge - (int64_t)steps;
    double lr = fall->lr[from < 0 ? 0 : from];
    return fmax(lr, fall->lr[edge] / MOST_LAG);
}

static void recommend(const ls_fall *fall, double momentum, ls_suggestion *out) {
    int64_t edge = ls_fall_edge(fall, 0.1);
    double at = before_lag(fall, edge, momentum);
    ls_suggestion_set(out, SAFE_SHARE * at, edge);
    int length = snprintf(out->reason, LS_REASON_TEXT,
                          "half of %.2g: the edge of stability, %.2g, "
                          "less the lag of momentum %g",
                          at, fall->lr[edge], momentum);
    if (edge == fall->count - 1 && !fall->diverged)
        snprintf(out->reason + length, (size_t)(LS_REASON_TEXT - length),
                 "; the loss had not risen by the last point: a larger find_lr.end may show more");
}

/* Where the loss falls within its noise, the loss less that of the best constant answer may do so
 * clearly, if it is known for every point: what the targets scatter is in both.  Its noise is that
 * where it stands out most: at first, when the network answers the same to all, there is none. */
static ls_status fall_of_gain(const ls_curve *curve, const ls_fall *fall, ls_fall *made) {
    const size_t count = (size_t)fall->count;
    const ls_gain most = ls_gain_most(curve, fall->count);
    double *falling;
    LS_TRY(LS_NEW(falling, 2 * count));
    for (size_t i = 0; i < count; i++) {
        falling[i] = -curve->gain[i];
        falling[count + i] = most.noise;
    }
    ls_status status = ls_fall_create("loss", fall->count, curve->lr, falling, falling + count,
                                      fall->diverged, made);
    ls_free(falling);
    return status;
}

static void look_at_gain(const ls_curve *curve, ls_fall *fall) {
    char reason[LS_REASON_TEXT];
    ls_fall other = {0};
    if (!ls_gain_is_clear(curve, fall->count) || fall_of_gain(curve, fall, &other) != LS_OK)
        return;
    if (other.count == fall->count && ls_fall_supports(&other, reason)) {
        ls_fall swap = *fall;
        *fall = other;
        other = swap;
    }
    ls_fall_free(&other);
}

/* `noisy`: for the length of the test, not for its range. */
static void refuse(const char *reason, bool noisy, ls_suggestion *out) {
    ls_suggestion_refuse(out, "%s", reason);
    out->noisy = noisy;
}

static void judge(const ls_curve *curve, ls_fall *fall, ls_suggestion *out) {
    char reason[LS_REASON_TEXT];
    if (!ls_fall_supports(fall, reason) && fall->depth > 0)
        look_at_gain(curve, fall);
    if (!ls_fall_supports(fall, reason))
        refuse(reason, fall->depth > 0, out);
    else if (ls_fall_is_cut(fall))
        ls_suggestion_refuse(out,
                             "the loss still falls at the last learning rate, %g: set "
                             "find_lr.end higher",
                             fall->lr[fall->count - 1]);
    else if (!ls_gain_supports(curve, fall->count, fall->bottom, reason))
        refuse(reason, true, out);
    else
        recommend(fall, curve->momentum, out);
}

void ls_suggest_recommended(const ls_curve *curve, ls_suggestion *out) {
    ls_fall fall = {0};
    if (ls_fall_create("loss", curve->count, curve->lr, curve->loss, curve->noise, curve->diverged,
                       &fall) == LS_OK)
        judge(curve, &fall, out);
    else
        ls_suggestion_refuse(out, "out of memory");
    ls_fall_free(&fall);
}
