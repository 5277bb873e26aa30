/* The buffer between files and training: what is read next, what it takes the place of, and the
 * thread that reads. */
#include "data/feed.h"
#include "data/wanted.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
    SOON = 8, /* the part of the slots within which all that is wanted is there */
    WAKE_BYTES = 1 << 18
};

#define MOST_OF 0.75

struct ls_feed {
    ls_blocks blocks;
    unsigned char *block;  /* the one that is read */
    unsigned char *memory; /* of the slots, a sample each */
    int32_t slots, free_count;
    int32_t *free; /* a stack */

    ls_ring ring;
    int64_t fetched; /* seen to before it */
    int64_t reading; /* the sample that is being read; LS_NONE */

    ls_feed_places *places;
    const void *owner;
    ls_turns turns;
    int64_t turn;     /* of the next samples to be known */
    int64_t followed; /* the turn whose samples are handed out; LS_NONE: none yet */
    int64_t turn_end; /* of its samples */
    uint64_t *scratch;
    int64_t scratch_size;

    bool threaded, ends;
    size_t unnoticed; /* bytes handed out since the thread was woken */
    bool holds;       /* the sample at tail was handed out, and is not given back yet */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wanted, changed; /* for the thread; for the one that waits for it */
    ls_status status;               /* of reading, with its message */
    char *message;
    ls_data_traffic traffic;
};

/* ---- what will be wanted -------------------------------------------------------------------- */

/* As far as the ring has room: what is known of when a block's samples are wanted decides what is
 * kept of it.  Turns may be empty, so their number is bounded too. */
static void look_ahead(ls_feed *s) {
    while (ls_ring_has_room(&s->ring, s->turns.most) && s->turn - s->followed <= s->ring.mask) {
        const int64_t count = s->places(s->owner, &s->turns, s->turn++, s->scratch);
        for (int64_t k = 0; k < count; k++) {
            const int64_t place = (int64_t)s->scratch[k];
            ls_ring_add(&s->ring, place, ls_blocks_find(&s->blocks, place).number);
        }
    }
}

/* ---- slots ---------------------------------------------------------------------------------- */

/* The sample is done with: its slot is passed on to when it is wanted again, in the next epoch, if
 * that is known, or free. */
static void give_back(ls_feed *s) {
    const int64_t again = ls_ring_at(&s->ring, s->ring.tail)->link[LS_SAME_SAMPLE].next;
    const int32_t slot = ls_ring_drop(&s->ring, s->ring.tail);
    if (again != LS_NONE)
        ls_ring_keep(&s->ring, again, slot);
    else
        s->free[s->free_count++] = slot;
    s->ring.tail++;
    s->holds = false;
}

/* A slot for sample `number`; LS_NONE: all are wanted before it. */
static int32_t take_slot(ls_feed *s, int64_t number) {
    if (s->free_count > 0)
        return s->free[--s->free_count];
    s->ring.last = ls_ring_find_kept(&s->ring, s->ring.last);
    return s->ring.last > number ? ls_ring_drop(&s->ring, s->ring.last) : LS_NONE;
}

/* The next sample that is missing; LS_NONE: all known ones are there. */
static int64_t find_missing(ls_feed *s) {
    if (s->fetched < s->ring.tail)
        s->fetched = s->ring.tail;
    while (s->fetched < s->ring.head && (ls_ring_at(&s->ring, s->fetched)->slot != LS_NONE ||
                                         ls_ring_is_passed_on(&s->ring, s->fetched)))
        s->fetched++;
    return s->fetched < s->ring.head ? s->fetched : LS_NONE;
}

/* ---- reading -------------------------------------------------------------------------------- */

static void note_failure(ls_feed *s, ls_status status) {
    s->status = status;
    s->message = ls_strdup(ls_message());
    ls_message_set("");
}

static void copy_sample(const ls_feed *s, const ls_block *block, int64_t number) {
    const size_t bytes = s->blocks.sample;
    memcpy(s->memory + (size_t)ls_ring_at(&s->ring, number)->slot * bytes,
           s->block + (size_t)(ls_ring_place(&s->ring, number) - block->first) * bytes, bytes);
}

