/* io: run files: finished, unfinished, killed, damaged; their digest. */
#include <criterion/criterion.h>
#include <hdf5.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_io.h"

#define OK(call) cr_assert_eq((call), LS_OK, "%s", ls_message())

enum { LOSS, SLICES, SECONDS, WIDTH = 3 };

static const ls_series series[] = {{"loss", 1, "1", "mean loss", true},
                                   {"slice_loss", WIDTH, "1", "loss of each slice", true},
                                   {"seconds", 1, "s", "wall time", false}};

static double loss_of(int64_t row) {
    return 1.0 / (double)(row + 3);
}

static void put_row(ls_run *run, int64_t row, double seconds) {
    *ls_run_row(run, LOSS, row) = loss_of(row);
    for (int i = 0; i < WIDTH; i++)
        ls_run_row(run, SLICES, row)[i] = loss_of(row) + i;
    *ls_run_row(run, SECONDS, row) = seconds;
}

static ls_run *start_run(const char *path, int64_t capacity, int64_t rows) {
    ls_run *run;
    OK(ls_run_create(path, "find_lr", capacity, series, 3, &run));
    OK(ls_run_note(run, "configuration", "seed: 1\nbatch:\n  size: 2\n"));
    OK(ls_run_note(run, "provenance/mpi", "none"));
    for (int64_t row = 0; row < rows; row++) {
        put_row(run, row, (double)row);
        OK(ls_run_commit(run, row + 1));
    }
    return run;
}

static const char *finished_run(const char *name, int64_t capacity, int64_t rows) {
    const char *path = io_path(name);
    ls_run *run = start_run(path, capacity, rows);
    OK(ls_run_set_text(run, "stop_reason", "diverging"));
    OK(ls_run_set_text(run, "stop_reason", "diverged"));
    OK(ls_run_set_number(run, "suggestions/valley", 1.0 / 3));
    OK(ls_run_finish(run));
    ls_run_free(run);
    return path;
}

/* Checks all rows of a run file, finished or not. */
static int64_t check_rows(const char *path) {
    ls_run_reader *reader;
    size_t width, wide;
    OK(ls_run_open(path, &reader));
    int64_t points = ls_run_points(reader);
    const double *loss = ls_run_series(reader, "loss", &width);
    const double *slices = ls_run_series(reader, "slice_loss", &wide);
    cr_assert_not_null(loss);
    cr_assert_not_null(slices);
    cr_assert(width == 1 && wide == WIDTH);
    for (int64_t row = 0; row < points; row++) {
        cr_assert_eq(loss[row], loss_of(row), "row %d", (int)row);
        for (int i = 0; i < WIDTH; i++)
            cr_assert_eq(slices[row * WIDTH + i], loss_of(row) + i);
    }
    ls_run_close(reader);
    return points;
}

/* ---- whole runs ----------------------------------------------------------------------------- */

Test(io_run, finished, .fini = io_remove) {
    const char *path = finished_run("a.h5", 50, 20);
    cr_assert_eq(check_rows(path), 20);
    cr_assert_eq(io_file_count(), 1);
    ls_run_reader *reader;
    size_t width;
    OK(ls_run_open(path, &reader));
    cr_assert(ls_run_finished(reader));
    cr_assert_str_eq(ls_run_group(reader), "find_lr");
    cr_assert_str_eq(ls_run_text(reader, "stop_reason"), "diverged");
    cr_assert_str_eq(ls_run_text(reader, "suggestions/valley"), "0.333333333");
    cr_assert_str_eq(ls_run_note_text(reader, "configuration"), "seed: 1\nbatch:\n  size: 2\n");
    cr_assert_str_eq(ls_run_note_text(reader, "provenance/mpi"), "none");
    cr_assert_null(ls_run_text(reader, "valley"));
    cr_assert_null(ls_run_note_text(reader, "provenance/none"));
    cr_assert_null(ls_run_series(reader, "points", &width));
    cr_assert_null(ls_run_series(reader, "loss2", &width));
    ls_run_close(reader);
}

