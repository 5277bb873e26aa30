/* Packets of samples on their way between nodes: what is sent ahead, what is waited for. */
#include "data/spread.h"

#include <string.h>

enum {
    PACKET_BYTES = 1 << 20,
    PACKET_SAMPLES = 1024,
    FEW_PACKETS = 4,                       /* that a buffer should hold, */
    LEAST_PACKETS = 2,                     /* and has to */
    KNOWN_TURNS = 2 * LS_SPREAD_AHEAD + 1, /* from the last that was seen off to the last sent */
};

/* Neighbouring samples of a turn.  Its memory is taken when it is first used. */
typedef struct packet {
    int64_t turn, count, letters; /* letters: that have come once it is whole, of all */
    uint64_t *place;              /* (count) */
    const char **sample;          /* (count): in the share, or in `memory` */
    char *memory;
} packet;

struct ls_spread {
    ls_comm *comm;
    const ls_homes *homes;
    ls_mail *mail;
    const char *held;
    size_t bytes; /* of a sample */

    ls_spread_places *places; /* NULL: nothing is followed */
    const void *owner;
    ls_turns turns;
    int64_t turn;                 /* that samples are taken of */
    int64_t sent;                 /* the turns before it are on their way */
    int64_t letters[KNOWN_TURNS]; /* of turn i in place i modulo their number: sent up to its end */

    struct {
        int64_t turn, count, next; /* of its samples, those from `next` on are not asked for yet */
        uint64_t *place;
    } asked;
    int64_t size, limit; /* of a packet, samples; packets */
    int64_t used;        /* packets that have memory: the first ones */
    packet *packet;
    int64_t *queue, first, end; /* packets asked for: number i in place i modulo `limit` */
    int64_t *free, free_count;
    int64_t taken; /* samples of the first packet */

    uint64_t *theirs;    /* room for the samples of a turn, */
    int64_t most;        /* so many, */
    const char **pieces; /* and for a letter */
    int *count;          /* (nodes) */
    ls_data_traffic traffic;
};

/* ---- sending -------------------------------------------------------------------------------- */

/* Of samples that `rank` reads, in one packet, those of this node. */
static ls_status send_letter(ls_spread *s, int rank, const uint64_t *place, int64_t count) {
    int pieces = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t at;
        if (ls_shares_find(&s->homes->shares, (int64_t)place[i], &at) == s->homes->node)
            s->pieces[pieces++] = s->held + (size_t)at * s->bytes;
    }
    return pieces > 0 ? ls_mail_send(s->mail, rank, pieces, s->pieces) : LS_OK;
}

static ls_status send_turn(ls_spread *s) {
    for (int i = 0; i < s->homes->served_count; i++) {
        const int rank = s->homes->served[i];
        const int64_t count = s->places(s->owner, &s->turns, rank, s->sent, s->theirs);
        for (int64_t first = 0; first < count; first += s->size)
            LS_TRY(send_letter(s, rank, s->theirs + first,
                               count - first < s->size ? count - first : s->size));
    }
    s->letters[s->sent++ % KNOWN_TURNS] = ls_mail_started(s->mail, LS_MAIL_OUT);
    return LS_OK;
}

/* ---- asking --------------------------------------------------------------------------------- */

static ls_status make_packet(const ls_spread *s, packet *made) {
    LS_TRY(LS_NEW(made->place, (size_t)s->size));
    made->sample = ls_calloc((size_t)s->size, sizeof *made->sample);
    made->memory = ls_calloc((size_t)s->size, s->bytes);
    return made->sample && made->memory ? LS_OK : LS_ERR_SYSTEM;
}

/* Where the samples of a packet will be: those of a node follow one another. */
static void lay_out(const ls_spread *s, packet *p) {
    int *count = s->count;
    int64_t at, sum = 0;
    memset(count, 0, (size_t)s->homes->shares.nodes * sizeof *count);
    for (int64_t i = 0; i < p->count; i++)
        count[ls_shares_find(&s->homes->shares, (int64_t)p->place[i], &at)]++;
    count[s->homes->node] = 0;
    for (int node = 0; node < s->homes->shares.nodes; node++) {
        const int here = count[node];
        count[node] = (int)sum;
        sum += here;
    }
    for (int64_t i = 0; i < p->count; i++) {
        const int node = ls_shares_find(&s->homes->shares, (int64_t)p->place[i], &at);
        const bool own = node == s->homes->node;
        p->sample[i] =
            own ? s->held + (size_t)at * s->bytes : p->memory + (size_t)count[node]++ * s->bytes;
    }
}

/* After lay_out, where count[node] is the end of a node's samples. */
static ls_status receive(ls_spread *s, const packet *p) {
    int first = 0;
    for (int node = 0; node < s->homes->shares.nodes; node++) {
        const int end = node == s->homes->node ? first : s->count[node];
        if (end > first)
            LS_TRY(ls_mail_receive(s->mail, s->homes->sender[node], end - first,
                                   p->memory + (size_t)first * s->bytes));
        first = end;
    }
    s->traffic.bytes_read += (size_t)first * s->bytes;
    return LS_OK;
}

