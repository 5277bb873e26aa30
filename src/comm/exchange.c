/* The exchange: the sum of one flat array over all ranks, bucket by bucket, while backward goes on.
 *
 * Buckets are filled from the end of the array, as backward is.  In node mode every rank writes its
 * addends into the node's shared memory (node_sums.h); once all ranks of the node have finished a
 * bucket, each rank sums its share of it, and that share with its peers on the other nodes.  In
 * flat mode each bucket is summed over all ranks.  Both by a ring of few ranks (sum_ring.h) or by
 * MPI_Iallreduce; in both, each rank visits its share of the sums. */
#include <string.h>

#include "comm/addend.h"
#include "comm/node_sums.h"
#include "comm/sum_ring.h"
#include "lockstep/threads.h"

enum {
    BUCKET_CHUNKS = 64,      /* 1 MiB */
    FIRST_BUCKET_CHUNKS = 16 /* starts to travel early */
};

typedef struct ls_bucket {
    size_t first, end;       /* elements of the array */
    size_t my_first, my_end; /* this rank's share of them; a multiple of LS_CHUNK from the start */
    size_t place;            /* of the share, in elements of `partial` and `sums` */
    bool travels;            /* started, and not known to be complete */
    ls_ring_sum sum;         /* over few ranks, */
    MPI_Request request;     /* or MPI's */
    double final;            /* when it became so on this rank; only with a recorder */
} ls_bucket;

struct ls_exchange {
    ls_comm *comm;
    ls_exchange_mode mode; /* node or flat */
    ls_addend addend;
    size_t width; /* bytes of an addend, and of a sum */
    size_t length;
    size_t share;       /* elements of all buckets' shares */
    ls_bucket *buckets; /* [0] is at the end of the array */
    int bucket_count;
    int final_count, started_count; /* of this step, on this rank */
    uint64_t finished;              /* buckets of all steps before this one */
    ls_node_sums *node;             /* node mode: addends of the node's ranks */
    char *addends;                  /* flat mode: this rank's */
    char *partial; /* several nodes, several arrays on each: own shares summed over the node */
    char *sums;    /* over all ranks: several nodes, own shares; flat, all; else a chunk a thread */
    double waited; /* for sums of this step, s */
    ls_recorder *recorder;
};

/* ---- buckets -------------------------------------------------------------------------------- */

static void share_of_bucket(const ls_comm *comm, ls_bucket *bucket) {
    size_t chunks = (bucket->end - bucket->first + LS_CHUNK - 1) / LS_CHUNK;
    size_t ranks = (size_t)comm->node_size, rank = (size_t)comm->node_rank;
    size_t first = bucket->first + chunks * rank / ranks * LS_CHUNK;
    size_t end = bucket->first + chunks * (rank + 1) / ranks * LS_CHUNK;
    bucket->my_first = first < bucket->end ? first : bucket->end;
    bucket->my_end = end < bucket->end ? end : bucket->end;
}

static ls_status make_buckets(ls_exchange *x) {
    size_t chunks = (x->length + LS_CHUNK - 1) / LS_CHUNK;
    size_t most = chunks / BUCKET_CHUNKS + 2;
    LS_TRY(LS_NEW(x->buckets, most));
    size_t end = chunks, size = FIRST_BUCKET_CHUNKS;
    while (end > 0) {
        ls_bucket *bucket = &x->buckets[x->bucket_count++];
        size_t first = end > size ? end - size : 0;
        bucket->first = first * LS_CHUNK;
        bucket->end = end * LS_CHUNK < x->length ? end * LS_CHUNK : x->length;
        bucket->request = MPI_REQUEST_NULL;
        share_of_bucket(x->comm, bucket);
        bucket->place = x->mode == LS_EXCHANGE_FLAT ? bucket->my_first : x->share;
        x->share += bucket->my_end - bucket->my_first;
        end = first;
        size = BUCKET_CHUNKS;
    }
    return LS_OK;
}

/* ---- set-up --------------------------------------------------------------------------------- */

static bool several_nodes(const ls_exchange *x) {
    return x->comm->node_count > 1;
}

static ls_status choose_mode(ls_exchange *x, ls_exchange_mode wanted) {
    if (wanted == LS_EXCHANGE_NODE && !x->comm->uniform)
        return ls_fail(LS_ERR_INPUT, "exchange: node needs the same number of ranks on every node; "
                                     "use 'flat' or 'auto'");
    if (wanted == LS_EXCHANGE_AUTO)
        wanted = x->comm->uniform ? LS_EXCHANGE_NODE : LS_EXCHANGE_FLAT;
    x->mode = wanted;
    return LS_OK;
}

