/* The gnuplot script of a picture: lines above, one row for each mark below, the same x axis for
 * both. Everything a user may have written is passed as a quoted string without markup. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/plot_pieces.h"

static const char ink[] = LS_PLOT_INK, quiet[] = LS_PLOT_QUIET, grid[] = LS_PLOT_GRID,
                  main_color[] = "#0072b2", faint_color[] = "#a9cfe6", accent[] = "#d55e00",
                  extra[] = "#009e73";

/* ---- pieces --------------------------------------------------------------------------------- */

static void add_data(const ls_plot *plot, ls_text *script) {
    for (size_t i = 0; i < plot->line_count; i++)
        ls_plot_add_line(&plot->lines[i], "line", i, script);
}

/* Where x lies in the range: 0 left, 1 right. */
static double share_of(const ls_plot *plot, double x) {
    double low, high;
    ls_plot_x_range(plot, &low, &high);
    return plot->log_x ? log(x / low) / log(high / low) : (x - low) / (high - low);
}

/* The value at x of the first bold line of the left axis; NaN outside it. */
static double height_at(const ls_plot *plot, double x) {
    for (size_t i = 0; i < plot->line_count; i++) {
        const ls_plot_line *line = &plot->lines[i];
        if (line->style != LS_PLOT_BOLD || line->right_axis)
            continue;
        for (int64_t k = 0; k + 1 < line->count; k++) {
            double left = line->x[k], right = line->x[k + 1];
            if (x < left || x > right)
                continue;
            double t =
                plot->log_x ? log(x / left) / log(right / left) : (x - left) / (right - left);
            return line->y[k] + t * (line->y[k + 1] - line->y[k]);
        }
        break;
    }
    return NAN;
}

/* $curve: x, y, size and color of the marks on the curve.  $rows: x, row, length, size, color of
 * those below.  A block must not be empty: NaN draws nothing. */
static void add_mark_data(const ls_plot *plot, ls_text *script) {
    ls_text curve = {0}, rows = {0};
    for (size_t i = 0; i < plot->mark_count; i++) {
        const ls_plot_mark *mark = &plot->marks[i];
        long color = strtol((mark->chosen ? accent : ink) + 1, NULL, 16);
        double size = mark->chosen ? 1.4 : 0.8;
        if (!isfinite(mark->from))
            continue;
        ls_text_add(&rows, "%.9g %zu %.9g %g %ld\n", mark->from, i + 1, mark->to - mark->from, size,
                    color);
        ls_text_add(&curve, "%.9g %.9g %g %ld\n", mark->from, height_at(plot, mark->from), size,
                    color);
        if (mark->from < mark->to)
            ls_text_add(&curve, "%.9g %.9g %g %ld\n", mark->to, height_at(plot, mark->to), size,
                        color);
    }
    ls_text_add(script, "$curve << EOD\n%sNaN NaN 1 0\nEOD\n$rows << EOD\n%sNaN NaN NaN 1 0\nEOD\n",
                curve.data ? curve.data : "", rows.data ? rows.data : "");
    script->failed |= curve.failed || rows.failed;
    ls_text_free(&curve);
    ls_text_free(&rows);
}

static bool has_right_axis(const ls_plot *plot) {
    for (size_t i = 0; i < plot->line_count; i++)
        if (plot->lines[i].right_axis)
            return true;
    return false;
}

/* ---- pictures ------------------------------------------------------------------------------- */

static void add_axes(const ls_plot *plot, ls_text *script) {
    double low, high;
    ls_plot_x_range(plot, &low, &high);
    if (plot->log_x)
        ls_text_add(script, "set logscale x 10\nset mxtics 10\n");
    if (plot->log_y)
        ls_text_add(script, "set logscale y 10\nset mytics 10\nset format y '10^{%%T}'\n");
    ls_text_add(script,
                "set encoding utf8\n"
                "set style textbox opaque noborder fillcolor rgb '#ffffff' margins 0.4,0.4\n"
                "set xrange [%.9g:%.9g]\n"
                "set border 3 linecolor rgb '%s' linewidth 1\n"
                "set grid xtics ytics linecolor rgb '%s' linetype 1 linewidth 1\n"
                "set tics nomirror textcolor rgb '%s'\n",
                low, high, quiet, grid, ink);
    ls_text_add(script, "set lmargin at screen 0.155\nset rmargin at screen %s\n",
                has_right_axis(plot) ? "0.915" : "0.965");
}

