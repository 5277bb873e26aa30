/* The run file of a scaling study, written, gone on with and read, and the page made of a study. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/plot.h"
#include "cli/scale.h"
#include "test_io.h"
#include "test_scale_file.h"

enum { SIZES = 3, REPEATS = 2 };

static const char yaml[] = "data: {file: a.h5}\n"
                           "batch: {size: 128, slices: 8}\n"
                           "model: {layers: [flatten, dense: {units: 10}]}\n";

ls_config *scale_config(void) {
    ls_config *config;
    cr_assert_eq(ls_config_create(yaml, &config), LS_OK, "%s", ls_message());
    return config;
}

ls_scale_row scale_row(ls_scale_mode mode, int ranks, int repeat) {
    ls_scale_row row = {.size = {.mode = mode,
                                 .ranks = ranks,
                                 .nodes = 1,
                                 .batch = mode == LS_SCALE_WEAK ? 128 * ranks : 128,
                                 .slices = 8,
                                 .crowd = 1.5,
                                 .bytes = 4e6,
                                 .buckets = 5},
                        .step = 0.1 / ranks * (repeat ? 1.1 : 1),
                        .alone = 0.001 * ranks,
                        .predicted = ranks == 1 ? (double)NAN : 0.09 / ranks,
                        .low = ranks == 1 ? (double)NAN : 0.08 / ranks,
                        .high = ranks == 1 ? (double)NAN : 0.12 / ranks,
                        .digest = "0123456789abcdef00000000fffffffe",
                        .training = LS_SCALE_NOT_TRAINED};
    for (int phase = 0; phase < LS_SCALE_PHASES; phase++)
        row.phase[phase] = row.step / LS_SCALE_PHASES;
    return row;
}

static ls_scale_file *open_file(const char *path, const char *identity, int64_t more) {
    ls_config *config = scale_config();
    static const ls_note note = {"provenance/arguments", "a.yaml --set seed=2"};
    const ls_scale_job job = {.path = path, .name = "a.yaml", .notes = &note, .note_count = 1};
    ls_scale_file *file;
    cr_assert_eq(ls_scale_file_open(config, &job, identity, more, &file), LS_OK, "%s",
                 ls_message());
    ls_config_free(config);
    return file;
}

static void add_rows(ls_scale_file *file, ls_scale_mode mode, int first, int end) {
    for (int i = first; i < end; i++) {
        ls_scale_row row = scale_row(mode, 1 << i / REPEATS, i % REPEATS);
        cr_assert_eq(ls_scale_file_add(file, &row, SCALE_STEPS), LS_OK, "%s", ls_message());
    }
}

/* All of both modes. */
static const char *write_study(const char *name) {
    const char *path = io_path(name);
    remove(path);
    ls_scale_file *file = open_file(path, "me", 2 * SIZES * REPEATS);
    add_rows(file, LS_SCALE_STRONG, 0, SIZES * REPEATS);
    add_rows(file, LS_SCALE_WEAK, 0, SIZES * REPEATS);
    cr_assert_eq(ls_scale_file_finish(file), LS_OK, "%s", ls_message());
    ls_scale_file_free(file);
    return path;
}

static bool same(double one, double other) {
    return one == other || (isnan(one) && isnan(other));
}

static void check_row(const ls_scale_row *row, const ls_scale_row *expected) {
    cr_expect_eq(row->size.mode, expected->size.mode);
    cr_expect_eq(row->size.ranks, expected->size.ranks);
    cr_expect_eq(row->size.nodes, expected->size.nodes);
    cr_expect_eq(row->size.batch, expected->size.batch);
    cr_expect_eq(row->size.slices, expected->size.slices);
    cr_expect_eq(row->size.crowd, expected->size.crowd);
    cr_expect_eq(row->size.bytes, expected->size.bytes);
    cr_expect_eq(row->size.buckets, expected->size.buckets);
    cr_expect_eq(row->step, expected->step);
    for (int phase = 0; phase < LS_SCALE_PHASES; phase++)
        cr_expect_eq(row->phase[phase], expected->phase[phase]);
    cr_expect_eq(row->alone, expected->alone);
    cr_expect(same(row->predicted, expected->predicted));
    cr_expect(same(row->low, expected->low) && same(row->high, expected->high));
    cr_expect_str_eq(row->digest, expected->digest);
    cr_expect(same(row->training.reached, expected->training.reached));
    cr_expect(same(row->training.steps, expected->training.steps));
}

