/* slope: where a curve falls, how far and how surely: what Smith's bounds and our recommendation
 * are read off. */
#ifndef LOCKSTEP_LR_FALL_H
#define LOCKSTEP_LR_FALL_H

#include "lockstep/lr.h"

enum { LS_SLOPE_LEAST = 10 }; /* points that support a suggestion */

/* The level of a curve is the running median of its raw values over 2h + 1 points, h a fortieth of
 * the curve, or a twentieth where the fall is not clear of the noise of the narrower one: it looks
 * both ways, so that it does not lag as the smoothed loss does (by 50 points at beta 0.98), and
 * neither a spike nor the height of the diverging tail shifts it. */
typedef struct ls_slope {
    const char *what;    /* "loss" or "accuracy", for messages */
    int64_t count;       /* leading points that are finite */
    bool diverged;       /* what follows them is not finite, or the test was stopped for it */
    const double *lr;    /* of the curve, not owned */
    double *level;       /* owned */
    double *mean;        /* running mean over a fortieth to both sides: a spike counts; owned */
    int64_t h;           /* of the level */
    bool wide;           /* whether h is a twentieth */
    double error;        /* standard error of the level */
    double mean_error;   /* 1.25 times that of the mean */
    double noise;        /* of a value near the bottom */
    int64_t bottom;      /* where the level is smallest before it first clearly rises again */
    double start, depth; /* level at the start, and how far below it the bottom is */
} ls_slope;

/* `values` fall when things improve.  `noise` is the standard error of each value, NULL or NaN
 * where not known: it is then estimated from the second differences. */
ls_status ls_slope_create(const char *what, int64_t count, const double *lr, const double *values,
                          const double *noise, bool diverged, ls_slope *slope);
void ls_slope_free(ls_slope *slope);

/* Whether the level still falls at the last learning rate of a test that was not stopped: over the
 * last tenth of the points by a tenth of the depth, or three standard errors. */
bool ls_slope_is_cut(const ls_slope *slope);

/* False, with the reason, when the curve supports no suggestion. */
bool ls_slope_supports(const ls_slope *slope, char reason[LS_REASON_TEXT]);

/* The bottom's level and `share` of the depth, or three standard errors if that is more. */
double ls_slope_above_bottom(const ls_slope *slope, double share);

/* The last point, from the bottom on, before the running mean leaves its smallest value near the
 * bottom by `rise` (or three standard errors; six where the level is a wide one): training is
 * stable up to there.  The last point of the curve when it never does. */
int64_t ls_slope_edge(const ls_slope *slope, double rise);

/* The first point in [from, to) whose level is at or below `value` (above it: `above`); `to` if
 * none is. */
int64_t ls_slope_first(const ls_slope *slope, int64_t from, int64_t to, bool above, double value);

#endif
