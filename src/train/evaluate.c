/* Evaluation over a split: every sample once.  Each slice's sums over the batches are gathered in
 * the end, and added in slice order; counts are integers: the same bits on any layout. */
#include <math.h>
#include <string.h>

#include "train/constant.h"
#include "train/engine.h"
#include "train/evaluate.h"
#include "train/metrics.h"

/* What is added up, batch after batch. */
typedef struct ls_tally {
    const ls_data *data;
    ls_gather *rows; /* of each slice, doubles: as sums */
    double *sums; /* loss, correct samples; of a regression in full the squared, then the absolute
                     errors of each output; of all slices in the end */
    size_t sum_count;
    /* Only in a full evaluation: */
    int64_t outputs;
    int64_t *confusion; /* of this rank's slices, then of all; NULL: not wanted */
    int64_t top;        /* the same */
    int64_t *classes;   /* the same: samples, taken, hits (metrics.h), (3, outputs) */
    double *sample;     /* regression: a sample's outputs, its targets; else NULL */
} ls_tally;

enum { SUM_LOSS, SUM_CORRECT, SUM_ERRORS }; /* places in the sums */

/* ---- one batch ------------------------------------------------------------------------------ */

ls_status ls_batch_evaluate(ls_engine *engine, const ls_data *data, int64_t samples, int64_t batch,
                            const ls_batch_plan **plan) {
    LS_TRY(ls_batch_plan_get(engine, LS_MODE_EVALUATE, samples, plan));
    LS_TRY(ls_batch_fill(engine, *plan, data, -1, batch));
    return (*plan)->plan ? ls_plan_forward((*plan)->plan, 0, 0) : LS_OK;
}

static void count_classes(ls_tally *tally, const ls_batch_plan *plan) {
    const int64_t classes = tally->outputs;
    for (int slot = 0; slot < ls_batch_slots(plan); slot++) {
        const float *z = ls_plan_output(plan->plan, slot);
        const int32_t *target = ls_plan_classes(plan->plan, slot);
        for (int64_t n = 0; n < ls_plan_samples(plan->plan, slot); n++, z += classes) {
            const int64_t best = ls_best_class(classes, z);
            tally->top += ls_is_among_top(classes, z, target[n], LS_TOP);
            tally->classes[target[n]]++;
            tally->classes[classes + best]++;
            tally->classes[2 * classes + best] += target[n] == best;
            if (tally->confusion)
                tally->confusion[target[n] * classes + best]++;
        }
    }
}

/* In the data's own units, as the outputs are predicted. */
static void add_slot_errors(const ls_engine *engine, const ls_tally *tally,
                            const ls_batch_plan *plan, int slot, double *errors) {
    const int64_t outputs = tally->outputs;
    const uint64_t *ids = ls_plan_sample_ids(plan->plan, slot);
    const float *z = ls_plan_output(plan->plan, slot);
    double *y = tally->sample, *target = y + outputs;
    const bool in_double = engine->in_double;
    for (int64_t n = 0; n < ls_plan_samples(plan->plan, slot); n++) {
        ls_normalization_undo(&engine->target_norm, in_double, 1, z + n * outputs, y);
        ls_data_target_values(tally->data, &ids[n], 1, target);
        ls_errors_add(outputs, y, target, errors, errors + outputs);
    }
}

static ls_status add_batch(ls_engine *engine, int64_t samples, int64_t batch, ls_tally *tally) {
    const ls_batch_plan *plan;
    LS_TRY(ls_batch_evaluate(engine, tally->data, samples, batch, &plan));
    for (int slot = 0; slot < ls_batch_slots(plan); slot++) {
        double *row = ls_gather_mine(tally->rows, plan->slice[slot]);
        ls_slice_result result = ls_plan_result(plan->plan, slot);
        row[SUM_LOSS] += result.loss;
        row[SUM_CORRECT] += (double)result.correct;
        if (tally->sample)
            add_slot_errors(engine, tally, plan, slot, row + SUM_ERRORS);
    }
    if (tally->classes)
        count_classes(tally, plan);
    return LS_OK;
}

