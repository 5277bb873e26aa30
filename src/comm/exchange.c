/* The exchange: the sum of one flat array over all ranks, bucket by bucket, while backward goes on.
 *
 * Buckets are filled from the end of the array, as backward is.  In node mode every rank writes its
 * addends into its own stretch of the node's shared memory; once all ranks of the node have
 * finished a bucket, each rank sums its share of it and exchanges that share with its peers on the
 * other nodes.  In flat mode each bucket is one MPI_Iallreduce over all ranks.  In both, each rank
 * visits its share of the sums. */
#include <stdatomic.h>
#include <string.h>

#include "comm/comm.h"

enum {
    BUCKET_CHUNKS = 64,      /* 1 MiB */
    FIRST_BUCKET_CHUNKS = 16 /* starts to travel early */
};

typedef struct ls_bucket {
    size_t first, end;       /* elements of the array */
    size_t my_first, my_end; /* this rank's share of them; a multiple of LS_CHUNK from the start */
    MPI_Request request;
    double final; /* when it became so on this rank; only with a recorder */
} ls_bucket;

/* How many buckets of which step a rank of the node has finished; a cache line each. */
typedef struct ls_ready {
    _Alignas(LS_ALIGN) atomic_uint_least64_t count;
} ls_ready;

struct ls_exchange {
    ls_comm *comm;
    ls_exchange_mode mode; /* node or flat */
    ls_addend addend;
    size_t width;          /* bytes of an addend, and of a sum */
    size_t length, stride; /* stride: bytes from one rank's addends to the next one's */
    ls_bucket *buckets;    /* [0] is at the end of the array */
    int bucket_count;
    int final_count, started_count; /* of this step, on this rank */
    uint64_t finished;              /* buckets of all steps before this one */
    ls_shared *memory;              /* node mode: addends of all ranks of the node, then ready */
    ls_ready *ready;                /* per node rank */
    char *addends;                  /* this rank's */
    char *partial;                  /* node mode, several nodes: sums over the node, own shares */
    char *sums;                     /* over all ranks */
    double waited;                  /* for sums of this step, s */
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
        end = first;
        size = BUCKET_CHUNKS;
    }
    return LS_OK;
}

const char *ls_addend_name(ls_addend addend) {
    static const char *const names[] = {
        [LS_ADDEND_INT32] = "int32", [LS_ADDEND_INT64] = "int64", [LS_ADDEND_FLOAT32] = "float32"};
    return names[addend];
}

