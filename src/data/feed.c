/* The buffer between files and training: what is read next, what it takes the place of, and the
 * thread that reads. */
#include "data/feed.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

enum { NONE = -1, TURNS_AT_A_TIME = 4, WAKE_BYTES = 1 << 18 };

/* A sample that will be wanted.  Entry i of the ring is sample number i of all that are followed,
 * modulo the ring's size. */
typedef struct ls_wanted {
    uint64_t place;  /* in the joint */
    int64_t block;   /* number */
    int64_t next;    /* the next one of this block, NONE: not known of any */
    int64_t before;  /* the one before of this block, NONE: none */
    int64_t chained; /* the one before in the same chain of the index */
    int32_t slot;    /* where the block is, or is being read to; NONE */
} ls_wanted;

typedef struct ls_slot {
    int64_t next;  /* the sample that wants its block next; NONE: free */
    int64_t first; /* place of the block's first sample */
    bool ready;
} ls_slot;

struct ls_feed {
    ls_blocks blocks;
    unsigned char *memory;
    size_t slot_bytes;
    int32_t slots, free_count;
    ls_slot *slot;
    int32_t *free; /* a stack */

    ls_wanted *ring;
    int64_t mask;   /* size of the ring - 1 */
    int64_t *index; /* latest entry of each chain, by the block's number */
    int64_t tail, fetched,
        head; /* done with before tail; seen to before fetched; known before head */

    ls_feed_places *places;
    const void *owner;
    ls_turns turns;
    int64_t turn;     /* of the next samples to be known */
    int64_t followed; /* the turn whose samples are handed out; NONE: none yet */
    int64_t turn_end; /* of its samples */
    uint64_t *scratch;
    int64_t scratch_size;

    bool threaded, ends, reads;
    size_t unnoticed; /* bytes handed out since the thread was woken */
    bool holds;       /* the sample before tail was handed out, and is not given back yet */
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
    *at(s, number) = (ls_wanted){place, block, NONE, before, *chain, NONE};
    *chain = number;
}

/* As long as the ring has room for a turn. */
static void look_ahead(ls_feed *s) {
    for (int i = 0; i < TURNS_AT_A_TIME; i++) {
        if (s->head - s->tail + s->turns.most > s->mask)
            return;
        const int64_t count = s->places(s->owner, &s->turns, s->turn++, s->scratch);
        for (int64_t k = 0; k < count; k++)
            add_wanted(s, s->scratch[k]);
    }
}

/* ---- slots ---------------------------------------------------------------------------------- */

/* The sample is done with: its block waits for the next one that wants it, or goes. */
static void give_back(ls_feed *s) {
    const ls_wanted *done = at(s, s->tail);
    ls_slot *slot = &s->slot[done->slot];
    slot->next = done->next;
    if (done->next == NONE)
        s->free[s->free_count++] = done->slot;
    else
        at(s, done->next)->slot = done->slot;
    s->tail++;
    s->holds = false;
}

/* A slot for what is wanted by sample `number`; NONE: all are wanted before. */
static int32_t take_slot(ls_feed *s, int64_t number) {
    int32_t last = 0;
    if (s->free_count > 0)
        return s->free[--s->free_count];
    for (int32_t i = 1; i < s->slots; i++)
        if (s->slot[i].next > s->slot[last].next)
            last = i;
    if (s->slot[last].next <= number)
        return NONE;
    at(s, s->slot[last].next)->slot = NONE;
    return last;
}

/* The next sample whose block is missing; NONE: that of every known sample is there. */
static int64_t find_missing(ls_feed *s) {
    if (s->fetched < s->tail)
        s->fetched = s->tail;
    for (; s->fetched < s->head; s->fetched++) {
        const ls_wanted *w = at(s, s->fetched);
        if (w->slot == NONE && w->before < s->tail)
            return s->fetched;
    }
    return NONE;
}

