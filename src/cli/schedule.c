/* lockstep schedule: learning rate and momentum over a run, drawn before anything is run. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/plot.h"
#include "lockstep/config.h"
#include "lockstep/data.h"
#include "lockstep/io.h"
#include "lockstep/train.h"

enum { POINT_LIMIT = 20000 }; /* more are not seen */

typedef struct schedule_args {
    ls_words operands; /* CONFIG */
    ls_words sets;
    const char *output, *lr, *samples;
} schedule_args;

/* A schedule with what is known of its run, and what is drawn of it. */
typedef struct preview {
    const ls_config *config;
    ls_schedule schedule;
    int64_t samples;
    ls_shape shape; /* of a sample; 0 dimensions: not known */
    int64_t per_epoch;
    bool relative; /* the LR is not known: shares of it */

    int64_t count;
    double *x, *lr, *momentum; /* of the steps drawn, owned */
    double lowest, highest;    /* LRs above 0 */
    int64_t highest_step;
    double min_momentum, max_momentum;
} preview;

/* ---- what the options say ------------------------------------------------------------------- */

static ls_status read_lr(const char *text, double *lr) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value > 0) || isinf(value))
        return ls_fail(LS_ERR_INPUT, "schedule: --lr '%s': expected a number above 0", text);
    *lr = value;
    return LS_OK;
}

static ls_status read_samples(const char *text, int64_t *samples) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || value < 1 || value > (1LL << 52))
        return ls_fail(LS_ERR_INPUT, "schedule: --samples '%s': expected an integer above 0", text);
    *samples = value;
    return LS_OK;
}

static ls_status add_samples(preview *made, const char *file, const char *inputs) {
    ls_array *array;
    if (access(file, F_OK) != 0)
        return ls_fail(LS_ERR_INPUT,
                       "schedule: the data file '%s' cannot be found: say how many training "
                       "samples there are with --samples N",
                       file);
    LS_TRY(ls_array_open(NULL, file, inputs, &array));
    const ls_array_info *info = ls_array_describe(array);
    made->samples += info->shape[0];
    ls_status status = ls_data_sample_shape(made->config->data.layout, info, inputs, &made->shape);
    ls_array_close(array);
    return status;
}

/* Several datasets have as many samples as the first. */
static ls_status look_at_data(preview *made) {
    const ls_data_config *data = &made->config->data;
    const char *names = data->train_inputs.lines;
    char *inputs = ls_format("%.*s", (int)strcspn(names, "\n"), names);
    ls_files *files = NULL;
    ls_status status = inputs ? ls_files_list(data->file.lines, &files) : LS_ERR_SYSTEM;
    for (int64_t i = 0; status == LS_OK && i < ls_files_count(files); i++)
        status = add_samples(made, ls_files_path(files, i), inputs);
    ls_files_free(files);
    ls_free(inputs);
    return status;
}

/* Whether only the shape of a sample tells if a last batch is left out, for its batch norms' sake.
 */
static bool hangs_on_shape(const ls_layer_list *layers) {
    for (size_t i = 0; i < layers->count; i++) {
        const ls_layer_spec *layer = &layers->layers[i];
        if (layer->kind == LS_LAYER_BATCH_NORM ||
            (layer->kind == LS_LAYER_RESIDUAL && (hangs_on_shape(&layer->residual.body) ||
                                                  hangs_on_shape(&layer->residual.projection))))
            return true;
    }
    return false;
}

static ls_status count_steps(preview *made) {
    const ls_batch_config *batch = &made->config->batch;
    const int64_t full = made->samples / batch->size, rest = made->samples % batch->size;
    if (made->shape.ndims > 0)
        return ls_train_steps_per_epoch(made->config, &made->shape, made->samples,
                                        &made->per_epoch);
    made->per_epoch = full + (rest > 0 && !batch->drop_last);
    if (full > 0 && made->per_epoch > full && rest / batch->slices < 2 &&
        hangs_on_shape(&made->config->model.layers))
        ls_warn("train may leave out the last batch of each epoch, %lld sample%s, for its batch "
                "norms' sake: without the data file that is not known",
                (long long)rest, rest == 1 ? "" : "s");
    return LS_OK;
}

/* The schedule for this LR.  Without one (NaN) all its values are shares of it, unless the keys
 * give other LRs in full: then the schedule must not hang on it. */
