/* The program: finds the command, starts MPI where it needs it, prints the one message of a
 * failure. */
#include <errno.h>
#include <mpi.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "lockstep/build.h"
#include "lockstep/mpi.h"

const ls_command *const ls_commands[] = {&ls_command_find_lr,  &ls_command_train,
                                         &ls_command_eval,     &ls_command_predict,
                                         &ls_command_bench,    &ls_command_scale,
                                         &ls_command_noise,    &ls_command_suggest,
                                         &ls_command_schedule, &ls_command_plot,
                                         &ls_command_info,     &ls_command_convert,
                                         &ls_command_help,     NULL};

static ls_status find_command(const char *name, const ls_command **command) {
    const char *names[32];
    size_t count = 0;
    for (; ls_commands[count]; count++) {
        names[count] = ls_commands[count]->name;
        if (strcmp(name, names[count]) == 0) {
            *command = ls_commands[count];
            return LS_OK;
        }
    }
    const char *nearest = ls_nearest(name, names, count);
    if (nearest)
        return ls_fail(LS_ERR_INPUT, "unknown command '%s'; did you mean '%s'?", name, nearest);
    return ls_fail(LS_ERR_INPUT, "unknown command '%s'; 'lockstep help' lists the commands", name);
}

static bool wants_help(int argc, char **argv) {
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static bool reader_has_gone(void) {
    struct pollfd out = {.fd = STDOUT_FILENO};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0;
}

/* A pipe whose reader has gone is nothing to speak of. */
static ls_status end_output(void) {
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return LS_OK;
    int reason = errno;
    if (reader_has_gone())
        return LS_ERR_SYSTEM;
    return ls_fail(LS_ERR_SYSTEM, "cannot write to standard output%s%s", reason ? ": " : "",
                   reason ? strerror(reason) : "");
}

static void speak(ls_status status) {
    if (status != LS_OK && ls_message()[0] != '\0')
        fprintf(stderr, "lockstep: %s\n", ls_message());
}

static ls_status run_command(const ls_command *command, ls_comm *comm, int argc, char **argv) {
    void *args = ls_calloc(1, command->args_size);
    ls_status status = args ? LS_OK : LS_ERR_SYSTEM;
    if (status == LS_OK)
        status = ls_command_parse(command, argc, argv, args);
    if (status == LS_OK)
        status = command->run(comm, args);
    if (status == LS_OK)
        status = end_output();
    if (args)
        ls_command_args_free(command, args);
    ls_free(args);
    return status;
}

/* Under mpirun or srun, before or without MPI: one process speaks for all. */
static bool speaks_first(void) {
    static const char *const ranks[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK",
                                        "SLURM_PROCID"};
    for (size_t i = 0; i < sizeof ranks / sizeof ranks[0]; i++) {
        const char *rank = getenv(ranks[i]);
        if (rank)
            return strcmp(rank, "0") == 0;
    }
    return true;
}

/* What each rank was started with: they are to do the same. */
static ls_status check_same(const ls_command *command, ls_comm *comm, int argc, char **argv) {
    ls_text line = {0};
    ls_text_add(&line, "%s", command->name);
    for (int i = 0; i < argc; i++)
        ls_text_add(&line, " %s", argv[i]);
    ls_status status = line.failed ? LS_ERR_SYSTEM : LS_OK;
    status = ls_comm_agree(comm, status);
    if (status == LS_OK)
        status = ls_comm_same(comm, "the command", line.data);
    ls_text_free(&line);
    return status;
}

/* What strikes one rank alone, while the others wait for it. */
static void end_all(void *context, ls_comm *comm, ls_status status) {
    char host[LS_HOST_SIZE];
    (void)context;
    ls_host_name(host);
    fprintf(stderr, "lockstep: %s (rank %d, on %s)\n", ls_message(), ls_comm_rank(comm), host);
    fflush(NULL);
    MPI_Abort(MPI_COMM_WORLD, ls_exit_code(status));
    abort();
}

/* MPI as the program needs it; that of MPI_Init ends all ranks when it cannot. */
static ls_status start_mpi(int *argc, char ***argv, ls_comm **comm) {
    int provided;
    MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided);
    LS_TRY(ls_comm_create(MPI_COMM_WORLD, comm));
    ls_comm_on_failure(*comm, end_all, NULL);
    return LS_OK;
}

/* The statuses that come back from a parallel command are agreed on: rank 0 speaks for all. */
static ls_status run_parallel(const ls_command *command, int argc, char **argv) {
    ls_comm *comm = NULL;
    bool speaks =
        speaks_first(); /* an MPI that is alone may say in its environment that it is rank 0 */
    ls_status status = start_mpi(&argc, &argv, &comm);
    if (status == LS_OK)
        status = ls_comm_check_launch(comm);
    if (status == LS_OK)
        speaks = ls_comm_rank(comm) == 0;
    if (!speaks)
        ls_log_set(LS_LOG_QUIET);
    if (status == LS_OK)
        status = check_same(command, comm, argc, argv);
    if (status == LS_OK)
        status = run_command(command, comm, argc, argv);
    if (speaks)
        speak(status);
    ls_comm_free(comm);
    MPI_Finalize();
    return status;
}

static int end_serial(ls_status status) {
    if (status == LS_OK)
        status = end_output();
    if (speaks_first())
        speak(status);
    return ls_exit_code(status);
}

int main(int argc, char **argv) {
    const ls_command *command = NULL;
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a write that fails, not the end of all ranks */
    signal(SIGXFSZ, SIG_IGN); /* and so is a file that may not grow */
    ls_log_to(ls_show_message, NULL);
    ls_temporary_catch_signals();
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        ls_command_print_help(NULL);
        return argc < 2 ? ls_exit_code(LS_ERR_INPUT) : end_serial(LS_OK);
    }
    if (strcmp(argv[1], "--version") == 0) {
        ls_print("lockstep %s (%s)\n", ls_build_version(), ls_build_revision());
        return end_serial(LS_OK);
    }
    ls_status status = find_command(argv[1], &command);
    if (status != LS_OK)
        return end_serial(status);
    if (wants_help(argc - 2, argv + 2)) {
        ls_command_print_help(command);
        return end_serial(LS_OK);
    }
    if (command->parallel)
        return ls_exit_code(run_parallel(command, argc - 2, argv + 2));
    return end_serial(run_command(command, NULL, argc - 2, argv + 2));
}
