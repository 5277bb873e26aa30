/* Engines in a program of its own kind: samples of the caller, a rank that fails, several engines
 * side by side. */
#include <sys/resource.h>
#include <unistd.h>

#include "rank/engine.h"

/* ---- samples of the caller ------------------------------------------------------------------ */

typedef struct samples {
    uint8_t inputs[SAMPLES * PIXELS], targets[SAMPLES];
    bool announced[SAMPLES];
    bool fails;
} samples;

static void announce(void *context, const uint64_t *ids, int64_t count) {
    samples *all = context;
    for (int64_t i = 0; i < count; i++)
        all->announced[ids[i]] = true;
}

static ls_status read_samples(void *context, const uint64_t *ids, int64_t count, void *inputs,
                              void *targets) {
    const samples *all = context;
    for (int64_t i = 0; i < count; i++) {
        if (!all->announced[ids[i]] || all->fails)
            return LS_ERR_SYSTEM;
        if (inputs)
            memcpy((uint8_t *)inputs + i * PIXELS, all->inputs + ids[i] * PIXELS, PIXELS);
        if (targets)
            ((uint8_t *)targets)[i] = all->targets[ids[i]];
    }
    return LS_OK;
}

static ls_data_source source_of(samples *all, const char *name, bool function) {
    ls_data_source source = {.name = name,
                             .count = SAMPLES,
                             .shape = {3, {1, SIDE, SIDE}},
                             .type = LS_TYPE_U8,
                             .targets = 1,
                             .target_type = LS_TYPE_U8,
                             .inputs_array = all->inputs,
                             .targets_array = all->targets,
                             .context = all};
    if (function) {
        source.inputs_array = source.targets_array = NULL;
        source.prefetch = announce;
        source.read = read_samples;
    }
    return source;
}

/* Some samples, on each rank for itself: the classes that evaluation counts. */
static void check_predictions(const bench *b, ls_engine *engine, const samples *test,
                              double accuracy) {
    float all[SAMPLES * CLASSES], one[CLASSES], real[PIXELS];
    int right = 0;
    CHECK(b->comm, ls_engine_outputs(engine) == CLASSES);
    CHECK(b->comm,
          ls_engine_predict_batch(engine, SAMPLES, LS_TYPE_U8, test->inputs, all) == LS_OK);
    for (int i = 0; i < SAMPLES; i++) {
        const float *p = all + i * CLASSES;
        int best = p[1] > p[0] ? 1 : 0;
        best = p[2] > p[best] ? 2 : best;
        right += best == test->targets[i];
        CHECK(b->comm, fabsf(p[0] + p[1] + p[2] - 1) < 1e-5f);
    }
    CHECK(b->comm, right == (int)round(accuracy * SAMPLES));
    for (int p = 0; p < PIXELS; p++)
        real[p] = test->inputs[7 * PIXELS + p];
    CHECK(b->comm, ls_engine_predict_batch(engine, 1, LS_TYPE_F32, real, one) == LS_OK);
    for (int c = 0; c < CLASSES; c++)
        CHECK(b->comm, fabsf(one[c] - all[7 * CLASSES + c]) < 1e-5f);
}

/* In the caller's memory or by a function: the bits of the same samples in a file, transformed or
 * not.  One rank's failure is that of all. */
static void check_sources(const bench *b, const char *set) {
    static samples train_samples, test_samples;
    double loss[3], accuracy[3];
    char digest[3][LS_DIGEST_TEXT];
    make_split(0, train_samples.inputs, train_samples.targets);
    make_split(1, test_samples.inputs, test_samples.targets);
    test_samples.fails = false;
    for (int kind = 0; kind < 3; kind++) {
        ls_config *config;
        ls_engine *engine = open_engine(b, set, &config);
        ls_data_source train_source = source_of(&train_samples, "mine", kind == 2);
        ls_data_source test_source = source_of(&test_samples, "others", kind == 2);
        if (kind > 0) {
            ls_engine_free(engine);
            CHECK(b->comm, ls_engine_create_from(b->comm, config, &train_source, NULL, &test_source,
                                                 &engine) == LS_OK);
        }
        train(b, engine, digest[kind]);
        CHECK(b->comm,
              ls_engine_evaluate(engine, LS_SPLIT_TEST, 0, &loss[kind], &accuracy[kind]) == LS_OK);
        CHECK(b->comm, same_digest(b, digest[0], digest[kind]));
        CHECK(b->comm, loss[kind] == loss[0] && accuracy[kind] == accuracy[0]);
        if (ls_comm_rank(b->comm) % 2 == 0)
            check_predictions(b, engine, &test_samples, accuracy[kind]);
        if (kind == 2) {
            ls_engine *other = NULL;
            test_samples.fails = ls_comm_rank(b->comm) == ls_comm_size(b->comm) - 1;
            CHECK(b->comm, ls_engine_create_from(b->comm, config, &train_source, NULL, &test_source,
                                                 &other) == LS_ERR_SYSTEM);
            CHECK(b->comm, strstr(ls_message(), "others: samples") && other == NULL);
            ls_message_set("");
        }
        close_engine(engine, config);
    }
}

