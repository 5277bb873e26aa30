/* `lockstep scale`: the time of a step on more and more ranks, measured and predicted. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/run.h"
#include "cli/scale_output.h"
#include "lockstep/noise.h"

typedef struct ls_scale_args {
    ls_run_args run;
    const char *ranks, *mode, *repeats, *steps;
    const char *base, *json, *csv, *extra_p;
    const char *target, *lr, *noise;
    bool join;
} ls_scale_args;

enum { REPEATS = 10 };

/* ---- options -------------------------------------------------------------------------------- */

/* 1, 2, 4, ... and all. */
static void choose_ranks(int most, ls_scale_job *job) {
    for (int ranks = 1; ranks < most; ranks *= 2)
        job->ranks[job->rank_count++] = ranks;
    job->ranks[job->rank_count++] = most;
}

static ls_status refuse_ranks(const char *text, int most) {
    return ls_fail(LS_ERR_INPUT,
                   "scale: --ranks is '%s', but must be at most %d rising numbers from 1 to %d, "
                   "the ranks that were started: 1,2,4",
                   text, LS_SCALE_LIMIT, most);
}

static ls_status read_ranks(const char *text, int most, ls_scale_job *job) {
    int before = 0;
    if (text == NULL) {
        choose_ranks(most, job);
        return LS_OK;
    }
    for (const char *at = text;; at++) {
        char *end;
        errno = 0;
        long value = strtol(at, &end, 10);
        if (end == at || errno != 0 || (*end != ',' && *end != '\0') || value <= before ||
            value > most || job->rank_count == LS_SCALE_LIMIT)
            return refuse_ranks(text, most);
        job->ranks[job->rank_count++] = before = (int)value;
        if (*end == '\0')
            return LS_OK;
        at = end;
    }
}

