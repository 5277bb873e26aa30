/* The level of a curve (running median), its noise, and how far it falls: see slope.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lr/slope.h"

enum {
    WIDEST = 250, /* of h: beyond, more points only cost time */
    CLEAR = 5     /* standard errors: in noise, the smallest of 20 levels lies 2 below their mean */
};

static int64_t half_width(int64_t count, bool wide) {
    int64_t h = count / (wide ? 20 : 40);
    return h < 1 ? 1 : h > WIDEST ? WIDEST : h;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median of sorted values. */
static double middle(int64_t count, const double *sorted) {
    return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
}

/* Median; sorts `values`. */
static double median(int64_t count, double *values) {
    qsort(values, (size_t)count, sizeof *values, compare);
    return middle(count, values);
}

/* The first place in a sorted array whose value is not below `value`. */
static int64_t place(int64_t count, const double *sorted, double value) {
    int64_t low = 0, high = count;
    while (low < high) {
        int64_t at = (low + high) / 2;
        if (sorted[at] < value)
            low = at + 1;
        else
            high = at;
    }
    return low;
}

/* level[i] = median of values[i - h .. i + h], cut at the ends.  `window`: room for 2h + 1. */
static void running_median(int64_t count, int64_t h, const double *values, double *window,
                           double *level) {
    int64_t held = 0;
    for (int64_t i = -h; i < count; i++) {
        if (i + h < count) {
            int64_t at = place(held, window, values[i + h]);
            memmove(window + at + 1, window + at, (size_t)(held - at) * sizeof *window);
            window[at] = values[i + h];
            held++;
        }
        if (i - h - 1 >= 0) {
            int64_t at = place(held, window, values[i - h - 1]);
            held--;
            memmove(window + at, window + at + 1, (size_t)(held - at) * sizeof *window);
        }
        if (i >= 0)
            level[i] = middle(held, window);
    }
}

static void running_mean(int64_t count, int64_t h, const double *values, double *mean) {
    double sum = 0;
    int64_t held = 0;
    for (int64_t i = -h; i < count; i++) {
        if (i + h < count) {
            sum += values[i + h];
            held++;
        }
        if (i - h - 1 >= 0) {
            sum -= values[i - h - 1];
            held--;
        }
        if (i >= 0)
            mean[i] = sum / (double)held;
    }
}

/* The noise of one of the first `count` values: the median of those given, or, of independent
 * values on a smooth curve, from d = v[i-1] - 2 v[i] + v[i+1], whose deviation is sqrt(6) times
 * theirs; 0.6745 is the median of |N(0, 1)|.  Medians, because the noise grows where the test
 * diverges. */
static double typical_noise(int64_t count, const double *values, const double *noise,
                            double *room) {
    int64_t known = 0;
    for (int64_t i = 0; noise && i < count; i++)
        if (isfinite(noise[i]))
            room[known++] = noise[i];
    if (known > count / 2)
        return median(known, room);
    if (count < 3)
        return 0;
    for (int64_t i = 1; i + 1 < count; i++)
        room[i - 1] = fabs(values[i - 1] - 2 * values[i] + values[i + 1]);
    return median(count - 2, room) / (0.6745 * sqrt(6));
}

/* Median of the first `count` values. */
static double start_level(int64_t count, const double *values, double *room) {
    memcpy(room, values, (size_t)count * sizeof *room);
    return median(count, room);
}

/* Where the level is smallest before it rises by a quarter of `depth`, once it has fallen by half
 * of it. What comes after is another regime: a network that has broken down may well give a smaller
 * loss than it started with. */
static int64_t first_bottom(const ls_slope *slope, double depth) {
    int64_t bottom = 0;
    for (int64_t i = 1; i < slope->count; i++) {
        double rise = slope->level[i] - slope->level[bottom];
        if (rise < 0)
            bottom = i;
        else if (slope->start - slope->level[bottom] > depth / 2 &&
                 rise > fmax(depth / 4, (CLEAR + 1) * slope->error))
            break;
    }
    return bottom;
}

/* Of one value where the level is least. */
static double noise_at_bottom(const ls_slope *slope, const double *values, const double *noise,
                              double *room) {
    int64_t from = slope->bottom - 2 * slope->h, to = slope->bottom + 2 * slope->h + 1;
    from = from < 0 ? 0 : from;
    to = to > slope->count ? slope->count : to;
    return typical_noise(to - from, values + from, noise ? noise + from : NULL, room);
}

/* Start, bottom, depth and error, once the level is known. */
static void measure(ls_slope *slope, const double *values, const double *noise, double *room) {
    int64_t count = slope->count;
    slope->bottom = 0;
    for (int64_t i = 1; i < count; i++)
        if (slope->level[i] < slope->level[slope->bottom])
            slope->bottom = i;
    int64_t before = slope->bottom + 1 < LS_SLOPE_LEAST ? count : slope->bottom + 1;
    double single = typical_noise(before, values, noise, room);
    /* a median of many values is 1.25 times as uncertain as their mean */
    slope->error = 1.25 * single / sqrt((double)(2 * slope->h + 1));
    if (!slope->wide)
        slope->mean_error = slope->error;
    int64_t few = count < 3 ? count : 3;
    slope->start = start_level(count / 10 < few ? few : count / 10, values, room);
    slope->start = fmin(slope->start, slope->level[0]); /* the loss may rise at once */
    /* or, on a linear ramp, fall within its first points; a median of 3 has 0.67 times their noise
     */
    double first = start_level(few, values, room);
    if (first - slope->start > CLEAR * 0.67 * single)
        slope->start = first;
    slope->bottom = first_bottom(slope, slope->start - slope->level[slope->bottom]);
    slope->depth = slope->start - slope->level[slope->bottom];
    slope->noise = noise_at_bottom(slope, values, noise, room);
}

static bool is_clear(const ls_slope *slope) {
    return slope->depth > CLEAR * slope->error;
}

/* The level over more points where fewer leave its fall within the noise. */
static void look(ls_slope *slope, const double *values, const double *noise, double *room) {
    for (int wide = 0; wide <= 1 && !is_clear(slope); wide++) {
        slope->wide = wide;
        slope->h = half_width(slope->count, wide);
        running_median(slope->count, slope->h, values, room, slope->level);
        if (!wide)
            running_mean(slope->count, slope->h, values, slope->mean);
        measure(slope, values, noise, room);
    }
}

ls_status ls_slope_create(const char *what, int64_t count, const double *lr, const double *values,
                          const double *noise, bool diverged, ls_slope *slope) {
    ls_slope new = {.what = what, .lr = lr};
    while (new.count < count && isfinite(values[new.count]) && isfinite(lr[new.count]))
        new.count++;
    new.diverged = diverged || new.count < count;
    double *room;
    LS_TRY(LS_NEW(room, (size_t)(new.count + 2 * half_width(new.count, true) + 2)));
    if (LS_NEW(new.level, (size_t) new.count) != LS_OK ||
        LS_NEW(new.mean, (size_t) new.count) != LS_OK) {
        ls_free(new.level);
        ls_free(room);
        return LS_ERR_SYSTEM;
    }
    if (new.count > 0)
        look(&new, values, noise, room);
    ls_free(room);
    *slope = new;
    return LS_OK;
}

void ls_slope_free(ls_slope *slope) {
    ls_free(slope->level);
    ls_free(slope->mean);
    *slope = (ls_slope){0};
}

bool ls_slope_is_cut(const ls_slope *slope) {
    const int64_t last = slope->count - 1;
    const double fell = slope->level[last - slope->count / 10] - slope->level[last];
    return !slope->diverged && fell > fmax(0.1 * slope->depth, 3 * slope->error);
}

/* What to set where the range is the reason: nothing happens up to the last learning rate, or the
 * first is too large already.  "" otherwise. */
static void range_hint(const ls_slope *slope, char *hint, size_t size) {
    const double off = fmax(CLEAR * slope->error, 1e-6 * fabs(slope->start));
    const int64_t last = slope->count - 1;
    if (!slope->diverged && slope->level[last] - slope->start <= off)
        snprintf(hint, size,
                 "; nor does it rise up to the last learning rate, %g: set find_lr.end "
                 "higher",
                 slope->lr[last]);
    else if (slope->level[slope->count / 4] - slope->level[0] > off)
        snprintf(hint, size,
                 "; it rises from the first learning rates on, %g: set find_lr.start "
                 "lower",
                 slope->lr[0]);
    else
        hint[0] = '\0';
}

bool ls_slope_supports(const ls_slope *slope, char reason[LS_REASON_TEXT]) {
    char hint[LS_REASON_TEXT / 2] = "";
    if (slope->count >= LS_SLOPE_LEAST)
        range_hint(slope, hint, sizeof hint);
    if (slope->count == 0)
        snprintf(reason, LS_REASON_TEXT, "no finite %s", slope->what);
    else if (slope->count < LS_SLOPE_LEAST)
        snprintf(reason, LS_REASON_TEXT, "only %lld point%s, at least %d are needed: %s",
                 (long long)slope->count, slope->count == 1 ? "" : "s", LS_SLOPE_LEAST,
                 slope->diverged ? "start at a smaller learning rate, by find_lr.start"
                                 : "make the test longer, by find_lr.steps or a smaller batch");
    else if (!(slope->depth > 0))
        snprintf(reason, LS_REASON_TEXT, "the %s never gets better than where it starts%s",
                 slope->what, hint);
    else if (!is_clear(slope))
        snprintf(reason, LS_REASON_TEXT,
                 "the %s gets better by %.2g only, within its noise (5 standard errors: %.2g)%s",
                 slope->what, slope->depth, CLEAR * slope->error, hint);
    else
        return true;
    return false;
}

double ls_slope_above_bottom(const ls_slope *slope, double share) {
    return slope->level[slope->bottom] + fmax(share * slope->depth, 3 * slope->error);
}

int64_t ls_slope_first(const ls_slope *slope, int64_t from, int64_t to, bool above, double value) {
    int64_t i = from;
    while (i < to && (slope->level[i] > value) != above)
        i++;
    return i;
}

int64_t ls_slope_edge(const ls_slope *slope, double rise) {
    int64_t h = slope->h, i = slope->bottom, last = slope->count - 1;
    int64_t from = i - h < 0 ? 0 : i - h, to = i + h > last ? last : i + h;
    double least = slope->wide ? slope->level[i] : slope->mean[i], most;
    /* in much noise the smallest of several means would be a chance, and so may the bottom be */
    const double clear = (slope->wide ? CLEAR + 1 : 3) * slope->mean_error;
    for (int64_t k = from; k <= to && !slope->wide; k++)
        least = fmin(least, slope->mean[k]);
    most = least + fmax(rise, clear);
    while (i < last && slope->mean[i + 1] <= most)
        i++;
    return i;
}
