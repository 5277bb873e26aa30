/* Prediction: the outputs for the test split in dataset order, gathered batch by batch and written
 * by rank 0; and those of a few samples of the caller, on one rank alone. */
#include <string.h>

#include "lockstep/io.h"
#include "train/engine.h"
#include "train/evaluate.h"
#include "train/metrics.h"
#include "train/splits.h"

typedef struct ls_prediction {
    ls_engine *engine;
    int64_t count, outputs;
    int64_t most; /* samples that a rank has in a batch, at most */
    float *mine;  /* (most, outputs) */
    /* Rank 0: */
    float *all;       /* (ranks, most, outputs) */
    double *values;   /* regression: (batch, outputs) in the data's units */
    int32_t *classes; /* (count); NULL for regression */
    ls_dataset_writer *writer;
} ls_prediction;

/* The samples of a batch of `samples` that rank `rank` has: consecutive ones, in rank order. */
static int64_t samples_of_rank(const ls_engine *engine, int64_t samples, int rank) {
    int first, end;
    int64_t start, stop, count;
    ls_slice_range(engine->slices, ls_comm_size(engine->comm), rank, &first, &end);
    ls_slice_samples(samples, engine->slices, first, &start, &count);
    ls_slice_samples(samples, engine->slices, end - 1, &stop, &count);
    return stop + count - start;
}

static bool has_classes(const ls_prediction *p) {
    return p->engine->classes;
}

static bool in_double(const ls_prediction *p) {
    return p->engine->in_double;
}

/* ---- rank 0: the file ----------------------------------------------------------------------- */

static ls_status note_lines(ls_prediction *p, const char *name, const char *lines) {
    ls_text text = {0};
    ls_lines_write(lines, &text);
    ls_status status = text.failed ? LS_ERR_SYSTEM : ls_dataset_note(p->writer, name, text.data);
    ls_text_free(&text);
    return status;
}

static ls_status open_file(ls_prediction *p, const char *file) {
    const ls_array_info info = {
        in_double(p) ? LS_TYPE_F64 : LS_TYPE_F32, 2, {p->count, p->outputs}};
    const ls_data_config *data = &p->engine->config->data;
    const ls_paths *paths = *data->test_file.lines ? &data->test_file : &data->file;
    LS_TRY(ls_dataset_create(file, &p->writer));
    LS_TRY(ls_dataset_note(p->writer, "values",
                           has_classes(p) ? "class probabilities" : "regression values"));
    LS_TRY(note_lines(p, "inputs_file", paths->lines));
    LS_TRY(note_lines(p, "inputs", data->test_inputs.lines));
    return ls_dataset_array(p->writer, "outputs", &info);
}

/* Moves the ranks' samples together; they are in dataset order then. */
static void close_gaps(const ls_prediction *p, int64_t samples) {
    int64_t row = 0;
    for (int rank = 0; rank < ls_comm_size(p->engine->comm); rank++) {
        int64_t count = samples_of_rank(p->engine, samples, rank);
        memmove(p->all + row * p->outputs, p->all + rank * p->most * p->outputs,
                (size_t)(count * p->outputs) * sizeof *p->all);
        row += count;
    }
}

static void take_classes(ls_prediction *p, int64_t first, int64_t samples) {
    for (int64_t n = 0; n < samples; n++) {
        float *z = p->all + n * p->outputs;
        p->classes[first + n] = (int32_t)ls_best_class(p->outputs, z);
        ls_softmax(p->outputs, z, z);
    }
}

static ls_status write_batch(ls_prediction *p, int64_t first, int64_t samples) {
    close_gaps(p, samples);
    if (has_classes(p)) {
        take_classes(p, first, samples);
        return ls_dataset_append(p->writer, samples, p->all);
    }
    ls_normalization_undo(&p->engine->target_norm, in_double(p), samples, p->all, p->values);
    if (in_double(p))
        return ls_dataset_append(p->writer, samples, p->values);
    for (int64_t i = 0; i < samples * p->outputs; i++)
        p->all[i] = (float)p->values[i];
    return ls_dataset_append(p->writer, samples, p->all);
}

static ls_status finish_file(ls_prediction *p) {
    const ls_array_info info = {LS_TYPE_I32, 1, {p->count}};
    if (has_classes(p)) {
        LS_TRY(ls_dataset_array(p->writer, "predicted_class", &info));
        LS_TRY(ls_dataset_append(p->writer, p->count, p->classes));
    }
    return ls_dataset_finish(p->writer);
}

/* ---- all ranks ------------------------------------------------------------------------------ */

static ls_status open_prediction(ls_prediction *p, const char *file) {
    ls_comm *comm = p->engine->comm;
    int ranks = ls_comm_size(comm);
    for (int rank = 0; rank < ranks; rank++) {
        int64_t count = samples_of_rank(p->engine, p->engine->config->batch.size, rank);
        p->most = count > p->most ? count : p->most;
    }
    size_t values = (size_t)(p->most * p->outputs);
    LS_TRY(LS_NEW(p->mine, values));
    if (ls_comm_rank(comm) != 0)
        return LS_OK;
    LS_TRY(LS_NEW(p->all, (size_t)ranks * values));
    if (has_classes(p))
        LS_TRY(LS_NEW(p->classes, (size_t)p->count));
    else
        LS_TRY(LS_NEW(p->values, (size_t)ranks * values));
    return open_file(p, file);
}

