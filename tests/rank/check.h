/* Rank tests: MPI's start and end, and a check that ends all ranks when it fails. */
#ifndef LOCKSTEP_TESTS_RANK_CHECK_H
#define LOCKSTEP_TESTS_RANK_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#include "lockstep/comm.h"
#include "lockstep/mpi.h"

#define CHECK(comm, condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: rank %d of %d: %s: %s\n", __FILE__, __LINE__,                  \
                    ls_comm_rank(comm), ls_comm_size(comm), #condition, ls_message());             \
            MPI_Abort(MPI_COMM_WORLD, 1);                                                          \
        }                                                                                          \
    } while (0)

static inline void show_message(void *context, ls_log_level level, const char *line) {
    (void)context;
    (void)level;
    fprintf(stderr, "%s\n", line);
}

static inline ls_comm *start_mpi(int *argc, char ***argv) {
    int provided;
    ls_comm *comm;
    ls_log_to(show_message, NULL);
    MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided);
    if (ls_comm_create(MPI_COMM_WORLD, &comm) != LS_OK) {
        fprintf(stderr, "%s\n", ls_message());
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    return comm;
}

static inline void end_mpi(ls_comm *comm) {
    ls_comm_free(comm);
    MPI_Finalize();
}

#endif
