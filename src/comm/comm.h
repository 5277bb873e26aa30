/* comm, inside: the communicators of a run, and the check of an MPI call. */
#ifndef LOCKSTEP_COMM_COMM_H
#define LOCKSTEP_COMM_COMM_H

#include "comm/mpi.h"

typedef struct ls_node_barrier ls_node_barrier;

struct ls_comm {
    MPI_Comm world;   /* set-up, files */
    MPI_Comm control; /* boards and announcements, in flight during backward */
    MPI_Comm buckets; /* gradient sums, in flight at the same time */
    MPI_Comm node;    /* ranks that share memory */
    MPI_Comm peers;   /* ranks with the same node rank, one per node */
    int rank, size, node_rank, node_size, node_count;
    bool uniform; /* every node has the same number of ranks */
    ls_shared *barrier_memory;
    ls_node_barrier *barrier;
};

/* MPI's own error handler ends all ranks; this is for what it lets pass. */
ls_status ls_mpi_check(int code, const char *call);
#define LS_MPI(call) LS_TRY(ls_mpi_check((call), #call))

/* Waits for another rank of the node: pauses first, then gives the core away, as there may be more
 * ranks than cores, and moves this rank's messages on, which the other one may be waiting for: the
 * probe makes MPI do so, nothing is received.  Start with *spins = 0. */
void ls_wait_a_little(const ls_comm *comm, unsigned *spins);

/* The barrier of the node's ranks, in shared memory. */
ls_status ls_node_barrier_create(ls_comm *comm);

#endif
