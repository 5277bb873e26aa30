/* io: dataset files: round trips in every type, foreign files, damaged files, failures that leave
 * nothing behind. */
#include <criterion/criterion.h>
#include <hdf5.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/h5.h"
#include "test_io.h"

#define OK(call) cr_assert_eq((call), LS_OK, "%s", ls_message())

enum { SAMPLES = 23, ROW = 6 }; /* arrays of (23, 2, 3) */

/* Small numbers that every type holds. */
static double value_of(size_t i) {
    return (double)(i * 37 % 101);
}

static void put_value(ls_type type, void *values, size_t i) {
    double value = value_of(i);
    switch (type) {
    case LS_TYPE_U8:
    case LS_TYPE_I8:
        ((uint8_t *)values)[i] = (uint8_t)value;
        break;
    case LS_TYPE_U16:
    case LS_TYPE_I16:
        ((uint16_t *)values)[i] = (uint16_t)value;
        break;
    case LS_TYPE_U32:
    case LS_TYPE_I32:
        ((uint32_t *)values)[i] = (uint32_t)value;
        break;
    case LS_TYPE_U64:
    case LS_TYPE_I64:
        ((uint64_t *)values)[i] = (uint64_t)value;
        break;
    case LS_TYPE_F32:
        ((float *)values)[i] = (float)value;
        break;
    case LS_TYPE_F64:
        ((double *)values)[i] = value;
        break;
    }
}

/* train/inputs of that type and test/targets of (SAMPLES) int16, in pieces. */
static const char *write_dataset(const char *name, ls_type type) {
    const char *path = io_path(name), *const classes[] = {"boot", "größe"};
    ls_dataset_writer *writer;
    uint64_t values[SAMPLES * ROW];
    int16_t targets[SAMPLES];
    size_t row = ROW * ls_type_size(type);
    for (size_t i = 0; i < SAMPLES * ROW; i++)
        put_value(type, values, i);
    for (int i = 0; i < SAMPLES; i++)
        targets[i] = (int16_t)(i - 5);
    OK(ls_dataset_create(path, &writer));
    OK(ls_dataset_note(writer, "provenance/sources", "a test"));
    OK(ls_dataset_array(writer, "train/inputs", &(ls_array_info){type, 3, {0, 2, 3}}));
    OK(ls_dataset_append(writer, 7, values));
    OK(ls_dataset_append(writer, 0, values));
    OK(ls_dataset_append(writer, SAMPLES - 7, (char *)values + 7 * row));
    OK(ls_dataset_array(writer, "test/targets", &(ls_array_info){LS_TYPE_I16, 1, {SAMPLES}}));
    OK(ls_dataset_append(writer, SAMPLES, targets));
    OK(ls_dataset_class_names(writer, classes, 2));
    OK(ls_dataset_finish(writer));
    ls_dataset_writer_free(writer);
    return path;
}

/* ---- round trips ---------------------------------------------------------------------------- */

Test(io_dataset, every_type_comes_back, .fini = io_remove) {
    for (ls_type type = LS_TYPE_U8; type <= LS_TYPE_F64; type++) {
        const char *path = write_dataset("a.h5", type);
        ls_array *array;
        OK(ls_array_open(NULL, path, "train/inputs", &array));
        const ls_array_info *info = ls_array_describe(array);
        cr_assert_eq(info->type, type);
        cr_assert(info->ndims == 3 && info->shape[0] == SAMPLES && info->shape[1] == 2 &&
                  info->shape[2] == 3);
        uint64_t got[SAMPLES * ROW], expected[SAMPLES * ROW];
        size_t row = ROW * ls_type_size(type);
        for (size_t i = 0; i < SAMPLES * ROW; i++)
            put_value(type, expected, i);
        OK(ls_array_read(array, 0, SAMPLES, got));
        cr_assert_arr_eq(got, expected, SAMPLES * row);
        OK(ls_array_read(array, 5, 3, got));
        cr_assert_arr_eq(got, (char *)expected + 5 * row, 3 * row);
        OK(ls_array_read(array, SAMPLES, 0, got));
        ls_array_close(array);
    }
    cr_assert_eq(io_file_count(), 1, "temporary files are left");
}

