/* The picture of a scaling study: speed-up, efficiency, and where the time of a step goes, over the
 * ranks. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/plot.h"
#include "cli/scale.h"

/* Rows of a mode's values, one for each point.  Ranks and speed-ups are drawn by their log2, so
 * that the ideal is a straight line; STACK: the shares of the phases added up, from 0 on. */
enum {
    RANKS,
    SPEED,
    SPEED_LOW,
    SPEED_HIGH,
    SHARE,
    SHARE_LOW,
    SHARE_HIGH,
    TARGET, /* time to it, and the ideal */
    TARGET_IDEAL,
    STACK,
    ROWS = STACK + LS_SCALE_PHASES + 1
};
enum { SPEED_PANEL, SHARE_PANEL, OTHER_PANELS, PANELS = OTHER_PANELS + 1 + LS_SCALE_MODES };
enum { IDEAL_POINTS = 2, MOST_TICS = 40, MOST_DECADES = 3 };
#define LEGEND_ROOM 0.3 /* of a panel's values, above them */
#define BAR_ROOM 0.6    /* of the distance to the next size */

/* In a stack, colors of modes and phases: each its own. */
static const int mode_color[LS_SCALE_MODES] = {0, 1};
static const int phase_color[LS_SCALE_PHASES] = {5, 4, 2, 3, 7};

typedef struct mode_curve {
    const ls_scale_point *points; /* the study's */
    size_t count;
    double *values;        /* (ROWS, count) */
    ls_plot_label *labels; /* over the bars: the time of a step */
    char y_label[32];      /* of its panel */
    ls_plot_line phases[LS_SCALE_PHASES];
} mode_curve;

typedef struct picture {
    ls_scale_study study;
    mode_curve modes[LS_SCALE_MODES];
    double ideal_x[IDEAL_POINTS], ideal_share[IDEAL_POINTS];
    ls_plot_line speed[LS_SCALE_MODES + 1], share[LS_SCALE_MODES + 1], target[LS_SCALE_MODES + 1];
    char target_label[48];
    ls_plot_label *x_tics, y_tics[MOST_TICS], target_tics[MOST_TICS];
    size_t x_tic_count;
    ls_plot panels[PANELS];
    double heights[PANELS];
    char *subtitle;
    ls_plot_stack stack;
} picture;

static double *row(const mode_curve *curve, int which) {
    return curve->values + (size_t)which * curve->count;
}

/* ---- values --------------------------------------------------------------------------------- */

static void fill_values(mode_curve *curve) {
    const ls_scale_point *reached = ls_scale_first_reached(curve->points, curve->count);
    for (size_t i = 0; i < curve->count; i++) {
        const ls_scale_point *point = &curve->points[i];
        double sum = 0, ranks = point->size.ranks;
        char number[LS_DIGITS_TEXT];
        row(curve, RANKS)[i] = log2(ranks);
        row(curve, SPEED)[i] = log2(point->speedup);
        row(curve, SPEED_LOW)[i] = log2(point->speedup_low);
        row(curve, SPEED_HIGH)[i] = log2(point->speedup_high);
        row(curve, SHARE)[i] = 100 * point->efficiency;
        row(curve, SHARE_LOW)[i] = 100 * point->speedup_low / ranks;
        row(curve, SHARE_HIGH)[i] = 100 * point->speedup_high / ranks;
        row(curve, TARGET)[i] = point->to_target;
        row(curve, TARGET_IDEAL)[i] =
            reached ? reached->to_target * reached->size.ranks / ranks : (double)NAN;
        row(curve, STACK)[i] = 0;
        for (int phase = 0; phase < LS_SCALE_PHASES; phase++) {
            sum += 100 * point->phase[phase] / point->step.median;
            row(curve, STACK + phase + 1)[i] = sum;
        }
        curve->labels[i] = (ls_plot_label){.x = log2(ranks), .y = 100};
        snprintf(curve->labels[i].text, sizeof curve->labels[i].text, "%s ms",
                 ls_digits(1e3 * point->step.median, number));
    }
}

