/* `lockstep train`: from a configuration to a trained, evaluated, checkpointed model. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/progress.h"
#include "cli/run.h"
#include "lockstep/trace.h"

typedef struct ls_train_args {
    ls_run_args run;
    bool resume, allow_changes;
    const char *trace;
} ls_train_args;

#define PATIENCE 5.0 /* s in which a repeated signal is taken as part of the first */

static volatile sig_atomic_t signal_received;

/* What rank 0 says when a signal comes: mpirun sends one too when another rank has died, and
 * then there is no next step to stop after.  Written ahead, as a signal handler may do little:
 * two texts, of which one is whole. */
static char notices[2][4096];
static volatile sig_atomic_t notice;

static void take_signal(int number) {
    const char *text = notices[notice];
    int before = errno;
    signal_received = number;
    if (text[0] != '\0' && write(STDERR_FILENO, text, strlen(text)) < 0)
        signal_received = number; /* nothing else can be done */
    errno = before;
}

static void prepare_notice(const char *command, int64_t checkpoint) {
    int next = !notice;
    char saved[64] = "no checkpoint yet";
    if (checkpoint >= 0)
        snprintf(saved, sizeof saved, "newest checkpoint: checkpoint-%lld.h5",
                 (long long)checkpoint);
    snprintf(
        notices[next], sizeof notices[next],
        "lockstep: asked to stop, by the user or because a rank has died; %s; go on with: %s\n",
        saved, command);
    notice = next;
}

typedef struct ls_train_show {
    ls_progress line;
    const char *command; /* that goes on */
    int64_t noticed;
} ls_train_show;

static void show(void *context, const ls_train_progress *now) {
    ls_train_show *shown = context;
    if (now->checkpoint != shown->noticed)
        prepare_notice(shown->command, now->checkpoint);
    shown->noticed = now->checkpoint;
    ls_progress_train(&shown->line, now);
}

static bool interrupted(void) {
    return signal_received != 0;
}

/* The first signal asks; another of the same kind ends at once, unless it comes with the first. */
static ls_status catch_signals(void) {
    LS_TRY(ls_signal_catch(SIGTERM, PATIENCE, take_signal));
    LS_TRY(ls_signal_catch(SIGINT, PATIENCE, take_signal));
    return ls_signal_catch(SIGUSR1, PATIENCE, take_signal);
}

/* "test loss 0.4, accuracy 85.00 %", and of the split that judges the best of the run. */
static void print_score(const ls_train_result *result, ls_split split, bool judges) {
    const ls_score *score = &result->score[split];
    const bool classes = !isnan(score->accuracy);
    if (isnan(score->loss))
        return;
    ls_print("%s loss %.4f, ", ls_split_name(split), score->loss);
    if (classes)
        ls_print("accuracy %.2f %%", 100 * score->accuracy);
    else
        ls_print("R2 %.4f", score->r2);
    if (judges && classes)
        ls_print(" (best %.2f %%, epoch %lld)", 100 * result->best, (long long)result->best_epoch);
    else if (judges)
        ls_print(" (best loss %.4f, epoch %lld)", result->best, (long long)result->best_epoch);
    ls_print("\n");
}

static void print_end(const ls_train_result *result, const char *command) {
    if (!ls_train_end_is_final(result->end))
        ls_print("stopped (%s); go on with: %s\n", ls_train_end_name(result->end), command);
    else if (result->end == LS_TRAIN_TARGET)
        ls_print("ended early: train.target is reached\n");
    else if (result->end == LS_TRAIN_NO_PROGRESS)
        ls_print("ended early: no progress in train.stop_after epochs\n");
}

static void print_slowest(const ls_slowest *slowest) {
    if (slowest->mean > 0)
        ls_log(LS_LOG_VERBOSE,
               "slowest: rank %d on %s, %.3g ms of a step in data, forward and backward; mean %.3g",
               slowest->rank, slowest->host, 1e3 * slowest->seconds, 1e3 * slowest->mean);
}

static void print_result(const ls_train_result *result, const char *folder, const char *command) {
    ls_print("%lld steps; learning rate %.3g\n", (long long)result->steps, result->lr);
    const bool validated = !isnan(result->score[LS_SPLIT_VALIDATION].loss);
    print_score(result, LS_SPLIT_VALIDATION, true);
    print_score(result, LS_SPLIT_TEST, !validated);
    ls_print("digest %s\n", result->digest);
    print_slowest(&result->slowest);
    ls_print("wrote %s/train.h5, %s/checkpoint-%lld.h5\n", folder, folder,
             (long long)result->steps);
    print_end(result, command);
}