static void add_title(const ls_plot *plot, ls_text *script) {
    ls_text_add(script, "set label 1 ");
    ls_plot_add_quoted(script, plot->title);
    ls_text_add(script, " at screen 0.155,0.955 left noenhanced font ',16' textcolor rgb '%s'\n",
                ink);
    ls_text_add(script, "set label 2 ");
    ls_plot_add_quoted(script, plot->subtitle);
    ls_text_add(script, " at screen 0.155,0.905 left noenhanced textcolor rgb '%s'\n", quiet);
}

/* The vertical line of what is chosen. */
static void add_chosen_lines(const ls_plot *plot, ls_text *script) {
    for (size_t i = 0; i < plot->mark_count; i++)
        if (plot->marks[i].chosen && isfinite(plot->marks[i].from))
            ls_text_add(script,
                        "set arrow from first %.9g, graph 0 to first %.9g, graph 1 nohead back "
                        "linecolor rgb '%s' linewidth 2\n",
                        plot->marks[i].from, plot->marks[i].from, accent);
}

/* Text beside the top of the line: to the left when there is no room to the right. */
static void add_chosen_labels(const ls_plot *plot, ls_text *script) {
    for (size_t i = 0; i < plot->mark_count; i++) {
        const ls_plot_mark *mark = &plot->marks[i];
        if (!mark->chosen || !isfinite(mark->from))
            continue;
        bool left = share_of(plot, mark->from) > 0.7;
        char text[128];
        snprintf(text, sizeof text, "%s %.3g", mark->label, mark->from);
        ls_text_add(script, "set label ");
        ls_plot_add_quoted(script, text);
        ls_text_add(script,
                    " at first %.9g, graph 0.94 %s offset %s,0 noenhanced font ',13' textcolor rgb "
                    "'%s' front\n",
                    mark->from, left ? "right" : "left", left ? "-0.8" : "0.8", accent);
    }
}

/* A ring around the point, and its text at the foot of the picture, below all lines. */
static void add_point_label(const ls_plot *plot, ls_text *script) {
    if (plot->point_label == NULL)
        return;
    double share = share_of(plot, plot->point_x);
    ls_text_add(script,
                "set label '' at first %.9g,%.9g point pointtype 6 pointsize 1.3 linewidth 1.5 "
                "linecolor rgb '%s' front\nset label ",
                plot->point_x, plot->point_y, ink);
    ls_plot_add_quoted(script, plot->point_label);
    ls_text_add(script, " at first %.9g, graph 0.06 %s noenhanced boxed textcolor rgb '%s' front\n",
                plot->point_x,
                share > 0.85   ? "right"
                : share < 0.15 ? "left"
                               : "center",
                ink);
}

static void add_lines(const ls_plot *plot, ls_text *script) {
    ls_text_add(script, "plot ");
    for (size_t i = 0; i < plot->line_count; i++) {
        const ls_plot_line *line = &plot->lines[i];
        const char *color = line->right_axis                ? extra
                            : line->style == LS_PLOT_FAINT  ? faint_color
                            : line->style == LS_PLOT_POINTS ? ink
                                                            : main_color;
        ls_text_add(
            script, "%s$line%zu using 1:2 axes x1y%d with %s linecolor rgb '%s' linewidth %s",
            i ? ", \\\n  " : "", i, line->right_axis ? 2 : 1,
            line->style == LS_PLOT_POINTS ? "linespoints pointtype 7 pointsize 0.5" : "lines",
            color, line->style == LS_PLOT_BOLD && !line->right_axis ? "3" : "1.2");
        ls_text_add(script, " title ");
        ls_plot_add_quoted(script, line->label);
    }
    if (plot->mark_count)
        ls_text_add(script,
                    ", \\\n  $curve using 1:2:3:4 with points pointtype 7 pointsize variable "
                    "linecolor rgb variable notitle");
    ls_text_add(script, "\n");
}

