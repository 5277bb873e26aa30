/* Command lines and help pages, both made from a command's table of options. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"

enum { OPTION_LIMIT = 32 };

static const ls_option *find_option(const ls_command *command, const char *word, size_t length) {
    for (size_t i = 0; i < command->option_count; i++) {
        const ls_option *option = &command->options[i];
        if ((strlen(option->name) == length && strncmp(option->name, word, length) == 0) ||
            (option->brief && strlen(option->brief) == length &&
             strncmp(option->brief, word, length) == 0))
            return option;
    }
    return NULL;
}

static ls_status unknown_option(const ls_command *command, const char *word) {
    const char *names[OPTION_LIMIT];
    size_t count = 0;
    for (; count < command->option_count && count < OPTION_LIMIT; count++)
        names[count] = command->options[count].name;
    const char *nearest = ls_nearest(word, names, count);
    if (nearest)
        return ls_fail(LS_ERR_INPUT, "%s: unknown option '%s'; did you mean '%s'?", command->name,
                       word, nearest);
    return ls_fail(LS_ERR_INPUT, "%s: unknown option '%s'; see 'lockstep help %s'", command->name,
                   word, command->name);
}

static ls_status add_word(ls_words *words, size_t limit, const char *word) {
    if (words->word == NULL)
        LS_TRY(LS_NEW(words->word, limit));
    words->word[words->count++] = word;
    return LS_OK;
}

/* One option: "--name value", "--name=value", "-n value" or a flag.  *used counts the words taken.
 */
static ls_status take_option(const ls_command *command, int left, char **words, void *args,
                             int *used) {
    const char *word = words[0], *equals = strchr(word, '=');
    size_t length = equals ? (size_t)(equals - word) : strlen(word);
    const ls_option *option = find_option(command, word, length);
    if (option == NULL)
        return unknown_option(command, word);
    void *field = (char *)args + option->offset;
    *used = 1;
    if (option->kind == LS_OPTION_FLAG) {
        if (equals)
            return ls_fail(LS_ERR_INPUT, "%s: option '%s' takes no value", command->name,
                           option->name);
        *(bool *)field = true;
        return LS_OK;
    }
    const char *value = equals ? equals + 1 : left > 1 ? words[1] : NULL;
    if (value == NULL)
        return ls_fail(LS_ERR_INPUT, "%s: option '%s' needs a value: %s %s", command->name, word,
                       option->name, option->value);
    *used = equals ? 1 : 2;
    if (option->kind == LS_OPTION_LIST)
        return add_word(field, (size_t)left, value);
    *(const char **)field = value;
    return LS_OK;
}

static ls_status check_operands(const ls_command *command, const ls_words *operands) {
    if (operands->count < command->min_operands)
        return ls_fail(LS_ERR_INPUT, "%s: something is missing; usage: lockstep %s %s",
                       command->name, command->name, command->operands);
    if (operands->count > command->max_operands)
        return ls_fail(LS_ERR_INPUT, "%s: unexpected '%s'; usage: lockstep %s %s", command->name,
                       operands->word[command->max_operands], command->name, command->operands);
    return LS_OK;
}

ls_status ls_command_parse(const ls_command *command, int argc, char **argv, void *args) {
    ls_words *operands = args;
    bool options_end = false;
    for (int i = 0, used = 1; i < argc; i += used) {
        const char *word = argv[i];
        used = 1;
        if (!options_end && strcmp(word, "--") == 0)
            options_end = true;
        else if (!options_end && word[0] == '-' && word[1] != '\0')
            LS_TRY(take_option(command, argc - i, argv + i, args, &used));
        else
            LS_TRY(add_word(operands, (size_t)argc, word));
    }
    return check_operands(command, operands);
}

ls_status ls_command_count(const ls_command *command, const char *option, const char *text,
                           int64_t *count) {
    char *end;
    if (text == NULL)
        return LS_OK;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || value < 1)
        return ls_fail(LS_ERR_INPUT, "%s: %s is '%s', but must be a whole number of at least 1",
                       command->name, option, text);
    *count = value;
    return LS_OK;
}

void ls_command_args_free(const ls_command *command, void *args) {
    ls_free(((ls_words *)args)->word);
    for (size_t i = 0; i < command->option_count; i++)
        if (command->options[i].kind == LS_OPTION_LIST)
            ls_free(((ls_words *)((char *)args + command->options[i].offset))->word);
}

/* ---- help ----------------------------------------------------------------------------------- */

static void print_program_help(void) {
    ls_print(
        "lockstep trains neural networks by synchronous, data-parallel momentum SGD over MPI,\n"
        "and finds the learning rate first.\n\n"
        "usage: [mpirun -n RANKS] lockstep COMMAND ...\n\n");
    for (size_t i = 0; ls_commands[i]; i++)
        ls_print("  %-10s %s\n", ls_commands[i]->name, ls_commands[i]->summary);
    ls_print(
        "\n'lockstep help COMMAND' tells more; 'lockstep help config' lists the configuration's "
        "keys.\n\n"
        "exit codes: 0 done; 1 the system failed (memory, disk, MPI); 2 the input is wrong;\n"
        "            3 a loss or gradient is not a finite number; 4 a mistake of lockstep's own;\n"
        "            5 stopped as asked, with a checkpoint\n");
}

void ls_command_print_help(const ls_command *command) {
    if (command == NULL) {
        print_program_help();
        return;
    }
    ls_print("lockstep %s: %s\n\nusage: %slockstep %s %s\n", command->name, command->summary,
             command->parallel ? "[mpirun -n RANKS] " : "", command->name, command->operands);
    if (command->option_count > 0)
        ls_print("\n");
    for (size_t i = 0; i < command->option_count; i++) {
        const ls_option *option = &command->options[i];
        char left[64];
        snprintf(left, sizeof left, "%s%s%s%s%s", option->brief ? option->brief : "",
                 option->brief ? ", " : "", option->name, option->value ? " " : "",
                 option->value ? option->value : "");
        ls_print("  %-26s %s\n", left, option->help);
    }
    if (command->details)
        ls_print("\n%s", command->details);
}