/* Of the first `count` samples, a batch at a time: this rank's slices.  `status`: so far. */
static ls_status add_own(ls_engine *engine, int64_t count, ls_tally *tally, ls_status status) {
    for (int64_t batch = 0; batch * engine->config->batch.size < count; batch++) {
        const int64_t samples = ls_batch_samples(engine, count, batch);
        const ls_status begun = ls_batch_begin(engine, tally->data, samples, -1, batch);
        status = status == LS_OK ? begun : status;
        if (status == LS_OK)
            status = add_batch(engine, samples, batch, tally);
    }
    return status;
}

static ls_status make_rows(const ls_engine *engine, ls_tally *tally) {
    tally->sum_count = SUM_ERRORS + (tally->sample ? 2 * (size_t)tally->outputs : 0);
    LS_TRY(LS_NEW(tally->sums, tally->sum_count));
    return ls_gather_create(engine->comm, engine->slices, tally->sum_count * sizeof(double),
                            &tally->rows);
}

/* The sums over the first `count` samples, on all ranks. */
static ls_status add_samples(ls_engine *engine, int64_t count, ls_tally *tally) {
    ls_comm *comm = engine->comm;
    LS_TRY(ls_comm_check(comm));
    LS_TRY(ls_comm_agree(comm, add_own(engine, count, tally, make_rows(engine, tally))));
    LS_TRY(ls_gather_start(tally->rows));
    LS_TRY(ls_gather_wait(tally->rows));
    for (int slice = 0; slice < engine->slices && ls_comm_rank(comm) == 0; slice++) {
        const double *row = ls_gather_row(tally->rows, slice);
        for (size_t i = 0; i < tally->sum_count; i++)
            tally->sums[i] += row[i];
    }
    LS_TRY(ls_comm_broadcast(comm, tally->sums, tally->sum_count * sizeof(double), 0));
    if (isnan(tally->sums[SUM_LOSS]))
        tally->sums[SUM_LOSS] = (double)NAN; /* of either sign: "-nan" is for nobody */
    return LS_OK;
}

static void free_tally(ls_tally *tally) {
    ls_gather_free(tally->rows);
    ls_free(tally->sums);
    ls_free(tally->sample);
    ls_free(tally->classes);
    ls_free(tally->confusion);
}

const char *ls_split_name(ls_split split) {
    static const char *const names[LS_SPLIT_COUNT] = {"validation", "test"};
    return names[split];
}

bool ls_engine_judge(const ls_engine *engine, ls_split *split) {
    *split = engine->validation ? LS_SPLIT_VALIDATION : LS_SPLIT_TEST;
    return engine->validation || engine->test;
}

ls_status ls_split_data(const ls_engine *engine, ls_split split, const ls_data **data) {
    *data = split == LS_SPLIT_TEST ? engine->test : engine->validation;
    return *data ? LS_OK
                 : ls_fail(LS_ERR_INPUT, "data.%s_inputs is none: there is no %s split",
                           ls_split_name(split), ls_split_name(split));
}

static bool has_classes(const ls_engine *engine) {
    return engine->classes;
}

static int64_t samples_of(const ls_data *data, int64_t wanted) {
    int64_t count = ls_data_count(data);
    return wanted > 0 && wanted < count ? wanted : count;
}

ls_status ls_engine_evaluate(ls_engine *engine, ls_split split, int64_t samples, double *loss,
                             double *accuracy) {
    ls_tally tally = {0};
    LS_TRY(ls_split_data(engine, split, &tally.data));
    int64_t count = samples_of(tally.data, samples);
    ls_status status = add_samples(engine, count, &tally);
    if (status == LS_OK) {
        const double *sums = tally.sums;
        *loss = sums[SUM_LOSS] / (double)count;
        *accuracy = has_classes(engine) ? sums[SUM_CORRECT] / (double)count : (double)NAN;
    }
    free_tally(&tally);
    return status;
}

