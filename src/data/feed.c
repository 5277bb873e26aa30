/* The buffer between files and training: what is read next, what it takes the place of, and the
 * thread that reads. */
#include "data/feed.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { NONE = -1, TURNS_AT_A_TIME = 4, WAKE_BYTES = 1 << 18, WORD = 64 };

/* A sample that will be wanted.  Entry i of the ring is sample number i of all that are followed,
 * modulo the ring's size. */
typedef struct ls_wanted {
    uint64_t place;  /* in the joint */
    int64_t block;   /* number */
    int64_t next;    /* the next one of this block, NONE: not known of any */
    int64_t chained; /* the one before in the same chain of the index */
    int32_t slot;    /* where it is, or is being read to; NONE */
} ls_wanted;

struct ls_feed {
    ls_blocks blocks;
    unsigned char *block;  /* the one that is read */
    unsigned char *memory; /* of the slots, a sample each */
    int32_t slots, free_count;
    int32_t *free; /* a stack */

    ls_wanted *ring;
    int64_t mask;   /* size of the ring - 1 */
    int64_t *index; /* latest entry of each chain, by the block's number */
    uint64_t *kept; /* a bit an entry: it has a slot */
    int64_t last;   /* no later entry has one */
    int64_t tail, fetched,
        head;        /* done with before tail; seen to before fetched; known before head */
    int64_t reading; /* the sample that is being read; NONE */

