/* Start and end of MPI, who is on which node, and the collective calls of the set-up: agreement on
 * errors, broadcast, gather. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "comm/comm.h"

enum { MESSAGE_SIZE = 2048, SUM_PIECE = 4096 };

ls_status ls_mpi_check(int code, const char *call) {
    if (code == MPI_SUCCESS)
        return LS_OK;
    char reason[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(code, reason, &length);
    return ls_fail(LS_ERR_SYSTEM, "MPI: %s: %s", call, reason);
}

static ls_status find_nodes(ls_comm *comm) {
    LS_MPI(MPI_Comm_split_type(comm->world, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL,
                               &comm->node));
    LS_MPI(MPI_Comm_rank(comm->node, &comm->node_rank));
    LS_MPI(MPI_Comm_size(comm->node, &comm->node_size));
    LS_MPI(MPI_Comm_split(comm->world, comm->node_rank, comm->rank, &comm->peers));
    int leader = comm->node_rank == 0;
    LS_MPI(MPI_Allreduce(&leader, &comm->node_count, 1, MPI_INT, MPI_SUM, comm->world));
    const int mine[2] = {comm->node_size, -comm->node_size};
    int largest[2];
    LS_MPI(MPI_Allreduce(mine, largest, 2, MPI_INT, MPI_MAX, comm->world));
    comm->uniform = largest[0] == -largest[1];
    return LS_OK;
}

ls_status ls_comm_init(int *argc, char ***argv, ls_comm **comm) {
    int provided;
    LS_MPI(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided));
    ls_comm *made = NULL;
    LS_TRY(LS_NEW(made, 1));
    made->world = MPI_COMM_WORLD;
    LS_MPI(MPI_Comm_rank(made->world, &made->rank));
    LS_MPI(MPI_Comm_size(made->world, &made->size));
    LS_MPI(MPI_Comm_dup(made->world, &made->control));
    LS_MPI(MPI_Comm_dup(made->world, &made->buckets));
    LS_TRY(find_nodes(made));
    LS_TRY(ls_node_barrier_create(made));
    *comm = made;
    return LS_OK;
}

void ls_comm_finalize(ls_comm *comm) {
    if (comm == NULL)
        return;
    ls_comm_watch_end(comm);
    ls_shared_free(comm->barrier_memory);
    MPI_Comm_free(&comm->peers);
    MPI_Comm_free(&comm->node);
    MPI_Comm_free(&comm->buckets);
    MPI_Comm_free(&comm->control);
    MPI_Finalize();
    ls_free(comm);
}

void ls_comm_abort(ls_comm *comm, ls_status status) {
    char host[LS_HOST_SIZE];
    ls_host_name(host);
    fprintf(stderr, "lockstep: %s (rank %d, on %s)\n", ls_message(), comm->rank, host);
    fflush(NULL);
    MPI_Abort(comm->world, ls_exit_code(status));
    abort();
}

int ls_comm_rank(const ls_comm *comm) {
    return comm->rank;
}

int ls_comm_size(const ls_comm *comm) {
    return comm->size;
}

int ls_comm_node_rank(const ls_comm *comm) {
    return comm->node_rank;
}

int ls_comm_node_size(const ls_comm *comm) {
    return comm->node_size;
}

int ls_comm_node_count(const ls_comm *comm) {
    return comm->node_count;
}

MPI_Comm ls_comm_world(const ls_comm *comm) {
    return comm->world;
}

const char *ls_comm_library(void) {
    static char name[MPI_MAX_LIBRARY_VERSION_STRING];
    int length = 0;
    if (name[0] == '\0') {
        MPI_Get_library_version(name, &length);
        name[strcspn(name, ",\n")] = '\0'; /* Open MPI adds package, host and date */
        for (char *tab = strchr(name, '\t'); tab; tab = strchr(tab, '\t'))
            *tab = ' '; /* MPICH's */
    }
    return name;
}

