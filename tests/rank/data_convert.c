/* What was converted is what is read: files of every format, written here, against their values. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lockstep/data.h"
#include "rank/check.h"

enum { SAMPLES = 23 };

static char folder[256];

static const char *path(const char *name) {
    static char paths[16][300];
    static int next;
    char *out = paths[next++ % 16];
    snprintf(out, sizeof paths[0], "%s/%s", folder, name);
    return out;
}

static void write_file(const char *name, const void *header, size_t header_bytes,
                       const void *values, size_t bytes) {
    FILE *file = fopen(path(name), "wb");
    fwrite(header, 1, header_bytes, file);
    fwrite(values, 1, bytes, file);
    fclose(file);
}

/* Rank 0 converts; all learn how it went. */
static void convert(ls_comm *comm, ls_convert_job job) {
    ls_text summary = {0};
    ls_status status = LS_OK;
    job.output = path("out.h5");
    if (ls_comm_rank(comm) == 0)
        status = ls_convert(&job, &summary);
    if (status != LS_OK)
        fprintf(stderr, "%s\n", ls_message());
    CHECK(comm, ls_comm_agree(comm, status) == LS_OK);
    ls_text_free(&summary);
}

static ls_data *open_split(ls_comm *comm, const char *split) {
    char inputs[32], targets[32];
    ls_data *data = NULL;
    snprintf(inputs, sizeof inputs, "%s/inputs", split);
    snprintf(targets, sizeof targets, "%s/targets", split);
    ls_files *files = NULL;
    ls_status status = ls_files_find(comm, path("out.h5"), &files);
    if (status == LS_OK)
        status = ls_data_open(comm, files, inputs, targets, 0, NULL, NULL, &data);
    ls_files_free(files);
    if (status != LS_OK)
        fprintf(stderr, "%s\n", ls_message());
    CHECK(comm, status == LS_OK);
    return data;
}

/* The split's inputs, as they are, and its targets are `value` of their place. */
static void check_split(ls_comm *comm, const ls_data *data, int64_t elements,
                        float (*input)(int64_t sample, int64_t element),
                        float (*target)(int64_t sample)) {
    float *values = malloc((size_t)elements * sizeof *values);
    ls_normalization identity;
    CHECK(comm, ls_normalization_identity(ls_data_shape(data)->size[0], &identity) == LS_OK);
    for (int64_t sample = 0; sample < ls_data_count(data); sample++) {
        const uint64_t id = (uint64_t)sample;
        int32_t class;
        double number;
        ls_data_inputs(data, &identity, &id, 1, values);
        for (int64_t i = 0; i < elements; i++)
            CHECK(comm, values[i] == input(sample, i));
        if (ls_data_is_classes(data)) {
            ls_data_classes(data, &id, 1, &class);
            CHECK(comm, (float)class == target(sample));
        } else {
            ls_data_target_values(data, &id, 1, &number);
            CHECK(comm, (float)number == target(sample));
        }
    }
    ls_normalization_free(&identity);
    free(values);
}

static float a_class(int64_t sample) {
    return (float)(sample * 3 % 7);
}

static float a_number(int64_t sample) {
    return (float)sample / 4 - 2;
}

/* ---- IDX: two files of inputs and targets each, shape given --------------------------------- */

static float idx_input(int64_t sample, int64_t element) {
    return (float)((sample % SAMPLES * 12 + element) * 5 % 251);
}

static float idx_class(int64_t sample) {
    return a_class(sample % SAMPLES);
}

static void check_idx(ls_comm *comm) {
    const unsigned char header[] = {0, 0, 8, 3, 0, 0, 0, SAMPLES, 0, 0, 0, 3, 0, 0, 0, 4};
    const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, SAMPLES};
    unsigned char values[SAMPLES * 12], classes[SAMPLES];
    for (int i = 0; i < SAMPLES * 12; i++)
        values[i] = (unsigned char)idx_input(0, i);
    for (int i = 0; i < SAMPLES; i++)
        classes[i] = (unsigned char)a_class(i);
    if (ls_comm_rank(comm) == 0) {
        write_file("images", header, sizeof header, values, sizeof values);
        write_file("labels", labels, sizeof labels, classes, sizeof classes);
    }
    const char *inputs[] = {path("images"), path("images")};
    const char *targets[] = {path("labels"), path("labels")};
    convert(comm,
            (ls_convert_job){.train = {inputs, 2, targets, 2}, .test = {inputs, 1, targets, 1}});
    ls_data *train = open_split(comm, "train"), *test = open_split(comm, "test");
    CHECK(comm, ls_data_count(train) == 2 * SAMPLES && ls_data_count(test) == SAMPLES);
    const ls_shape shape = {3, {1, 3, 4}};
    CHECK(comm, memcmp(ls_data_shape(train), &shape, sizeof shape) == 0);
    CHECK(comm, ls_data_outputs(train) == 7);
    check_split(comm, train, 12, idx_input, idx_class);
    check_split(comm, test, 12, idx_input, idx_class);
    ls_data_close(test);
    ls_data_close(train);
    const ls_shape flat = {1, {12}};
    convert(comm, (ls_convert_job){.train = {inputs, 1, targets, 1}, .shape = &flat});
    train = open_split(comm, "train");
    CHECK(comm, memcmp(ls_data_shape(train), &flat, sizeof flat) == 0);
    check_split(comm, train, 12, idx_input, idx_class);
    ls_data_close(train);
}