Test(io_dataset, limited_transfers_give_the_same, .fini = io_remove) {
    const char *path = write_dataset("a.h5", LS_TYPE_F64);
    double expected[SAMPLES * ROW], got[SAMPLES * ROW];
    for (size_t i = 0; i < SAMPLES * ROW; i++)
        expected[i] = value_of(i);
    static const size_t limits[] = {1, 8, 24, 47, 48, 49, 100, 500, 5000};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        ls_array *array;
        OK(ls_array_open(NULL, path, "train/inputs", &array));
        ls_array_set_transfer(array, limits[i]);
        memset(got, 0, sizeof got);
        OK(ls_array_read(array, 2, SAMPLES - 3, got));
        cr_assert_arr_eq(got, expected + 2 * ROW, (SAMPLES - 3) * ROW * sizeof *got, "limit %zu",
                         limits[i]);
        ls_array_close(array);
    }
}

Test(io_dataset, a_range_outside_is_our_bug, .fini = io_remove) {
    ls_array *array;
    char out[8 * SAMPLES * ROW];
    OK(ls_array_open(NULL, write_dataset("a.h5", LS_TYPE_U8), "train/inputs", &array));
    REFUSED(LS_ERR_BUG, ls_array_read(array, SAMPLES - 1, 2, out), "requirement");
    REFUSED(LS_ERR_BUG, ls_array_read(array, -1, 2, out), "requirement");
    ls_array_close(array);
}

Test(io_dataset, other_programs_read_it, .fini = io_remove) {
    const char *path = write_dataset("a.h5", LS_TYPE_F32);
    double values[SAMPLES * ROW + 1];
    cr_assert_eq(io_read_elsewhere(path, "train/inputs", SAMPLES * ROW + 1, values), SAMPLES * ROW);
    for (size_t i = 0; i < SAMPLES * ROW; i++)
        cr_assert_eq(values[i], value_of(i));
    cr_assert_eq(io_read_elsewhere(path, "test/targets", SAMPLES + 1, values), SAMPLES);
    cr_assert_eq(values[0], -5);
    cr_assert_str_eq(io_text_elsewhere(path, "/", "format"), "lockstep dataset");
    cr_assert_str_eq(io_text_elsewhere(path, "/provenance", "sources"), "a test");
    cr_assert_not_null(strstr(io_command("h5dump -H -p %s", path), "FLETCHER32"));
}

Test(io_dataset, class_names, .fini = io_remove) {
    char **names;
    size_t count;
    OK(ls_class_names_read(write_dataset("a.h5", LS_TYPE_U8), &names, &count));
    cr_assert_eq(count, 2);
    cr_assert_str_eq(names[0], "boot");
    cr_assert_str_eq(names[1], "größe");
    ls_free(names[0]);
    ls_free(names[1]);
    ls_free(names);
}

/* ---- files of others ------------------------------------------------------------------------ */

/* A file as another program would write it: `count` big-endian integers, class names of fixed
 * length. */
