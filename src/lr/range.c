/* The range test itself: the ramp of learning rates, the smoothed loss and when to stop.
 * DESIGN.md's rule to the letter; L. N. Smith 2017 and S. Gugger 2018, see lr.h. */
#include <math.h>

#include "lockstep/lr.h"

double ls_ramp_lr(ls_ramp_kind kind, double start, double end, int64_t n, int64_t i) {
    if (n <= 1 || i <= 0)
        return start;
    if (i >= n - 1)
        return end; /* exactly: pow need not return end/start for an exponent of 1 times start */
    double share = (double)i / (double)(n - 1);
    return kind == LS_RAMP_LINEAR ? start + (end - start) * share : start * pow(end / start, share);
}

const char *ls_stop_name(ls_stop stop) {
    switch (stop) {
    case LS_STOP_END:
        return "end";
    case LS_STOP_DIVERGED:
        return "diverged";
    case LS_STOP_NOT_FINITE:
        return "not_finite";
    case LS_STOP_NONE:
        break;
    }
    return "none";
}

void ls_range_test_begin(ls_range_test *test, double beta, double stop_factor) {
    *test = (ls_range_test){.beta = beta, .stop_factor = stop_factor};
}

ls_stop ls_range_test_take(ls_range_test *test, double loss) {
    if (!isfinite(loss))
        return LS_STOP_NOT_FINITE;
    double average = test->beta * test->average + (1 - test->beta) * loss;
    double smoothed = average / (1 - pow(test->beta, (double)(test->points + 1)));
    bool first = test->points == 0;
    if (!first && test->stop_factor > 0 && test->best > 0 &&
        smoothed > test->stop_factor * test->best)
        return LS_STOP_DIVERGED;
    test->average = average;
    test->smoothed = smoothed;
    if (first || smoothed < test->best)
        test->best = smoothed;
    test->points++;
    return LS_STOP_NONE;
}