ls_status ls_comm_agree(ls_comm *comm, ls_status mine) {
    struct {
        int status, rank;
    } local = {(int)mine, comm->rank}, worst;
    ls_wait_begin(comm);
    LS_MPI(MPI_Allreduce(&local, &worst, 1, MPI_2INT, MPI_MAXLOC, comm->world));
    ls_wait_end(comm);
    if (worst.status == LS_OK)
        return LS_OK;
    char message[MESSAGE_SIZE], host[LS_HOST_SIZE];
    ls_host_name(host);
    snprintf(message, sizeof message, "%s", ls_message());
    /* It may be of a file that this host has alone. */
    if (worst.rank == comm->rank && comm->rank > 0 && comm->node_count > 1)
        snprintf(message, sizeof message, "%.1900s (rank %d, on %s)", ls_message(), comm->rank,
                 host);
    LS_MPI(MPI_Bcast(message, MESSAGE_SIZE, MPI_CHAR, worst.rank, comm->world));
    ls_message_set(message);
    return (ls_status)worst.status;
}

/* Both texts from a little before their first difference on. */
static ls_status fail_different(const ls_comm *comm, const char *what, const char *first,
                                const char *text) {
    enum { BEFORE = 24, SHOWN = 160 };
    size_t same = 0;
    while (first[same] != '\0' && first[same] == text[same])
        same++;
    const size_t start = same > BEFORE ? same - BEFORE : 0;
    const char *dots = start > 0 ? "..." : "";
    return ls_fail(LS_ERR_INPUT,
                   "%s differs between ranks: '%s%.*s' on rank 0, '%s%.*s' on rank %d", what, dots,
                   SHOWN, first + start, dots, SHOWN, text + start, comm->rank);
}

ls_status ls_comm_same(ls_comm *comm, const char *what, const char *text) {
    uint64_t bytes = strlen(text) + 1;
    char *first = NULL;
    LS_TRY(ls_comm_broadcast(comm, &bytes, sizeof bytes, 0));
    LS_TRY(ls_comm_agree(comm, LS_NEW(first, (size_t)bytes)));
    if (comm->rank == 0)
        memcpy(first, text, (size_t)bytes);
    ls_status status = ls_comm_broadcast(comm, first, (size_t)bytes, 0);
    if (status == LS_OK && strcmp(first, text) != 0)
        status = fail_different(comm, what, first, text);
    ls_free(first);
    return ls_comm_agree(comm, status);
}

ls_status ls_comm_broadcast(ls_comm *comm, void *data, size_t bytes, int root) {
    const size_t most = (size_t)1 << 30; /* MPI counts are int */
    for (size_t done = 0; done < bytes;) {
        size_t piece = bytes - done < most ? bytes - done : most;
        ls_wait_begin(comm);
        LS_MPI(MPI_Bcast((char *)data + done, (int)piece, MPI_BYTE, root, comm->world));
        ls_wait_end(comm);
        done += piece;
    }
    return LS_OK;
}

void ls_comm_barrier(ls_comm *comm) {
    MPI_Barrier(comm->world);
}

ls_status ls_comm_gather(ls_comm *comm, const void *mine, size_t bytes, void *all) {
    LS_REQUIRE(bytes <= INT32_MAX);
    LS_MPI(MPI_Gather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, 0, comm->world));
    return LS_OK;
}

ls_status ls_comm_sum_int64(ls_comm *comm, int64_t *values, size_t count) {
    int64_t mine[SUM_PIECE];
    for (size_t done = 0; done < count && comm->size > 1;) {
        size_t piece = count - done < SUM_PIECE ? count - done : SUM_PIECE;
        memcpy(mine, values + done, piece * sizeof *mine);
        LS_MPI(MPI_Allreduce(mine, values + done, (int)piece, MPI_INT64_T, MPI_SUM, comm->world));
        done += piece;
    }
    return LS_OK;
}

void ls_slice_range(int slices, int ranks, int rank, int *first, int *end) {
    *first = (int)((int64_t)slices * rank / ranks);
    *end = (int)((int64_t)slices * (rank + 1) / ranks);
}
