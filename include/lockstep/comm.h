/* comm: processes, nodes and what travels between them.
 *
 * The only module that exchanges data with MPI.  Sees flat integer buffers, slices and bytes, no
 * layers.  Every function marked Collective must be called by all ranks of the communicator in the
 * same order, and returns the same status on all of them.
 *
 * Sums never depend on the number of ranks: gradients and statistics travel as fixed-point
 * integers, and the losses of the slices are gathered unsummed by rank 0. */
#ifndef LOCKSTEP_COMM_H
#define LOCKSTEP_COMM_H

#include "lockstep/base.h"
#include "lockstep/choices.h"
#include "lockstep/record.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Not collective.  LS_ERR_INPUT, on each process, when a launcher started several of them and MPI
 * sees one: the two do not fit, and all would do the same. */
ls_status ls_comm_check_launch(const ls_comm *comm);

int ls_comm_node_rank(const ls_comm *comm); /* among the ranks of this node */
int ls_comm_node_size(const ls_comm *comm);
int ls_comm_node_count(const ls_comm *comm);
/* Where a rank is: the first rank of its node, and its own number among those. */
typedef struct ls_seat {
    int leader, node_rank;
} ls_seat;
/* Collective.  Of each rank, into `all` (size). */
ls_status ls_comm_seats(ls_comm *comm, ls_seat *all);
const char *ls_comm_library(void); /* "Open MPI 4.1.4" */
/* What carries its messages, for ls_free: MPICH's device, "ch4:ucx"; the components that Open MPI 4
 * has loaded for it, "btl_tcp btl_self pml_ob1".  NULL: not known. */
char *ls_comm_transport(void);

/* Collective.  Rank 0 says, a line each, what makes it slow where the ranks were put: several share
 * a core, the nodes have different numbers of them. */
ls_status ls_comm_tell_layout(ls_comm *comm);
/* Collective.  On rank 0, of the host where they are most: threads, with `threads` a rank, for each
 * core that the ranks may run on; at least 1. */
ls_status ls_comm_crowd(ls_comm *comm, int threads, double *crowd);
/* Collective.  A communicator of `ranks` of the ranks, 1 to all of them: those of whole nodes
 * first, in the order of each node's first rank, and of a node in their order; rank 0 stays rank 0.
 * *part is NULL on the others.  Takes over what was set by ls_comm_on_failure.  Free with
 * ls_comm_free before `comm`. */
ls_status ls_comm_part(ls_comm *comm, int ranks, ls_comm **part);
/* Collective.  A barrier for ranks that have nothing to do meanwhile: who waits sleeps, and leaves
 * core and memory to the others. */
ls_status ls_comm_rest(ls_comm *comm);
/* Collective.  From here on, where a rank has waited for others for `patience` seconds, and again
 * each time as much has passed, a warning says which ranks of its node, or which hosts, are waited
 * for; 0: never.  By a thread that calls no MPI and takes no signals. */
ls_status ls_comm_watch(ls_comm *comm, double patience);
/* Collective.  Also part of ls_comm_free. */
void ls_comm_watch_end(ls_comm *comm);

/* Collective.  The worst status of all ranks, on all ranks; the message is then that of the lowest
 * rank that has this status, which it names where there are several hosts.  Ends every set-up step
 * that can fail on one rank alone. */
ls_status ls_comm_agree(ls_comm *comm, ls_status mine);
/* Collective.  LS_ERR_INPUT, showing both from where they differ, unless all ranks pass the same
 * text. */
ls_status ls_comm_same(ls_comm *comm, const char *what, const char *text);
/* Collective. */
ls_status ls_comm_broadcast(ls_comm *comm, void *data, size_t bytes, int root);
ls_status ls_comm_barrier(ls_comm *comm);
/* Collective over the ranks of this node.  Yields the core while it waits, and makes
 * progress on messages. */
void ls_comm_node_barrier(ls_comm *comm);
/* Collective.  Gathers `bytes` from each rank to rank 0, in rank order; `all` is used there only.
 */
ls_status ls_comm_gather(ls_comm *comm, const void *mine, size_t bytes, void *all);

