/* All suggestions of a curve, by name. */
#include <stdio.h>

#include "lr/suggest.h"

void ls_suggestion_set(ls_suggestion *suggestion, double value, int64_t index) {
    suggestion->found = true;
    suggestion->noisy = false;
    suggestion->value = value;
    suggestion->index = index;
    suggestion->reason[0] = '\0';
}

void ls_suggestion_refuse(ls_suggestion *suggestion, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(suggestion->reason, sizeof suggestion->reason, format, args);
    va_end(args);
    suggestion->found = false;
    suggestion->value = 0;
    suggestion->noisy = false;
    suggestion->index = -1;
}

const char *ls_suggestion_name(int which) {
    static const char *const names[LS_SUGGEST_COUNT] = {
        [LS_SUGGEST_MINIMUM] = "minimum",        [LS_SUGGEST_STEEP] = "steep",
        [LS_SUGGEST_VALLEY] = "valley",          [LS_SUGGEST_SLIDE] = "slide",
        [LS_SUGGEST_BASE_LR] = "base_lr",        [LS_SUGGEST_MAX_LR] = "max_lr",
        [LS_SUGGEST_RECOMMENDED] = "recommended"};
    return names[which];
}

void ls_suggest(const ls_curve *curve, ls_suggestion out[LS_SUGGEST_COUNT]) {
    for (int i = 0; i < LS_SUGGEST_COUNT; i++) {
        out[i].name = ls_suggestion_name(i);
        ls_suggestion_refuse(&out[i], "not computed");
    }
    ls_suggest_fastai(curve, out);
    ls_suggest_bounds(curve, out);
    ls_suggest_recommended(curve, &out[LS_SUGGEST_RECOMMENDED]);
}