/* The next turn with samples that are to be asked for; false: they all are, as far as others have
 * been told to send by now. */
static bool find_samples(ls_spread *s) {
    while (s->asked.next == s->asked.count && s->asked.turn < s->turn + LS_SPREAD_AHEAD) {
        s->asked.turn++;
        s->asked.next = 0;
        s->asked.count =
            s->places(s->owner, &s->turns, ls_comm_rank(s->comm), s->asked.turn, s->asked.place);
    }
    return s->asked.next < s->asked.count;
}

static ls_status ask(ls_spread *s) {
    while (s->free_count > 0 && find_samples(s)) {
        const int64_t number = s->free[s->free_count - 1], left = s->asked.count - s->asked.next;
        packet *p = &s->packet[number];
        if (number == s->used) { /* they are used in their order */
            LS_TRY(ls_memory_for(make_packet(s, p), "data.buffer"));
            s->used++;
        }
        p->turn = s->asked.turn;
        p->count = left < s->size ? left : s->size;
        memcpy(p->place, s->asked.place + s->asked.next, (size_t)p->count * sizeof *p->place);
        lay_out(s, p);
        LS_TRY(receive(s, p));
        p->letters = ls_mail_started(s->mail, LS_MAIL_IN);
        s->asked.next += p->count;
        s->free_count--;
        s->queue[s->end++ % s->limit] = number;
    }
    return LS_OK;
}

static packet *first_packet(const ls_spread *s) {
    return s->first < s->end ? &s->packet[s->queue[s->first % s->limit]] : NULL;
}

static ls_status wait_for(ls_spread *s, ls_mail_way way, int64_t letters) {
    const double start = ls_seconds();
    ls_status status = ls_mail_wait(s->mail, way, letters);
    s->traffic.waited += ls_seconds() - start;
    return status;
}

static void give_back(ls_spread *s) {
    s->free[s->free_count++] = s->queue[s->first++ % s->limit];
    s->taken = 0;
}

/* What is there, or will be, of turns before `turn`. */
static ls_status drop(ls_spread *s, int64_t turn) {
    for (;;) {
        LS_TRY(ask(s));
        const packet *p = first_packet(s);
        if (p == NULL || p->turn >= turn)
            return LS_OK;
        LS_TRY(wait_for(s, LS_MAIL_IN, p->letters));
        give_back(s);
    }
}

/* ---- following an order --------------------------------------------------------------------- */

static bool follows(const ls_spread *s, const ls_turns *turns, int64_t turn) {
    const ls_turns *now = &s->turns;
    const int64_t next = s->turn + 1;
    return s->places && now->ids == turns->ids && now->context == turns->context &&
           now->what == turns->what && now->period == turns->period &&
           (turns->period > 0 ? next % turns->period : next) == turn;
}

/* All ranks have come to the same turn, so what they have sent is what is asked for. */
static ls_status stop(ls_spread *s) {
    if (s->places == NULL)
        return LS_OK;
    LS_TRY(drop(s, INT64_MAX));
    LS_TRY(ls_mail_wait(s->mail, LS_MAIL_OUT, ls_mail_started(s->mail, LS_MAIL_OUT)));
    s->places = NULL;
    return LS_OK;
}

static ls_status make_room(ls_spread *s, int64_t most) {
    if (most <= s->most)
        return LS_OK;
    ls_free(s->theirs);
    ls_free(s->asked.place);
    s->theirs = s->asked.place = NULL;
    s->most = 0;
    LS_TRY(LS_NEW(s->theirs, (size_t)most));
    LS_TRY(LS_NEW(s->asked.place, (size_t)most));
    s->most = most;
    return LS_OK;
}

static ls_status start_over(ls_spread *s, ls_spread_places *places, const void *owner,
                            const ls_turns *turns, int64_t turn) {
    LS_TRY(stop(s));
    LS_TRY(make_room(s, turns->most));
    s->places = places;
    s->owner = owner;
    s->turns = *turns;
    s->sent = turn;
    s->turn = s->asked.turn = turn - 1;
    s->asked.next = s->asked.count = 0;
    for (int i = 0; i < KNOWN_TURNS; i++)
        s->letters[i] = 0;
    return LS_OK;
}

/* First what others may wait for; then what was not taken; then, so that no rank is far ahead,
 * until others have what was sent to them long ago. */
static ls_status come_to_next(ls_spread *s) {
    s->turn++;
    while (s->sent <= s->turn + LS_SPREAD_AHEAD)
        LS_TRY(send_turn(s));
    LS_TRY(drop(s, s->turn));
    const int64_t known = s->turn - LS_SPREAD_AHEAD;
    return known < 0 ? LS_OK : wait_for(s, LS_MAIL_OUT, s->letters[known % KNOWN_TURNS]);
}

