/* record: what this rank did when: events that a benchmark adds up and a trace shows.  Part of
 * base: nn, comm and train note theirs through a pointer that is NULL while nobody asks, and then
 * cost one comparison.
 *
 * Nothing in this header is collective. */
#ifndef LOCKSTEP_RECORD_H
#define LOCKSTEP_RECORD_H

#include "lockstep/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ls_event_kind {
    LS_EVENT_STEP,     /* a whole step; index: its number since the start of epoch 0 */
    LS_EVENT_PHASE,    /* a stretch of a phase; index: the ls_phase */
    LS_EVENT_FORWARD,  /* an operation of the network, a slot or all; index: see ls_net_op_count */
    LS_EVENT_BACKWARD, /* the same, with handing over the gradients of its parameters */
    LS_EVENT_GRADIENT, /* a piece of a parameter's gradient goes to the sink; index: ls_net_param */
    LS_EVENT_FINAL,    /* the sink learns that a piece is final: messages make progress; the same */
    LS_EVENT_BUCKET,   /* of the exchange, from final on this rank to seen as complete on all that
                          it is summed over; index: from the end of the flat array */
    LS_EVENT_WAIT      /* for the sums of a bucket, its index; -1: for the node's ranks */
} ls_event_kind;

typedef struct ls_event {
    ls_event_kind kind;
    int32_t index;
    double start, end; /* ls_seconds() */
} ls_event;

/* Events in the order of their ends.  Start with {0}; free with ls_recorder_free.  `failed` is set
 * once memory runs out, and what comes later is dropped: check it once, at the end. */
typedef struct ls_recorder {
    ls_event *events;
    size_t count, capacity;
    bool failed;
} ls_recorder;

void ls_record(ls_recorder *recorder, ls_event_kind kind, int64_t index, double start, double end);
void ls_recorder_free(ls_recorder *recorder);

/* Around what is noted: start = ls_record_start(r); ...; ls_record_end(r, kind, index, start). */
static inline double ls_record_start(const ls_recorder *recorder) {
    return recorder ? ls_seconds() : 0;
}
static inline void ls_record_end(ls_recorder *recorder, ls_event_kind kind, int64_t index,
                                 double start) {
    if (recorder)
        ls_record(recorder, kind, index, start, ls_seconds());
}

#ifdef __cplusplus
}
#endif
#endif
