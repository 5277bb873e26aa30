/* The picture of training runs: loss, accuracy or R2, and learning rate of one or several, stacked.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/curve.h"
#include "cli/plot.h"
#include "lockstep/io.h"

enum { LOSS, SCORE, LR, PANELS };
enum { SCORE_TEXT = 32 };
enum { LINES_A_RUN = 3, FAINT_RUNS = 4 }; /* of more runs only the smoothed losses are drawn */

/* Series of a run file, not owned; NULL where there is none. */
typedef struct training {
    ls_run_reader *reader;
    char *name, *about; /* owned */
    int64_t count;
    const double *lr, *loss, *smoothed;
    /* Of the validation split where it was evaluated, otherwise of the test split: */
    const char *split;
    const double *split_loss, *accuracy, *r2;
    double steps_per_epoch; /* NaN when not known */
} training;

typedef struct picture {
    training *runs;
    size_t run_count;
    bool by_epoch; /* the x axis; otherwise by step */
    bool classes;  /* the score is an accuracy; otherwise R2 */
    bool raw;      /* losses of single steps are drawn too */
    ls_plot panels[PANELS];
    double heights[PANELS];
    ls_plot_line *lines[PANELS]; /* their x and y owned */
    ls_plot_stack stack;
    char subtitle[64], legend[96], score_name[SCORE_TEXT];
} picture;

/* ---- the run files -------------------------------------------------------------------------- */

/* "b" of "a/b/train.h5", "b/other.h5" of "a/b/other.h5"; the path where it has no folder. */
static char *name_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path)
        return ls_strdup(path);
    const char *folder = slash;
    while (folder > path && folder[-1] != '/')
        folder--;
    if (strcmp(slash, "/train.h5") == 0)
        return ls_format("%.*s", (int)(slash - folder), folder);
    return ls_strdup(folder);
}

static const double *vector(ls_run_reader *reader, const char *name) {
    size_t width = 0;
    const double *values = ls_run_series(reader, name, &width);
    return width == 1 ? values : NULL;
}

/* Where the file does not say it, its first evaluation does: there is one after each epoch. */
static double find_steps_per_epoch(const training *run) {
    const char *text = ls_run_text(run->reader, "steps_per_epoch");
    double steps = text ? strtod(text, NULL) : 0;
    if (steps >= 1)
        return steps;
    for (int64_t i = 0; run->split_loss && i < run->count; i++)
        if (isfinite(run->split_loss[i]))
            return (double)(i + 1);
    return NAN;
}

static bool any_finite(int64_t count, const double *values) {
    for (int64_t i = 0; values && i < count; i++)
        if (isfinite(values[i]))
            return true;
    return false;
}

static void choose_split(training *run) {
    const double *validation = vector(run->reader, "validation_loss");
    const bool validated = any_finite(run->count, validation);
    run->split = validated ? "validation" : "test";
    run->split_loss = validated ? validation : vector(run->reader, "test_loss");
    run->accuracy = vector(run->reader, validated ? "validation_accuracy" : "test_accuracy");
    run->r2 = vector(run->reader, validated ? "validation_r2" : "test_r2");
}

static ls_status read_run(const char *path, training *run) {
    LS_TRY(ls_run_open(path, &run->reader));
    if (strcmp(ls_run_group(run->reader), "train") != 0)
        return ls_fail(LS_ERR_INPUT, "%s: holds group '%s'; expected a training run, 'train'", path,
                       ls_run_group(run->reader));
    run->count = ls_run_points(run->reader);
    run->lr = vector(run->reader, "lr");
    run->loss = vector(run->reader, "loss");
    run->smoothed = vector(run->reader, "smoothed_loss");
    choose_split(run);
    if (run->lr == NULL || run->loss == NULL || run->smoothed == NULL)
        return ls_fail(LS_ERR_INPUT,
                       "%s: expected the vectors 'lr', 'loss' and 'smoothed_loss' in group "
                       "'train'",
                       path);
    if (run->count == 0)
        return ls_fail(LS_ERR_INPUT, "%s: holds no step yet", path);
    run->steps_per_epoch = find_steps_per_epoch(run);
    run->name = name_of(path);
    LS_TRY(ls_run_about(run->reader, path, &run->about));
    return run->name ? LS_OK : LS_ERR_SYSTEM;
}

/* ---- lines ---------------------------------------------------------------------------------- */

