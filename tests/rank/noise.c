/* The gradient noise scale of a linear regression with Gaussian inputs, known in closed form, at
 * any number of ranks.  Lines "bits: ..." must not depend on it. */
#include "lockstep/noise.h"
#include "rank/engine.h"

enum { INPUTS = 8, ROWS = 4096, BATCH = 64 };

/* Of mean 0 and variance 1. */
static float normal(uint32_t row, uint32_t column) {
    const uint32_t key[2] = {11, 5}, counter[4] = {row, column, 0, 0};
    uint32_t out[4];
    ls_philox(key, counter, out);
    return (float)(sqrt(-2 * log((out[0] + 1.0) / 4294967297.0)) *
                   cos(6.283185307179586 * out[1] / 4294967296.0));
}

/* y = w x + e with |w| = 1 and e of variance 1.  At weights 0 the gradient of (y - 0)^2 is g =
 * -2 y x: G = -2 w, E|g|^2 = 4 (n + 2 + n), so |G|^2 = 4, tr(C) = 4 (2 n + 1). */
static void make_rows(float *inputs, float *targets) {
    for (uint32_t row = 0; row < ROWS; row++) {
        targets[row] = normal(row, INPUTS);
        for (uint32_t i = 0; i < INPUTS; i++) {
            inputs[row * INPUTS + i] = normal(row, i);
            targets[row] += inputs[row * INPUTS + i] / sqrtf(INPUTS);
        }
    }
}

static ls_engine *open_regression(const bench *b, const char *set, ls_config **config) {
    static float inputs[ROWS * INPUTS], targets[ROWS];
    static const char text[] =
        "data: {file: none, normalize: false}\nbatch: {size: 64, slices: 8}\n"
        "train: {lr: 1e-30, epochs: 4, weight_decay: 0}\n"
        "model: {loss: mean_squared_error, layers: [dense: {units: 1, bias: false}]}\n";
    const ls_data_source source = {.name = "rows",
                                   .count = ROWS,
                                   .shape = {1, {INPUTS}},
                                   .type = LS_TYPE_F32,
                                   .targets = 1,
                                   .target_type = LS_TYPE_F32,
                                   .inputs_array = inputs,
                                   .targets_array = targets};
    ls_engine *engine;
    make_rows(inputs, targets);
    CHECK(b->comm, ls_config_parse("test", text, &set, 1, config) == LS_OK);
    CHECK(b->comm, ls_engine_create_from(b->comm, *config, &source, NULL, NULL, &engine) == LS_OK);
    if (ls_comm_node_rank(b->comm) == 0)
        memset(ls_engine_params(engine), 0, INPUTS * sizeof(float));
    ls_comm_barrier(b->comm);
    ls_engine_params_changed(engine);
    return engine;
}

static void check_values(const bench *b) {
    enum { MOVES = 10 }; /* from a window to the next that has none of its steps */
    const double square = 4, trace = 4 * (2 * INPUTS + 1);
    double mean_square = 0, mean_trace = 0;
    int windows = 0, outside = 0;
    ls_noise_study study;
    CHECK(b->comm, ls_noise_read(b->output, &study) == LS_OK);
    CHECK(b->comm, study.batch == BATCH && study.rows == 4 * ROWS / BATCH);
    for (size_t i = 0; i < study.point_count; i += MOVES, windows++) {
        const ls_noise_window *window = &study.points[i];
        mean_square += window->square;
        mean_trace += window->trace;
        outside += fabs(window->scale - trace / square) > 3 * window->error;
    }
    CHECK(b->comm, windows >= 12 && outside <= 1);
    CHECK(b->comm, fabs(mean_square / windows / square - 1) < 0.1);
    CHECK(b->comm, fabs(mean_trace / windows / trace - 1) < 0.1);
    ls_noise_study_free(&study);
}

/* 5 slices are of 13 and 12 samples. */
static void check_regression(const bench *b, const char *set) {
    char digest[LS_DIGEST_TEXT];
    ls_config *config;
    ls_engine *engine = open_regression(b, set, &config);
    const ls_noise_job job = {.path = b->output, .folder = b->folder};
    ls_status status = ls_noise(engine, &job);
    CHECK(b->comm, status == LS_OK);
    if (ls_comm_rank(b->comm) == 0) {
        check_values(b);
        CHECK(b->comm, ls_file_digest(b->output, digest) == LS_OK);
        printf("bits: %s\n", digest);
    }
    close_engine(engine, config);
}

int main(int argc, char **argv) {
    bench b = {.comm = start_mpi(&argc, &argv)};
    ls_log_set(LS_LOG_QUIET);
    bench_set_up(&b, write_split);
    check_regression(&b, "exchange=auto");
    check_regression(&b, "exchange=flat");
    check_regression(&b, "batch.slices=5");
    bench_tear_down(&b);
    end_mpi(b.comm);
    return 0;
}
