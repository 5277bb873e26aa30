/* Pieces of gnuplot scripts that single pictures and stacks share. */
#include "cli/plot_pieces.h"

#include <math.h>

#define BOX_ROOM 0.65 /* of its width, to both sides of its middle */

/* gnuplot knows no escape in a single-quoted string but '' for a quote. */
void ls_plot_add_quoted(ls_text *script, const char *text) {
    ls_text_add(script, "'");
    for (const char *c = text ? text : ""; *c; c++) {
        if (*c == '\'')
            ls_text_add(script, "''");
        else
            ls_text_add(script, "%c", (unsigned char)*c < ' ' ? ' ' : *c);
    }
    ls_text_add(script, "'");
}

void ls_plot_add_terminal(ls_plot_format format, int width, int height, ls_text *script) {
    switch (format) {
    case LS_PLOT_PNG: /* a gnuplot without cairo draws PNG through libgd, less finely */
        ls_text_add(script,
                    "if (strstrt(GPVAL_TERMINALS, 'pngcairo')) {\n"
                    "  set terminal pngcairo size %d,%d enhanced font 'Sans,11' background "
                    "'#ffffff'\n"
                    "} else {\n"
                    "  set terminal png size %d,%d enhanced font 'Sans,10'\n}\n",
                    width, height, width, height);
        break;
    case LS_PLOT_SVG:
        ls_text_add(script,
                    "set terminal svg size %d,%d dynamic enhanced font 'sans-serif,14' "
                    "background '#ffffff'\n",
                    width, height);
        break;
    case LS_PLOT_PDF:
        ls_text_add(script, "set terminal pdfcairo size %gin,%gin enhanced font 'Sans,12'\n",
                    width / 120.0, height / 120.0);
        break;
    }
}

void ls_plot_add_line(const ls_plot_line *line, const char *name, size_t number, ls_text *script) {
    ls_text_add(script, "$%s%zu << EOD\n", name, number);
    for (int64_t k = 0; k < line->count; k++) {
        if (!isfinite(line->x[k]) || !isfinite(line->y[k]))
            continue;
        ls_text_add(script, "%.9g %.9g", line->x[k], line->y[k]);
        if (line->low)
            ls_text_add(script, " %.9g %.9g", line->low[k],
                        line->high ? line->high[k] : line->y[k]);
        ls_text_add(script, "\n");
    }
    ls_text_add(script, "EOD\n");
}

void ls_plot_add_tics(char axis, const ls_plot_label *tics, size_t count, bool named,
                      ls_text *script) {
    if (count == 0)
        return;
    ls_text_add(script, "set %ctics (", axis);
    for (size_t i = 0; i < count; i++) {
        ls_text_add(script, i ? ", " : "");
        ls_plot_add_quoted(script, named ? tics[i].text : "");
        ls_text_add(script, " %.9g", axis == 'x' ? tics[i].x : tics[i].y);
    }
    ls_text_add(script, ")\n");
}

void ls_plot_x_range(const ls_plot *plot, double *low, double *high) {
    *low = INFINITY;
    *high = -INFINITY;
    for (size_t i = 0; i < plot->line_count; i++) {
        const ls_plot_line *line = &plot->lines[i];
        for (int64_t k = 0; k < line->count; k++) {
            *low = fmin(*low, line->x[k] - BOX_ROOM * line->width);
            *high = fmax(*high, line->x[k] + BOX_ROOM * line->width);
        }
    }
    for (size_t i = 0; i < plot->mark_count; i++) { /* a recommendation may lie left of the ramp */
        *low = fmin(*low, plot->marks[i].from);     /* NaN does not count */
        *high = fmax(*high, plot->marks[i].to);
    }
    if (!(*low < *high)) { /* one point: some room around it */
        *high = plot->log_x ? *high * 2 : *high + 1;
        *low = plot->log_x ? *low / 2 : *low - 1;
    }
}
