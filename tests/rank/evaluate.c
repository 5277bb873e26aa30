/* Evaluation and prediction at any number of ranks: metrics against plain computations on the file
 * of predictions and the known targets.  Lines "bits: ..." must not depend on the rank count. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lockstep/train.h"
#include "rank/bench.h"
#include "rank/check.h"

enum { SAMPLES = 53, FEATURES = 9, CLASSES = 7, TARGETS = 3, STEPS = 12 };

/* Batches of 16 in 5 slices: the last one has 5 samples. */
static const char *const configuration = "data: {file: %s}\n"
                                         "batch: {size: 16, slices: 5}\n"
                                         "model: {layers: [dense: {units: 12}, relu, %s]}\n";
static const char *const class_layer = "dense: {units: 7}";
static const char *const value_layer = "dense: {units: 3}";

/* ---- the dataset ---------------------------------------------------------------------------- */

static uint8_t class_of(int sample) {
    return (uint8_t)(sample * 5 % CLASSES);
}

/* The last target is the same for all samples. */
static float target_of(int sample, int output) {
    return output == 2 ? 1.5f : sinf((float)(sample * (output + 1))) + (float)output;
}

/* A small spread around a mean that float32 rounds to 1/32. */
static double fine_target_of(int sample) {
    return -291230 + 0.025 * sin(sample);
}

static ls_status write_split(ls_dataset_writer *writer, const char *split, int number) {
    const ls_array_info rows = {LS_TYPE_F32, 2, {0, FEATURES}}, byte = {LS_TYPE_U8, 1, {0}};
    const ls_array_info fine = {LS_TYPE_F64, 1, {0}};
    double fines[SAMPLES];
    const ls_array_info triples = {LS_TYPE_F32, 2, {0, TARGETS}}, one = {LS_TYPE_F32, 1, {0}};
    float inputs[SAMPLES][FEATURES], values[SAMPLES][TARGETS], shift = 0.5f * (float)number;
    uint8_t classes[SAMPLES];
    for (int n = 0; n < SAMPLES; n++) {
        classes[n] = class_of(n);
        fines[n] = fine_target_of(n);
        for (int i = 0; i < FEATURES; i++)
            inputs[n][i] = cosf((float)(n * (i + 2)) + shift) + 0.3f * (float)(classes[n] == i);
        for (int i = 0; i < TARGETS; i++)
            values[n][i] = target_of(n, i);
    }
    LS_TRY(bench_write_array(writer, split, "inputs", &rows, SAMPLES, inputs));
    LS_TRY(bench_write_array(writer, split, "targets", &byte, SAMPLES, classes));
    LS_TRY(bench_write_array(writer, split, "values", &triples, SAMPLES, values));
    LS_TRY(bench_write_array(writer, split, "fine", &fine, SAMPLES, fines));
    return bench_write_array(writer, split, "one", &one, SAMPLES, values);
}

/* ---- engines -------------------------------------------------------------------------------- */

static ls_config *make_config(const bench *b, bool classes, const char *test_targets) {
    const char *const sets[] = {"model.loss=mean_squared_error", "data.train_targets=train/values",
                                test_targets};
    ls_config *config;
    char *text = ls_format(configuration, b->file, classes ? class_layer : value_layer);
    CHECK(b->comm, ls_config_parse("test", text, sets, classes ? 0 : 3, &config) == LS_OK);
    ls_free(text);
    return config;
}

static ls_decision go_on(void *context, const ls_step_report *report) {
    const ls_config *config = context;
    (void)report;
    return (ls_decision){.lr = 0.1, .momentum = config->train.momentum};
}

/* A network that has learnt something. */
static ls_engine *open_engine(const bench *b, ls_config *config) {
    ls_engine *engine;
    ls_decision decision;
    ls_step_report report;
    CHECK(b->comm, ls_engine_create(b->comm, config, "test", true, &engine) == LS_OK);
    for (int64_t step = 0; step < STEPS; step++)
        CHECK(b->comm, ls_engine_step(engine, step / 4, step % 4, go_on, config, &decision,
                                      &report) == LS_OK);
    return engine;
}

