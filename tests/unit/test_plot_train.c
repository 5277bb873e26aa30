/* lockstep plot on training runs: what is drawn of the run files of one and of several runs. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/plot.h"
#include "lockstep/io.h"
#include "lockstep/schedule.h"
#include "test_io.h"

enum { PER_EPOCH = 50, EPOCHS = 12, STEPS = PER_EPOCH * EPOCHS };
enum { S_LR, S_LOSS, S_SMOOTHED, S_TEST_LOSS, S_TEST_ACCURACY, S_TEST_R2, SERIES };

static const ls_series series[SERIES] = {{"lr", 1, "1", "", true},
                                         {"loss", 1, "1", "", true},
                                         {"smoothed_loss", 1, "1", "", true},
                                         {"test_loss", 1, "1", "", true},
                                         {"test_accuracy", 1, "1", "", true},
                                         {"test_r2", 1, "1", "", true}};

/* Some numbers in [0, 1) that look random. */
static double noise(int64_t step) {
    return fmod(fabs(sin((double)step * 12.9898) * 43758.5453), 1);
}

/* A run that looks like one, with its first `steps` steps in the file. */
static const char *make_run(const char *name, ls_schedule_kind kind, bool classes, int64_t steps) {
    const char *path = io_path(name);
    const ls_schedule schedule = {.kind = kind,
                                  .steps = STEPS,
                                  .steps_per_epoch = PER_EPOCH,
                                  .lr = 0.1,
                                  .momentum = 0.9,
                                  .every_epochs = 4,
                                  .factor = 0.1,
                                  .max_lr = 0.1,
                                  .base_lr = 0.004,
                                  .final_lr = 4e-7,
                                  .rise = 0.3};
    ls_run *run;
    double average = 0, distance = 0;
    cr_assert_eq(ls_run_create(path, "train", STEPS, series, SERIES, &run), LS_OK, "%s",
                 ls_message());
    for (int64_t i = 0; i < steps; i++) {
        double lr = ls_schedule_lr(&schedule, i);
        distance += lr;
        double loss = 0.1 + 2.2 / (1 + distance) + (noise(i) - 0.5) * (0.05 + 2 * lr);
        average = 0.98 * average + 0.02 * loss;
        *ls_run_row(run, S_LR, i) = lr;
        *ls_run_row(run, S_LOSS, i) = loss;
        *ls_run_row(run, S_SMOOTHED, i) = average / (1 - pow(0.98, (double)(i + 1)));
        if ((i + 1) % PER_EPOCH == 0) {
            *ls_run_row(run, S_TEST_LOSS, i) = 0.2 + 2.1 / (1 + distance) + lr * noise(i + 1);
            *ls_run_row(run, classes ? S_TEST_ACCURACY : S_TEST_R2, i) =
                0.93 - 0.6 / (1 + distance) - lr * noise(i);
        }
    }
    cr_assert_eq(ls_run_commit(run, steps), LS_OK);
    if (steps == STEPS)
        cr_assert_eq(ls_run_finish(run), LS_OK, "%s", ls_message());
    ls_run_free(run);
    return path;
}

static ls_status plot(const char *const *words) {
    char *argv[16];
    int argc = 0;
    for (; words[argc]; argc++)
        argv[argc] = (char *)words[argc];
    void *args = ls_calloc(1, ls_command_plot.args_size);
    cr_assert_not_null(args);
    ls_message_set("");
    ls_status status = ls_command_parse(&ls_command_plot, argc, argv, args);
    if (status == LS_OK)
        status = ls_command_plot.run(NULL, args);
    ls_command_args_free(&ls_command_plot, args);
    ls_free(args);
    return status;
}
#define PLOT(...) plot((const char *const[]){__VA_ARGS__, NULL})

static void need_gnuplot(void) {
    if (system("gnuplot -V >/dev/null 2>&1") != 0)
        cr_skip("gnuplot is not installed");
}

/* The picture as SVG, in which every text can be looked for. */
static char *draw(const char *const *files) {
    const char *words[8], *picture = io_path("x.svg");
    int count = 0;
    size_t bytes;
    for (; files[count]; count++)
        words[count] = files[count];
    words[count++] = "-o";
    words[count++] = picture;
    words[count] = NULL;
    cr_assert_eq(plot(words), LS_OK, "%s", ls_message());
    return io_load(picture, &bytes);
}
#define DRAW(...) draw((const char *const[]){__VA_ARGS__, NULL})

static void has(const char *svg, const char *text, bool wanted) {
    cr_expect_eq(strstr(svg, text) != NULL, wanted, "%s '%s'", wanted ? "no" : "has", text);
}

Test(plot_train, one_run, .fini = io_remove) {
    need_gnuplot();
    char *svg = DRAW(make_run("a.h5", LS_SCHEDULE_STEP, true, STEPS));
    has(svg, ">loss<", true);
    has(svg, ">test accuracy<", true);
    has(svg, ">learning rate<", true);
    has(svg, ">epoch<", true);
    has(svg, "/a.h5<", true); /* the legend: folder and file */
    has(svg, ">a.h5<", true); /* the subtitle, without a configuration to tell more */
    has(svg, "thin: batches", true);
    free(svg);
}

