/* The curve from a CSV, with what is said about one that is wrong, and what `suggest` prints. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/curve.h"
#include "cli/suggest.h"

static char path[64];

static void write_csv(const char *text) {
    snprintf(path, sizeof path, "/tmp/lockstep-curve-XXXXXX");
    int fd = mkstemp(path);
    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    ls_message_set("");
}

static ls_curve_data good(const char *text) {
    ls_curve_data data;
    write_csv(text);
    cr_assert_eq(ls_curve_load(path, NAN, &data), LS_OK, "%s", ls_message());
    unlink(path);
    return data;
}

/* `where` follows the file's name. */
static void bad(const char *text, const char *where) {
    ls_curve_data data = {.count = -7};
    write_csv(text);
    cr_expect_eq(ls_curve_load(path, NAN, &data), LS_ERR_INPUT);
    cr_expect_eq(strncmp(ls_message(), path, strlen(path)), 0, "%s", ls_message());
    cr_expect_str_eq(ls_message() + strlen(path), where, "%s", ls_message());
    cr_expect_eq(data.count, -7, "output set in spite of an error");
    unlink(path);
}

Test(suggest, loads_what_spreadsheets_write) {
    ls_curve_data data =
        good("\xef\xbb\xbf\"step\";\"loss\";\"lr\"\r\n1;2.5;\"0.001\"\r\n\r\n2;2;0.01");
    cr_assert_eq(data.count, 2);
    cr_expect_eq(data.lr[1], 0.01);
    cr_expect_eq(data.loss[0], 2.5);
    ls_curve_free(&data);
}

Test(suggest, loads_a_csv) {
    ls_curve_data data = good("lr,loss\n0.001,2.5\n0.01,2\n0.1,nan\n");
    cr_expect_eq(data.count, 3);
    cr_expect_eq(data.lr[1], 0.01);
    cr_expect_eq(data.loss[0], 2.5);
    cr_expect(isnan(data.loss[2]));
    cr_expect_null(data.noise);
    /* (0.98 x 0.02 x 2.5 + 0.02 x 2) / (1 - 0.98^2) */
    cr_expect_float_eq(data.smoothed[1], (0.98 * 2.5 + 2) / 1.98, 1e-13);
    ls_curve_free(&data);
}

/* A valley with its bottom near 0.1 and a divergence; points of `every` and from `end` on are NaN.
 */
static ls_suggestion recommended(int every, int end, int64_t *count) {
    ls_text text = {0};
    ls_suggestion out[LS_SUGGEST_COUNT];
    ls_text_add(&text, "lr,loss\n");
    for (int i = 0; i < 200; i++) {
        double x = -6 + 7.0 * i / 199;
        double loss = 2.3 - 1.8 / (1 + exp(-3 * (x + 2.5))) + exp(4 * x);
        bool bad = i >= end || (every > 0 && i % every == every - 1);
        ls_text_add(&text, "%.9g,%.9g\n", pow(10, x), bad ? NAN : loss);
    }
    ls_curve_data data = good(text.data);
    ls_curve curve = ls_curve_view(&data);
    ls_suggest(&curve, out);
    *count = data.count;
    ls_curve_free(&data);
    ls_text_free(&text);
    return out[LS_SUGGEST_RECOMMENDED];
}

Test(suggest, isolated_nan_is_skipped) {
    int64_t count;
    double whole = recommended(0, 200, &count).value;
    cr_expect_eq(count, 200);
    ls_suggestion holes = recommended(50, 200, &count); /* one of them is the last */
    cr_expect_eq(count, 200 - 3);
    cr_expect_float_eq(holes.value, whole, 0.1 * whole, "%g, not %g", holes.value, whole);
    ls_suggestion ends = recommended(0, 180, &count); /* where the loss has risen already */
    cr_expect_eq(count, 200);
    cr_expect_float_eq(ends.value, whole, 0.1 * whole, "%g, not %g", ends.value, whole);
}

static void expect_reason(const ls_curve *curve, const char *words) {
    ls_suggestion out[LS_SUGGEST_COUNT];
    ls_suggest(curve, out);
    const char *reason = out[LS_SUGGEST_RECOMMENDED].reason;
    bool expected = words[0] != '!';
    cr_expect_eq(strstr(reason, words + !expected) != NULL, expected, "%s: %s", words, reason);
}

/* Few points because there were few steps, or because the loss ran off; and a fall whose rise was
 * the point that stopped the test. */
Test(suggest, says_what_would_help) {
    double lr[40], loss[40];
    for (int i = 0; i < 40; i++) {
        lr[i] = pow(1.5, i - 30);
        loss[i] = 2 - 0.05 * i;
    }
    ls_curve curve = {.count = 6, .lr = lr, .loss = loss, .smoothed = loss};
    expect_reason(&curve, "make the test longer");
    curve.diverged = true;
    expect_reason(&curve, "start at a smaller learning rate");
    curve.count = 40;
    expect_reason(&curve, "!had not risen");
    curve.diverged = false;
    expect_reason(&curve, "had not risen");
}

Test(suggest, takes_other_columns_blanks_and_line_ends) {
    ls_curve_data data = good("\xef\xbb\xbfstep, loss ,lr\r\n\r\n1, 3 ,1e-5\r\n2,\t2.5, 1e-4\r\n");
    cr_expect_eq(data.count, 2);
    cr_expect_eq(data.lr[1], 1e-4);
    cr_expect_eq(data.loss[0], 3);
    ls_curve_free(&data);
}

