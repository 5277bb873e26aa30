/* A part of the ranks as a communicator of its own, and how the others wait. */
#include <time.h>

#include "comm/comm.h"

/* The place of this rank where whole nodes come first. */
static ls_status find_place(ls_comm *comm, int *place) {
    ls_seat *all = NULL;
    LS_TRY(ls_comm_agree(comm, LS_NEW(all, (size_t)comm->size)));
    ls_status status = ls_comm_seats(comm, all);
    const ls_seat mine = all[comm->rank];
    *place = 0;
    for (int rank = 0; rank < comm->size; rank++)
        *place += all[rank].leader < mine.leader ||
                  (all[rank].leader == mine.leader && all[rank].node_rank < mine.node_rank);
    ls_free(all);
    return status;
}

ls_status ls_comm_part(ls_comm *comm, int ranks, ls_comm **part) {
    int place;
    MPI_Comm made;
    LS_REQUIRE(ranks >= 1 && ranks <= comm->size);
    LS_TRY(find_place(comm, &place));
    LS_MPI(comm, MPI_Comm_split(comm->world, place < ranks ? 0 : MPI_UNDEFINED, place, &made));
    *part = NULL;
    ls_status status = LS_OK;
    if (made != MPI_COMM_NULL) {
        status = ls_comm_create(made, part);
        if (status == LS_OK)
            ls_comm_on_failure(*part, comm->failure, comm->failure_context);
        MPI_Comm_free(&made);
    }
    return ls_comm_agree(comm, status);
}

ls_status ls_comm_rest(ls_comm *comm) {
    const struct timespec nap = {.tv_nsec = 1000000};
    MPI_Request request;
    int done = 0;
    LS_MPI(comm, MPI_Ibarrier(comm->world, &request));
    for (;;) {
        LS_MPI(comm, MPI_Test(&request, &done, MPI_STATUS_IGNORE));
        if (done)
            return LS_OK;
        nanosleep(&nap, NULL);
    }
}