/* Collective.  Of the seconds that each rank gives; *slowest on rank 0 only. */
ls_status ls_comm_slowest(ls_comm *comm, double seconds, ls_slowest *slowest);
/* Called on rank 0 with what one rank gave. */
typedef ls_status ls_comm_take(void *context, int rank, const void *data, size_t bytes);
/* Collective.  Hands each rank's block, of any size, to `take` on rank 0, in rank order, one at a
 * time.  A failure of `take` is returned on all ranks, once all have given theirs. */
ls_status ls_comm_collect(ls_comm *comm, const void *mine, size_t bytes, ls_comm_take *take,
                          void *context);
/* Collective.  *value becomes the least of all ranks'. */
ls_status ls_comm_min_int64(ls_comm *comm, int64_t *value);
/* Collective.  values[i] becomes the sum of all ranks' values[i], on every rank. */
ls_status ls_comm_sum_int64(ls_comm *comm, int64_t *values, size_t count);

/* Collective.  What to add to this rank's ls_seconds() to get rank 0's at the same moment, and how
 * wrong that can be: half the shortest of a few round trips (Cristian, "Probabilistic clock
 * synchronization", 1989).  The ranks of a host have one clock: their offset is below the error. */
typedef struct ls_clock_offset {
    double seconds, error;
} ls_clock_offset;
ls_status ls_comm_clock_offset(ls_comm *comm, ls_clock_offset *offset);

/* Collective.  Bytes of memory that every node has left: the least of them.  What is free, or can
 * be freed, of the machine's and of the job's control group and, where several ranks share memory,
 * in /dev/shm. */
ls_status ls_comm_memory_left(ls_comm *comm, uint64_t *bytes);

/* Slices [*first, *end) of rank `rank`: contiguous, balanced.  Pure. */
void ls_slice_range(int slices, int ranks, int rank, int *first, int *end);

/* ---- memory shared by the ranks of a node --------------------------------------------------- */

typedef struct ls_shared ls_shared;

/* Collective.  One zeroed block of `bytes` for the whole node, aligned to LS_ALIGN.  `what` names
 * it in the message when it does not fit. */
ls_status ls_shared_create(ls_comm *comm, size_t bytes, const char *what, ls_shared **shared);
void *ls_shared_data(const ls_shared *shared);
size_t ls_shared_bytes(const ls_shared *shared);
/* Collective. */
void ls_shared_free(ls_shared *shared);

/* What this rank has started of allreduces and broadcasts below, but for gathers: calls, and bytes
 * of their arrays, each counted once whatever MPI makes of it; 0 where it is the only rank. */
typedef struct ls_control_traffic {
    uint64_t messages, bytes;
} ls_control_traffic;
/* Not collective. */
ls_control_traffic ls_comm_control_traffic(const ls_comm *comm);

/* ---- gather: one row a slice, to rank 0 ----------------------------------------------------- */

typedef struct ls_gather ls_gather;

/* Not collective; all ranks make theirs alike.  `bytes` of each slice travel from the slice's rank
 * to rank 0, which adds up what must be added, in slice order: so sums of floats do not depend on
 * the ranks.  LS_ERR_SYSTEM without memory. */
ls_status ls_gather_create(ls_comm *comm, int slices, size_t bytes, ls_gather **gather);
/* The row of one of this rank's slices, zeroed at first: write it outside start..wait. */
void *ls_gather_mine(ls_gather *gather, int slice);
/* On rank 0, after the wait: the row of any slice. */
const void *ls_gather_row(const ls_gather *gather, int slice);
ls_status ls_gather_start(ls_gather *gather); /* Collective */
/* Not collective.  True once the wait would return at once; makes progress, also of
 * other ranks' rows, which come along a tree. */
bool ls_gather_test(ls_gather *gather);
/* Not collective.  On rank 0: all rows are here; elsewhere: the own ones may be written again. */
ls_status ls_gather_wait(ls_gather *gather);
void ls_gather_free(ls_gather *gather);

/* ---- allreduce: elementwise, on all ranks, hidden behind other work ------------------------- */

typedef struct ls_allreduce ls_allreduce;