static ls_status make_schedule(preview *made, double lr) {
    const ls_schedule_config *keys = &made->config->schedule;
    LS_TRY(ls_train_schedule(made->config, lr, made->per_epoch, &made->schedule));
    if (!isnan(ls_schedule_lr(&made->schedule, made->schedule.steps - 1)))
        return LS_OK;
    if (!isnan(keys->base_lr) || !isnan(keys->max_lr) || !isnan(keys->final_lr))
        return ls_fail(LS_ERR_INPUT,
                       "schedule: train.lr is auto, and other learning rates are given as numbers: "
                       "--lr X says what it may be");
    made->relative = true;
    return ls_train_schedule(made->config, 1, made->per_epoch, &made->schedule);
}

/* ---- its values ----------------------------------------------------------------------------- */

static void take(preview *made, int64_t step) {
    double lr = ls_schedule_lr(&made->schedule, step);
    double momentum = ls_schedule_momentum(&made->schedule, step);
    if (lr > made->highest) {
        made->highest = lr;
        made->highest_step = step;
    }
    if (lr > 0)
        made->lowest = fmin(made->lowest, lr);
    made->min_momentum = fmin(made->min_momentum, momentum);
    made->max_momentum = fmax(made->max_momentum, momentum);
    made->x[made->count] = (double)step;
    made->lr[made->count] = lr;
    made->momentum[made->count++] = momentum;
}

static ls_status sample(preview *made) {
    int64_t last = made->schedule.steps - 1, stride = last / POINT_LIMIT + 1;
    size_t room = (size_t)(last / stride) + 2;
    LS_TRY(LS_NEW(made->x, room));
    LS_TRY(LS_NEW(made->lr, room));
    LS_TRY(LS_NEW(made->momentum, room));
    made->lowest = made->min_momentum = INFINITY;
    made->highest = made->max_momentum = -INFINITY;
    for (int64_t step = 0; step < last; step += stride)
        take(made, step);
    take(made, last);
    return LS_OK;
}

static bool moves_momentum(const preview *made) {
    return made->min_momentum < made->max_momentum;
}

/* ---- the picture ---------------------------------------------------------------------------- */

/* What falls by factors is a staircase or a straight line on a log scale. */
static bool wants_log(const preview *made) {
    switch (made->schedule.kind) {
    case LS_SCHEDULE_STEP:
    case LS_SCHEDULE_MULTISTEP:
    case LS_SCHEDULE_EXPONENTIAL:
    case LS_SCHEDULE_EXP_RANGE:
        return made->highest > 20 * made->lowest;
    default:
        return false;
    }
}

static void add_about(const preview *made, ls_text *text) {
    const ls_schedule *s = &made->schedule;
    ls_text_add(text, "%s, %lld epoch%s of %lld steps (%lld samples, batch %lld)",
                ls_schedule_name(s->kind), (long long)(s->steps / s->steps_per_epoch),
                s->steps > s->steps_per_epoch ? "s" : "", (long long)s->steps_per_epoch,
                (long long)made->samples, (long long)made->config->batch.size);
    if (s->warmup_steps > 0)
        ls_text_add(text, ", warm-up of %lld steps", (long long)s->warmup_steps);
}

static ls_status draw(const preview *made, const char *about, const char *output) {
    bool log_y = wants_log(made);
    const ls_plot_line lines[] = {{.label = "learning rate",
                                   .style = LS_PLOT_BOLD,
                                   .count = made->count,
                                   .x = made->x,
                                   .y = made->lr},
                                  {.label = "momentum",
                                   .style = LS_PLOT_BOLD,
                                   .right_axis = true,
                                   .count = made->count,
                                   .x = made->x,
                                   .y = made->momentum}};
    const ls_plot plot = {.title = "Schedule",
                          .subtitle = about,
                          .x_label = "step",
                          .y_label = made->relative ? "learning rate, relative" : "learning rate",
                          .right_label = "momentum",
                          .log_y = log_y,
                          .y_low = log_y ? made->lowest / 1.5 : 0,
                          .y_high = made->highest * (log_y ? 1.5 : 1.06),
                          .lines = lines,
                          .line_count = moves_momentum(made) ? 2 : 1};
    return output ? ls_plot_write(&plot, output) : ls_plot_show(&plot);
}

