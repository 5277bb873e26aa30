/* The gnuplot script of a picture: what is in it, and that nothing a user wrote gets out of its
 * quotes. Pictures themselves are drawn where gnuplot is installed. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/plot.h"

static const double x[] = {1e-3, 1e-2, 1e-1, 1}, raw[] = {3, 2, NAN, 9},
                    smooth[] = {3, 2.5, 2, 2.2};

static const ls_plot_line lines[] = {
    {.label = "raw", .style = LS_PLOT_FAINT, .count = 4, .x = x, .y = raw},
    {.label = "smooth", .style = LS_PLOT_BOLD, .count = 4, .x = x, .y = smooth},
};
static const ls_plot_mark marks[] = {
    {.label = "recommended", .from = 0.02, .to = 0.02, .chosen = true},
    {.label = "slide", .from = NAN, .to = NAN, .reason = "too short"},
    {.label = "bounds", .from = 0.01, .to = 0.1},
};

static ls_plot example(void) {
    return (ls_plot){.title = "it's a \"test\"",
                     .subtitle = "a_b.csv\nquit",
                     .x_label = "learning rate",
                     .y_label = "loss",
                     .log_x = true,
                     .y_low = 1.5,
                     .y_high = 3.5,
                     .point_label = "minimum",
                     .point_x = 0.1,
                     .point_y = 2,
                     .lines = lines,
                     .line_count = 2,
                     .marks = marks,
                     .mark_count = 3};
}

static void has(const ls_text *script, const char *part) {
    cr_expect(strstr(script->data, part) != NULL, "no '%s' in:\n%s", part, script->data);
}

Test(plot, script_of_a_picture) {
    ls_text script = {0};
    ls_plot plot = example();
    ls_plot_script(&plot, LS_PLOT_SVG, &script);
    has(&script, "set terminal svg size 960,600");
    has(&script, "set logscale x 10");
    has(&script, "set xrange [0.001:1]");
    has(&script, "set yrange [1.5:3.5]");
    has(&script, "$line0 << EOD\n0.001 3\n0.01 2\n1 9\nEOD\n"); /* without the NaN */
    has(&script, "'it''s a \"test\"'");
    has(&script, "'a_b.csv quit'"); /* no way out of the line */
    has(&script, "'recommended 0.02'");
    has(&script, "'none: too short'");
    has(&script, "'0.01 to 0.1'");
    has(&script, "set arrow from first 0.02");
    ls_text_free(&script);
}

Test(plot, marks_stand_on_the_bold_line) {
    ls_text script = {0};
    ls_plot plot = example();
    ls_plot_script(&plot, LS_PLOT_PNG, &script);
    char want[64]; /* log-linear between (0.01, 2.5) and (0.1, 2) */
    snprintf(want, sizeof want, "$curve << EOD\n0.02 %.9g ", 2.5 - 0.5 * log10(2));
    has(&script, want);
    has(&script, "\n0.01 2.5 ");
    has(&script, "\n0.1 2 ");
    ls_text_free(&script);
}

Test(plot, without_marks_no_rows) {
    ls_text script = {0};
    ls_plot plot = example();
    plot.mark_count = 0;
    ls_plot_script(&plot, LS_PLOT_PDF, &script);
    has(&script, "pdfcairo");
    cr_expect_null(strstr(script.data, "plot $rows"));
    has(&script, "set format x '10^{%T}'");
    ls_text_free(&script);
}

Test(plot, log_y) {
    ls_text script = {0};
    ls_plot plot = example();
    ls_plot_script(&plot, LS_PLOT_SVG, &script);
    ls_plot_text_script(&plot, 72, 20, &script);
    cr_expect_null(strstr(script.data, "logscale y"));
    ls_text_free(&script);
    plot.log_y = true;
    ls_plot_script(&plot, LS_PLOT_SVG, &script);
    has(&script, "set logscale y 10");
    ls_text_free(&script);
    ls_plot_text_script(&plot, 72, 20, &script);
    has(&script, "set logscale y 10");
    ls_text_free(&script);
}

Test(plot, text_has_the_wanted_size) {
    ls_text script = {0};
    ls_plot plot = example();
    ls_plot_text_script(&plot, 72, 20, &script);
    has(&script, "set terminal dumb size 72,20");
    has(&script, "set format x '1e%T'");
    ls_text_free(&script);
}

Test(plot, format_by_ending) {
    ls_plot_format format;
    cr_expect_eq(ls_plot_format_of("a/b.svg", &format), LS_OK);
    cr_expect_eq(format, LS_PLOT_SVG);
    cr_expect_eq(ls_plot_format_of("b.png", &format), LS_OK);
    cr_expect_eq(format, LS_PLOT_PNG);
    cr_expect_eq(ls_plot_format_of("b.pdf", &format), LS_OK);
    cr_expect_eq(format, LS_PLOT_PDF);
    const char *wrong[] = {"b.gif", "png", ".png", "", "b.png.txt"};
    for (int i = 0; i < 5; i++) {
        ls_message_set("");
        cr_expect_eq(ls_plot_format_of(wrong[i], &format), LS_ERR_INPUT, "%s", wrong[i]);
    }
    cr_expect_str_eq(ls_message(), "plot: 'b.png.txt' should end in .svg, .png or .pdf");
}

Test(plot, a_failure_leaves_nothing_behind) {
    char folder[] = "/tmp/lockstep-plot-XXXXXX", path[64], listing[128];
    ls_plot plot = example();
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/x.png", folder);
    setenv("PATH", "/nonexistent", 1);
    ls_message_set("");
    cr_expect_eq(ls_plot_write(&plot, path), LS_ERR_INPUT);
    cr_expect_not_null(strstr(ls_message(), "needs gnuplot"), "%s", ls_message());
    snprintf(listing, sizeof listing, "%s/missing/x.png", folder);
    ls_message_set("");
    cr_expect_eq(ls_plot_write(&plot, listing), LS_ERR_INPUT);
    cr_expect_eq(rmdir(folder), 0, "something was left in %s", folder);
}

Test(plot, draws_with_gnuplot) {
    static const char *const names[] = {"x.png", "x.svg", "x.pdf"};
    static const char *const starts[] = {"\x89PNG", "<?xml", "%PDF"};
    char folder[] = "/tmp/lockstep-plot-XXXXXX", path[64], start[6] = "";
    ls_plot plot = example();
    if (system("gnuplot -V >/dev/null 2>&1") != 0)
        cr_skip("gnuplot is not installed");
    cr_assert_not_null(mkdtemp(folder));
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        cr_assert_eq(ls_plot_write(&plot, path), LS_OK, "%s", ls_message());
        FILE *file = fopen(path, "rb");
        cr_assert_not_null(file);
        cr_expect_eq(fread(start, 1, 5, file), 5);
        cr_expect_eq(strncmp(start, starts[i], strlen(starts[i])), 0, "%s", names[i]);
        fclose(file);
        unlink(path);
    }
    cr_expect_eq(rmdir(folder), 0);
}