/* Bars do not touch. */
static double bar_width(const mode_curve *curve) {
    double least = 1;
    for (size_t i = 1; i < curve->count; i++)
        least = fmin(least, row(curve, RANKS)[i] - row(curve, RANKS)[i - 1]);
    return BAR_ROOM * least;
}

static void describe_phases(mode_curve *curve) {
    double width = bar_width(curve);
    for (int phase = 0; phase < LS_SCALE_PHASES; phase++)
        curve->phases[phase] = (ls_plot_line){.label = ls_scale_phase_name((ls_scale_phase)phase),
                                              .style = LS_PLOT_BOXES,
                                              .count = (int64_t)curve->count,
                                              .x = row(curve, RANKS),
                                              .y = row(curve, STACK + phase + 1),
                                              .low = row(curve, STACK + phase),
                                              .width = width,
                                              .run = phase_color[phase]};
    snprintf(curve->y_label, sizeof curve->y_label, "%s: share of a step, %%",
             ls_scale_mode_name(curve->points->size.mode));
}

static ls_status make_curve(const ls_scale_study *study, ls_scale_mode mode, mode_curve *curve) {
    curve->points = ls_scale_mode_points(study, mode, &curve->count);
    if (curve->count == 0)
        return LS_OK;
    LS_TRY(LS_NEW(curve->values, ROWS * curve->count));
    LS_TRY(LS_NEW(curve->labels, curve->count));
    fill_values(curve);
    describe_phases(curve);
    return LS_OK;
}

/* ---- axes ----------------------------------------------------------------------------------- */

static bool has_tic(const picture *made, double x) {
    for (size_t i = 0; i < made->x_tic_count; i++)
        if (made->x_tics[i].x == x)
            return true;
    return false;
}

/* At each size; and where the ideal begins and ends. */
static ls_status make_x_axis(picture *made) {
    LS_TRY(LS_NEW(made->x_tics, made->study.point_count));
    made->ideal_x[0] = INFINITY;
    made->ideal_x[1] = -INFINITY;
    for (size_t i = 0; i < made->study.point_count; i++) {
        int ranks = made->study.points[i].size.ranks;
        double x = log2(ranks);
        made->ideal_x[0] = fmin(made->ideal_x[0], x);
        made->ideal_x[1] = fmax(made->ideal_x[1], x);
        if (has_tic(made, x))
            continue;
        ls_plot_label *tic = &made->x_tics[made->x_tic_count++];
        tic->x = x;
        snprintf(tic->text, sizeof tic->text, "%d", ranks);
    }
    return LS_OK;
}

/* All finite values of some lines. */
static void span(const ls_plot *panel, double *low, double *high) {
    for (size_t i = 0; i < panel->line_count; i++) {
        const ls_plot_line *line = &panel->lines[i];
        for (int64_t k = 0; k < line->count; k++) {
            *low = fmin(*low, line->low ? line->low[k] : line->y[k]);
            *high = fmax(*high, line->high ? line->high[k] : line->y[k]);
        }
    }
}

/* Powers of two, all or every second, third, ... */
static void make_speed_axis(picture *made) {
    ls_plot *panel = &made->panels[SPEED_PANEL];
    double low = INFINITY, high = -INFINITY;
    span(panel, &low, &high);
    panel->y_low = low - 0.2;
    panel->y_high = high + 0.4;
    int first = (int)floor(panel->y_low), step = 1;
    while ((panel->y_high - first) / step > 12)
        step *= 2;
    for (double y = ceil((double)first / step) * step;
         y <= panel->y_high && panel->y_tic_count < MOST_TICS; y += step) {
        ls_plot_label *tic = &made->y_tics[panel->y_tic_count++];
        tic->y = y;
        snprintf(tic->text, sizeof tic->text, "%g", exp2(y));
    }
    panel->y_tics = made->y_tics;
}

