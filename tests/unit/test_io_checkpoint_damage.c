/* io: checkpoints that were cut, flipped, killed while written or had no room; and the newest whole
 * one among them. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_io_checkpoint.h"

/* Where the test's folder is, without a slash at its end. */
static const char *folder(void) {
    static char path[512];
    snprintf(path, sizeof path, "%s", io_path(""));
    path[strlen(path) - 1] = '\0';
    return path;
}

static bool is_there(const char *name) {
    return access(io_path(name), F_OK) == 0;
}

/* ---- damage --------------------------------------------------------------------------------- */

/* Opening `path` is refused, with the file's name and one of `reasons`; so is all else. */
static void check_refused(const char *path, const char *reasons[], size_t count, size_t at) {
    ls_checkpoint_reader *reader = NULL;
    cr_assert_eq(ls_checkpoint_open(path, &reader), LS_ERR_INPUT, "byte %zu", at);
    cr_assert_null(reader);
    bool told = false;
    for (size_t i = 0; i < count; i++)
        told = told || strstr(ls_message(), reasons[i]);
    cr_assert(told, "byte %zu: %s", at, ls_message());
    cr_assert_not_null(strstr(ls_message(), path), "%s", ls_message());
    ls_message_set("");
}

Test(io_checkpoint_damage, cut_anywhere, .fini = io_remove) {
    const char *reasons[] = {"truncated", "empty"}, *path = io_path("cut.h5");
    size_t bytes;
    char *content = io_load(checkpoint_make(5), &bytes);
    srand(1);
    for (size_t cut = 0; cut < 600; cut++) {
        checkpoint_store(path, content, cut);
        check_refused(path, reasons, 2, cut);
    }
    for (int i = 0; i < 100; i++) {
        size_t cut = i == 0 ? bytes - 1 : (size_t)rand() % bytes;
        checkpoint_store(path, content, cut);
        check_refused(path, reasons, 2, cut);
    }
    free(content);
}

Test(io_checkpoint_damage, longer_than_written, .fini = io_remove) {
    const char *reasons[] = {"1 bytes after its end"}, *path = io_path("long.h5");
    size_t bytes;
    char *content = io_load(checkpoint_make(5), &bytes); /* has room for one byte more */
    content[bytes] = 0;
    checkpoint_store(path, content, bytes + 1);
    check_refused(path, reasons, 1, bytes);
    free(content);
}

/* Every byte of the seal, in every bit of it, and a thousand others. */
Test(io_checkpoint_damage, flipped_anywhere, .fini = io_remove) {
    const char *reasons[] = {"damaged", "checksum", "not a checkpoint"}, *path = io_path("flip.h5");
    size_t bytes;
    char *content = io_load(checkpoint_make(5), &bytes);
    srand(2);
    for (size_t i = 0; i < 512 + 1000; i++) {
        size_t at = i < 512 ? i : 512 + (size_t)rand() % (bytes - 512);
        char before = content[at];
        for (int bit = i < 512 ? 0 : rand() % 8; bit < 8; bit += i < 512 ? 1 : 8) {
            content[at] = (char)(before ^ 1 << bit);
            checkpoint_store(path, content, bytes);
            check_refused(path, reasons, 3, at);
        }
        content[at] = before;
    }
    checkpoint_store(path, content, bytes);
    ls_checkpoint_reader *reader;
    OK(ls_checkpoint_open(path, &reader)); /* undamaged again */
    cr_assert_eq(checkpoint_check(reader), 5);
    ls_checkpoint_close(reader);
    free(content);
}

/* Several at once: what HDF5 itself would crash on never reaches it, in no command. */
Test(io_checkpoint_damage, no_way_around_the_seal, .fini = io_remove) {
    const char *path = checkpoint_make(5);
    size_t bytes;
    char digest[LS_DIGEST_TEXT], *content = io_load(path, &bytes);
    ls_text text = {0};
    ls_checkpoint_reader *reader;
    ls_array *array;
    content[bytes - 700] ^= 1;
    checkpoint_store(path, content, bytes);
    REFUSED(LS_ERR_INPUT, ls_file_digest(path, digest), path, "checksum");
    REFUSED(LS_ERR_INPUT, ls_file_describe(path, &text), path, "checksum");
    REFUSED(LS_ERR_INPUT, ls_weights_open(path, &reader), path, "checksum");
    REFUSED(LS_ERR_INPUT, ls_array_open(NULL, path, "model/fc/weight", &array), path, "checksum");
    content[bytes - 700] ^= 1;
    content[2] ^= 1;
    checkpoint_store(path, content, bytes);
    REFUSED(LS_ERR_INPUT, ls_file_digest(path, digest), path, "first bytes are damaged");
    REFUSED(LS_ERR_INPUT, ls_weights_open(path, &reader), path, "first bytes are damaged");
    free(content);
}