Test(plot_train, several_runs, .fini = io_remove) {
    need_gnuplot();
    io_command("mkdir %s %s", io_path("step"), io_path("one-cycle"));
    char *svg = DRAW(make_run("step/train.h5", LS_SCHEDULE_STEP, true, STEPS),
                     make_run("one-cycle/train.h5", LS_SCHEDULE_ONE_CYCLE, true, 333));
    has(svg, ">step<", true);
    has(svg, ">one-cycle<", true);
    has(svg, ">2 runs<", true);
    free(svg);
    io_command("rm -r %s %s", io_path("step"), io_path("one-cycle"));
}

Test(plot_train, regression_and_no_evaluation, .fini = io_remove) {
    need_gnuplot();
    char *svg = DRAW(make_run("a.h5", LS_SCHEDULE_STEP, false, STEPS));
    has(svg, ">test accuracy<", false);
    has(svg, ">test R2<", true);
    has(svg, ">learning rate<", true);
    has(svg, ">epoch<", true);
    free(svg);
    svg = DRAW(make_run("a.h5", LS_SCHEDULE_STEP, true, PER_EPOCH - 1));
    has(svg, ">epoch<", false);
    has(svg, ">test R2<", false);
    has(svg, ">step<", true);
    free(svg);
    svg = DRAW(make_run("a.h5", LS_SCHEDULE_STEP, true, 1));
    has(svg, ">loss<", true);
    free(svg);
}

Test(plot_train, as_text, .fini = io_remove) {
    char text[20000] = "";
    need_gnuplot();
    cr_redirect_stdout();
    cr_assert_eq(PLOT(make_run("a.h5", LS_SCHEDULE_STEP, true, STEPS)), LS_OK, "%s", ls_message());
    fflush(stdout);
    cr_assert_gt(fread(text, 1, sizeof text - 1, cr_get_redirected_stdout()), 0);
    has(text, "test accuracy", true);
    has(text, "600 steps, 12 epochs; smoothed loss 0.", true);
    has(text, "(best 0.", true);
}

static void refused(ls_status status, const char *part) {
    cr_expect_eq(status, LS_ERR_INPUT);
    cr_expect_not_null(strstr(ls_message(), part), "no '%s' in: %s", part, ls_message());
}

Test(plot_train, refusals, .fini = io_remove) {
    const char *good = make_run("a.h5", LS_SCHEDULE_STEP, true, 9), *other = io_path("b.h5");
    ls_run *run;
    cr_assert_eq(ls_run_create(other, "find_lr", 9, series, SERIES, &run), LS_OK);
    cr_assert_eq(ls_run_finish(run), LS_OK);
    ls_run_free(run);
    refused(PLOT(good, other, "-o", "x.png"), "b.h5: holds group 'find_lr'; expected a training");
    refused(PLOT(other, good, "-o", "x.png"), "b.h5' is no training run");
    refused(PLOT(good, "none.h5", "-o", "x.png"), "none.h5");
    refused(PLOT(good, "--beta", "0.9", "-o", "x.png"), "--beta");
    refused(PLOT(make_run("a.h5", LS_SCHEDULE_STEP, true, 0), "-o", "x.png"), "no step yet");
}

/* ---- fewer points --------------------------------------------------------------------------- */

Test(plot_train, thinned_lines_keep_their_extremes) {
    enum { COUNT = 100000 };
    static double y[COUNT];
    double *thin_x, *thin_y, x_last = -1;
    int64_t count, at = -1;
    for (int64_t i = 0; i < COUNT; i++)
        y[i] = sin((double)i / 5000);
    y[77777] = 9;
    y[33333] = NAN;
    cr_assert_eq(ls_plot_thin(COUNT, 1, 0.5, y, &thin_x, &thin_y, &count), LS_OK);
    cr_expect(count > 2000 && count <= 4002, "%d points", (int)count);
    for (int64_t i = 0; i < count; i++) {
        cr_assert_gt(thin_x[i], x_last);
        cr_assert_eq(thin_y[i], y[(int64_t)((thin_x[i] - 1) / 0.5)]);
        x_last = thin_x[i];
        if (thin_y[i] == 9)
            at = (int64_t)((thin_x[i] - 1) / 0.5);
    }
    cr_expect_eq(at, 77777);
    ls_free(thin_x);
    ls_free(thin_y);
    cr_assert_eq(ls_plot_thin(3, 0, 1, (const double[]){1, NAN, 2}, &thin_x, &thin_y, &count),
                 LS_OK);
    cr_assert_eq(count, 2);
    cr_expect(thin_x[1] == 2 && thin_y[1] == 2);
    ls_free(thin_x);
    ls_free(thin_y);
}