static void check_study(const char *path, ls_scale_mode mode, int64_t first, int64_t count) {
    ls_scale_study study;
    cr_assert_eq(ls_scale_read(path, &study), LS_OK, "%s", ls_message());
    cr_expect_eq(study.steps, SCALE_STEPS);
    cr_expect(study.layout_invariant);
    cr_expect_str_eq(study.about, "a.yaml --set seed=2");
    cr_assert_geq(study.row_count, first + count);
    for (int i = 0; i < count; i++) {
        ls_scale_row expected = scale_row(mode, 1 << i / REPEATS, i % REPEATS);
        check_row(&study.rows[first + i], &expected);
    }
    ls_scale_study_free(&study);
}

Test(scale_file, what_was_written_is_read, .fini = io_remove) {
    const char *path = write_study("scale.h5");
    check_study(path, LS_SCALE_STRONG, 0, SIZES * REPEATS);
    check_study(path, LS_SCALE_WEAK, SIZES * REPEATS, SIZES * REPEATS);
}

Test(scale_file, goes_on, .fini = io_remove) {
    const char *path = io_path("scale.h5");
    ls_scale_file *file = open_file(path, "me", SIZES * REPEATS);
    cr_expect_eq(file->steps, 0);
    add_rows(file, LS_SCALE_STRONG, 0, 3);
    ls_scale_file_free(file); /* unfinished, as after a kill */
    check_study(path, LS_SCALE_STRONG, 0, 3);
    for (int i = 3; i < SIZES * REPEATS; i++) { /* and again after each row, finished or not */
        file = open_file(path, "me", 1);
        cr_expect_eq(file->count, i);
        cr_expect_eq(file->steps, SCALE_STEPS);
        add_rows(file, LS_SCALE_STRONG, i, i + 1);
        if (i % 2)
            cr_assert_eq(ls_scale_file_finish(file), LS_OK);
        ls_scale_file_free(file);
        check_study(path, LS_SCALE_STRONG, 0, i + 1);
    }
}

Test(scale_file, refusals, .fini = io_remove) {
    ls_config *config = scale_config();
    const char *path = write_study("scale.h5"), *other = io_path("other.h5");
    const ls_series series = {"lr", 1, "1", "", true};
    const ls_scale_job job = {.path = path}, wrong = {.path = other};
    ls_scale_study study;
    ls_scale_file *file;
    ls_run *run;
    REFUSED(ls_scale_file_open(config, &job, "another", 1, &file), LS_ERR_INPUT, "scale.h5",
            "of another study", "--out");
    cr_assert_eq(ls_run_create(other, "train", 1, &series, 1, &run), LS_OK);
    cr_assert_eq(ls_run_finish(run), LS_OK);
    ls_run_free(run);
    REFUSED(ls_scale_read(other, &study), LS_ERR_INPUT, "other.h5", "'train'", "scaling study");
    REFUSED(ls_scale_file_open(config, &wrong, "me", 1, &file), LS_ERR_INPUT, "other.h5",
            "scaling study");
    cr_assert_eq(ls_run_create(other, "scale", 1, &series, 1, &run), LS_OK);
    cr_assert_eq(ls_run_finish(run), LS_OK);
    ls_run_free(run);
    REFUSED(ls_scale_read(other, &study), LS_ERR_INPUT, "series 'mode' of 1 value");
    ls_config_free(config);
}

/* Values that a study cannot have. */
Test(scale_file, damaged_values, .fini = io_remove) {
    static const struct {
        const char *series;
        double value;
    } rows[] = {{"mode", 2},        {"ranks", 0},     {"ranks", 1.5},     {"ranks", NAN},
                {"slices", 1e300},  {"step", 0},      {"digest", 0x1p32}, {"digest", -1},
                {"phases", -1e-30}, {"buckets", 3e9}, {"batch", -1},      {"crowd", 0.5}};
    if (*io_python() == '\0')
        cr_skip("there is no h5py");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *path = write_study("scale.h5");
        ls_scale_study study;
        io_command("%s -c 'import h5py, sys\n"
                   "with h5py.File(sys.argv[1], \"r+\") as file:\n"
                   "    values = file[\"scale\"][sys.argv[2]]\n"
                   "    values[(3, *[0] * (values.ndim - 1))] = float(sys.argv[3])' %s %s %.17g",
                   io_python(), path, rows[i].series, rows[i].value);
        REFUSED(ls_scale_read(path, &study), LS_ERR_INPUT, "row 3", rows[i].series);
    }
}

