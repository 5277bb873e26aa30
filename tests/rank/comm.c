/* Agreement on errors, shared memory, and what travels, at any number of ranks. */
#include <math.h>
#include <string.h>

#include "check.h"

enum { SLICES = 11, WORDS = 5 };

static void check_agreement(ls_comm *comm) {
    int rank = ls_comm_rank(comm), last = ls_comm_size(comm) - 1;
    CHECK(comm, ls_comm_agree(comm, LS_OK) == LS_OK);
    ls_status mine = rank == last ? ls_fail(LS_ERR_INPUT, "rank %d says no", rank) : LS_OK;
    CHECK(comm, ls_comm_agree(comm, mine) == LS_ERR_INPUT);
    char expected[64]; /* on several hosts, where it was is said */
    bool several = last > 0 && ls_comm_node_count(comm) > 1;
    snprintf(expected, sizeof expected,
             several ? "rank %d says no (rank %d, on " : "rank %d says no", last, last);
    CHECK(comm, strncmp(ls_message(), expected, strlen(expected)) == 0);
    CHECK(comm, several || strcmp(ls_message(), expected) == 0);
    ls_message_set("");
    CHECK(comm, ls_comm_same(comm, "the word", "same") == LS_OK);
    if (last > 0) {
        CHECK(comm, ls_comm_same(comm, "the word", rank ? "b" : "a") == LS_ERR_INPUT);
        CHECK(comm, strstr(ls_message(), "the word differs between ranks: 'a' on rank 0, 'b' on "
                                         "rank 1"));
        ls_message_set("");
    }
}

static void check_broadcast(ls_comm *comm) {
    int rank = ls_comm_rank(comm), size = ls_comm_size(comm), all[64] = {0};
    double value = rank == size - 1 ? 42.5 : 0;
    CHECK(comm, ls_comm_broadcast(comm, &value, sizeof value, size - 1) == LS_OK);
    CHECK(comm, value == 42.5);
    int mine = rank * rank;
    CHECK(comm, ls_comm_gather(comm, &mine, sizeof mine, all) == LS_OK);
    for (int i = 0; i < size && rank == 0; i++)
        CHECK(comm, all[i] == i * i);
}

static void check_part(ls_comm *comm) {
    int rank = ls_comm_rank(comm), size = ls_comm_size(comm);
    for (int ranks = 1; ranks <= size; ranks++) {
        ls_comm *part;
        CHECK(comm, ls_comm_part(comm, ranks, &part) == LS_OK);
        CHECK(comm, rank > 0 || (part && ls_comm_rank(part) == 0));
        if (part) {
            int64_t one = 1;
            CHECK(comm, ls_comm_size(part) == ranks);
            CHECK(comm, ls_comm_sum_int64(part, &one, 1) == LS_OK && one == ranks);
        }
        int64_t members = part != NULL;
        ls_comm_free(part);
        CHECK(comm, ls_comm_rest(comm) == LS_OK);
        CHECK(comm, ls_comm_sum_int64(comm, &members, 1) == LS_OK && members == ranks);
    }
}

static void check_crowd(ls_comm *comm) {
    double one, many;
    CHECK(comm, ls_comm_crowd(comm, 10000, &one) == LS_OK);
    CHECK(comm, ls_comm_crowd(comm, 20000, &many) == LS_OK);
    CHECK(comm, ls_comm_rank(comm) > 0 || (one > 1 && many == 2 * one));
    CHECK(comm, ls_comm_crowd(comm, 0, &one) == LS_OK);
    CHECK(comm, ls_comm_rank(comm) > 0 || one == 1);
}

static void check_sum(ls_comm *comm) {
    enum { MOST = 10001 };
    static const size_t counts[] = {1, 4096, MOST}; /* around the piece that travels at once */
    static int64_t values[MOST];
    int rank = ls_comm_rank(comm), size = ls_comm_size(comm);
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        for (size_t i = 0; i < counts[c]; i++)
            values[i] = ((int64_t)i << 33) * (rank + 1) - rank;
        CHECK(comm, ls_comm_sum_int64(comm, values, counts[c]) == LS_OK);
        for (size_t i = 0; i < counts[c]; i++)
            CHECK(comm, values[i] ==
                            ((int64_t)i << 33) * (size * (size + 1) / 2) - size * (size - 1) / 2);
    }
}