static void read_array(const bench *b, const char *name, ls_array_info expected, void *values) {
    ls_array *array;
    CHECK(b->comm, ls_array_open(b->comm, b->output, name, &array) == LS_OK);
    const ls_array_info *info = ls_array_describe(array);
    CHECK(b->comm, info->type == expected.type && info->ndims == expected.ndims);
    for (int d = 0; d < expected.ndims; d++)
        CHECK(b->comm, info->shape[d] == expected.shape[d]);
    CHECK(b->comm, ls_array_read(array, 0, SAMPLES, values) == LS_OK);
    ls_array_close(array);
}

static void print_digest(const bench *b) {
    char digest[LS_DIGEST_TEXT];
    if (ls_comm_rank(b->comm) != 0)
        return;
    CHECK(b->comm, ls_file_digest(b->output, digest) == LS_OK);
    printf("bits: predictions %s\n", digest);
}

static bool is_near(double value, double expected, double tolerance) {
    return fabs(value - expected) <= tolerance * fabs(expected);
}

/* ---- classes -------------------------------------------------------------------------------- */

static void check_subset(const bench *b, ls_engine *engine, const ls_evaluation *whole) {
    ls_evaluation part;
    for (int64_t samples = 1; samples <= SAMPLES; samples += 4) { /* many sizes of a last batch */
        int64_t sum = 0;
        CHECK(b->comm, ls_engine_evaluate_full(engine, LS_SPLIT_TEST, samples, &part) == LS_OK);
        for (int i = 0; i < CLASSES * CLASSES; i++) {
            CHECK(b->comm, part.confusion[i] <= whole->confusion[i]);
            sum += part.confusion[i];
        }
        CHECK(b->comm, part.samples == samples && sum == samples);
        ls_evaluation_free(&part);
    }
}

/* Averages over the classes, from the confusion matrix. */
static void check_averages(const bench *b, const ls_evaluation *e) {
    double recalls = 0, f1 = 0;
    int present = 0, any = 0;
    for (int c = 0; c < CLASSES; c++) {
        double row = 0, column = 0, hits = (double)e->confusion[c * CLASSES + c];
        for (int other = 0; other < CLASSES; other++) {
            row += (double)e->confusion[c * CLASSES + other];
            column += (double)e->confusion[other * CLASSES + c];
        }
        present += row > 0;
        any += row + column > 0;
        recalls += row > 0 ? hits / row : 0;
        f1 += row + column > 0 ? 2 * hits / (row + column) : 0;
    }
    CHECK(b->comm, is_near(e->balanced_accuracy, recalls / present, 1e-12));
    CHECK(b->comm, is_near(e->macro_f1, f1 / any, 1e-12));
}

/* What `evaluation` must be, from the probabilities that were written. */
static void check_against_predictions(const bench *b, const ls_evaluation *evaluation) {
    static float p[SAMPLES][CLASSES];
    static int32_t predicted[SAMPLES];
    int64_t confusion[CLASSES * CLASSES] = {0};
    double loss = 0, correct = 0, top = 0;
    read_array(b, "outputs", (ls_array_info){LS_TYPE_F32, 2, {SAMPLES, CLASSES}}, p);
    read_array(b, "predicted_class", (ls_array_info){LS_TYPE_I32, 1, {SAMPLES}}, predicted);
    for (int n = 0; n < SAMPLES; n++) {
        double sum = 0;
        int larger = 0, target = class_of(n);
        for (int i = 0; i < CLASSES; i++) {
            CHECK(b->comm, p[n][i] <= p[n][predicted[n]]);
            sum += p[n][i];
            larger += p[n][i] > p[n][target];
        }
        CHECK(b->comm, is_near(sum, 1, 1e-6));
        confusion[target * CLASSES + predicted[n]]++;
        loss -= log(p[n][target]) / SAMPLES;
        correct += predicted[n] == target;
        top += larger < 5;
    }
    CHECK(b->comm, is_near(evaluation->loss, loss, 1e-6));
    CHECK(b->comm, evaluation->accuracy == correct / SAMPLES);
    CHECK(b->comm, evaluation->top == top / SAMPLES);
    CHECK(b->comm, top > correct && correct > 0 && top < SAMPLES);
    CHECK(b->comm, memcmp(evaluation->confusion, confusion, sizeof confusion) == 0);
    check_averages(b, evaluation);
}

