/* lockstep schedule: what it prints and draws, and what it cannot know. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"

enum { WORDS = 24 };

static char folder[] = "/tmp/lockstep-schedule-XXXXXX", config[64], picture[64];

static void begin(void) {
    cr_assert_not_null(mkdtemp(folder));
    snprintf(config, sizeof config, "%s/a.yaml", folder);
    snprintf(picture, sizeof picture, "%s/a.svg", folder);
    FILE *file = fopen(config, "w");
    cr_assert_not_null(file);
    fputs("data: {file: none.h5}\nmodel: {layers: [flatten, dense: {units: 10}]}\n", file);
    fclose(file);
    cr_redirect_stdout();
}

static void end(void) {
    unlink(config);
    unlink(picture);
    cr_expect_eq(rmdir(folder), 0, "something was left in %s", folder);
}

/* Runs the command on the configuration, with these options. */
static ls_status run(const char *const *words) {
    char *argv[WORDS] = {config};
    int argc = 1;
    for (; words[argc - 1]; argc++)
        argv[argc] = (char *)words[argc - 1];
    void *args = ls_calloc(1, ls_command_schedule.args_size);
    cr_assert_not_null(args);
    ls_message_set("");
    ls_status status = ls_command_parse(&ls_command_schedule, argc, argv, args);
    if (status == LS_OK)
        status = ls_command_schedule.run(NULL, args);
    ls_command_args_free(&ls_command_schedule, args);
    ls_free(args);
    return status;
}
#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})

static void refused(ls_status status, const char *part) {
    cr_expect_eq(status, LS_ERR_INPUT, "accepted, not: %s", part);
    cr_expect_not_null(strstr(ls_message(), part), "no '%s' in: %s", part, ls_message());
    cr_expect_neq(access(picture, F_OK), 0, "a picture in spite of: %s", part);
}

static void need_gnuplot(void) {
    if (system("gnuplot -V >/dev/null 2>&1") != 0)
        cr_skip("gnuplot is not installed");
}

Test(schedule_command, what_it_cannot_know, .init = begin, .fini = end) {
    refused(RUN("-o", picture), "'none.h5' cannot be found");
    refused(RUN("-o", picture), "--samples N");
    refused(RUN("-o", picture, "--samples", "0"), "--samples '0'");
    refused(RUN("-o", picture, "--samples", "1e3"), "--samples '1e3'");
    refused(RUN("-o", picture, "--samples", "9", "--lr", "-1"), "--lr '-1'");
    refused(RUN("-o", picture, "--samples", "9", "--lr", "0.1x"), "--lr '0.1x'");
    refused(RUN("-o", "a.gif", "--samples", "9"), ".svg, .png or .pdf");
    refused(RUN("-o", picture, "--samples", "9", "-s", "schedule.kind=multistep"), "milestones");
    refused(RUN("-o", picture, "--samples", "9", "-s", "schedule.kind=cosine", "-s",
                "schedule.final_lr=0.01", "-s", "train.lr=auto"),
            "--lr X");
}

Test(schedule_command, a_relative_learning_rate, .init = begin, .fini = end) {
    char text[4096] = "";
    need_gnuplot();
    cr_assert_eq(RUN("-o", picture, "--samples", "1280", "-s", "train.lr=auto"), LS_OK, "%s",
                 ls_message());
    fflush(stdout);
    FILE *out = cr_get_redirected_stdout();
    cr_assert_gt(fread(text, 1, sizeof text - 1, out), 0);
    cr_expect_not_null(strstr(text, "step, 10 epochs of 10 steps (1280 samples, batch 128)"));
    cr_expect_not_null(strstr(text, "learning rate, as a share of train.lr"));
    cr_expect_not_null(strstr(text, "first        1\n"));
    cr_expect_not_null(strstr(text, "last         0.01 at step 99\n"));
    cr_expect_eq(access(picture, F_OK), 0);
}

Test(schedule_command, one_cycle_with_its_momentum, .init = begin, .fini = end) {
    char text[4096] = "";
    need_gnuplot();
    cr_assert_eq(
        RUN("-o", picture, "--samples", "1281", "--lr", "0.5", "-s", "schedule.kind=one_cycle"),
        LS_OK, "%s", ls_message());
    fflush(stdout);
    FILE *out = cr_get_redirected_stdout();
    cr_assert_gt(fread(text, 1, sizeof text - 1, out), 0);
    cr_expect_not_null(strstr(text, "10 epochs of 11 steps"));
    cr_expect_not_null(strstr(text, "first        0.02\n"));
    cr_expect_not_null(strstr(text, "highest      0.5 at step 32, after 2.91 epochs\n"));
    cr_expect_not_null(strstr(text, "last         2e-06 at step 109\n"));
    cr_expect_not_null(strstr(text, "momentum       0.85 to 0.95\n"));
}

/* Bounds given in full need no train.lr. */
Test(schedule_command, bounds_in_full, .init = begin, .fini = end) {
    char text[4096] = "";
    need_gnuplot();
    cr_assert_eq(RUN("-o", picture, "--samples", "1280", "-s", "schedule.kind=triangular", "-s",
                     "schedule.base_lr=0.01", "-s", "schedule.max_lr=0.06", "-s", "train.lr=auto"),
                 LS_OK, "%s", ls_message());
    fflush(stdout);
    FILE *out = cr_get_redirected_stdout();
    cr_assert_gt(fread(text, 1, sizeof text - 1, out), 0);
    cr_expect_not_null(strstr(text, "learning rate\n    first        0.01\n"));
    cr_expect_not_null(strstr(text, "highest      0.06 at"));
}
