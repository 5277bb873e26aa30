/* lockstep plot: the picture of a range test, of training runs (plot_train.c), of a scaling study
 * (plot_scale.c) or of a noise scale (plot_noise.c), as SVG, PNG or PDF, or as text. */
#include "cli/plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/curve.h"

typedef struct plot_args {
    ls_words operands; /* FILE */
    const char *output, *title, *beta;
} plot_args;

enum { LINE_LIMIT = 4, MARK_LIMIT = LS_SUGGEST_COUNT + 1 };

/* A picture with what it borrows. */
typedef struct picture {
    ls_plot plot;
    ls_plot_line lines[LINE_LIMIT];
    ls_plot_mark marks[MARK_LIMIT];
    ls_suggestion suggestions[LS_SUGGEST_COUNT];
    double *accuracy; /* smoothed, owned */
    char point_label[64];
} picture;

/* ---- what range of losses to show ----------------------------------------------------------- */

/* From just below the smallest losses to just above those at the start, so that the diverging tail
 * does not press the rest flat. */
static ls_status choose_range(const ls_curve_data *data, double *low, double *high) {
    double raw_low, raw_start, smooth_low, smooth_start;
    int64_t tenth = data->count / 10 < 3 ? (data->count < 3 ? data->count : 3) : data->count / 10;
    LS_TRY(ls_plot_quantile(data->count, data->loss, 0.005, &raw_low));
    LS_TRY(ls_plot_quantile(data->count, data->smoothed, 0, &smooth_low));
    LS_TRY(ls_plot_quantile(tenth, data->loss, 0.95, &raw_start));
    LS_TRY(ls_plot_quantile(tenth, data->smoothed, 1, &smooth_start));
    *low = fmin(raw_low, smooth_low);
    *high = fmax(raw_start, smooth_start);
    if (!isfinite(*low) || !isfinite(*high))
        return ls_fail(LS_ERR_INPUT, "there is nothing to plot: no finite loss");
    double room = *high - *low;
    if (!(room > 0))
        room = fmax(fabs(*high), 1) * 0.1;
    *low -= 0.15 * room; /* the minimum is named down there */
    *high += 0.12 * room;
    return LS_OK;
}

/* ---- the description ------------------------------------------------------------------------ */

static void add_line(picture *made, const char *label, ls_plot_style style,
                     const ls_curve_data *data, const double *y) {
    made->lines[made->plot.line_count++] =
        (ls_plot_line){.label = label, .style = style, .count = data->count, .x = data->lr, .y = y};
}

static ls_status describe_lines(const ls_curve_data *data, picture *made) {
    add_line(made, "loss of each batch", LS_PLOT_FAINT, data, data->loss);
    if (data->validation)
        add_line(made, "validation loss", LS_PLOT_POINTS, data, data->validation);
    if (data->accuracy) {
        LS_TRY(LS_NEW(made->accuracy, (size_t)data->count));
        ls_smooth(LS_DEFAULT_BETA, data->count, data->accuracy, made->accuracy);
        add_line(made, "accuracy, smoothed", LS_PLOT_BOLD, data, made->accuracy);
        made->lines[made->plot.line_count - 1].right_axis = true;
    }
    add_line(made, "smoothed loss", LS_PLOT_BOLD, data, data->smoothed);
    return LS_OK;
}

