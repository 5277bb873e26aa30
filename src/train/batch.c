/* Batches: which samples a slice takes, their plans, and the results that slices report. */
#include <string.h>

#include "train/batch.h"
#include "train/constant.h"
#include "train/engine.h"

int64_t ls_batch_samples(const ls_engine *engine, int64_t count, int64_t batch) {
    int64_t size = engine->config->batch.size, rest = count - batch * size;
    return rest < size ? rest : size;
}

/* Whether a batch gives a batch norm a single value per channel in a slice: its output would be
 * the shift, whatever the sample. */
static bool starves_norm(const ls_net *net, int64_t slices, int64_t samples, const char **layer) {
    int64_t smallest = samples / slices; /* that has any */
    return ls_net_norm_values(net, layer) == 1 && smallest < 2;
}

int64_t ls_batch_count(const ls_batch_config *batch, const ls_net *net, int64_t samples) {
    const char *layer;
    int64_t full = samples / batch->size, rest = samples % batch->size;
    bool drop = batch->drop_last || (full > 0 && starves_norm(net, batch->slices, rest, &layer));
    return rest > 0 && !drop ? full + 1 : full;
}

ls_status ls_train_steps_per_epoch(const ls_config *config, const ls_shape *shape, int64_t samples,
                                   int64_t *steps) {
    ls_net *net;
    LS_TRY(ls_net_create(&config->model, shape, 0, LS_COMPUTE_FLOAT32, &net));
    *steps = ls_batch_count(&config->batch, net, samples);
    ls_net_free(net);
    return LS_OK;
}

static ls_status check_full_batch(const ls_engine *engine) {
    int64_t samples = ls_batch_samples(engine, ls_data_count(engine->train), 0);
    const char *layer;
    if (!starves_norm(engine->net, engine->slices, samples, &layer))
        return LS_OK;
    if (samples < 2)
        return ls_fail(LS_ERR_INPUT,
                       "batch norm '%s' needs 2 values per channel in a slice, and gets 1: "
                       "expected batch.size 2 or more",
                       layer);
    return ls_fail(LS_ERR_INPUT,
                   "batch norm '%s' needs 2 values per channel in a slice: a batch of %lld samples "
                   "in batch.slices %d leaves it 1; expected batch.slices %lld or less, or "
                   "batch.size %lld or more",
                   layer, (long long)samples, engine->slices, (long long)samples / 2,
                   2 * (long long)engine->slices);
}

static bool all_frozen(const ls_engine *engine) {
    for (size_t i = 0; i < ls_net_param_count(engine->net); i++) {
        ls_param_role role = ls_net_param(engine->net, i)->role;
        if (role != LS_PARAM_MEAN && role != LS_PARAM_VARIANCE && !engine->weights->frozen[i])
            return false;
    }
    return true;
}

static void tell_dropped(const ls_engine *engine) {
    int64_t count = ls_data_count(engine->train), size = engine->config->batch.size;
    const char *layer;
    if (ls_comm_rank(engine->comm) != 0 || count <= engine->steps_per_epoch * size)
        return;
    if (engine->config->batch.drop_last)
        ls_log(LS_LOG_NORMAL,
               "the last %lld of %lld samples of each epoch are left out, as "
               "batch.drop_last says",
               (long long)(count % size), (long long)count);
    else if (starves_norm(engine->net, engine->slices, count % size, &layer))
        ls_warn("the last batch of each epoch, %lld sample%s, is left out: in %d slices it would "
                "leave batch norm '%s' a single value per channel",
                (long long)(count % size), count % size == 1 ? "" : "s", engine->slices, layer);
}

ls_status ls_batches_check(ls_engine *engine) {
    const ls_config *config = engine->config;
    if (engine->steps_per_epoch == 0)
        return ls_fail(LS_ERR_INPUT,
                       "batch.drop_last leaves no batch: there are %lld training samples, and "
                       "batch.size is %lld",
                       (long long)ls_data_count(engine->train), (long long)config->batch.size);
    LS_TRY(check_full_batch(engine));
    if (all_frozen(engine))
        return ls_fail(LS_ERR_INPUT, "frozen: %s leaves no layer to train", config->frozen);
    if (!engine->batches->checked)
        tell_dropped(engine);
    engine->batches->checked = true;
    return LS_OK;
}

/* ---- plans ---------------------------------------------------------------------------------- */

ls_status ls_batches_create(size_t longest, ls_batches **batches) {
    ls_batches *made = NULL;
    LS_TRY(LS_NEW(made, 1));
    if (LS_NEW(made->ids, longest) != LS_OK) {
        ls_free(made);
        return LS_ERR_SYSTEM;
    }
    *batches = made;
    return LS_OK;
}

