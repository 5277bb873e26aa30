/* feed: samples of an array in files, in an order that is known long before, through a buffer of
 * fixed size.
 *
 * The order is a pure function, so each rank knows which samples it will need, and when.  A thread
 * reads ahead, block by block, and keeps of a block the samples that will be wanted before those
 * that the buffer has: a sample that is missing takes the place of the one that is wanted last of
 * all (Belady 1966), unless all are wanted before it: then the thread waits (Cao et al., "A study
 * of integrated prefetching and caching strategies", 1995).  Kept by samples, a chunk of 64 that
 * are shuffled is read about four times an epoch where a tenth of them fits; kept by chunks, 28
 * times.  It waits, too, where a block would give few samples now and more later.  The future is
 * known for LS_FEED_HORIZON samples, or two epochs.
 *
 * The thread calls neither HDF5 nor MPI and takes no signals.  Where only HDF5 can read a file
 * there is no thread: blocks are read when they are wanted, and kept by the same rule.
 *
 * Nothing here is collective. */
#ifndef LOCKSTEP_DATA_FEED_H
#define LOCKSTEP_DATA_FEED_H

#include "data/blocks.h"

enum { LS_FEED_HORIZON = 1 << 19 }; /* samples */

typedef struct ls_feed ls_feed;

/* Bytes that a buffer has to have. */
size_t ls_feed_least(const ls_blocks *blocks);
/* Takes over *blocks on success.  `bytes`: of the buffer; `samples`: of an epoch on this rank,
 * about. */
ls_status ls_feed_open(ls_blocks *blocks, size_t bytes, int64_t samples, ls_feed **feed);
void ls_feed_close(ls_feed *feed);

/* From here on the samples of this turn and those that follow are read; nothing to do where they
 * are what follows anyway.  places(turns, turn, out) are samples of the joint. */
typedef int64_t ls_feed_places(const void *owner, const ls_turns *turns, int64_t turn,
                               uint64_t *out);
ls_status ls_feed_follow(ls_feed *feed, ls_feed_places *places, const void *owner,
                         const ls_turns *turns, int64_t turn);
/* Nothing is read any more, until the next ls_feed_follow. */
void ls_feed_stop(ls_feed *feed);
/* The next sample, which is to be the one at `place`; valid until the next call.  Waits for it.
 * LS_ERR_INPUT, naming file and sample: it cannot be read. */
ls_status ls_feed_next(ls_feed *feed, uint64_t place, const void **sample);

const ls_blocks *ls_feed_blocks(const ls_feed *feed);
/* Since it was opened. */
ls_data_traffic ls_feed_traffic(ls_feed *feed);
size_t ls_feed_bytes(const ls_feed *feed); /* of its slots */

#endif
