/* comm, inside: the communicators of an ls_comm, and the check of an MPI call. */
#ifndef LOCKSTEP_COMM_COMM_H
#define LOCKSTEP_COMM_COMM_H

#include "lockstep/comm.h"
#include "lockstep/mpi.h"

typedef struct ls_node_barrier ls_node_barrier;
typedef struct ls_sum_ring ls_sum_ring;
typedef struct ls_watch ls_watch;

struct ls_comm {
    MPI_Comm world;   /* set-up, files */
    MPI_Comm control; /* control.c: in flight during backward */
    MPI_Comm buckets; /* gradient sums, in flight at the same time */
    MPI_Comm node;    /* ranks that share memory */
    MPI_Comm peers;   /* ranks with the same node rank, one per node */
    MPI_Comm mail;    /* mail.c: samples */
    int mails;        /* made so far: the tag of the next */
    int rank, size, node_rank, node_size, node_count;
    bool uniform; /* every node has the same number of ranks */
    bool broken;  /* see ls_comm_break */
    ls_comm_failure *failure;
    void *failure_context;
    ls_shared *barrier_memory;
    ls_node_barrier *barrier;
    ls_watch *watch;   /* NULL: none */
    ls_sum_ring *ring; /* sums that all waits move on */
    ls_control_traffic traffic;
};

/* LS_ERR_SYSTEM for what MPI returns as an error: it breaks the communicator. */
ls_status ls_mpi_check(ls_comm *comm, int code, const char *call);
#define LS_MPI(comm, call)                                                                         \
    LS_TRY((comm)->broken ? ls_comm_check(comm) : ls_mpi_check((comm), (call), #call))

/* MPI_Wait, seen by the watch; sums of the ring go on meanwhile. */
ls_status ls_wait_for(ls_comm *comm, MPI_Request *request);
/* True once that would return at once; what fails comes again then. */
bool ls_test_for(ls_comm *comm, MPI_Request *request);

/* Waits for another rank of the node: pauses first, then gives the core away, as there may be more
 * ranks than cores, and moves this rank's messages on, which the other one may be waiting for: the
 * probe makes MPI do so, nothing is received.  Start with *spins = 0. */
void ls_wait_a_little(const ls_comm *comm, unsigned *spins);

/* LS_ERR_SYSTEM where a node has no room for `bytes` that its ranks share: `what` needs them. */
ls_status ls_check_space(const ls_comm *comm, size_t bytes, const char *what);

/* Collective.  ls_comm_create where a node has `ranks` ranks, as if it were so; 0: as it is. */
ls_status ls_comm_create_with(MPI_Comm mpi, int ranks, ls_comm **comm);

/* ls_exchange_create with a number of arrays on the node, 1 to its ranks: see node_sums.h. */
ls_status ls_exchange_create_with(ls_comm *comm, ls_exchange_mode mode, ls_addend addend,
                                  size_t length, int arrays, ls_exchange **exchange);

/* Around each wait for other ranks in a step, for the watch. */
void ls_wait_begin(const ls_comm *comm);
void ls_wait_end(const ls_comm *comm);

/* The barrier of the node's ranks, in shared memory. */
ls_status ls_node_barrier_create(ls_comm *comm);

#endif
