/* cli: what the commands that run a network share: their options, the configuration, the
 * provenance. */
#ifndef LOCKSTEP_CLI_RUN_H
#define LOCKSTEP_CLI_RUN_H

#include "cli/command.h"
#include "lockstep/config.h"
#include "lockstep/data.h"
#include "lockstep/train.h"

/* The argument struct of such a command. */
typedef struct ls_run_args {
    ls_words operands; /* CONFIG */
    const char *folder;
    ls_words sets;
    bool quiet, verbose;
} ls_run_args;

#define LS_RUN_SET_OPTION                                                                          \
    {                                                                                              \
        "--set", "-s", LS_OPTION_LIST, "KEY=VALUE",                                                \
            "set a configuration key; repeatable, the last one counts",                            \
            offsetof(ls_run_args, sets)                                                            \
    }

#define LS_RUN_LOG_OPTIONS                                                                         \
    {"--quiet", "-q", LS_OPTION_FLAG, NULL, "results only", offsetof(ls_run_args, quiet)}, {       \
        "--verbose", "-v", LS_OPTION_FLAG, NULL, "also the network and the set-up",                \
            offsetof(ls_run_args, verbose)                                                         \
    }

#define LS_RUN_OPTIONS                                                                             \
    {"--out",                                                                                      \
     "-o",                                                                                         \
     LS_OPTION_TEXT,                                                                               \
     "DIR",                                                                                        \
     "folder for the results (default: here)",                                                     \
     offsetof(ls_run_args, folder)},                                                               \
        LS_RUN_SET_OPTION, LS_RUN_LOG_OPTIONS

/* A field `const char *trace` of the argument struct. */
#define LS_TRACE_OPTION(args)                                                                      \
    {                                                                                              \
        "--trace", NULL, LS_OPTION_TEXT, "FILE", "write what all ranks did in a few steps",        \
            offsetof(args, trace)                                                                  \
    }

#define LS_TRACE_HELP                                                                              \
    "--trace FILE writes what every rank did when, in Chrome's trace format, which\n"              \
    "ui.perfetto.dev and chrome://tracing draw: phases, layers, waits, and the buckets of the\n"   \
    "exchange from final to summed, in 5 steps after the first few. Times are rank 0's: the\n"     \
    "ranks of a host have one clock; those of others are shifted by an offset measured over "      \
    "MPI.\n"

/* Collective.  Rank 0 has got *text, or failed to; then every rank has it.  Free with ls_free, also
 * after a failure. */
ls_status ls_run_share_text(ls_comm *comm, ls_status status, char **text);

/* Collective.  Rank 0 reads the file, every rank parses the same text. */
ls_status ls_run_config(ls_comm *comm, const ls_run_args *args, ls_config **config);

/* --quiet and --verbose; ranks other than 0 stay quiet. */
void ls_run_log_level(ls_comm *comm, const ls_run_args *args);

/* Collective.  The shape of the samples; the table of layers with --verbose. */
ls_status ls_run_describe(ls_comm *comm, const ls_engine *engine);

/* Not collective.  LS_ERR_INPUT when `output`, unless NULL, is the configuration's file, the data's
 * or that of the weights to start from. */
ls_status ls_run_check_output(const char *output, const ls_run_args *args, const ls_config *config);

/* Collective.  Makes the folder args->folder (NULL: here), checks that files can be made in it and
 * that neither those nor `trace` (may be NULL) would overwrite what is read, and on rank 0 takes it
 * for this run: *lock, to be freed with ls_lock_free at its end. */
ls_status ls_run_folder(ls_comm *comm, const ls_run_args *args, const ls_config *config,
                        const char *trace, ls_lock **lock);

/* What a command does with its engine, in its folder; `args`: its own. */
typedef ls_status ls_run_work(ls_comm *comm, const void *args, const ls_config *config,
                              ls_engine *engine);
/* Collective.  From the arguments `args`, which begin with an ls_run_args, to the work and back:
 * configuration, engine, folder. */
ls_status ls_run_in_folder(ls_comm *comm, const void *args, const char *trace, ls_run_work *work);

/* Collective.  Who runs what, where, built how.  Free with ls_run_notes_free. */
typedef struct ls_run_notes {
    ls_note *notes;
    size_t count;
} ls_run_notes;

ls_status ls_run_notes_make(ls_comm *comm, const ls_run_args *args, ls_run_notes *notes);
void ls_run_notes_free(ls_run_notes *notes);

#endif