/* A word as a shell reads it. */
static void add_word(ls_text *text, const char *word) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-+=.,:/@%";
    if (*word && strspn(word, plain) == strlen(word)) {
        ls_text_add(text, " %s", word);
        return;
    }
    ls_text_add(text, " '");
    for (; *word; word++)
        if (*word == '\'')
            ls_text_add(text, "'\\''");
        else
            ls_text_add(text, "%c", *word);
    ls_text_add(text, "'");
}

/* The command that goes on with this run. */
static ls_status resume_command(const ls_run_args *args, const char *folder, ls_text *text) {
    ls_text_add(text, "lockstep train");
    add_word(text, args->operands.word[0]);
    ls_text_add(text, " --out");
    add_word(text, folder);
    for (size_t i = 0; i < args->sets.count; i++) {
        ls_text_add(text, " --set");
        add_word(text, args->sets.word[i]);
    }
    ls_text_add(text, " --resume");
    return text->failed ? LS_ERR_SYSTEM : LS_OK;
}

/* Trains, with a trace or without. */
static ls_status run_job(ls_engine *engine, const ls_train_job *job, const char *file,
                         ls_train_result *result) {
    ls_trace *trace = NULL;
    if (file)
        LS_TRY(ls_trace_begin(engine, file, LS_TRACE_SKIP, &trace));
    ls_status status = ls_train(engine, job, result);
    if (status == LS_OK && trace)
        status = ls_trace_write(trace);
    ls_trace_free(trace);
    return status;
}

static ls_status train_in(ls_comm *comm, const ls_train_args *args, const char *folder,
                          const char *command, ls_engine *engine) {
    ls_run_notes notes;
    ls_train_show shown = {.command = command, .noticed = -2};
    ls_train_result result;
    LS_TRY(ls_run_notes_make(comm, &args->run, &notes));
    ls_progress_begin(&shown.line);
    if (ls_comm_rank(comm) == 0 && !args->resume)
        prepare_notice(command, -1);
    ls_train_job job = {.folder = folder,
                        .resume = args->resume,
                        .allow_changes = args->allow_changes,
                        .notes = notes.notes,
                        .note_count = notes.count,
                        .interrupted = interrupted,
                        .progress = show,
                        .context = &shown};
    ls_status status = run_job(engine, &job, args->trace, &result);
    ls_progress_end(&shown.line);
    notices[notice][0] = '\0'; /* from here on there is nothing to go on with, or another message */
    ls_run_notes_free(&notes);
    if (status == LS_OK && ls_comm_rank(comm) == 0)
        print_result(&result, folder, command);
    if (status == LS_OK && !ls_train_end_is_final(result.end))
        return ls_fail(LS_STOPPED, "stopped as asked (%s) after step %lld",
                       ls_train_end_name(result.end), (long long)result.steps);
    return status;
}

static ls_status train(ls_comm *comm, const void *context, const ls_config *config,
                       ls_engine *engine) {
    const ls_train_args *args = context;
    const char *folder = args->run.folder ? args->run.folder : ".";
    ls_text command = {0};
    (void)config;
    ls_status status = ls_comm_agree(comm, resume_command(&args->run, folder, &command));
    if (status == LS_OK)
        status = train_in(comm, args, folder, command.data, engine);
    ls_text_free(&command);
    return status;
}

static ls_status run_train(ls_comm *comm, void *context) {
    const ls_train_args *args = context;
    LS_TRY(ls_comm_agree(comm, catch_signals()));
    return ls_run_in_folder(comm, args, args->trace, train);
}

static const ls_option options[] = {
    LS_RUN_OPTIONS,
    LS_TRACE_OPTION(ls_train_args),
    {"--resume", "-r", LS_OPTION_FLAG, NULL, "go on from the newest valid checkpoint in DIR",
     offsetof(ls_train_args, resume)},
    {"--allow-changes", NULL, LS_OPTION_FLAG, NULL,
     "with --resume: also as another run, of other data, keys or layers' settings",
     offsetof(ls_train_args, allow_changes)},
};

const ls_command ls_command_train = {
    .name = "train",
    .summary = "Train a network, finding the learning rate first where it is auto",
    .operands = "CONFIG [--out DIR] [--set KEY=VALUE]... [--resume [--allow-changes]]\n"
                "                     [--trace FILE]",
    .details =
        "Writes DIR/train.h5 (the curves), DIR/checkpoint-STEP.h5 and DIR/best.h5. SIGTERM, "
        "SIGINT,\n"
        "SIGUSR1, a file DIR/stop or train.max_minutes end the run at a step boundary with a\n"
        "checkpoint and exit code 5; --resume goes on from there, on any number of ranks, to the\n"
        "same bits. Model, data, optimizer, augmentation and batch must be those of before; "
        "epochs,\n"
        "learning rate and schedule may change.\n"
        "\n" LS_TRACE_HELP "With train.lr auto they are steps of the range test.\n",
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .args_size = sizeof(ls_train_args),
    .parallel = true,
    .run = run_train,
};