ls_status ls_spread_follow(ls_spread *s, ls_spread_places *places, const void *owner,
                           const ls_turns *turns, int64_t turn) {
    ls_status status = ls_comm_check(s->comm);
    if (status == LS_OK && !follows(s, turns, turn))
        status = start_over(s, places, owner, turns, turn);
    if (status == LS_OK)
        status = come_to_next(s);
    return status == LS_OK ? LS_OK : ls_comm_break(s->comm, status);
}

ls_status ls_spread_stop(ls_spread *s) {
    LS_TRY(ls_comm_check(s->comm));
    ls_status status = stop(s);
    return status == LS_OK ? LS_OK : ls_comm_break(s->comm, status);
}

/* ---- taking --------------------------------------------------------------------------------- */

static ls_status take(ls_spread *s, uint64_t place, const void **sample) {
    const packet *p = first_packet(s);
    if (p && s->taken == p->count) {
        give_back(s);
        LS_TRY(ask(s));
        p = first_packet(s);
    }
    LS_REQUIRE(p && p->turn == s->turn && p->place[s->taken] == place);
    if (s->taken == 0)
        LS_TRY(wait_for(s, LS_MAIL_IN, p->letters));
    *sample = p->sample[s->taken++];
    s->traffic.bytes_used += s->bytes;
    return LS_OK;
}

ls_status ls_spread_next(ls_spread *s, uint64_t place, const void **sample) {
    ls_status status = take(s, place, sample);
    return status == LS_OK ? LS_OK : ls_comm_break(s->comm, status);
}

void ls_spread_poll(ls_spread *s) {
    ls_mail_poll(s->mail);
}

ls_data_traffic ls_spread_traffic(const ls_spread *s) {
    return s->traffic;
}

size_t ls_spread_bytes(const ls_spread *s) {
    const size_t each = s->bytes + sizeof(uint64_t) + sizeof(char *);
    return (size_t)s->used * (size_t)s->size * each;
}

/* ---- opening -------------------------------------------------------------------------------- */

/* Packets that fit, and are neither large nor few. */
static void cut(ls_spread *s, size_t buffer) {
    const size_t samples = buffer / s->bytes;
    size_t size = PACKET_BYTES / s->bytes, few = samples / FEW_PACKETS;
    size = size < PACKET_SAMPLES ? size : PACKET_SAMPLES;
    size = size < few ? size : few;
    size = size > 1 ? size : 1;
    s->size = (int64_t)size;
    s->limit = (int64_t)(samples / size);
}

static ls_status open_parts(ls_spread *s) {
    LS_TRY(ls_mail_create(s->comm, s->bytes, &s->mail));
    LS_TRY(LS_NEW(s->packet, (size_t)s->limit));
    LS_TRY(LS_NEW(s->queue, (size_t)s->limit));
    LS_TRY(LS_NEW(s->free, (size_t)s->limit));
    LS_TRY(LS_NEW(s->count, (size_t)s->homes->shares.nodes));
    while (s->free_count < s->limit) {
        s->free[s->free_count] = s->limit - 1 - s->free_count;
        s->free_count++;
    }
    s->pieces = ls_calloc((size_t)s->size, sizeof *s->pieces);
    return s->pieces ? LS_OK : LS_ERR_SYSTEM;
}

size_t ls_spread_least(size_t bytes) {
    return LEAST_PACKETS * bytes;
}

ls_status ls_spread_open(ls_comm *comm, const ls_homes *homes, const char *held, size_t bytes,
                         size_t buffer, ls_spread **spread) {
    ls_spread *made;
    LS_REQUIRE(buffer >= ls_spread_least(bytes));
    LS_TRY(LS_NEW(made, 1));
    made->comm = comm;
    made->homes = homes;
    made->held = held;
    made->bytes = bytes;
    cut(made, buffer);
    ls_status status = ls_memory_for(open_parts(made), "data.buffer");
    if (status == LS_OK)
        *spread = made;
    else
        ls_spread_close(made);
    return status;
}

void ls_spread_close(ls_spread *s) {
    if (s == NULL)
        return;
    if (ls_comm_check(s->comm) != LS_OK || ls_spread_stop(s) != LS_OK)
        return; /* MPI may still write to it */
    for (int64_t i = 0; s->packet && i < s->limit; i++) {
        ls_free(s->packet[i].place);
        ls_free(s->packet[i].sample);
        ls_free(s->packet[i].memory);
    }
    ls_mail_free(s->mail);
    ls_free(s->packet);
    ls_free(s->queue);
    ls_free(s->free);
    ls_free(s->count);
    ls_free(s->pieces);
    ls_free(s->theirs);
    ls_free(s->asked.place);
    ls_free(s);
}
