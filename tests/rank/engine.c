/* The engine at any number of ranks: the same bits in every exchange mode, redone steps, named
 * gradients that are not finite, a decision to stop, snapshots, evaluation, clipping, augmentation.
 * Lines "bits: ..." must not depend on the rank count.  `engine optimizers`: those of AdamW and
 * LARS alone, with slices for 8 ranks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rank/engine.h"

typedef struct ls_words {
    int step;
    double loss;
} ls_words;

static ls_decision halt(void *context, const ls_step_report *report) {
    ls_words *words = context;
    *words = (ls_words){.step = 7, .loss = report->loss};
    return (ls_decision){.stop = true};
}

/* ---- what must hold ------------------------------------------------------------------------- */

static void print_bits(const bench *b, const char *digest, const char *set) {
    if (ls_comm_rank(b->comm) == 0)
        printf("bits: %s %s\n", digest, set);
}

static void check_modes(const bench *b, const char *set) {
    static const char *const modes[] = {"exchange=auto", "exchange=flat", "exchange=node",
                                        "exchange_sum=float32"};
    char digest[4][LS_DIGEST_TEXT];
    for (int i = 0; i < 4; i++) {
        char *sets = ls_format("%s %s", modes[i], set);
        train_new(b, sets, digest[i]); /* plain floats run; their bits are their own */
        CHECK(b->comm, i == 3 || same_digest(b, digest[0], digest[i]));
        ls_free(sets);
    }
    print_bits(b, digest[0], set);
}

/* After a first step with weight decay 0, the momentum buffer is the clipped gradient. */
static void clipped_gradient(const bench *b, const char *sets, float *gradient, double *reported) {
    ls_config *config;
    ls_step_report report;
    ls_engine *engine = open_engine(b, sets, &config);
    CHECK(b->comm, one_step(engine, 0, 0.1, &report) == LS_OK);
    *reported = report.gradient_norm;
    memcpy(gradient, ls_engine_state(engine, 0),
           ls_net_trained_size(ls_engine_net(engine)) * sizeof *gradient);
    close_engine(engine, config);
}

/* To a norm just below train.clip_norm, in the same direction; the report tells the norm before. */
static void check_clipping(const bench *b, const char *set) {
    enum { MOST = 4096 };
    static float whole[MOST], clipped[MOST];
    double norm, reported, sum = 0;
    char *sets = ls_format("train.weight_decay=0 %s", set);
    clipped_gradient(b, sets, whole, &norm);
    ls_free(sets);
    sets = ls_format("train.weight_decay=0 train.clip_norm=%.17g %s", norm / 3, set);
    clipped_gradient(b, sets, clipped, &reported);
    ls_free(sets);
    CHECK(b->comm, reported == norm);
    float factor = (float)(norm / 3 / (norm + 1e-6));
    for (int i = 0; i < MOST; i++) {
        CHECK(b->comm, clipped[i] == whole[i] * factor);
        sum += (double)clipped[i] * (double)clipped[i];
    }
    CHECK(b->comm, sqrt(sum) <= norm / 3 * (1 + 1e-7) && sqrt(sum) > norm / 3 * 0.9999);
}

/* A limit that is never reached changes no bit; one that is, does. */
static void check_clipping_limit(const bench *b) {
    char plain[LS_DIGEST_TEXT], high[LS_DIGEST_TEXT], low[LS_DIGEST_TEXT];
    train_new(b, NULL, plain);
    train_new(b, "train.clip_norm=1e6", high);
    train_new(b, "train.clip_norm=0.1", low);
    CHECK(b->comm, same_digest(b, plain, high));
    CHECK(b->comm, ls_comm_rank(b->comm) != 0 || strcmp(plain, low) != 0);
}