Test(scale_file, examples_of_the_format, .fini = io_remove) {
    if (*io_python() == '\0')
        cr_skip("there is no h5py");
    write_study("scale.h5");
    cr_expect_str_eq(io_examples("scale.h5"), "strong 1 0.105\nstrong 2 0.0525\nstrong 4 0.0263\n"
                                              "weak 1 0.105\nweak 2 0.0525\nweak 4 0.0263\n");
}

/* ---- sizes ---------------------------------------------------------------------------------- */

Test(scale_file, plans) {
    ls_config *config = scale_config();
    const ls_scale_job job = {.ranks = {2, 4, 5}, .rank_count = 3};
    ls_scale_size size;
    cr_assert_eq(ls_scale_plan(config, &job, LS_SCALE_STRONG, 5, &size), LS_OK);
    cr_expect(size.batch == 128 && size.slices == 8 && size.ranks == 5);
    cr_assert_eq(ls_scale_plan(config, &job, LS_SCALE_WEAK, 2, &size), LS_OK);
    cr_expect(size.batch == 128 && size.slices == 8 && size.ranks == 2);
    cr_assert_eq(ls_scale_plan(config, &job, LS_SCALE_WEAK, 5, &size), LS_OK);
    cr_expect(size.batch == 320 && size.slices == 20 && size.mode == LS_SCALE_WEAK);
    cr_assert_eq(ls_scale_plan(config, &job, LS_SCALE_WEAK, 16, &size), LS_OK);
    cr_expect(size.batch == 1024 && size.slices == 64);
    REFUSED(ls_scale_plan(config, &job, LS_SCALE_STRONG, 9, &size), LS_ERR_INPUT, "9 ranks",
            "batch.slices is 8", "--ranks");
    cr_assert_eq(ls_config_set(config, "batch.slices", "7"), LS_OK);
    REFUSED(ls_scale_plan(config, &job, LS_SCALE_WEAK, 3, &size), LS_ERR_INPUT, "3/2",
            "batch.slices 7");
    ls_config_free(config);
}

/* ---- the page ------------------------------------------------------------------------------- */

static void has(const ls_text *text, const char *part) {
    cr_expect_not_null(strstr(text->data, part), "no '%s' in:\n%s", part, text->data);
}

Test(scale_file, table, .fini = io_remove) {
    ls_scale_study study;
    ls_text text = {0};
    cr_assert_eq(ls_scale_read(write_study("scale.h5"), &study), LS_OK);
    ls_scale_table(&study, &text);
    has(&text, "2 repeats of 40 steps after 3");
    has(&text, "50.0 % confidence");
    has(&text, "strong scaling: batch 128 in 8 slices at every size; same bits at every size\n");
    has(&text, "weak scaling: batch 128 in 8 slices on 1 rank, growing with the ranks; same bits");
    has(&text, "\n     2     1      52.5");
    has(&text, "median error 16.7 %, largest 16.7 %\n");
    ls_text_free(&text);
    study.points[1].error = 47.438; /* a column of its own */
    ls_scale_table(&study, &text);
    has(&text, "|      45.0  +4743.8 %\n");
    ls_text_free(&text);
    study.points[1].same_bits = false;
    ls_scale_table(&study, &text);
    has(&text, "; NOT the same bits at every size\n");
    ls_text_free(&text);
    study.layout_invariant = false;
    ls_scale_table(&study, &text);
    has(&text, "; NOT the same bits at every size: exchange_sum is float32\n");
    ls_text_free(&text);
    ls_scale_study_free(&study);
}

/* ---- the picture ---------------------------------------------------------------------------- */

static void need_gnuplot(void) {
    if (system("gnuplot -V >/dev/null 2>&1") != 0)
        cr_skip("gnuplot is not installed");
}

/* As SVG, in which every text can be looked for. */
static char *draw(const char *path) {
    const char *picture = io_path("x.svg");
    size_t bytes;
    cr_assert_eq(ls_plot_scale(path, picture, NULL), LS_OK, "%s", ls_message());
    return io_load(picture, &bytes);
}

static void shows(const char *svg, const char *text, bool wanted) {
    cr_expect_eq(strstr(svg, text) != NULL, wanted, "%s '%s'", wanted ? "no" : "has", text);
}