/* 1, 2, 5, 10, ..., over many decades powers of ten alone, all or every second, third, ... */
static void make_log_tics(ls_plot *panel, ls_plot_label *tics) {
    static const double fine[] = {1, 2, 5};
    const double first = floor(log10(panel->y_low)), decades = log10(panel->y_high) - first;
    const int each = decades > MOST_DECADES + 1 ? 1 : 3;
    const double step = fmax(1, ceil(decades / (3 * MOST_DECADES)));
    for (double power = first; power <= first + decades; power += step) {
        for (int i = 0; i < each && panel->y_tic_count < MOST_TICS; i++) {
            double y = fine[i] * pow(10, power);
            if (y < panel->y_low || y > panel->y_high)
                continue;
            ls_plot_label *tic = &tics[panel->y_tic_count++];
            tic->y = y;
            snprintf(tic->text, sizeof tic->text, "%g", y);
        }
    }
    panel->y_tics = tics;
}

/* From 0, or logarithmic where the values span more than a decade; the room above is the legend's.
 */
static void make_target_axis(picture *made, ls_plot *panel) {
    double low = INFINITY, high = 0;
    span(panel, &low, &high);
    panel->log_y = high > 10 * low;
    panel->y_low = panel->log_y ? low / 1.5 : 0;
    panel->y_high = high * (panel->log_y ? pow(high / panel->y_low, LEGEND_ROOM) : 1 + LEGEND_ROOM);
    if (panel->log_y)
        make_log_tics(panel, made->target_tics);
}

/* The room above is the legend's. */
static const ls_plot_label percents[] = {{.y = 0, .text = "0"},   {.y = 20, .text = "20"},
                                         {.y = 40, .text = "40"}, {.y = 60, .text = "60"},
                                         {.y = 80, .text = "80"}, {.y = 100, .text = "100"}};

/* ---- panels --------------------------------------------------------------------------------- */

static ls_plot_line mode_line(const mode_curve *curve, int which) {
    ls_scale_mode mode = curve->points->size.mode;
    return (ls_plot_line){.label = ls_scale_mode_name(mode),
                          .style = LS_PLOT_POINTS,
                          .count = (int64_t)curve->count,
                          .x = row(curve, RANKS),
                          .y = row(curve, which),
                          .low = row(curve, which + 1),
                          .high = row(curve, which + 2),
                          .run = mode_color[mode]};
}

static void add_line(ls_plot *panel, ls_plot_line *lines, ls_plot_line line) {
    lines[panel->line_count++] = line;
    panel->lines = lines;
}

static void describe_lines(picture *made) {
    ls_plot *speed = &made->panels[SPEED_PANEL], *share = &made->panels[SHARE_PANEL];
    ls_plot_line ideal = {.label = "ideal",
                          .style = LS_PLOT_IDEAL,
                          .count = IDEAL_POINTS,
                          .x = made->ideal_x,
                          .y = made->ideal_x};
    *speed = (ls_plot){.title = "speed-up", .y_label = "speed-up", .legend = LS_PLOT_LEGEND_LEFT};
    *share = (ls_plot){.title = "efficiency, %", .y_label = "efficiency, %"};
    add_line(speed, made->speed, ideal);
    made->ideal_share[0] = made->ideal_share[1] = 100;
    ideal.y = made->ideal_share;
    add_line(share, made->share, ideal);
    for (int mode = 0; mode < LS_SCALE_MODES; mode++) {
        if (made->modes[mode].count == 0)
            continue;
        add_line(speed, made->speed, mode_line(&made->modes[mode], SPEED));
        add_line(share, made->share, mode_line(&made->modes[mode], SHARE));
    }
    make_speed_axis(made);
    double low = 0;
    span(share, &low, &share->y_high);
    share->y_high *= 1.08;
}

/* The ideal is that of the first mode that reached it. */
static bool describe_target(picture *made, ls_plot *panel) {
    *panel = (ls_plot){.y_label = made->target_label, .legend = LS_PLOT_LEGEND_TOP};
    for (int mode = 0; mode < LS_SCALE_MODES; mode++) {
        const mode_curve *curve = &made->modes[mode];
        if (ls_scale_first_reached(curve->points, curve->count) == NULL)
            continue;
        ls_plot_line line = mode_line(curve, TARGET), ideal = line;
        line.low = line.high = NULL;
        ideal.low = ideal.high = NULL;
        ideal.label = "ideal";
        ideal.style = LS_PLOT_IDEAL;
        ideal.y = row(curve, TARGET_IDEAL);
        if (panel->line_count == 0)
            add_line(panel, made->target, ideal);
        add_line(panel, made->target, line);
    }
    if (panel->line_count == 0)
        return false;
    make_target_axis(made, panel);
    snprintf(made->target_label, sizeof made->target_label, "to %s, s", made->study.target);
    return true;
}