/* Training samples are changed; those of an evaluation are not. */
static void check_augment(const bench *b) {
    static const char *const sets[] = {"batch.size=50", "batch.size=50 augment.crop_padding=2"};
    double loss[2], accuracy;
    ls_step_report report[2];
    for (int i = 0; i < 2; i++) {
        ls_config *config;
        ls_engine *engine = open_engine(b, sets[i], &config);
        CHECK(b->comm, ls_engine_evaluate(engine, LS_SPLIT_TEST, 0, &loss[i], &accuracy) == LS_OK);
        CHECK(b->comm, one_step(engine, 0, 0, &report[i]) == LS_OK);
        close_engine(engine, config);
    }
    CHECK(b->comm, loss[0] == loss[1]);
    CHECK(b->comm, report[0].loss != report[1].loss);
}

/* After a first step with weight decay 0, the momentum buffer is the gradient. */
static void check_norm(const bench *b) {
    ls_config *config;
    ls_step_report report;
    ls_engine *engine = open_engine(b, "train.weight_decay=0", &config);
    CHECK(b->comm, one_step(engine, 0, 0.1, &report) == LS_OK);
    double sum = 0;
    for (size_t i = 0; i < ls_net_trained_size(ls_engine_net(engine)); i++)
        sum += (double)ls_engine_state(engine, 0)[i] * (double)ls_engine_state(engine, 0)[i];
    CHECK(b->comm, fabs(report.gradient_norm - sqrt(sum)) < 1e-6 * sqrt(sum));
    CHECK(b->comm, report.redone == 1); /* the first step finds its exponents */
    close_engine(engine, config);
}

/* Of all parameters, or of the one that is named. */
static void scale_params(const bench *b, ls_engine *engine, const char *name, float factor) {
    const ls_net *net = ls_engine_net(engine);
    ls_comm_barrier(b->comm);
    for (size_t p = 0; p < ls_net_param_count(net) && ls_comm_node_rank(b->comm) == 0; p++) {
        const ls_param *param = ls_net_param(net, p);
        for (size_t i = 0; i < param->count && (!name || strcmp(name, param->name) == 0); i++)
            ls_engine_params(engine)[param->offset + i] *= factor;
    }
    ls_comm_barrier(b->comm);
    ls_engine_params_changed(engine);
}

/* Gradients that grow beyond the fixed-point range make the step run again, and then it has the
 * bits of a step that had the right range from the start. */
static void check_redo(const bench *b) {
    char first[LS_DIGEST_TEXT], second[LS_DIGEST_TEXT];
    for (int warm = 0; warm < 2; warm++) {
        ls_config *config;
        ls_step_report report;
        ls_engine *engine = open_engine(b, "train.momentum=0", &config);
        if (warm) { /* a step without effect */
            CHECK(b->comm, one_step(engine, 0, 0, &report) == LS_OK);
            memset(ls_engine_state(engine, 0), 0,
                   ls_net_trained_size(ls_engine_net(engine)) * sizeof(float));
        }
        scale_params(b, engine, NULL, 40);
        ls_comm_barrier(b->comm);
        CHECK(b->comm, one_step(engine, 1, 0.01, &report) == LS_OK);
        CHECK(b->comm, report.redone == 1);
        for (size_t p = 0; p < ls_net_param_count(ls_engine_net(engine)); p++) {
            const ls_param *param = ls_net_param(ls_engine_net(engine), p);
            if (param->role == LS_PARAM_MEAN || param->role == LS_PARAM_VARIANCE)
                memset(ls_engine_params(engine) + param->offset, 0, param->count * sizeof(float));
        }
        ls_comm_barrier(b->comm);
        CHECK(b->comm, ls_engine_digest(engine, warm ? second : first) == LS_OK);
        close_engine(engine, config);
    }
    CHECK(b->comm, same_digest(b, first, second));
}

static void check_not_finite(const bench *b) {
    ls_config *config;
    ls_step_report report;
    char before[LS_DIGEST_TEXT], after[LS_DIGEST_TEXT];
    ls_engine *engine = open_engine(b, NULL, &config);
    scale_params(b, engine, "dense1/weight", INFINITY);
    CHECK(b->comm, ls_engine_digest(engine, before) == LS_OK);
    CHECK(b->comm, one_step(engine, 2, 0.1, &report) == LS_ERR_NUMERIC);
    CHECK(b->comm, strstr(ls_message(), "the gradient of conv1/weight is not finite in slice 0 of "
                                        "step 2") != NULL);
    ls_message_set("");
    CHECK(b->comm, ls_engine_digest(engine, after) == LS_OK);
    CHECK(b->comm, same_digest(b, before, after));
    close_engine(engine, config);
}

