/* MPI_Iallreduce and MPI_Ibcast by messages between pairs of ranks, through MPI's profiling
 * interface: SimGrid's own send every rank's array to every rank, which a thousand of them have no
 * memory for. Sums: recursive halving and doubling; short arrays and maxima of few: recursive
 * doubling (Thakur, Rabenseifner and Gropp, "Optimization of collective communication operations in
 * MPICH", 2005); broadcasts: a binomial tree.  As in MPI libraries, a stage follows the one before
 * it when this rank calls MPI_Test or MPI_Wait.  Ranks that are no power of two get the library's
 * own allreduce. */
#include <string.h>
#include <time.h>

#include "lockstep/base.h"
#include "lockstep/mpi.h"
#include "simulate/collectives.h"

enum {
    MOST_PENDING = 32,
    MOST_ACTIVE = 512,
    MOST_COMMS = 16,
    ADVANCED = 8,
    SHORT_BYTES = 2048,
    LONG_BYTES = 1 << 15
};

typedef struct operation operation;
struct operation {
    bool (*next)(operation *); /* starts the next stage; false: there is none */
    MPI_Comm comm;
    int tag, rank, size;
    MPI_Request pending[MOST_PENDING];
    int pending_count;
    /* allreduce */
    char *to, *scratch; /* scratch: what comes in */
    MPI_Datatype type;
    MPI_Op op;
    int width, distance;     /* bytes of an element; to the partner of this stage */
    bool whole, doubling;    /* recursive doubling alone; the sums are spread again */
    size_t first, end;       /* elements that this rank holds, */
    size_t in_first, in_end; /* and that come in: to be added, unless doubling */
    /* broadcast */
    int count, mask;
    bool ended;
};

bool collectives_without_numbers;
static operation *active[MOST_ACTIVE];
static int active_count;

static struct {
    MPI_Comm comm;
    int started;
} comms[MOST_COMMS];

/* All ranks of a communicator start its operations in the same order. */
static int next_tag(MPI_Comm comm) {
    int i = 0;
    while (i < MOST_COMMS - 1 && comms[i].comm != comm && comms[i].started > 0)
        i++;
    comms[i].comm = comm;
    return 100 + comms[i].started++ % 16384;
}

static void start(operation *o, MPI_Comm comm, MPI_Request *request) {
    o->comm = comm;
    o->tag = next_tag(comm);
    for (int i = 0; i < MOST_PENDING; i++)
        o->pending[i] = MPI_REQUEST_NULL;
    o->ended = !o->next(o);
    active[active_count++] = o;
    memcpy(request, &o, sizeof o);
}

static void send_to(operation *o, int rank, const void *data, int count, MPI_Datatype type) {
    PMPI_Isend(data, count, type, rank, o->tag, o->comm, &o->pending[o->pending_count++]);
}

static void receive_from(operation *o, int rank, void *data, int count, MPI_Datatype type) {
    PMPI_Irecv(data, count, type, rank, o->tag, o->comm, &o->pending[o->pending_count++]);
}

/* ---- allreduce ------------------------------------------------------------------------------ */

static char *at(const operation *o, char *array, size_t element) {
    return array + element * (size_t)o->width;
}

/* Sends elements [first, end) of the sums, receives [in_first, in_end). */
static void swap(operation *o, size_t first, size_t end, char *into) {
    int partner = o->rank ^ o->distance;
    receive_from(o, partner, at(o, into, o->in_first), (int)(o->in_end - o->in_first), o->type);
    send_to(o, partner, at(o, o->to, first), (int)(end - first), o->type);
}

/* Short arrays have them always. */
static bool has_numbers(size_t count, int width) {
    return !collectives_without_numbers || count * (size_t)width <= LONG_BYTES;
}

static void add_received(operation *o) {
    if (!o->doubling && o->in_end > o->in_first && has_numbers(o->end, o->width))
        PMPI_Reduce_local(at(o, o->scratch, o->in_first), at(o, o->to, o->in_first),
                          (int)(o->in_end - o->in_first), o->type, o->op);
    o->in_end = o->in_first;
}

