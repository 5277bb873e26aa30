/* data: order, slices, moments and batches against independent computations. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/moments.h"
#include "data/split.h"

/* ---- held out ------------------------------------------------------------------------------- */

/* Any number of samples and blocks: each sample is in one of the two parts, in order. */
Test(data, held_out_and_left) {
    for (int64_t whole = 2; whole < 60; whole++)
        for (int64_t blocks = 1; blocks <= whole / 2; blocks++) {
            ls_held_out h = {.whole = whole, .blocks = blocks, .key = {(uint32_t)whole, 5}};
            bool seen[60] = {false};
            for (int held = 0; held < 2; held++) {
                const int64_t count = held ? blocks : whole - blocks;
                int64_t before = -1;
                h.held = held;
                for (int64_t id = 0; id < count; id++) {
                    const int64_t sample = (int64_t)ls_held_out_sample(&h, (uint64_t)id);
                    cr_assert(sample > before && sample < whole && !seen[sample]);
                    seen[sample] = true;
                    before = sample;
                }
            }
        }
}

/* Each sample of a block is as likely, and other seeds hold out others. */
Test(data, held_out_at_random) {
    enum { SIZE = 10, BLOCKS = 10000 };
    ls_held_out h = {.whole = SIZE * BLOCKS, .blocks = BLOCKS, .held = true}, other;
    int64_t counts[SIZE] = {0}, same = 0;
    double chi = 0;
    ls_stream_key(1, LS_STREAM_VALIDATION, h.key);
    other = h;
    ls_stream_key(2, LS_STREAM_VALIDATION, other.key);
    for (uint64_t block = 0; block < BLOCKS; block++) {
        const uint64_t sample = ls_held_out_sample(&h, block);
        cr_assert_eq(sample / SIZE, block);
        counts[sample % SIZE]++;
        same += sample == ls_held_out_sample(&other, block);
    }
    for (int i = 0; i < SIZE; i++)
        chi += pow((double)counts[i] - BLOCKS / SIZE, 2) / (BLOCKS / SIZE);
    cr_expect_lt(chi, 27.9); /* 9 degrees of freedom: 1 in 1000 */
    cr_expect(same > 800 && same < 1200, "%d", (int)same);
}

/* ---- order ---------------------------------------------------------------------------------- */

/* From an implementation in Python. */
Test(data, order_golden_values) {
    static const struct {
        uint64_t seed, count;
        uint32_t epoch;
        int places;
        uint64_t expected[10];
    } golden[] = {
        {0, 10, 0, 10, {5, 8, 2, 9, 0, 3, 7, 1, 6, 4}},
        {1, 10, 0, 10, {9, 0, 1, 4, 3, 8, 6, 7, 2, 5}},
        {1, 10, 1, 10, {0, 3, 5, 9, 8, 7, 2, 6, 4, 1}},
        {42, 60000, 0, 6, {47398, 35330, 49512, 29984, 22247, 3776}},
        {42, 60000, 7, 6, {18947, 55074, 58532, 17795, 41759, 10924}},
        {0x123456789abcdef0, (uint64_t)1 << 40, 3, 3, {264595887694, 510529996798, 378461344189}},
        {5, 5, 0, 5, {3, 2, 0, 1, 4}},
    };
    for (size_t g = 0; g < sizeof golden / sizeof golden[0]; g++)
        for (int place = 0; place < golden[g].places; place++)
            cr_assert_eq(
                ls_order(golden[g].seed, golden[g].epoch, golden[g].count, (uint64_t)place),
                golden[g].expected[place], "case %zu, place %d", g, place);
}

Test(data, order_is_a_permutation) {
    const uint64_t counts[] = {1, 2, 3, 4, 5, 7, 8, 9, 10, 17, 1000, 1023, 1024, 1025, 60000};
    for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++)
        for (uint32_t epoch = 0; epoch < 3; epoch++) {
            bool *seen = calloc(counts[k], sizeof *seen);
            for (uint64_t place = 0; place < counts[k]; place++) {
                const uint64_t sample = ls_order(99, epoch, counts[k], place);
                cr_assert_lt(sample, counts[k]);
                cr_assert_not(seen[sample], "%llu twice", (unsigned long long)sample);
                seen[sample] = true;
            }
            free(seen);
        }
}