/* ---- the newest ----------------------------------------------------------------------------- */

static void cut_file(const char *name, off_t bytes) {
    cr_assert_eq(truncate(io_path(name), bytes), 0);
}

/* The step of the newest whole checkpoint; -1 when there is none. */
static int64_t newest(ls_text *rejected) {
    ls_checkpoint_reader *reader;
    char *path;
    if (ls_checkpoint_newest(folder(), rejected, &reader, &path) != LS_OK)
        return -1;
    char *expected = ls_checkpoint_path(folder(), checkpoint_check(reader));
    cr_assert_str_eq(path, expected);
    int64_t step = checkpoint_check(reader);
    ls_checkpoint_close(reader);
    ls_free(expected);
    ls_free(path);
    return step;
}

Test(io_checkpoint_damage, newest_by_number, .fini = io_remove) {
    static const char *const others[] = {"checkpoint-.h5",
                                         "checkpoint-99.h5.tmp.1",
                                         "checkpoint-99.h5x",
                                         "xcheckpoint-99.h5",
                                         "best.h5",
                                         "checkpoint-+99.h5",
                                         "checkpoint-99",
                                         "checkpoint--1.h5",
                                         "checkpoint-99999999999999999999.h5"};
    ls_text rejected = {0};
    for (int64_t step = 1; step <= 1000; step *= 10)
        checkpoint_make(step);
    checkpoint_make(9);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        checkpoint_store(io_path(others[i]), "x", 1);
    cr_assert_eq(newest(&rejected), 1000);
    cr_assert_eq(rejected.length, 0, "%s", rejected.data);
}

Test(io_checkpoint_damage, newest_with_damaged_ones, .fini = io_remove) {
    ls_text rejected = {0};
    for (int64_t step = 10; step <= 40; step += 10)
        checkpoint_make(step);
    cut_file("checkpoint-40.h5", 2000);
    cut_file("checkpoint-30.h5", 0);
    cut_file("checkpoint-10.h5", 100);
    ls_message_set("said before");
    cr_assert_eq(newest(&rejected), 20);
    cr_assert_str_eq(ls_message(), "said before");
    char *second = strchr(rejected.data, '\n') + 1;
    cr_assert_lt(strstr(rejected.data, "checkpoint-40.h5' is truncated: only 2000 of"), second);
    cr_assert_not_null(strstr(rejected.data, "checkpoint-40.h5' is truncated: only 2000 of"));
    cr_assert_not_null(strstr(second, "checkpoint-30.h5' is empty"));
    cr_assert_eq(strchr(second, '\n')[1], '\0', "more than two lines: %s", rejected.data);
    ls_text_free(&rejected);
}

/* checkpoint-5.h5 with this content is refused with a reason, and checkpoint-4.h5 is taken. */
static void check_passed_over(const char *content, size_t bytes) {
    static const char *const reasons[] = {"truncated", "empty", "damaged", "not an HDF5 file"};
    ls_text rejected = {0};
    bool told = false;
    checkpoint_store(io_path("checkpoint-5.h5"), content, bytes);
    cr_assert_eq(newest(&rejected), 4);
    cr_assert_not_null(strstr(rejected.data, "checkpoint-5.h5'"));
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        told = told || strstr(rejected.data, reasons[i]);
    cr_assert(told, "%s", rejected.data);
    cr_assert_eq(strchr(rejected.data, '\n')[1], '\0', "more than one line: %s", rejected.data);
    ls_text_free(&rejected);
}

static void flip_any(char *content, size_t bytes) {
    content[(size_t)rand() % bytes] ^= (char)(1 + rand() % 255);
}