static void check_shared(ls_comm *comm) {
    ls_shared *shared;
    int ranks = ls_comm_node_size(comm), rank = ls_comm_node_rank(comm);
    CHECK(comm, ls_shared_create(comm, (size_t)ranks * sizeof(int), "the test", &shared) == LS_OK);
    int *values = ls_shared_data(shared);
    CHECK(comm, (size_t)values % LS_ALIGN == 0);
    CHECK(comm, values[rank] == 0);
    for (int round = 1; round <= 200; round++) { /* the barrier, many times */
        values[rank] = round * (rank + 1);
        ls_comm_node_barrier(comm);
        for (int i = 0; i < ranks; i++)
            CHECK(comm, values[i] == round * (i + 1));
        ls_comm_node_barrier(comm);
    }
    ls_shared_free(shared);
    ls_status status = ls_shared_create(comm, (size_t)1 << 50, "the giant", &shared);
    CHECK(comm, status == LS_ERR_SYSTEM);
    CHECK(comm, ranks == 1 || strstr(ls_message(), "the giant needs 1073741824 MiB") != NULL);
    ls_message_set("");
}

static void check_slice_ranges(ls_comm *comm) {
    for (int slices = 1; slices < 20; slices++)
        for (int ranks = 1; ranks <= slices; ranks++) {
            int next = 0;
            for (int rank = 0; rank < ranks; rank++) {
                int first, end;
                ls_slice_range(slices, ranks, rank, &first, &end);
                CHECK(comm, first == next && end > first);
                CHECK(comm, end - first - slices / ranks <= 1);
                next = end;
            }
            CHECK(comm, next == slices);
        }
}

static uint32_t word_of(uint32_t round, int slice, uint32_t word) {
    return 0x7fc00000u + round * 1000 + (uint32_t)slice * 10 + word;
}

static void check_gather(ls_comm *comm) {
    ls_gather *gather;
    int first, end;
    ls_slice_range(SLICES, ls_comm_size(comm), ls_comm_rank(comm), &first, &end);
    CHECK(comm, ls_gather_create(comm, SLICES, WORDS * sizeof(uint32_t), &gather) == LS_OK);
    for (uint32_t round = 0; round < 50; round++) {
        for (int slice = first; slice < end; slice++)
            for (uint32_t word = 0; word < WORDS; word++)
                ((uint32_t *)ls_gather_mine(gather, slice))[word] = word_of(round, slice, word);
        CHECK(comm, ls_gather_start(gather) == LS_OK);
        while (round % 2 == 0 && !ls_gather_test(gather))
            ;
        CHECK(comm, ls_gather_wait(gather) == LS_OK);
        for (int slice = 0; slice < SLICES && ls_comm_rank(comm) == 0; slice++)
            for (uint32_t word = 0; word < WORDS; word++)
                CHECK(comm, ((const uint32_t *)ls_gather_row(gather, slice))[word] ==
                                word_of(round, slice, word));
    }
    ls_gather_free(gather);
}