static bool next_whole(operation *o) {
    add_received(o);
    if (o->distance == o->size)
        return false;
    o->in_first = o->first;
    o->in_end = o->end;
    swap(o, o->first, o->end, o->scratch);
    o->distance *= 2;
    return true;
}

/* The halves of [first, end) that a stage of halving makes, seen from the whole array. */
static void find_window(const operation *o, size_t count, int distance, size_t *first,
                        size_t *end) {
    *first = 0;
    *end = count;
    for (int d = o->size / 2; d > distance; d /= 2) {
        size_t middle = (*first + *end) / 2;
        if (o->rank & d)
            *first = middle;
        else
            *end = middle;
    }
}

static bool next_halving(operation *o) {
    add_received(o);
    if (!o->doubling && o->distance == 0) {
        o->doubling = true;
        o->distance = 1;
    }
    if (o->doubling && o->distance == o->size)
        return false;
    size_t first, end;
    find_window(o, o->end, o->distance, &first, &end);
    size_t middle = (first + end) / 2;
    bool upper = o->rank & o->distance;
    size_t low = upper ? middle : first, high = upper ? end : middle; /* kept */
    if (o->doubling) {
        o->in_first = upper ? first : middle;
        o->in_end = upper ? middle : end;
        swap(o, low, high, o->to);
        o->distance *= 2;
    } else {
        o->in_first = low;
        o->in_end = high;
        swap(o, upper ? first : middle, upper ? middle : end, o->scratch);
        o->distance /= 2;
    }
    return true;
}

int MPI_Iallreduce(const void *from, void *to, int count, MPI_Datatype type, MPI_Op op,
                   MPI_Comm comm, MPI_Request *request) {
    int rank, size, width;
    operation *o;
    PMPI_Comm_rank(comm, &rank);
    PMPI_Comm_size(comm, &size);
    PMPI_Type_size(type, &width);
    if ((size & (size - 1)) != 0 || active_count == MOST_ACTIVE || LS_NEW(o, 1) != LS_OK)
        return PMPI_Iallreduce(from, to, count, type, op, comm, request);
    bool whole = (size_t)count * (size_t)width <= SHORT_BYTES || count < size;
    *o = (operation){.next = whole ? next_whole : next_halving,
                     .rank = rank,
                     .size = size,
                     .to = to,
                     .scratch = ls_calloc((size_t)count, (size_t)width),
                     .type = type,
                     .op = op,
                     .width = width,
                     .distance = whole ? 1 : size / 2,
                     .end = (size_t)count};
    if (o->scratch == NULL)
        return MPI_ERR_NO_MEM;
    if (has_numbers((size_t)count, width))
        memcpy(to, from, (size_t)count * (size_t)width);
    start(o, comm, request);
    return MPI_SUCCESS;
}

/* ---- broadcast ------------------------------------------------------------------------------ */

/* First from the parent, then to all children. */
static bool next_broadcast(operation *o) {
    if (o->mask == 0) {
        for (o->mask = 1; o->mask < o->size && !(o->rank & o->mask); o->mask *= 2)
            ;
        if (o->rank > 0) {
            receive_from(o, o->rank - o->mask, o->to, o->count, o->type);
            return true;
        }
    }
    if (o->mask == 1)
        return false;
    for (int child = o->mask / 2; child > 0; child /= 2)
        if (o->rank + child < o->size)
            send_to(o, o->rank + child, o->to, o->count, o->type);
    o->mask = 1;
    return o->pending_count > 0;
}

int MPI_Ibcast(void *data, int count, MPI_Datatype type, int root, MPI_Comm comm,
               MPI_Request *request) {
    int rank, size;
    operation *o;
    PMPI_Comm_rank(comm, &rank);
    PMPI_Comm_size(comm, &size);
    if (root != 0 || active_count == MOST_ACTIVE || LS_NEW(o, 1) != LS_OK)
        return PMPI_Ibcast(data, count, type, root, comm, request);
    *o = (operation){.next = next_broadcast,
                     .rank = rank,
                     .size = size,
                     .to = data,
                     .count = count,
                     .type = type};
    start(o, comm, request);
    return MPI_SUCCESS;
}

