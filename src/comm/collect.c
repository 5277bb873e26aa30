/* What rank 0 asks of the other ranks one after another: blocks of any size, and their clocks. */
#include "comm/comm.h"

enum { TAG_BLOCK = 1, TAG_CLOCK, CLOCK_ROUNDS = 16 };

/* ---- blocks --------------------------------------------------------------------------------- */

/* Rank 0's side; ranks that have nothing send nothing.  All blocks are received, even after a
 * failure: their ranks wait. */
static ls_status receive_all(ls_comm *comm, void *buffer, const int64_t *sizes, ls_comm_take *take,
                             void *context, ls_status status) {
    for (int rank = 1; rank < comm->size; rank++) {
        if (sizes[rank] > 0)
            LS_MPI(comm, MPI_Recv(buffer, (int)sizes[rank], MPI_BYTE, rank, TAG_BLOCK, comm->world,
                                  MPI_STATUS_IGNORE));
        if (status == LS_OK)
            status = take(context, rank, buffer, (size_t)sizes[rank]);
    }
    return status;
}

static ls_status exchange_blocks(ls_comm *comm, const void *mine, int64_t bytes, int64_t *sizes,
                                 void *buffer, ls_comm_take *take, void *context) {
    LS_TRY(ls_comm_gather(comm, &bytes, sizeof bytes, sizes));
    if (comm->rank == 0)
        return receive_all(comm, buffer, sizes, take, context,
                           take(context, 0, mine, (size_t)bytes));
    if (bytes > 0)
        LS_MPI(comm, MPI_Send(mine, (int)bytes, MPI_BYTE, 0, TAG_BLOCK, comm->world));
    return LS_OK;
}

ls_status ls_comm_collect(ls_comm *comm, const void *mine, size_t bytes, ls_comm_take *take,
                          void *context) {
    int64_t size = (int64_t)bytes, largest, *sizes = NULL;
    char *buffer = NULL;
    ls_status status = LS_OK;
    LS_MPI(comm, MPI_Allreduce(&size, &largest, 1, MPI_INT64_T, MPI_MAX, comm->world));
    LS_REQUIRE(largest <= INT32_MAX); /* MPI counts are int */
    if (comm->rank == 0) {
        status = LS_NEW(buffer, (size_t)largest);
        if (status == LS_OK)
            status = LS_NEW(sizes, (size_t)comm->size);
    }
    status = ls_comm_agree(comm, status);
    if (status == LS_OK)
        status =
            ls_comm_agree(comm, exchange_blocks(comm, mine, size, sizes, buffer, take, context));
    ls_free(sizes);
    ls_free(buffer);
    return status;
}

/* ---- clocks --------------------------------------------------------------------------------- */

/* Rank 0 asks; the answer was given somewhere between question and arrival. */
static ls_status ask(ls_comm *comm, int rank, ls_clock_offset *offset) {
    offset->error = -1;
    for (int round = 0; round < CLOCK_ROUNDS; round++) {
        double asked = ls_seconds(), theirs;
        LS_MPI(comm, MPI_Send(NULL, 0, MPI_BYTE, rank, TAG_CLOCK, comm->world));
        LS_MPI(comm,
               MPI_Recv(&theirs, 1, MPI_DOUBLE, rank, TAG_CLOCK, comm->world, MPI_STATUS_IGNORE));
        double arrived = ls_seconds(), error = (arrived - asked) / 2;
        if (offset->error < 0 || error < offset->error)
            *offset = (ls_clock_offset){asked + error - theirs, error};
    }
    return LS_OK;
}

static ls_status answer(ls_comm *comm) {
    for (int round = 0; round < CLOCK_ROUNDS; round++) {
        LS_MPI(comm, MPI_Recv(NULL, 0, MPI_BYTE, 0, TAG_CLOCK, comm->world, MPI_STATUS_IGNORE));
        double now = ls_seconds();
        LS_MPI(comm, MPI_Send(&now, 1, MPI_DOUBLE, 0, TAG_CLOCK, comm->world));
    }
    return LS_OK;
}

ls_status ls_comm_clock_offset(ls_comm *comm, ls_clock_offset *offset) {
    *offset = (ls_clock_offset){0, 0};
    if (comm->rank != 0) {
        LS_TRY(answer(comm));
        LS_MPI(comm, MPI_Recv(offset, 2, MPI_DOUBLE, 0, TAG_CLOCK, comm->world, MPI_STATUS_IGNORE));
        return LS_OK;
    }
    for (int rank = 1; rank < comm->size; rank++) {
        ls_clock_offset theirs;
        LS_TRY(ask(comm, rank, &theirs));
        LS_MPI(comm, MPI_Send(&theirs, 2, MPI_DOUBLE, rank, TAG_CLOCK, comm->world));
    }
    return LS_OK;
}