Test(io_run, others_read_it, .fini = io_remove) {
    const char *path = finished_run("a.h5", 50, 20);
    double values[100];
    cr_assert_eq(io_read_elsewhere(path, "/find_lr/loss", 100, values), 20);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(values[i], loss_of(i));
    cr_assert_eq(io_read_elsewhere(path, "/find_lr/slice_loss", 100, values), 20 * WIDTH);
    cr_assert_eq(values[4], loss_of(1) + 1);
    cr_assert_eq(io_read_elsewhere(path, "/find_lr/points", 100, values), 1);
    cr_assert_eq(values[0], 20);
    cr_assert_str_eq(io_text_elsewhere(path, "/", "state"), "finished");
    cr_assert_str_eq(io_text_elsewhere(path, "/find_lr", "stop_reason"), "diverged");
    cr_assert_str_eq(io_text_elsewhere(path, "/find_lr/loss", "unit"), "1");
    cr_assert_not_null(strstr(io_command("h5dump -d /configuration %s", path), "seed: 1"));
}

Test(io_run, no_points_at_all, .fini = io_remove) {
    const char *path = finished_run("a.h5", 50, 0);
    double values[2];
    char digest[LS_DIGEST_TEXT];
    cr_assert_eq(check_rows(path), 0);
    OK(ls_file_digest(path, digest));
    cr_assert_eq(io_read_elsewhere(path, "/find_lr/loss", 2, values), 0);
    cr_assert_eq(check_rows(finished_run("b.h5", 0, 0)), 0);
}

Test(io_run, unfinished_is_readable, .fini = io_remove) {
    const char *path = io_path("a.h5");
    ls_run *run = start_run(path, 30, 10);
    *ls_run_row(run, LOSS, 10) = 5;           /* not committed */
    for (int state = 0; state < 2; state++) { /* while the run goes on, and after its end */
        double values[100];
        ls_run_reader *reader;
        cr_assert_eq(check_rows(path), 10);
        OK(ls_run_open(path, &reader));
        cr_assert_not(ls_run_finished(reader));
        cr_assert_str_eq(ls_run_note_text(reader, "configuration"), "seed: 1\nbatch:\n  size: 2\n");
        cr_assert_null(ls_run_text(reader, "stop_reason"));
        ls_run_close(reader);
        cr_assert_eq(io_read_elsewhere(path, "/find_lr/loss", 100, values), 30);
        cr_assert_eq(values[9], loss_of(9));
        for (int i = 10; i < 30; i++)
            cr_assert(isnan(values[i]));
        cr_assert_str_eq(io_text_elsewhere(path, "/", "state"), "unfinished");
        ls_run_free(run);
        run = NULL;
    }
}

Test(io_run, what_is_not_set_is_nan, .fini = io_remove) {
    const char *path = io_path("a.h5");
    ls_run *run;
    ls_run_reader *reader;
    size_t width;
    OK(ls_run_create(path, "find_lr", 5, series, 3, &run));
    *ls_run_row(run, LOSS, 2) = 7;
    OK(ls_run_commit(run, 4));
    OK(ls_run_finish(run));
    ls_run_free(run);
    OK(ls_run_open(path, &reader));
    const double *loss = ls_run_series(reader, "loss", &width);
    cr_assert(isnan(loss[0]) && isnan(loss[1]) && loss[2] == 7 && isnan(loss[3]));
    ls_run_close(reader);
}

Test(io_run, long_texts_fit, .fini = io_remove) {
    const char *path = io_path("a.h5");
    size_t length = 200000;
    char *text = malloc(length + 1);
    ls_run_reader *reader;
    memset(text, 'x', length);
    text[length] = '\0';
    ls_run *run = start_run(path, 2, 0);
    OK(ls_run_note(run, "configuration", text));
    OK(ls_run_note(run, "provenance/environment", text));
    OK(ls_run_commit(run, 1));
    OK(ls_run_finish(run));
    ls_run_free(run);
    OK(ls_run_open(path, &reader));
    cr_assert_str_eq(ls_run_note_text(reader, "configuration"), text);
    cr_assert_str_eq(ls_run_note_text(reader, "provenance/environment"), text);
    ls_run_close(reader);
    free(text);
}

