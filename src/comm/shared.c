/* Memory that the ranks of a node share, and the barrier that lives in it. */
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "comm/sum_ring.h"

struct ls_shared {
    const ls_comm *comm;
    MPI_Win window; /* MPI_WIN_NULL: private memory, as there is nobody to share it with */
    void *data;
    size_t bytes;
};

static size_t round_up(size_t bytes, size_t to) {
    return (bytes + to - 1) / to * to;
}

/* Takes the pages now, each rank a share: what a later window finds free is then true.  They may
 * come from a window of before: MPI does not promise zeros. */
static void clear_pages(const ls_comm *comm, const ls_shared *shared) {
    enum { PAGE = 4096 };
    size_t pages = (shared->bytes + PAGE - 1) / PAGE, ranks = (size_t)comm->node_size;
    size_t first = pages * (size_t)comm->node_rank / ranks * PAGE;
    size_t end = pages * ((size_t)comm->node_rank + 1) / ranks * PAGE;
    end = end < shared->bytes ? end : shared->bytes;
    memset((char *)shared->data + first, 0, end - first);
}

/* Collective over the node. */
static ls_status allocate_window(ls_comm *comm, size_t bytes, ls_shared *shared) {
    MPI_Aint size = comm->node_rank == 0 ? (MPI_Aint)(bytes + LS_ALIGN) : 0;
    int unit;
    LS_MPI(comm, MPI_Win_allocate_shared(size, 1, MPI_INFO_NULL, comm->node, &shared->data,
                                         &shared->window));
    LS_MPI(comm, MPI_Win_set_errhandler(shared->window, MPI_ERRORS_RETURN));
    LS_MPI(comm, MPI_Win_shared_query(shared->window, 0, &size, &unit, &shared->data));
    LS_MPI(comm, MPI_Win_lock_all(MPI_MODE_NOCHECK, shared->window));
    shared->data = (void *)round_up((size_t)shared->data, LS_ALIGN); /* pages: the same offset */
    clear_pages(comm, shared);
    return LS_OK;
}

/* Nodes may differ in size: what all ranks agree on lies outside the branches. */
ls_status ls_shared_create(ls_comm *comm, size_t bytes, const char *what, ls_shared **shared) {
    ls_shared *made = NULL;
    LS_TRY(ls_comm_agree(comm, LS_NEW(made, 1)));
    made->comm = comm;
    made->bytes = bytes;
    made->window = MPI_WIN_NULL;
    ls_status status;
    LS_TRY_GOTO(failed, ls_comm_agree(comm, ls_check_space(comm, bytes + LS_ALIGN, what)));
    if (comm->node_size > 1)
        status = allocate_window(comm, bytes, made);
    else
        status = ls_memory_for((made->data = ls_calloc(bytes, 1)) ? LS_OK : LS_ERR_SYSTEM, what);
    LS_TRY_GOTO(failed, ls_comm_agree(comm, status));
    *shared = made;
    return LS_OK;
failed:
    ls_shared_free(made);
    return status;
}

void *ls_shared_data(const ls_shared *shared) {
    return shared->data;
}

size_t ls_shared_bytes(const ls_shared *shared) {
    return shared->bytes;
}

void ls_shared_free(ls_shared *shared) {
    if (shared == NULL)
        return;
    if (shared->window == MPI_WIN_NULL) {
        ls_free(shared->data);
    } else if (!shared->comm->broken) { /* the other ranks may never come to free it */
        MPI_Win_unlock_all(shared->window);
        MPI_Win_free(&shared->window);
    }
    ls_free(shared);
}

/* ---- barrier -------------------------------------------------------------------------------- */

/* Arrivals are counted; the last one opens the next generation.  The atomics' acquire and release
 * order everything written before the barrier ahead of everything read after it. */
struct ls_node_barrier {
    _Alignas(LS_ALIGN) atomic_int arrived;
    _Alignas(LS_ALIGN) atomic_uint generation;
};

ls_status ls_node_barrier_create(ls_comm *comm) {
    LS_TRY(
        ls_shared_create(comm, sizeof(ls_node_barrier), "the node barrier", &comm->barrier_memory));
    comm->barrier = ls_shared_data(comm->barrier_memory);
    if (comm->node_rank == 0) {
        atomic_init(&comm->barrier->arrived, 0);
        atomic_init(&comm->barrier->generation, 0);
    }
    LS_MPI(comm, MPI_Barrier(comm->node));
    return LS_OK;
}

void ls_wait_a_little(const ls_comm *comm, unsigned *spins) {
    enum { PAUSES = 64 };
    int there;
    if (++*spins <= PAUSES)
        return;
    if (!comm->broken)
        ls_sum_ring_test(comm->ring); /* what fails comes again when it is waited for */
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm->control, &there, MPI_STATUS_IGNORE);
    sched_yield();
}

void ls_comm_node_barrier(ls_comm *comm) {
    ls_node_barrier *barrier = comm->barrier;
    if (comm->node_size == 1)
        return;
    unsigned generation = atomic_load_explicit(&barrier->generation, memory_order_acquire);
    if (atomic_fetch_add_explicit(&barrier->arrived, 1, memory_order_acq_rel) + 1 ==
        comm->node_size) {
        atomic_store_explicit(&barrier->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&barrier->generation, generation + 1, memory_order_release);
        return;
    }
    ls_wait_begin(comm);
    for (unsigned spins = 0;
         !comm->broken &&
         atomic_load_explicit(&barrier->generation, memory_order_acquire) == generation;)
        ls_wait_a_little(comm, &spins);
    ls_wait_end(comm);
}
