/* Reading in a child process: answers, failures, crashes and searches without end. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/h5.h"
#include "unit/test_io.h"

static const char *some_file(void) {
    const char *path = io_path("a.h5");
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    cr_assert(file >= 0);
    H5Fclose(file);
    return path;
}

static ls_status answer(const char *path, ls_text *text) {
    for (int i = 0; i < 100000; i++) /* more than a pipe holds */
        ls_text_add(text, "%d ", i);
    ls_text_add(text, "%s", path);
    return LS_OK;
}

static ls_status fail(const char *path, ls_text *text) {
    (void)text;
    return ls_fail(LS_ERR_INPUT, "no point in '%s'", path);
}

static ls_status crash(const char *path, ls_text *text) {
    (void)path;
    (void)text;
    raise(SIGSEGV);
    return LS_OK;
}

static ls_status spin(const char *path, ls_text *text) {
    (void)path;
    (void)text;
    for (volatile bool ended = false; !ended;)
        ;
    return LS_OK;
}

Test(io_apart, an_answer, .fini = io_remove) {
    const char *path = some_file();
    ls_text text = {0};
    cr_assert_eq(ls_h5_read_apart(path, answer, &text), LS_OK, "%s", ls_message());
    cr_assert_eq(strncmp(text.data, "0 1 2 ", 6), 0);
    cr_assert_str_eq(strrchr(text.data, ' ') + 1, path);
    ls_text_free(&text);
}

Test(io_apart, failures, .fini = io_remove) {
    const char *path = some_file();
    ls_text text = {0};
    REFUSED(LS_ERR_INPUT, ls_h5_read_apart(path, fail, &text), "no point in");
    REFUSED(LS_ERR_INPUT, ls_h5_read_apart(path, crash, &text), "a.h5", "crashed");
    REFUSED(LS_ERR_INPUT, ls_h5_read_apart(path, spin, &text), "a.h5", "finds no end");
    cr_expect_null(text.data);
}

/* Whatever page of a run file is zeroed, before its end or after: it is described, or refused. */
Test(io_apart, zeroed_pages, .fini = io_remove, .timeout = 300) {
    static const ls_series series[] = {{"lr", 1, "1", "rate", true},
                                       {"loss", 1, "1", "loss", true}};
    for (int finished = 0; finished < 2; finished++) {
        const char *path = io_path("run.h5");
        ls_run *run;
        cr_assert_eq(ls_run_create(path, "train", 300, series, 2, &run), LS_OK);
        cr_assert_eq(ls_run_note(run, "configuration", "seed: 1\n"), LS_OK);
        cr_assert_eq(ls_run_set_text(run, "end", "done"), LS_OK);
        for (int row = 0; row < 300; row++)
            *ls_run_row(run, 0, row) = *ls_run_row(run, 1, row) = row;
        cr_assert_eq(ls_run_commit(run, 300), LS_OK);
        if (finished)
            cr_assert_eq(ls_run_finish(run), LS_OK);
        size_t bytes;
        char *content = io_load(path, &bytes);
        for (size_t at = 0; at < bytes; at += 2048) {
            ls_text text = {0};
            ls_run_reader *reader;
            FILE *file = fopen(path, "r+b");
            cr_assert_eq(fwrite(content, 1, bytes, file), bytes);
            fseek(file, (long)at, SEEK_SET);
            for (size_t i = at; i < at + 4096 && i < bytes; i++)
                fputc(0, file);
            fclose(file);
            ls_message_set("");
            ls_status status = ls_file_describe(path, &text);
            cr_expect(status == LS_OK || (status == LS_ERR_INPUT && ls_message()[0]));
            ls_message_set("");
            status = ls_run_open(path, &reader);
            cr_expect(status == LS_OK || (status == LS_ERR_INPUT && ls_message()[0]));
            if (status == LS_OK)
                ls_run_close(reader);
            ls_text_free(&text);
        }
        free(content);
        ls_run_free(run);
    }
}