static void check_allreduce(ls_comm *comm) {
    ls_allreduce *largest, *sum, *nothing;
    int rank = ls_comm_rank(comm), size = ls_comm_size(comm);
    int64_t least = 1000 - rank;
    CHECK(comm, ls_allreduce_create(comm, LS_REDUCTION_MAX_UINT32, WORDS, &largest) == LS_OK);
    CHECK(comm, ls_allreduce_create(comm, LS_REDUCTION_SUM_INT64, WORDS, &sum) == LS_OK);
    CHECK(comm, ls_allreduce_create(comm, LS_REDUCTION_SUM_INT64, 0, &nothing) == LS_OK);
    for (int round = 0; round < 50; round++) {
        for (int word = 0; word < WORDS; word++) { /* the largest, below 0 */
            int at = (word + round) % size;
            ((uint32_t *)ls_allreduce_mine(largest))[word] = rank == at ? INT32_MAX : 7;
            ((int64_t *)ls_allreduce_mine(sum))[word] = -((int64_t)(rank + word) << 40);
        }
        CHECK(comm, ls_allreduce_start(largest) == LS_OK);
        CHECK(comm, ls_allreduce_start(sum) == LS_OK);
        CHECK(comm, ls_allreduce_start(nothing) == LS_OK && ls_allreduce_test(nothing));
        while (round % 2 == 0 && !(ls_allreduce_test(sum) && ls_allreduce_test(largest)))
            ;
        CHECK(comm, ls_allreduce_wait(sum) == LS_OK && ls_allreduce_wait(largest) == LS_OK);
        for (int word = 0; word < WORDS; word++) {
            const int64_t expected = size * word + size * (size - 1) / 2;
            CHECK(comm, ((const uint32_t *)ls_allreduce_result(largest))[word] == INT32_MAX);
            CHECK(comm, ((const int64_t *)ls_allreduce_result(sum))[word] == -(expected << 40));
        }
    }
    CHECK(comm, ls_comm_min_int64(comm, &least) == LS_OK && least == 1001 - size);
    ls_allreduce_free(nothing);
    ls_allreduce_free(sum);
    ls_allreduce_free(largest);
}

/* Whoever waits in the node's barrier passes messages on: what is too large to be sent at once
 * arrives although only one rank of the node looks after it. */
static void check_progress(ls_comm *comm) {
    enum { LARGE = 1 << 20 };
    ls_allreduce *large;
    bool waits_in_barrier = ls_comm_node_rank(comm) > 0;
    CHECK(comm, ls_allreduce_create(comm, LS_REDUCTION_MAX_UINT32, LARGE, &large) == LS_OK);
    CHECK(comm, ls_allreduce_start(large) == LS_OK);
    if (waits_in_barrier)
        ls_comm_node_barrier(comm);
    CHECK(comm, ls_allreduce_wait(large) == LS_OK);
    if (!waits_in_barrier)
        ls_comm_node_barrier(comm);
    ls_allreduce_free(large);
}

static void check_hidden_broadcast(ls_comm *comm) {
    ls_broadcast *broadcast;
    CHECK(comm, ls_broadcast_create(comm, sizeof(double), &broadcast) == LS_OK);
    for (int round = 0; round < 50; round++) {
        double value = round * 1.5;
        if (ls_comm_rank(comm) == 0)
            memcpy(ls_broadcast_data(broadcast), &value, sizeof value);
        CHECK(comm, ls_broadcast_start(broadcast) == LS_OK);
        CHECK(comm, ls_broadcast_wait(broadcast) == LS_OK);
        CHECK(comm, memcmp(ls_broadcast_data(broadcast), &value, sizeof value) == 0);
    }
    ls_broadcast_free(broadcast);
}

/* ---- collecting, clocks --------------------------------------------------------------------- */

typedef struct ls_collected {
    ls_comm *comm;
    int next, fail_at;
} ls_collected;

/* Rank r gives r % 3 * 30000 words, each r: some have none. */
static ls_status take_block(void *context, int rank, const void *data, size_t bytes) {
    ls_collected *collected = context;
    CHECK(collected->comm, rank == collected->next++);
    CHECK(collected->comm, bytes == (size_t)(rank % 3) * 30000 * sizeof(int));
    for (size_t i = 0; i < bytes / sizeof(int); i++)
        CHECK(collected->comm, ((const int *)data)[i] == rank);
    return rank == collected->fail_at ? ls_fail(LS_ERR_INPUT, "no more") : LS_OK;
}

static void check_collect(ls_comm *comm) {
    int rank = ls_comm_rank(comm), size = ls_comm_size(comm);
    size_t count = (size_t)(rank % 3) * 30000;
    int *mine = ls_calloc(count, sizeof *mine);
    for (size_t i = 0; i < count; i++)
        mine[i] = rank;
    for (int fail_at = size; fail_at >= 0; fail_at -= size) { /* nowhere, then at rank 0 */
        ls_collected collected = {.comm = comm, .fail_at = fail_at};
        ls_status status =
            ls_comm_collect(comm, mine, count * sizeof *mine, take_block, &collected);
        CHECK(comm, status == (fail_at == 0 ? LS_ERR_INPUT : LS_OK));
        CHECK(comm, strcmp(ls_message(), fail_at == 0 ? "no more" : "") == 0);
        CHECK(comm, collected.next == (rank > 0 ? 0 : fail_at == 0 ? 1 : size));
    }
    ls_message_set("");
    ls_free(mine);
}

