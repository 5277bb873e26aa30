/* cli: pieces of gnuplot scripts that single pictures and stacks share. */
#ifndef LOCKSTEP_CLI_PLOT_PIECES_H
#define LOCKSTEP_CLI_PLOT_PIECES_H

#include "cli/plot.h"

#define LS_PLOT_INK "#333333"
#define LS_PLOT_QUIET "#767676"
#define LS_PLOT_GRID "#e4e4e4"

/* A single-quoted string, without markup or a way out of the line. */
void ls_plot_add_quoted(ls_text *script, const char *text);
/* The output's format and size in pixels. */
void ls_plot_add_terminal(ls_plot_format format, int width, int height, ls_text *script);
/* The finite points of a line as data block $<name><number>: x, y and, where there is a low, low
 * and high (without one: y). */
void ls_plot_add_line(const ls_plot_line *line, const char *name, size_t number, ls_text *script);
/* The tics of axis 'x' or 'y', where the plot names them; without `named` their names are left out.
 */
void ls_plot_add_tics(char axis, const ls_plot_label *tics, size_t count, bool named,
                      ls_text *script);
/* First and last x of the lines, boxes with room around them, and of the marks, with some room
 * around a single one. */
void ls_plot_x_range(const ls_plot *plot, double *low, double *high);

#endif
