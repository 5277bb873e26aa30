/* Sums around a ring are those of one rank, on any number of ranks: of counts that do not divide,
 * of one element and of none, of more pieces than there are places, several at a time, moved on by
 * tests and by waits for something else. */
#include <string.h>

#include "check.h"
#include "comm/addend.h"
#include "comm/sum_ring.h"

enum { MOST = 1000001, SUMS = 4 };

/* Different for each element; that a rank is missing or counted twice shows in the sum, too. */
static int64_t addend(int rank, size_t i, int round) {
    return (int64_t)((i * 2654435761u + (size_t)round * 97) % 100003u) + ((int64_t)1 << 2 * rank);
}

static int64_t sum_of_addends(int ranks, size_t i, int round) {
    const int64_t one = addend(0, i, round) - 1;
    return one * ranks + (((int64_t)1 << 2 * ranks) - 1) / 3;
}

/* Floats of whole numbers below 2^24: their sums are exact. */
static int64_t get(ls_addend type, const char *array, size_t i) {
    if (type == LS_ADDEND_INT64)
        return ((const int64_t *)array)[i];
    return type == LS_ADDEND_INT32 ? ((const int32_t *)array)[i]
                                   : (int64_t)((const float *)array)[i];
}

static void put(ls_addend type, char *array, size_t i, int64_t value) {
    if (type == LS_ADDEND_INT64)
        ((int64_t *)array)[i] = value;
    else if (type == LS_ADDEND_INT32)
        ((int32_t *)array)[i] = (int32_t)value;
    else
        ((float *)array)[i] = (float)value;
}

/* 64 bits are needed where there are. */
static int64_t scale(ls_addend type) {
    return type == LS_ADDEND_INT64 ? 1000003 : 1;
}

static void fill(ls_comm *comm, ls_ring_sum *sum, char *from, int round) {
    for (size_t i = 0; i < sum->count; i++)
        put(sum->addend, from, i, addend(comm->rank, i, round) * scale(sum->addend));
}

static void check(ls_comm *comm, const ls_ring_sum *sum, int round) {
    CHECK(comm, ls_ring_sum_complete(sum));
    for (size_t i = 0; i < sum->count; i++) {
        const int64_t all = sum_of_addends(comm->size, i, round) * scale(sum->addend);
        CHECK(comm, get(sum->addend, sum->to, i) == all);
        CHECK(comm,
              get(sum->addend, sum->from, i) == addend(comm->rank, i, round) * scale(sum->addend));
    }
}

/* All start, then end: by tests, by waits for each, or while a barrier is waited for. */
static void check_sums(ls_comm *comm, ls_addend type, const size_t *counts) {
    ls_ring_sum sums[SUMS];
    char *from[SUMS];
    size_t width = ls_addend_bytes(type);
    for (int i = 0; i < SUMS; i++) {
        from[i] = malloc(counts[i] * width + 1);
        sums[i] = (ls_ring_sum){.from = from[i], .addend = type, .count = counts[i]};
        sums[i].to = malloc(counts[i] * width + 1);
    }
    for (int round = 0; round < 3; round++) {
        MPI_Request barrier = MPI_REQUEST_NULL;
        for (int i = 0; i < SUMS; i++) {
            fill(comm, &sums[i], from[i], round);
            CHECK(comm, ls_sum_ring_start(comm->ring, comm->buckets, &sums[i]) == LS_OK);
        }
        while (round == 0 && ls_sum_ring_travels(comm->ring))
            CHECK(comm, ls_sum_ring_test(comm->ring) == LS_OK);
        if (round == 1)
            MPI_Ibarrier(comm->world, &barrier);
        CHECK(comm, ls_wait_for(comm, &barrier) == LS_OK);
        for (int i = SUMS - 1; i >= 0; i--)
            CHECK(comm, ls_sum_ring_wait_for(comm->ring, &sums[i]) == LS_OK);
        CHECK(comm, !ls_sum_ring_travels(comm->ring));
        for (int i = 0; i < SUMS; i++)
            check(comm, &sums[i], round);
    }
    for (int i = 0; i < SUMS; i++) {
        free(from[i]);
        free(sums[i].to);
    }
}

int main(int argc, char **argv) {
    const size_t counts[][SUMS] = {
        {0, 1, 2, 7}, {15000, 0, 0, 15001}, {262144, 65537, 5, 99983}, {MOST, 1, 0, 60000}};
    ls_comm *comm = start_mpi(&argc, &argv);
    CHECK(comm, ls_sum_ring_suits(8) && !ls_sum_ring_suits(9));
    for (size_t i = 0; i < sizeof counts / sizeof *counts && comm->size > 1; i++) {
        check_sums(comm, LS_ADDEND_INT32, counts[i]);
        check_sums(comm, LS_ADDEND_INT64, counts[i]);
        check_sums(comm, LS_ADDEND_FLOAT32, counts[i]);
    }
    end_mpi(comm);
    return 0;
}
