/* What the commands that run a network share: the configuration and the folder of the results. */
#include "cli/run.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

ls_status ls_run_share_text(ls_comm *comm, ls_status status, char **text) {
    uint64_t bytes = *text ? strlen(*text) + 1 : 0;
    LS_TRY(ls_comm_agree(comm, status));
    LS_TRY(ls_comm_broadcast(comm, &bytes, sizeof bytes, 0));
    if (ls_comm_rank(comm) != 0)
        status = LS_NEW(*text, (size_t)bytes);
    LS_TRY(ls_comm_agree(comm, status));
    return ls_comm_broadcast(comm, *text, (size_t)bytes, 0);
}

ls_status ls_run_config(ls_comm *comm, const ls_run_args *args, ls_config **config) {
    char *text = NULL;
    const char *file = args->operands.word[0];
    ls_status status = ls_comm_rank(comm) == 0 ? ls_config_load(file, &text) : LS_OK;
    status = ls_run_share_text(comm, status, &text);
    if (status == LS_OK)
        status = ls_config_parse(file, text, args->sets.word, args->sets.count, config);
    ls_free(text);
    return ls_comm_agree(comm, status);
}

ls_status ls_run_folder(ls_comm *comm, const char *folder) {
    ls_status status = LS_OK;
    if (ls_comm_rank(comm) == 0) {
        status = ls_make_folder(folder);
        if (status == LS_OK && access(folder, W_OK | X_OK) != 0)
            status =
                ls_fail(LS_ERR_INPUT, "cannot write to folder '%s': %s", folder, strerror(errno));
    }
    return ls_comm_agree(comm, status);
}

void ls_run_log_level(ls_comm *comm, const ls_run_args *args) {
    if (ls_comm_rank(comm) == 0 && (args->quiet || args->verbose))
        ls_log_set(args->quiet ? LS_LOG_QUIET : LS_LOG_VERBOSE);
}

ls_status ls_run_describe(ls_comm *comm, const ls_engine *engine) {
    const ls_net *net = ls_engine_net(engine);
    ls_text text = {0};
    ls_net_describe(net, &text);
    ls_status status = text.failed ? LS_ERR_SYSTEM : LS_OK;
    if (status == LS_OK)
        ls_log(LS_LOG_VERBOSE, "%s", text.data);
    ls_text_free(&text);
    return ls_comm_agree(comm, status);
}