/* ---- progress ------------------------------------------------------------------------------- */

static operation *find(const MPI_Request *request) {
    operation *o;
    memcpy(&o, request, sizeof o);
    for (int i = 0; i < active_count; i++)
        if (active[i] == o)
            return o;
    return NULL;
}

/* Of which all messages have come and gone. */
static void go_on(operation *o) {
    o->pending_count = 0;
    o->ended = o->ended || !o->next(o);
}

static int finish(operation *o, MPI_Request *request) {
    int i = 0;
    while (active[i] != o)
        i++;
    memmove(active + i, active + i + 1, (size_t)(--active_count - i) * sizeof(operation *));
    ls_free(o->scratch);
    ls_free(o);
    *request = MPI_REQUEST_NULL;
    return MPI_SUCCESS;
}

int MPI_Test(MPI_Request *request, int *flag, MPI_Status *status) {
    operation *o = find(request);
    if (o == NULL)
        return PMPI_Test(request, flag, status);
    *flag = o->ended;
    while (!o->ended) {
        PMPI_Testall(o->pending_count, o->pending, flag, MPI_STATUSES_IGNORE);
        if (!*flag)
            return MPI_SUCCESS;
        go_on(o);
    }
    return finish(o, request);
}

/* Hosts of one machine share its cores: there who waits naps, rather than take them from the
 * others. */
static void wait_for_any(int count, MPI_Request *requests, int *index) {
#ifdef SIMULATED
    PMPI_Waitany(count, requests, index, MPI_STATUS_IGNORE);
#else
    const struct timespec nap = {0, 20000};
    int found = 0;
    while (PMPI_Testany(count, requests, index, &found, MPI_STATUS_IGNORE), !found)
        nanosleep(&nap, NULL);
#endif
}

/* Waits for one message of the operations, and goes on with those that have all. */
static void progress(operation *const *of, int count) {
    MPI_Request all[ADVANCED * MOST_PENDING];
    MPI_Request *place[ADVANCED * MOST_PENDING];
    int messages = 0, index;
    for (int i = 0; i < count; i++) {
        int before = messages;
        for (int j = 0; j < of[i]->pending_count; j++)
            if (of[i]->pending[j] != MPI_REQUEST_NULL) {
                place[messages] = &of[i]->pending[j];
                all[messages++] = of[i]->pending[j];
            }
        if (messages == before && !of[i]->ended) {
            go_on(of[i]);
            return;
        }
    }
    wait_for_any(messages, all, &index);
    *place[index] = MPI_REQUEST_NULL;
}

int MPI_Wait(MPI_Request *request, MPI_Status *status) {
    operation *o = find(request);
    if (o == NULL)
        return PMPI_Wait(request, status);
    while (!o->ended) {
        operation *of[ADVANCED] = {o};
        int count = 1;
        for (int i = 0; i < active_count && count < ADVANCED; i++)
            if (active[i] != o && !active[i]->ended)
                of[count++] = active[i];
        progress(of, count);
    }
    return finish(o, request);
}

/* With the messages of sums around a ring, an operation may come last.  The other hosts of a
 * machine get its cores while this one waits. */
int MPI_Waitsome(int count, MPI_Request *requests, int *done, int *indices, MPI_Status *statuses) {
    const struct timespec nap = {0, 20000};
    const bool own = find(&requests[count - 1]) != NULL;
#ifdef SIMULATED
    if (!own) { /* SMPI's waitsome tests each request, which takes time */
        PMPI_Waitany(count, requests, indices, MPI_STATUS_IGNORE);
        *done = 1;
        return MPI_SUCCESS;
    }
#endif
    for (;; nanosleep(&nap, NULL)) {
        int there = 0;
        PMPI_Testsome(count - own, requests, done, indices, statuses);
        if (*done != MPI_UNDEFINED && *done > 0)
            return MPI_SUCCESS;
        if (own)
            MPI_Test(&requests[count - 1], &there, MPI_STATUS_IGNORE);
        if (there) {
            *done = 1;
            indices[0] = count - 1;
            return MPI_SUCCESS;
        }
    }
}
