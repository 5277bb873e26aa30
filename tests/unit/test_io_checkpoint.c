/* io: checkpoints: what comes back, what other programs read, the digest, the seal. */
#include "test_io_checkpoint.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { OUT = 3, IN = 5, WEIGHTS = OUT * IN };

/* ---- the small checkpoint ------------------------------------------------------------------- */

static float weight_of(int64_t step, int i) {
    return (float)(step * 100 + i) / 7;
}

static ls_status put_arrays(ls_checkpoint_writer *writer, int64_t step) {
    float weight[WEIGHTS], momentum[WEIGHTS], mean[OUT];
    int32_t exponents[2] = {(int32_t)step, -3};
    for (int i = 0; i < WEIGHTS; i++) {
        weight[i] = weight_of(step, i);
        momentum[i] = -weight_of(step, i) / 3;
    }
    for (int i = 0; i < OUT; i++)
        mean[i] = (float)i + 0.25f;
    LS_TRY(ls_checkpoint_array(writer, "model/fc/weight", LS_TYPE_F32, 2, (int64_t[]){OUT, IN},
                               weight));
    LS_TRY(ls_checkpoint_array(writer, "momentum/fc/weight", LS_TYPE_F32, 2, (int64_t[]){OUT, IN},
                               momentum));
    LS_TRY(ls_checkpoint_array(writer, "model/bn/running_mean", LS_TYPE_F32, 1, (int64_t[]){OUT},
                               mean));
    return ls_checkpoint_array(writer, "exchange/exponent", LS_TYPE_I32, 1, (int64_t[]){2},
                               exponents);
}

static ls_status put_all(ls_checkpoint_writer *writer, int64_t step) {
    LS_TRY(put_arrays(writer, step));
    LS_TRY(ls_checkpoint_integer(writer, "step", step));
    LS_TRY(ls_checkpoint_number(writer, "state/lr", 1.0 / 3));
    LS_TRY(ls_checkpoint_text(writer, "configuration", "seed: 1\nbatch:\n  size: 2\n"));
    return ls_checkpoint_finish(writer);
}

ls_status checkpoint_write(const char *path, int64_t step) {
    ls_checkpoint_writer *writer;
    LS_TRY(ls_checkpoint_create(path, &writer));
    ls_status status = put_all(writer, step);
    ls_checkpoint_writer_free(writer);
    return status;
}

const char *checkpoint_make(int64_t step) {
    char name[64];
    snprintf(name, sizeof name, "checkpoint-%lld.h5", (long long)step);
    const char *path = io_path(name);
    OK(checkpoint_write(path, step));
    return path;
}

int64_t checkpoint_check(const ls_checkpoint_reader *reader) {
    int64_t step;
    float weight[WEIGHTS], momentum[WEIGHTS];
    int32_t exponents[2];
    OK(ls_checkpoint_get_integer(reader, "step", &step));
    OK(ls_checkpoint_read(reader, "model/fc/weight", LS_TYPE_F32, WEIGHTS, weight));
    OK(ls_checkpoint_read(reader, "momentum/fc/weight", LS_TYPE_F32, WEIGHTS, momentum));
    OK(ls_checkpoint_read(reader, "exchange/exponent", LS_TYPE_I32, 2, exponents));
    for (int i = 0; i < WEIGHTS; i++) {
        cr_assert_eq(weight[i], weight_of(step, i));
        cr_assert_eq(momentum[i], -weight_of(step, i) / 3);
    }
    cr_assert(exponents[0] == step && exponents[1] == -3);
    return step;
}

void checkpoint_store(const char *path, const void *content, size_t bytes) {
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(content, 1, bytes, file), bytes);
    cr_assert_eq(fclose(file), 0);
}

/* ---- round trips ---------------------------------------------------------------------------- */

Test(io_checkpoint, all_comes_back, .fini = io_remove) {
    ls_checkpoint_reader *reader;
    double lr;
    char *text;
    OK(ls_checkpoint_open(checkpoint_make(12), &reader));
    cr_assert_eq(checkpoint_check(reader), 12);
    OK(ls_checkpoint_get_number(reader, "state/lr", &lr));
    cr_assert_eq(lr, 1.0 / 3);
    OK(ls_checkpoint_get_text(reader, "configuration", &text));
    cr_assert_str_eq(text, "seed: 1\nbatch:\n  size: 2\n");
    ls_free(text);
    OK(ls_checkpoint_get_text(reader, "format", &text));
    cr_assert_str_eq(text, "lockstep checkpoint");
    ls_free(text);
    ls_checkpoint_close(reader);
    cr_assert_eq(io_file_count(), 1);
}

