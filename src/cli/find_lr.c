/* `lockstep find-lr`: the LR range test of a configuration. */
#include <stdio.h>

#include "cli/progress.h"
#include "cli/run.h"
#include "lockstep/trace.h"

typedef struct ls_find_lr_args {
    ls_run_args run;
    const char *trace;
} ls_find_lr_args;

static void print_result(const ls_find_lr_result *result, const char *folder) {
    const ls_suggestion *recommended = &result->suggestions[LS_SUGGEST_RECOMMENDED];
    ls_print("%lld points; stopped: %s", (long long)result->points, ls_stop_name(result->stop));
    if (result->stop_step >= 0)
        ls_print(" at step %lld", (long long)result->stop_step);
    ls_print("%s%s\n", result->stop_detail[0] ? ": " : "", result->stop_detail);
    if (recommended->found)
        ls_print("recommended learning rate: %.3g\n", recommended->value);
    else
        ls_print("no learning rate can be recommended\n");
    if (recommended->reason[0])
        ls_print("  %s\n", recommended->reason);
    if (result->advice[0])
        ls_print("  %s\n", result->advice);
    ls_print("weights, momentum and statistics are %s\n",
             result->restored ? "as before the test" : "NOT as before the test");
    ls_print("wrote %s/find-lr.h5; see it with: lockstep plot %s/find-lr.h5\n", folder, folder);
}

/* The test, with a trace or without. */
static ls_status run_job(ls_engine *engine, const ls_find_lr_job *job, const char *file,
                         ls_find_lr_result *result) {
    ls_trace *trace = NULL;
    if (file)
        LS_TRY(ls_trace_begin(engine, file, LS_TRACE_SKIP, &trace));
    ls_status status = ls_find_lr(engine, job, result);
    if (status == LS_OK && trace)
        status = ls_trace_write(trace);
    ls_trace_free(trace);
    return status;
}

static ls_status run_test(ls_comm *comm, const void *context, const ls_config *config,
                          ls_engine *engine) {
    const ls_find_lr_args *args = context;
    const char *folder = args->run.folder ? args->run.folder : ".";
    ls_find_lr_result result;
    ls_run_notes notes;
    ls_progress progress;
    (void)config;
    LS_TRY(ls_run_notes_make(comm, &args->run, &notes));
    ls_progress_begin(&progress);
    ls_find_lr_job job = {.folder = folder,
                          .notes = notes.notes,
                          .note_count = notes.count,
                          .progress = ls_progress_find_lr,
                          .context = &progress};
    ls_status status = run_job(engine, &job, args->trace, &result);
    ls_progress_end(&progress);
    ls_run_notes_free(&notes);
    if (status == LS_OK && ls_comm_rank(comm) == 0)
        print_result(&result, folder);
    return status;
}

static ls_status run_find_lr(ls_comm *comm, void *context) {
    const ls_find_lr_args *args = context;
    return ls_run_in_folder(comm, args, args->trace, run_test);
}

static const ls_option options[] = {LS_RUN_OPTIONS, LS_TRACE_OPTION(ls_find_lr_args)};

const ls_command ls_command_find_lr = {
    .name = "find-lr",
    .summary = "Find the learning rate by a range test: raise it each step, watch the loss",
    .operands = "CONFIG [--out DIR] [--set KEY=VALUE]... [--trace FILE]",
    .details =
        "Over find_lr.steps the learning rate rises from find_lr.start to find_lr.end; the "
        "test stops\nwhen the smoothed loss passes find_lr.stop_factor times its best. The curve "
        "and what it\nsuggests are written to DIR/find-lr.h5; the model is left as it was. "
        "The result does not\ndepend on the number of ranks, only the time does.\n"
        "\n" LS_TRACE_HELP,
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .args_size = sizeof(ls_find_lr_args),
    .parallel = true,
    .run = run_find_lr,
};
