/* cli: what a command of the program is: its name, its options as one table that makes both the
 * parsing and the help page, and the function that runs it. */
#ifndef LOCKSTEP_CLI_COMMAND_H
#define LOCKSTEP_CLI_COMMAND_H

#include "lockstep/base.h"
#include "lockstep/comm.h"

/* Words in the order given. */
typedef struct ls_words {
    const char **word;
    size_t count;
} ls_words;

typedef enum ls_option_kind {
    LS_OPTION_FLAG, /* bool */
    LS_OPTION_TEXT, /* const char *: the last one given counts */
    LS_OPTION_LIST  /* ls_words: repeatable */
} ls_option_kind;

typedef struct ls_option {
    const char *name;  /* "--out" */
    const char *brief; /* "-o", or NULL */
    ls_option_kind kind;
    const char *value; /* "DIR", for the help page; NULL for a flag */
    const char *help;  /* one line */
    size_t offset;     /* of its field in the command's argument struct */
} ls_option;

typedef struct ls_command {
    const char *name, *summary;
    const char *operands; /* "CONFIG [--out DIR]" as the usage line shows it */
    const char *details;  /* paragraphs of the help page, NULL for none */
    size_t min_operands, max_operands;
    const ls_option *options;
    size_t option_count;
    size_t args_size; /* the argument struct; its first field is ls_words operands */
    bool parallel;    /* needs MPI; otherwise comm is NULL */
    ls_status (*run)(ls_comm *comm, void *args);
} ls_command;

/* One file each: src/cli/<name>.c */
extern const ls_command ls_command_find_lr, ls_command_train, ls_command_eval, ls_command_predict,
    ls_command_bench, ls_command_scale, ls_command_noise, ls_command_suggest, ls_command_plot,
    ls_command_info, ls_command_convert, ls_command_schedule, ls_command_help;

/* All of them, in the order of the help page; NULL at the end. */
extern const ls_command *const ls_commands[];

/* Fills the argument struct.  LS_ERR_INPUT names an unknown option and the nearest one. */
ls_status ls_command_parse(const ls_command *command, int argc, char **argv, void *args);
void ls_command_args_free(const ls_command *command, void *args);
/* The value of `option` as a count of at least 1; *count keeps what it is where text is NULL.
 * LS_ERR_INPUT otherwise. */
ls_status ls_command_count(const ls_command *command, const char *option, const char *text,
                           int64_t *count);
/* Prints the help page of one command, or of the program when NULL. */
void ls_command_print_help(const ls_command *command);

/* ---- screen.c ------------------------------------------------------------------------------- */

/* printf to standard output, for results; harmless as ls_log. */
void ls_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* An ls_log_function: to standard error, warnings with "lockstep: warning: " before them. */
void ls_show_message(void *context, ls_log_level level, const char *line);

#endif
