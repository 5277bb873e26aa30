/* threads: the threads of this process that share the work of a loop.  Part of base.
 *
 * There is one set of them in a process.  The thread that called ls_threads_set leads: its loops
 * are shared.  What a loop computes may not depend on which thread takes which index: then it has
 * the same bits on any number of threads.
 *
 * Nothing in this header is collective. */
#ifndef LOCKSTEP_THREADS_H
#define LOCKSTEP_THREADS_H

#include "lockstep/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How many threads share loops from now on, the caller's among them; 1, as at the start: no others.
 * Each new one calls `begin` first (NULL: nothing).  Where the process may use exactly as many
 * cores, each of them keeps one.  Not within a loop.  LS_ERR_SYSTEM: the system has no more; there
 * is one then. */
ls_status ls_threads_set(int threads, void (*begin)(void));
int ls_threads(void);
/* Of the thread that asks, 0 to ls_threads() - 1; of one that takes part in no loops: 0. */
int ls_thread_number(void);

typedef ls_status ls_loop_body(void *context, int64_t index);

/* Calls body(context, i) for each i in [0, count), at most once, in any order and several at a
 * time, and returns when all have returned.  The status, with its message, of the lowest index that
 * failed.  Within a loop, and on a thread that does not lead: one after the other, until one fails.
 */
ls_status ls_parallel(int64_t count, ls_loop_body *body, void *context);

/* Part `part` of `parts` of [0, count): begins at the result, the next one where it ends. */
static inline int64_t ls_part_start(int64_t count, int64_t part, int64_t parts) {
    return count / parts * part + count % parts * part / parts;
}

#ifdef __cplusplus
}
#endif
#endif