Test(scale_file, picture, .fini = io_remove) {
    need_gnuplot();
    char *svg = draw(write_study("scale.h5"));
    static const char *const texts[] = {">speed-up<",
                                        ">efficiency, %<",
                                        ">ideal<",
                                        ">strong<",
                                        ">weak<",
                                        ">strong: share of a step, %<",
                                        ">weak: share of a step, %<",
                                        ">compute<",
                                        ">exchange<",
                                        ">update<",
                                        ">data<",
                                        ">imbalance<",
                                        ">52.5 ms<",
                                        ">ranks<",
                                        (">a.yaml: batch 128 in 8 slices at first; medians of 2 "
                                         "repeats, bars with 50 % confidence<")};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        shows(svg, texts[i], true);
    free(svg);
}

/* One size, of one mode: all that there is to draw. */
Test(scale_file, picture_of_the_first_rows, .fini = io_remove) {
    const char *path = io_path("scale.h5");
    need_gnuplot();
    ls_scale_file *file = open_file(path, "me", SIZES * REPEATS);
    REFUSED(ls_plot_scale(path, io_path("x.svg"), NULL), LS_ERR_INPUT, "scale.h5", "no repeat yet");
    add_rows(file, LS_SCALE_STRONG, 0, 1);
    ls_scale_file_free(file);
    char *svg = draw(path);
    shows(svg, ">100 ms<", true);
    shows(svg, ">weak<", false);
    free(svg);
}

/* Steps to the target on 4 ranks, of 26 ms; in strong mode those of all sizes. */
static void train(const char *path, ls_scale_mode mode, double steps) {
    const ls_scale_training training = {1, steps, 1, 128 * steps, 0.05};
    const ls_scale_size size = {.mode = mode, .ranks = 4};
    const ls_scale_job job = {.path = path, .target = "loss 0.5"};
    ls_config *config = scale_config();
    ls_scale_file *file;
    cr_assert_eq(ls_scale_file_open(config, &job, "me", 0, &file), LS_OK, "%s", ls_message());
    cr_assert_eq(ls_scale_file_train(file, &size, &training), LS_OK, "%s", ls_message());
    cr_assert_eq(ls_scale_file_finish(file), LS_OK, "%s", ls_message());
    ls_scale_file_free(file);
    ls_config_free(config);
}

/* 53, 26 and 13 s from 0 on; with a fifth of a second beside them on a logarithmic axis; over many
 * decades it has powers of ten alone. */
Test(scale_file, picture_of_the_target, .fini = io_remove) {
    static const struct {
        double steps;
        const char *tics[3], *none;
    } weak[] = {{500, {">40<", ">60<", ">0<"}, ">5<"},
                {8, {">0.5<", ">5<", ">50<"}, ">0.05<"},
                {0.1, {">0.01<", ">0.1<", ">10<"}, ">5<"}};
    need_gnuplot();
    for (size_t i = 0; i < sizeof weak / sizeof *weak; i++) {
        const char *path = write_study("scale.h5");
        train(path, LS_SCALE_STRONG, 500);
        train(path, LS_SCALE_WEAK, weak[i].steps);
        char *svg = draw(path);
        shows(svg, ">to loss 0.5, s<", true);
        for (int k = 0; k < 3; k++)
            shows(svg, weak[i].tics[k], true);
        shows(svg, weak[i].none, false);
        free(svg);
    }
}

Test(scale_file, error_bars_and_bars_in_the_script) {
    static const double x[] = {0, 1}, y[] = {2, 3}, low[] = {1, 2}, high[] = {4, 5};
    static const ls_plot_line lines[] = {
        {.label = "a",
         .style = LS_PLOT_POINTS,
         .count = 2,
         .x = x,
         .y = y,
         .low = low,
         .high = high},
        {.style = LS_PLOT_BOXES, .count = 2, .x = x, .y = y, .low = low, .width = 0.5},
        {.style = LS_PLOT_IDEAL, .count = 2, .x = x, .y = x}};
    static const ls_plot_label tics[] = {{.x = 1, .y = 3, .text = "it's"}};
    const ls_plot panel = {.y_high = 9,
                           .lines = lines,
                           .line_count = 3,
                           .x_tics = tics,
                           .x_tic_count = 1,
                           .labels = tics,
                           .label_count = 1,
                           .legend = LS_PLOT_LEGEND_LEFT};
    const double height = 1;
    const ls_plot_stack stack = {
        .title = "t", .subtitle = "s", .panels = &panel, .heights = &height, .panel_count = 1};
    ls_text script = {0};
    ls_plot_stack_script(&stack, LS_PLOT_SVG, &script);
    has(&script, "$line0 << EOD\n0 2 1 4\n1 3 2 5\nEOD\n");
    has(&script, "$line1 << EOD\n0 2 1 2\n1 3 2 3\nEOD\n"); /* without a high: y */
    has(&script, "$line2 << EOD\n0 0\n1 1\nEOD\n");
    has(&script, "using 1:2:3:4 with yerrorlines ");
    has(&script, "using 1:2:($1 - 0.25):($1 + 0.25):3:2 with boxxyerror ");
    has(&script, "set xtics ('it''s' 1)");
    has(&script, "set label 'it''s' at first 1, first 3 center");
    has(&script, "set xrange [-0.325:1.325]");
    ls_text_free(&script);
}

