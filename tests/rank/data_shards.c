/* A split read by any number of ranks: the same contents, the same bits of the normalisation, and
 * every refusal on all ranks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lockstep/data.h"
#include "lockstep/io.h"
#include "rank/check.h"

enum { SAMPLES = 2500, CHANNELS = 2, SPATIAL = 15, ELEMENTS = CHANNELS * SPATIAL, OUTPUTS = 3 };

static char path[256];            /* one file with all samples */
static char parts[256];           /* pattern: the same samples in three files */
static const char *opened = path; /* what the checks open */

static uint8_t byte_at(int64_t sample, int64_t element) {
    const int64_t i = sample * ELEMENTS + element;
    return (uint8_t)((uint32_t)i * 2654435761u >> (element < SPATIAL ? 24 : 27));
}

static float float_at(int64_t sample, int64_t element) {
    return 1000 + (float)byte_at(sample, element) / 8;
}

static int class_at(int64_t sample) {
    return (int)(sample * 7 % 11);
}

/* ---- a file with all that is tested --------------------------------------------------------- */

static ls_status add_array(ls_dataset_writer *writer, const char *name, ls_type type, int ndims,
                           const int64_t *shape, const void *values) {
    ls_array_info info = {.type = type, .ndims = ndims};
    memcpy(info.shape, shape, (size_t)ndims * sizeof *shape);
    LS_TRY(ls_dataset_array(writer, name, &info));
    return ls_dataset_append(writer, shape[0], values);
}

typedef struct contents {
    uint8_t bytes[SAMPLES][ELEMENTS];
    float floats[SAMPLES][ELEMENTS];
    int64_t classes[SAMPLES];
    double targets[SAMPLES][OUTPUTS];
} contents;

static ls_status add_arrays(ls_dataset_writer *writer, contents *all) {
    const int64_t bytes[] = {SAMPLES, CHANNELS, 3, 5}, floats[] = {SAMPLES, CHANNELS, SPATIAL};
    const int64_t flat[] = {SAMPLES, ELEMENTS}, targets[] = {SAMPLES, OUTPUTS};
    for (int64_t n = 0; n < SAMPLES; n++) {
        for (int64_t i = 0; i < ELEMENTS; i++) {
            all->bytes[n][i] = byte_at(n, i);
            all->floats[n][i] = float_at(n, i);
        }
        all->classes[n] = class_at(n);
        for (int64_t i = 0; i < OUTPUTS; i++)
            all->targets[n][i] = (double)(n * i) / 4;
    }
    LS_TRY(add_array(writer, "bytes", LS_TYPE_U8, 4, bytes, all->bytes));
    LS_TRY(add_array(writer, "floats", LS_TYPE_F32, 3, floats, all->floats));
    LS_TRY(add_array(writer, "flat", LS_TYPE_F32, 2, flat, all->floats));
    LS_TRY(add_array(writer, "single", LS_TYPE_I64, 1, flat, all->classes));
    LS_TRY(add_array(writer, "few", LS_TYPE_I64, 1, (int64_t[]){SAMPLES - 1}, all->classes));
    LS_TRY(add_array(writer, "classes", LS_TYPE_I64, 1, flat, all->classes));
    LS_TRY(add_array(writer, "hot", LS_TYPE_U8, 2, flat, all->bytes));
    LS_TRY(add_array(writer, "targets", LS_TYPE_F64, 2, targets, all->targets));
    LS_TRY(
        add_array(writer, "cube", LS_TYPE_F64, 3, (int64_t[]){SAMPLES, OUTPUTS, 1}, all->targets));
    all->classes[2400] = -3;
    LS_TRY(add_array(writer, "negative", LS_TYPE_I64, 1, flat, all->classes));
    all->classes[2400] = 2000000000;
    LS_TRY(add_array(writer, "stray", LS_TYPE_I64, 1, flat, all->classes));
    all->classes[2400] = INT64_MAX;
    LS_TRY(add_array(writer, "giant", LS_TYPE_I64, 1, flat, all->classes));
    all->floats[2499][29] = NAN;
    all->floats[700][3] = INFINITY;
    LS_TRY(add_array(writer, "nan", LS_TYPE_F32, 3, floats, all->floats));
    all->targets[1300][1] = 1e300;
    return add_array(writer, "huge", LS_TYPE_F64, 2, targets, all->targets);
}