/* Neither depends on the order in which the ranks' values are taken. */
typedef enum ls_reduction {
    LS_REDUCTION_MAX_UINT32, /* up to INT32_MAX: MPICH 4.0 compares MPI_UINT32_T as signed */
    LS_REDUCTION_SUM_INT64
} ls_reduction;

/* Not collective; all ranks make theirs alike.  LS_ERR_SYSTEM without memory. */
ls_status ls_allreduce_create(ls_comm *comm, ls_reduction reduction, size_t count,
                              ls_allreduce **allreduce);
/* This rank's `count` values, zeroed at first: write them outside start..wait. */
void *ls_allreduce_mine(ls_allreduce *allreduce);
/* After the wait: the values of all ranks reduced. */
const void *ls_allreduce_result(const ls_allreduce *allreduce);
ls_status ls_allreduce_start(ls_allreduce *allreduce); /* Collective */
/* Not collective.  True once the wait would return at once; makes progress. */
bool ls_allreduce_test(ls_allreduce *allreduce);
ls_status ls_allreduce_wait(ls_allreduce *allreduce); /* Not collective */
void ls_allreduce_free(ls_allreduce *allreduce);

/* ---- broadcast: from rank 0 to all, hidden behind other work -------------------------------- */

typedef struct ls_broadcast ls_broadcast;

/* Collective.  `bytes` of rank 0's data reach every rank between start and wait. */
ls_status ls_broadcast_create(ls_comm *comm, size_t bytes, ls_broadcast **broadcast);
void *ls_broadcast_data(ls_broadcast *broadcast);
ls_status ls_broadcast_start(ls_broadcast *broadcast); /* Collective */
/* Not collective.  True once the wait would return at once; makes progress. */
bool ls_broadcast_test(ls_broadcast *broadcast);
ls_status ls_broadcast_wait(ls_broadcast *broadcast); /* Collective */
void ls_broadcast_free(ls_broadcast *broadcast);

/* ---- mail: pieces of memory, from one rank to another, hidden behind other work ------------- */

typedef struct ls_mail ls_mail;
typedef enum ls_mail_way { LS_MAIL_OUT, LS_MAIL_IN, LS_MAIL_WAYS } ls_mail_way;

/* Not collective; all ranks make theirs alike, and in the same order.  Letters are of pieces of
 * `bytes`, at most INT32_MAX.  Those from one rank to another arrive in the order in which both
 * sides start them. */
ls_status ls_mail_create(ls_comm *comm, size_t bytes, ls_mail **mail);
/* Not collective.  Starts a letter, whose pieces are to stay as they are until it is through: it is
 * once the other side receives it. */
ls_status ls_mail_send(ls_mail *mail, int to, int count, const char *const *pieces);
/* Not collective.  `count` pieces that follow one another. */
ls_status ls_mail_receive(ls_mail *mail, int from, int count, char *pieces);
/* Letters started one way so far. */
int64_t ls_mail_started(const ls_mail *mail, ls_mail_way way);
/* Not collective.  Waits until the first `number` of them are through. */
ls_status ls_mail_wait(ls_mail *mail, ls_mail_way way, int64_t number);
/* Not collective.  Makes progress. */
void ls_mail_poll(ls_mail *mail);
/* Not collective.  All letters are through, or the communicator is broken. */
void ls_mail_free(ls_mail *mail);

/* ---- exchange: the sum of one flat array over all ranks ------------------------------------- */

typedef struct ls_exchange ls_exchange;

/* Elements of one chunk: parts of ranks and partial sums over the flat array (norms, digests) have
 * their boundaries at multiples of it, so that they do not depend on the rank count. */
#define LS_CHUNK 4096

/* What an exchange adds. */
typedef enum ls_addend { LS_ADDEND_INT32, LS_ADDEND_INT64, LS_ADDEND_FLOAT32 } ls_addend;
size_t ls_addend_bytes(ls_addend addend);
const char *ls_addend_name(ls_addend addend); /* "int32" */

/* Collective.  `length` elements in buckets of about a million bytes, or two of int64, filled from
 * the end of the array. */