/* What a slice of a batch gave. */
typedef struct ls_gain_row {
    double gain; /* mean over its samples; NaN: it has none, or failed */
} ls_gain_row;

static ls_status own_gains(ls_engine *engine, const ls_data *data, int64_t batch, ls_gather *rows) {
    const ls_batch_plan *plan;
    for (int slice = engine->first_slice; slice < engine->end_slice; slice++)
        ((ls_gain_row *)ls_gather_mine(rows, slice))->gain = (double)NAN;
    const int64_t samples = ls_batch_samples(engine, ls_data_count(data), batch);
    LS_TRY(ls_batch_begin(engine, data, samples, -1, batch));
    LS_TRY(ls_batch_plan_get(engine, LS_MODE_TRAIN, samples, &plan));
    LS_TRY(ls_batch_fill(engine, plan, data, -1, batch));
    if (plan->plan)
        LS_TRY(ls_plan_forward(plan->plan, (uint64_t)engine->config->seed, 0));
    for (int slot = 0; slot < ls_batch_slots(plan); slot++) {
        ls_gain_row *row = ls_gather_mine(rows, plan->slice[slot]);
        row->gain = (ls_constant_loss(engine, plan, slot) - ls_plan_result(plan->plan, slot).loss) /
                    (double)ls_plan_samples(plan->plan, slot);
    }
    return LS_OK;
}

/* Rank 0. */
static void add_gains(const ls_engine *engine, const ls_gather *rows, double *gain, double *noise) {
    double sum = 0, count = 0;
    for (int slice = 0; slice < engine->slices; slice++) {
        const ls_gain_row *row = ls_gather_row(rows, slice);
        engine->control->slice_gain[slice] = row->gain;
        sum += isnan(row->gain) ? 0 : row->gain;
        count += !isnan(row->gain);
    }
    *gain = sum / count;
    *noise = ls_slice_noise((size_t)engine->slices, engine->control->slice_gain);
}

ls_status ls_engine_gain(ls_engine *engine, ls_split split, int64_t batch, double *gain,
                         double *noise) {
    const ls_data *data;
    ls_gather *rows = NULL;
    LS_TRY(ls_split_data(engine, split, &data));
    ls_status status = ls_gather_create(engine->comm, engine->slices, sizeof(ls_gain_row), &rows);
    if (status == LS_OK)
        status = own_gains(engine, data, batch, rows);
    status = ls_comm_agree(engine->comm, status);
    if (status == LS_OK)
        status = ls_gather_start(rows);
    if (status == LS_OK)
        status = ls_gather_wait(rows);
    if (status == LS_OK && ls_comm_rank(engine->comm) == 0)
        add_gains(engine, rows, gain, noise);
    ls_gather_free(rows);
    return status;
}

/* ---- all that can be said ------------------------------------------------------------------- */

static ls_status make_tally(const ls_engine *engine, ls_tally *tally) {
    int64_t outputs = engine->outputs;
    size_t values = (size_t)outputs;
    tally->outputs = outputs;
    if (has_classes(engine)) {
        LS_TRY(LS_NEW(tally->classes, 3 * values));
        return outputs <= LS_CONFUSION_LIMIT ? LS_NEW(tally->confusion, values * values) : LS_OK;
    }
    return LS_NEW(tally->sample, 2 * values);
}

/* Of the targets of the first `count` samples, which every rank can read: sums of their squared
 * deviations from their mean, per output. */
static ls_status measure_targets(const ls_data *data, int64_t count, double *sums) {
    size_t outputs = (size_t)ls_data_outputs(data);
    double *mean = NULL;
    double *target = NULL;
    ls_status status;
    LS_TRY_GOTO(done, LS_NEW(mean, outputs));
    LS_TRY_GOTO(done, LS_NEW(target, outputs));
    for (uint64_t id = 0; id < (uint64_t)count; id++) {
        ls_data_target_values(data, &id, 1, target);
        ls_deviations_add((int64_t)outputs, (int64_t)id + 1, target, mean, sums);
    }
done:
    ls_free(target);
    ls_free(mean);
    return status;
}