/* Bits of no meaning: they must come back as they are, NaNs with payload included. */
Test(io_checkpoint, every_type_every_bit, .fini = io_remove) {
    uint64_t values[24], got[24];
    ls_checkpoint_writer *writer;
    ls_checkpoint_reader *reader;
    const int64_t shape[] = {2, 1, 3, 2, 2};
    for (size_t i = 0; i < 24; i++)
        values[i] = 0x9e3779b97f4a7c15u * (i + 1) * (i + 1);
    values[5] = 0x7ff0000000000123u;
    OK(ls_checkpoint_create(io_path("a.h5"), &writer));
    for (ls_type type = LS_TYPE_U8; type <= LS_TYPE_F64; type++) {
        char name[32];
        snprintf(name, sizeof name, "all/%s", ls_type_name(type));
        OK(ls_checkpoint_array(writer, name, type, 5, shape, values));
    }
    OK(ls_checkpoint_array(writer, "single", LS_TYPE_I64, 0, NULL, values));
    OK(ls_checkpoint_array(writer, "none", LS_TYPE_F32, 2, (int64_t[]){0, 3}, values));
    OK(ls_checkpoint_finish(writer));
    ls_checkpoint_writer_free(writer);
    OK(ls_checkpoint_open(io_path("a.h5"), &reader));
    for (ls_type type = LS_TYPE_U8; type <= LS_TYPE_F64; type++) {
        char name[32];
        ls_array_info info;
        snprintf(name, sizeof name, "all/%s", ls_type_name(type));
        OK(ls_checkpoint_info(reader, name, &info));
        cr_assert(info.type == type && info.ndims == 5);
        cr_assert_arr_eq(info.shape, shape, sizeof shape);
        OK(ls_checkpoint_read(reader, name, type, 24, got));
        cr_assert_arr_eq(got, values, 24 * ls_type_size(type), "%s", name);
    }
    OK(ls_checkpoint_read(reader, "single", LS_TYPE_I64, 1, got));
    cr_assert_eq(got[0], values[0]);
    OK(ls_checkpoint_read(reader, "none", LS_TYPE_F32, 0, got));
    ls_checkpoint_close(reader);
}

Test(io_checkpoint, values_of_every_size, .fini = io_remove) {
    static const int64_t integers[] = {0, -1, INT64_MIN, INT64_MAX};
    static const double numbers[] = {0.1, -0.0, 5e-324, INFINITY};
    ls_checkpoint_writer *writer;
    ls_checkpoint_reader *reader;
    OK(ls_checkpoint_create(io_path("a.h5"), &writer));
    for (int i = 0; i < 4; i++) {
        char name[32];
        snprintf(name, sizeof name, "a/b/%d", i);
        OK(ls_checkpoint_integer(writer, name, 17)); /* the last one counts */
        OK(ls_checkpoint_integer(writer, name, integers[i]));
        snprintf(name, sizeof name, "c/%d", i);
        OK(ls_checkpoint_number(writer, name, numbers[i]));
    }
    OK(ls_checkpoint_finish(writer));
    ls_checkpoint_writer_free(writer);
    OK(ls_checkpoint_open(io_path("a.h5"), &reader));
    for (int i = 0; i < 4; i++) {
        char name[32];
        int64_t integer;
        double number;
        snprintf(name, sizeof name, "a/b/%d", i);
        OK(ls_checkpoint_get_integer(reader, name, &integer));
        cr_assert_eq(integer, integers[i]);
        snprintf(name, sizeof name, "c/%d", i);
        OK(ls_checkpoint_get_number(reader, name, &number));
        cr_assert_arr_eq(&number, &numbers[i], sizeof number);
    }
    ls_checkpoint_close(reader);
}

static ls_status note_name(void *context, const char *name, const ls_array_info *info) {
    ls_text_add(context, "%s:%d ", name, info->ndims);
    return strcmp(name, "model/stop") == 0 ? LS_STOPPED : LS_OK;
}

static void check_names(const ls_checkpoint_reader *reader, const char *prefix,
                        const char *expected) {
    ls_text text = {0};
    ls_text_add(&text, "%s", "");
    OK(ls_checkpoint_names(reader, prefix, note_name, &text));
    cr_assert_str_eq(text.data, expected, "'%s': %s", prefix, text.data);
    ls_text_free(&text);
}

