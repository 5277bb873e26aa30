/* Smith's bounds for cyclical learning rates and our own recommendation: lr.h has the rules, and
 * the reasons for them. */
#include <math.h>
#include <stdio.h>

#include "lr/fall.h"
#include "lr/suggest.h"

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

static void recommend(const ls_fall *fall, ls_suggestion *out) {
    double edge = ls_fall_above_bottom(fall, 0.1);
    int64_t fallen = ls_fall_first(fall, 0, fall->bottom, false, edge);
    int64_t rises = ls_fall_first(fall, fall->bottom, fall->count, true, edge);
    double left = fall->lr[fallen], right = fall->lr[rises - 1];
    double inside = pow(left, 0.6) * pow(right, 0.4);
    double most = fmin(right / 6, fall->lr[rises - 4 < 0 ? 0 : rises - 4]);
    ls_suggestion_set(out, fmin(inside, most), -1);
    int length = snprintf(out->reason, LS_REASON_TEXT, "%s the valley from %.2g to %.2g",
                          inside <= most ? "within" : "well below the end of", left, right);
    if (rises == fall->count && !fall->diverged)
        snprintf(out->reason + length, (size_t)(LS_REASON_TEXT - length),
                 "; the loss had not risen by the last point: a larger find_lr.end may show more");
}

void ls_suggest_recommended(const ls_curve *curve, ls_suggestion *out) {
    char reason[LS_REASON_TEXT] = "out of memory";
    ls_fall fall = {0};
    if (ls_fall_create("loss", curve->count, curve->lr, curve->loss, curve->noise, curve->diverged,
                       &fall) == LS_OK &&
        ls_fall_supports(&fall, reason))
        recommend(&fall, out);
    else
        ls_suggestion_refuse(out, "%s", reason);
    ls_fall_free(&fall);
}