/* A commit is what a step of training pays: it may not grow with the room in the file. */
Test(io_run, commits_are_cheap, .fini = io_remove) {
    ls_run *run;
    OK(ls_run_create(io_path("a.h5"), "train", 1000000, series, 3, &run));
    OK(ls_run_commit(run, 0));
    double start = ls_seconds();
    for (int64_t row = 0; row < 2000; row++) {
        put_row(run, row, 0);
        OK(ls_run_commit(run, row + 1));
    }
    double each = (ls_seconds() - start) / 2000;
    cr_assert_lt(each, 1e-3, "%g s a commit", each);
    ls_run_free(run);
}

Test(io_run, examples_of_the_format, .fini = io_remove) {
    static const ls_series range_test[] = {{"lr", 1, "1", "", true}, {"loss", 1, "1", "", true}};
    ls_run *run;
    ls_array *array;
    if (*io_python() == '\0')
        cr_skip_test("no Python with h5py here");
    OK(ls_run_create(io_path("find-lr.h5"), "find_lr", 9, range_test, 2, &run));
    OK(ls_run_note(run, "configuration", "seed: 17\n"));
    OK(ls_run_set_number(run, "suggestions/valley", 0.125));
    OK(ls_run_commit(run, 5));
    cr_assert_str_eq(io_examples("find-lr|mine"), "unfinished 5\nseed: 17\n\nvalley 0.125\n");
    ls_run_free(run);
    OK(ls_array_open(NULL, io_path("mine.h5"), "train/inputs", &array));
    cr_assert_eq(ls_array_describe(array)->ndims, 4);
    ls_array_close(array);
}

/* ---- kills ---------------------------------------------------------------------------------- */

/* Runs one after the other into the same file, until killed. */
static void write_forever(const char *path) {
    for (int64_t capacity = 40;; capacity += 7) {
        ls_run *run;
        if (ls_run_create(path, "find_lr", capacity, series, 3, &run) != LS_OK)
            exit(1);
        for (int64_t row = 0; row < capacity - 5; row++) {
            put_row(run, row, 0);
            if (row % 20 == 19)
                ls_run_set_number(run, "seen", (double)row);
            if (ls_run_commit(run, row + 1) != LS_OK)
                exit(1);
        }
        if (ls_run_finish(run) != LS_OK)
            exit(1);
        ls_run_free(run);
    }
}

Test(io_run, killed_at_any_moment, .fini = io_remove) {
    const char *path = finished_run("a.h5", 9, 9);
    double values[1];
    int unfinished = 0;
    srand(1);
    for (int round = 0; round < 60 || (round < 300 && unfinished == 0); round++) {
        pid_t child = fork();
        if (child == 0)
            write_forever(path);
        usleep((useconds_t)(rand() % (1000 * (round + 1))));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        check_rows(path);
        ls_run_reader *reader;
        OK(ls_run_open(path, &reader));
        unfinished += !ls_run_finished(reader);
        if (round % 20 == 0) {
            cr_assert_eq(io_read_elsewhere(path, "/find_lr/points", 1, values), 1);
            cr_assert_eq((int64_t)values[0], ls_run_points(reader));
        }
        ls_run_close(reader);
    }
    cr_assert_gt(unfinished, 0, "no kill met an unfinished run");
}

/* ---- failures ------------------------------------------------------------------------------- */

Test(io_run, no_run_file, .fini = io_remove) {
    ls_run_reader *reader = NULL;
    ls_dataset_writer *writer;
    const char *path = io_path("data.h5");
    OK(ls_dataset_create(path, &writer));
    OK(ls_dataset_finish(writer));
    ls_dataset_writer_free(writer);
    REFUSED(LS_ERR_INPUT, ls_run_open(path, &reader), "data.h5", "not a run file");
    REFUSED(LS_ERR_INPUT, ls_run_open(io_path("none.h5"), &reader), "none.h5", "no file");
    cr_assert_null(reader);
}