Test(suggest, one_row_and_no_end_of_line) {
    ls_curve_data data = good("lr,loss\n0.1,1");
    cr_expect_eq(data.count, 1);
    cr_expect_float_eq(data.smoothed[0], 1, 1e-13);
    ls_curve_free(&data);
}

Test(suggest, more_rows_than_the_first_guess) {
    ls_text text = {0};
    ls_text_add(&text, "lr,loss\n");
    for (int i = 1; i <= 3000; i++)
        ls_text_add(&text, "%d,%d\n", i, 5000 - i);
    ls_curve_data data = good(text.data);
    cr_expect_eq(data.count, 3000);
    for (int i = 0; i < 3000; i++)
        cr_assert(data.lr[i] == i + 1 && data.loss[i] == 4999 - i);
    ls_curve_free(&data);
    ls_text_free(&text);
}

Test(suggest, refuses_bad_csvs) {
    bad("", ": the file is empty");
    bad("lr,loss\n", ": no rows after the header; expected one a step");
    bad("lr,accuracy\n1,2\n",
        ":1: no column 'loss'; expected a run file, or a CSV with the header lr,loss");
    bad("0.1,2.3\n", ":1: no column 'lr'; expected a run file, or a CSV with the header lr,loss");
    bad("lr,loss\n0.1,2\n0.2,x2\n", ":3: expected a number for loss, found 'x2'");
    bad("lr,loss\n0.1,2\n0.2,2.5abc\n", ":3: expected a number for loss, found '2.5abc'");
    bad("lr,loss\n\n0.1,2\n0.2\n", ":4: expected a number for loss, found nothing");
    bad("lr,loss\n0.1,\n", ":2: expected a number for loss, found ''");
    bad("lr,loss\n-0.1,2\n", ":2: expected a positive learning rate, found -0.1");
    bad("lr,loss\n0,2\n", ":2: expected a positive learning rate, found 0");
    bad("lr,loss\nnan,2\n", ":2: expected a positive learning rate, found nan");
    bad("lr,loss\n0.2,2\n0.1,2\n",
        ":3: expected a learning rate above the one before, 0.2, found 0.1");
}

Test(suggest, refuses_a_missing_file) {
    ls_curve_data data;
    ls_message_set("");
    cr_expect_eq(ls_curve_load("/nonexistent/x.csv", NAN, &data), LS_ERR_INPUT);
    cr_expect_str_eq(ls_message(), "cannot open '/nonexistent/x.csv': No such file or directory");
}

Test(suggest, beta) {
    double beta;
    cr_expect_eq(ls_curve_beta("suggest", NULL, &beta), LS_OK);
    cr_expect(isnan(beta));
    cr_expect_eq(ls_curve_beta("suggest", "0.5", &beta), LS_OK);
    cr_expect_eq(beta, 0.5);
    const char *wrong[] = {"1", "-0.1", "x", "", "0.5x", "nan"};
    for (int i = 0; i < 6; i++)
        cr_expect_eq(ls_curve_beta("suggest", wrong[i], &beta), LS_ERR_INPUT, "%s", wrong[i]);
    write_csv("lr,loss\n1,4\n2,1\n");
    ls_curve_data data;
    cr_expect_eq(ls_curve_load(path, 0, &data), LS_OK);
    unlink(path);
    cr_expect_eq(data.smoothed[1], 1);
    ls_curve_free(&data);
}

static void some_suggestions(ls_suggestion out[LS_SUGGEST_COUNT]) {
    static const char *const names[] = {"minimum", "steep",  "valley",     "slide",
                                        "base_lr", "max_lr", "recommended"};
    for (int i = 0; i < LS_SUGGEST_COUNT; i++)
        out[i] = (ls_suggestion){.name = names[i], .found = true, .value = 1.0 / 3};
    out[LS_SUGGEST_SLIDE].found = false;
    strcpy(out[LS_SUGGEST_SLIDE].reason, "needs 16 points, there are 3");
}

Test(suggest, plain_lines) {
    ls_suggestion suggestions[LS_SUGGEST_COUNT];
    ls_text text = {0};
    some_suggestions(suggestions);
    ls_suggest_print_plain(suggestions, &text);
    cr_expect_str_eq(text.data, "minimum 0.333333333\nsteep 0.333333333\nvalley 0.333333333\n"
                                "slide none: needs 16 points, there are 3\nbase_lr 0.333333333\n"
                                "max_lr 0.333333333\nrecommended 0.333333333\n");
    ls_text_free(&text);
}

Test(suggest, page_for_people) {
    ls_suggestion suggestions[LS_SUGGEST_COUNT];
    ls_text text = {0};
    const double lr[] = {1e-3, 1};
    some_suggestions(suggestions);
    ls_suggest_print(&(ls_curve){.count = 2, .lr = lr}, "x.csv", suggestions, &text);
    cr_expect(strstr(text.data, "recommended") < strstr(text.data, "minimum"));
    cr_expect_not_null(strstr(text.data, "lr: 0.333"));
    cr_expect_not_null(strstr(text.data, "needs 16 points"));
    ls_text_free(&text);
    suggestions[LS_SUGGEST_RECOMMENDED].found = false;
    ls_suggest_print(&(ls_curve){0}, "x.csv", suggestions, &text);
    cr_expect_null(strstr(text.data, "train.lr"));
    ls_text_free(&text);
}