Test(data, order_differs_by_seed_and_epoch) {
    int same_seed = 0, same_epoch = 0;
    for (uint64_t place = 0; place < 1000; place++) {
        same_seed += ls_order(1, 0, 1000, place) == ls_order(2, 0, 1000, place);
        same_epoch += ls_order(1, 0, 1000, place) == ls_order(1, 1, 1000, place);
    }
    cr_assert_lt(same_seed, 10); /* 1 is expected by chance */
    cr_assert_lt(same_epoch, 10);
}

/* Chi-square of where a place goes, over many seeds; 5 sigma above what chance gives. */
static void check_uniform(uint64_t count, uint64_t place) {
    enum { SEEDS = 20000 };
    int seen[64] = {0};
    double chi = 0, expected = (double)SEEDS / (double)count;
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        seen[ls_order(seed, 0, count, place)]++;
    for (uint64_t sample = 0; sample < count; sample++)
        chi += (seen[sample] - expected) * (seen[sample] - expected) / expected;
    const double freedom = (double)count - 1;
    cr_assert_lt(chi, freedom + 5 * sqrt(2 * freedom) + 5, "count %d, place %d: chi2 %g",
                 (int)count, (int)place, chi);
}

Test(data, order_is_uniform) {
    const uint64_t counts[] = {2, 3, 4, 5, 10, 16, 33, 50};
    for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++) {
        check_uniform(counts[k], 0);
        check_uniform(counts[k], counts[k] - 1);
    }
}

/* Correlation of place and sample, and of neighbours: about 1/sqrt(60000) = 0.004 by chance. */
Test(data, order_is_uncorrelated) {
    enum { COUNT = 60000 };
    for (uint32_t epoch = 0; epoch < 3; epoch++) {
        const double mean = (COUNT - 1) / 2.0, variance = ((double)COUNT * COUNT - 1) / 12;
        double with_place = 0, with_next = 0, last = mean;
        for (uint64_t place = 0; place < COUNT; place++) {
            const double sample = (double)ls_order(7, epoch, COUNT, place) - mean;
            with_place += sample * ((double)place - mean);
            with_next += sample * (last - mean);
            last = sample + mean;
        }
        cr_assert_lt(fabs(with_place / variance / COUNT), 0.02);
        cr_assert_lt(fabs(with_next / variance / COUNT), 0.02);
    }
}

/* ---- windows -------------------------------------------------------------------------------- */

/* All samples of an epoch as the slices take them, batch after batch: slice s its own in row s. */
static void visit_epoch(const ls_windows *w, uint32_t epoch, uint64_t *visited) {
    for (int64_t batch = 0; batch * w->batch < w->count; batch++) {
        const int64_t rest = w->count - batch * w->batch;
        for (int slice = 0; slice < w->slices; slice++) {
            int64_t first, count;
            ls_slice_samples(rest < w->batch ? rest : w->batch, w->slices, slice, &first, &count);
            ls_windows_samples(w, epoch, batch, slice, count, visited);
            visited += count;
        }
    }
}

Test(data, windows_visit_each_sample_once) {
    static const ls_windows cases[] = {
        {1, 1, 1, 1, 1, 1},       {2, 1000, 128, 4, 64, 2}, {3, 1000, 128, 5, 7, 16},
        {4, 999, 100, 3, 100, 1}, {5, 10, 4, 4, 64, 3},     {6, 4096, 64, 64, 16, 4},
        {7, 130, 128, 4, 13, 1},  {8, 1000, 1, 1, 1000, 1},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++)
        for (uint32_t epoch = 0; epoch < 4; epoch++) {
            const size_t count = (size_t)cases[k].count;
            uint64_t *visited = calloc(count, sizeof *visited);
            bool *seen = calloc(count, sizeof *seen);
            visit_epoch(&cases[k], epoch, visited);
            for (size_t i = 0; i < count; i++) {
                cr_assert_lt(visited[i], count);
                cr_assert_not(seen[visited[i]], "case %zu: %llu twice", k,
                              (unsigned long long)visited[i]);
                seen[visited[i]] = true;
            }
            free(seen);
            free(visited);
        }
}

