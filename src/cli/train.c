/* `lockstep train`: from a configuration to a trained, evaluated, checkpointed model. */
#include <math.h>
#include <signal.h>
#include <stdio.h>

#include "cli/progress.h"
#include "cli/run.h"

typedef struct ls_train_args {
    ls_run_args run;
    bool resume;
} ls_train_args;

static volatile sig_atomic_t signal_received;

static void take_signal(int number) {
    signal_received = number;
}

static bool interrupted(void) {
    return signal_received != 0;
}

/* The first signal asks; a second one of the same kind ends at once. */
static void catch_signals(void) {
    const int signals[] = {SIGTERM, SIGINT, SIGUSR1};
    struct sigaction action = {.sa_handler = take_signal, .sa_flags = (int)SA_RESETHAND};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &action, NULL);
}

static void print_result(const ls_train_result *result, const ls_train_args *args,
                         const char *folder) {
    printf("%lld steps; learning rate %.3g\n", (long long)result->steps, result->lr);
    if (!isnan(result->test_loss))
        printf("test loss %.4f, accuracy %.2f %% (best %.4f)\n", result->test_loss,
               100 * result->test_accuracy, result->best);
    printf("digest %s\n", result->digest);
    printf("wrote %s/train.h5, %s/checkpoint-%lld.h5\n", folder, folder, (long long)result->steps);
    if (result->end != LS_TRAIN_DONE)
        printf("stopped (%s); go on with: lockstep train %s --out %s --resume\n",
               ls_train_end_name(result->end), args->run.operands.word[0], folder);
}

static ls_status train(ls_comm *comm, const ls_train_args *args, ls_engine *engine) {
    const char *folder = args->run.folder ? args->run.folder : ".";
    ls_run_notes notes;
    ls_progress progress;
    ls_train_result result;
    LS_TRY(ls_run_describe(comm, engine));
    LS_TRY(ls_run_folder(comm, folder));
    LS_TRY(ls_run_notes_make(comm, &args->run, &notes));
    ls_progress_begin(&progress);
    ls_train_job job = {.folder = folder,
                        .resume = args->resume,
                        .notes = notes.notes,
                        .note_count = notes.count,
                        .interrupted = interrupted,
                        .progress = ls_progress_train,
                        .context = &progress};
    ls_status status = ls_train(engine, &job, &result);
    ls_progress_end(&progress);
    ls_run_notes_free(&notes);
    if (status == LS_OK && ls_comm_rank(comm) == 0)
        print_result(&result, args, folder);
    if (status == LS_OK && result.end != LS_TRAIN_DONE)
        return ls_fail(LS_STOPPED, "stopped as asked (%s) after step %lld",
                       ls_train_end_name(result.end), (long long)result.steps);
    return status;
}

static ls_status run_train(ls_comm *comm, void *context) {
    const ls_train_args *args = context;
    ls_config *config = NULL;
    ls_engine *engine = NULL;
    ls_run_log_level(comm, &args->run);
    catch_signals();
    LS_TRY(ls_run_config(comm, &args->run, &config));
    ls_status status = ls_engine_create(comm, config, args->run.operands.word[0], true, &engine);
    if (status == LS_OK)
        status = train(comm, args, engine);
    ls_engine_free(engine);
    ls_config_free(config);
    return status;
}

static const ls_option options[] = {
    LS_RUN_OPTIONS,
    {"--resume", "-r", LS_OPTION_FLAG, NULL, "go on from the newest valid checkpoint in DIR",
     offsetof(ls_train_args, resume)},
};

const ls_command ls_command_train = {
    .name = "train",
    .summary = "Train a network, finding the learning rate first where it is auto",
    .operands = "CONFIG [--out DIR] [--set KEY=VALUE]... [--resume]",
    .details =
        "Writes DIR/train.h5 (the curves), DIR/checkpoint-STEP.h5 and DIR/best.h5. SIGTERM, "
        "SIGINT,\n"
        "SIGUSR1, a file DIR/stop or train.max_minutes end the run at a step boundary with a\n"
        "checkpoint and exit code 5; --resume goes on from there, on any number of ranks, to the\n"
        "same bits.\n",
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .args_size = sizeof(ls_train_args),
    .parallel = true,
    .run = run_train,
};