static void add_summary(const preview *made, ls_text *text) {
    const ls_schedule *s = &made->schedule;
    int64_t last = s->steps - 1;
    ls_text_add(text, "  learning rate%s\n", made->relative ? ", as a share of train.lr" : "");
    ls_text_add(text, "    first        %.6g\n", made->lr[0]);
    ls_text_add(text, "    highest      %.6g at step %lld, after %.3g epochs\n", made->highest,
                (long long)made->highest_step,
                (double)made->highest_step / (double)s->steps_per_epoch);
    ls_text_add(text, "    last         %.6g at step %lld\n", ls_schedule_lr(s, last),
                (long long)last);
    if (moves_momentum(made))
        ls_text_add(text, "  momentum       %.6g to %.6g\n", made->min_momentum,
                    made->max_momentum);
    else
        ls_text_add(text, "  momentum       %.6g\n", made->min_momentum);
}

static ls_status show(const preview *made, const char *output) {
    ls_text about = {0}, summary = {0};
    add_about(made, &about);
    ls_text_add(&summary, "%s\n", about.data ? about.data : "");
    add_summary(made, &summary);
    ls_status status = about.failed || summary.failed ? LS_ERR_SYSTEM : LS_OK;
    if (status == LS_OK)
        status = draw(made, about.data, output);
    if (status == LS_OK)
        ls_print("%s", summary.data);
    ls_text_free(&about);
    ls_text_free(&summary);
    return status;
}

/* ---- the command ---------------------------------------------------------------------------- */

static ls_status preview_config(const ls_config *config, const schedule_args *args) {
    preview made = {.config = config};
    double lr = config->train.lr;
    if (args->lr)
        LS_TRY(read_lr(args->lr, &lr));
    ls_status known = look_at_data(&made);
    if (args->samples) {
        ls_message_set("");
        known = read_samples(args->samples, &made.samples);
    }
    LS_TRY(known);
    if (config->data.validation > 0 && made.samples > 1)
        made.samples -= ls_held_out_count(made.samples, config->data.validation);
    LS_TRY(count_steps(&made));
    LS_TRY(make_schedule(&made, lr));
    ls_status status = sample(&made);
    if (status == LS_OK)
        status = show(&made, args->output);
    ls_free(made.x);
    ls_free(made.lr);
    ls_free(made.momentum);
    return status;
}

static ls_status run(ls_comm *comm, void *context) {
    const schedule_args *args = context;
    const char *file = args->operands.word[0];
    ls_config *config = NULL;
    ls_plot_format format;
    char *text;
    (void)comm;
    if (args->output)
        LS_TRY(ls_plot_format_of(args->output, &format));
    if (args->output)
        LS_TRY(ls_check_output(args->output, file));
    LS_TRY(ls_config_load(file, &text));
    ls_status status = ls_config_parse(file, text, args->sets.word, args->sets.count, &config);
    ls_free(text);
    if (status == LS_OK && args->output)
        status = ls_files_check_output(config->data.file.lines, args->output);
    if (status == LS_OK)
        status = preview_config(config, args);
    ls_config_free(config);
    return status;
}

static const ls_option options[] = {
    {"--output", "-o", LS_OPTION_TEXT, "PICTURE", "draw into this .svg, .png or .pdf file",
     offsetof(schedule_args, output)},
    {"--lr", NULL, LS_OPTION_TEXT, "X", "the learning rate (default: train.lr)",
     offsetof(schedule_args, lr)},
    {"--samples", NULL, LS_OPTION_TEXT, "N", "training samples (default: those of data.file)",
     offsetof(schedule_args, samples)},
    {"--set", "-s", LS_OPTION_LIST, "KEY=VALUE",
     "set a configuration key; repeatable, the last one counts", offsetof(schedule_args, sets)},
};

const ls_command ls_command_schedule = {
    .name = "schedule",
    .summary = "Draw learning rate and momentum over a run, before anything is run",
    .operands = "CONFIG [-o PICTURE.svg|.png|.pdf] [--lr X] [--samples N] [--set KEY=VALUE]...",
    .details =
        "What the section `schedule` of the configuration makes of train.lr, step by step.  "
        "Where\ntrain.lr is auto and no --lr is given, the learning rates are shares of it.  "
        "Without -o the\npicture is text, as wide as the terminal.  Needs gnuplot.\n",
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .args_size = sizeof(schedule_args),
    .parallel = false,
    .run = run,
};