Test(io_checkpoint_damage, newest_cut_or_flipped_anywhere, .fini = io_remove) {
    enum { CUTS = 50, FLIPS = 200, ROUNDS = 10 };
    size_t bytes;
    ls_text rejected = {0};
    checkpoint_make(4);
    char *whole = io_load(checkpoint_make(5), &bytes), *damaged = malloc(bytes);
    srand(4);
    for (int i = 0; i < CUTS; i++)
        check_passed_over(whole, (size_t)rand() % bytes);
    for (int i = 0; i < FLIPS; i++) { /* one at a time */
        memcpy(damaged, whole, bytes);
        flip_any(damaged, bytes);
        check_passed_over(damaged, bytes);
    }
    for (int round = 0; round < ROUNDS; round++) { /* all at once */
        memcpy(damaged, whole, bytes);
        for (int i = 0; i < FLIPS; i++)
            flip_any(damaged, bytes);
        check_passed_over(damaged, bytes);
    }
    checkpoint_store(io_path("checkpoint-5.h5"), whole, bytes);
    cr_assert_eq(newest(&rejected), 5);
    free(damaged);
    free(whole);
}

Test(io_checkpoint_damage, newest_of_none, .fini = io_remove) {
    ls_text rejected = {0};
    ls_checkpoint_reader *reader = NULL;
    char *path = NULL;
    REFUSED(LS_ERR_INPUT, ls_checkpoint_newest(folder(), &rejected, &reader, &path),
            "no checkpoint", folder());
    checkpoint_make(3);
    checkpoint_make(4);
    cut_file("checkpoint-3.h5", 800);
    cut_file("checkpoint-4.h5", 900);
    REFUSED(LS_ERR_INPUT, ls_checkpoint_newest(folder(), &rejected, &reader, &path),
            "no checkpoint", "is whole", "checkpoint-4.h5", "truncated");
    cr_assert_not_null(strstr(rejected.data, "checkpoint-3.h5"));
    REFUSED(LS_ERR_INPUT, ls_checkpoint_newest(io_path("absent"), &rejected, &reader, &path),
            "absent", "No such file");
    cr_assert(reader == NULL && path == NULL);
    ls_text_free(&rejected);
}

/* ---- pruning -------------------------------------------------------------------------------- */

Test(io_checkpoint_damage, prune_keeps_the_newest, .fini = io_remove) {
    for (int64_t step = 8; step <= 12; step++)
        checkpoint_make(step);
    checkpoint_store(io_path("best.h5"), "x", 1);
    OK(ls_checkpoint_prune(folder(), 9));
    cr_assert_eq(io_file_count(), 6);
    OK(ls_checkpoint_prune(folder(), 2));
    cr_assert_eq(io_file_count(), 3);
    cr_assert(is_there("checkpoint-11.h5") && is_there("checkpoint-12.h5") && is_there("best.h5"));
    REFUSED(LS_ERR_BUG, ls_checkpoint_prune(folder(), 0), "keep");
    REFUSED(LS_ERR_INPUT, ls_checkpoint_prune(io_path("absent"), 1), "absent");
}

/* A damaged newer one must not cost the last whole one. */
Test(io_checkpoint_damage, prune_never_takes_the_last_whole_one, .fini = io_remove) {
    ls_text rejected = {0};
    for (int64_t step = 1; step <= 4; step++)
        checkpoint_make(step);
    cut_file("checkpoint-4.h5", 2000);
    cut_file("checkpoint-3.h5", 2000);
    OK(ls_checkpoint_prune(folder(), 1));
    cr_assert_eq(newest(&rejected), 2);
    cr_assert_not(is_there("checkpoint-1.h5"));
    ls_text_free(&rejected);
}

Test(io_checkpoint_damage, prune_removes_what_the_dead_left, .fini = io_remove) {
    char dead[64], mine[64], alive[64];
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    snprintf(dead, sizeof dead, "checkpoint-7.h5.tmp.%d", (int)child);
    snprintf(mine, sizeof mine, "best.h5.tmp.%d", (int)getpid());
    snprintf(alive, sizeof alive, "train.h5.tmp.%d", (int)getppid());
    const char *const others[] = {"a.h5.tmp.1x", "checkpoint-7.h5.tmp.", "predictions.h5.tmp.12345",
                                  alive};
    checkpoint_store(io_path(dead), "x", 1);
    checkpoint_store(io_path(mine), "x", 1);
    for (int i = 0; i < 4; i++)
        checkpoint_store(io_path(others[i]), "x", 1);
    OK(ls_checkpoint_prune(folder(), 1));
    cr_assert_not(is_there(dead));
    cr_assert_not(is_there(mine));
    for (int i = 0; i < 4; i++)
        cr_assert(is_there(others[i]), "%s", others[i]);
}

