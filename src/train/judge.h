/* train, inside: what the evaluations of a run say: which weights are the best, whether to end. */
#ifndef LOCKSTEP_TRAIN_JUDGE_H
#define LOCKSTEP_TRAIN_JUDGE_H

#include "train/state.h"

extern const ls_score ls_no_score;

/* Collective. */
ls_status ls_score_measure(ls_engine *engine, ls_split split, ls_score *score);

/* Not collective.  What weights are compared by: accuracy, or loss for regression. */
double ls_score_value(const ls_engine *engine, const ls_score *score);
/* Whether a value is better than `best`; NaN: there is none yet. */
bool ls_score_is_better(const ls_engine *engine, double value, double best);

/* Not collective, the same on all ranks.  LS_TRAIN_TARGET or LS_TRAIN_NO_PROGRESS where the
 * evaluations so far say so, otherwise LS_TRAIN_DONE. */
ls_train_end ls_judge_end(const ls_engine *engine, const ls_train_state *state);
/* LS_ERR_INPUT where the run's end hangs on evaluations that it has not. */
ls_status ls_judge_check(const ls_engine *engine);

#endif
