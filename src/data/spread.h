/* spread: inputs of which each node has a share in memory, and the samples of others sent ahead of
 * their use by the nodes that have them.
 *
 * What every rank reads is a pure function, so nobody asks: when a rank comes to a turn, it sends
 * what others will read of its node's share in the turns up to LS_SPREAD_AHEAD later.  Ranks cut
 * the samples of a turn into packets; of a packet, each node sends its samples in one letter,
 * straight from its share.  A receiver asks MPI for as many packets as its buffer holds.
 *
 * No rank waits for ever, whatever the order and the speed of the ranks: one that is in no later
 * turn than all others finds all that it waits for already sent, and all that it has to wait for
 * sending asked for.  So all ranks have to come to each turn, also those that have failed; and that
 * they stop in the same turn tells them which letters are on their way. */
#ifndef LOCKSTEP_DATA_SPREAD_H
#define LOCKSTEP_DATA_SPREAD_H

#include "data/parts.h"
#include "data/shares.h"

enum { LS_SPREAD_AHEAD = 4 /* turns */ };

/* Who has which samples, and who sends them to whom: of each node the rank with the receiver's own
 * number there, or as if their numbers began anew. */
typedef struct ls_homes {
    ls_shares shares;
    int node;    /* this rank's */
    int *sender; /* (nodes): of what this rank reads of each */
    int *served; /* ranks that read what this one sends */
    int served_count;
} ls_homes;

/* Collective. */
ls_status ls_homes_make(ls_comm *comm, int64_t samples, int64_t block, ls_homes *homes);
void ls_homes_free(ls_homes *homes);

typedef struct ls_spread ls_spread;

/* Bytes that a buffer has to have, for samples of `bytes`. */
size_t ls_spread_least(size_t bytes);
/* Not collective; all ranks make theirs alike.  `held`: the node's share, of samples of `bytes`,
 * INT32_MAX at most, borrowed as *homes is; `buffer`: bytes, the same on all ranks. */
ls_status ls_spread_open(ls_comm *comm, const ls_homes *homes, const char *held, size_t bytes,
                         size_t buffer, ls_spread **spread);
/* Collective. */
void ls_spread_close(ls_spread *spread);

/* As of ls_feed_follow, but that all ranks have to come to each turn.  What was not taken of
 * earlier turns is dropped.  places(owner, turns, rank, turn, out) are samples of the shares.  What
 * fails breaks the communicator. */
typedef int64_t ls_spread_places(const void *owner, const ls_turns *turns, int rank, int64_t turn,
                                 uint64_t *out);
ls_status ls_spread_follow(ls_spread *spread, ls_spread_places *places, const void *owner,
                           const ls_turns *turns, int64_t turn);
/* Collective.  Nothing is sent any more, until the next ls_spread_follow. */
ls_status ls_spread_stop(ls_spread *spread);
/* As of ls_feed_next. */
ls_status ls_spread_next(ls_spread *spread, uint64_t place, const void **sample);
/* Makes progress. */
void ls_spread_poll(ls_spread *spread);

/* bytes_read: from other nodes. */
ls_data_traffic ls_spread_traffic(const ls_spread *spread);
size_t ls_spread_bytes(const ls_spread *spread); /* of its packets */

#endif