static ls_status write_file(void) {
    ls_dataset_writer *writer = NULL;
    contents *all = calloc(1, sizeof *all);
    ls_status status = ls_dataset_create(path, &writer);
    if (status == LS_OK)
        status = add_arrays(writer, all);
    if (status == LS_OK)
        status = ls_dataset_finish(writer);
    if (status != LS_OK)
        fprintf(stderr, "%s\n", ls_message());
    ls_dataset_writer_free(writer);
    free(all);
    return status;
}

/* Samples [first, end) of array `name` as array `as`. */
static ls_status copy_range(ls_dataset_writer *writer, const char *name, const char *as,
                            int64_t first, int64_t end) {
    ls_array *array = NULL;
    ls_status status = ls_array_open(NULL, path, name, &array);
    if (status != LS_OK)
        return status;
    ls_array_info info = *ls_array_describe(array);
    size_t bytes = ls_type_size(info.type) * (size_t)(end - first);
    for (int d = 1; d < info.ndims; d++)
        bytes *= (size_t)info.shape[d];
    char *values = malloc(bytes);
    info.shape[0] = end - first;
    status = ls_array_read(array, first, end - first, values);
    if (status == LS_OK)
        status = ls_dataset_array(writer, as, &info);
    if (status == LS_OK)
        status = ls_dataset_append(writer, end - first, values);
    free(values);
    ls_array_close(array);
    return status;
}

static ls_status write_part(const char *suffix, const char *bytes, int64_t first, int64_t end) {
    static const char *const names[] = {"floats", "flat", "single", "classes", "targets", "nan"};
    ls_dataset_writer *writer = NULL;
    char *file = ls_format("%s-%s.h5", path, suffix);
    ls_status status = ls_dataset_create(file, &writer);
    if (status == LS_OK)
        status = copy_range(writer, bytes, "bytes", first, end);
    for (size_t i = 0; i < sizeof names / sizeof *names && status == LS_OK; i++)
        status = copy_range(writer, names[i], names[i], first, end);
    if (status == LS_OK)
        status = ls_dataset_finish(writer);
    ls_dataset_writer_free(writer);
    ls_free(file);
    return status;
}

/* One of a single sample; a border that is none of a shard's. */
static ls_status write_parts(void) {
    snprintf(parts, sizeof parts, "%.200s-part?.h5", path);
    ls_status status = write_part("part2", "bytes", 1111, SAMPLES);
    if (status == LS_OK)
        status = write_part("part0", "bytes", 0, 1);
    if (status == LS_OK)
        status = write_part("part1", "bytes", 1, 1111);
    return status == LS_OK ? write_part("odd", "floats", 0, 2) : status;
}

static void remove_files(void) {
    static const char *const names[] = {"part0", "part1", "part2", "odd"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *file = ls_format("%s-%s.h5", path, names[i]);
        unlink(file);
        ls_free(file);
    }
    unlink(path);
}

/* ---- contents ------------------------------------------------------------------------------- */

static ls_status open_files(ls_comm *comm, const char *lines, const char *inputs,
                            const char *targets, int64_t classes, ls_data **data) {
    ls_files *files;
    LS_TRY(ls_files_find(comm, lines, &files));
    ls_status status = ls_data_open(comm, files, inputs, targets, classes, NULL, NULL, data);
    ls_files_free(files);
    return status;
}

static ls_data *open_arrays(ls_comm *comm, const char *inputs, const char *targets,
                            int64_t classes) {
    ls_data *data;
    ls_status status = open_files(comm, opened, inputs, targets, classes, &data);
    if (status != LS_OK)
        fprintf(stderr, "%s\n", ls_message());
    CHECK(comm, status == LS_OK);
    return data;
}

