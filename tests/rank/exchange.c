/* The exchange gives the same integer sums in every mode, at any number of ranks and of arrays that
 * they share, for lengths around chunk and bucket boundaries, final in pieces, visited once or
 * twice, after discarded steps too; and holds the memory that it says. With an argument the last
 * rank is killed while it adds: nothing but the launcher ends the others. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "comm/node_sums.h"

enum { DEFAULT_ARRAYS = 0 };

typedef struct ls_visited {
    ls_comm *comm;
    int64_t step;
    ls_addend type;
    size_t seen;
} ls_visited;

/* Beyond 32 bits where there are more. */
static int64_t addend(ls_addend type, int rank, size_t i, int64_t step) {
    uint32_t mixed = (uint32_t)i * 2654435761u + (uint32_t)rank * 40503u + (uint32_t)step * 97u;
    int64_t value = (int64_t)(mixed % 2000003u) - 1000001;
    return type == LS_ADDEND_INT64 ? value * 1000003 : value;
}

static void set_value(ls_addend type, void *array, size_t i, int64_t value) {
    if (type == LS_ADDEND_INT32)
        ((int32_t *)array)[i] = (int32_t)value;
    else if (type == LS_ADDEND_INT64)
        ((int64_t *)array)[i] = value;
    else
        ((float *)array)[i] = (float)value;
}

static int64_t get_value(ls_addend type, const void *array, size_t i) {
    if (type == LS_ADDEND_INT32)
        return ((const int32_t *)array)[i];
    return type == LS_ADDEND_INT64 ? ((const int64_t *)array)[i]
                                   : (int64_t)((const float *)array)[i];
}

static void check_sums(void *context, size_t offset, size_t count, const void *sums) {
    ls_visited *visited = context;
    CHECK(visited->comm, offset % LS_CHUNK == 0 && count <= LS_CHUNK);
    for (size_t i = 0; i < count; i++) {
        int64_t expected = 0;
        for (int rank = 0; rank < ls_comm_size(visited->comm); rank++)
            expected += addend(visited->type, rank, offset + i, visited->step);
        CHECK(visited->comm, get_value(visited->type, sums, i) == expected);
    }
    visited->seen += count;
}

typedef struct ls_filling {
    ls_comm *comm;
    ls_addend type;
    int64_t step;
} ls_filling;

/* In two parts, as of two slices: one less, then 1. */
static void write_addends(void *context, size_t offset, size_t count, bool first, void *addends) {
    const ls_filling *f = context;
    for (size_t i = 0; i < count; i++) {
        int64_t there = first ? 0 : get_value(f->type, addends, i);
        int64_t whole = addend(f->type, ls_comm_rank(f->comm), offset + i, f->step);
        set_value(f->type, addends, i, there + whole - 1);
    }
}

static void write_ones(void *context, size_t offset, size_t count, bool first, void *addends) {
    const ls_filling *f = context;
    (void)offset;
    CHECK(f->comm, !first);
    for (size_t i = 0; i < count; i++)
        set_value(f->type, addends, i, get_value(f->type, addends, i) + 1);
}

static void fill(ls_comm *comm, ls_exchange *x, ls_addend type, size_t first, size_t end,
                 int64_t step) {
    ls_filling filling = {comm, type, step};
    ls_exchange_add(x, first, end - first, true, write_addends, &filling);
    ls_exchange_add(x, first, end - first, false, write_ones, &filling);
}

/* The step in parts: what is visited once is visited again, unchanged. */
static void visit_twice(ls_comm *comm, ls_exchange *x, ls_visited *visited) {
    CHECK(comm, ls_exchange_wait(x) == LS_OK);
    ls_exchange_visit_sums(x, check_sums, visited);
    size_t seen = visited->seen;
    ls_comm_node_barrier(comm);
    ls_exchange_visit_sums(x, check_sums, visited);
    CHECK(comm, visited->seen == 2 * seen);
    visited->seen = seen;
    ls_exchange_close(x);
}