static ls_status new_array(const ls_exchange *x, size_t count, char **array) {
    *array = ls_calloc(count, x->width);
    return *array ? LS_OK : LS_ERR_SYSTEM;
}

/* Elements. */
static size_t chunk_room(void) {
    return (size_t)ls_threads() * LS_CHUNK;
}

/* This rank's own. */
static ls_status make_arrays(ls_exchange *x, int arrays) {
    bool flat = x->mode == LS_EXCHANGE_FLAT;
    if (flat)
        LS_TRY(new_array(x, x->length, &x->addends));
    if (several_nodes(x) && !flat && arrays > 1)
        LS_TRY(new_array(x, x->share, &x->partial));
    if (x->comm->size == 1)
        return LS_OK;
    return new_array(x, flat ? x->length : several_nodes(x) ? x->share : chunk_room(), &x->sums);
}

ls_status ls_exchange_create_with(ls_comm *comm, ls_exchange_mode mode, ls_addend addend,
                                  size_t length, int arrays, ls_exchange **exchange) {
    ls_exchange *x = NULL;
    LS_REQUIRE(length > 0);
    LS_TRY(LS_NEW(x, 1));
    x->comm = comm;
    x->addend = addend;
    x->width = ls_addend_bytes(addend);
    x->length = length;
    ls_status status;
    LS_TRY_GOTO(failed, choose_mode(x, mode));
    LS_TRY_GOTO(failed, ls_comm_agree(comm, make_buckets(x)));
    if (x->mode == LS_EXCHANGE_NODE)
        LS_TRY_GOTO(failed, ls_node_sums_create(comm, addend, length, arrays, &x->node));
    LS_TRY_GOTO(failed, ls_comm_agree(comm, make_arrays(x, arrays)));
    *exchange = x;
    return LS_OK;
failed:
    ls_exchange_free(x);
    return status;
}

ls_status ls_exchange_create(ls_comm *comm, ls_exchange_mode mode, ls_addend addend, size_t length,
                             ls_exchange **exchange) {
    return ls_exchange_create_with(comm, mode, addend, length,
                                   ls_node_arrays(addend, comm->node_size), exchange);
}

void ls_exchange_free(ls_exchange *x) {
    if (x == NULL)
        return;
    ls_free(x->sums);
    ls_free(x->partial);
    ls_free(x->addends);
    ls_node_sums_free(x->node);
    ls_free(x->buckets);
    ls_free(x);
}

ls_exchange_mode ls_exchange_mode_used(const ls_exchange *x) {
    return x->mode;
}

const char *ls_exchange_mode_name(ls_exchange_mode mode) {
    return LS_WORDS_OF(LS_EXCHANGE_MODES)[mode];
}

int ls_exchange_buckets(const ls_exchange *x) {
    return x->bucket_count;
}

size_t ls_exchange_bucket_bytes(const ls_exchange *x, int bucket) {
    return (x->buckets[bucket].end - x->buckets[bucket].first) * x->width;
}

/* ---- memory --------------------------------------------------------------------------------- */

void ls_exchange_memory(const ls_exchange *x, size_t *node, size_t *rank) {
    const ls_comm *comm = x->comm;
    size_t share = x->mode == LS_EXCHANGE_FLAT ? x->length : x->share;
    size_t sums = several_nodes(x) || x->addends ? share : chunk_room();
    *node = x->node ? ls_node_sums_bytes(x->addend, x->length, comm->node_size,
                                         ls_node_sums_arrays(x->node))
                    : 0;
    *rank =
        ((x->addends ? x->length : 0) + (x->partial ? share : 0) + (x->sums ? sums : 0)) * x->width;
}

size_t ls_exchange_node_bytes(ls_exchange_mode mode, ls_addend addend, size_t length, int ranks,
                              int nodes) {
    size_t width = ls_addend_bytes(addend), all = (size_t)ranks * width;
    int arrays = ls_node_arrays(addend, ranks);
    if (mode == LS_EXCHANGE_FLAT)
        return (ranks * nodes > 1 ? 2 : 1) * all * length;
    size_t shared = ls_node_sums_bytes(addend, length, ranks, arrays);
    if (nodes > 1)
        return shared + (arrays > 1 ? 2 : 1) * length * width;
    return shared + (ranks > 1 ? all * LS_CHUNK : 0);
}

/* ---- times ---------------------------------------------------------------------------------- */

double ls_exchange_waited(const ls_exchange *x) {
    return x->waited;
}