Test(io_checkpoint, names, .fini = io_remove) {
    ls_checkpoint_reader *reader;
    ls_checkpoint_writer *writer;
    ls_text text = {0};
    OK(ls_checkpoint_open(checkpoint_make(1), &reader));
    check_names(reader, "model", "model/bn/running_mean:1 model/fc/weight:2 ");
    check_names(reader, "/model/", "model/bn/running_mean:1 model/fc/weight:2 ");
    check_names(reader, "model/fc", "model/fc/weight:2 ");
    check_names(reader, "mod", "");
    check_names(reader, "",
                "exchange/exponent:1 model/bn/running_mean:1 model/fc/weight:2 "
                "momentum/fc/weight:2 ");
    ls_checkpoint_close(reader);
    OK(ls_checkpoint_create(io_path("b.h5"), &writer));
    OK(ls_checkpoint_array(writer, "model/stop", LS_TYPE_U8, 0, NULL, "a"));
    OK(ls_checkpoint_array(writer, "model/z", LS_TYPE_U8, 0, NULL, "a"));
    OK(ls_checkpoint_finish(writer));
    ls_checkpoint_writer_free(writer);
    OK(ls_checkpoint_open(io_path("b.h5"), &reader));
    cr_assert_eq(ls_checkpoint_names(reader, "model", note_name, &text), LS_STOPPED);
    cr_assert_str_eq(text.data, "model/stop:0 ");
    ls_text_free(&text);
    ls_checkpoint_close(reader);
}

/* ---- refusals ------------------------------------------------------------------------------- */

Test(io_checkpoint, what_does_not_fit, .fini = io_remove) {
    ls_checkpoint_reader *reader;
    float out[WEIGHTS];
    double number;
    int64_t integer;
    char *text;
    OK(ls_checkpoint_open(checkpoint_make(1), &reader));
    REFUSED(LS_ERR_INPUT, ls_checkpoint_read(reader, "model/fc/weihgt", LS_TYPE_F32, WEIGHTS, out),
            "'model/fc/weihgt'", "nearest is 'model/fc/weight'", "checkpoint-1.h5");
    REFUSED(LS_ERR_INPUT, ls_checkpoint_read(reader, "model/fc/weight", LS_TYPE_F64, WEIGHTS, out),
            "float32", "expected float64", "'model/fc/weight'");
    REFUSED(LS_ERR_INPUT, ls_checkpoint_read(reader, "model/fc/weight", LS_TYPE_F32, 14, out),
            "15 values", "expected 14");
    REFUSED(LS_ERR_INPUT, ls_checkpoint_get_integer(reader, "epoch", &integer), "'epoch'",
            "checkpoint-1.h5");
    REFUSED(LS_ERR_INPUT, ls_checkpoint_get_integer(reader, "no/epoch", &integer), "'no/epoch'");
    REFUSED(LS_ERR_INPUT, ls_checkpoint_get_integer(reader, "state/lr", &integer),
            "not an integer");
    REFUSED(LS_ERR_INPUT, ls_checkpoint_get_number(reader, "format", &number), "floating-point");
    REFUSED(LS_ERR_INPUT, ls_checkpoint_get_text(reader, "model", &text), "no value 'model'");
    REFUSED(LS_ERR_INPUT, ls_checkpoint_get_text(reader, "step", &text), "expected strings");
    ls_checkpoint_close(reader);
}

Test(io_checkpoint, a_name_twice_is_our_bug, .fini = io_remove) {
    ls_checkpoint_writer *writer;
    OK(ls_checkpoint_create(io_path("a.h5"), &writer));
    OK(ls_checkpoint_array(writer, "x", LS_TYPE_U8, 0, NULL, "a"));
    REFUSED(LS_ERR_BUG, ls_checkpoint_array(writer, "x", LS_TYPE_U8, 0, NULL, "a"), "'x'", "twice");
    ls_checkpoint_writer_free(writer);
    cr_assert_eq(io_file_count(), 0);
}

