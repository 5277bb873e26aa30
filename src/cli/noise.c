/* `lockstep noise`: how large a batch, and how many ranks, save steps. */
#include "cli/noise.h"

#include <string.h>

#include "cli/progress.h"
#include "cli/run.h"

typedef struct ls_noise_args {
    ls_run_args run;
    const char *steps, *json;
} ls_noise_args;

static bool is_file(const char *json) {
    return json && strcmp(json, "-") != 0;
}

/* Rank 0: begun before the run: nothing has to run to find out that it cannot be written. */
static ls_status open_json(const ls_noise_args *args, const ls_config *config,
                           ls_text_file **file) {
    if (!is_file(args->json))
        return LS_OK;
    LS_TRY(ls_run_check_output(args->json, &args->run, config));
    return ls_text_file_create(args->json, file);
}

static ls_status write_json(const ls_noise_study *study, ls_text_file *file) {
    ls_text text = {0};
    ls_noise_json(study, &text);
    ls_status status = text.failed ? LS_ERR_SYSTEM : LS_OK;
    if (status == LS_OK)
        status = ls_text_file_add(file, text.data, text.length);
    if (status == LS_OK)
        status = ls_text_file_finish(file);
    ls_text_free(&text);
    return status;
}

static ls_status print_study(const ls_noise_args *args, const ls_noise_study *study,
                             const char *path) {
    ls_text text = {0};
    if (args->json && !is_file(args->json)) {
        ls_noise_json(study, &text);
    } else {
        ls_noise_table(study, &text);
        ls_text_add(&text, "wrote %s; see it with: lockstep plot %s\n", path, path);
    }
    ls_status status = text.failed ? LS_ERR_SYSTEM : LS_OK;
    if (status == LS_OK)
        ls_print("%s", text.data);
    ls_text_free(&text);
    return status;
}

/* Rank 0. */
static ls_status report(const ls_noise_args *args, const char *path, ls_text_file *json) {
    ls_noise_study study;
    LS_TRY(ls_noise_read(path, &study));
    ls_status status = json ? write_json(&study, json) : LS_OK;
    if (status == LS_OK)
        status = print_study(args, &study, path);
    ls_noise_study_free(&study);
    return status;
}

static ls_status measure(ls_comm *comm, const ls_noise_args *args, ls_engine *engine,
                         const char *path, ls_text_file *json) {
    ls_run_notes notes;
    ls_progress progress;
    int64_t steps = 0;
    LS_TRY(ls_command_count(&ls_command_noise, "--steps", args->steps, &steps));
    LS_TRY(ls_run_notes_make(comm, &args->run, &notes));
    ls_progress_begin(&progress);
    const ls_noise_job job = {.path = path,
                              .folder = args->run.folder ? args->run.folder : ".",
                              .steps = steps,
                              .notes = notes.notes,
                              .note_count = notes.count,
                              .progress = ls_progress_find_lr,
                              .context = &progress};
    ls_status status = ls_noise(engine, &job);
    ls_progress_end(&progress);
    ls_run_notes_free(&notes);
    if (status == LS_OK && ls_comm_rank(comm) == 0)
        status = report(args, path, json);
    return ls_comm_agree(comm, status);
}

static ls_status run_study(ls_comm *comm, const void *context, const ls_config *config,
                           ls_engine *engine) {
    const ls_noise_args *args = context;
    ls_text_file *json = NULL;
    char *path = ls_format("%s/noise.h5", args->run.folder ? args->run.folder : ".");
    ls_status status = path ? LS_OK : LS_ERR_SYSTEM;
    if (status == LS_OK && ls_comm_rank(comm) == 0)
        status = open_json(args, config, &json);
    status = ls_comm_agree(comm, status);
    if (status == LS_OK)
        status = measure(comm, args, engine, path, json);
    ls_text_file_free(json);
    ls_free(path);
    return status;
}

static ls_status run_noise(ls_comm *comm, void *context) {
    return ls_run_in_folder(comm, context, NULL, run_study);
}

static const ls_option options[] = {
    LS_RUN_OPTIONS,
    {"--steps", NULL, LS_OPTION_TEXT, "N", "stop after N steps (default: the whole training)",
     offsetof(ls_noise_args, steps)},
    {"--json", NULL, LS_OPTION_TEXT, "FILE", "write the results as JSON; -: instead of the table",
     offsetof(ls_noise_args, json)},
};

const ls_command ls_command_noise = {
    .name = "noise",
    .summary = "Measure the gradient noise scale: up to what batch more ranks save steps",
    .operands = "CONFIG [--out DIR] [--set KEY=VALUE]... [--steps N]\n"
                "                     [--json FILE|-]",
    .details =
        "Trains as `train` would, to the same bits, and compares in each step the gradients of\n"
        "the slices with that of the batch: |G|^2, the gradient's squared norm over all samples,\n"
        "and tr(C), the variance of single samples' gradients, both unbiased. B_noise = tr(C) /\n"
        "|G|^2 (McCandlish et al. 2018) is taken over windows of a tenth of the run; +- is its\n"
        "standard error (jackknife over 10 groups of a window's steps). With the best learning\n"
        "rate for each, batches of B samples take 1 + B_noise/B times the least steps and\n"
        "1 + B/B_noise times the least samples. It grows as the loss falls. Measured where\n"
        "gradients become integers: needs 2 slices or more, and has the same bits on any number\n"
        "of ranks.\n"
        "\n"
        "DIR/noise.h5 has a row for each step, and `lockstep plot` draws it.\n"
        "\n"
        "JSON: config, version, isa, batch, slices, learning_rate, steps, points [{part (start,\n"
        "middle, end), first_step, steps (of the window), noise_scale, error, at_least (two\n"
        "standard errors of |G|^2 below), gradient_square, gradient_trace, steps_factor,\n"
        "samples_factor (1 + B_noise/B, 1 + B/B_noise, at this batch)}].  null: the gradient is\n"
        "within its noise; the table then says what B_noise is above.\n",
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .args_size = sizeof(ls_noise_args),
    .parallel = true,
    .run = run_noise,
};