static void check_inputs(ls_comm *comm, const ls_data *data, bool bytes) {
    float values[ELEMENTS];
    ls_normalization identity;
    CHECK(comm, ls_data_count(data) == SAMPLES);
    CHECK(comm, ls_normalization_identity(ls_data_shape(data)->size[0], &identity) == LS_OK);
    for (int64_t n = 0; n < SAMPLES; n++) {
        const uint64_t id = (uint64_t)n;
        ls_data_inputs(data, &identity, &id, 1, values);
        for (int64_t i = 0; i < ELEMENTS; i++)
            CHECK(comm, values[i] == (bytes ? (float)byte_at(n, i) : float_at(n, i)));
    }
    ls_normalization_free(&identity);
}

static void check_classes(ls_comm *comm, const ls_data *data, int64_t outputs) {
    CHECK(comm, ls_data_is_classes(data) && ls_data_outputs(data) == outputs);
    for (int64_t n = 0; n < SAMPLES; n++) {
        const uint64_t id = (uint64_t)n;
        int32_t value;
        ls_data_classes(data, &id, 1, &value);
        CHECK(comm, value == class_at(n));
    }
}

static void check_targets(ls_comm *comm, const ls_data *data) {
    CHECK(comm, !ls_data_is_classes(data) && ls_data_outputs(data) == OUTPUTS);
    for (int64_t n = 0; n < SAMPLES; n++) {
        const uint64_t id = (uint64_t)n;
        double values[OUTPUTS];
        ls_data_target_values(data, &id, 1, values);
        for (int64_t i = 0; i < OUTPUTS; i++)
            CHECK(comm, values[i] == (double)(n * i) / 4);
    }
}

/* Against sums in long double over all samples, rounded to float: the same on any number of ranks.
 */
static void check_normalization(ls_comm *comm, const ls_data *data, bool bytes, int64_t channels) {
    const int64_t spatial = ELEMENTS / channels;
    ls_normalization norm;
    CHECK(comm, ls_normalization_measure(comm, data, &norm) == LS_OK);
    CHECK(comm, norm.channels == channels);
    for (int64_t c = 0; c < channels; c++) {
        long double sum = 0, squares = 0;
        const long double count = (long double)(SAMPLES * spatial);
        for (int pass = 0; pass < 2; pass++)
            for (int64_t n = 0; n < SAMPLES; n++)
                for (int64_t i = c * spatial; i < (c + 1) * spatial; i++) {
                    const long double x = bytes ? byte_at(n, i) : float_at(n, i);
                    sum += pass == 0 ? x : 0;
                    squares += pass == 1 ? (x - sum / count) * (x - sum / count) : 0;
                }
        CHECK(comm, (float)norm.mean[c] == (float)(sum / count));
        CHECK(comm, (float)norm.deviation[c] == (float)sqrtl(squares / count));
    }
    ls_normalization_free(&norm);
}

static void check_contents(ls_comm *comm) {
    const ls_shape image = {3, {CHANNELS, 3, 5}}, row = {2, {CHANNELS, SPATIAL}};
    const ls_shape flat = {1, {ELEMENTS}}, single = {1, {1}};
    ls_data *data = open_arrays(comm, "bytes", "classes", 0);
    CHECK(comm, memcmp(ls_data_shape(data), &image, sizeof image) == 0);
    check_inputs(comm, data, true);
    check_classes(comm, data, 11);
    check_normalization(comm, data, true, CHANNELS);
    ls_data_close(data);

    data = open_arrays(comm, "floats", "classes", 40);
    CHECK(comm, memcmp(ls_data_shape(data), &row, sizeof row) == 0);
    check_inputs(comm, data, false);
    check_classes(comm, data, 40);
    check_normalization(comm, data, false, CHANNELS);
    ls_data_close(data);

    data = open_arrays(comm, "flat", "targets", 0);
    CHECK(comm, memcmp(ls_data_shape(data), &flat, sizeof flat) == 0);
    check_inputs(comm, data, false);
    check_targets(comm, data);
    check_normalization(comm, data, false, ELEMENTS);
    ls_data_close(data);

    data = open_arrays(comm, "single", "classes", 0);
    CHECK(comm, memcmp(ls_data_shape(data), &single, sizeof single) == 0);
    ls_data_close(data);
}

