/* Rank tests of engines: a small dataset, a network for it, and training that leaves a digest. */
#ifndef LOCKSTEP_TESTS_RANK_ENGINE_H
#define LOCKSTEP_TESTS_RANK_ENGINE_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lockstep/config.h"
#include "lockstep/train.h"
#include "rank/bench.h"
#include "rank/check.h"

enum { SAMPLES = 50, SIDE = 6, PIXELS = SIDE * SIDE, CLASSES = 3, STEPS = 6 };

/* 50 samples in batches of 16: the last batch has 2 samples for 5 slices.  The convolution in the
 * residual block has a gradient of 0 in the first step. */
static const char *const configuration = "data: {file: %s}\n"
                                         "batch: {size: 16, slices: 5}\n"
                                         "train: {weight_decay: 0.01, nesterov: true}\n"
                                         "model:\n"
                                         "  layers:\n"
                                         "    - conv: {filters: 5, kernel: 3}\n"
                                         "    - batch_norm\n"
                                         "    - relu\n"
                                         "    - residual:\n"
                                         "        body:\n"
                                         "          - conv: {filters: 5, kernel: 3, padding: 1}\n"
                                         "          - batch_norm: {zero_scale: true}\n"
                                         "    - flatten\n"
                                         "    - dropout: {rate: 0.25}\n"
                                         "    - dense: {units: 3}\n";

static inline void make_split(int number, uint8_t *inputs, uint8_t *targets) {
    const uint32_t key[2] = {(uint32_t)number + 1, 3};
    for (uint32_t i = 0; i < SAMPLES; i++) {
        targets[i] = (uint8_t)(i * 7 % CLASSES);
        for (uint32_t p = 0; p < PIXELS; p++) {
            const uint32_t counter[4] = {i, p, 0, 0};
            uint32_t out[4];
            ls_philox(key, counter, out);
            inputs[i * PIXELS + p] = (uint8_t)(out[0] % 128 + 40 * targets[i] * (p % 3 == 0));
        }
    }
}

static inline ls_status write_split(ls_dataset_writer *writer, const char *split, int number) {
    static uint8_t inputs[SAMPLES * PIXELS], targets[SAMPLES];
    make_split(number, inputs, targets);
    const ls_array_info image = {LS_TYPE_U8, 4, {0, 1, SIDE, SIDE}}, label = {LS_TYPE_U8, 1, {0}};
    LS_TRY(bench_write_array(writer, split, "inputs", &image, SAMPLES, inputs));
    return bench_write_array(writer, split, "targets", &label, SAMPLES, targets);
}

/* ---- engines -------------------------------------------------------------------------------- */

/* `set`: assignments, a blank between two; NULL for none. */
static inline ls_engine *open_other(const bench *b, const char *form, const char *set,
                                    ls_config **config) {
    enum { MOST_SETS = 8 };
    const char *sets[MOST_SETS];
    size_t count = 0;
    ls_engine *engine;
    char *text = ls_format(form, b->file), *words = ls_strdup(set ? set : "");
    for (char *word = strtok(words, " "); word && count < MOST_SETS; word = strtok(NULL, " "))
        sets[count++] = word;
    CHECK(b->comm, ls_config_parse("test", text, sets, count, config) == LS_OK);
    ls_free(words);
    ls_free(text);
    ls_status status = ls_engine_create(b->comm, *config, "test", true, &engine);
    if (status != LS_OK)
        fprintf(stderr, "%s\n", ls_message());
    CHECK(b->comm, status == LS_OK);
    return engine;
}

static inline ls_engine *open_engine(const bench *b, const char *set, ls_config **config) {
    return open_other(b, configuration, set, config);
}

static inline void close_engine(ls_engine *engine, ls_config *config) {
    ls_engine_free(engine);
    ls_config_free(config);
}

static inline ls_decision go_on(void *context, const ls_step_report *report) {
    (void)report;
    return (ls_decision){.lr = *(double *)context, .momentum = 0.9};
}

static inline ls_status one_step(ls_engine *engine, int64_t number, double lr,
                                 ls_step_report *report) {
    ls_decision decision;
    int64_t per_epoch = ls_engine_steps_per_epoch(engine);
    return ls_engine_step(engine, number / per_epoch, number % per_epoch, go_on, &lr, &decision,
                          report);
}

static inline void train(const bench *b, ls_engine *engine, char digest[LS_DIGEST_TEXT]) {
    ls_step_report report;
    for (int64_t number = 0; number < STEPS; number++) {
        CHECK(b->comm, one_step(engine, number, 0.1, &report) == LS_OK);
        CHECK(b->comm, isfinite(report.loss) && isfinite(report.gradient_norm));
        CHECK(b->comm, report.samples == (number % 4 == 3 ? 2 : 16));
    }
    CHECK(b->comm, ls_engine_digest(engine, digest) == LS_OK);
}

/* Digests are known on rank 0 only. */
static inline bool same_digest(const bench *b, const char *one, const char *two) {
    return ls_comm_rank(b->comm) != 0 || strcmp(one, two) == 0;
}

static inline void train_new(const bench *b, const char *set, char digest[LS_DIGEST_TEXT]) {
    ls_config *config;
    ls_engine *engine = open_engine(b, set, &config);
    train(b, engine, digest);
    close_engine(engine, config);
}

#endif