/* ---- failures, and engines side by side ----------------------------------------------------- */

/* Whether a process survives that it gets no memory. */
#ifdef __SANITIZE_ADDRESS__
enum { SURVIVES = false };
#else
enum { SURVIVES = true };
#endif
enum { ROOM = 6 << 20 }; /* for oneDNN's code, which does not look whether it has any */

static rlim_t address_space(void) {
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file && fscanf(file, "%lu", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

/* The last rank has no memory for a step: all ranks say so, nothing is changed, and the next step
 * is that of an engine to which nothing happened. */
static void check_a_rank_that_fails(const bench *b) {
    const char *wide =
        "data: {file: %s}\nbatch: {size: 48, slices: 8}\n"
        "model: {layers: [conv: {filters: 20000, kernel: 3}, relu, dense: {units: 3}]}\n";
    bool strikes = ls_comm_rank(b->comm) == ls_comm_size(b->comm) - 1;
    char plain[LS_DIGEST_TEXT], after[LS_DIGEST_TEXT];
    for (int fails = 1; fails >= 0; fails--) {
        ls_config *config;
        ls_step_report report;
        struct rlimit limit;
        ls_engine *engine = open_other(b, wide, NULL, &config);
        getrlimit(RLIMIT_AS, &limit);
        if (fails && strikes)
            setrlimit(RLIMIT_AS, &(struct rlimit){address_space() + ROOM, limit.rlim_max});
        ls_status status = one_step(engine, 0, 0.1, &report);
        setrlimit(RLIMIT_AS, &limit);
        CHECK(b->comm, status == (fails ? LS_ERR_SYSTEM : LS_OK));
        CHECK(b->comm, !fails || strstr(ls_message(), "out of memory"));
        ls_message_set("");
        if (fails)
            CHECK(b->comm, one_step(engine, 0, 0.1, &report) == LS_OK);
        CHECK(b->comm, ls_comm_check(b->comm) == LS_OK);
        CHECK(b->comm, ls_engine_digest(engine, fails ? after : plain) == LS_OK);
        close_engine(engine, config);
    }
    CHECK(b->comm, same_digest(b, plain, after));
}

static void fail_alone(const bench *b) {
    ls_config *config;
    ls_step_report report;
    ls_engine *engine = open_engine(b, NULL, &config);
    CHECK(b->comm, one_step(engine, 0, INFINITY, &report) == LS_OK);
    CHECK(b->comm, one_step(engine, 1, 0.1, &report) == LS_ERR_NUMERIC);
    ls_message_set("");
    close_engine(engine, config);
}

/* Even and odd ranks train two networks at the same time; each has the bits of one rank alone.  The
 * odd ones' next engine fails, and the even ones' goes on. */
static void check_side_by_side(const bench *b) {
    int part = ls_comm_rank(b->comm) % 2;
    const char *set = part ? "seed=5 batch.slices=8" : NULL;
    char together[LS_DIGEST_TEXT], alone[LS_DIGEST_TEXT];
    bench half = *b, self = *b;
    MPI_Comm mpi;
    MPI_Comm_split(MPI_COMM_WORLD, part, 0, &mpi);
    CHECK(b->comm, ls_comm_create(mpi, &half.comm) == LS_OK);
    MPI_Comm_free(&mpi);
    CHECK(b->comm, ls_comm_create(MPI_COMM_SELF, &self.comm) == LS_OK);
    train_new(&half, set, together);
    train_new(&self, set, alone);
    CHECK(b->comm, same_digest(&half, together, alone));
    if (part)
        fail_alone(&half);
    else
        train_new(&half, set, together);
    CHECK(b->comm, same_digest(&half, together, alone));
    ls_comm_free(self.comm);
    ls_comm_free(half.comm);
}

int main(int argc, char **argv) {
    bench b = {.comm = start_mpi(&argc, &argv)};
    bench_set_up(&b, write_split);
    check_sources(&b, NULL);
    check_sources(&b, "data.transform=[log1p,{scale:2}]");
    if (SURVIVES)
        check_a_rank_that_fails(&b);
    check_side_by_side(&b);
    bench_tear_down(&b);
    end_mpi(b.comm);
    return 0;
}
