/* What travels while backward runs, beside gradients and losses: elementwise reductions over all
 * ranks, broadcasts of rank 0. */
#include <string.h>

#include "comm/comm.h"

bool ls_test_for(ls_comm *comm, MPI_Request *request) {
    int done = 1;
    if (*request != MPI_REQUEST_NULL)
        ls_mpi_check(comm, MPI_Test(request, &done, MPI_STATUS_IGNORE), "MPI_Test");
    return done;
}

static void count_message(ls_comm *comm, size_t bytes) {
    comm->traffic.messages++;
    comm->traffic.bytes += bytes;
}

ls_control_traffic ls_comm_control_traffic(const ls_comm *comm) {
    return comm->traffic;
}

/* ---- allreduce ------------------------------------------------------------------------------ */

struct ls_allreduce {
    ls_comm *comm;
    ls_reduction reduction;
    size_t count;
    void *mine, *result; /* result: NULL where this rank is the only one */
    MPI_Request request;
};

static size_t element_bytes(ls_reduction reduction) {
    return reduction == LS_REDUCTION_MAX_UINT32 ? sizeof(uint32_t) : sizeof(int64_t);
}

ls_status ls_allreduce_create(ls_comm *comm, ls_reduction reduction, size_t count,
                              ls_allreduce **allreduce) {
    ls_allreduce *made = NULL;
    LS_REQUIRE(count <= INT32_MAX); /* MPI counts are int */
    LS_TRY(LS_NEW(made, 1));
    *made = (ls_allreduce){.comm = comm, .reduction = reduction, .count = count};
    made->request = MPI_REQUEST_NULL;
    made->mine = ls_calloc(count, element_bytes(reduction));
    if (comm->size > 1)
        made->result = ls_calloc(count, element_bytes(reduction));
    if (made->mine == NULL || (comm->size > 1 && made->result == NULL)) {
        ls_allreduce_free(made);
        return LS_ERR_SYSTEM;
    }
    *allreduce = made;
    return LS_OK;
}

void *ls_allreduce_mine(ls_allreduce *allreduce) {
    return allreduce->mine;
}

const void *ls_allreduce_result(const ls_allreduce *allreduce) {
    return allreduce->result ? allreduce->result : allreduce->mine;
}

ls_status ls_allreduce_start(ls_allreduce *allreduce) {
    ls_comm *comm = allreduce->comm;
    bool largest = allreduce->reduction == LS_REDUCTION_MAX_UINT32;
    if (comm->size == 1 || allreduce->count == 0)
        return LS_OK;
    count_message(comm, allreduce->count * element_bytes(allreduce->reduction));
    LS_MPI(comm, MPI_Iallreduce(allreduce->mine, allreduce->result, (int)allreduce->count,
                                largest ? MPI_INT32_T : MPI_INT64_T, largest ? MPI_MAX : MPI_SUM,
                                comm->control, &allreduce->request));
    return LS_OK;
}

bool ls_allreduce_test(ls_allreduce *allreduce) {
    return ls_test_for(allreduce->comm, &allreduce->request);
}

ls_status ls_allreduce_wait(ls_allreduce *allreduce) {
    return ls_wait_for(allreduce->comm, &allreduce->request);
}

void ls_allreduce_free(ls_allreduce *allreduce) {
    if (allreduce == NULL)
        return;
    ls_free(allreduce->result);
    ls_free(allreduce->mine);
    ls_free(allreduce);
}

/* ---- broadcast ------------------------------------------------------------------------------ */

struct ls_broadcast {
    ls_comm *comm;
    size_t bytes;
    void *data;
    MPI_Request request;
};

ls_status ls_broadcast_create(ls_comm *comm, size_t bytes, ls_broadcast **broadcast) {
    ls_broadcast *made = NULL;
    LS_REQUIRE(bytes <= INT32_MAX);
    LS_TRY(LS_NEW(made, 1));
    *made = (ls_broadcast){.comm = comm, .bytes = bytes, .request = MPI_REQUEST_NULL};
    made->data = ls_calloc(bytes, 1);
    if (made->data == NULL) {
        ls_free(made);
        return LS_ERR_SYSTEM;
    }
    *broadcast = made;
    return LS_OK;
}

void *ls_broadcast_data(ls_broadcast *broadcast) {
    return broadcast->data;
}

ls_status ls_broadcast_start(ls_broadcast *broadcast) {
    ls_comm *comm = broadcast->comm;
    if (comm->size == 1)
        return LS_OK;
    count_message(comm, broadcast->bytes);
    LS_MPI(comm, MPI_Ibcast(broadcast->data, (int)broadcast->bytes, MPI_BYTE, 0, comm->control,
                            &broadcast->request));
    return LS_OK;
}

bool ls_broadcast_test(ls_broadcast *broadcast) {
    return ls_test_for(broadcast->comm, &broadcast->request);
}

ls_status ls_broadcast_wait(ls_broadcast *broadcast) {
    return ls_wait_for(broadcast->comm, &broadcast->request);
}

void ls_broadcast_free(ls_broadcast *broadcast) {
    if (broadcast == NULL)
        return;
    ls_free(broadcast->data);
    ls_free(broadcast);
}