void ls_exchange_record(ls_exchange *x, ls_recorder *recorder) {
    x->recorder = recorder;
}

/* This rank has waited for a bucket since `start`. */
static void note_wait(ls_exchange *x, int index, double start) {
    x->waited += ls_seconds() - start;
    ls_record_end(x->recorder, LS_EVENT_WAIT, index, start);
}

/* Once the sums of a bucket can be had. */
static void note_complete(ls_exchange *x, int index) {
    ls_bucket *bucket = &x->buckets[index];
    if (bucket->request != MPI_REQUEST_NULL || !ls_ring_sum_complete(&bucket->sum))
        return;
    bucket->travels = false;
    ls_record_end(x->recorder, LS_EVENT_BUCKET, index, bucket->final);
}

/* ---- a step --------------------------------------------------------------------------------- */

/* Over the ranks of `mpi`, `ranks`. */
static ls_status start_sum(ls_exchange *x, MPI_Comm mpi, int ranks, ls_bucket *bucket,
                           const void *from, void *to, size_t count) {
    if (ls_sum_ring_suits(ranks)) {
        bucket->sum = (ls_ring_sum){.from = from, .to = to, .addend = x->addend, .count = count};
        return ls_sum_ring_start(x->comm->ring, mpi, &bucket->sum);
    }
    LS_MPI(x->comm, MPI_Iallreduce(from, to, (int)count, ls_addend_type(x->addend), MPI_SUM, mpi,
                                   &bucket->request));
    return LS_OK;
}

/* Posts the collective operation of a bucket.  All ranks do so in bucket order. */
static ls_status start_bucket(ls_exchange *x, ls_bucket *bucket) {
    size_t first = bucket->first * x->width, place = bucket->place * x->width;
    if (x->mode == LS_EXCHANGE_FLAT && x->comm->size > 1)
        return start_sum(x, x->comm->buckets, x->comm->size, bucket, x->addends + first,
                         x->sums + first, bucket->end - bucket->first);
    if (x->mode != LS_EXCHANGE_NODE || !several_nodes(x))
        return LS_OK;
    const void *partial = ls_node_sums_of(x->node, bucket->my_first, bucket->my_end,
                                          x->partial ? x->partial + place : NULL);
    return start_sum(x, x->comm->peers, x->comm->node_count, bucket, partial, x->sums + place,
                     bucket->my_end - bucket->my_first);
}

/* Whether all ranks of the node have finished bucket `index` of this step. */
static bool node_has(const ls_exchange *x, int index) {
    return ls_node_sums_given(x->node, x->finished + (uint64_t)index + 1);
}

static void wait_for_node(ls_exchange *x, int index) {
    double start = ls_seconds();
    ls_wait_begin(x->comm);
    for (unsigned spins = 0; !node_has(x, index);)
        ls_wait_a_little(x->comm, &spins);
    ls_wait_end(x->comm);
    note_wait(x, index, start);
}

/* Starts what is complete; without `wait` only what is complete by now. */
static ls_status start_buckets(ls_exchange *x, bool wait) {
    for (; x->started_count < x->final_count; x->started_count++) {
        int index = x->started_count;
        ls_bucket *bucket = &x->buckets[index];
        if (x->mode == LS_EXCHANGE_NODE && !node_has(x, index)) {
            if (!wait)
                return LS_OK;
            wait_for_node(x, index);
        }
        bucket->travels = true;
        LS_TRY(start_bucket(x, bucket));
        note_complete(x, index);
    }
    return LS_OK;
}

static ls_status wait_for_bucket(ls_exchange *x, int index) {
    ls_bucket *bucket = &x->buckets[index];
    if (!bucket->travels)
        return LS_OK;
    double start = ls_seconds();
    LS_TRY(ls_wait_for(x->comm, &bucket->request));
    LS_TRY(ls_sum_ring_wait_for(x->comm->ring, &bucket->sum));
    note_wait(x, index, start);
    note_complete(x, index);
    return LS_OK;
}

void ls_exchange_begin(ls_exchange *x) {
    x->final_count = 0;
    x->started_count = 0;
    x->waited = 0;
    ls_sum_ring_begin(x->comm->ring);
}

void ls_exchange_add(ls_exchange *x, size_t offset, size_t count, bool first,
                     ls_exchange_write *write, void *context) {
    if (x->node)
        ls_node_sums_add(x->node, offset, count, first, write, context);
    else
        write(context, offset, count, first, x->addends + offset * x->width);
}