static ls_status refuse_mode(const char *text) {
    const char *names[LS_SCALE_MODES];
    for (int mode = 0; mode < LS_SCALE_MODES; mode++)
        names[mode] = ls_scale_mode_name((ls_scale_mode)mode);
    const char *nearest = ls_nearest(text, names, LS_SCALE_MODES);
    return ls_fail(LS_ERR_INPUT,
                   "scale: --mode is '%s', but must be strong, weak or strong,weak%s%s%s", text,
                   nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

static ls_status read_modes(const char *text, bool modes[LS_SCALE_MODES]) {
    for (const char *at = text ? text : "strong"; at;) {
        size_t length = strcspn(at, ",");
        int found = 0;
        for (int mode = 0; mode < LS_SCALE_MODES; mode++) {
            const char *name = ls_scale_mode_name((ls_scale_mode)mode);
            bool is = strlen(name) == length && strncmp(at, name, length) == 0;
            modes[mode] = modes[mode] || is;
            found += is;
        }
        if (found == 0)
            return refuse_mode(text);
        at = at[length] ? at + length + 1 : NULL;
    }
    return LS_OK;
}

/* As on the command line, accuracy=0.9, in the words of train.target. */
static ls_status read_target(const char *text, char **target) {
    ls_target found;
    if (text == NULL)
        return LS_OK;
    char *made = ls_strdup(text);
    if (made == NULL)
        return LS_ERR_SYSTEM;
    char *equals = strchr(made, '=');
    if (equals)
        *equals = ' ';
    *target = made;
    if (equals && ls_target_parse(made, &found))
        return LS_OK;
    return ls_fail(LS_ERR_INPUT,
                   "scale: --target is '%s', but must be a metric and a value: accuracy=0.9, "
                   "loss=0.25 or r2=0.8",
                   text);
}

static ls_status read_lr_rule(const char *text, ls_scale_lr_rule *rule) {
    const char *names[LS_SCALE_LR_RULES];
    for (int i = 0; i < LS_SCALE_LR_RULES; i++) {
        names[i] = ls_scale_lr_rule_name((ls_scale_lr_rule)i);
        if (text == NULL || strcmp(text, names[i]) == 0) {
            *rule = (ls_scale_lr_rule)i;
            return LS_OK;
        }
    }
    const char *nearest = ls_nearest(text, names, LS_SCALE_LR_RULES);
    return ls_fail(LS_ERR_INPUT,
                   "scale: --lr is '%s', but must be auto, linear, sqrt or fixed%s%s%s", text,
                   nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

/* That of the last window that has one: towards the end it is largest. */
static ls_status take_noise(const char *path, const ls_noise_study *study, double *scale) {
    size_t count = study->point_count;
    char number[LS_DIGITS_TEXT];
    while (count > 0 && isnan(study->points[count - 1].scale))
        count--;
    if (count == 0)
        return ls_fail(LS_ERR_INPUT,
                       "'%s': in all its steps the gradient is within its noise, and there is no "
                       "noise scale: run lockstep noise for more --steps, or with a larger batch",
                       path);
    const ls_noise_window *last = &study->points[count - 1];
    *scale = last->scale;
    ls_log(LS_LOG_NORMAL, "%s: noise scale %s, of steps %lld to %lld of %lld%s", path,
           ls_digits(*scale, number), (long long)last->first + 1,
           (long long)(last->first + last->count), (long long)study->rows,
           count < study->point_count ? "; later the gradient is within its noise" : "");
    return LS_OK;
}

static ls_status read_noise(const char *path, double *scale) {
    ls_noise_study study;
    if (path == NULL)
        return LS_OK;
    LS_TRY(ls_noise_read(path, &study));
    ls_status status = take_noise(path, &study, scale);
    ls_noise_study_free(&study);
    return status;
}

static ls_status read_training(ls_comm *comm, const ls_scale_args *args, ls_scale_job *job,
                               char **target) {
    bool first = ls_comm_rank(comm) == 0;
    if (args->target == NULL && (args->lr || args->noise))
        return ls_fail(LS_ERR_INPUT, "scale: %s is of trainings: it needs --target accuracy=0.9",
                       args->lr ? "--lr" : "--noise");
    LS_TRY(read_target(args->target, target));
    job->target = *target;
    LS_TRY(read_lr_rule(args->lr, &job->lr_rule));
    return ls_comm_agree(comm, first ? read_noise(args->noise, &job->noise_scale) : LS_OK);
}

static ls_status read_options(ls_comm *comm, const ls_scale_args *args, ls_scale_job *job) {
    const ls_command *command = &ls_command_scale;
    int64_t base = 0;
    job->repeats = REPEATS;
    LS_TRY(ls_command_count(command, "--repeats", args->repeats, &job->repeats));
    LS_TRY(ls_command_count(command, "--steps", args->steps, &job->steps));
    LS_TRY(ls_command_count(command, "--base", args->base, &base));
    LS_TRY(read_ranks(args->ranks, ls_comm_size(comm), job));
    if (base > job->ranks[0])
        return ls_fail(LS_ERR_INPUT,
                       "scale: --base is %lld, but must be at most the smallest size, %d",
                       (long long)base, job->ranks[0]);
    job->base = (int)base;
    LS_TRY(read_modes(args->mode, job->modes));
    if (args->extra_p && job->modes[LS_SCALE_STRONG] && job->modes[LS_SCALE_WEAK])
        return ls_fail(LS_ERR_INPUT, "scale: --extra-p is of one mode: what was measured stays, so "
                                     "say it again with --mode strong, and with --mode weak");
    return LS_OK;
}

/* ---- what is said meanwhile ----------------------------------------------------------------- */

static char *size_text(const ls_scale_size *size) {
    return ls_format("%s, %d rank%s on %d node%s", ls_scale_mode_name(size->mode), size->ranks,
                     size->ranks == 1 ? "" : "s", size->nodes, size->nodes == 1 ? "" : "s");
}

static void tell_before(void *context, const ls_scale_size *size,
                        const ls_scale_prediction *expected) {
    char step[LS_DIGITS_TEXT], low[LS_DIGITS_TEXT], high[LS_DIGITS_TEXT], *what = size_text(size);
    (void)context;
    if (what && isnan(expected->step))
        ls_log(LS_LOG_NORMAL, "%s: the first size, nothing to predict it from", what);
    else if (what)
        ls_log(LS_LOG_NORMAL, "%s: predicted %s ms a step, %s to %s", what,
               ls_digits(1e3 * expected->step, step), ls_digits(1e3 * expected->low, low),
               ls_digits(1e3 * expected->high, high));
    ls_free(what);
}

static void tell_after(void *context, const ls_scale_point *point) {
    char step[LS_DIGITS_TEXT], low[LS_DIGITS_TEXT], high[LS_DIGITS_TEXT];
    char *what = size_text(&point->size), *error = NULL;
    (void)context;
    if (!isnan(point->error))
        error = ls_format(", %.1f %% %s than predicted", 100 * fabs(point->error),
                          point->error > 0 ? "more" : "less");
    if (what)
        ls_log(LS_LOG_NORMAL, "%s: measured  %s ms a step, %s to %s%s", what,
               ls_digits(1e3 * point->step.median, step), ls_digits(1e3 * point->step.low, low),
               ls_digits(1e3 * point->step.high, high), error ? error : "");
    ls_free(what);
    ls_free(error);
}

static void tell_trained(void *context, const ls_scale_point *point) {
    const ls_scale_training *training = &point->training;
    char seconds[LS_DIGITS_TEXT], *what = size_text(&point->size);
    (void)context;
    if (what && training->reached == 1)
        ls_log(LS_LOG_NORMAL, "%s: reached it in %g epoch%s, %g steps of %.3g ms: %s s", what,
               training->epochs, training->epochs == 1 ? "" : "s", training->steps,
               1e3 * point->step.median, ls_digits(point->to_target, seconds));
    else if (what && training->steps == 0)
        ls_log(LS_LOG_NORMAL, "%s: diverged, and did not reach it", what);
    else if (what)
        ls_log(LS_LOG_NORMAL, "%s: did not reach it in %g epochs", what, training->epochs);
    ls_free(what);
}

/* ---- the command ---------------------------------------------------------------------------- */

/* Rank 0: before anything runs. */
static ls_status open_output(const ls_scale_args *args, const ls_config *config,
                             ls_scale_output *output) {
    for (int i = 0; i < LS_SCALE_FORMATS; i++)
        LS_TRY(ls_run_check_output(output->path[i], &args->run, config));
    return ls_scale_output_open(output);
}

static ls_status print_result(ls_scale_output *output, const ls_scale_study *study,
                              const char *path) {
    LS_TRY(ls_scale_output_write(output, study));
    ls_log(LS_LOG_NORMAL, "wrote %s; see it with: lockstep plot %s", path, path);
    return LS_OK;
}

static ls_status measure(ls_comm *comm, const ls_scale_args *args, ls_config *config,
                         ls_scale_job *job, ls_scale_output *output) {
    ls_run_notes notes;
    ls_scale_study study = {0};
    LS_TRY(ls_run_notes_make(comm, &args->run, &notes));
    job->notes = notes.notes;
    job->note_count = notes.count;
    job->before = tell_before;
    job->after = tell_after;
    job->trained = tell_trained;
    ls_status status = ls_comm_tell_layout(comm);
    if (status == LS_OK)
        status = ls_scale(comm, config, job, &study);
    ls_run_notes_free(&notes);
    if (status == LS_OK && ls_comm_rank(comm) == 0)
        status = print_result(output, &study, job->path);
    ls_scale_study_free(&study);
    return ls_comm_agree(comm, status);
}

static ls_status run_study(ls_comm *comm, const ls_scale_args *args, ls_scale_output *output,
                           ls_scale_job *job) {
    ls_config *config = NULL;
    ls_lock *lock = NULL;
    LS_TRY(ls_run_config(comm, &args->run, &config));
    ls_status status = ls_run_folder(comm, &args->run, config, NULL, &lock);
    if (status == LS_OK && ls_comm_rank(comm) == 0)
        status = open_output(args, config, output);
    status = ls_comm_agree(comm, status);
    if (status == LS_OK)
        status = measure(comm, args, config, job, output);
    ls_lock_free(lock);
    ls_config_free(config);
    return status;
}

/* Rank 0: of files, without measuring. */
static ls_status join_files(const ls_scale_args *args, ls_scale_output *output, const char *path) {
    const ls_words *files = &args->run.operands;
    ls_scale_study study;
    for (size_t i = 0; i < files->count; i++)
        for (int format = 0; format < LS_SCALE_FORMATS; format++)
            if (output->path[format])
                LS_TRY(ls_check_output(output->path[format], files->word[i]));
    LS_TRY(ls_make_folder(args->run.folder ? args->run.folder : "."));
    LS_TRY(ls_scale_output_open(output));
    LS_TRY(ls_scale_join(files->word, files->count, path));
    LS_TRY(ls_scale_read(path, &study));
    ls_status status = print_result(output, &study, path);
    ls_scale_study_free(&study);
    return status;
}

static ls_status check_join(const ls_scale_args *args) {
    const ls_words *operands = &args->run.operands;
    const char *measuring = args->target ? "--target" : args->noise ? "--noise" : NULL;
    if (!args->join && operands->count > 1)
        return ls_fail(LS_ERR_INPUT, "scale: unexpected '%s': files to put together need --join",
                       operands->word[1]);
    if (args->join && measuring)
        return ls_fail(LS_ERR_INPUT,
                       "scale: --join trains nothing: say %s to a job that trains, or go on with "
                       "the joined study",
                       measuring);
    return LS_OK;
}

static ls_status run_scale(ls_comm *comm, void *context) {
    const ls_scale_args *args = context;
    const ls_words *operands = &args->run.operands;
    ls_scale_job job = {.name = operands->word[0]};
    ls_scale_output output = {.path = {args->json, args->csv, args->extra_p}};
    ls_run_log_level(comm, &args->run);
    LS_TRY(check_join(args));
    LS_TRY(read_options(comm, args, &job));
    output.mode = job.modes[LS_SCALE_WEAK] ? LS_SCALE_WEAK : LS_SCALE_STRONG;
    job.folder = args->run.folder ? args->run.folder : ".";
    char *target = NULL, *path = ls_format("%s/scale.h5", job.folder);
    ls_status status = ls_comm_agree(comm, path ? LS_OK : LS_ERR_SYSTEM);
    job.path = path;
    if (status == LS_OK)
        status = read_training(comm, args, &job, &target);
    if (status == LS_OK && args->join)
        status =
            ls_comm_agree(comm, ls_comm_rank(comm) == 0 ? join_files(args, &output, path) : LS_OK);
    else if (status == LS_OK)
        status = run_study(comm, args, &output, &job);
    ls_scale_output_free(&output);
    ls_free(target);
    ls_free(path);
    return status;
}

static const ls_option options[] = {
    LS_RUN_OPTIONS,
    {"--ranks", NULL, LS_OPTION_TEXT, "N,N,...", "sizes to measure (default: 1,2,4,... and all)",
     offsetof(ls_scale_args, ranks)},
    {"--mode", NULL, LS_OPTION_TEXT, "MODES", "strong, weak or strong,weak (default: strong)",
     offsetof(ls_scale_args, mode)},
    {"--repeats", NULL, LS_OPTION_TEXT, "R", "repeats of each size (default: 10)",
     offsetof(ls_scale_args, repeats)},
    {"--steps", NULL, LS_OPTION_TEXT, "N",
     "steps of a repeat (default: about a second's of the first size)",
     offsetof(ls_scale_args, steps)},
    {"--base", NULL, LS_OPTION_TEXT, "N",
     "ranks that CONFIG's batch is for (default: the smallest size)",
     offsetof(ls_scale_args, base)},
    {"--target", NULL, LS_OPTION_TEXT, "METRIC=VALUE",
     "train to accuracy=0.9, loss=0.25, ..., and say the time to it",
     offsetof(ls_scale_args, target)},
    {"--lr", NULL, LS_OPTION_TEXT, "RULE",
     "of these trainings: auto, linear, sqrt or fixed (default: auto)",
     offsetof(ls_scale_args, lr)},
    {"--noise", NULL, LS_OPTION_TEXT, "NOISE.H5", "compare steps with this noise scale",
     offsetof(ls_scale_args, noise)},
    {"--join", NULL, LS_OPTION_FLAG, NULL, "put the files of several jobs together",
     offsetof(ls_scale_args, join)},
    {"--json", NULL, LS_OPTION_TEXT, "FILE", "write the results as JSON; -: instead of the table",
     offsetof(ls_scale_args, json)},
    {"--csv", NULL, LS_OPTION_TEXT, "FILE", "the same as CSV", offsetof(ls_scale_args, csv)},
    {"--extra-p", NULL, LS_OPTION_TEXT, "FILE", "the repeats of one mode, for Extra-P",
     offsetof(ls_scale_args, extra_p)},
};

const ls_command ls_command_scale = {
    .name = "scale",
    .summary = "Measure a step on 1, 2, 4, ... of the ranks, and predict each next size",
    .operands =
        "CONFIG [--out DIR] [--set KEY=VALUE]... [--ranks N,N,...]\n"
        "                     [--mode strong,weak] [--repeats R] [--steps N] [--json FILE|-]\n"
        "                     [--target METRIC=VALUE] [--lr RULE] [--noise NOISE.H5]\n"
        "                     [--base N] [--csv FILE|-] [--extra-p FILE|-]\n"
        "       lockstep scale --join SCALE.H5... [--out DIR] [--json FILE|-] ...",
    .details =
        "Each size runs on a part of the ranks, whole nodes first, while the others sleep: strong\n"
        "scaling with the batch of CONFIG at every size; weak scaling with that batch on the\n"
        "smallest size (--base), and batch and slices growing with the ranks. A repeat begins with "
        "the\n"
        "same weights: 3 steps to warm up, the steps that count, on full batches with a constant\n"
        "learning rate. Strong scaling has to give the same bits at every size, which is checked.\n"
        "\n"
        "The table has medians over the repeats, in ms. low, high: the nonparametric confidence\n"
        "interval of the median (of fewer than 6 repeats: all values). speed-up: samples/s\n"
        "against those of the smallest size, times its ranks. Of a step: compute (forward,\n"
        "backward), exchange (what backward could not hide), update and data are means over the\n"
        "ranks, imbalance is the slowest rank's work less the mean. predicted: from the smaller\n"
        "sizes, before this one ran; error: measured against predicted. lockstep/scale.h has the\n"
        "model and the formulas.\n"
        "\n"
        "--target accuracy=0.9 (loss=..., r2=...) also trains, for at most train.epochs, until "
        "the\n"
        "validation split, or the test split without one, is so good after an epoch, and says the\n"
        "time to it: steps times the median step. Strong scaling trains once, on the largest "
        "size,\n"
        "since all sizes take the same steps, as the digests show; weak scaling on each size, "
        "with\n"
        "its batch. --lr auto: a range test for each batch; linear, sqrt: train.lr times batch /\n"
        "that of CONFIG, or the root of it; fixed: as CONFIG says. --noise: a file of lockstep "
        "noise,\n"
        "for the steps that it lets expect, 1 + noise scale / batch times the least. Trainings "
        "are\n"
        "in DIR/train-strong, DIR/train-weak-N, and go on from their checkpoints.\n"
        "\n"
        "DIR/scale.h5 gets a row for each repeat once it is through. A study that was killed goes\n"
        "on where it was with the same command; with more repeats, larger sizes or the other mode\n"
        "only what is missing is measured; of a whole study everything is printed again.\n"
        "\n"
        "A job for each size, where one over the largest waits long: with the same --base and\n"
        "--steps, --ranks its size and a folder each. --join puts their files together, in\n"
        "DIR/scale.h5, predicts each size from the smaller ones, and prints the whole. --target\n"
        "is only for jobs that shall train: for strong scaling one of them.\n"
        "\n"
        "JSON, in s and bytes: config, version, isa, hosts, steps, warm_up_steps, points [{mode,\n"
        "ranks, nodes, batch, slices, crowd (threads for each core of a node, at least 1),\n"
        "exchange_bytes and buckets (of the gradients of a step), repeats, step_seconds {median,\n"
        "low, high, confidence}, phases {NAME: seconds}, exchange_alone_seconds (without "
        "compute),\n"
        "predicted_seconds {step, low, high}, error, speedup {median, low, high}, efficiency,\n"
        "same_bits (strong: as the first size; weak: in all repeats), training {reached (1; 0: "
        "not\n"
        "within train.epochs), steps, epochs, samples, learning_rate, seconds}}], target, "
        "lr_rule,\n"
        "noise_scale. CSV has the same columns,\n"
        "a line for each size. --extra-p writes the text input of Extra-P: times of the phases\n"
        "and the step, all repeats, over the parameter ranks.\n",
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .args_size = sizeof(ls_scale_args),
    .parallel = true,
    .run = run_scale,
};