static void free_plan(ls_batch_plan *plan) {
    ls_plan_free(plan->plan);
    ls_free(plan->slice);
    *plan = (ls_batch_plan){0};
}

void ls_batches_free(ls_batches *batches) {
    if (batches == NULL)
        return;
    for (int i = 0; i < PLAN_LIMIT; i++)
        free_plan(&batches->plans[i]);
    ls_free(batches->ids);
    ls_free(batches);
}

static ls_status make_plan(ls_engine *engine, ls_mode mode, int64_t samples, ls_batch_plan *made) {
    int slots = 0, most = engine->end_slice - engine->first_slice;
    int64_t *counts = NULL, first;
    ls_status status = LS_OK;
    LS_TRY_GOTO(done, LS_NEW(made->slice, (size_t)most));
    LS_TRY_GOTO(done, LS_NEW(counts, (size_t)most));
    for (int slice = engine->first_slice; slice < engine->end_slice; slice++) {
        ls_slice_samples(samples, engine->slices, slice, &first, &counts[slots]);
        if (counts[slots] > 0)
            made->slice[slots++] = slice;
    }
    if (slots > 0)
        LS_TRY_GOTO(done, ls_plan_create(engine->net, mode, slots, counts, &made->plan));
    made->mode = mode;
    made->samples = samples;
done:
    ls_free(counts);
    if (status != LS_OK) {
        ls_free(made->slice);
        made->slice = NULL;
    }
    return status;
}

/* Where a plan for such batches is; otherwise a free place, or that of the plan that was wanted
 * longest ago, which goes. */
static ls_batch_plan *find_place(ls_engine *engine, ls_mode mode, int64_t samples) {
    ls_batch_plan *oldest = &engine->batches->plans[0];
    for (int i = 0; i < PLAN_LIMIT; i++) {
        ls_batch_plan *at = &engine->batches->plans[i];
        if (at->samples == 0 || (at->samples == samples && at->mode == mode))
            return at;
        if (at->used < oldest->used)
            oldest = at;
    }
    free_plan(oldest);
    return oldest;
}

ls_status ls_batch_plan_get(ls_engine *engine, ls_mode mode, int64_t samples,
                            const ls_batch_plan **plan) {
    ls_batch_plan *place = find_place(engine, mode, samples);
    if (place->samples == 0)
        LS_TRY(
            ls_memory_for(make_plan(engine, mode, samples, place),
                          "the activations of a batch: batch.size, or a layer, may be too large"));
    place->used = ++engine->batches->calls;
    *plan = place;
    return LS_OK;
}

int ls_batch_slots(const ls_batch_plan *plan) {
    return plan->plan ? ls_plan_slots(plan->plan) : 0;
}

static uint64_t sample_at(const ls_engine *engine, const ls_data *data, int64_t epoch,
                          int64_t place) {
    if (epoch < 0 || engine->config->data.shuffle == LS_SHUFFLE_FALSE)
        return (uint64_t)place;
    return ls_order((uint64_t)engine->config->seed, (uint32_t)epoch, (uint64_t)ls_data_count(data),
                    (uint64_t)place);
}

static void fill_targets(const ls_engine *engine, const ls_data *data, ls_plan *plan, int slot,
                         int64_t count) {
    if (ls_data_outputs(data) == 0) /* has no targets: nobody looks at the loss */
        return;
    if (ls_data_is_classes(data)) {
        ls_data_classes(data, engine->batches->ids, count, ls_plan_classes(plan, slot));
        return;
    }
    float *targets = ls_plan_targets(plan, slot); /* (count, outputs) */
    ls_data_targets(data, &engine->target_norm, engine->batches->ids, count, targets);
}

int64_t ls_batch_chunk(const ls_engine *engine) {
    const int64_t chosen = engine->config->data.shuffle_chunk;
    return chosen == LS_AUTO ? ls_data_chunk(engine->train) : chosen;
}

/* ---- the samples of a rank, batch after batch ----------------------------------------------- */

static ls_windows windows_of(const ls_engine *engine) {
    const ls_config *config = engine->config;
    return (ls_windows){.seed = (uint64_t)config->seed,
                        .count = ls_data_count(engine->train),
                        .batch = config->batch.size,
                        .slices = engine->slices,
                        .chunk = ls_batch_chunk(engine),
                        .window = config->data.shuffle_window};
}

/* Of one slice of a batch of `samples`. */
static int64_t slice_ids(const ls_engine *engine, const ls_data *data, int64_t epoch, int64_t batch,
                         int64_t samples, int slice, uint64_t *ids) {
    int64_t first, count;
    ls_slice_samples(samples, engine->slices, slice, &first, &count);
    if (epoch >= 0 && engine->config->data.shuffle == LS_SHUFFLE_WINDOW) {
        const ls_windows windows = windows_of(engine);
        ls_windows_samples(&windows, (uint32_t)epoch, batch, slice, count, ids);
        return count;
    }
    first += batch * engine->config->batch.size;
    for (int64_t i = 0; i < count; i++)
        ids[i] = sample_at(engine, data, epoch, first + i);
    return count;
}

