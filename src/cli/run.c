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

ls_status ls_run_check_output(const char *output, const ls_run_args *args,
                              const ls_config *config) {
    if (output == NULL)
        return LS_OK;
    LS_TRY(ls_check_output(output, args->operands.word[0]));
    LS_TRY(ls_files_check_output(config->data.file.lines, output));
    LS_TRY(ls_files_check_output(config->data.test_file.lines, output));
    LS_TRY(ls_files_check_output(config->data.validation_file.lines, output));
    return ls_check_output(output, config->init);
}

/* What a run writes, but for checkpoints, of which there are none yet where a run begins. */
static ls_status check_outputs(const char *folder, const ls_run_args *args,
                               const ls_config *config) {
    static const char *const names[] = {"find-lr.h5", "train.h5", "best.h5", "scale.h5",
                                        "noise.h5"};
    ls_status status = LS_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && status == LS_OK; i++) {
        char *path = ls_format("%s/%s", folder, names[i]);
        status = path ? ls_run_check_output(path, args, config) : LS_ERR_SYSTEM;
        ls_free(path);
    }
    return status;
}

static ls_status take_folder(const ls_run_args *args, const ls_config *config, const char *trace,
                             ls_lock **lock) {
    const char *folder = args->folder ? args->folder : ".";
    LS_TRY(ls_make_folder(folder));
    if (access(folder, W_OK | X_OK) != 0)
        return ls_fail(LS_ERR_INPUT, "cannot write to folder '%s': %s", folder, strerror(errno));
    LS_TRY(check_outputs(folder, args, config));
    LS_TRY(ls_run_check_output(trace, args, config));
    return ls_lock_take(folder, lock);
}

ls_status ls_run_folder(ls_comm *comm, const ls_run_args *args, const ls_config *config,
                        const char *trace, ls_lock **lock) {
    ls_status status = LS_OK;
    *lock = NULL;
    if (ls_comm_rank(comm) == 0)
        status = take_folder(args, config, trace, lock);
    return ls_comm_agree(comm, status);
}

void ls_run_log_level(ls_comm *comm, const ls_run_args *args) {
    if (ls_comm_rank(comm) == 0 && (args->quiet || args->verbose))
        ls_log_set(args->quiet ? LS_LOG_QUIET : LS_LOG_VERBOSE);
}

static void tell_samples(const ls_engine *engine) {
    const ls_data *data = ls_engine_train_data(engine);
    const ls_shape *shape = ls_data_shape(data);
    ls_text text = {0};
    for (int d = 0; d < shape->ndims; d++)
        ls_text_add(&text, "%s%lld", d ? ", " : "", (long long)shape->size[d]);
    ls_log(LS_LOG_NORMAL, "%lld training samples of shape (%s), %lld %s",
           (long long)ls_data_count(data), text.data ? text.data : "",
           (long long)ls_data_outputs(data),
           ls_data_is_classes(data) ? "classes" : "targets a sample");
    ls_text_free(&text);
}

ls_status ls_run_describe(ls_comm *comm, const ls_engine *engine) {
    const ls_net *net = ls_engine_net(engine);
    ls_text text = {0};
    ls_net_describe(net, &text);
    ls_status status = text.failed ? LS_ERR_SYSTEM : LS_OK;
    tell_samples(engine);
    LS_TRY(ls_comm_agree(comm, status));
    LS_TRY(ls_comm_tell_layout(comm));
    if (status == LS_OK)
        ls_log(LS_LOG_VERBOSE, "%s", text.data);
    ls_text_free(&text);
    return ls_comm_agree(comm, status);
}

ls_status ls_run_in_folder(ls_comm *comm, const void *args, const char *trace, ls_run_work *work) {
    const ls_run_args *run = args;
    ls_config *config = NULL;
    ls_engine *engine = NULL;
    ls_lock *lock = NULL;
    ls_run_log_level(comm, run);
    LS_TRY(ls_run_config(comm, run, &config));
    ls_status status = ls_engine_create(comm, config, run->operands.word[0], true, &engine);
    if (status == LS_OK)
        status = ls_run_describe(comm, engine);
    if (status == LS_OK)
        status = ls_run_folder(comm, run, config, trace, &lock);
    if (status == LS_OK)
        status = work(comm, args, config, engine);
    ls_lock_free(lock);
    ls_engine_free(engine);
    ls_config_free(config);
    return status;
}
