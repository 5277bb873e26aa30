/* wanted: the samples that a feed will hand out, as far ahead as they are known, and which of them
 * have a slot in its buffer.
 *
 * A sample is in one slot only: for the first time that it is wanted, and after that for the next.
 * Numbers count all samples that are followed; those in [tail, head) are in the ring. */
#ifndef LOCKSTEP_DATA_WANTED_H
#define LOCKSTEP_DATA_WANTED_H

#include "lockstep/base.h"

enum { LS_NONE = -1, LS_RING_SLACK = 64 /* entries that stay free */ };

/* Wanted samples are linked by what they share: the same sample, in another epoch, or its block. */
typedef enum ls_link_kind { LS_SAME_SAMPLE, LS_SAME_BLOCK, LS_LINK_KINDS } ls_link_kind;

typedef struct ls_link {
    int64_t key;          /* the sample's place in the joint, or the number of its block */
    int64_t before, next; /* those with this key around it, LS_NONE: not known of any */
    int64_t chained;      /* the one before in the same chain of the index */
} ls_link;

typedef struct ls_wanted {
    ls_link link[LS_LINK_KINDS];
    int32_t slot; /* where it is, or is being read to; LS_NONE */
} ls_wanted;

typedef struct ls_ring {
    ls_wanted *entry;              /* of sample number i: i modulo their number */
    int64_t mask;                  /* their number - 1 */
    int64_t *index[LS_LINK_KINDS]; /* latest entry of each chain, by the key */
    uint64_t *kept;                /* a bit an entry: it has a slot */
    int64_t last;                  /* no later entry has one */
    int64_t tail, head;
} ls_ring;

/* Of `least` entries or more; what was known is lost where there are fewer, and left as it is on
 * failure. */
ls_status ls_ring_make(ls_ring *ring, int64_t least);
void ls_ring_free(ls_ring *ring);
void ls_ring_forget(ls_ring *ring);

static inline ls_wanted *ls_ring_at(const ls_ring *ring, int64_t number) {
    return &ring->entry[number & ring->mask];
}

static inline int64_t ls_ring_place(const ls_ring *ring, int64_t number) {
    return ls_ring_at(ring, number)->link[LS_SAME_SAMPLE].key;
}

static inline bool ls_ring_has_room(const ls_ring *ring, int64_t samples) {
    return ring->head - ring->tail + samples + LS_RING_SLACK <= ring->mask;
}

/* Whether an entry gets its slot from an earlier one of the same sample. */
static inline bool ls_ring_is_passed_on(const ls_ring *ring, int64_t number) {
    return ls_ring_at(ring, number)->link[LS_SAME_SAMPLE].before >= ring->tail;
}

void ls_ring_add(ls_ring *ring, int64_t place, int64_t block);
void ls_ring_keep(ls_ring *ring, int64_t number, int32_t slot);
/* Returns the slot that it had. */
int32_t ls_ring_drop(ls_ring *ring, int64_t number);
/* Of the samples up to number `from` that have slots, the one that is wanted last; LS_NONE. */
int64_t ls_ring_find_kept(const ls_ring *ring, int64_t from);

#endif