/* One step: filled from the end in pieces of `piece`, then finished, at once or in parts, or
 * discarded. */
static void step(ls_comm *comm, ls_exchange *x, ls_addend type, size_t length, size_t piece,
                 int64_t number, size_t *all_seen) {
    ls_exchange_begin(x);
    for (size_t end = length; end > 0;) {
        size_t first = end > piece ? end - piece : 0;
        fill(comm, x, type, first, end, number);
        ls_exchange_final(x, first);
        end = first;
    }
    if (number % 3 == 1) {
        CHECK(comm, ls_exchange_discard(x) == LS_OK);
        *all_seen = length;
        return;
    }
    ls_visited visited = {.comm = comm, .step = number, .type = type};
    if (number % 3 == 2)
        visit_twice(comm, x, &visited);
    else
        CHECK(comm, ls_exchange_finish(x, check_sums, &visited) == LS_OK);
    *all_seen = visited.seen;
}

/* Over the ranks of a node, every element is visited once. */
static void check_coverage(ls_comm *comm, size_t seen, size_t length, bool discarded) {
    size_t *all = calloc((size_t)ls_comm_size(comm), sizeof *all), sum = 0;
    CHECK(comm, ls_comm_gather(comm, &seen, sizeof seen, all) == LS_OK);
    for (int rank = 0; rank < ls_comm_size(comm); rank++)
        sum += all[rank];
    free(all);
    if (ls_comm_rank(comm) == 0 && !discarded)
        CHECK(comm, sum == length * (size_t)ls_comm_node_count(comm));
}

/* Whether some node has more ranks than another. */
static bool uneven(ls_comm *comm) {
    int64_t differing = ls_comm_node_size(comm) * ls_comm_node_count(comm) != ls_comm_size(comm);
    CHECK(comm, ls_comm_sum_int64(comm, &differing, 1) == LS_OK);
    return differing > 0;
}

static void check_mode(ls_comm *comm, ls_exchange_mode mode, ls_addend type, size_t length,
                       int arrays) {
    ls_exchange *x;
    ls_status status = arrays == DEFAULT_ARRAYS
                           ? ls_exchange_create(comm, mode, type, length, &x)
                           : ls_exchange_create_with(comm, mode, type, length, arrays, &x);
    CHECK(comm, status == LS_OK);
    ls_exchange_mode automatic = uneven(comm) ? LS_EXCHANGE_FLAT : LS_EXCHANGE_NODE;
    CHECK(comm, ls_exchange_mode_used(x) == (mode == LS_EXCHANGE_AUTO ? automatic : mode));
    for (int64_t number = 0; number < 6; number++) {
        size_t seen, piece = number % 2 ? 1000 : 77777;
        step(comm, x, type, length, piece, number, &seen);
        check_coverage(comm, seen, length, number % 3 == 1);
    }
    ls_exchange_free(x);
}

/* An array for each rank, one for all of them, and groups of different sizes. */
static void check_node(ls_comm *comm, size_t length) {
    check_mode(comm, LS_EXCHANGE_NODE, LS_ADDEND_INT32, length, DEFAULT_ARRAYS);
    check_mode(comm, LS_EXCHANGE_NODE, LS_ADDEND_INT64, length, DEFAULT_ARRAYS);
    for (int arrays = 1; arrays < comm->node_size && arrays < 3; arrays++) {
        check_mode(comm, LS_EXCHANGE_NODE, LS_ADDEND_INT32, length, arrays);
        check_mode(comm, LS_EXCHANGE_NODE, LS_ADDEND_INT64, length, arrays);
    }
}

static void see_zeros(void *context, size_t offset, size_t count, const void *sums) {
    (void)offset;
    for (size_t i = 0; i < count; i++)
        CHECK((ls_comm *)context, ((const int32_t *)sums)[i] == 0);
}