/* Of a block that was read, what is wanted from sample `number` on, as long as it is wanted before
 * what there is. */
static void keep_samples(ls_feed *s, const ls_block *block, int64_t number) {
    copy_sample(s, block, number);
    while ((number = ls_ring_at(&s->ring, number)->link[LS_SAME_BLOCK].next) != LS_NONE) {
        if (ls_ring_at(&s->ring, number)->slot != LS_NONE || ls_ring_is_passed_on(&s->ring, number))
            continue;
        const int32_t slot = take_slot(s, number);
        if (slot == LS_NONE)
            return;
        ls_ring_keep(&s->ring, number, slot);
        copy_sample(s, block, number);
    }
}

/* Whether to read this block, for sample `number`, the next that is missing, already.  Read early,
 * it gives only those samples that are wanted before what there is, and is read again for the
 * others.  So it has to give most of what it would if it was read when it is needed: at that time
 * samples of all blocks are kept for twice as many to come as there are slots, half of them on
 * average.  Of what is not known yet it is taken to have its share.  Where all is wanted so soon
 * that all can be there at that time, all of it. */
static bool is_time(const ls_feed *s, const ls_block *block, int64_t number) {
    const ls_ring *ring = &s->ring;
    const double horizon = 2 * (double)s->slots, known = (double)(ring->head - number);
    const int64_t end = number + 2 * (int64_t)s->slots;
    const int64_t kept = s->slots - s->slots / SOON, first = number;
    int64_t gain = 0, missing = 0, free = s->free_count, last = ls_ring_find_kept(ring, ring->last);
    int64_t latest = number;
    if (number - ring->tail <= s->slots / SOON)
        return true;
    while (number != LS_NONE && number < end) {
        if (ls_ring_at(ring, number)->slot == LS_NONE && !ls_ring_is_passed_on(ring, number)) {
            missing++;
            latest = number;
            gain += free > 0 || last > number;
            if (free-- <= 0 && last > number)
                last = ls_ring_find_kept(ring, last - 1);
        }
        number = ls_ring_at(ring, number)->link[LS_SAME_BLOCK].next;
    }
    if (known >= horizon && latest - first < kept)
        return gain == missing;
    const double possible = known < horizon ? (double)missing * horizon / known : (double)missing;
    return (double)gain >= MOST_OF * fmin(possible, (double)block->count);
}

/* With the mutex held, but for the time of the reading.  False: there is nothing to read yet. */
static bool read_one(ls_feed *s) {
    look_ahead(s);
    const int64_t number = find_missing(s);
    if (number == LS_NONE)
        return false;
    const ls_block block = ls_blocks_find(&s->blocks, ls_ring_place(&s->ring, number));
    const int32_t slot = is_time(s, &block, number) ? take_slot(s, number) : LS_NONE;
    if (slot == LS_NONE)
        return false;
    ls_ring_keep(&s->ring, number, slot);
    s->reading = number;
    pthread_mutex_unlock(&s->mutex);
    ls_status status = ls_blocks_read(&s->blocks, &block, s->block);
    pthread_mutex_lock(&s->mutex);
    s->traffic.bytes_read = s->blocks.bytes_read;
    if (status == LS_OK) {
        keep_samples(s, &block, number);
        s->reading = LS_NONE;
        return true;
    }
    s->free[s->free_count++] = ls_ring_drop(&s->ring, number);
    s->reading = LS_NONE;
    note_failure(s, status);
    return true;
}

static void *run(void *context) {
    ls_feed *s = context;
    pthread_mutex_lock(&s->mutex);
    while (!s->ends) {
        const bool may = s->status == LS_OK && s->places;
        const bool done = may && read_one(s);
        pthread_cond_signal(&s->changed);
        if (!done && !s->ends)
            pthread_cond_wait(&s->wanted, &s->mutex);
    }
    pthread_mutex_unlock(&s->mutex);
    return NULL;
}

static void wake(ls_feed *s) {
    s->unnoticed = 0;
    pthread_cond_signal(&s->wanted);
}

/* ---- following an order --------------------------------------------------------------------- */

