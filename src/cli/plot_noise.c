/* The picture of a noise scale: with its errors and the configured batch, the two values that it is
 * the ratio of, and the loss, over the steps. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/noise.h"
#include "cli/plot.h"

/* Rows of values, one for each window; STEP is the window's middle. */
enum { STEP, SCALE, LOW, HIGH, SQUARE, TRACE, ROWS };
enum { SCALE_PANEL, GRADIENT_PANEL, LOSS_PANEL, PANELS };
enum { MOST_TICS = 40, MOST_NAMED = 10 };

typedef struct picture {
    ls_noise_study study;
    double *values; /* (ROWS, point_count) */
    double batch_x[2], batch_y[2];
    char batch_label[48];
    double *loss_x, *loss_y; /* thinned */
    int64_t loss_count;
    ls_plot_line scale[3], gradient[2], loss[1];
    ls_plot_label y_tics[MOST_TICS];
    ls_plot panels[PANELS];
    char *subtitle;
    ls_plot_stack stack;
} picture;

static double *row(const picture *made, int which) {
    return made->values + (size_t)which * made->study.point_count;
}

/* Error bars stand where windows do not overlap; the rest is a line. */
static void fill_values(picture *made) {
    for (size_t i = 0; i < made->study.point_count; i++) {
        const ls_noise_window *window = &made->study.points[i];
        const bool bar = i % LS_NOISE_GROUPS == 0;
        row(made, STEP)[i] = (double)window->first + (double)window->count / 2;
        row(made, SCALE)[i] = window->scale;
        row(made, LOW)[i] =
            bar ? fmax(window->scale - window->error, 1e-3 * window->scale) : window->scale;
        row(made, HIGH)[i] = bar ? window->scale + window->error : window->scale;
        row(made, SQUARE)[i] = window->square;
        row(made, TRACE)[i] = window->trace;
    }
}

static ls_plot_line line_of(const picture *made, const char *label, ls_plot_style style, int which,
                            int run) {
    return (ls_plot_line){.label = label,
                          .style = style,
                          .count = (int64_t)made->study.point_count,
                          .x = row(made, STEP),
                          .y = row(made, which),
                          .run = run};
}

/* Positive values of the panel's lines, with room around them on a logarithmic axis. */
static void choose_range(ls_plot *panel) {
    double low = INFINITY, high = 0;
    for (size_t i = 0; i < panel->line_count; i++) {
        const ls_plot_line *line = &panel->lines[i];
        for (int64_t k = 0; k < line->count; k++) {
            if (line->y[k] > 0)
                low = fmin(low, line->y[k]);
            if (isfinite(line->y[k]))
                high =
                    fmax(high, line->high && isfinite(line->high[k]) ? line->high[k] : line->y[k]);
        }
    }
    panel->y_low = high > 0 ? low / 1.5 : 0.1;
    panel->y_high = high > 0 ? high * 2.2 : 1;
}

/* Powers of two, all or every second, third, ... */
static void choose_tics(picture *made, ls_plot *panel) {
    const double low = ceil(log2(panel->y_low)), high = floor(log2(panel->y_high));
    const double step = fmax(1, ceil((high - low) / MOST_NAMED));
    for (double power = low; power <= high && panel->y_tic_count < MOST_TICS; power += step) {
        ls_plot_label *tic = &made->y_tics[panel->y_tic_count++];
        tic->y = exp2(power);
        snprintf(tic->text, sizeof tic->text, "%g", tic->y);
    }
    panel->y_tics = made->y_tics;
}

static void describe_scale(picture *made) {
    ls_plot *panel = &made->panels[SCALE_PANEL];
    const ls_noise_study *study = &made->study;
    snprintf(made->batch_label, sizeof made->batch_label, "batch here: %lld",
             (long long)study->batch);
    made->batch_x[1] = (double)study->rows;
    made->batch_y[0] = made->batch_y[1] = (double)study->batch;
    made->scale[0] = (ls_plot_line){.label = made->batch_label,
                                    .style = LS_PLOT_IDEAL,
                                    .count = 2,
                                    .x = made->batch_x,
                                    .y = made->batch_y};
    made->scale[1] =
        line_of(made, "noise scale, with its standard error", LS_PLOT_POINTS, SCALE, 0);
    made->scale[1].low = row(made, LOW);
    made->scale[1].high = row(made, HIGH);
    *panel = (ls_plot){.title = "noise scale, samples",
                       .y_label = "noise scale, samples",
                       .log_y = true,
                       .lines = made->scale,
                       .line_count = 2,
                       .legend = LS_PLOT_LEGEND_LEFT};
    choose_range(panel);
    choose_tics(made, panel);
}

