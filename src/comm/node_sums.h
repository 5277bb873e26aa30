/* comm, inside: what the ranks of a node add, in memory that they share.
 *
 * A node has at most a fixed number of arrays, whatever its ranks: each rank has one of its own or,
 * where there are more ranks, shares one with its neighbours.  An own array is written, then read;
 * a shared one is zero when a step begins, and ranks add to it in any order, a chunk at a time. */
#ifndef LOCKSTEP_COMM_NODE_SUMS_H
#define LOCKSTEP_COMM_NODE_SUMS_H

#include "comm/comm.h"

typedef struct ls_node_sums ls_node_sums;

/* Arrays of a node of `ranks`, by default.  Sums of floats depend on their order: there each rank
 * has its own. */
int ls_node_arrays(ls_addend addend, int ranks);
/* Bytes that a node shares. */
size_t ls_node_sums_bytes(ls_addend addend, size_t length, int ranks, int arrays);

/* Collective.  arrays: at most the ranks of the node. */
ls_status ls_node_sums_create(ls_comm *comm, ls_addend addend, size_t length, int arrays,
                              ls_node_sums **sums);
/* Collective. */
void ls_node_sums_free(ls_node_sums *sums);
int ls_node_sums_arrays(const ls_node_sums *sums);

/* See ls_exchange_add and ls_exchange_add_zeros. */
void ls_node_sums_add(ls_node_sums *sums, size_t offset, size_t count, bool first,
                      ls_exchange_write *write, void *context);
void ls_node_sums_add_zeros(ls_node_sums *sums);

/* This rank has given all of its first `count` buckets, of all steps. */
void ls_node_sums_give(ls_node_sums *sums, uint64_t count);
/* Whether all ranks of the node have given `count` of theirs. */
bool ls_node_sums_given(const ls_node_sums *sums, uint64_t count);
/* The sums over the node of [first, end), once they are given: in `out`, or where they lie. */
const void *ls_node_sums_of(const ls_node_sums *sums, size_t first, size_t end, void *out);
/* Makes [first, end) ready for the next step, once nobody needs its sums. */
void ls_node_sums_clear(ls_node_sums *sums, size_t first, size_t end);

#endif
