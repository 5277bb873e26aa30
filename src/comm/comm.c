/* The communicators of the ranks, who is on which node, and the collective calls of the set-up:
 * agreement on errors, broadcast, gather. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "comm/sum_ring.h"

enum { MESSAGE_SIZE = 2048, SUM_PIECE = 4096 };

/* ---- failure -------------------------------------------------------------------------------- */

void ls_comm_on_failure(ls_comm *comm, ls_comm_failure *function, void *context) {
    comm->failure = function;
    comm->failure_context = context;
}

ls_status ls_comm_break(ls_comm *comm, ls_status status) {
    bool first = !comm->broken;
    comm->broken = true;
    if (first && comm->failure)
        comm->failure(comm->failure_context, comm, status);
    return status;
}

ls_status ls_comm_check(const ls_comm *comm) {
    return comm->broken ? ls_fail(LS_ERR_SYSTEM,
                                  "an earlier failure of rank %d or of MPI has left "
                                  "the ranks apart: they cannot go on together",
                                  comm->rank)
                        : LS_OK;
}

ls_status ls_mpi_check(ls_comm *comm, int code, const char *call) {
    if (code == MPI_SUCCESS)
        return LS_OK;
    char reason[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(code, reason, &length);
    ls_wait_end(comm);
    return ls_comm_break(comm, ls_fail(LS_ERR_SYSTEM, "MPI: %s: %s", call, reason));
}

ls_status ls_wait_for(ls_comm *comm, MPI_Request *request) {
    ls_wait_begin(comm);
    while (*request != MPI_REQUEST_NULL && ls_sum_ring_travels(comm->ring))
        LS_TRY(ls_sum_ring_wait(comm->ring, request));
    LS_MPI(comm, MPI_Wait(request, MPI_STATUS_IGNORE));
    ls_wait_end(comm);
    return LS_OK;
}

/* ---- who there is --------------------------------------------------------------------------- */

/* `ranks` of each node, where those that share memory are to be several nodes; 0: they are one. */
static ls_status find_node(ls_comm *comm, int ranks) {
    MPI_Comm shared;
    int rank;
    LS_MPI(comm, MPI_Comm_split_type(comm->world, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL,
                                     &shared));
    LS_MPI(comm, MPI_Comm_rank(shared, &rank));
    LS_MPI(comm, MPI_Comm_split(shared, ranks > 0 ? rank / ranks : 0, rank, &comm->node));
    LS_MPI(comm, MPI_Comm_free(&shared));
    return LS_OK;
}

static ls_status find_nodes(ls_comm *comm, int ranks) {
    LS_TRY(find_node(comm, ranks));
    LS_MPI(comm, MPI_Comm_set_errhandler(comm->node, MPI_ERRORS_RETURN));
    LS_MPI(comm, MPI_Comm_rank(comm->node, &comm->node_rank));
    LS_MPI(comm, MPI_Comm_size(comm->node, &comm->node_size));
    LS_MPI(comm, MPI_Comm_split(comm->world, comm->node_rank, comm->rank, &comm->peers));
    LS_MPI(comm, MPI_Comm_set_errhandler(comm->peers, MPI_ERRORS_RETURN));
    int leader = comm->node_rank == 0;
    LS_MPI(comm, MPI_Allreduce(&leader, &comm->node_count, 1, MPI_INT, MPI_SUM, comm->world));
    const int mine[2] = {comm->node_size, -comm->node_size};
    int largest[2];
    LS_MPI(comm, MPI_Allreduce(mine, largest, 2, MPI_INT, MPI_MAX, comm->world));
    comm->uniform = largest[0] == -largest[1];
    return LS_OK;
}

static ls_status duplicate(ls_comm *comm, MPI_Comm of, MPI_Comm *made) {
    LS_MPI(comm, MPI_Comm_dup(of, made));
    LS_MPI(comm, MPI_Comm_set_errhandler(*made, MPI_ERRORS_RETURN));
    return LS_OK;
}

static ls_status check_mpi(MPI_Comm mpi) {
    int started = 0, ended = 0, inter = 0;
    if (MPI_Initialized(&started) != MPI_SUCCESS || !started ||
        MPI_Finalized(&ended) != MPI_SUCCESS || ended)
        return ls_fail(LS_ERR_INPUT, "MPI is not there: expected MPI_Init before, and "
                                     "MPI_Finalize after");
    if (mpi == MPI_COMM_NULL || MPI_Comm_test_inter(mpi, &inter) != MPI_SUCCESS || inter)
        return ls_fail(LS_ERR_INPUT, "expected an intracommunicator");
    return LS_OK;
}

static ls_status fill(ls_comm *comm, MPI_Comm mpi, int ranks) {
    LS_TRY(ls_sum_ring_create(comm, &comm->ring));
    LS_TRY(duplicate(comm, mpi, &comm->world));
    LS_MPI(comm, MPI_Comm_rank(comm->world, &comm->rank));
    LS_MPI(comm, MPI_Comm_size(comm->world, &comm->size));
    LS_TRY(duplicate(comm, comm->world, &comm->control));
    LS_TRY(duplicate(comm, comm->world, &comm->buckets));
    LS_TRY(duplicate(comm, comm->world, &comm->mail));
    LS_TRY(find_nodes(comm, ranks));
    return ls_node_barrier_create(comm);
}

ls_status ls_comm_create_with(MPI_Comm mpi, int ranks, ls_comm **comm) {
    ls_comm *made = NULL;
    LS_TRY(check_mpi(mpi));
    LS_TRY(LS_NEW(made, 1));
    made->world = made->control = made->buckets = MPI_COMM_NULL;
    made->node = made->peers = made->mail = MPI_COMM_NULL;
    ls_status status = fill(made, mpi, ranks);
    if (status == LS_OK)
        *comm = made;
    else
        ls_comm_free(made);
    return status;
}

ls_status ls_comm_create(MPI_Comm mpi, ls_comm **comm) {
    return ls_comm_create_with(mpi, 0, comm);
}

ls_status ls_comm_create_fortran(MPI_Fint mpi, ls_comm **comm) {
    return ls_comm_create(MPI_Comm_f2c(mpi), comm);
}

/* Collective, so not where the ranks do not come together any more. */
static void free_mpi(const ls_comm *comm, MPI_Comm *mpi) {
    if (*mpi != MPI_COMM_NULL && !comm->broken)
        MPI_Comm_free(mpi);
}

void ls_comm_free(ls_comm *comm) {
    if (comm == NULL)
        return;
    ls_comm_watch_end(comm);
    ls_shared_free(comm->barrier_memory);
    ls_sum_ring_free(comm->ring);
    free_mpi(comm, &comm->mail);
    free_mpi(comm, &comm->peers);
    free_mpi(comm, &comm->node);
    free_mpi(comm, &comm->buckets);
    free_mpi(comm, &comm->control);
    free_mpi(comm, &comm->world);
    ls_free(comm);
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

ls_status ls_comm_seats(ls_comm *comm, ls_seat *all) {
    int leader = comm->rank;
    LS_MPI(comm, MPI_Bcast(&leader, 1, MPI_INT, 0, comm->node));
    const ls_seat mine = {leader, comm->node_rank};
    LS_MPI(comm, MPI_Allgather(&mine, 2, MPI_INT, all, 2, MPI_INT, comm->world));
    return LS_OK;
}

ls_status ls_comm_agree(ls_comm *comm, ls_status mine) {
    struct {
        int status, rank;
    } local = {(int)mine, comm->rank}, worst;
    ls_wait_begin(comm);
    LS_MPI(comm, MPI_Allreduce(&local, &worst, 1, MPI_2INT, MPI_MAXLOC, comm->world));
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
    LS_MPI(comm, MPI_Bcast(message, MESSAGE_SIZE, MPI_CHAR, worst.rank, comm->world));
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
        LS_MPI(comm, MPI_Bcast((char *)data + done, (int)piece, MPI_BYTE, root, comm->world));
        ls_wait_end(comm);
        done += piece;
    }
    return LS_OK;
}

ls_status ls_comm_barrier(ls_comm *comm) {
    LS_MPI(comm, MPI_Barrier(comm->world));
    return LS_OK;
}

ls_status ls_comm_gather(ls_comm *comm, const void *mine, size_t bytes, void *all) {
    LS_REQUIRE(bytes <= INT32_MAX);
    LS_MPI(comm, MPI_Gather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, 0, comm->world));
    return LS_OK;
}

ls_status ls_comm_min_int64(ls_comm *comm, int64_t *value) {
    const int64_t mine = *value;
    LS_MPI(comm, MPI_Allreduce(&mine, value, 1, MPI_INT64_T, MPI_MIN, comm->world));
    return LS_OK;
}

ls_status ls_comm_sum_int64(ls_comm *comm, int64_t *values, size_t count) {
    int64_t mine[SUM_PIECE];
    for (size_t done = 0; done < count && comm->size > 1;) {
        size_t piece = count - done < SUM_PIECE ? count - done : SUM_PIECE;
        memcpy(mine, values + done, piece * sizeof *mine);
        LS_MPI(comm,
               MPI_Allreduce(mine, values + done, (int)piece, MPI_INT64_T, MPI_SUM, comm->world));
        done += piece;
    }
    return LS_OK;
}

void ls_slice_range(int slices, int ranks, int rank, int *first, int *end) {
    *first = (int)((int64_t)slices * rank / ranks);
    *end = (int)((int64_t)slices * (rank + 1) / ranks);
}