Test(data, windows_differ_by_seed_and_epoch) {
    ls_windows w = {1, 4000, 100, 4, 16, 8};
    uint64_t first[25], second[25], third[25];
    int same = 0;
    ls_windows_samples(&w, 0, 0, 1, 25, first);
    ls_windows_samples(&w, 1, 0, 1, 25, second);
    w.seed = 2;
    ls_windows_samples(&w, 0, 0, 1, 25, third);
    for (int i = 0; i < 25; i++)
        same += (first[i] == second[i]) + (first[i] == third[i]);
    cr_assert_lt(same, 3); /* 0 is expected */
}

/* What a slice takes comes from the chunks of a window, all of them, before that of the next. */
Test(data, windows_keep_chunks_together) {
    enum { CHUNK = 20, WINDOW = 5, SHARE = 25, BATCHES = 40 };
    const ls_windows w = {9, 4 * SHARE * BATCHES, 4 * SHARE, 4, CHUNK, WINDOW};
    for (int slice = 0; slice < w.slices; slice++)
        for (int64_t batch = 0; batch + 4 <= BATCHES; batch += 4) {
            int of_chunk[4 * SHARE * BATCHES / CHUNK] = {0};
            for (int64_t part = 0; part < 4; part++) { /* four shares are one window */
                uint64_t samples[SHARE];
                ls_windows_samples(&w, 3, batch + part, slice, SHARE, samples);
                for (int i = 0; i < SHARE; i++)
                    of_chunk[samples[i] / CHUNK]++;
            }
            for (size_t c = 0; c < sizeof of_chunk / sizeof of_chunk[0]; c++)
                cr_assert(of_chunk[c] == 0 || of_chunk[c] == CHUNK, "%d of chunk %zu", of_chunk[c],
                          c);
        }
}

Test(data, slices_cover_the_batch_in_balance) {
    const int64_t samples[] = {0, 1, 3, 64, 100, 127, 60000};
    for (size_t k = 0; k < sizeof samples / sizeof samples[0]; k++)
        for (int slices = 1; slices <= 130; slices++) {
            int64_t next = 0, first, count;
            for (int slice = 0; slice < slices; slice++, next += count) {
                ls_slice_samples(samples[k], slices, slice, &first, &count);
                cr_assert_eq(first, next);
                cr_assert(count == samples[k] / slices || count == samples[k] / slices + 1);
            }
            cr_assert_eq(next, samples[k]);
        }
}

/* ---- values of every type ------------------------------------------------------------------- */

enum { SAMPLES = 37, CHANNELS = 3, VALUES = SAMPLES * CHANNELS * 19 };

/* A number that each type holds exactly. */
static int number(int i) {
    return (int)((unsigned)i * 2654435761u >> 25); /* 0 to 127 */
}

static void fill_values(ls_type type, void *values, int count) {
    for (int i = 0; i < count; i++)
        switch (type) {
        case LS_TYPE_U8:
            ((uint8_t *)values)[i] = (uint8_t)number(i);
            break;
        case LS_TYPE_I8:
            ((int8_t *)values)[i] = (int8_t)number(i);
            break;
        case LS_TYPE_U16:
            ((uint16_t *)values)[i] = (uint16_t)number(i);
            break;
        case LS_TYPE_I16:
            ((int16_t *)values)[i] = (int16_t)number(i);
            break;
        case LS_TYPE_U32:
            ((uint32_t *)values)[i] = (uint32_t)number(i);
            break;
        case LS_TYPE_I32:
            ((int32_t *)values)[i] = number(i);
            break;
        case LS_TYPE_U64:
            ((uint64_t *)values)[i] = (uint64_t)number(i);
            break;
        case LS_TYPE_I64:
            ((int64_t *)values)[i] = number(i);
            break;
        case LS_TYPE_F32:
            ((float *)values)[i] = (float)number(i);
            break;
        case LS_TYPE_F64:
            ((double *)values)[i] = number(i);
            break;
        }
}

typedef struct array {
    const char *values;
    size_t sample; /* bytes */
} array;

