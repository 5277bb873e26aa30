/* What a network knows beyond the best constant answer: see gain.h, and lr.h for the rule. */
#include "lr/gain.h"

#include <math.h>
#include <stdio.h>

enum { FEWEST = 3 }; /* gains, where their scatter alone says how sure they are */

static const double CLEAR = 3.5; /* standard errors */

static const double ROUNDING = 1e-4; /* of the first loss: less is nothing */

/* What is known of the points of a window. */
typedef struct ls_window {
    int64_t gains, noises; /* that are known */
    double sum, squares;   /* of the gains */
    double variance;       /* sum of the squared noises */
} ls_window;

static int64_t half_width(int64_t count) {
    int64_t h = count / 20;
    return h < 1 ? 1 : h > 250 ? 250 : h;
}

static ls_window look(const ls_curve *curve, int64_t count, int64_t at) {
    const int64_t h = half_width(count);
    ls_window window = {0};
    for (int64_t i = at - h < 0 ? 0 : at - h; i <= at + h && i < count; i++) {
        const double gain = curve->gain[i];
        const double noise = curve->gain_noise ? curve->gain_noise[i] : (double)NAN;
        if (!isfinite(gain))
            continue;
        window.gains++;
        window.sum += gain;
        window.squares += gain * gain;
        if (!isfinite(noise))
            continue;
        window.noises++;
        window.variance += noise * noise;
    }
    return window;
}

/* Of one gain: by the slices, or, where a batch is one slice, by the scatter of the window. */
static double variance_of(const ls_window *window) {
    const double count = (double)window->gains;
    if (2 * window->noises > window->gains)
        return window->variance / (double)window->noises;
    if (window->gains < FEWEST)
        return INFINITY;
    return fmax(0, window->squares - window->sum * window->sum / count) / (count - 1);
}

ls_gain ls_gain_most(const ls_curve *curve, int64_t count) {
    ls_gain most = {(double)NAN, 0};
    double highest = -INFINITY;
    for (int64_t i = 0; i < count; i++) {
        const ls_window window = look(curve, count, i);
        if (window.gains == 0)
            continue;
        const double gains = (double)window.gains;
        const ls_gain gain = {window.sum / gains, sqrt(variance_of(&window) / gains)};
        const double clear = gain.mean - CLEAR * gain.error;
        if (isnan(most.mean) || clear > highest) {
            most = gain;
            highest = clear;
        }
    }
    return most;
}

bool ls_gain_is_clear(const ls_curve *curve, int64_t count) {
    if (curve->gain == NULL)
        return false;
    const ls_gain most = ls_gain_most(curve, count);
    return most.mean > fmax(CLEAR * most.error, ROUNDING * fabs(curve->loss[0]));
}

bool ls_gain_supports(const ls_curve *curve, int64_t count, int64_t bottom,
                      char reason[LS_REASON_TEXT]) {
    if (curve->gain == NULL || look(curve, count, bottom).gains == 0)
        return true;
    if (ls_gain_is_clear(curve, count))
        return true;
    const ls_gain most = ls_gain_most(curve, count);
    snprintf(reason, LS_REASON_TEXT,
             "nothing is learned: the loss never gets clearly below that of the best constant "
             "answer (by %.2g; 3.5 standard errors: %.2g): the targets may not follow from the "
             "inputs, or the network cannot learn",
             most.mean, CLEAR * most.error);
    return false;
}
