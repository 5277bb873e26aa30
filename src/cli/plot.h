/* cli: a picture described as data, made into a gnuplot script and drawn by gnuplot as a process.
 * What is drawn (a range test, a schedule, training runs) is described by who calls. */
#ifndef LOCKSTEP_CLI_PLOT_H
#define LOCKSTEP_CLI_PLOT_H

#include "lockstep/base.h"

typedef enum ls_plot_style {
    LS_PLOT_FAINT,  /* raw, noisy values behind */
    LS_PLOT_BOLD,   /* what to look at; marks are put on the first of these on the left axis */
    LS_PLOT_POINTS, /* few values, joined by a thin line; with error bars from low to high */
    LS_PLOT_IDEAL,  /* dashed, gray; in a stack */
    LS_PLOT_BOXES   /* bars from low to y, `width` wide; in a stack */
} ls_plot_style;

/* Values that are not finite are left out. */
typedef struct ls_plot_line {
    const char *label;
    ls_plot_style style;
    bool right_axis;
    int64_t count;
    const double *x, *y;      /* not owned */
    const double *low, *high; /* of error bars and boxes, not owned; NULL: none */
    double width;
    int run; /* lines of one run have one color, in a stack */
} ls_plot_line;

/* A text at a place: on an axis, where only one of x and y counts, or in the picture. */
typedef struct ls_plot_label {
    double x, y;
    char text[32];
} ls_plot_label;

/* A row below the picture: a place on the x axis with its value, a range, or why there is none. */
typedef struct ls_plot_mark {
    const char *label;
    double from, to;    /* equal: a place; NaN: none */
    const char *reason; /* when there is none */
    bool chosen;        /* drawn as a line through the picture */
} ls_plot_mark;

typedef enum ls_plot_legend {
    LS_PLOT_NO_LEGEND,
    LS_PLOT_LEGEND_RIGHT, /* at the upper right, below the subtitle, where a loss leaves room */
    LS_PLOT_LEGEND_LEFT,  /* at the upper left */
    LS_PLOT_LEGEND_TOP    /* in a row at the top */
} ls_plot_legend;

typedef struct ls_plot {
    const char *title, *subtitle;
    const char *x_label, *y_label, *right_label;
    bool log_x, log_y;
    double y_low, y_high;                 /* what is beyond is cut off */
    const ls_plot_label *x_tics, *y_tics; /* NULL: as gnuplot chooses */
    size_t x_tic_count, y_tic_count;
    const char *point_label; /* a point to name in the picture; NULL for none */
    double point_x, point_y;
    const ls_plot_line *lines;
    size_t line_count;
    const ls_plot_mark *marks;
    size_t mark_count;
    const ls_plot_label *labels; /* in a stack: centered, over their places */
    size_t label_count;
    ls_plot_legend legend; /* in a stack */
} ls_plot;

/* Pictures above each other, on one x axis.  Of the panels count y_label, log_y, y_low, y_high, the
 * tics, lines, labels and legend, and the subtitle, which stands inside; of the last one x_label
 * too. */
typedef struct ls_plot_stack {
    const char *title, *subtitle;
    const ls_plot *panels;
    const double *heights; /* relative */
    size_t panel_count;
} ls_plot_stack;

typedef enum ls_plot_format { LS_PLOT_PNG, LS_PLOT_SVG, LS_PLOT_PDF } ls_plot_format;

/* From the file name's ending.  LS_ERR_INPUT when it is none of them. */
ls_status ls_plot_format_of(const char *path, ls_plot_format *format);

/* The gnuplot script of a picture; it writes to standard output. */
void ls_plot_script(const ls_plot *plot, ls_plot_format format, ls_text *script);
/* The same as text, `columns` wide. */
void ls_plot_text_script(const ls_plot *plot, int columns, int rows, ls_text *script);

void ls_plot_stack_script(const ls_plot_stack *stack, ls_plot_format format, ls_text *script);

/* Draws into `path`, by a temporary name beside it: a failure leaves what was there.  LS_ERR_INPUT:
 * gnuplot is missing, or the folder is not writable. */
ls_status ls_plot_write(const ls_plot *plot, const char *path);
ls_status ls_plot_stack_write(const ls_plot_stack *stack, const char *path);
/* Draws as text on standard output, as wide as the terminal, or 100 columns. */
ls_status ls_plot_show(const ls_plot *plot);

/* ---- values to draw ------------------------------------------------------------------------- */

/* The value below which `share` of the finite values lie; NaN if there are none. */
ls_status ls_plot_quantile(int64_t count, const double *values, double share, double *result);

/* The finite points (x_0 + i x_step, y[i]) in new arrays, to free with ls_free.  Of very many, the
 * lowest and the highest of every few, which look the same. */
ls_status ls_plot_thin(int64_t count, double x_0, double x_step, const double *y, double **thin_x,
                       double **thin_y, int64_t *thin_count);

/* ---- kinds of pictures ---------------------------------------------------------------------- */

/* Training runs in one picture, or as text when output is NULL.  LS_ERR_INPUT: a file is no run
 * file of `train`. */
ls_status ls_plot_train(size_t count, const char *const *paths, const char *output,
                        const char *title);

/* A scaling study, or as text with its table when output is NULL.  LS_ERR_INPUT: the file is none,
 * or has no row yet. */
ls_status ls_plot_scale(const char *path, const char *output, const char *title);

/* A noise scale, or as text with its table when output is NULL.  LS_ERR_INPUT: the file is none, or
 * shorter than a window. */
ls_status ls_plot_noise(const char *path, const char *output, const char *title);

#endif
