/* The gnuplot script of a stack: panels above each other on one x axis, one color for each run. */
#include <math.h>

#include "cli/plot_pieces.h"

#define LEFT 0.11
#define RIGHT 0.965
#define TOP 0.9
#define FOOT 0.085
#define GAP 0.03

enum { COLORS = 8 };

/* Okabe and Ito's, distinct for color-blind readers too; each with a tint for what is behind. */
static const char *const colors[COLORS] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                           "#e69f00", "#56b4e9", "#000000", "#8c6d31"};
static const char *const tints[COLORS] = {"#bfdcec", "#f4d7bf", "#bfe7dc", "#f2dde9",
                                          "#f9e7bf", "#d5ecfa", "#bfbfbf", "#e2dbcb"};

static void add_head(const ls_plot_stack *stack, ls_text *script) {
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < stack->panel_count; i++) {
        double panel_low, panel_high;
        ls_plot_x_range(&stack->panels[i], &panel_low, &panel_high);
        low = fmin(low, panel_low);
        high = fmax(high, panel_high);
    }
    ls_text_add(script,
                "set encoding utf8\nset multiplot\n"
                "set xrange [%.9g:%.9g]\nset border 3 linecolor rgb '%s' linewidth 1\n"
                "set grid xtics ytics linecolor rgb '%s' linetype 1 linewidth 1\n"
                "set tics nomirror textcolor rgb '%s'\n"
                "set lmargin at screen %g\nset rmargin at screen %g\nset label 1 ",
                low, high, LS_PLOT_QUIET, LS_PLOT_GRID, LS_PLOT_INK, LEFT, RIGHT);
    ls_plot_add_quoted(script, stack->title);
    ls_text_add(script, " at screen %g,0.965 left noenhanced font ',16' textcolor rgb '%s'\n", LEFT,
                LS_PLOT_INK);
    ls_text_add(script, "set label 2 ");
    ls_plot_add_quoted(script, stack->subtitle);
    ls_text_add(script, " at screen %g,0.93 left noenhanced textcolor rgb '%s'\n", LEFT,
                LS_PLOT_QUIET);
}

static void add_axes(const ls_plot *panel, bool last, ls_text *script) {
    ls_text_add(script, "set ytics autofreq\n");
    ls_plot_add_tics('y', panel->y_tics, panel->y_tic_count, true, script);
    ls_plot_add_tics('x', panel->x_tics, panel->x_tic_count, last, script);
    ls_text_add(script, panel->log_y ? "set logscale y 10\nset mytics 10\nset format y '10^{%%T}'\n"
                                     : "unset logscale y\nunset mytics\nset format y '%%g'\n");
    ls_text_add(script, "set yrange [%.9g:%.9g]\nset label 4 ", panel->y_low, panel->y_high);
    ls_plot_add_quoted(script, panel->y_label);
    ls_text_add(script,
                " at graph -0.095, graph 0.5 center rotate by 90 noenhanced textcolor rgb '%s'\n"
                "set label 3 ",
                LS_PLOT_INK);
    ls_plot_add_quoted(script, panel->subtitle);
    ls_text_add(script, " at graph 0.99, graph 0.93 right noenhanced front textcolor rgb '%s'\n",
                LS_PLOT_QUIET);
    ls_text_add(script, last ? "set format x '%%g'\nset xlabel " : "set format x ''\n");
    if (last) {
        ls_plot_add_quoted(script, panel->x_label);
        ls_text_add(script, " textcolor rgb '%s' offset 0,0.3\n", LS_PLOT_INK);
    }
}