static void forget(ls_feed *s) {
    ls_ring_forget(&s->ring);
    s->fetched = 0;
    s->holds = false;
    s->free_count = 0;
    for (int32_t i = s->slots; i-- > 0;)
        s->free[s->free_count++] = i;
}

static ls_status make_scratch(ls_feed *s, int64_t most) {
    if (most <= s->scratch_size)
        return LS_OK;
    ls_free(s->scratch);
    s->scratch_size = 0;
    LS_TRY(LS_NEW(s->scratch, (size_t)most));
    s->scratch_size = most;
    return LS_OK;
}

static bool follows(const ls_feed *s, const ls_turns *turns, int64_t turn) {
    const ls_turns *now = &s->turns;
    const int64_t next = s->followed + 1;
    return s->followed != LS_NONE && now->ids == turns->ids && now->context == turns->context &&
           now->what == turns->what && now->period == turns->period &&
           (turns->period > 0 ? next % turns->period : next) == turn &&
           s->ring.tail + s->holds == s->turn_end;
}

/* With the mutex held. */
static void stop(ls_feed *s) {
    s->places = NULL;
    while (s->reading != LS_NONE)
        pthread_cond_wait(&s->changed, &s->mutex);
    s->followed = LS_NONE;
    forget(s);
}

void ls_feed_stop(ls_feed *s) {
    pthread_mutex_lock(&s->mutex);
    stop(s);
    pthread_mutex_unlock(&s->mutex);
}

static ls_status start_over(ls_feed *s, ls_feed_places *places, const void *owner,
                            const ls_turns *turns, int64_t turn) {
    stop(s);
    LS_TRY(make_scratch(s, turns->most));
    LS_TRY(ls_ring_make(&s->ring, 2 * (turns->most + LS_RING_SLACK)));
    forget(s);
    s->places = places;
    s->owner = owner;
    s->turns = *turns;
    s->turn = turn;
    s->followed = turn - 1;
    s->turn_end = 0;
    return LS_OK;
}

ls_status ls_feed_follow(ls_feed *s, ls_feed_places *places, const void *owner,
                         const ls_turns *turns, int64_t turn) {
    ls_status status = LS_OK;
    pthread_mutex_lock(&s->mutex);
    if (!follows(s, turns, turn))
        status = start_over(s, places, owner, turns, turn);
    if (status == LS_OK) {
        s->followed++;
        s->turn_end += places(owner, turns, s->followed, s->scratch);
        wake(s);
    }
    pthread_mutex_unlock(&s->mutex);
    return status;
}

/* ---- handing out ---------------------------------------------------------------------------- */

static bool is_there(const ls_feed *s) {
    if (s->ring.tail == s->ring.head)
        return false;
    return ls_ring_at(&s->ring, s->ring.tail)->slot != LS_NONE && s->ring.tail != s->reading;
}

/* With the mutex held. */
static void wait_for_sample(ls_feed *s) {
    const double start = ls_seconds();
    while (!is_there(s) && s->status == LS_OK) {
        if (s->threaded) {
            wake(s);
            pthread_cond_wait(&s->changed, &s->mutex);
        } else {
            read_one(s);
        }
    }
    s->traffic.waited += ls_seconds() - start;
}

static ls_status hand_out(ls_feed *s, uint64_t place, const void **sample) {
    if (s->holds)
        give_back(s);
    if (!is_there(s))
        wait_for_sample(s);
    else if (s->unnoticed >= WAKE_BYTES)
        wake(s);
    if (!is_there(s))
        return ls_fail(s->status, "%s", s->message ? s->message : "");
    LS_REQUIRE(ls_ring_place(&s->ring, s->ring.tail) == (int64_t)place);
    *sample = s->memory + (size_t)ls_ring_at(&s->ring, s->ring.tail)->slot * s->blocks.sample;
    s->holds = true;
    s->unnoticed += s->blocks.sample;
    s->traffic.bytes_used += s->blocks.sample;
    return LS_OK;
}

