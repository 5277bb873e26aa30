/* The learning rate that a run begins with, and what is said when it was too large. */
#include <math.h>

#include "train/base_lr.h"
#include "train/engine.h"

ls_status ls_base_lr(ls_engine *engine, const ls_find_lr_job *test, double *lr) {
    const double configured = engine->config->train.lr;
    ls_find_lr_result result;
    if (!isnan(configured)) {
        *lr = configured;
        ls_log(LS_LOG_NORMAL,
               "learning rate %g, as train.lr says; 'train.lr: auto' finds one first", configured);
        return LS_OK;
    }
    ls_log(LS_LOG_NORMAL, "train.lr is auto: the range test comes first");
    LS_TRY(ls_find_lr(engine, test, &result));
    const ls_suggestion *recommended = &result.suggestions[LS_SUGGEST_RECOMMENDED];
    if (!recommended->found)
        return ls_fail(
            LS_ERR_INPUT,
            "the range test recommends no learning rate: %s%s%s; or set train.lr (curve: "
            "%s/find-lr.h5)",
            recommended->reason, result.advice[0] ? "; " : "", result.advice, test->folder);
    *lr = recommended->value;
    ls_log(LS_LOG_NORMAL, "the range test recommends a learning rate of %.3g", *lr);
    return LS_OK;
}

ls_status ls_fail_diverged(const ls_step_report *report, int64_t step) {
    return ls_fail(LS_ERR_NUMERIC, "the loss is %s at step %lld: a smaller learning rate may help",
                   isnan(report->loss) ? "not a number" : "infinite", (long long)step);
}