static void describe_gradient(picture *made) {
    ls_plot *panel = &made->panels[GRADIENT_PANEL];
    made->gradient[0] =
        line_of(made, "tr(C), the variance of a sample's gradient", LS_PLOT_BOLD, TRACE, 1);
    made->gradient[1] =
        line_of(made, "|G|^2, the squared norm of the gradient", LS_PLOT_BOLD, SQUARE, 2);
    *panel = (ls_plot){.y_label = "gradient",
                       .log_y = true,
                       .lines = made->gradient,
                       .line_count = 2,
                       .legend = LS_PLOT_LEGEND_TOP};
    choose_range(panel);
    panel->y_high *= 4; /* the legend's room */
}

static ls_status describe_loss(picture *made) {
    ls_plot *panel = &made->panels[LOSS_PANEL];
    const ls_noise_study *study = &made->study;
    double low, high;
    LS_TRY(ls_plot_thin(study->rows, 1, 1, study->smoothed_loss, &made->loss_x, &made->loss_y,
                        &made->loss_count));
    LS_TRY(ls_plot_quantile(study->rows, study->smoothed_loss, 0, &low));
    LS_TRY(ls_plot_quantile(study->rows, study->smoothed_loss, 0.99, &high));
    made->loss[0] = (ls_plot_line){.style = LS_PLOT_BOLD,
                                   .count = made->loss_count,
                                   .x = made->loss_x,
                                   .y = made->loss_y,
                                   .run = 0};
    *panel = (ls_plot){.y_label = "smoothed loss",
                       .x_label = "step",
                       .y_low = low - 0.05 * (high - low) - 1e-9,
                       .y_high = high + 0.1 * (high - low) + 1e-9,
                       .lines = made->loss,
                       .line_count = 1};
    return LS_OK;
}

/* "mlp.yaml: batch 128 in 4 slices, learning rate 0.03; windows of 140 steps" */
static char *make_subtitle(const ls_noise_study *study) {
    const char *about = study->about, *name = about;
    int length = (int)strcspn(about, " "); /* what was set on the command line comes behind */
    for (const char *at = about; at < about + length; at++)
        name = *at == '/' ? at + 1 : name;
    return ls_format("%.*s: batch %lld in %lld slices, learning rate %.3g; over windows of %lld "
                     "steps",
                     (int)(about + length - name), name, (long long)study->batch,
                     (long long)study->slices, study->lr, (long long)study->points[0].count);
}

static ls_status describe(picture *made, const char *title) {
    static const double heights[PANELS] = {3, 2.2, 1.6};
    LS_TRY(LS_NEW(made->values, ROWS * made->study.point_count));
    fill_values(made);
    describe_scale(made);
    describe_gradient(made);
    LS_TRY(describe_loss(made));
    made->subtitle = make_subtitle(&made->study);
    made->stack = (ls_plot_stack){.title = title ? title : "Gradient noise scale",
                                  .subtitle = made->subtitle,
                                  .panels = made->panels,
                                  .heights = heights,
                                  .panel_count = PANELS};
    return made->subtitle ? LS_OK : LS_ERR_SYSTEM;
}

static ls_status show(picture *made) {
    ls_text table = {0};
    made->panels[SCALE_PANEL].x_label = "step";
    LS_TRY(ls_plot_show(&made->panels[SCALE_PANEL]));
    ls_noise_table(&made->study, &table);
    ls_status status = table.failed ? LS_ERR_SYSTEM : LS_OK;
    if (status == LS_OK)
        ls_print("%s", table.data);
    ls_text_free(&table);
    return status;
}

ls_status ls_plot_noise(const char *path, const char *output, const char *title) {
    picture made = {0};
    LS_TRY(ls_noise_read(path, &made.study));
    ls_status status = describe(&made, title);
    if (status == LS_OK)
        status = output ? ls_plot_stack_write(&made.stack, output) : show(&made);
    ls_free(made.subtitle);
    ls_free(made.loss_x);
    ls_free(made.loss_y);
    ls_free(made.values);
    ls_noise_study_free(&made.study);
    return status;
}