static void check_classes(const bench *b) {
    ls_config *config = make_config(b, true, NULL);
    ls_engine *engine = open_engine(b, config);
    ls_evaluation evaluation;
    double loss, accuracy;
    CHECK(b->comm, ls_engine_evaluate_full(engine, LS_SPLIT_TEST, 0, &evaluation) == LS_OK);
    CHECK(b->comm, evaluation.samples == SAMPLES && evaluation.outputs == CLASSES);
    CHECK(b->comm, isnan(evaluation.rmse) && isnan(evaluation.r2) && !evaluation.output_r2);
    CHECK(b->comm, ls_engine_evaluate(engine, LS_SPLIT_TEST, 0, &loss, &accuracy) == LS_OK);
    CHECK(b->comm, loss == evaluation.loss && accuracy == evaluation.accuracy);
    CHECK(b->comm, ls_engine_predict(engine, b->output) == LS_OK);
    check_against_predictions(b, &evaluation);
    check_subset(b, engine, &evaluation);
    print_digest(b);
    if (ls_comm_rank(b->comm) == 0)
        printf("bits: classes %a %a %a\n", evaluation.loss, evaluation.accuracy, evaluation.top);
    ls_evaluation_free(&evaluation);
    ls_engine_free(engine);
    ls_config_free(config);
}

/* ---- regression ----------------------------------------------------------------------------- */

/* Sums of squares in two passes. */
static void check_output(const bench *b, const ls_evaluation *evaluation,
                         const float y[SAMPLES][TARGETS], int i, double *errors) {
    double mean = 0, deviations = 0, distance = 0;
    *errors = 0;
    for (int n = 0; n < SAMPLES; n++)
        mean += (double)target_of(n, i) / SAMPLES;
    for (int n = 0; n < SAMPLES; n++) {
        double t = target_of(n, i);
        *errors += ((double)y[n][i] - t) * ((double)y[n][i] - t);
        distance += fabs((double)y[n][i] - t);
        deviations += (t - mean) * (t - mean);
    }
    CHECK(b->comm, is_near(evaluation->output_rmse[i], sqrt(*errors / SAMPLES), 1e-12));
    CHECK(b->comm, is_near(evaluation->output_mae[i], distance / SAMPLES, 1e-12));
    if (i == 2)
        CHECK(b->comm, isnan(evaluation->output_r2[i]));
    else
        CHECK(b->comm, is_near(1 - evaluation->output_r2[i], *errors / deviations, 1e-12));
}

/* What training divides the targets by; 1 for the constant one. */
static double target_deviation(int i) {
    double mean = 0, squares = 0;
    for (int n = 0; n < SAMPLES; n++)
        mean += (double)target_of(n, i) / SAMPLES;
    for (int n = 0; n < SAMPLES; n++)
        squares += (target_of(n, i) - mean) * (target_of(n, i) - mean) / SAMPLES;
    return i == 2 ? 1 : sqrt(squares);
}

/* RMSE, R2 and predictions are in the units of the targets, whether these are normalised or not;
 * the loss is what is trained on. */
static void check_regression(const bench *b, bool normalize) {
    static float y[SAMPLES][TARGETS];
    ls_config *config = make_config(b, false, "data.test_targets=test/values");
    config->data.normalize = normalize;
    ls_engine *engine = open_engine(b, config);
    ls_evaluation evaluation;
    double sum = 0, trained = 0, errors;
    CHECK(b->comm, ls_engine_evaluate_full(engine, LS_SPLIT_TEST, 0, &evaluation) == LS_OK);
    CHECK(b->comm, ls_engine_predict(engine, b->output) == LS_OK);
    read_array(b, "outputs", (ls_array_info){LS_TYPE_F32, 2, {SAMPLES, TARGETS}}, y);
    for (int i = 0; i < TARGETS; i++) {
        check_output(b, &evaluation, (const float(*)[TARGETS])y, i, &errors);
        sum += errors;
        trained += normalize ? errors / pow(target_deviation(i), 2) : errors;
    }
    CHECK(b->comm, is_near(evaluation.rmse, sqrt(sum / (SAMPLES * TARGETS)), 1e-12));
    CHECK(b->comm,
          is_near(evaluation.loss, trained / (SAMPLES * TARGETS), normalize ? 1e-5 : 1e-12));
    double mae = 0;
    for (int i = 0; i < TARGETS; i++)
        mae += evaluation.output_mae[i] / TARGETS;
    CHECK(b->comm, is_near(evaluation.mae, mae, 1e-12));
    CHECK(b->comm, evaluation.r2 == (evaluation.output_r2[0] + evaluation.output_r2[1]) / 2);
    CHECK(b->comm, isnan(evaluation.accuracy) && isnan(evaluation.top) && !evaluation.confusion);
    double loss, accuracy;
    CHECK(b->comm, ls_engine_evaluate(engine, LS_SPLIT_TEST, 0, &loss, &accuracy) == LS_OK);
    CHECK(b->comm, loss == evaluation.loss && isnan(accuracy));
    print_digest(b);
    if (ls_comm_rank(b->comm) == 0)
        printf("bits: regression %a %a %a\n", evaluation.loss, evaluation.rmse, evaluation.r2);
    ls_evaluation_free(&evaluation);
    ls_engine_free(engine);
    ls_config_free(config);
}