static void describe_panels(picture *made) {
    size_t count = OTHER_PANELS;
    describe_lines(made);
    if (made->study.target && describe_target(made, &made->panels[count]))
        made->heights[count++] = 2;
    made->heights[SPEED_PANEL] = 3;
    made->heights[SHARE_PANEL] = 2;
    for (int mode = 0; mode < LS_SCALE_MODES; mode++) {
        const mode_curve *curve = &made->modes[mode];
        if (curve->count == 0)
            continue;
        made->heights[count] = 2.6;
        made->panels[count++] = (ls_plot){.y_label = curve->y_label,
                                          .y_high = 145,
                                          .y_tics = percents,
                                          .y_tic_count = sizeof percents / sizeof *percents,
                                          .lines = curve->phases,
                                          .line_count = LS_SCALE_PHASES,
                                          .labels = curve->labels,
                                          .label_count = curve->count,
                                          .legend = LS_PLOT_LEGEND_TOP};
    }
    for (size_t i = 0; i < count; i++) {
        made->panels[i].x_label = "ranks";
        made->panels[i].x_tics = made->x_tics;
        made->panels[i].x_tic_count = made->x_tic_count;
    }
    made->stack.panel_count = count;
}

/* "mlp.yaml: batch 128 in 4 slices; medians of 10 repeats, bars with 98 % confidence" */
static char *make_subtitle(const picture *made) {
    const ls_scale_point *first = &made->study.points[0];
    const char *about = made->study.about, *name = about;
    int length = (int)strcspn(about, " "); /* what was set on the command line follows */
    for (const char *at = about; at < about + length; at++)
        name = *at == '/' ? at + 1 : name;
    return ls_format(
        "%.*s: batch %lld in %lld slices%s; medians of %lld repeats, bars with %.0f %% "
        "confidence",
        (int)(about + length - name), name, (long long)first->size.batch,
        (long long)first->size.slices, made->modes[LS_SCALE_WEAK].count ? " at first" : "",
        (long long)first->repeats, 100 * first->step.confidence);
}

static ls_status describe(picture *made, const char *path, const char *title) {
    if (made->study.point_count == 0)
        return ls_fail(LS_ERR_INPUT, "%s: holds no repeat yet", path);
    for (int mode = 0; mode < LS_SCALE_MODES; mode++)
        LS_TRY(make_curve(&made->study, (ls_scale_mode)mode, &made->modes[mode]));
    LS_TRY(make_x_axis(made));
    describe_panels(made);
    made->subtitle = make_subtitle(made);
    made->stack.title = title ? title : "Scaling of a training step";
    made->stack.subtitle = made->subtitle;
    made->stack.panels = made->panels;
    made->stack.heights = made->heights;
    return made->subtitle ? LS_OK : LS_ERR_SYSTEM;
}

/* ---- all together --------------------------------------------------------------------------- */

static ls_status show(const picture *made) {
    ls_text table = {0};
    LS_TRY(ls_plot_show(&made->panels[SPEED_PANEL]));
    ls_scale_table(&made->study, &table);
    ls_status status = table.failed ? LS_ERR_SYSTEM : LS_OK;
    if (status == LS_OK)
        ls_print("%s", table.data);
    ls_text_free(&table);
    return status;
}

static void picture_free(picture *made) {
    for (int mode = 0; mode < LS_SCALE_MODES; mode++) {
        ls_free(made->modes[mode].values);
        ls_free(made->modes[mode].labels);
    }
    ls_free(made->x_tics);
    ls_free(made->subtitle);
    ls_scale_study_free(&made->study);
}

ls_status ls_plot_scale(const char *path, const char *output, const char *title) {
    picture made = {0};
    LS_TRY(ls_scale_read(path, &made.study));
    ls_status status = describe(&made, path, title);
    if (status == LS_OK)
        status = output ? ls_plot_stack_write(&made.stack, output) : show(&made);
    picture_free(&made);
    return status;
}