/* ---- no room, and kills --------------------------------------------------------------------- */

/* LeakSanitizer, at the very end of the process, waits for ever when it cannot write. */
static void lift_limit(void) {
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
}

static ls_status write_large(const char *path) {
    static float values[200000];
    ls_checkpoint_writer *writer;
    LS_TRY(ls_checkpoint_create(path, &writer));
    ls_status status =
        ls_checkpoint_array(writer, "model/x", LS_TYPE_F32, 1, (int64_t[]){200000}, values);
    if (status == LS_OK)
        status = ls_checkpoint_finish(writer);
    ls_checkpoint_writer_free(writer);
    return status;
}

/* In a child that may write files of at most `limit` bytes, and may lift that up to `most`: 0 when
 * it failed as it should. */
static int write_limited(rlim_t limit, rlim_t most, bool large) {
    const char *path = io_path("checkpoint-2.h5");
    int result;
    pid_t child = fork();
    if (child == 0) {
        atexit(lift_limit); /* runs after HDF5's own handler, which comes later */
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, most});
        ls_status status = large ? write_large(path) : checkpoint_write(path, 2);
        bool told = strstr(ls_message(), "File too large") && strstr(ls_message(), path);
        const int code = status == LS_ERR_SYSTEM && told ? 0 : 1;
        if (most == limit)
            io_exit_limited(code);
        exit(code);
    }
    waitpid(child, &result, 0);
    return result;
}

/* Limits up to the last bytes of what is to be written.  Below 1000 HDF5 cannot even start a file,
 * and then leaks a little. */
Test(io_checkpoint_damage, no_room, .fini = io_remove) {
    size_t bytes, step;
    ls_text rejected = {0};
    free(io_load(checkpoint_make(1), &bytes));
    for (rlim_t limit = 1000; limit < bytes; limit += step) {
        step = limit + 1000 < bytes ? 750 : 100;
        for (int large = 0; large < 2; large++) {
            cr_assert_eq(write_limited(limit, RLIM_INFINITY, large), 0, "limit %d, large %d",
                         (int)limit, large);
            cr_assert_eq(write_limited(limit, limit, large), 0, "hard limit %d, large %d",
                         (int)limit, large);
            cr_assert_eq(io_file_count(), 1, "a file is left");
            cr_assert_eq(newest(&rejected), 1);
        }
    }
}

static void write_forever(int64_t step) {
    for (;; step++) {
        char *path = ls_checkpoint_path(folder(), step);
        if (checkpoint_write(path, step) != LS_OK || ls_checkpoint_prune(folder(), 2) != LS_OK)
            _exit(1);
        ls_free(path);
    }
}

Test(io_checkpoint_damage, killed_at_any_moment, .fini = io_remove) {
    int64_t step = 1;
    int temporaries = 0;
    ls_text rejected = {0};
    checkpoint_make(step);
    srand(3);
    /* Ever longer, for a machine on which no child has come far. */
    for (int round = 0; round < 60 || (round < 300 && step <= 10); round++) {
        pid_t child = fork();
        if (child == 0)
            write_forever(step + 1);
        usleep((useconds_t)(rand() % (1000 * (round + 1))));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        char *pattern = ls_format("ls %s | grep -c 'tmp.%d$' || true", folder(), (int)child);
        temporaries += atoi(io_command("%s", pattern));
        ls_free(pattern);
        int64_t now = newest(&rejected);
        cr_assert_geq(now, step);
        step = now;
    }
    cr_assert_eq(rejected.length, 0, "%s", rejected.data);
    cr_assert_gt(step, 10, "no child came far");
    cr_assert_gt(temporaries, 0, "no kill met a checkpoint being written");
    OK(ls_checkpoint_prune(folder(), 2));
    cr_assert_leq(io_file_count(), 2);
}