size_t ls_addend_bytes(ls_addend addend) {
    return addend == LS_ADDEND_INT64 ? sizeof(int64_t) : sizeof(int32_t);
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

static ls_status make_memory(ls_exchange *x) {
    ls_comm *comm = x->comm;
    x->stride = (x->length + LS_CHUNK - 1) / LS_CHUNK * LS_CHUNK * x->width;
    if (x->mode == LS_EXCHANGE_FLAT) {
        ls_status status = new_array(x, x->length, &x->addends);
        if (status == LS_OK && comm->size > 1)
            status = new_array(x, x->length, &x->sums);
        return ls_comm_agree(comm, status);
    }
    size_t ranks = (size_t)comm->node_size;
    size_t addends = ranks * x->stride;
    LS_TRY(ls_shared_create(comm, addends + ranks * sizeof *x->ready,
                            "the gradient exchange (exchange: flat needs less)", &x->memory));
    x->addends = (char *)ls_shared_data(x->memory) + (size_t)comm->node_rank * x->stride;
    x->ready = (ls_ready *)((char *)ls_shared_data(x->memory) + addends);
    ls_status status = LS_OK;
    if (several_nodes(x)) {
        status = new_array(x, x->length, &x->partial);
        if (status == LS_OK)
            status = new_array(x, x->length, &x->sums);
    } else if (comm->size > 1) {
        status = new_array(x, LS_CHUNK, &x->sums);
    }
    return ls_comm_agree(comm, status);
}

ls_status ls_exchange_create(ls_comm *comm, ls_exchange_mode mode, ls_addend addend, size_t length,
                             ls_exchange **exchange) {
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
    LS_TRY_GOTO(failed, make_memory(x));
    *exchange = x;
    return LS_OK;
failed:
    ls_exchange_free(x);
    return status;
}

void ls_exchange_free(ls_exchange *x) {
    if (x == NULL)
        return;
    ls_free(x->sums);
    ls_free(x->partial);
    if (x->mode == LS_EXCHANGE_FLAT)
        ls_free(x->addends);
    ls_shared_free(x->memory);
    ls_free(x->buckets);
    ls_free(x);
}

void *ls_exchange_buffer(ls_exchange *x) {
    return x->addends;
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

void ls_exchange_memory(const ls_exchange *x, size_t *node, size_t *rank) {
    bool flat = x->mode == LS_EXCHANGE_FLAT;
    size_t array = x->length * x->width;
    *node = x->memory ? ls_shared_bytes(x->memory) : 0;
    *rank = (flat ? array : 0) + (x->partial ? array : 0);
    if (x->sums)
        *rank += flat || x->partial ? array : LS_CHUNK * x->width;
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

/* The sums of a bucket can be had. */
static void note_complete(ls_exchange *x, int index) {
    ls_record_end(x->recorder, LS_EVENT_BUCKET, index, x->buckets[index].final);
}

/* ---- sums over the node --------------------------------------------------------------------- */

/* Whether all ranks of the node have finished bucket `index` of this step. */
static bool node_has(const ls_exchange *x, int index) {
    uint64_t wanted = x->finished + (uint64_t)index + 1;
    for (int rank = 0; rank < x->comm->node_size; rank++)
        if (atomic_load_explicit(&x->ready[rank].count, memory_order_acquire) < wanted)
            return false;
    return true;
}

/* out = a + b; out may be a. */
LS_CLONES
static void add_int32(size_t count, const int32_t *a, const int32_t *b, int32_t *out) {
    for (size_t i = 0; i < count; i++)
        out[i] = a[i] + b[i];
}

LS_CLONES
static void add_int64(size_t count, const int64_t *a, const int64_t *b, int64_t *out) {
    for (size_t i = 0; i < count; i++)
        out[i] = a[i] + b[i];
}

LS_CLONES
static void add_float(size_t count, const float *a, const float *b, float *out) {
    for (size_t i = 0; i < count; i++)
        out[i] = a[i] + b[i];
}

static void add(ls_addend addend, size_t count, const void *a, const void *b, void *out) {
    if (addend == LS_ADDEND_INT32)
        add_int32(count, a, b, out);
    else if (addend == LS_ADDEND_INT64)
        add_int64(count, a, b, out);
    else
        add_float(count, a, b, out);
}

/* Sums of [first, end) over the ranks of the node, in node rank order. */
static void sum_over_node(const ls_exchange *x, size_t first, size_t end, void *out) {
    const char *addends = (const char *)ls_shared_data(x->memory) + first * x->width;
    const void *sums = addends;
    size_t count = end - first;
    if (x->comm->node_size == 1)
        memcpy(out, sums, count * x->width);
    for (int rank = 1; rank < x->comm->node_size; rank++, sums = out)
        add(x->addend, count, sums, addends + (size_t)rank * x->stride, out);
}

/* ---- a step --------------------------------------------------------------------------------- */

/* Elements [first, end) of two arrays that begin alike. */
static ls_status start_sum(ls_exchange *x, MPI_Comm mpi, const char *from, size_t first, size_t end,
                           MPI_Request *request) {
    static const MPI_Datatype types[] = {[LS_ADDEND_INT32] = MPI_INT32_T,
                                         [LS_ADDEND_INT64] = MPI_INT64_T,
                                         [LS_ADDEND_FLOAT32] = MPI_FLOAT};
    size_t offset = first * x->width;
    LS_MPI(x->comm, MPI_Iallreduce(from + offset, x->sums + offset, (int)(end - first),
                                   types[x->addend], MPI_SUM, mpi, request));
    return LS_OK;
}

/* Posts the collective operation of a bucket.  All ranks do so in bucket order. */
static ls_status start_bucket(ls_exchange *x, ls_bucket *bucket) {
    size_t first = bucket->my_first, end = bucket->my_end;
    if (x->mode == LS_EXCHANGE_FLAT && x->comm->size > 1)
        return start_sum(x, x->comm->buckets, x->addends, bucket->first, bucket->end,
                         &bucket->request);
    if (x->mode != LS_EXCHANGE_NODE || !several_nodes(x))
        return LS_OK;
    sum_over_node(x, first, end, x->partial + first * x->width);
    return start_sum(x, x->comm->peers, x->partial, first, end, &bucket->request);
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
        LS_TRY(start_bucket(x, bucket));
        if (bucket->request == MPI_REQUEST_NULL)
            note_complete(x, index);
    }
    return LS_OK;
}

static ls_status wait_for_bucket(ls_exchange *x, int index) {
    ls_bucket *bucket = &x->buckets[index];
    if (bucket->request == MPI_REQUEST_NULL)
        return LS_OK;
    double start = ls_seconds();
    LS_TRY(ls_wait_for(x->comm, &bucket->request));
    note_wait(x, index, start);
    note_complete(x, index);
    return LS_OK;
}

void ls_exchange_begin(ls_exchange *x) {
    x->final_count = 0;
    x->started_count = 0;
    x->waited = 0;
}

/* Makes progress on the buckets that travel. */
static void test_buckets(ls_exchange *x) {
    for (int i = 0; i < x->started_count; i++) {
        int complete = 0;
        if (x->buckets[i].request == MPI_REQUEST_NULL)
            continue;
        ls_mpi_check(x->comm, MPI_Test(&x->buckets[i].request, &complete, MPI_STATUS_IGNORE),
                     "MPI_Test");
        if (complete)
            note_complete(x, i);
    }
}

void ls_exchange_final(ls_exchange *x, size_t offset) {
    int before = x->final_count;
    while (x->final_count < x->bucket_count && x->buckets[x->final_count].first >= offset)
        x->buckets[x->final_count++].final = ls_record_start(x->recorder);
    if (x->mode == LS_EXCHANGE_NODE && x->final_count != before)
        atomic_store_explicit(&x->ready[x->comm->node_rank].count,
                              x->finished + (uint64_t)x->final_count, memory_order_release);
    if (start_buckets(x, false) != LS_OK)
        return; /* finish meets the same failure again and reports it */
    test_buckets(x);
}

/* The sums of one chunk, wherever they are. */
static const void *chunk_sums(ls_exchange *x, size_t first, size_t end) {
    if (x->comm->size == 1)
        return x->addends + first * x->width;
    if (x->mode == LS_EXCHANGE_FLAT || several_nodes(x))
        return x->sums + first * x->width;
    sum_over_node(x, first, end, x->sums);
    return x->sums;
}

static void visit_share(ls_exchange *x, const ls_bucket *bucket, ls_exchange_visit *visit,
                        void *context) {
    for (size_t first = bucket->my_first; first < bucket->my_end; first += LS_CHUNK) {
        size_t end = first + LS_CHUNK < bucket->my_end ? first + LS_CHUNK : bucket->my_end;
        visit(context, first, end - first, chunk_sums(x, first, end));
    }
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
    ls_comm_node_barrier(x->comm);
    ls_record_end(x->recorder, LS_EVENT_WAIT, -1, start);
}

ls_status ls_exchange_discard(ls_exchange *x) {
    LS_TRY(ls_exchange_wait(x));
    ls_exchange_close(x);
    return LS_OK;
}
