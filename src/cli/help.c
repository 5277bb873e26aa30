/* `lockstep help`: the program, a command, or the configuration's keys. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "lockstep/config.h"

typedef struct ls_help_args {
    ls_words operands;
} ls_help_args;

static ls_status print_config_page(void (*write)(ls_text *text)) {
    ls_text text = {0};
    write(&text);
    ls_status status = text.failed ? LS_ERR_SYSTEM : LS_OK;
    if (status == LS_OK)
        ls_print("%s", text.data);
    ls_text_free(&text);
    return status;
}

static ls_status run_help(ls_comm *comm, void *args) {
    const ls_words *operands = args;
    (void)comm;
    if (operands->count == 0) {
        ls_command_print_help(NULL);
        return LS_OK;
    }
    const char *topic = operands->word[0], *names[32];
    if (strcmp(topic, "config") == 0)
        return print_config_page(ls_config_help);
    if (strcmp(topic, "reference") == 0)
        return print_config_page(ls_config_reference);
    size_t count = 0;
    for (; ls_commands[count]; count++) {
        names[count] = ls_commands[count]->name;
        if (strcmp(topic, names[count]) == 0) {
            ls_command_print_help(ls_commands[count]);
            return LS_OK;
        }
    }
    names[count++] = "config";
    names[count++] = "reference";
    const char *nearest = ls_nearest(topic, names, count);
    return ls_fail(LS_ERR_INPUT, "help: no topic '%s'%s%s%s", topic,
                   nearest ? "; did you mean '" : "; 'lockstep help' lists them",
                   nearest ? nearest : "", nearest ? "'?" : "");
}

const ls_command ls_command_help = {
    .name = "help",
    .summary = "Explain a command, or the configuration",
    .operands = "[COMMAND | config | reference]",
    .details = "  config     every key of the configuration file, with default, range and unit\n"
               "  reference  the same as a YAML file, to start your own from\n",
    .max_operands = 1,
    .args_size = sizeof(ls_help_args),
    .run = run_help,
};
