/* The ring of samples that will be wanted, its links and its bits. */
#include "data/wanted.h"

#include <string.h>

enum { WORD = 64 };

ls_status ls_ring_make(ls_ring *ring, int64_t least) {
    int64_t size = 1 << 13;
    while (size < least)
        size *= 2;
    if (ring->entry && size <= ring->mask + 1)
        return LS_OK;
    ls_ring made = {.mask = size - 1};
    ls_status status = LS_NEW(made.entry, (size_t)size);
    if (status == LS_OK)
        status = LS_NEW(made.kept, (size_t)size / WORD);
    for (int kind = 0; kind < LS_LINK_KINDS && status == LS_OK; kind++)
        status = LS_NEW(made.index[kind], (size_t)size);
    if (status == LS_OK) {
        ls_ring old = *ring;
        *ring = made;
        made = old;
    }
    ls_ring_free(&made);
    return status;
}

void ls_ring_free(ls_ring *ring) {
    for (int kind = 0; kind < LS_LINK_KINDS; kind++)
        ls_free(ring->index[kind]);
    ls_free(ring->kept);
    ls_free(ring->entry);
    *ring = (ls_ring){0};
}

void ls_ring_forget(ls_ring *ring) {
    ring->tail = ring->head = ring->last = 0;
    memset(ring->kept, 0, (size_t)(ring->mask + 1) / WORD * sizeof *ring->kept);
    for (int kind = 0; kind < LS_LINK_KINDS; kind++)
        for (int64_t i = 0; i <= ring->mask; i++)
            ring->index[kind][i] = LS_NONE;
}

/* Links entry `number` to the latest one with this key that is not done with. */
static void add_link(ls_ring *ring, ls_link_kind kind, int64_t key, int64_t number) {
    const uint64_t hash = (uint64_t)key * UINT64_C(0x9e3779b97f4a7c15) >> 20;
    int64_t *chain = &ring->index[kind][hash & (uint64_t)ring->mask], before = *chain;
    while (before >= ring->tail && ls_ring_at(ring, before)->link[kind].key != key)
        before = ls_ring_at(ring, before)->link[kind].chained;
    if (before >= ring->tail)
        ls_ring_at(ring, before)->link[kind].next = number;
    ls_ring_at(ring, number)->link[kind] = (ls_link){key, before, LS_NONE, *chain};
    *chain = number;
}

void ls_ring_add(ls_ring *ring, int64_t place, int64_t block) {
    const int64_t number = ring->head++;
    add_link(ring, LS_SAME_SAMPLE, place, number);
    add_link(ring, LS_SAME_BLOCK, block, number);
    ls_ring_at(ring, number)->slot = LS_NONE;
}

static uint64_t *word_of(const ls_ring *ring, int64_t number) {
    return &ring->kept[(number & ring->mask) / WORD];
}

void ls_ring_keep(ls_ring *ring, int64_t number, int32_t slot) {
    ls_ring_at(ring, number)->slot = slot;
    *word_of(ring, number) |= UINT64_C(1) << number % WORD;
    ring->last = number > ring->last ? number : ring->last;
}

int32_t ls_ring_drop(ls_ring *ring, int64_t number) {
    const int32_t slot = ls_ring_at(ring, number)->slot;
    ls_ring_at(ring, number)->slot = LS_NONE;
    *word_of(ring, number) &= ~(UINT64_C(1) << number % WORD);
    return slot;
}

int64_t ls_ring_find_kept(const ls_ring *ring, int64_t from) {
    while (from >= ring->tail) {
        const uint64_t word = *word_of(ring, from) & ~UINT64_C(0) >> (WORD - 1 - from % WORD);
        const int64_t first = from / WORD * WORD;
        if (word != 0)
            return first + WORD - 1 - __builtin_clzll(word);
        from = first - 1;
    }
    return LS_NONE;
}
