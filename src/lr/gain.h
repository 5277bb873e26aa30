/* gain: whether a range test learned anything that the best constant answer does not know. */
#ifndef LOCKSTEP_LR_GAIN_H
#define LOCKSTEP_LR_GAIN_H

#include "lockstep/lr.h"

/* The window of 2h + 1 points whose mean gain stands out most; h is a twentieth of the curve, in
 * 1..250. */
typedef struct ls_gain {
    double mean;  /* of its gains; NaN when there are none */
    double error; /* its standard error */
} ls_gain;

/* Of the first `count` points of the curve, whose gains may be NaN. */
ls_gain ls_gain_most(const ls_curve *curve, int64_t count);

/* Whether that mean is above 3.5 standard errors, and a ten-thousandth of the first loss: something
 * was learned. */
bool ls_gain_is_clear(const ls_curve *curve, int64_t count);

/* False, with the reason, when nothing was.  True as well where the gains near point `bottom`,
 * where the network knew most, are not known. */
bool ls_gain_supports(const ls_curve *curve, int64_t count, int64_t bottom,
                      char reason[LS_REASON_TEXT]);

#endif