void ls_exchange_add_zeros(ls_exchange *x) {
    if (x->node)
        ls_node_sums_add_zeros(x->node);
    else
        memset(x->addends, 0, x->length * x->width);
}

/* Makes progress on the buckets that travel. */
static ls_status test_buckets(ls_exchange *x) {
    LS_TRY(ls_sum_ring_test(x->comm->ring));
    for (int i = 0; i < x->started_count; i++) {
        int complete;
        if (!x->buckets[i].travels)
            continue;
        LS_MPI(x->comm, MPI_Test(&x->buckets[i].request, &complete, MPI_STATUS_IGNORE));
        note_complete(x, i);
    }
    return LS_OK;
}

void ls_exchange_final(ls_exchange *x, size_t offset) {
    int before = x->final_count;
    while (x->final_count < x->bucket_count && x->buckets[x->final_count].first >= offset)
        x->buckets[x->final_count++].final = ls_record_start(x->recorder);
    if (x->mode == LS_EXCHANGE_NODE && x->final_count != before)
        ls_node_sums_give(x->node, x->finished + (uint64_t)x->final_count);
    if (start_buckets(x, false) == LS_OK)
        test_buckets(x); /* finish meets the same failure again and reports it */
}

/* The sums of one chunk of a bucket, wherever they are. */
static const void *chunk_sums(ls_exchange *x, const ls_bucket *bucket, size_t first, size_t end) {
    if (x->comm->size == 1 && x->addends)
        return x->addends + first * x->width;
    if (x->mode == LS_EXCHANGE_FLAT || several_nodes(x))
        return x->sums + (bucket->place + first - bucket->my_first) * x->width;
    size_t place = (size_t)ls_thread_number() * LS_CHUNK * x->width;
    return ls_node_sums_of(x->node, first, end, x->sums ? x->sums + place : NULL);
}

typedef struct ls_visits {
    ls_exchange *x;
    const ls_bucket *bucket;
    ls_exchange_visit *visit;
    void *context;
} ls_visits;

static ls_status visit_chunk(void *context, int64_t index) {
    const ls_visits *all = context;
    size_t first = all->bucket->my_first + (size_t)index * LS_CHUNK, end = first + LS_CHUNK;
    end = end < all->bucket->my_end ? end : all->bucket->my_end;
    all->visit(all->context, first, end - first, chunk_sums(all->x, all->bucket, first, end));
    return LS_OK;
}

static void visit_share(ls_exchange *x, const ls_bucket *bucket, ls_exchange_visit *visit,
                        void *context) {
    ls_visits all = {x, bucket, visit, context};
    size_t chunks = (bucket->my_end - bucket->my_first + LS_CHUNK - 1) / LS_CHUNK;
    ls_parallel((int64_t)chunks, visit_chunk, &all);
}

ls_status ls_exchange_finish(ls_exchange *x, ls_exchange_visit *visit, void *context) {
    LS_REQUIRE(x->final_count == x->bucket_count);
    LS_TRY(start_buckets(x, true));
    for (int i = 0; i < x->bucket_count; i++) {
        LS_TRY(wait_for_bucket(x, i));
        visit_share(x, &x->buckets[i], visit, context);
    }
    ls_exchange_close(x);
    return LS_OK;
}

ls_status ls_exchange_wait(ls_exchange *x) {
    LS_REQUIRE(x->final_count == x->bucket_count);
    LS_TRY(start_buckets(x, true));
    for (int i = 0; i < x->bucket_count; i++)
        LS_TRY(wait_for_bucket(x, i));
    return LS_OK;
}

void ls_exchange_visit_sums(ls_exchange *x, ls_exchange_visit *visit, void *context) {
    for (int i = 0; i < x->bucket_count; i++)
        visit_share(x, &x->buckets[i], visit, context);
}

/* One barrier, rather than a wait for its weights in front of each layer of the next forward pass:
 * the first layers' bucket comes last, and to leave buckets under way during that pass was no
 * faster, on one host or over TCP between two. */
void ls_exchange_close(ls_exchange *x) {
    double start = ls_record_start(x->recorder);
    x->finished += (uint64_t)x->bucket_count;
    for (int i = 0; i < x->bucket_count && x->node; i++)
        ls_node_sums_clear(x->node, x->buckets[i].my_first, x->buckets[i].my_end);
    ls_comm_node_barrier(x->comm);
    ls_record_end(x->recorder, LS_EVENT_WAIT, -1, start);
}

ls_status ls_exchange_discard(ls_exchange *x) {
    LS_TRY(ls_exchange_wait(x));
    ls_exchange_close(x);
    return LS_OK;
}