static void add_upper(const ls_plot *plot, double bottom, ls_text *script) {
    ls_text_add(script,
                "set tmargin at screen 0.86\nset bmargin at screen %.4g\n"
                "set yrange [%.9g:%.9g]\n"
                "set key at screen %s,0.955 right top horizontal noenhanced samplen 2 spacing 1 "
                "textcolor rgb '%s'\n",
                bottom, plot->y_low, plot->y_high, has_right_axis(plot) ? "0.915" : "0.965", ink);
    ls_text_add(script, "set ylabel ");
    ls_plot_add_quoted(script, plot->y_label);
    ls_text_add(script, " textcolor rgb '%s' offset 1,0\n", ink);
    if (has_right_axis(plot)) {
        ls_text_add(script, "set y2tics textcolor rgb '%s'\nset border 11\nset y2label ", extra);
        ls_plot_add_quoted(script, plot->right_label);
        ls_text_add(script, " textcolor rgb '%s' offset -1,0\n", extra);
    }
    add_chosen_lines(plot, script);
    add_chosen_labels(plot, script);
    add_point_label(plot, script);
}

static void add_x_labels(const ls_plot *plot, ls_text *script) {
    ls_text_add(script, "set format x '%s'\nset xlabel ", plot->log_x ? "10^{%T}" : "%g");
    ls_plot_add_quoted(script, plot->x_label);
    ls_text_add(script, " textcolor rgb '%s' offset 0,0.3\n", ink);
}

/* The value beside the mark, or the reason why there is none. */
static void add_row_text(const ls_plot *plot, const ls_plot_mark *mark, double y, ls_text *script) {
    char text[256];
    ls_text_add(script, "set label ");
    if (!isfinite(mark->from)) {
        snprintf(text, sizeof text, "none: %s", mark->reason ? mark->reason : "");
        ls_plot_add_quoted(script, text);
        ls_text_add(script,
                    " at graph 0.012, first %g left noenhanced boxed front textcolor rgb '%s'\n", y,
                    quiet);
        return;
    }
    if (mark->from < mark->to)
        snprintf(text, sizeof text, "%.2g to %.2g", mark->from, mark->to);
    else
        snprintf(text, sizeof text, mark->chosen ? "%.3g" : "%.2g", mark->from);
    bool left = share_of(plot, mark->to) > 0.85;
    ls_plot_add_quoted(script, text);
    ls_text_add(
        script,
        " at first %.9g, first %g %s offset %s,0 noenhanced boxed textcolor rgb '%s' front\n",
        left ? mark->from : mark->to, y, left ? "right" : "left", left ? "-1" : "1",
        mark->chosen ? accent : ink);
}

static void add_rows(const ls_plot *plot, double top, ls_text *script) {
    size_t rows = plot->mark_count;
    ls_text_add(script,
                "unset label\nunset arrow\nunset ylabel\nunset y2label\nunset y2tics\nunset key\n"
                "set tmargin at screen %.4g\nset bmargin at screen 0.115\nset border 1\n"
                "set yrange [%zu.5:0.5]\nset ytics scale 0 noenhanced (",
                top, rows);
    for (size_t i = 0; i < rows; i++) {
        ls_text_add(script, i ? ", " : "");
        ls_plot_add_quoted(script, plot->marks[i].label);
        ls_text_add(script, " %zu", i + 1);
    }
    ls_text_add(script, ")\n");
    add_chosen_lines(plot, script);
    for (size_t i = 0; i < rows; i++)
        add_row_text(plot, &plot->marks[i], (double)(i + 1), script);
    add_x_labels(plot, script);
    ls_text_add(
        script,
        "plot $rows using 1:2:3:(0):5 with vectors nohead linewidth 3 linecolor rgb variable "
        "notitle, \\\n"
        "  $rows using 1:2:4:5 with points pointtype 7 pointsize variable linecolor rgb "
        "variable notitle, \\\n"
        "  $rows using ($1 + $3):2:4:5 with points pointtype 7 pointsize variable linecolor "
        "rgb variable notitle\n");
}