static void describe_marks(const ls_curve_data *data, picture *made) {
    static const struct {
        int suggestion;
        const char *label;
    } rows[] = {{LS_SUGGEST_RECOMMENDED, "recommended"},
                {LS_SUGGEST_MINIMUM, "minimum / 10"},
                {LS_SUGGEST_VALLEY, "valley"},
                {LS_SUGGEST_STEEP, "steep"},
                {LS_SUGGEST_SLIDE, "slide"},
                {LS_SUGGEST_BASE_LR, "cyclical bounds"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const ls_suggestion *found = &made->suggestions[rows[i].suggestion];
        ls_plot_mark mark = {rows[i].label, NAN, NAN, found->reason,
                             rows[i].suggestion == LS_SUGGEST_RECOMMENDED};
        if (found->found)
            mark.from = mark.to = found->value;
        if (rows[i].suggestion == LS_SUGGEST_BASE_LR && found->found)
            mark.to = made->suggestions[LS_SUGGEST_MAX_LR].value;
        made->marks[made->plot.mark_count++] = mark;
    }
    const ls_suggestion *found = &made->suggestions[LS_SUGGEST_RECOMMENDED];
    if (found->found) {
        double edge = data->lr[found->index];
        made->marks[made->plot.mark_count++] =
            (ls_plot_mark){"stable edge", edge, edge, found->reason, false};
    }
}

static void describe_minimum(const ls_curve_data *data, picture *made) {
    int64_t at = -1;
    for (int64_t i = 0; i < data->count; i++)
        if (isfinite(data->smoothed[i]) && (at < 0 || data->smoothed[i] < data->smoothed[at]))
            at = i;
    if (at < 0)
        return;
    snprintf(made->point_label, sizeof made->point_label, "minimum %.3g at %.2g",
             data->smoothed[at], data->lr[at]);
    made->plot.point_label = made->point_label;
    made->plot.point_x = data->lr[at];
    made->plot.point_y = data->smoothed[at];
}

static ls_status describe(const ls_curve_data *data, const char *title, picture *made) {
    ls_curve curve = ls_curve_view(data);
    ls_suggest(&curve, made->suggestions);
    made->plot = (ls_plot){.title = title ? title : "Learning rate range test",
                           .subtitle = data->about,
                           .x_label = "learning rate",
                           .y_label = "loss",
                           .right_label = "accuracy",
                           .log_x = true,
                           .lines = made->lines,
                           .marks = made->marks};
    LS_TRY(choose_range(data, &made->plot.y_low, &made->plot.y_high));
    describe_marks(data, made);
    describe_minimum(data, made);
    return describe_lines(data, made);
}

/* ---- the command ---------------------------------------------------------------------------- */

static ls_status draw(const picture *made, const plot_args *args) {
    if (args->output)
        return ls_plot_write(&made->plot, args->output);
    ls_text text = {0};
    LS_TRY(ls_plot_show(&made->plot));
    for (size_t i = 0; i < made->plot.mark_count; i++) {
        const ls_plot_mark *mark = &made->marks[i];
        if (isnan(mark->from))
            ls_text_add(&text, "  %-16s none: %s\n", mark->label, mark->reason);
        else if (mark->from < mark->to)
            ls_text_add(&text, "  %-16s %.3g to %.3g\n", mark->label, mark->from, mark->to);
        else
            ls_text_add(&text, "%s %-16s %.3g\n", mark->chosen ? "|" : " ", mark->label,
                        mark->from);
    }
    ls_status status = text.failed ? LS_ERR_SYSTEM : LS_OK;
    if (status == LS_OK)
        ls_print("%s", text.data);
    ls_text_free(&text);
    return status;
}

static ls_status plot_range_test(const plot_args *args) {
    double beta;
    ls_curve_data data;
    picture made = {0};
    LS_TRY(ls_curve_beta("plot", args->beta, &beta));
    LS_TRY(ls_curve_load(args->operands.word[0], beta, &data));
    ls_status status = describe(&data, args->title, &made);
    if (status == LS_OK)
        status = draw(&made, args);
    ls_free(made.accuracy);
    ls_curve_free(&data);
    return status;
}

enum { NAME_SIZE = 16 };

/* The group of a run file; "find_lr" too for a CSV, which is left to the range test's reader. */
static ls_status find_group(const char *path, char group[NAME_SIZE]) {
    ls_run_reader *reader;
    bool hdf5;
    snprintf(group, NAME_SIZE, "find_lr");
    LS_TRY(ls_is_hdf5(path, &hdf5));
    if (!hdf5)
        return LS_OK;
    LS_TRY(ls_run_open(path, &reader));
    snprintf(group, NAME_SIZE, "%s", ls_run_group(reader));
    ls_run_close(reader);
    return LS_OK;
}

/* Drawn one at a time; `beta` is why they are not smoothed anew, NULL: they are. */
typedef struct picture_kind {
    const char *group, *plural, *beta;
    ls_status (*draw)(const char *path, const char *output, const char *title);
} picture_kind;

static const picture_kind kinds[] = {
    {"scale", "scaling studies", "scaling study has no loss", ls_plot_scale},
    {"noise", "noise scales", "noise scale stores its smoothed loss", ls_plot_noise},
    {"find_lr", "range tests", NULL, NULL}, /* and what is none, which its reader refuses */
};

static const picture_kind *kind_of(const char *group) {
    const picture_kind *kind = kinds;
    while (kind->draw && strcmp(group, kind->group) != 0)
        kind++;
    return kind;
}

static ls_status refuse_beta(const char *why) {
    return ls_fail(LS_ERR_INPUT, "plot: --beta is for range tests: a %s", why);
}

static ls_status draw_files(const plot_args *args, const char *group) {
    const ls_words *files = &args->operands;
    const picture_kind *kind = kind_of(group);
    if (strcmp(group, "train") == 0)
        return args->beta ? refuse_beta("training run stores its smoothed loss")
                          : ls_plot_train(files->count, files->word, args->output, args->title);
    if (files->count > 1)
        return ls_fail(LS_ERR_INPUT, "plot: '%s' is no training run: of %s one is drawn at a time",
                       files->word[0], kind->plural);
    if (args->beta && kind->beta)
        return refuse_beta(kind->beta);
    return kind->draw ? kind->draw(files->word[0], args->output, args->title)
                      : plot_range_test(args);
}

static ls_status run(ls_comm *comm, void *context) {
    const plot_args *args = context;
    const ls_words *files = &args->operands;
    ls_plot_format format;
    char group[NAME_SIZE];
    (void)comm;
    if (args->output)
        LS_TRY(ls_plot_format_of(args->output, &format));
    for (size_t i = 0; args->output && i < files->count; i++)
        LS_TRY(ls_check_output(args->output, files->word[i]));
    LS_TRY(find_group(files->word[0], group));
    return draw_files(args, group);
}

static const ls_option options[] = {
    {"--output", "-o", LS_OPTION_TEXT, "PICTURE", "draw into this .svg, .png or .pdf file",
     offsetof(plot_args, output)},
    {"--title", NULL, LS_OPTION_TEXT, "TEXT", "title of the picture", offsetof(plot_args, title)},
    {"--beta", NULL, LS_OPTION_TEXT, "B",
     "smooth with factor B (default: as stored, 0.98 for a CSV)", offsetof(plot_args, beta)},
};

const ls_command ls_command_plot = {
    .name = "plot",
    .summary = "Draw a range test, training runs, a scaling study, or a noise scale",
    .operands = "FILE... [-o PICTURE.svg|.png|.pdf] [--title TEXT] [--beta B]",
    .details =
        "FILE is the run file of find-lr, finished or not, or a CSV with the columns lr and\n"
        "loss; or run files of train, any number, drawn together; or the scale.h5 of scale, or\n"
        "the noise.h5 of noise.\n"
        "Without -o the picture is text, as wide as the terminal.  Needs gnuplot.\n",
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .args_size = sizeof(plot_args),
    .parallel = false,
    .run = run,
};