static void check_stop(const bench *b) {
    ls_config *config;
    ls_step_report report;
    ls_decision decision;
    ls_words words = {0};
    char before[LS_DIGEST_TEXT], after[LS_DIGEST_TEXT];
    ls_engine *engine = open_engine(b, NULL, &config);
    CHECK(b->comm, ls_engine_digest(engine, before) == LS_OK);
    CHECK(b->comm, ls_engine_carry(engine, &words, sizeof words) == LS_OK);
    CHECK(b->comm, ls_engine_step(engine, 0, 0, halt, &words, &decision, &report) == LS_OK);
    CHECK(b->comm, decision.stop && words.step == 7 && words.loss == report.loss);
    CHECK(b->comm, ls_engine_carry(engine, &words, LS_MOST_CARRIED + 1) == LS_ERR_BUG);
    ls_message_set("");
    CHECK(b->comm, ls_engine_carry(engine, NULL, 0) == LS_OK);
    CHECK(b->comm, ls_engine_digest(engine, after) == LS_OK);
    CHECK(b->comm, same_digest(b, before, after));
    close_engine(engine, config);
}

/* Steps after a restored snapshot give the bits of steps without what came between. */
static void check_snapshot(const bench *b, const char *set) {
    ls_config *config;
    ls_snapshot *snapshot;
    char plain[LS_DIGEST_TEXT], restored[LS_DIGEST_TEXT], between[LS_DIGEST_TEXT];
    ls_engine *engine = open_engine(b, set, &config);
    CHECK(b->comm, ls_engine_save(engine, &snapshot) == LS_OK);
    train(b, engine, plain);
    ls_engine_restore(engine, snapshot);
    CHECK(b->comm, ls_engine_digest(engine, between) == LS_OK);
    CHECK(b->comm, ls_comm_rank(b->comm) != 0 || strcmp(between, plain) != 0);
    train(b, engine, restored);
    CHECK(b->comm, same_digest(b, plain, restored));
    close_engine(engine, config);
}

/* Every sample once, however the batch is cut. */
static void check_evaluate(const bench *b) {
    double loss[2], accuracy[2], part, part_accuracy;
    static const char *const sets[] = {"batch.slices=5", "batch.slices=8"};
    for (int i = 0; i < 2; i++) {
        ls_config *config;
        ls_engine *engine = open_engine(b, sets[i], &config);
        CHECK(b->comm,
              ls_engine_evaluate(engine, LS_SPLIT_TEST, 0, &loss[i], &accuracy[i]) == LS_OK);
        CHECK(b->comm,
              ls_engine_evaluate(engine, LS_SPLIT_TEST, 20, &part, &part_accuracy) == LS_OK);
        CHECK(b->comm, part != loss[i]);
        close_engine(engine, config);
    }
    CHECK(b->comm, fabs(loss[0] - loss[1]) < 1e-6 * fabs(loss[0]));
    CHECK(b->comm, accuracy[0] == accuracy[1]);
    double count = accuracy[0] * SAMPLES;
    CHECK(b->comm, fabs(count - round(count)) < 1e-9);
}

/* Events of a kind, and index unless it is -1; their seconds. */
static int count_events(const ls_recorder *recorder, ls_event_kind kind, int index,
                        double *seconds) {
    int count = 0;
    *seconds = 0;
    for (size_t i = 0; i < recorder->count; i++)
        if (recorder->events[i].kind == kind && (index < 0 || recorder->events[i].index == index)) {
            *seconds += recorder->events[i].end - recorder->events[i].start;
            count++;
        }
    return count;
}