void ls_plot_script(const ls_plot *plot, ls_plot_format format, ls_text *script) {
    const double row = 0.042, foot = 0.115, gap = 0.025;
    double top = foot + row * (double)plot->mark_count;
    ls_plot_add_terminal(format, 960, 600, script);
    add_data(plot, script);
    add_mark_data(plot, script);
    ls_text_add(script, "set multiplot\n");
    add_axes(plot, script);
    add_title(plot, script);
    add_upper(plot, plot->mark_count ? top + gap : foot, script);
    if (plot->mark_count)
        ls_text_add(script, "set format x ''\n");
    else
        add_x_labels(plot, script);
    add_lines(plot, script);
    if (plot->mark_count)
        add_rows(plot, top, script);
    ls_text_add(script, "unset multiplot\n");
}

/* ---- text ----------------------------------------------------------------------------------- */

static const char *text_sign(const ls_plot_line *line) {
    static const char *const signs[] = {"o", "x", "a", "b", "c", "d", "e"};
    if (line->style == LS_PLOT_FAINT || line->style == LS_PLOT_IDEAL)
        return "·";
    if (line->run == 0)
        return line->style == LS_PLOT_BOLD ? "█" : "+";
    return signs[(size_t)(line->run - 1) % 7];
}

void ls_plot_text_script(const ls_plot *plot, int columns, int rows, ls_text *script) {
    double low, high;
    ls_plot_x_range(plot, &low, &high);
    add_data(plot, script);
    ls_text_add(script,
                "set terminal dumb size %d,%d noenhanced mono\nset encoding utf8\n"
                "set xrange [%.9g:%.9g]\nset yrange [%.9g:%.9g]\nset tics nomirror\n"
                "set border 3\nset key above noenhanced samplen 1\nset tics scale 0.5\n",
                columns, rows, low, high, plot->y_low, plot->y_high);
    if (plot->log_x)
        ls_text_add(script, "set logscale x 10\nunset mxtics\nset format x '1e%%T'\n");
    if (plot->log_y)
        ls_text_add(script, "set logscale y 10\nunset mytics\nset format y '1e%%T'\n");
    ls_plot_add_tics('x', plot->x_tics, plot->x_tic_count, true, script);
    ls_plot_add_tics('y', plot->y_tics, plot->y_tic_count, true, script);
    ls_text_add(script, "set title ");
    ls_plot_add_quoted(script, plot->title);
    ls_text_add(script, "\nset xlabel ");
    ls_plot_add_quoted(script, plot->x_label);
    ls_text_add(script, "\n");
    for (size_t i = 0; i < plot->mark_count; i++)
        if (plot->marks[i].chosen && isfinite(plot->marks[i].from))
            ls_text_add(script, "set arrow from %.9g, graph 0 to %.9g, graph 0.97 nohead\n",
                        plot->marks[i].from, plot->marks[i].from);
    ls_text_add(script, "plot ");
    for (size_t i = 0, drawn = 0; i < plot->line_count; i++) {
        const ls_plot_line *line = &plot->lines[i];
        if (line->right_axis)
            continue;
        ls_text_add(script, "%s$line%zu using 1:2 with points pointtype '%s' title ",
                    drawn++ ? ", " : "", i, text_sign(line));
        ls_plot_add_quoted(script, line->label);
    }
    ls_text_add(script, "\n");
}