/* ---- held out ------------------------------------------------------------------------------- */

/* The numbers of a split's samples, ascending, marked in `seen`. */
static void check_part(ls_comm *comm, const ls_data *data, bool *seen) {
    float values[ELEMENTS];
    ls_normalization identity;
    int64_t before = -1;
    CHECK(comm, ls_normalization_identity(CHANNELS, &identity) == LS_OK);
    for (int64_t n = 0; n < ls_data_count(data); n++) {
        const uint64_t id = (uint64_t)n;
        double targets[OUTPUTS];
        ls_data_target_values(data, &id, 1, targets);
        const int64_t sample = (int64_t)(4 * targets[1]);
        CHECK(comm, sample > before && sample < SAMPLES && !seen[sample]);
        ls_data_inputs(data, &identity, &id, 1, values);
        for (int64_t i = 0; i < ELEMENTS; i++)
            CHECK(comm, values[i] == float_at(sample, i));
        seen[sample] = true;
        before = sample;
    }
    ls_normalization_free(&identity);
}

/* Of what is left, without a look at what is held out. */
static void check_moments(ls_comm *comm, const ls_data *data, const bool *held) {
    ls_normalization norm;
    CHECK(comm, ls_normalization_measure(comm, data, &norm) == LS_OK);
    for (int64_t c = 0; c < CHANNELS; c++) {
        long double sum = 0, squares = 0;
        const long double count = (long double)(ls_data_count(data) * SPATIAL);
        for (int pass = 0; pass < 2; pass++)
            for (int64_t n = 0; n < SAMPLES; n++)
                for (int64_t i = c * SPATIAL; i < (c + 1) * SPATIAL && !held[n]; i++) {
                    const long double x = float_at(n, i);
                    sum += pass == 0 ? x : 0;
                    squares += pass == 1 ? (x - sum / count) * (x - sum / count) : 0;
                }
        CHECK(comm, (float)norm.mean[c] == (float)(sum / count));
        CHECK(comm, (float)norm.deviation[c] == (float)sqrtl(squares / count));
    }
    ls_normalization_free(&norm);
}

static void check_held_out(ls_comm *comm, double share, int64_t expected) {
    bool seen[SAMPLES] = {false}, held_out[SAMPLES];
    ls_data *data = open_arrays(comm, "floats", "targets", 0), *held = NULL;
    CHECK(comm, ls_data_hold_out(data, share, 3, &held) == LS_OK);
    CHECK(comm, ls_data_count(held) == expected && ls_data_count(data) == SAMPLES - expected);
    check_part(comm, held, seen);
    memcpy(held_out, seen, sizeof seen);
    check_part(comm, data, seen);
    for (int64_t n = 0; n < SAMPLES; n++)
        CHECK(comm, seen[n]);
    check_moments(comm, data, held_out);
    CHECK(comm, ls_data_bytes(held) == 0);
    ls_data_close(held);
    ls_data_close(data);
}