/* Steps 2 and 3 of four are noted; a step's phases fill it, and the notes change no bit. */
static void check_record(const bench *b) {
    char plain[LS_DIGEST_TEXT], noted[LS_DIGEST_TEXT];
    ls_recorder recorder = {0};
    double whole, phases, part, reported = 0;
    for (int record = 0; record < 2; record++) {
        ls_config *config;
        ls_step_report report;
        ls_engine *engine = open_engine(b, NULL, &config);
        if (record)
            ls_engine_record(engine, &recorder, 1, 2);
        for (int64_t number = 0; number < 4; number++) {
            CHECK(b->comm, one_step(engine, number, 0.1, &report) == LS_OK);
            for (int phase = 0; phase < LS_PHASE_COUNT; phase++)
                reported += record && (number == 1 || number == 2) ? report.seconds[phase] : 0;
        }
        CHECK(b->comm, ls_engine_digest(engine, record ? noted : plain) == LS_OK);
        ls_engine_memory memory = ls_engine_memory_now(engine);
        CHECK(b->comm, memory.data >= 2 * SAMPLES * (PIXELS + 1));
        CHECK(b->comm, memory.weights >= 2 * ls_net_trained_size(ls_engine_net(engine)) * 4);
        CHECK(b->comm, memory.gradients + memory.own_gradients > 0 && memory.network > 0);
        close_engine(engine, config);
    }
    CHECK(b->comm, same_digest(b, plain, noted));
    CHECK(b->comm, count_events(&recorder, LS_EVENT_STEP, -1, &whole) == 2);
    CHECK(b->comm, count_events(&recorder, LS_EVENT_STEP, 1, &part) == 1);
    CHECK(b->comm, count_events(&recorder, LS_EVENT_STEP, 2, &part) == 1);
    CHECK(b->comm, count_events(&recorder, LS_EVENT_PHASE, -1, &phases) >= 2 * LS_PHASE_COUNT);
    CHECK(b->comm, phases <= whole && fabs(phases - reported) < 1e-6);
    CHECK(b->comm, count_events(&recorder, LS_EVENT_BUCKET, 0, &part) >= 2);
    if (ls_comm_size(b->comm) <= 2) { /* every rank has samples, also of a small batch */
        CHECK(b->comm, count_events(&recorder, LS_EVENT_FORWARD, 0, &part) >= 2);
        CHECK(b->comm, count_events(&recorder, LS_EVENT_BACKWARD, 0, &part) >= 2);
        CHECK(b->comm, count_events(&recorder, LS_EVENT_GRADIENT, -1, &part) >= 2);
    }
    ls_recorder_free(&recorder);
}

static const char *const optimizers[] = {
    "train.optimizer=adamw train.nesterov=false",
    "train.optimizer=lars train.nesterov=false train.trust=0.05",
    "train.optimizer=lars train.nesterov=false train.clip_norm=0.1",
};
enum { OPTIMIZERS = sizeof optimizers / sizeof *optimizers };

/* With slices for 8 ranks. */
static void train_optimizers(const bench *b) {
    for (int i = 0; i < OPTIMIZERS; i++) {
        char digest[LS_DIGEST_TEXT], *set = ls_format("%s batch.slices=8", optimizers[i]);
        train_new(b, set, digest);
        print_bits(b, digest, set);
        ls_free(set);
    }
}

static void check_all(const bench *b) {
    const char *everything = "train.clip_norm=0.1 augment.crop_padding=2 augment.flip=true "
                             "augment.cutout=3";
    check_modes(b, "");
    check_modes(b, everything);
    for (int i = 0; i < OPTIMIZERS; i++)
        check_modes(b, optimizers[i]);
    check_clipping(b, "");
    check_clipping(b, "exchange=flat");
    check_clipping_limit(b);
    check_augment(b);
    check_norm(b);
    check_redo(b);
    check_not_finite(b);
    check_stop(b);
    check_snapshot(b, NULL);
    check_snapshot(b, "train.optimizer=adamw train.nesterov=false");
    check_evaluate(b);
    check_record(b);
}

int main(int argc, char **argv) {
    bench b = {.comm = start_mpi(&argc, &argv)};
    bench_set_up(&b, write_split);
    if (argc > 1 && strcmp(argv[1], "optimizers") == 0)
        train_optimizers(&b);
    else
        check_all(&b);
    bench_tear_down(&b);
    end_mpi(b.comm);
    return 0;
}
