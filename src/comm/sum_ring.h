/* comm, inside: sums over few ranks, by messages around a ring of them.
 *
 * MPI_Iallreduce of Open MPI 4 sends more than it has to where ranks are two, three, or no power of
 * two, and several large ones hinder each other: a slow network shows it.  Around a ring each rank
 * sends 2 (ranks - 1) / ranks of the array, in pieces that follow each other; but it takes
 * 2 (ranks - 1) rounds, so it is for few.  Integers commute: the sums are those of MPI; of floats
 * they are the same on all ranks. */
#ifndef LOCKSTEP_COMM_SUM_RING_H
#define LOCKSTEP_COMM_SUM_RING_H

#include "comm/comm.h"

/* Of one array; given by who starts the sum, which sets from, to, addend and count, and kept until
 * it is complete. */
typedef struct ls_ring_sum ls_ring_sum;
struct ls_ring_sum {
    const char *from; /* this rank's addends; may be read only */
    char *to;         /* the sums; another array */
    ls_addend addend;
    size_t count;
    /* sum_ring.c's own */
    MPI_Comm mpi;
    int rank, ranks;
    size_t begun, complete; /* elements whose pieces are under way, and are through */
    ls_ring_sum *next;
};

/* Not collective.  There is one for all sums of a communicator. */
ls_status ls_sum_ring_create(ls_comm *comm, ls_sum_ring **ring);
/* Not collective. */
void ls_sum_ring_free(ls_sum_ring *ring);

/* Whether a ring is the better way over so many ranks. */
bool ls_sum_ring_suits(int ranks);
/* Opens a series of sums of one `mpi`, on all its ranks; none travels.  Tags are counted in a
 * series: ranks may have had different numbers of sums over other communicators before. */
void ls_sum_ring_begin(ls_sum_ring *ring);
/* Collective over `mpi`, where nothing else but sums travels; all ranks start theirs in the same
 * order. */
ls_status ls_sum_ring_start(ls_sum_ring *ring, MPI_Comm mpi, ls_ring_sum *sum);
bool ls_ring_sum_complete(const ls_ring_sum *sum);
/* Not collective.  Whether any sum travels. */
bool ls_sum_ring_travels(const ls_sum_ring *ring);
/* Not collective.  Moves all sums on. */
ls_status ls_sum_ring_test(ls_sum_ring *ring);
/* Not collective.  The same after waiting for any of their messages or for *other, which may be
 * MPI_REQUEST_NULL and is then; NULL: none.  A sum must travel. */
ls_status ls_sum_ring_wait(ls_sum_ring *ring, MPI_Request *other);
/* Not collective.  The same until `sum` is complete; seen by the watch. */
ls_status ls_sum_ring_wait_for(ls_sum_ring *ring, const ls_ring_sum *sum);

#endif