/* ---- reading -------------------------------------------------------------------------------- */

static void note_failure(ls_feed *s, ls_status status) {
    s->status = status;
    s->message = ls_strdup(ls_message());
    ls_message_set("");
}

/* With the mutex held, but for the time of the reading.  False: there is nothing to read, or no
 * place for it. */
static bool read_one(ls_feed *s) {
    look_ahead(s);
    const int64_t number = find_missing(s);
    const int32_t i = number == NONE ? NONE : take_slot(s, number);
    if (i == NONE)
        return false;
    const ls_block block = ls_blocks_find(&s->blocks, (int64_t)at(s, number)->place);
    s->slot[i] = (ls_slot){.next = number, .first = block.first};
    at(s, number)->slot = i;
    s->fetched++;
    s->reads = true;
    pthread_mutex_unlock(&s->mutex);
    ls_status status = ls_blocks_read(&s->blocks, &block, s->memory + (size_t)i * s->slot_bytes);
    pthread_mutex_lock(&s->mutex);
    s->reads = false;
    s->traffic.bytes_read = s->blocks.bytes_read;
    if (status == LS_OK)
        s->slot[i].ready = true;
    else
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
    s->tail = s->fetched = s->head = 0;
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
    while (s->reads)
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
    LS_REQUIRE(turns->most <= s->mask);
    LS_TRY(make_scratch(s, turns->most));
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
    const int32_t slot = at(s, s->tail)->slot;
    return slot != NONE && s->slot[slot].ready;
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
    const size_t within = (size_t)((int64_t)place - s->slot[w->slot].first) * s->blocks.sample;
    *sample = s->memory + (size_t)w->slot * s->slot_bytes + within;
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

size_t ls_feed_bytes(const ls_feed *s) {
    return (size_t)s->slots * s->slot_bytes;
}

/* ---- opening -------------------------------------------------------------------------------- */

static size_t block_bytes(const ls_blocks *blocks) {
    return (size_t)blocks->most * blocks->sample;
}

size_t ls_feed_least(const ls_blocks *blocks) {
    return 2 * block_bytes(blocks);
}

static void count_slots(const ls_blocks *blocks, size_t bytes, ls_feed *s) {
    const int64_t most = blocks->count < INT32_MAX ? blocks->count : INT32_MAX;
    s->slot_bytes = block_bytes(blocks);
    const size_t slots = bytes / s->slot_bytes;
    s->slots = slots < (size_t)most ? (int32_t)slots : (int32_t)most;
}

static ls_status make_room(ls_feed *s, int64_t samples) {
    int64_t size = 1 << 13;
    while (size < 2 * samples && size < LS_FEED_HORIZON)
        size *= 2;
    s->mask = size - 1;
    const size_t bytes = (ls_feed_bytes(s) + LS_ALIGN - 1) / LS_ALIGN * LS_ALIGN;
    void *memory = aligned_alloc(LS_ALIGN, bytes); /* not zeroed: takes pages as it fills */
    if (memory == NULL)
        return ls_fail(LS_ERR_SYSTEM, "out of memory: %zu bytes wanted", bytes);
    s->memory = memory;
    LS_TRY(LS_NEW(s->slot, (size_t)s->slots));
    LS_TRY(LS_NEW(s->free, (size_t)s->slots));
    LS_TRY(LS_NEW(s->ring, (size_t)size));
    return LS_NEW(s->index, (size_t)size);
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
    made->followed = NONE;
    pthread_mutex_init(&made->mutex, NULL);
    pthread_cond_init(&made->wanted, NULL);
    pthread_cond_init(&made->changed, NULL);
    count_slots(blocks, bytes, made);
    ls_status status = ls_memory_for(make_room(made, samples), "data.buffer");
    if (status == LS_OK) {
        forget(made);
        made->blocks = *blocks;
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
    ls_free(s->slot);
    ls_free(s->memory);
    ls_free(s);
}