Test(io_checkpoint, other_files_are_none, .fini = io_remove) {
    ls_checkpoint_reader *reader = NULL;
    ls_dataset_writer *writer;
    const char *path = io_path("data.h5");
    OK(ls_dataset_create(path, &writer));
    OK(ls_dataset_array(writer, "model/x", &(ls_array_info){LS_TYPE_U8, 1, {3}}));
    OK(ls_dataset_append(writer, 3, "abc"));
    OK(ls_dataset_finish(writer));
    ls_dataset_writer_free(writer);
    REFUSED(LS_ERR_INPUT, ls_checkpoint_open(path, &reader), "data.h5", "not a checkpoint");
    REFUSED(LS_ERR_INPUT, ls_checkpoint_open(io_path("none.h5"), &reader), "none.h5", "no file");
    REFUSED(LS_ERR_INPUT, ls_checkpoint_open(io_path(""), &reader), "folder");
    checkpoint_store(io_path("text.h5"), "some text, not any file of ours\n", 32);
    REFUSED(LS_ERR_INPUT, ls_checkpoint_open(io_path("text.h5"), &reader), "text.h5",
            "not an HDF5");
    cr_assert_null(reader);
    char got[3];
    OK(ls_weights_open(path, &reader)); /* weights of others */
    check_names(reader, "model", "model/x:1 ");
    OK(ls_checkpoint_read(reader, "model/x", LS_TYPE_U8, 3, got));
    cr_assert_arr_eq(got, "abc", 3);
    ls_checkpoint_close(reader);
}

/* ---- other programs ------------------------------------------------------------------------- */

Test(io_checkpoint, others_read_it, .fini = io_remove) {
    const char *path = checkpoint_make(3);
    double values[WEIGHTS + 1];
    cr_assert_eq(io_read_elsewhere(path, "/model/fc/weight", WEIGHTS + 1, values), WEIGHTS);
    for (int i = 0; i < WEIGHTS; i++)
        cr_assert_float_eq(values[i], weight_of(3, i), 1e-12);
    cr_assert_str_eq(io_text_elsewhere(path, "/", "format"), "lockstep checkpoint");
    cr_assert_not_null(strstr(io_command("h5dump -H -p %s", path), "CONTIGUOUS"));
    cr_assert_not_null(strstr(io_command("h5dump -a /step %s", path), "(0): 3"));
    cr_assert_not_null(strstr(io_command("h5dump -d /configuration %s", path), "seed: 1"));
    cr_assert_eq(strncmp(io_command("head -c 512 %s", path), "lockstep checkpoint 2 ", 22), 0);
}

Test(io_checkpoint, examples_of_the_format, .fini = io_remove) {
    float zeros[200] = {0}, got[200];
    char digest[LS_DIGEST_TEXT], expected[128];
    ls_checkpoint_writer *writer;
    ls_checkpoint_reader *reader;
    if (*io_python() == '\0')
        cr_skip_test("no Python with h5py here");
    const char *path = io_path("checkpoint-200.h5");
    OK(ls_checkpoint_create(path, &writer));
    OK(ls_checkpoint_array(writer, "model/conv1/weight", LS_TYPE_F32, 4, (int64_t[]){8, 1, 5, 5},
                           zeros));
    OK(ls_checkpoint_finish(writer));
    ls_checkpoint_writer_free(writer);
    OK(ls_file_digest(path, digest));
    snprintf(expected, sizeof expected, "(8, 1, 5, 5) float32 %s\n", digest);
    cr_assert_str_eq(io_examples("checkpoint"), expected);
    OK(ls_weights_open(io_path("weights-for-checkpoint.h5"), &reader));
    OK(ls_checkpoint_read(reader, "model/conv1/weight", LS_TYPE_F32, 200, got));
    ls_checkpoint_close(reader);
}

/* ---- digest and seal ------------------------------------------------------------------------ */

/* A digest like the one of a checkpoint of one weight and one momentum. */
static void digest_with(float weight, float momentum, int64_t step, const char *text,
                        const char *model, char digest[LS_DIGEST_TEXT]) {
    ls_checkpoint_writer *writer;
    ls_checkpoint_reader *reader;
    char *stored;
    const char *path = io_path("digest.h5");
    OK(ls_checkpoint_create(path, &writer));
    OK(ls_checkpoint_array(writer, "momentum/a", LS_TYPE_F32, 1, (int64_t[]){1}, &momentum));
    OK(ls_checkpoint_array(writer, model, LS_TYPE_F32, 1, (int64_t[]){1}, &weight));
    OK(ls_checkpoint_array(writer, "times/seconds", LS_TYPE_I64, 0, NULL, &step));
    OK(ls_checkpoint_integer(writer, "step", step));
    OK(ls_checkpoint_text(writer, "configuration", text));
    OK(ls_checkpoint_finish(writer));
    ls_checkpoint_writer_free(writer);
    OK(ls_file_digest(path, digest));
    OK(ls_checkpoint_open(path, &reader));
    OK(ls_checkpoint_get_text(reader, "digest", &stored));
    cr_assert_str_eq(stored, digest);
    ls_free(stored);
    ls_checkpoint_close(reader);
}