/* A line of the finite values; none where there are none. */
static ls_status add_line(picture *made, int panel, size_t which, ls_plot_style style,
                          const double *values) {
    const training *run = &made->runs[which];
    double *x, *y, step = made->by_epoch ? 1 / run->steps_per_epoch : 1;
    int64_t count;
    if (values == NULL)
        return LS_OK;
    LS_TRY(ls_plot_thin(run->count, step, step, values, &x, &y, &count));
    if (count == 0) {
        ls_free(x);
        ls_free(y);
        return LS_OK;
    }
    bool named = panel == LOSS ? style == LS_PLOT_BOLD : true;
    made->lines[panel][made->panels[panel].line_count++] =
        (ls_plot_line){.label = named ? run->name : NULL,
                       .style = style,
                       .count = count,
                       .x = x,
                       .y = y,
                       .run = (int)which};
    return LS_OK;
}

static const double *score(const picture *made, size_t which) {
    return made->classes ? made->runs[which].accuracy : made->runs[which].r2;
}

/* The split of all runs, "" where they differ. */
static const char *split_name(const picture *made) {
    for (size_t i = 1; i < made->run_count; i++)
        if (made->runs[i].split != made->runs[0].split)
            return "";
    return made->runs[0].split;
}

/* "test accuracy" */
static void name_score(const char *split, bool classes, char text[SCORE_TEXT]) {
    snprintf(text, SCORE_TEXT, "%s%s%s", split, *split ? " " : "", classes ? "accuracy" : "R2");
}

/* What is behind comes first. */
static ls_status add_lines(picture *made) {
    for (size_t i = 0; made->raw && i < made->run_count; i++)
        LS_TRY(add_line(made, LOSS, i, LS_PLOT_FAINT, made->runs[i].loss));
    for (size_t i = 0; i < made->run_count; i++) {
        LS_TRY(add_line(made, LOSS, i, LS_PLOT_BOLD, made->runs[i].smoothed));
        LS_TRY(add_line(made, LR, i, LS_PLOT_BOLD, made->runs[i].lr));
    }
    for (size_t i = 0; i < made->run_count; i++) {
        LS_TRY(add_line(made, LOSS, i, LS_PLOT_POINTS, made->runs[i].split_loss));
        LS_TRY(add_line(made, SCORE, i, LS_PLOT_POINTS, score(made, i)));
    }
    return LS_OK;
}

/* ---- ranges --------------------------------------------------------------------------------- */

/* What all lines of a panel span, single spikes of faint ones left out, and the smallest value of
 * their medians. */
static ls_status span(const ls_plot *panel, double *low, double *high, double *median) {
    *low = *median = INFINITY;
    *high = -INFINITY;
    for (size_t i = 0; i < panel->line_count; i++) {
        const ls_plot_line *line = &panel->lines[i];
        double cut = line->style == LS_PLOT_FAINT ? 0.005 : 0, line_low, line_high, line_median;
        LS_TRY(ls_plot_quantile(line->count, line->y, cut, &line_low));
        LS_TRY(ls_plot_quantile(line->count, line->y, 1 - cut, &line_high));
        LS_TRY(ls_plot_quantile(line->count, line->y, 0.5, &line_median));
        *low = fmin(*low, line_low);
        *high = fmax(*high, line_high);
        *median = fmin(*median, line_median);
    }
    return LS_OK;
}

/* A log scale for what spends most of its time far below its largest value. */
static ls_status choose_range(ls_plot *panel, bool may_log) {
    double low, high, median;
    LS_TRY(span(panel, &low, &high, &median));
    panel->log_y = may_log && low > 0 && high > 20 * low && high > 5 * median;
    if (panel->log_y) {
        panel->y_low = fmax(low, 1e-4 * high) / 1.3;
        panel->y_high = 1.3 * high;
        return LS_OK;
    }
    double room =
        fmax(0.06 * (high - low), 0.02 * fmax(fabs(high), 1e-3)); /* also for a flat line */
    panel->y_low = low - room;
    panel->y_high = high + room;
    return LS_OK;
}

/* ---- the picture ---------------------------------------------------------------------------- */

static ls_status describe_panels(picture *made) {
    const char *const labels[PANELS] = {"loss", made->score_name, "learning rate"};
    const char *split = split_name(made);
    static const double heights[PANELS] = {3, 2, 1.4};
    size_t room = LINES_A_RUN * made->run_count;
    for (int i = 0; i < PANELS; i++) {
        LS_TRY(LS_NEW(made->lines[i], room));
        made->panels[i] = (ls_plot){.title = labels[i],
                                    .x_label = made->by_epoch ? "epoch" : "step",
                                    .y_label = labels[i],
                                    .lines = made->lines[i]};
        made->heights[i] = heights[i];
    }
    LS_TRY(add_lines(made));
    snprintf(made->legend, sizeof made->legend, "%s   points: %s set",
             made->raw ? "thin: batches   bold: smoothed" : "bold: batches, smoothed",
             *split ? split : "validation or test");
    made->panels[LOSS].subtitle = made->legend;
    made->panels[LOSS].legend = LS_PLOT_LEGEND_RIGHT;
    for (int i = 0; i < PANELS; i++)
        if (made->panels[i].line_count > 0)
            LS_TRY(choose_range(&made->panels[i], i != SCORE));
    if (made->panels[LOSS].line_count == 0)
        return ls_fail(LS_ERR_INPUT, "there is nothing to plot: no finite loss");
    return LS_OK;
}