/* Targets of double precision: learnt, measured and predicted in it. */
static void check_fine_regression(const bench *b) {
    static double y[SAMPLES][1];
    const char *const sets[] = {"model.loss=mean_squared_error", "data.train_targets=train/fine",
                                "data.test_targets=test/fine"};
    ls_config *config;
    char *text = ls_format(configuration, b->file, "dense: {units: 1}");
    CHECK(b->comm, ls_config_parse("test", text, sets, 3, &config) == LS_OK);
    ls_free(text);
    ls_engine *engine = open_engine(b, config);
    ls_evaluation evaluation;
    double errors = 0, deviations = 0, mean = 0;
    CHECK(b->comm, ls_engine_evaluate_full(engine, LS_SPLIT_TEST, 0, &evaluation) == LS_OK);
    CHECK(b->comm, ls_engine_predict(engine, b->output) == LS_OK);
    read_array(b, "outputs", (ls_array_info){LS_TYPE_F64, 2, {SAMPLES, 1}}, y);
    for (int n = 0; n < SAMPLES; n++)
        mean += fine_target_of(n) / SAMPLES;
    for (int n = 0; n < SAMPLES; n++) {
        errors += pow(y[n][0] - fine_target_of(n), 2);
        deviations += pow(fine_target_of(n) - mean, 2);
    }
    CHECK(b->comm, is_near(evaluation.rmse, sqrt(errors / SAMPLES), 1e-9));
    CHECK(b->comm, is_near(1 - evaluation.r2, errors / deviations, 1e-6));
    CHECK(b->comm, is_near(evaluation.loss, errors / deviations, 1e-4)); /* normalised */
    print_digest(b);
    if (ls_comm_rank(b->comm) == 0)
        printf("bits: fine regression %a %a\n", evaluation.rmse, evaluation.r2);
    ls_evaluation_free(&evaluation);
    ls_engine_free(engine);
    ls_config_free(config);
}

/* ---- refusals ------------------------------------------------------------------------------- */

/* Rank 0 alone meets the trouble; all ranks return it. */
static void check_unwritable(const bench *b) {
    ls_config *config = make_config(b, true, NULL);
    ls_engine *engine = open_engine(b, config);
    char *nowhere = ls_format("%s.missing/p.h5", b->file);
    CHECK(b->comm, ls_engine_predict(engine, nowhere) == LS_ERR_INPUT);
    CHECK(b->comm, strstr(ls_message(), ".missing/p.h5") != NULL);
    ls_message_set("");
    ls_free(nowhere);
    ls_engine_free(engine);
    ls_config_free(config);
}

static void check_targets_that_do_not_fit(const bench *b) {
    static const char *const sets[] = {"data.test_targets=test/one",
                                       "data.test_targets=test/targets"};
    static const char *const words[] = {
        "'train/values' has 3 targets a sample but 'test/one' has 1 targets a sample",
        "'train/values' has 3 targets a sample but 'test/targets' has 7 classes"};
    for (int i = 0; i < 2; i++) {
        ls_config *config = make_config(b, false, sets[i]);
        ls_engine *engine;
        CHECK(b->comm, ls_engine_create(b->comm, config, "test", true, &engine) == LS_ERR_INPUT);
        CHECK(b->comm, strstr(ls_message(), words[i]) != NULL);
        ls_message_set("");
        ls_config_free(config);
    }
}

int main(int argc, char **argv) {
    bench b = {.comm = start_mpi(&argc, &argv)};
    bench_set_up(&b, write_split);
    check_classes(&b);
    check_regression(&b, true);
    check_regression(&b, false);
    check_fine_regression(&b);
    check_unwritable(&b);
    check_targets_that_do_not_fit(&b);
    bench_tear_down(&b);
    end_mpi(b.comm);
    return 0;
}