Test(io_checkpoint, digest_is_of_the_state, .fini = io_remove) {
    char one[LS_DIGEST_TEXT], other[LS_DIGEST_TEXT];
    digest_with(1, 2, 7, "a: 1", "model/a", one);
    digest_with(1, 2, 8, "another", "model/a", other);
    cr_assert_str_eq(one, other);
    digest_with(nextafterf(1, 2), 2, 7, "a: 1", "model/a", other);
    cr_assert_str_neq(one, other);
    digest_with(1, nextafterf(2, 3), 7, "a: 1", "model/a", other);
    cr_assert_str_neq(one, other);
    digest_with(1, 2, 7, "a: 1", "model/b", other);
    cr_assert_str_neq(one, other);
}

static void hexadecimal(XXH128_hash_t hash, char text[LS_DIGEST_TEXT]) {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, hash);
    for (size_t i = 0; i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", canonical.digest[i]);
}

/* By FORMAT.md's words: names, types, shapes and values one after another. */
Test(io_checkpoint, digest_known_answer, .fini = io_remove) {
    static const char bytes[] = "model/a\0float32\0"
                                "\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\x80\x3f"
                                "momentum/a\0float32\0"
                                "\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\x40";
    char expected[LS_DIGEST_TEXT], digest[LS_DIGEST_TEXT];
    hexadecimal(XXH3_128bits(bytes, sizeof bytes - 1), expected);
    digest_with(1, 2, 7, "a: 1", "model/a", digest);
    cr_assert_str_eq(digest, expected);
}

Test(io_checkpoint, seal_known_answer, .fini = io_remove) {
    size_t bytes;
    char text[LS_DIGEST_TEXT], expected[512] = {0};
    char *content = io_load(checkpoint_make(4), &bytes);
    hexadecimal(XXH3_128bits(content + 512, bytes - 512), text);
    int length = snprintf(expected, sizeof expected, "lockstep checkpoint 2 %zu %s", bytes, text);
    hexadecimal(XXH3_128bits(expected, (size_t)length), text);
    snprintf(expected + length, sizeof expected - (size_t)length, " %s\n", text);
    cr_assert_arr_eq(content, expected, 512);
    free(content);
}

Test(io_checkpoint, description, .fini = io_remove) {
    static const char *const words[] = {
        "lockstep checkpoint", "step",       "\nmodel/fc\n", "(3, 5)", "float32",
        "  size: 2\n",         "0.333333333"};
    ls_text text = {0};
    OK(ls_file_describe(checkpoint_make(7), &text));
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        cr_expect_not_null(strstr(text.data, words[i]), "no '%s' in: %s", words[i], text.data);
    ls_text_free(&text);
}

/* As large as the demo's network twice over: checkpoints may not hold up training. */
Test(io_checkpoint, writing_is_fast, .fini = io_remove) {
    const int64_t shape[] = {1024, 3136};
    float *values = calloc(1024 * 3136, sizeof *values);
    ls_checkpoint_writer *writer;
    ls_checkpoint_reader *reader;
    for (int i = 0; i < 1024 * 3136; i++)
        values[i] = (float)i;
    double start = ls_seconds();
    OK(ls_checkpoint_create(io_path("a.h5"), &writer));
    OK(ls_checkpoint_array(writer, "model/fc/weight", LS_TYPE_F32, 2, shape, values));
    OK(ls_checkpoint_array(writer, "momentum/fc/weight", LS_TYPE_F32, 2, shape, values));
    OK(ls_checkpoint_finish(writer));
    ls_checkpoint_writer_free(writer);
    double written = ls_seconds();
    OK(ls_checkpoint_open(io_path("a.h5"), &reader));
    double opened = ls_seconds();
    ls_checkpoint_close(reader);
    free(values);
    cr_log_info("25.7 MB: written in %.3f s, opened in %.3f s\n", written - start,
                opened - written);
    cr_assert_lt(written - start, 5, "%g s", written - start); /* a slow disk is no failure */
    cr_assert_lt(opened - written, 1, "%g s", opened - written);
}