static ls_status sample_of(const void *context, int64_t index, const void **values) {
    const array *from = context;
    *values = from->values + (size_t)index * from->sample;
    return LS_OK;
}

static ls_status measure(ls_type type, const void *values, int64_t count, int64_t channels,
                         int64_t spatial, ls_moments *moments) {
    const array from = {values, ls_type_size(type) * (size_t)(channels * spatial)};
    const ls_measured samples = {type, channels, spatial, sample_of, &from};
    return ls_moments_measure(&samples, 0, count, moments);
}

Test(data, moments_of_every_type) {
    static double values[VALUES];
    const int64_t spatials[] = {1, 7, 19};
    for (ls_type type = LS_TYPE_U8; type <= LS_TYPE_F64; type++)
        for (size_t k = 0; k < 3; k++) {
            const int64_t spatial = spatials[k];
            ls_moments moments[CHANNELS];
            fill_values(type, values, VALUES);
            cr_assert_eq(measure(type, values, SAMPLES, CHANNELS, spatial, moments), LS_OK);
            for (int64_t c = 0; c < CHANNELS; c++) {
                long double sum = 0, squares = 0;
                const long double count = (long double)(SAMPLES * spatial);
                for (int64_t n = 0; n < SAMPLES; n++)
                    for (int64_t i = 0; i < spatial; i++) {
                        const long double x = number((int)((n * CHANNELS + c) * spatial + i));
                        sum += x;
                        squares += x * x;
                    }
                const long double wanted = squares - sum * sum / count;
                cr_assert_eq(moments[c].count, (double)count);
                cr_assert_float_eq(moments[c].mean, (double)(sum / count), 1e-12);
                cr_assert_float_eq(moments[c].squares / (double)wanted, 1, 1e-12);
            }
        }
}

/* A large mean with a small spread, in parts: what a one-pass variance loses. */
Test(data, moments_are_sound_and_merge) {
    enum { COUNT = 10007, PART = 1024 };
    static double values[COUNT];
    for (int i = 0; i < COUNT; i++)
        values[i] = 1e9 + (number(i) - 64) * 1e-3;
    ls_moments whole, total, part;
    cr_assert_eq(measure(LS_TYPE_F64, values, COUNT, 1, 1, &whole), LS_OK);
    cr_assert_eq(measure(LS_TYPE_F64, values, PART, 1, 1, &total), LS_OK);
    for (int first = PART; first < COUNT; first += PART) {
        const int count = COUNT - first < PART ? COUNT - first : PART;
        cr_assert_eq(measure(LS_TYPE_F64, values + first, count, 1, 1, &part), LS_OK);
        ls_moments_merge(&total, &part);
    }
    long double sum = 0, squares = 0;
    for (int i = 0; i < COUNT; i++)
        sum += (long double)values[i] - 1e9L;
    const long double mean = sum / COUNT;
    for (int i = 0; i < COUNT; i++)
        squares += (values[i] - 1e9L - mean) * (values[i] - 1e9L - mean);
    const float expected = (float)sqrtl(squares / COUNT);
    cr_assert_float_eq(ls_moments_deviation(&whole) / expected, 1, 1e-6);
    cr_assert_float_eq(ls_moments_deviation(&total) / expected, 1, 1e-6);
    cr_assert_eq(total.count, COUNT);
}

Test(data, constant_channels_have_deviation_one) {
    static float values[5000];
    ls_moments moments;
    const float constants[] = {0, 0.1f, -123456.789f, 1e-30f};
    for (size_t k = 0; k < 4; k++) {
        for (int i = 0; i < 5000; i++)
            values[i] = constants[k];
        cr_assert_eq(measure(LS_TYPE_F32, values, 5000, 1, 1, &moments), LS_OK);
        cr_assert_eq(ls_moments_deviation(&moments), 1);
    }
}

/* ---- batches -------------------------------------------------------------------------------- */