static int64_t batch_ids(const ls_engine *engine, const ls_data *data, int rank, int64_t epoch,
                         int64_t batch, int64_t samples, uint64_t *ids) {
    int64_t count = 0;
    int first, end;
    ls_slice_range(engine->slices, ls_comm_size(engine->comm), rank, &first, &end);
    for (int slice = first; slice < end; slice++)
        count += slice_ids(engine, data, epoch, batch, samples, slice, ids + count);
    return count;
}

/* A turn is a step, counted from the start of epoch 0. */
static int64_t train_ids(const void *context, int64_t what, int rank, int64_t turn, uint64_t *ids) {
    const ls_engine *engine = context;
    const int64_t batch = turn % engine->steps_per_epoch;
    const int64_t samples = ls_batch_samples(engine, ls_data_count(engine->train), batch);
    (void)what;
    return batch_ids(engine, engine->train, rank, turn / engine->steps_per_epoch, batch, samples,
                     ids);
}

/* A turn is a batch in the order of the dataset.  what: samples of one that is cut short, 0: of
 * none. */
static int64_t judge_ids(const ls_engine *engine, const ls_data *data, int64_t what, int rank,
                         int64_t turn, uint64_t *ids) {
    const int64_t samples = ls_batch_samples(engine, ls_data_count(data), turn);
    return batch_ids(engine, data, rank, -1, turn, what > 0 && what < samples ? what : samples,
                     ids);
}

static int64_t validation_ids(const void *context, int64_t what, int rank, int64_t turn,
                              uint64_t *ids) {
    const ls_engine *engine = context;
    return judge_ids(engine, engine->validation, what, rank, turn, ids);
}

static int64_t test_ids(const void *context, int64_t what, int rank, int64_t turn, uint64_t *ids) {
    const ls_engine *engine = context;
    return judge_ids(engine, engine->test, what, rank, turn, ids);
}

ls_status ls_batch_begin(const ls_engine *engine, const ls_data *data, int64_t samples,
                         int64_t epoch, int64_t batch) {
    const int64_t size = engine->config->batch.size, count = ls_data_count(data);
    ls_turns turns = {.ids = train_ids, .context = engine, .most = size};
    if (epoch >= 0)
        return ls_data_begin(data, &turns, epoch * engine->steps_per_epoch + batch);
    turns.ids = data == engine->test ? test_ids : validation_ids;
    turns.period = (count + size - 1) / size;
    turns.what = samples == ls_batch_samples(engine, count, batch) ? 0 : samples;
    return ls_data_begin(data, &turns, batch);
}

ls_status ls_batch_fill(ls_engine *engine, const ls_batch_plan *plan, const ls_data *data,
                        int64_t epoch, int64_t batch) {
    for (int slot = 0; slot < ls_batch_slots(plan); slot++) {
        const int64_t count = slice_ids(engine, data, epoch, batch, plan->samples,
                                        plan->slice[slot], engine->batches->ids);
        memcpy(ls_plan_sample_ids(plan->plan, slot), engine->batches->ids,
               (size_t)count * sizeof(uint64_t));
        float *inputs = ls_plan_input(plan->plan, slot); /* (count, C, [D,] [H,] [W]) */
        LS_TRY(ls_data_inputs(data, &engine->norm, engine->batches->ids, count, inputs));
        if (plan->mode == LS_MODE_TRAIN)
            ls_augment_apply(&engine->augment, (uint64_t)engine->config->seed, (uint32_t)epoch,
                             ls_data_shape(data), engine->batches->ids, count, engine->background,
                             inputs);
        fill_targets(engine, data, plan->plan, slot, count);
    }
    return LS_OK;
}

void ls_batch_publish(ls_engine *engine, const ls_batch_plan *plan, ls_status status) {
    for (int slice = engine->first_slice; slice < engine->end_slice; slice++)
        *(ls_forward_row *)ls_gather_mine(engine->control->rows, slice) =
            (ls_forward_row){.stop_requested = engine->control->stop_requested, .status = status};
    for (int slot = 0; status == LS_OK && slot < ls_batch_slots(plan); slot++) {
        ls_slice_result result = ls_plan_result(plan->plan, slot);
        ls_forward_row *row = ls_gather_mine(engine->control->rows, plan->slice[slot]);
        row->loss = result.loss;
        row->constant = ls_constant_loss(engine, plan, slot);
        row->correct = result.correct;
    }
}
