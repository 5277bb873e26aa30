/* io: run files that go on where a checkpoint was taken. */
#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_io_checkpoint.h"

static const ls_series series[] = {{"loss", 1, "1", "mean loss", true},
                                   {"phases", 2, "s", "times", false},
                                   {"lr", 1, "1", "learning rate", true}};

enum { LOSS, PHASES, LR };

static double loss_of(int64_t row) {
    return 1.0 / (double)(row + 3);
}

static void put_rows(ls_run *run, int64_t first, int64_t end) {
    for (int64_t row = first; row < end; row++) {
        *ls_run_row(run, LOSS, row) = loss_of(row);
        ls_run_row(run, PHASES, row)[1] = (double)row;
        *ls_run_row(run, LR, row) = loss_of(row) / 2;
        OK(ls_run_commit(run, row + 1));
    }
}

static ls_run *start(const char *path, int64_t rows) {
    ls_run *run;
    OK(ls_run_create(path, "train", 40, series, 3, &run));
    OK(ls_run_set_text(run, "stop_reason", "killed"));
    put_rows(run, 0, rows);
    OK(ls_run_sync(run));
    return run;
}

/* Checks that a file has exactly these rows, each of them whole. */
static void check_rows(const char *path, int64_t rows, bool finished) {
    ls_run_reader *reader;
    size_t one, two;
    OK(ls_run_open(path, &reader));
    cr_assert_eq(ls_run_points(reader), rows);
    cr_assert_eq(ls_run_finished(reader), finished);
    const double *loss = ls_run_series(reader, "loss", &one);
    const double *phases = ls_run_series(reader, "phases", &two);
    cr_assert(one == 1 && two == 2);
    for (int64_t row = 0; row < rows; row++) {
        cr_assert_eq(loss[row], loss_of(row), "row %d", (int)row);
        cr_assert(isnan(phases[2 * row]) && phases[2 * row + 1] == (double)row);
    }
    ls_run_close(reader);
}

Test(io_run_resume, drops_later_rows_and_goes_on, .fini = io_remove) {
    const char *path = io_path("train.h5");
    char one[LS_DIGEST_TEXT], other[LS_DIGEST_TEXT];
    ls_run *run = start(path, 40);
    OK(ls_run_finish(run));
    ls_run_free(run);
    OK(ls_file_digest(path, one));
    for (int finished = 0; finished < 2; finished++) {
        OK(ls_run_resume(path, "train", "", 50, 12, series, 3, &run));
        check_rows(path, 12, false);
        double values[50];
        cr_assert_eq(io_read_elsewhere(path, "/train/loss", 50, values), 50);
        cr_assert(values[11] == loss_of(11) && isnan(values[12]), "a dropped row is there");
        put_rows(run, 12, 40);
        check_rows(path, 40, false);
        if (finished)
            OK(ls_run_finish(run));
        ls_run_free(run);
        check_rows(path, 40, finished);
        OK(ls_file_digest(path, other));
        cr_assert_str_eq(one, other);
    }
    ls_run_reader *reader;
    OK(ls_run_open(path, &reader));
    cr_assert_null(ls_run_text(reader, "stop_reason"), "an attribute of before is there");
    ls_run_close(reader);
    cr_assert_eq(io_file_count(), 1);
}

Test(io_run_resume, no_rows_and_all_rows, .fini = io_remove) {
    static const int64_t kept[] = {0, 40};
    for (int i = 0; i < 2; i++) {
        ls_run *run = start(io_path("train.h5"), 40);
        ls_run_free(run);
        OK(ls_run_resume(io_path("train.h5"), "train", "", 40, kept[i], series, 3, &run));
        OK(ls_run_finish(run));
        ls_run_free(run);
        check_rows(io_path("train.h5"), kept[i], true);
    }
}

Test(io_run_resume, series_by_name, .fini = io_remove) {
    static const ls_series now[] = {{"lr", 1, "1", "", true}, {"new", 2, "1", "", true}};
    ls_run_free(start(io_path("train.h5"), 9));
    ls_run *run;
    OK(ls_run_resume(io_path("train.h5"), "train", "", 9, 5, now, 2, &run));
    for (int64_t row = 0; row < 5; row++) {
        cr_assert_eq(*ls_run_row(run, 0, row), loss_of(row) / 2);
        cr_assert(isnan(ls_run_row(run, 1, row)[0]) && isnan(ls_run_row(run, 1, row)[1]));
    }
    OK(ls_run_finish(run));
    ls_run_free(run);
    ls_run_reader *reader;
    size_t width;
    OK(ls_run_open(io_path("train.h5"), &reader));
    cr_assert_null(ls_run_series(reader, "loss", &width));
    const double *new = ls_run_series(reader, "new", &width);
    cr_assert(width == 2 && isnan(new[0]) && isnan(new[9]));
    ls_run_close(reader);
}