Test(data, batches_of_every_type) {
    static double values[VALUES];
    static float out[3 * CHANNELS * 19];
    const uint64_t ids[] = {36, 0, 17};
    double mean[] = {1.5, 64, -3}, deviation[] = {0.7, 33, 1};
    const ls_normalization norm = {CHANNELS, mean, deviation};
    for (ls_type type = LS_TYPE_U8; type <= LS_TYPE_F64; type++)
        for (int64_t spatial = 1; spatial <= 19; spatial += 6) {
            const ls_data data = {.type = type,
                                  .count = SAMPLES,
                                  .channels = CHANNELS,
                                  .spatial = spatial,
                                  .inputs = values};
            fill_values(type, values, VALUES);
            ls_data_inputs(&data, &norm, ids, 3, out);
            for (int64_t i = 0; i < 3 * CHANNELS * spatial; i++) {
                const int64_t c = i / spatial % CHANNELS, n = i / spatial / CHANNELS;
                const int x =
                    number((int)(((int64_t)ids[n] * CHANNELS + c) * spatial + i % spatial));
                cr_assert_float_eq(out[i], ((double)x - mean[c]) / deviation[c],
                                   1e-6 * (1 + fabs((double)out[i])));
            }
        }
}

Test(data, batches_of_targets) {
    const int32_t classes[] = {3, 1, 4, 1, 5};
    const float targets[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    const uint64_t ids[] = {4, 0, 2};
    int32_t some[3];
    float numbers[6];
    const ls_data classified = {.count = 5, .is_classes = true, .classes = classes};
    ls_data_classes(&classified, ids, 3, some);
    cr_assert_arr_eq(some, ((int32_t[]){5, 3, 4}), sizeof some);
    double mean[] = {1, 2}, deviation[] = {1, 2}, values[6];
    const ls_normalization norm = {2, mean, deviation};
    const ls_data regression = {
        .count = 5, .outputs = 2, .target_type = LS_TYPE_F32, .targets = targets};
    ls_data_targets(&regression, &norm, ids, 3, numbers);
    cr_assert_arr_eq(numbers, ((float[]){7, 3.5f, -1, -0.5f, 3, 1.5f}), sizeof numbers);
    ls_data_target_values(&regression, ids, 3, values);
    cr_assert_arr_eq(values, ((double[]){8, 9, 0, 1, 4, 5}), sizeof values);
}

/* What float32 cannot tell apart: spreads of 1e-7 of the mean and below. */
Test(data, large_mean_small_spread) {
    enum { COUNT = 3000 };
    static double numbers[COUNT];
    static int64_t times[COUNT];
    static float out[COUNT];
    const struct {
        ls_type type;
        const void *values;
    } arrays[] = {{LS_TYPE_F64, numbers}, {LS_TYPE_I64, times}};
    for (int i = 0; i < COUNT; i++) {
        double wave = i % 2 ? 1 : -1; /* mean 0, deviation 1 */
        numbers[i] = -291230 + 0.025 * wave;
        times[i] = INT64_C(1700000000000) + (int64_t)(5 * wave);
    }
    for (size_t k = 0; k < 2; k++) {
        ls_moments whole, part;
        cr_assert_eq(measure(arrays[k].type, arrays[k].values, COUNT / 2, 1, 1, &whole), LS_OK);
        cr_assert_eq(measure(arrays[k].type,
                             (const char *)arrays[k].values + COUNT / 2 * sizeof(double), COUNT / 2,
                             1, 1, &part),
                     LS_OK);
        ls_moments_merge(&whole, &part);
        double mean = whole.mean, deviation = ls_moments_deviation(&whole);
        const ls_normalization norm = {1, &mean, &deviation};
        const ls_data data = {.type = arrays[k].type,
                              .count = COUNT,
                              .channels = 1,
                              .spatial = 1,
                              .inputs = arrays[k].values,
                              .outputs = 1,
                              .target_type = LS_TYPE_F64,
                              .targets = numbers};
        for (uint64_t id = 0; id < COUNT; id++) {
            ls_data_inputs(&data, &norm, &id, 1, out + id);
            cr_assert_float_eq(out[id], id % 2 ? 1 : -1, 1e-6);
            if (k > 0)
                continue;
            double value;
            ls_data_targets(&data, &norm, &id, 1, out + id);
            cr_assert_float_eq(out[id], id % 2 ? 1 : -1, 1e-6);
            ls_normalization_undo(&norm, true, 1, out + id, &value);
            cr_assert_float_eq(value, numbers[id], 1e-7);
        }
    }
}