static void add_line_style(const ls_plot_line *line, ls_text *script) {
    size_t color = (size_t)line->run % COLORS;
    switch (line->style) {
    case LS_PLOT_FAINT:
        ls_text_add(script, "lines linecolor rgb '%s' linewidth 1", tints[color]);
        break;
    case LS_PLOT_BOLD:
        ls_text_add(script, "lines linecolor rgb '%s' linewidth 2", colors[color]);
        break;
    case LS_PLOT_POINTS:
        ls_text_add(script, "%s pointtype 7 pointsize %s linecolor rgb '%s' linewidth 1",
                    line->low ? "yerrorlines" : "linespoints", line->low ? "0.7" : "0.5",
                    colors[color]);
        break;
    case LS_PLOT_IDEAL:
        ls_text_add(script, "lines dashtype 2 linecolor rgb '%s' linewidth 1.5", LS_PLOT_QUIET);
        break;
    case LS_PLOT_BOXES:
        ls_text_add(script, "boxxyerror fillstyle solid 1 noborder linecolor rgb '%s'",
                    colors[color]);
        break;
    }
}

static void add_columns(const ls_plot_line *line, ls_text *script) {
    if (line->style == LS_PLOT_BOXES)
        ls_text_add(script, "1:2:($1 - %.9g):($1 + %.9g):3:2", line->width / 2, line->width / 2);
    else
        ls_text_add(script, line->low ? "1:2:3:4" : "1:2");
}

static void add_legend(ls_plot_legend legend, ls_text *script) {
    static const char *const places[] = {
        [LS_PLOT_LEGEND_RIGHT] = "at graph 0.992, graph 0.88 right top vertical",
        [LS_PLOT_LEGEND_LEFT] = "at graph 0.012, graph 0.97 left top vertical Left reverse",
        [LS_PLOT_LEGEND_TOP] = "at graph 0.5, graph 0.985 center top horizontal"};
    if (legend == LS_PLOT_NO_LEGEND)
        ls_text_add(script, "unset key\n");
    else
        ls_text_add(script, "set key %s noenhanced samplen 2 spacing 1.1 textcolor rgb '%s'\n",
                    places[legend], LS_PLOT_INK);
}

static void add_labels(const ls_plot *panel, ls_text *script) {
    for (size_t i = 0; i < panel->label_count; i++) {
        const ls_plot_label *label = &panel->labels[i];
        ls_text_add(script, "set label ");
        ls_plot_add_quoted(script, label->text);
        ls_text_add(script,
                    " at first %.9g, first %.9g center offset 0,0.6 noenhanced front "
                    "textcolor rgb '%s'\n",
                    label->x, label->y, LS_PLOT_INK);
    }
}

static void add_panel(const ls_plot *panel, ls_text *script) {
    for (size_t i = 0; i < panel->line_count; i++)
        ls_plot_add_line(&panel->lines[i], "line", i, script);
    add_labels(panel, script);
    add_legend(panel->legend, script);
    ls_text_add(script, "plot ");
    for (size_t i = 0; i < panel->line_count; i++) {
        const ls_plot_line *line = &panel->lines[i];
        ls_text_add(script, "%s$line%zu using ", i ? ", \\\n  " : "", i);
        add_columns(line, script);
        ls_text_add(script, " with ");
        add_line_style(line, script);
        ls_text_add(script, line->label ? " title " : " notitle");
        if (line->label)
            ls_plot_add_quoted(script, line->label);
    }
    ls_text_add(script, "\nunset label\n");
}

void ls_plot_stack_script(const ls_plot_stack *stack, ls_plot_format format, ls_text *script) {
    double sum = 0, top = TOP;
    double room = TOP - FOOT - GAP * (double)(stack->panel_count - 1);
    for (size_t i = 0; i < stack->panel_count; i++)
        sum += stack->heights[i];
    ls_plot_add_terminal(format, 960, (int)(240 + 200 * stack->panel_count), script);
    add_head(stack, script);
    for (size_t i = 0; i < stack->panel_count; i++) {
        double bottom = top - room * stack->heights[i] / sum;
        ls_text_add(script, "set tmargin at screen %.4g\nset bmargin at screen %.4g\n", top,
                    bottom);
        add_axes(&stack->panels[i], i + 1 == stack->panel_count, script);
        add_panel(&stack->panels[i], script);
        top = bottom - GAP;
    }
    ls_text_add(script, "unset multiplot\n");
}
