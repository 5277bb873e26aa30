/* The addends of a node's ranks, in memory that they share, and their sums. */
#include "comm/node_sums.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "comm/addend.h"
#include "lockstep/threads.h"

enum { ARRAY_BYTES = 64 }; /* that all arrays of a node take of an element, at most */

/* How many buckets a rank of the node has given; a cache line each. */
typedef struct ready {
    _Alignas(LS_ALIGN) atomic_uint_least64_t count;
} ready;

/* Of a chunk of a shared array. */
typedef struct chunk_lock {
    _Alignas(LS_ALIGN) atomic_bool taken;
} chunk_lock;

struct ls_node_sums {
    const ls_comm *comm;
    ls_addend addend;
    size_t width;          /* bytes of an element */
    size_t length, stride; /* stride: bytes from one array to the next */
    int arrays;
    bool is_shared; /* there are more ranks than arrays */
    ls_shared *memory;
    char *data, *mine; /* the first array, this rank's */
    chunk_lock *locks; /* of this rank's array; where it is shared */
    ready *ready;      /* of each rank */
};

/* ---- set-up --------------------------------------------------------------------------------- */

int ls_node_arrays(ls_addend addend, int ranks) {
    int most = ARRAY_BYTES / (int)ls_addend_bytes(addend);
    return addend == LS_ADDEND_FLOAT32 || ranks < most ? ranks : most;
}

static size_t chunks_of(size_t length) {
    return (length + LS_CHUNK - 1) / LS_CHUNK;
}

size_t ls_node_sums_bytes(ls_addend addend, size_t length, int ranks, int arrays) {
    size_t chunks = chunks_of(length), locks = arrays < ranks ? chunks : 0;
    return (size_t)arrays *
               (chunks * LS_CHUNK * ls_addend_bytes(addend) + locks * sizeof(chunk_lock)) +
           (size_t)ranks * sizeof(ready);
}

/* The arrays, what is ready, then the locks of each array. */
static void lay_out(ls_node_sums *made) {
    size_t ranks = (size_t)made->comm->node_size, arrays = (size_t)made->arrays;
    size_t array = (size_t)made->comm->node_rank * arrays / ranks;
    made->data = ls_shared_data(made->memory);
    made->mine = made->data + array * made->stride;
    made->ready = (ready *)(made->data + arrays * made->stride);
    if (made->is_shared)
        made->locks = (chunk_lock *)(made->ready + ranks) + array * chunks_of(made->length);
}

ls_status ls_node_sums_create(ls_comm *comm, ls_addend addend, size_t length, int arrays,
                              ls_node_sums **sums) {
    ls_node_sums *made = NULL;
    LS_REQUIRE(arrays >= 1 && arrays <= comm->node_size);
    LS_TRY(ls_comm_agree(comm, LS_NEW(made, 1)));
    *made = (ls_node_sums){.comm = comm,
                           .addend = addend,
                           .width = ls_addend_bytes(addend),
                           .length = length,
                           .arrays = arrays,
                           .is_shared = arrays < comm->node_size};
    made->stride = chunks_of(length) * LS_CHUNK * made->width;
    ls_status status =
        ls_shared_create(comm, ls_node_sums_bytes(addend, length, comm->node_size, arrays),
                         "the gradient exchange", &made->memory);
    if (status != LS_OK) {
        ls_node_sums_free(made);
        return status;
    }
    lay_out(made);
    *sums = made;
    return LS_OK;
}

void ls_node_sums_free(ls_node_sums *sums) {
    if (sums == NULL)
        return;
    ls_shared_free(sums->memory);
    ls_free(sums);
}

int ls_node_sums_arrays(const ls_node_sums *sums) {
    return sums->arrays;
}

/* ---- adding --------------------------------------------------------------------------------- */

/* A rank that was killed never gives its lock back: the launcher then ends the others, and where it
 * does not, MPI's failure breaks the communicator, whose sums nobody will use. */
static void take(const ls_comm *comm, chunk_lock *lock) {
    if (!atomic_exchange_explicit(&lock->taken, true, memory_order_acquire))
        return;
    const bool leads = ls_thread_number() == 0; /* MPI is for that thread alone */
    if (leads)
        ls_wait_begin(comm);
    for (unsigned spins = 0;
         !comm->broken && (atomic_load_explicit(&lock->taken, memory_order_relaxed) ||
                           atomic_exchange_explicit(&lock->taken, true, memory_order_acquire));)
        leads ? ls_wait_a_little(comm, &spins) : (void)sched_yield();
    if (leads)
        ls_wait_end(comm);
}

static void give_back(chunk_lock *lock) {
    atomic_store_explicit(&lock->taken, false, memory_order_release);
}

void ls_node_sums_add(ls_node_sums *sums, size_t offset, size_t count, bool first,
                      ls_exchange_write *write, void *context) {
    if (!sums->is_shared) {
        write(context, offset, count, first, sums->mine + offset * sums->width);
        return;
    }
    for (size_t end = offset + count, next; offset < end; offset = next) {
        size_t chunk = offset / LS_CHUNK;
        next = (chunk + 1) * LS_CHUNK < end ? (chunk + 1) * LS_CHUNK : end;
        take(sums->comm, &sums->locks[chunk]);
        write(context, offset, next - offset, false, sums->mine + offset * sums->width);
        give_back(&sums->locks[chunk]);
    }
}

void ls_node_sums_add_zeros(ls_node_sums *sums) {
    if (!sums->is_shared)
        memset(sums->mine, 0, sums->length * sums->width);
}

/* ---- buckets given -------------------------------------------------------------------------- */

void ls_node_sums_give(ls_node_sums *sums, uint64_t count) {
    atomic_store_explicit(&sums->ready[sums->comm->node_rank].count, count, memory_order_release);
}

bool ls_node_sums_given(const ls_node_sums *sums, uint64_t count) {
    for (int rank = 0; rank < sums->comm->node_size; rank++)
        if (atomic_load_explicit(&sums->ready[rank].count, memory_order_acquire) < count)
            return false;
    return true;
}

/* ---- sums over the node --------------------------------------------------------------------- */

/* In the order of the arrays. */
const void *ls_node_sums_of(const ls_node_sums *sums, size_t first, size_t end, void *out) {
    const char *addends = sums->data + first * sums->width;
    const void *sum = addends;
    for (int array = 1; array < sums->arrays; array++, sum = out)
        ls_addends_add(sums->addend, end - first, sum, addends + (size_t)array * sums->stride, out);
    return sum;
}

void ls_node_sums_clear(ls_node_sums *sums, size_t first, size_t end) {
    char *addends = sums->data + first * sums->width;
    for (int array = 0; array < sums->arrays && sums->is_shared; array++)
        memset(addends + (size_t)array * sums->stride, 0, (end - first) * sums->width);
}
