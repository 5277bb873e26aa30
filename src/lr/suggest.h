/* Setting one suggestion, for the files that make them. */
#ifndef LOCKSTEP_LR_SUGGEST_H
#define LOCKSTEP_LR_SUGGEST_H

#include "lockstep/lr.h"

/* index -1: read off no single point. */
void ls_suggestion_set(ls_suggestion *suggestion, double value, int64_t index);
void ls_suggestion_refuse(ls_suggestion *suggestion, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Fill their places of `out`. */
void ls_suggest_fastai(const ls_curve *curve, ls_suggestion out[LS_SUGGEST_COUNT]);
void ls_suggest_bounds(const ls_curve *curve, ls_suggestion out[LS_SUGGEST_COUNT]);
void ls_suggest_recommended(const ls_curve *curve, ls_suggestion *out);

#endif
