/* The four suggestions of fastai's lr_find, read off the smoothed loss.
 * Source: fastai 2, callback/schedule.py; the differences are said in lr.h. */
#include <math.h>

#include "lr/suggest.h"

enum {
    SKIP_END = 5,
    SLIDE_WIDTH = 15 /* points between the ends of the sliding interval */
};
static const double slide_flat = 0.005; /* difference of two slopes that counts as none */

/* The part of a curve that fastai looks at: without the first tenth and the last 5 points, up to
 * the first NaN. */
typedef struct part {
    int64_t first, count;
    const double *lr, *loss; /* of `count` */
} part;

static part part_of(const ls_curve *curve) {
    int64_t first = curve->count / 10, count = 0, most = curve->count - first - SKIP_END;
    while (count < most && !isnan(curve->smoothed[first + count]))
        count++;
    return (part){first, count, curve->lr + first, curve->smoothed + first};
}

static void minimum(const part *p, ls_suggestion *out) {
    int64_t best = 0;
    for (int64_t i = 1; i < p->count; i++)
        if (p->loss[i] < p->loss[best])
            best = i;
    ls_suggestion_set(out, p->lr[best] / 10, p->first + best);
}

static void steep(const part *p, ls_suggestion *out) {
    int64_t best = -1;
    double least = 0;
    for (int64_t i = 0; i + 1 < p->count; i++) {
        double slope = (p->loss[i + 1] - p->loss[i]) / (log(p->lr[i + 1]) - log(p->lr[i]));
        if (!isnan(slope) && (best < 0 || slope < least)) {
            best = i;
            least = slope;
        }
    }
    if (best < 0)
        ls_suggestion_refuse(out, "needs 2 points, there are %lld", (long long)p->count);
    else
        ls_suggestion_set(out, p->lr[best], p->first + best);
}

/* The longest strictly decreasing subsequence by patience sorting: last[k] is the largest value
 * that ends one of k + 1 points, so last[] decreases, and the longest one ending at point i is one
 * longer than the count of last[] above its loss. */
static void valley(const part *p, ls_suggestion *out) {
    double *last;
    if (LS_NEW(last, (size_t)p->count) != LS_OK) {
        ls_suggestion_refuse(out, "out of memory");
        return;
    }
    int64_t longest = 0, end = 0;
    for (int64_t i = 0; i < p->count; i++) {
        int64_t low = 0, high = longest;
        while (low < high) {
            int64_t at = (low + high) / 2;
            if (last[at] > p->loss[i])
                low = at + 1;
            else
                high = at;
        }
        last[low] = p->loss[i];
        if (low == longest) {
            longest++;
            end = i;
        }
    }
    ls_free(last);
    /* floor(m/3) + floor((m/3)/2), in integers; the start may be -1 */
    int64_t index = end - longest + longest / 3 + longest / 6;
    if (index < 0)
        index = 0;
    ls_suggestion_set(out, p->lr[index], p->first + index);
}

/* Index gradient: central, one-sided at the ends. */
static double gradient(const part *p, int64_t i) {
    if (i == 0)
        return p->loss[1] - p->loss[0];
    if (i == p->count - 1)
        return p->loss[i] - p->loss[i - 1];
    return (p->loss[i + 1] - p->loss[i - 1]) / 2;
}

static void slide(const part *p, ls_suggestion *out) {
    if (p->count <= SLIDE_WIDTH) {
        ls_suggestion_refuse(out, "needs %d points, there are %lld", SLIDE_WIDTH + 1,
                             (long long)p->count);
        return;
    }
    int64_t left = p->count - 1 - SLIDE_WIDTH, answer = left;
    while (left >= 0 && fabs(gradient(p, left + SLIDE_WIDTH) - gradient(p, left)) > slide_flat)
        answer = left--;
    ls_suggestion_set(out, p->lr[answer], p->first + answer);
}

void ls_suggest_fastai(const ls_curve *curve, ls_suggestion out[LS_SUGGEST_COUNT]) {
    part p = part_of(curve);
    if (p.count == 0) {
        for (int i = LS_SUGGEST_MINIMUM; i <= LS_SUGGEST_SLIDE; i++)
            ls_suggestion_refuse(
                &out[i],
                "too few points: none of %lld is left without the first tenth, the "
                "last %d and NaN",
                (long long)curve->count, SKIP_END);
        return;
    }
    minimum(&p, &out[LS_SUGGEST_MINIMUM]);
    steep(&p, &out[LS_SUGGEST_STEEP]);
    valley(&p, &out[LS_SUGGEST_VALLEY]);
    slide(&p, &out[LS_SUGGEST_SLIDE]);
}