/* Where nothing was evaluated, the score's panel is left out: LR takes its place. */
static void describe_stack(picture *made, const char *title) {
    bool scored = made->panels[SCORE].line_count > 0;
    if (!scored) {
        made->panels[SCORE] = made->panels[LR];
        made->heights[SCORE] = made->heights[LR];
    }
    snprintf(made->subtitle, sizeof made->subtitle, "%zu runs", made->run_count);
    made->stack =
        (ls_plot_stack){.title = title ? title : "Training",
                        .subtitle = made->run_count == 1 ? made->runs[0].about : made->subtitle,
                        .panels = made->panels,
                        .heights = made->heights,
                        .panel_count = scored ? PANELS : PANELS - 1};
}

static ls_status describe(picture *made, const char *title) {
    made->by_epoch = true;
    made->raw = made->run_count <= FAINT_RUNS;
    for (size_t i = 0; i < made->run_count; i++)
        made->classes = made->classes || any_finite(made->runs[i].count, made->runs[i].accuracy);
    for (size_t i = 0; i < made->run_count; i++)
        made->by_epoch = made->by_epoch && made->runs[i].steps_per_epoch >= 1;
    name_score(split_name(made), made->classes, made->score_name);
    LS_TRY(describe_panels(made));
    describe_stack(made, title);
    return LS_OK;
}

/* ---- as text -------------------------------------------------------------------------------- */

/* The last value that is finite, and the best one. */
static void add_last(ls_text *text, const char *what, int64_t count, const double *values,
                     bool largest) {
    double last = NAN, best = NAN;
    for (int64_t i = 0; values && i < count; i++) {
        if (!isfinite(values[i]))
            continue;
        last = values[i];
        best = isnan(best) || (largest ? last > best : last < best) ? last : best;
    }
    if (!isnan(last))
        ls_text_add(text, "  %s %.4f (best %.4f)", what, last, best);
}

static ls_status show(const picture *made) {
    ls_text text = {0};
    for (size_t i = 0; i < made->stack.panel_count; i++)
        LS_TRY(ls_plot_show(&made->panels[i]));
    for (size_t i = 0; i < made->run_count; i++) {
        const training *run = &made->runs[i];
        ls_text_add(&text, "%s: %s\n  %lld steps", run->name, run->about, (long long)run->count);
        if (run->steps_per_epoch >= 1)
            ls_text_add(&text, ", %.3g epochs", (double)run->count / run->steps_per_epoch);
        ls_text_add(&text, "; smoothed loss %.4f", run->smoothed[run->count - 1]);
        char name[SCORE_TEXT];
        snprintf(name, sizeof name, "%s loss", run->split);
        add_last(&text, name, run->count, run->split_loss, false);
        name_score(run->split, made->classes, name);
        add_last(&text, name, run->count, score(made, i), true);
        ls_text_add(&text, "\n");
    }
    ls_status status = text.failed ? LS_ERR_SYSTEM : LS_OK;
    if (status == LS_OK)
        ls_print("%s", text.data);
    ls_text_free(&text);
    return status;
}

/* ---- all together --------------------------------------------------------------------------- */

static void picture_free(picture *made) {
    for (int p = 0; p < PANELS; p++) {
        for (size_t i = 0; made->lines[p] && i < LINES_A_RUN * made->run_count; i++) {
            ls_free((double *)made->lines[p][i].x);
            ls_free((double *)made->lines[p][i].y);
        }
        ls_free(made->lines[p]);
    }
    for (size_t i = 0; made->runs && i < made->run_count; i++) {
        if (made->runs[i].reader)
            ls_run_close(made->runs[i].reader);
        ls_free(made->runs[i].name);
        ls_free(made->runs[i].about);
    }
    ls_free(made->runs);
}

ls_status ls_plot_train(size_t count, const char *const *paths, const char *output,
                        const char *title) {
    picture made = {.run_count = count};
    ls_status status = LS_NEW(made.runs, count);
    for (size_t i = 0; status == LS_OK && i < count; i++)
        status = read_run(paths[i], &made.runs[i]);
    if (status == LS_OK)
        status = describe(&made, title);
    if (status == LS_OK)
        status = output ? ls_plot_stack_write(&made.stack, output) : show(&made);
    picture_free(&made);
    return status;
}