static void set_integer(const char *path, const char *object, const char *name, int64_t value) {
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    if (object) {
        hid_t dataset = H5Oopen(file, object, H5P_DEFAULT);
        H5Dwrite(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, &value);
        H5Oclose(dataset);
    } else {
        hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
        H5Awrite(attribute, H5T_NATIVE_INT64, &value);
        H5Aclose(attribute);
    }
    cr_assert_geq(H5Fclose(file), 0);
}

Test(io_run, impossible_contents, .fini = io_remove) {
    ls_run_reader *reader;
    char digest[LS_DIGEST_TEXT];
    const char *path = finished_run("a.h5", 9, 9);
    set_integer(path, NULL, "format_version", 3);
    REFUSED(LS_ERR_INPUT, ls_run_open(path, &reader), "version 3", "versions 1 to 2");
    path = finished_run("a.h5", 9, 9);
    set_integer(path, "/find_lr/points", NULL, 10);
    REFUSED(LS_ERR_INPUT, ls_run_open(path, &reader), "10 points");
    set_integer(path, "/find_lr/points", NULL, -1);
    REFUSED(LS_ERR_INPUT, ls_run_open(path, &reader), "points");
    set_integer(path, "/find_lr/points", NULL, 8);
    REFUSED(LS_ERR_INPUT, ls_file_digest(path, digest), "digest", "changed or damaged");
}

Test(io_run, a_damaged_chunk, .fini = io_remove) {
    const char *path = finished_run("a.h5", 9, 9);
    double pattern[3] = {loss_of(3), loss_of(4), loss_of(5)};
    char digest[LS_DIGEST_TEXT];
    ls_run_reader *reader;
    io_damage(path, pattern, sizeof pattern);
    REFUSED(LS_ERR_INPUT, ls_run_open(path, &reader), "find_lr/loss", "damaged");
    REFUSED(LS_ERR_INPUT, ls_file_digest(path, digest), "find_lr/loss", "damaged");
}

/* LeakSanitizer, at the end of the process, waits for ever when it cannot write. */
static void end_child(int result) {
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
    exit(result);
}

/* The disk is full when the run ends: what is there stays. */
Test(io_run, no_room_to_finish, .fini = io_remove) {
    const char *path = io_path("a.h5");
    pid_t child = fork();
    if (child == 0) {
        ls_run *run = start_run(path, 50, 20);
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){3000, RLIM_INFINITY});
        ls_status status = ls_run_finish(run);
        ls_run_free(run);
        end_child(status == LS_ERR_SYSTEM && strstr(ls_message(), "File too large") ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    cr_assert_eq(status, 0);
    cr_assert_eq(check_rows(path), 20);
    cr_assert_eq(io_file_count(), 1);
}

Test(io_run, no_room_to_start, .fini = io_remove) {
    const char *path = finished_run("a.h5", 9, 9);
    pid_t child = fork();
    if (child == 0) {
        ls_run *run;
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){100000, RLIM_INFINITY});
        ls_status status = ls_run_create(path, "find_lr", 100000, series, 3, &run);
        end_child(status == LS_ERR_SYSTEM && strstr(ls_message(), "File too large") ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    cr_assert_eq(status, 0);
    cr_assert_eq(check_rows(path), 9);
    cr_assert_eq(io_file_count(), 1);
    ls_run *run = NULL;
    REFUSED(LS_ERR_INPUT, ls_run_create(io_path("a.h5/b.h5"), "find_lr", 1, series, 3, &run),
            "a.h5");
    cr_assert_null(run);
}

/* ---- digest --------------------------------------------------------------------------------- */

static void digest_of(const char *path, char digest[LS_DIGEST_TEXT]) {
    OK(ls_file_digest(path, digest));
}

/* The reference was made by the Python example in FORMAT.md. */
Test(io_run, digest_known_answer, .fini = io_remove) {
    char digest[LS_DIGEST_TEXT];
    digest_of(finished_run("a.h5", 50, 20), digest);
    cr_assert_str_eq(digest, "8d9d430cda42ab3cd6afc6357f8ba0e9");
}