ls_status ls_exchange_create(ls_comm *comm, ls_exchange_mode mode, ls_addend addend, size_t length,
                             ls_exchange **exchange);
void ls_exchange_free(ls_exchange *exchange);

/* Collective.  Opens a step; from here on addends may be given. */
void ls_exchange_begin(ls_exchange *exchange);
/* Called for addends [offset, offset + count): writes them, if `first`, or adds to them. */
typedef void ls_exchange_write(void *context, size_t offset, size_t count, bool first,
                               void *addends);
/* Has this rank's addends [offset, offset + count) written, `first`, or added to what it has given
 * in this step: by one call of `write` or, where ranks of the node add into one array, by one for
 * each chunk, to which no other rank adds meanwhile, and with `first` false.  Between begin and
 * final; each element is `first` once a step. */
void ls_exchange_add(ls_exchange *exchange, size_t offset, size_t count, bool first,
                     ls_exchange_write *write, void *context);
/* Instead of that, from a rank that has nothing to add to any element. */
void ls_exchange_add_zeros(ls_exchange *exchange);
/* Elements from `offset` to the end of the array are final on this rank; buckets that are complete
 * start to travel.  Also makes progress on those that already do. */
void ls_exchange_final(ls_exchange *exchange, size_t offset);
/* Collective.  Ends a step whose sums nobody wants (an overflow, a stopped test). */
ls_status ls_exchange_discard(ls_exchange *exchange);

/* Called for ranges of at most LS_CHUNK elements that start at multiples of LS_CHUNK, by several
 * threads at a time.  Over the ranks of a node the ranges cover the array once. */
typedef void ls_exchange_visit(void *context, size_t offset, size_t count, const void *sums);
/* Collective.  Waits for the sums, bucket after bucket, and visits every range of this rank's part
 * once. Returns when all ranks of the node have visited theirs: what they wrote to shared memory is
 * visible. */
ls_status ls_exchange_finish(ls_exchange *exchange, ls_exchange_visit *visit, void *context);

/* The same in parts, where the sums must be seen more than once: wait, visit_sums any number of
 * times, close.  Slower than finish, for all sums must be there before the first is visited.
 * Collective.  Waits until the sums of all buckets can be visited. */
ls_status ls_exchange_wait(ls_exchange *exchange);
/* Not collective.  Visits every range of this rank's part once.  What the other ranks of the node
 * wrote while visiting theirs is visible after a node barrier. */
void ls_exchange_visit_sums(ls_exchange *exchange, ls_exchange_visit *visit, void *context);
/* Collective.  Ends the step; returns when all ranks of the node have come here. */
void ls_exchange_close(ls_exchange *exchange);

ls_exchange_mode ls_exchange_mode_used(const ls_exchange *exchange);
const char *ls_exchange_mode_name(ls_exchange_mode mode); /* its word in a configuration */
int ls_exchange_buckets(const ls_exchange *exchange);
/* Bytes of what a bucket sums. */
size_t ls_exchange_bucket_bytes(const ls_exchange *exchange, int bucket);
/* Bytes that the exchange holds: memory that the ranks of the node share, and of this rank alone.
 */
void ls_exchange_memory(const ls_exchange *exchange, size_t *node, size_t *rank);
/* The same for a whole node with `ranks` of them, one of `nodes`; mode: node or flat.  Pure.  In
 * node mode about 72 bytes an element of int32, 80 of int64, at most: the ranks of a node have 16
 * arrays of int32, or 8 of int64, at most, which groups of them share.  Of float32 each rank has
 * one; in flat mode each has two. */
size_t ls_exchange_node_bytes(ls_exchange_mode mode, ls_addend addend, size_t length, int ranks,
                              int nodes);

/* Seconds that this rank has waited for sums since ls_exchange_begin; not for close. */
double ls_exchange_waited(const ls_exchange *exchange);
/* From now on LS_EVENT_BUCKET and LS_EVENT_WAIT are noted; NULL: no more.  Kept by reference.  That
 * a bucket is complete is seen when the exchange is next called. */
void ls_exchange_record(ls_exchange *exchange, ls_recorder *recorder);

#ifdef __cplusplus
}
#endif
#endif