/* Every bucket is noted once a step, finished or discarded, and waiting is counted. */
static void check_record(ls_comm *comm, ls_exchange_mode mode) {
    enum { LENGTH = 200 * LS_CHUNK + 16 };
    ls_exchange *x;
    ls_recorder recorder = {0};
    size_t seen, bytes = 0;
    CHECK(comm, ls_exchange_create(comm, mode, LS_ADDEND_INT32, LENGTH, &x) == LS_OK);
    int buckets = ls_exchange_buckets(x);
    for (int bucket = 0; bucket < buckets; bucket++)
        bytes += ls_exchange_bucket_bytes(x, bucket);
    CHECK(comm, buckets > 2 && bytes == LENGTH * sizeof(int32_t));
    ls_exchange_record(x, &recorder);
    for (int64_t number = 0; number < 3; number++) { /* finished, discarded, in parts */
        double waits = 0, start = ls_seconds();
        int64_t noted = 0, indices = 0;
        recorder.count = 0;
        step(comm, x, LS_ADDEND_INT32, LENGTH, 50000, number, &seen);
        for (size_t i = 0; i < recorder.count; i++) {
            const ls_event *event = &recorder.events[i];
            CHECK(comm, event->start >= start && event->end >= event->start);
            noted += event->kind == LS_EVENT_BUCKET;
            if (event->kind == LS_EVENT_BUCKET)
                indices += event->index;
            if (event->kind == LS_EVENT_WAIT && event->index >= 0)
                waits += event->end - event->start;
        }
        CHECK(comm, noted == buckets && indices == noted * (noted - 1) / 2);
        CHECK(comm, ls_exchange_waited(x) <= waits + 1e-9);
        CHECK(comm, ls_exchange_waited(x) >= 0);
    }
    ls_exchange_record(x, NULL);
    size_t count = recorder.count;
    step(comm, x, LS_ADDEND_INT32, LENGTH, 50000, 0, &seen);
    CHECK(comm, recorder.count == count);
    ls_recorder_free(&recorder);
    ls_exchange_free(x);
}

/* A rank whose slices have no samples. */
static void check_zeros(ls_comm *comm, ls_exchange_mode mode, int arrays) {
    enum { LENGTH = LS_CHUNK + 5 };
    ls_exchange *x;
    size_t seen;
    CHECK(comm, ls_exchange_create_with(comm, mode, LS_ADDEND_INT32, LENGTH, arrays, &x) == LS_OK);
    step(comm, x, LS_ADDEND_INT32, LENGTH, LENGTH, 0, &seen);
    ls_exchange_begin(x);
    ls_exchange_add_zeros(x);
    ls_exchange_final(x, 0);
    CHECK(comm, ls_exchange_finish(x, see_zeros, comm) == LS_OK);
    ls_exchange_free(x);
}

/* Of all ranks of this node. */
static double node_sum(ls_comm *comm, double mine) {
    double sum;
    MPI_Allreduce(&mine, &sum, 1, MPI_DOUBLE, MPI_SUM, comm->node);
    return sum;
}

/* Bytes that this process has of its own and shares with others, each of n an n-th; without files,
 * whose pages programs of other users share, too.  0: the system does not tell. */
static double own_memory(void) {
    char line[256];
    double bytes = 0;
    unsigned long long kibibytes;
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Pss_Anon: %llu", &kibibytes) == 1 ||
            sscanf(line, "Pss_Shmem: %llu", &kibibytes) == 1)
            bytes += 1024.0 * (double)kibibytes;
    if (file)
        fclose(file);
    return bytes;
}