/* ---- NPY: float64 inputs, regression -------------------------------------------------------- */

static float npy_input(int64_t sample, int64_t element) {
    return (float)sample - (float)element / 8;
}

static size_t npy_header(char header[128], const char *type, const char *shape) {
    memset(header, ' ', 128);
    memcpy(header, "\x93NUMPY\1\0v\0", 10);
    snprintf(header + 10, 118, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", type,
             shape);
    *strchr(header + 10, '\0') = ' ';
    return 128;
}

static void check_npy(ls_comm *comm) {
    char header[128];
    double values[SAMPLES * 6];
    float targets[SAMPLES];
    for (int i = 0; i < SAMPLES * 6; i++)
        values[i] = npy_input(i / 6, i % 6);
    for (int i = 0; i < SAMPLES; i++)
        targets[i] = a_number(i);
    if (ls_comm_rank(comm) == 0) {
        npy_header(header, "<f8", "(23, 2, 3)");
        write_file("x.npy", header, sizeof header, values, sizeof values);
        npy_header(header, "<f4", "(23,)");
        write_file("y.npy", header, sizeof header, targets, sizeof targets);
    }
    const char *x[] = {path("x.npy")}, *y[] = {path("y.npy")};
    convert(comm, (ls_convert_job){.train = {x, 1, y, 1}});
    ls_data *train = open_split(comm, "train");
    const ls_shape shape = {2, {2, 3}};
    CHECK(comm, memcmp(ls_data_shape(train), &shape, sizeof shape) == 0);
    CHECK(comm, !ls_data_is_classes(train) && ls_data_outputs(train) == 1);
    check_split(comm, train, 6, npy_input, a_number);
    ls_data_close(train);
}

/* ---- CIFAR-100 ------------------------------------------------------------------------------ */

static float cifar_input(int64_t sample, int64_t element) {
    return (float)((sample * 17 + element * 3) % 256);
}

static void check_cifar(ls_comm *comm) {
    static unsigned char records[SAMPLES][3074];
    for (int n = 0; n < SAMPLES; n++) {
        records[n][0] = 19;
        records[n][1] = (unsigned char)a_class(n);
        for (int i = 0; i < 3072; i++)
            records[n][2 + i] = (unsigned char)cifar_input(n, i);
    }
    if (ls_comm_rank(comm) == 0)
        write_file("train.bin", "", 0, records, sizeof records);
    const char *inputs[] = {path("train.bin")};
    convert(comm, (ls_convert_job){.train = {.inputs = inputs, .input_count = 1}});
    ls_data *train = open_split(comm, "train");
    const ls_shape shape = {3, {3, 32, 32}};
    CHECK(comm, memcmp(ls_data_shape(train), &shape, sizeof shape) == 0);
    check_split(comm, train, 3072, cifar_input, a_class);
    ls_data_close(train);
}

/* ---- CSV ------------------------------------------------------------------------------------ */

static void check_csv(ls_comm *comm) {
    if (ls_comm_rank(comm) == 0) {
        FILE *file = fopen(path("a.csv"), "w");
        fprintf(file, "a,b,y,c\n");
        for (int n = 0; n < SAMPLES; n++)
            fprintf(file, "%g,%g,%g,%g\n", (double)npy_input(n, 0), (double)npy_input(n, 1),
                    (double)a_number(n), (double)npy_input(n, 2));
        fclose(file);
    }
    const char *inputs[] = {path("a.csv")};
    convert(comm,
            (ls_convert_job){.train = {.inputs = inputs, .input_count = 1}, .target_column = "y"});
    ls_data *train = open_split(comm, "train");
    const ls_shape shape = {1, {3}};
    CHECK(comm, memcmp(ls_data_shape(train), &shape, sizeof shape) == 0);
    check_split(comm, train, 3, npy_input, a_number);
    ls_data_close(train);
}

int main(int argc, char **argv) {
    ls_comm *comm = start_mpi(&argc, &argv);
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/lockstep-XXXXXX", base ? base : "/tmp");
    if (ls_comm_rank(comm) == 0 && !mkdtemp(folder))
        return 1;
    CHECK(comm, ls_comm_broadcast(comm, folder, sizeof folder, 0) == LS_OK);
    check_idx(comm);
    check_npy(comm);
    check_cifar(comm);
    check_csv(comm);
    ls_comm_barrier(comm);
    static const char *const files[] = {"images", "labels", "x.npy",    "y.npy",
                                        "a.csv",  "out.h5", "train.bin"};
    for (size_t i = 0; i < sizeof files / sizeof files[0] && ls_comm_rank(comm) == 0; i++)
        unlink(path(files[i]));
    if (ls_comm_rank(comm) == 0)
        CHECK(comm, rmdir(folder) == 0);
    end_mpi(comm);
    return 0;
}