Test(io_run, digest_is_of_results_only, .fini = io_remove) {
    char one[LS_DIGEST_TEXT], other[LS_DIGEST_TEXT];
    ls_run *run;
    digest_of(finished_run("a.h5", 50, 20), one);
    digest_of(finished_run("b.h5", 20, 20), other); /* another room */
    cr_assert_str_eq(one, other);
    ls_run_free(start_run(io_path("c.h5"), 33, 20)); /* unfinished */
    digest_of(io_path("c.h5"), other);
    cr_assert_str_eq(one, other);
    run = start_run(io_path("d.h5"), 50, 20);
    *ls_run_row(run, SECONDS, 4) = 17; /* another time */
    OK(ls_run_finish(run));
    ls_run_free(run);
    digest_of(io_path("d.h5"), other);
    cr_assert_str_eq(one, other);
}

Test(io_run, digest_sees_the_last_bit, .fini = io_remove) {
    char one[LS_DIGEST_TEXT], other[LS_DIGEST_TEXT];
    digest_of(finished_run("a.h5", 50, 20), one);
    digest_of(finished_run("b.h5", 50, 19), other);
    cr_assert_str_neq(one, other);
    ls_run *run = start_run(io_path("c.h5"), 50, 20);
    double *value = ls_run_row(run, SLICES, 7) + 1;
    *value = nextafter(*value, 2);
    OK(ls_run_finish(run));
    ls_run_free(run);
    digest_of(io_path("c.h5"), other);
    cr_assert_str_neq(one, other);
}

Test(io_run, digest_takes_all_nans_as_one, .fini = io_remove) {
    static const uint64_t nans[] = {0x7ff8000000000000u, 0xfff8000000000000u, 0x7ff8000000000123u};
    char digests[3][LS_DIGEST_TEXT];
    for (int i = 0; i < 3; i++) {
        ls_run *run = start_run(io_path("a.h5"), 5, 5);
        memcpy(ls_run_row(run, LOSS, 2), &nans[i], sizeof nans[i]);
        OK(ls_run_finish(run));
        ls_run_free(run);
        digest_of(io_path("a.h5"), digests[i]);
    }
    cr_assert_str_eq(digests[0], digests[1]);
    cr_assert_str_eq(digests[0], digests[2]);
}

/* Damages the type of a text attribute: HDF5 opens the file, and cannot read the text. */
static void damage_text(const char *path, const char *value) {
    unsigned char pattern[64] = {0x11, 0, 0, (unsigned char)strlen(value), 0, 0, 0, 1};
    memcpy(pattern + 15, value, strlen(value)); /* after the type's size, and a dataspace */
    io_damage(path, pattern, 15 + strlen(value));
}

/* What a file says of itself is not as if it were not there when it cannot be read. */
Test(io_run, attributes_that_cannot_be_read, .fini = io_remove) {
    char digest[LS_DIGEST_TEXT];
    ls_text text = {0};
    const char *path = finished_run("a.h5", 10, 5);
    OK(ls_file_digest(path, digest));
    damage_text(path, digest);
    REFUSED(LS_ERR_INPUT, ls_file_digest(path, digest), "'digest'", path, "damaged");
    REFUSED(LS_ERR_INPUT, ls_file_describe(path, &text), "'digest'", path, "damaged");
    path = finished_run("b.h5", 10, 5);
    damage_text(path, "lockstep run");
    REFUSED(LS_ERR_INPUT, ls_file_digest(path, digest), "'format'", path, "damaged");
    REFUSED(LS_ERR_INPUT, ls_file_describe(path, &text), "'format'", path, "damaged");
    ls_text_free(&text);
}

Test(io_run, description, .fini = io_remove) {
    static const char *const words[] = {
        "lockstep run, 20 points", "state",  "finished",    "find_lr\n",   "(20, 3)", "float64",
        "[s] wall time",           "valley", "0.333333333", "  size: 2\n", "diverged"};
    ls_text text = {0};
    OK(ls_file_describe(finished_run("a.h5", 50, 20), &text));
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        cr_expect_not_null(strstr(text.data, words[i]), "no '%s' in: %s", words[i], text.data);
    char *last = strstr(text.data, "\nprovenance\n");
    cr_assert_not_null(last);
    cr_assert_gt(last, strstr(text.data, "configuration"));
    ls_text_free(&text);
}