/* The errors' sums become RMSE, MAE and R2. */
static ls_status conclude_regression(const ls_tally *tally, ls_evaluation *made) {
    const double *squares = tally->sums + SUM_ERRORS, *absolutes = squares + made->outputs;
    double all = 0, distance = 0, r2 = 0, count = (double)made->samples;
    int64_t defined = 0;
    LS_TRY(LS_NEW(made->output_rmse, (size_t)made->outputs));
    LS_TRY(LS_NEW(made->output_mae, (size_t)made->outputs));
    LS_TRY(LS_NEW(made->output_r2, (size_t)made->outputs));
    LS_TRY(measure_targets(tally->data, made->samples, made->output_r2));
    for (int64_t i = 0; i < made->outputs; i++) {
        made->output_rmse[i] = sqrt(squares[i] / count);
        made->output_mae[i] = absolutes[i] / count;
        made->output_r2[i] = ls_r2(squares[i], made->output_r2[i]);
        all += squares[i];
        distance += absolutes[i];
        if (isnan(made->output_r2[i]))
            continue;
        r2 += made->output_r2[i];
        defined++;
    }
    made->rmse = sqrt(all / (count * (double)made->outputs));
    made->mae = distance / (count * (double)made->outputs);
    made->r2 = defined > 0 ? r2 / (double)defined : (double)NAN;
    return LS_OK;
}

/* The counts of this rank become those of all. */
static ls_status conclude_classes(const ls_engine *engine, ls_tally *tally, ls_evaluation *made) {
    size_t classes = (size_t)made->outputs;
    const int64_t *samples = tally->classes, *taken = samples + classes, *hits = taken + classes;
    LS_TRY(ls_comm_sum_int64(engine->comm, &tally->top, 1));
    LS_TRY(ls_comm_sum_int64(engine->comm, tally->classes, 3 * classes));
    if (tally->confusion)
        LS_TRY(ls_comm_sum_int64(engine->comm, tally->confusion, classes * classes));
    made->confusion = tally->confusion;
    tally->confusion = NULL;
    made->accuracy = tally->sums[SUM_CORRECT] / (double)made->samples;
    made->balanced_accuracy = ls_balanced_accuracy(made->outputs, samples, hits);
    made->macro_f1 = ls_macro_f1(made->outputs, samples, taken, hits);
    if (made->outputs > LS_TOP)
        made->top = (double)tally->top / (double)made->samples;
    return LS_OK;
}

static ls_status evaluate(ls_engine *engine, ls_tally *tally, ls_evaluation *made) {
    LS_TRY(ls_comm_agree(engine->comm, make_tally(engine, tally)));
    LS_TRY(add_samples(engine, made->samples, tally));
    made->outputs = tally->outputs;
    made->loss = tally->sums[SUM_LOSS] / (double)made->samples;
    ls_status status = has_classes(engine) ? conclude_classes(engine, tally, made)
                                           : conclude_regression(tally, made);
    return ls_comm_agree(engine->comm, status);
}

ls_status ls_engine_evaluate_full(ls_engine *engine, ls_split split, int64_t samples,
                                  ls_evaluation *evaluation) {
    const double none = (double)NAN;
    ls_tally tally = {0};
    LS_TRY(ls_split_data(engine, split, &tally.data));
    ls_evaluation made = {.samples = samples_of(tally.data, samples),
                          .accuracy = none,
                          .top = none,
                          .balanced_accuracy = none,
                          .macro_f1 = none,
                          .rmse = none,
                          .mae = none,
                          .r2 = none};
    ls_status status = evaluate(engine, &tally, &made);
    free_tally(&tally);
    if (status != LS_OK) {
        ls_evaluation_free(&made);
        return status;
    }
    *evaluation = made;
    return LS_OK;
}

void ls_evaluation_free(ls_evaluation *evaluation) {
    ls_free(evaluation->confusion);
    ls_free(evaluation->output_rmse);
    ls_free(evaluation->output_mae);
    ls_free(evaluation->output_r2);
    *evaluation = (ls_evaluation){0};
}