static void close_prediction(ls_prediction *p) {
    ls_dataset_writer_free(p->writer);
    ls_free(p->classes);
    ls_free(p->values);
    ls_free(p->all);
    ls_free(p->mine);
}

/* This rank's outputs of a batch, in dataset order. */
static ls_status compute(ls_prediction *p, int64_t samples, int64_t batch) {
    const ls_batch_plan *plan;
    float *to = p->mine;
    LS_TRY(ls_batch_evaluate(p->engine, p->engine->test, samples, batch, &plan));
    for (int slot = 0; slot < ls_batch_slots(plan); slot++) {
        int64_t samples_here = ls_plan_samples(plan->plan, slot);
        size_t values = (size_t)(samples_here * p->outputs);
        memcpy(to, ls_plan_output(plan->plan, slot), values * sizeof *to);
        to += values;
    }
    return LS_OK;
}

/* Rank 0's trouble with the file is told to the others with the next batch. */
static ls_status predict(ls_prediction *p, const char *file) {
    ls_comm *comm = p->engine->comm;
    int64_t size = p->engine->config->batch.size;
    ls_status status = open_prediction(p, file);
    for (int64_t batch = 0; batch * size < p->count; batch++) {
        int64_t samples = ls_batch_samples(p->engine, p->count, batch);
        const ls_status begun = ls_batch_begin(p->engine, p->engine->test, samples, -1, batch);
        status = status == LS_OK ? begun : status;
        if (status == LS_OK)
            status = compute(p, samples, batch);
        LS_TRY(ls_comm_agree(comm, status));
        LS_TRY(ls_comm_gather(comm, p->mine, (size_t)(p->most * p->outputs) * sizeof *p->mine,
                              p->all));
        if (ls_comm_rank(comm) == 0)
            status = write_batch(p, batch * size, samples);
    }
    if (status == LS_OK && ls_comm_rank(comm) == 0)
        status = finish_file(p);
    return ls_comm_agree(comm, status);
}

ls_status ls_engine_predict(ls_engine *engine, const char *file) {
    const ls_data *test;
    LS_TRY(ls_split_data(engine, LS_SPLIT_TEST, &test));
    ls_prediction p = {.engine = engine, .count = ls_data_count(test), .outputs = engine->outputs};
    ls_status status = predict(&p, file);
    close_prediction(&p);
    return status;
}

/* ---- one rank alone ------------------------------------------------------------------------- */

int64_t ls_engine_outputs(const ls_engine *engine) {
    return engine->outputs;
}

static ls_status plan_own(ls_engine *engine, int64_t count) {
    if (engine->own_samples == count)
        return LS_OK;
    ls_plan_free(engine->own_plan);
    engine->own_plan = NULL;
    engine->own_samples = 0;
    LS_TRY(ls_plan_create(engine->net, LS_MODE_EVALUATE, 1, &count, &engine->own_plan));
    engine->own_samples = count;
    return LS_OK;
}

static ls_status fill_own(ls_engine *engine, const ls_data *data, float *inputs) {
    const int64_t count = ls_data_count(data);
    uint64_t *ids;
    LS_TRY(LS_NEW(ids, (size_t)count));
    for (int64_t i = 0; i < count; i++)
        ids[i] = (uint64_t)i;
    ls_status status = ls_data_inputs(data, &engine->norm, ids, count, inputs);
    ls_free(ids);
    return status;
}

static ls_status take_own(const ls_engine *engine, int64_t count, const float *z, float *outputs) {
    const int64_t width = engine->outputs;
    double *values;
    for (int64_t n = 0; engine->classes && n < count; n++)
        ls_softmax(width, z + n * width, outputs + n * width);
    if (engine->classes)
        return LS_OK;
    LS_TRY(LS_NEW(values, (size_t)(count * width)));
    ls_normalization_undo(&engine->target_norm, engine->in_double, count, z, values);
    for (int64_t i = 0; i < count * width; i++)
        outputs[i] = (float)values[i];
    ls_free(values);
    return LS_OK;
}

ls_status ls_engine_predict_batch(ls_engine *engine, int64_t count, ls_type type,
                                  const void *inputs, float *outputs) {
    const ls_form form = ls_splits_form(engine);
    ls_data *data;
    LS_REQUIRE(count >= 1);
    LS_TRY(plan_own(engine, count));
    LS_TRY(ls_data_wrap(&engine->shape, type, count, inputs, &form, &data));
    ls_status status = fill_own(engine, data, ls_plan_input(engine->own_plan, 0));
    ls_data_close(data);
    if (status == LS_OK)
        status = ls_plan_forward(engine->own_plan, 0, 0);
    return status == LS_OK ? take_own(engine, count, ls_plan_output(engine->own_plan, 0), outputs)
                           : status;
}