static void check_held_out_classes(ls_comm *comm) {
    int64_t all[11], left[11], out[11];
    ls_data *data = open_arrays(comm, "bytes", "classes", 0), *held = NULL;
    ls_data_class_counts(data, all);
    CHECK(comm, ls_data_hold_out(data, 0.3, 3, &held) == LS_OK);
    ls_data_class_counts(data, left);
    ls_data_class_counts(held, out);
    for (int c = 0; c < 11; c++)
        CHECK(comm, left[c] + out[c] == all[c] && out[c] > 0);
    ls_data_close(held);
    ls_data_close(data);
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void check_refusal(ls_comm *comm, const char *file, const char *inputs, const char *targets,
                          int64_t classes, const char *message) {
    ls_data *data = NULL;
    ls_message_set("");
    ls_status status = open_files(comm, file, inputs, targets, classes, &data);
    if (status != LS_ERR_INPUT || !strstr(ls_message(), message))
        fprintf(stderr, "status %d: '%s' is not in: %s\n", status, message, ls_message());
    CHECK(comm, status == LS_ERR_INPUT);
    CHECK(comm, strstr(ls_message(), message));
    CHECK(comm, data == NULL);
    CHECK(comm, ls_comm_same(comm, "the message", ls_message()) == LS_OK);
}

static void check_refusals(ls_comm *comm) {
    check_refusal(comm, "/nowhere/a.h5", "bytes", "classes", 0, "/nowhere/a.h5");
    check_refusal(comm, path, "bites", "classes", 0, "bites");
    check_refusal(comm, path, "bytes", "clases", 0, "clases");
    check_refusal(comm, path, "bytes", "few", 0, "few has 2499 targets");
    check_refusal(comm, path, "bytes", "hot", 0, "hot: uint8 of shape (2500, 30)");
    check_refusal(comm, path, "bytes", "cube", 0, "cube: float64 of shape (2500, 3, 1)");
    check_refusal(comm, path, "bytes", "targets", 10, "class numbers are needed");
    check_refusal(comm, path, "bytes", "classes", 10,
                  "classes: sample 3 has class 10; expected a number from 0 to 9");
    check_refusal(comm, path, "bytes", "negative", 0, "negative: sample 2400 has class -3");
    check_refusal(comm, path, "bytes", "stray", 0,
                  "stray: sample 2400 has class 2000000000; expected a number from 0 to 16777215");
    check_refusal(comm, path, "bytes", "giant", 0,
                  "giant: sample 2400 has class 9223372036854775807");
    check_refusal(comm, path, "nan", "classes", 0,
                  "nan: sample 700 holds inf (value 3 of the sample)");
    check_refusal(comm, path, "bytes", "huge", 0, "huge: sample 1300 holds 1e+300");
    ls_message_set("");
}

/* What is wrong with one of several files, and with their list. */
static void check_refusals_of_parts(ls_comm *comm) {
    char *odd = ls_format("%s-part0.h5\n%s-odd.h5", path, path);
    char *twice = ls_format("%s\n%s-part0.h5", parts, path);
    char *missing = ls_format("%s\n%s-part3.h5", parts, path);
    check_refusal(comm, odd, "bytes", "classes", 0,
                  "-odd.h5' has samples of another type or shape than the first file: 'float32 2 2 "
                  "15', and 'uint8 1 2 3 5' there");
    check_refusal(comm, twice, "bytes", "classes", 0, "-part0.h5' is named twice");
    check_refusal(comm, missing, "bytes", "classes", 0, "there is no file '");
    check_refusal(comm, "/nowhere/*.h5", "bytes", "classes", 0, "no file matches '/nowhere/*.h5'");
    check_refusal(comm, parts, "nan", "classes", 0, "-part1.h5: nan: sample 699 holds inf");
    ls_message_set("");
    ls_free(missing);
    ls_free(twice);
    ls_free(odd);
}

static void check_all(ls_comm *comm) {
    check_contents(comm);
    check_held_out(comm, 0.1, 250);
    check_held_out(comm, 0.33, 825);
    check_held_out(comm, 0.5, 1250);
    check_held_out(comm, 1e-9, 1);
}

int main(int argc, char **argv) {
    ls_comm *comm = start_mpi(&argc, &argv);
    const char *base = getenv("TMPDIR");
    ls_status status = LS_OK;
    if (ls_comm_rank(comm) == 0) {
        snprintf(path, sizeof path, "%s/lockstep-%ld-shards.h5", base ? base : "/tmp",
                 (long)getpid());
        status = write_file();
        status = status == LS_OK ? write_parts() : status;
    }
    CHECK(comm, ls_comm_agree(comm, status) == LS_OK);
    CHECK(comm, ls_comm_broadcast(comm, path, sizeof path, 0) == LS_OK);
    CHECK(comm, ls_comm_broadcast(comm, parts, sizeof parts, 0) == LS_OK);
    check_all(comm);
    check_held_out_classes(comm);
    check_refusals(comm);
    opened = parts;
    check_all(comm);
    check_refusals_of_parts(comm);
    ls_comm_barrier(comm);
    if (ls_comm_rank(comm) == 0)
        remove_files();
    end_mpi(comm);
    return 0;
}