ls_status ls_feed_next(ls_feed *s, uint64_t place, const void **sample) {
    pthread_mutex_lock(&s->mutex);
    ls_status status = hand_out(s, place, sample);
    pthread_mutex_unlock(&s->mutex);
    return status;
}

ls_data_traffic ls_feed_traffic(ls_feed *s) {
    pthread_mutex_lock(&s->mutex);
    const ls_data_traffic traffic = s->traffic;
    pthread_mutex_unlock(&s->mutex);
    return traffic;
}

const ls_blocks *ls_feed_blocks(const ls_feed *s) {
    return &s->blocks;
}

static size_t block_bytes(const ls_blocks *blocks) {
    return (size_t)blocks->most * blocks->sample;
}

size_t ls_feed_bytes(const ls_feed *s) {
    return block_bytes(&s->blocks) + (size_t)s->slots * s->blocks.sample;
}

/* ---- opening -------------------------------------------------------------------------------- */

size_t ls_feed_least(const ls_blocks *blocks) {
    return 2 * block_bytes(blocks);
}

static void count_slots(ls_feed *s, size_t bytes) {
    const int64_t samples = s->blocks.joint.info.shape[0];
    const int64_t most = samples < INT32_MAX ? samples : INT32_MAX;
    const size_t slots = (bytes - block_bytes(&s->blocks)) / s->blocks.sample;
    s->slots = slots < (size_t)most ? (int32_t)slots : (int32_t)most;
}

static ls_status make_room(ls_feed *s, int64_t samples) {
    const size_t bytes = ((size_t)s->slots * s->blocks.sample + LS_ALIGN - 1) / LS_ALIGN * LS_ALIGN;
    s->memory = aligned_alloc(LS_ALIGN, bytes); /* not zeroed: takes pages as it fills */
    if (s->memory == NULL)
        return ls_fail(LS_ERR_SYSTEM, "out of memory: %zu bytes wanted", bytes);
    LS_TRY(LS_NEW(s->block, block_bytes(&s->blocks)));
    LS_TRY(LS_NEW(s->free, (size_t)s->slots));
    return ls_ring_make(&s->ring, 2 * samples < LS_FEED_HORIZON ? 2 * samples : LS_FEED_HORIZON);
}

static ls_status start_thread(ls_feed *s) {
    sigset_t all, before;
    sigfillset(&all); /* signals are the main thread's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    s->threaded = pthread_create(&s->thread, NULL, run, s) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return s->threaded ? LS_OK : ls_fail(LS_ERR_SYSTEM, "cannot start a thread that reads data");
}

ls_status ls_feed_open(ls_blocks *blocks, size_t bytes, int64_t samples, ls_feed **feed) {
    ls_feed *made;
    LS_TRY(LS_NEW(made, 1));
    made->followed = made->reading = LS_NONE;
    made->blocks = *blocks;
    pthread_mutex_init(&made->mutex, NULL);
    pthread_cond_init(&made->wanted, NULL);
    pthread_cond_init(&made->changed, NULL);
    count_slots(made, bytes);
    ls_status status = ls_memory_for(make_room(made, samples), "data.buffer");
    if (status == LS_OK) {
        forget(made);
        if (blocks->plain)
            status = start_thread(made);
    }
    if (status != LS_OK) {
        made->blocks = (ls_blocks){0};
        ls_feed_close(made);
        return status;
    }
    *blocks = (ls_blocks){0};
    *feed = made;
    return LS_OK;
}

void ls_feed_close(ls_feed *s) {
    if (s == NULL)
        return;
    if (s->threaded) {
        pthread_mutex_lock(&s->mutex);
        s->ends = true;
        pthread_cond_signal(&s->wanted);
        pthread_mutex_unlock(&s->mutex);
        pthread_join(s->thread, NULL);
    }
    pthread_cond_destroy(&s->changed);
    pthread_cond_destroy(&s->wanted);
    pthread_mutex_destroy(&s->mutex);
    if (s->blocks.file)
        ls_blocks_close(&s->blocks);
    ls_free(s->message);
    ls_free(s->scratch);
    ls_ring_free(&s->ring);
    ls_free(s->free);
    ls_free(s->block);
    ls_free(s->memory);
    ls_free(s);
}