Test(io_run_resume, what_does_not_fit, .fini = io_remove) {
    static const ls_series wider[] = {{"loss", 3, "1", "", true}};
    const char *path = io_path("train.h5");
    size_t before, after;
    ls_run *run = NULL;
    ls_run_free(start(path, 9));
    char *old = io_load(path, &before), *now;
    REFUSED(LS_ERR_INPUT, ls_run_resume(path, "train", "", 20, 10, series, 3, &run), "train.h5",
            "9 rows", "10");
    REFUSED(LS_ERR_INPUT, ls_run_resume(path, "find_lr", "", 20, 9, series, 3, &run), "'train'",
            "'find_lr'");
    REFUSED(LS_ERR_INPUT, ls_run_resume(path, "train", "", 20, 9, wider, 1, &run), "'loss'",
            "expected 3");
    REFUSED(LS_ERR_INPUT, ls_run_resume(io_path("no.h5"), "train", "", 20, 9, series, 3, &run),
            "no.h5", "no file");
    REFUSED(LS_ERR_BUG, ls_run_resume(path, "train", "", 8, 9, series, 3, &run),
            "rows <= capacity");
    cr_assert_null(run);
    now = io_load(path, &after);
    cr_assert(before == after && memcmp(old, now, before) == 0, "a refusal changed the file");
    cr_assert_eq(io_file_count(), 1);
    free(now);
    free(old);
}

/* LeakSanitizer, at the very end of the process, waits for ever when it cannot write. */
static void lift_limit(void) {
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
}

/* At whatever place the room ends, the file stays as it was and the process ends as it should:
 * HDF5's own end, which is part of it, must find nothing half closed. */
Test(io_run_resume, no_room, .fini = io_remove) {
    const char *path = io_path("train.h5");
    size_t before, after;
    ls_run_free(start(path, 40));
    char *old = io_load(path, &before);
    for (rlim_t limit = 1000; limit < before; limit += 330) {
        int result;
        pid_t child = fork();
        if (child == 0) {
            ls_run *run;
            atexit(lift_limit);
            signal(SIGXFSZ, SIG_IGN);
            setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, RLIM_INFINITY});
            ls_status status = ls_run_resume(path, "train", "", 40, 40, series, 3, &run);
            exit(status == LS_ERR_SYSTEM && strstr(ls_message(), "File too large") ? 0 : 1);
        }
        waitpid(child, &result, 0);
        cr_assert_eq(result, 0, "limit %d", (int)limit);
        char *now = io_load(path, &after);
        cr_assert(before == after && memcmp(old, now, before) == 0, "limit %d", (int)limit);
        free(now);
        cr_assert_eq(io_file_count(), 1);
    }
    free(old);
}

/* Goes on for ever: ten rows kept, thirty more. */
static void resume_forever(const char *path) {
    for (;;) {
        ls_run *run;
        if (ls_run_resume(path, "train", "", 40, 10, series, 3, &run) != LS_OK)
            _exit(1);
        for (int64_t row = 10; row < 40; row++) {
            *ls_run_row(run, LOSS, row) = loss_of(row);
            ls_run_row(run, PHASES, row)[1] = (double)row;
            if (ls_run_commit(run, row + 1) != LS_OK)
                _exit(1);
            usleep(500); /* a step of a run: most of its life is between the first and the last */
        }
        ls_run_free(run);
    }
}

Test(io_run_resume, killed_at_any_moment, .fini = io_remove) {
    const char *path = io_path("train.h5");
    int between = 0;
    ls_run_free(start(path, 40));
    srand(4);
    for (int round = 0; round < 40 || (round < 300 && between == 0); round++) {
        pid_t child = fork();
        if (child == 0)
            resume_forever(path);
        usleep((useconds_t)(rand() % (1000 * (round + 1))));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        ls_run_reader *reader;
        OK(ls_run_open(path, &reader));
        int64_t points = ls_run_points(reader);
        ls_run_close(reader);
        cr_assert(points >= 10 && points <= 40);
        between += points < 40;
        check_rows(path, points, false);
    }
    cr_assert_gt(between, 0, "no kill met a run on its way");
}