static const char *write_foreign(const char *name, const int32_t *values, hsize_t count) {
    const char *path = io_path(name);
    const char words[2][5] = {"ab", "cdef"};
    hsize_t two = 2;
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t space = H5Screate_simple(1, &count, NULL), pair = H5Screate_simple(1, &two, NULL);
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, 5);
    hid_t numbers =
        H5Dcreate2(file, "numbers", H5T_STD_I32BE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    hid_t names =
        H5Dcreate2(file, "class_names", type, pair, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Dwrite(numbers, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    H5Dwrite(names, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, words);
    H5Dclose(names);
    H5Dclose(numbers);
    H5Tclose(type);
    H5Sclose(pair);
    H5Sclose(space);
    cr_assert_geq(H5Fclose(file), 0);
    return path;
}

Test(io_dataset, big_endian, .fini = io_remove) {
    const int32_t values[] = {1, -2, 0x01020304, INT32_MIN};
    int32_t got[4];
    char **names;
    size_t count;
    ls_array *array;
    const char *path = write_foreign("be.h5", values, 4);
    OK(ls_array_open(NULL, path, "/numbers", &array));
    cr_assert_eq(ls_array_describe(array)->type, LS_TYPE_I32);
    OK(ls_array_read(array, 0, 4, got));
    cr_assert_arr_eq(got, values, sizeof values);
    ls_array_close(array);
    OK(ls_class_names_read(path, &names, &count));
    cr_assert_eq(count, 2);
    cr_assert_str_eq(names[0], "ab");
    cr_assert_str_eq(names[1], "cdef");
    for (size_t i = 0; i < count; i++)
        ls_free(names[i]);
    ls_free(names);
}

Test(io_dataset, no_class_names, .fini = io_remove) {
    const char *path = io_path("empty.h5");
    H5Fclose(H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
    char **names = (char **)&path;
    size_t count = 7;
    ls_array *array;
    OK(ls_class_names_read(path, &names, &count));
    cr_assert(names == NULL && count == 0);
    REFUSED(LS_ERR_INPUT, ls_array_open(NULL, path, "x", &array), "'x'", "empty.h5", "nor any");
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void write_bytes(const char *path, const void *bytes, size_t count) {
    FILE *file = fopen(path, "wb");
    cr_assert_eq(fwrite(bytes, 1, count, file), count);
    fclose(file);
}

Test(io_dataset, what_is_no_hdf5, .fini = io_remove) {
    ls_array *array = NULL;
    char garbage[4096];
    for (size_t i = 0; i < sizeof garbage; i++)
        garbage[i] = (char)(i * i * 31 % 251);
    write_bytes(io_path("garbage.h5"), garbage, sizeof garbage);
    write_bytes(io_path("none.h5"), garbage, 0);
    REFUSED(LS_ERR_INPUT, ls_array_open(NULL, io_path("absent.h5"), "x", &array), "no file",
            "absent.h5");
    REFUSED(LS_ERR_INPUT, ls_array_open(NULL, io_path("garbage.h5"), "x", &array),
            "not an HDF5 file", "garbage.h5");
    REFUSED(LS_ERR_INPUT, ls_array_open(NULL, io_path("none.h5"), "x", &array), "empty", "none.h5");
    REFUSED(LS_ERR_INPUT, ls_array_open(NULL, io_path(""), "x", &array), "folder");
    cr_assert_null(array, "an output is set although the call failed");
}

Test(io_dataset, truncated_anywhere, .fini = io_remove) {
    size_t bytes;
    char *content = io_load(write_dataset("a.h5", LS_TYPE_F64), &bytes);
    const char *path = io_path("cut.h5");
    for (size_t cut = 8; cut < bytes; cut += cut < 100 ? 1 : 4999) {
        ls_array *array;
        write_bytes(path, content, cut);
        REFUSED(LS_ERR_INPUT, ls_array_open(NULL, path, "train/inputs", &array), "cut.h5",
                "truncated");
    }
    free(content);
}

Test(io_dataset, names_what_there_is, .fini = io_remove) {
    ls_array *array;
    const char *path = write_dataset("a.h5", LS_TYPE_U8);
    REFUSED(LS_ERR_INPUT, ls_array_open(NULL, path, "train/input", &array), "'train/input'", path,
            "nearest is 'train/inputs'");
    REFUSED(LS_ERR_INPUT, ls_array_open(NULL, path, "/somewhere/else/entirely", &array),
            "'train/inputs'", "'test/targets'", "'class_names'");
    REFUSED(LS_ERR_INPUT, ls_array_open(NULL, path, "train", &array), "group", "'train'");
    REFUSED(LS_ERR_INPUT, ls_array_open(NULL, path, "", &array), path);
    REFUSED(LS_ERR_INPUT, ls_array_open(NULL, path, "class_names", &array), "string", "integers");
}

/* The checksum is over the chunk: one wrong bit in the values is noticed, and only there. */
Test(io_dataset, a_damaged_chunk, .fini = io_remove) {
    const char *path = write_dataset("a.h5", LS_TYPE_F64);
    double pattern[3] = {value_of(9), value_of(10), value_of(11)}, values[SAMPLES * ROW];
    int16_t targets[SAMPLES];
    ls_array *array;
    io_damage(path, pattern, sizeof pattern);
    OK(ls_array_open(NULL, path, "train/inputs", &array));
    REFUSED(LS_ERR_INPUT, ls_array_read(array, 0, SAMPLES, values), "train/inputs", path,
            "damaged");
    ls_array_close(array);
    OK(ls_array_open(NULL, path, "test/targets", &array));
    OK(ls_array_read(array, 0, SAMPLES, targets));
    ls_array_close(array);
}

/* ---- failures to write ---------------------------------------------------------------------- */

Test(io_dataset, folders_that_cannot_be_written, .fini = io_remove) {
    ls_dataset_writer *writer = NULL;
    write_bytes(io_path("file"), "x", 1);
    REFUSED(LS_ERR_INPUT, ls_dataset_create(io_path("file/a.h5"), &writer), "file");
    REFUSED(LS_ERR_INPUT, ls_dataset_create(io_path("absent/a.h5"), &writer), "absent");
    REFUSED(LS_ERR_INPUT, ls_dataset_create("/proc/a.h5", &writer), "/proc");
    REFUSED(LS_ERR_INPUT, ls_dataset_create(io_path(""), &writer), "folder");
    cr_assert_null(writer);
    cr_assert_eq(io_file_count(), 1);
}

Test(io_dataset, unfinished_leaves_the_old_file, .fini = io_remove) {
    const char *path = write_dataset("a.h5", LS_TYPE_U8);
    size_t before, after;
    char *old = io_load(path, &before), *now;
    ls_dataset_writer *writer;
    OK(ls_dataset_create(path, &writer));
    OK(ls_dataset_array(writer, "x", &(ls_array_info){LS_TYPE_U8, 1, {3}}));
    OK(ls_dataset_append(writer, 3, "abc"));
    ls_dataset_writer_free(writer);
    now = io_load(path, &after);
    cr_assert(before == after && memcmp(old, now, before) == 0);
    cr_assert_eq(io_file_count(), 1);
    free(now);
    free(old);
}

/* In a child: fills a dataset until it fails.  Exit code 0: refused as it should be. */
static int write_until_full(const char *path, const char *reason) {
    static char samples[64 << 10];
    ls_dataset_writer *writer;
    ls_status status = ls_dataset_create(path, &writer);
    if (status == LS_OK) {
        status = ls_dataset_array(writer, "x", &(ls_array_info){LS_TYPE_U8, 2, {0, 1 << 10}});
        for (int i = 0; i < 192 && status == LS_OK; i++)
            status = ls_dataset_append(writer, 64, samples);
        if (status == LS_OK)
            status = ls_dataset_finish(writer);
        ls_dataset_writer_free(writer);
    }
    if (status != LS_ERR_SYSTEM || strstr(ls_message(), reason) == NULL) {
        fprintf(stderr, "status %d: %s\n", status, ls_message());
        return 1;
    }
    return access(path, F_OK) == 0 ? 2 : 0;
}

static int status_of(pid_t child) {
    int status = -1;
    waitpid(child, &status, 0);
    cr_assert(WIFEXITED(status), "the child was ended by signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

/* LeakSanitizer, at the very end of the process, waits for ever when it cannot write. */
static void lift_limit(void) {
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
}

/* A soft limit is lifted to give up in an orderly way; a hard one (SLURM's, an administrator's)
 * stays. */
static void check_limit(bool hard) {
    const char *path = io_path("a.h5");
    for (rlim_t limit = 100; limit < 12 << 20; limit *= 3) {
        pid_t child = fork();
        if (child == 0) {
            atexit(lift_limit); /* runs after HDF5's own handler, which comes later */
            signal(SIGXFSZ, SIG_IGN);
            setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, hard ? limit : RLIM_INFINITY});
            int result = write_until_full(path, "File too large");
            struct rlimit now;
            getrlimit(RLIMIT_FSIZE, &now);
            result = now.rlim_cur == limit ? result : 3;
            if (hard)
                io_exit_limited(result);
            exit(result); /* HDF5's own end is part of it */
        }
        cr_assert_eq(status_of(child), 0, "limit %d", (int)limit);
        cr_assert_eq(io_file_count(), 0, "a file is left");
    }
}

Test(io_dataset, a_limit_on_file_size, .fini = io_remove) {
    check_limit(false);
}

Test(io_dataset, a_hard_limit_on_file_size, .fini = io_remove) {
    check_limit(true);
}

static void write_line(const char *path, const char *line) {
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return;
    fputs(line, file);
    fclose(file);
}

/* A small disk that only this process sees; -1 without the right to it. */
static int mount_disk(const char *path, int kilobytes) {
    char size[32], user[32], group[32];
    snprintf(size, sizeof size, "size=%dk", kilobytes);
    snprintf(user, sizeof user, "0 %d 1", (int)getuid());
    snprintf(group, sizeof group, "0 %d 1", (int)getgid());
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return -1;
    write_line("/proc/self/setgroups", "deny");
    write_line("/proc/self/uid_map", user);
    write_line("/proc/self/gid_map", group);
    return mount("none", path, "tmpfs", 0, size);
}

/* A real full disk, where this process may mount one for itself. */
Test(io_dataset, a_full_disk, .fini = io_remove) {
    enum { NO_RIGHT = 77 };
    mkdir(io_path("disk"), 0777);
    for (int kilobytes = 4; kilobytes < 4096; kilobytes *= 4) {
        pid_t child = fork();
        if (child == 0) {
            if (mount_disk(io_path("disk"), kilobytes) != 0)
                exit(NO_RIGHT);
            exit(write_until_full(io_path("disk/a.h5"), "No space left"));
        }
        int status = status_of(child);
        if (status == NO_RIGHT) {
            rmdir(io_path("disk"));
            cr_skip_test("no right to mount a small disk here");
        }
        cr_assert_eq(status, 0, "%d KiB", kilobytes);
    }
    rmdir(io_path("disk"));
}

/* ---- description and digest ----------------------------------------------------------------- */

Test(io_dataset, description, .fini = io_remove) {
    static const char *const words[] = {
        "lockstep dataset", "train\n", "inputs", "(23, 2, 3)", "uint8", "(23)", "int16",
        "boot, größe",      "a test"};
    ls_text text = {0};
    OK(ls_file_describe(write_dataset("a.h5", LS_TYPE_U8), &text));
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        cr_expect_not_null(strstr(text.data, words[i]), "no '%s' in: %s", words[i], text.data);
    ls_text_free(&text);
}

/* The digest as FORMAT.md specifies it: big-endian or little, the same values have the same one. */
Test(io_dataset, digest_is_over_values, .fini = io_remove) {
    const int32_t values[] = {1, -2, 3}, other[] = {1, -2, 4};
    static const char bytes[] = "class_names\0string\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0ab\0cdef\0"
                                "numbers\0int32\0\1\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0"
                                "\1\0\0\0\xfe\xff\xff\xff\3\0\0";
    char expected[LS_DIGEST_TEXT], got[LS_DIGEST_TEXT];
    ls_hash *hash;
    OK(ls_hash_create(&hash));
    ls_hash_add(hash, bytes, sizeof bytes); /* with the terminating 0 */
    ls_hash_text(hash, expected);
    ls_hash_free(hash);
    OK(ls_file_digest(write_foreign("a.h5", values, 3), got));
    cr_assert_str_eq(got, expected);
    OK(ls_file_digest(write_foreign("b.h5", other, 3), got));
    cr_assert_str_neq(got, expected);
    OK(ls_file_digest(write_foreign("b.h5", values, 2), got));
    cr_assert_str_neq(got, expected);
}