    ls_feed_places *places;
    const void *owner;
    ls_turns turns;
    int64_t turn;     /* of the next samples to be known */
    int64_t followed; /* the turn whose samples are handed out; NONE: none yet */
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

static ls_wanted *at(const ls_feed *s, int64_t number) {
    return &s->ring[number & s->mask];
}

static int64_t *chain_of(const ls_feed *s, int64_t block) {
    return &s->index[((uint64_t)block * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (uint64_t)s->mask];
}

/* ---- what will be wanted -------------------------------------------------------------------- */

/* The latest sample of this block that is not done with. */
static int64_t find_latest(const ls_feed *s, int64_t block) {
    int64_t number = *chain_of(s, block);
    while (number >= s->tail && at(s, number)->block != block)
        number = at(s, number)->chained;
    return number >= s->tail ? number : NONE;
}

static void add_wanted(ls_feed *s, uint64_t place) {
    const int64_t block = ls_blocks_find(&s->blocks, (int64_t)place).number;
    const int64_t before = find_latest(s, block), number = s->head++;
    int64_t *chain = chain_of(s, block);
    if (before != NONE)
        at(s, before)->next = number;
    *at(s, number) = (ls_wanted){place, block, NONE, *chain, NONE};
    *chain = number;
}

/* As long as the ring has room for a turn. */
static void look_ahead(ls_feed *s) {
    for (int i = 0; i < TURNS_AT_A_TIME; i++) {
        if (s->head - s->tail + s->turns.most + WORD > s->mask)
            return;
        const int64_t count = s->places(s->owner, &s->turns, s->turn++, s->scratch);
        for (int64_t k = 0; k < count; k++)
            add_wanted(s, s->scratch[k]);
    }
}

/* ---- slots ---------------------------------------------------------------------------------- */

static uint64_t *word_of(const ls_feed *s, int64_t number) {
    return &s->kept[(number & s->mask) / WORD];
}

static void keep(ls_feed *s, int64_t number, int32_t slot) {
    at(s, number)->slot = slot;
    *word_of(s, number) |= UINT64_C(1) << number % WORD;
    s->last = number > s->last ? number : s->last;
}

static int32_t drop(ls_feed *s, int64_t number) {
    const int32_t slot = at(s, number)->slot;
    at(s, number)->slot = NONE;
    *word_of(s, number) &= ~(UINT64_C(1) << number % WORD);
    return slot;
}

/* Of the samples that have slots, of which there is one, the one that is wanted last. */
static int64_t find_last(ls_feed *s) {
    uint64_t word;
    while ((word = *word_of(s, s->last) & ~UINT64_C(0) >> (WORD - 1 - s->last % WORD)) == 0)
        s->last = s->last / WORD * WORD - 1;
    s->last = s->last / WORD * WORD + WORD - 1 - __builtin_clzll(word);
    return s->last;
}

/* The sample is done with: its slot is for when it is wanted again, in the next epoch, if that is
 * known, or free. */
static void give_back(ls_feed *s) {
    const uint64_t place = at(s, s->tail)->place;
    int64_t again = at(s, s->tail)->next;
    const int32_t slot = drop(s, s->tail);
    while (again != NONE && at(s, again)->place != place)
        again = at(s, again)->next;
    if (again != NONE && at(s, again)->slot == NONE)
        keep(s, again, slot);
    else
        s->free[s->free_count++] = slot;
    s->tail++;
    s->holds = false;
}

/* A slot for sample `number`; NONE: all are wanted before it. */
static int32_t take_slot(ls_feed *s, int64_t number) {
    if (s->free_count > 0)
        return s->free[--s->free_count];
    const int64_t last = find_last(s);
    return last > number ? drop(s, last) : NONE;
}

/* The next sample that is missing; NONE: all known ones are there. */
static int64_t find_missing(ls_feed *s) {
    if (s->fetched < s->tail)
        s->fetched = s->tail;
    while (s->fetched < s->head && at(s, s->fetched)->slot != NONE)
        s->fetched++;
    return s->fetched < s->head ? s->fetched : NONE;
}

/* ---- reading -------------------------------------------------------------------------------- */

static void note_failure(ls_feed *s, ls_status status) {
    s->status = status;
    s->message = ls_strdup(ls_message());
    ls_message_set("");
}

static void copy_sample(const ls_feed *s, const ls_block *block, int64_t number) {
    const ls_wanted *w = at(s, number);
    const size_t bytes = s->blocks.sample;
    memcpy(s->memory + (size_t)w->slot * bytes,
           s->block + (size_t)((int64_t)w->place - block->first) * bytes, bytes);
}

/* Of a block that was read, what is wanted from sample `number` on, as long as it is wanted before
 * what there is. */
static void keep_samples(ls_feed *s, const ls_block *block, int64_t number) {
    copy_sample(s, block, number);
    while ((number = at(s, number)->next) != NONE) {
        if (at(s, number)->slot != NONE)
            continue;
        const int32_t slot = take_slot(s, number);
        if (slot == NONE)
            return;
        keep(s, number, slot);
        copy_sample(s, block, number);
    }
}

/* With the mutex held, but for the time of the reading.  False: there is nothing to read, or no
 * place for it. */
static bool read_one(ls_feed *s) {
    look_ahead(s);
    const int64_t number = find_missing(s);
    const int32_t slot = number == NONE ? NONE : take_slot(s, number);
    if (slot == NONE)
        return false;
    const ls_block block = ls_blocks_find(&s->blocks, (int64_t)at(s, number)->place);
    keep(s, number, slot);
    s->reading = number;
    pthread_mutex_unlock(&s->mutex);
    ls_status status = ls_blocks_read(&s->blocks, &block, s->block);
    pthread_mutex_lock(&s->mutex);
    s->traffic.bytes_read = s->blocks.bytes_read;
    if (status == LS_OK) {
        keep_samples(s, &block, number);
        s->reading = NONE;
        return true;
    }
    s->free[s->free_count++] = drop(s, number);
    s->reading = NONE;
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

/* Of `least` entries; what was known is lost. */
static ls_status make_ring(ls_feed *s, int64_t least) {
    int64_t size = 1 << 13;
    while (size < least)
        size *= 2;
    if (s->ring && size <= s->mask + 1)
        return LS_OK;
    ls_free(s->ring);
    ls_free(s->index);
    ls_free(s->kept);
    s->ring = NULL;
    s->index = NULL;
    s->kept = NULL;
    s->mask = size - 1;
    LS_TRY(LS_NEW(s->ring, (size_t)size));
    LS_TRY(LS_NEW(s->kept, (size_t)size / WORD));
    return LS_NEW(s->index, (size_t)size);
}

static void forget(ls_feed *s) {
    s->tail = s->fetched = s->head = s->last = 0;
    memset(s->kept, 0, (size_t)(s->mask + 1) / WORD * sizeof *s->kept);
    s->holds = false;
    for (int64_t i = 0; i <= s->mask; i++)
        s->index[i] = NONE;
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
    return s->followed != NONE && now->ids == turns->ids && now->context == turns->context &&
           now->what == turns->what && now->period == turns->period &&
           (turns->period > 0 ? next % turns->period : next) == turn &&
           s->tail + s->holds == s->turn_end;
}

/* With the mutex held. */
static void stop(ls_feed *s) {
    s->places = NULL;
    while (s->reading != NONE)
        pthread_cond_wait(&s->changed, &s->mutex);
    s->followed = NONE;
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
    LS_TRY(make_ring(s, 2 * (turns->most + WORD)));
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
    if (s->tail == s->head)
        return false;
    return at(s, s->tail)->slot != NONE && s->tail != s->reading;
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
    const ls_wanted *w = at(s, s->tail);
    LS_REQUIRE(w->place == place);
    *sample = s->memory + (size_t)w->slot * s->blocks.sample;
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
    return make_ring(s, 2 * samples < LS_FEED_HORIZON ? 2 * samples : LS_FEED_HORIZON);
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
    made->followed = made->reading = NONE;
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
    ls_free(s->index);
    ls_free(s->ring);
    ls_free(s->free);
    ls_free(s->kept);
    ls_free(s->block);
    ls_free(s->memory);
    ls_free(s);
}