/* The ranks of a test are on one machine: whatever the round trips took, the true offset of 0 is
 * within the error. */
static void check_clocks(ls_comm *comm) {
    ls_clock_offset offset = {7, 7};
    CHECK(comm, ls_comm_clock_offset(comm, &offset) == LS_OK);
    double size = offset.seconds < 0 ? -offset.seconds : offset.seconds;
    CHECK(comm, size <= offset.error);
    CHECK(comm, ls_comm_rank(comm) == 0 ? offset.error == 0 : offset.error > 0);
}

static void check_slowest(ls_comm *comm) {
    int size = ls_comm_size(comm), rank = ls_comm_rank(comm), late = size / 2;
    char host[LS_HOST_SIZE];
    ls_slowest slowest = {.rank = -1};
    ls_host_name(host);
    CHECK(comm, ls_comm_slowest(comm, rank == late ? 3 : 1, &slowest) == LS_OK);
    CHECK(comm, rank != 0 || (slowest.rank == late && slowest.seconds == 3));
    CHECK(comm, rank != 0 || fabs(slowest.mean - (size + 2.0) / size) < 1e-12);
    CHECK(comm, rank != 0 || ls_comm_node_count(comm) > 1 || strcmp(slowest.host, host) == 0);
}

static void count_failure(void *context, ls_comm *comm, ls_status status) {
    CHECK(comm, status == LS_ERR_SYSTEM);
    ++*(int *)context;
}

/* Whatever breaks it is told once; then all it is asked fails, and nobody is waited for. */
static void check_broken(ls_comm *comm) {
    ls_comm *other = NULL;
    int failures = 0, mine = 1;
    int64_t sum = 1;
    CHECK(comm, ls_comm_create(MPI_COMM_NULL, &other) == LS_ERR_INPUT && other == NULL);
    ls_message_set("");
    CHECK(comm, ls_comm_create(MPI_COMM_WORLD, &other) == LS_OK);
    ls_comm_on_failure(other, count_failure, &failures);
    CHECK(comm, ls_comm_check(other) == LS_OK);
    CHECK(comm, ls_comm_broadcast(other, &mine, sizeof mine, ls_comm_size(comm)) == LS_ERR_SYSTEM);
    CHECK(comm, strstr(ls_message(), "MPI_Bcast") && failures == 1);
    ls_message_set("");
    CHECK(comm, ls_comm_break(other, LS_ERR_SYSTEM) == LS_ERR_SYSTEM && failures == 1);
    CHECK(comm, ls_comm_agree(other, LS_OK) == LS_ERR_SYSTEM);
    CHECK(comm, strstr(ls_message(), "cannot go on together") != NULL);
    CHECK(comm, ls_comm_barrier(other) == LS_ERR_SYSTEM);
    CHECK(comm, ls_comm_sum_int64(other, &sum, 1) == (ls_comm_size(comm) > 1 ? LS_ERR_SYSTEM : 0));
    ls_comm_node_barrier(other);
    ls_message_set("");
    ls_comm_free(other);
    CHECK(comm, ls_comm_check(comm) == LS_OK);
}

int main(int argc, char **argv) {
    ls_comm *comm = start_mpi(&argc, &argv);
    check_agreement(comm);
    check_broadcast(comm);
    check_part(comm);
    check_crowd(comm);
    check_sum(comm);
    check_shared(comm);
    check_slice_ranges(comm);
    check_gather(comm);
    check_allreduce(comm);
    check_progress(comm);
    check_hidden_broadcast(comm);
    check_collect(comm);
    check_clocks(comm);
    check_slowest(comm);
    check_broken(comm);
    end_mpi(comm);
    return 0;
}