/* What it says it holds is what the system says that the processes of the node take more. */
static void check_memory(ls_comm *comm, ls_addend type, int arrays) {
    enum { LENGTH = 1000 * LS_CHUNK + 7 };
    ls_exchange *x;
    size_t node, rank, seen;
    double before = node_sum(comm, own_memory());
    CHECK(comm, ls_exchange_create_with(comm, LS_EXCHANGE_NODE, type, LENGTH, arrays, &x) == LS_OK);
    step(comm, x, type, LENGTH, LENGTH, 0, &seen);
    ls_exchange_memory(x, &node, &rank);
    double said = (double)node + node_sum(comm, (double)rank);
    double taken = node_sum(comm, own_memory()) - before;
    CHECK(comm, before == 0 || taken > 0.95 * said);
    if (comm->node_count == 1) /* among nodes MPI takes buffers, too */
        CHECK(comm, taken < 1.05 * said);
    if (arrays == ls_node_arrays(type, comm->node_size))
        CHECK(comm, said == (double)ls_exchange_node_bytes(LS_EXCHANGE_NODE, type, LENGTH,
                                                           comm->node_size, comm->node_count));
    ls_exchange_free(x);
}

/* 25 million parameters, 128 ranks a node; before there were shared arrays, 12.8 GB. */
static void check_large_node(ls_comm *comm) {
    for (int nodes = 1; nodes <= 1000; nodes *= 1000) {
        CHECK(comm, ls_exchange_node_bytes(LS_EXCHANGE_NODE, LS_ADDEND_INT32, 25000000, 128,
                                           nodes) < (size_t)1900 << 20);
        CHECK(comm, ls_exchange_node_bytes(LS_EXCHANGE_NODE, LS_ADDEND_INT64, 25000000, 128,
                                           nodes) < (size_t)2000 << 20);
    }
}

static void die(void *context, size_t offset, size_t count, bool first, void *addends) {
    const ls_comm *comm = context;
    (void)offset, (void)count, (void)first, (void)addends;
    if (comm->rank == comm->size - 1)
        raise(SIGKILL);
}

static void add_until_killed(ls_comm *comm) {
    ls_exchange *x;
    CHECK(comm,
          ls_exchange_create_with(comm, LS_EXCHANGE_NODE, LS_ADDEND_INT32, 1, 1, &x) == LS_OK);
    for (;;)
        ls_exchange_add(x, 0, 1, true, die, comm);
}

/* On uneven nodes the node mode is refused, and auto is flat. */
static void check_uneven(ls_comm *comm, size_t length) {
    ls_exchange *x;
    CHECK(comm,
          ls_exchange_create(comm, LS_EXCHANGE_NODE, LS_ADDEND_INT32, length, &x) == LS_ERR_INPUT);
    CHECK(comm, strstr(ls_message(), "use 'flat' or 'auto'") != NULL);
    ls_message_set("");
    check_mode(comm, LS_EXCHANGE_AUTO, LS_ADDEND_INT32, length, DEFAULT_ARRAYS);
}

int main(int argc, char **argv) {
    const size_t lengths[] = {1, 16, LS_CHUNK, LS_CHUNK + 16, 16 * LS_CHUNK + 1, 700001};
    ls_comm *comm = start_mpi(&argc, &argv);
    if (argc > 1)
        add_until_killed(comm);
    check_large_node(comm);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        if (uneven(comm))
            check_uneven(comm, lengths[i]);
        else
            check_node(comm, lengths[i]);
        check_mode(comm, LS_EXCHANGE_FLAT, LS_ADDEND_INT32, lengths[i], DEFAULT_ARRAYS);
        check_mode(comm, LS_EXCHANGE_FLAT, LS_ADDEND_INT64, lengths[i], DEFAULT_ARRAYS);
        check_mode(comm, LS_EXCHANGE_AUTO, LS_ADDEND_FLOAT32, lengths[i], DEFAULT_ARRAYS);
    }
    if (!uneven(comm)) {
        check_record(comm, LS_EXCHANGE_NODE);
        check_memory(comm, LS_ADDEND_INT32, comm->node_size);
        check_memory(comm, LS_ADDEND_INT64, 1);
        check_zeros(comm, LS_EXCHANGE_NODE, comm->node_size);
        check_zeros(comm, LS_EXCHANGE_NODE, 1);
    }
    check_zeros(comm, LS_EXCHANGE_FLAT, comm->node_size);
    check_record(comm, LS_EXCHANGE_FLAT);
    end_mpi(comm);
    return 0;
}