/* ---- trainings and hosts -------------------------------------------------------------------- */

/* What was trained is in the rows of its size, older ones too, and stays when the file goes on. */
Test(scale_file, trainings, .fini = io_remove) {
    const char *path = write_study("scale.h5");
    const ls_scale_training training = {1, 120, 3, 15360, 0.05};
    const ls_scale_size size = {.mode = LS_SCALE_WEAK, .ranks = 2};
    ls_config *config = scale_config();
    ls_scale_job job = {
        .path = path, .target = "accuracy 0.9", .lr_rule = LS_SCALE_LR_SQRT, .noise_scale = 300};
    ls_scale_file *file;
    ls_scale_study study;
    cr_assert_eq(ls_scale_file_open(config, &job, "me", 1, &file), LS_OK, "%s", ls_message());
    cr_assert_eq(ls_scale_file_train(file, &size, &training), LS_OK, "%s", ls_message());
    ls_scale_file_free(file);
    add_rows(file = open_file(path, "me", 1), LS_SCALE_WEAK, 0, 1);
    ls_scale_file_free(file);
    cr_assert_eq(ls_scale_read(path, &study), LS_OK, "%s", ls_message());
    cr_expect_str_eq(study.target, "accuracy 0.9");
    cr_expect_str_eq(study.lr_rule, "sqrt");
    cr_expect_eq(study.noise_scale, 300);
    for (int64_t i = 0; i < study.row_count; i++) {
        const ls_scale_row *row = &study.rows[i];
        bool there = row->size.mode == LS_SCALE_WEAK && row->size.ranks == 2;
        cr_expect(same(row->training.reached, there ? 1 : (double)NAN));
        cr_expect(same(row->training.lr, there ? 0.05 : (double)NAN));
    }
    ls_scale_study_free(&study);
    job.target = "accuracy 0.8";
    cr_expect_eq(ls_scale_file_open(config, &job, "me", 1, &file), LS_ERR_INPUT);
    cr_expect_not_null(strstr(ls_message(), "accuracy 0.9 with --lr sqrt"), "%s", ls_message());
    ls_config_free(config);
}

static void check_hosts(const char *before, const char *now, const char *expected, bool strange) {
    char *all;
    bool found;
    cr_assert_eq(ls_scale_hosts_add(before, now, &all, &found), LS_OK);
    cr_expect_str_eq(all, expected);
    cr_expect_eq(found, strange, "%s, %s", before, now);
    ls_free(all);
}

Test(scale_file, hosts) {
    const char *two = "node1 (2 ranks), node2 (2 ranks)", *one = "node1 (4 ranks)";
    check_hosts(two, one, two, false);
    check_hosts(one, two, two, false);
    check_hosts(one, "node12 (4 ranks)", "node1 (4 ranks); node12 (4 ranks)", true);
    check_hosts("node1 (4 ranks); node12 (4 ranks)", "node12 (1 rank)",
                "node1 (4 ranks); node12 (4 ranks)", false);
}

/* Repeats of one size go together only on as many nodes and cores. */
Test(scale_file, layout, .fini = io_remove) {
    ls_scale_file *file = open_file(write_study("scale.h5"), "me", 1);
    ls_scale_size size = scale_row(LS_SCALE_STRONG, 4, 0).size;
    cr_expect_eq(ls_scale_file_check(file, "a", &size), LS_OK);
    size.nodes = 2;
    cr_expect_eq(ls_scale_file_check(file, "a", &size), LS_ERR_INPUT);
    cr_expect_not_null(strstr(ls_message(), "4 ranks: 'a' has them on 1 node with 1.5 threads"),
                       "%s", ls_message());
    size.ranks = 8;
    cr_expect_eq(ls_scale_file_check(file, "a", &size), LS_OK);
    ls_scale_file_free(file);
}
