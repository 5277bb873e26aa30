/* The threads that share loops: fork and join over the indices of a loop.
 *
 * The leader writes the loop down, opens it, works along, closes it once no index is left, and
 * waits for those that are still inside.  A thread enters by counting itself in and then looking
 * whether the loop is open, so the leader, who closes first and then looks at the count, waits for
 * all who saw it open, and not for those that wake up late.
 *
 * Each thread has a share of the indices and takes them in their order, then helps the others: what
 * a thread works on lies together in memory, and one that the system holds up is waited for
 * little. */
#include "lockstep/threads.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    SPINS = 2000, /* some 30 to 100 microseconds, longer than the leader takes between two loops */
    YIELD = 64,   /* spins until the core is offered to others */
    MESSAGE_SIZE = 2048
};

/* Of the indices of a loop. */
typedef struct share {
    _Alignas(LS_ALIGN) atomic_llong next;
    int64_t end;
} share;

static struct {
    int count;   /* threads; 0 and 1: only the caller's */
    int spins;   /* until a thread that waits sleeps */
    bool pinned; /* thread i runs on the i-th of these cores: */
    cpu_set_t cores;
    pthread_t *workers; /* (count - 1) */
    share *shares;      /* (count) */
    void (*begin)(void);
    /* the loop: */
    ls_loop_body *body;
    void *context;
    atomic_bool open;
    atomic_uint turn;   /* counts loops: workers wait for the next one */
    atomic_uint inside; /* workers that may hold an index */
    atomic_int sleepers;
    atomic_bool leader_sleeps, ending;
    /* what failed: */
    pthread_mutex_t lock;
    int64_t failed; /* the lowest index; -1: none */
    ls_status status;
    char message[MESSAGE_SIZE];
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local int number;
static _Thread_local bool leads; /* its loops are shared */

int ls_threads(void) {
    return pool.count > 1 ? pool.count : 1;
}

int ls_thread_number(void) {
    return number;
}

/* ---- waiting -------------------------------------------------------------------------------- */

static void relax(int spin) {
    if (spin % YIELD == YIELD - 1)
        sched_yield();
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* Until the word is no longer `value`, or for no reason. */
static void sleep_on(atomic_uint *word, unsigned value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void wake(atomic_uint *word, int most) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, most, NULL, NULL, 0);
}

static unsigned wait_for_turn(unsigned seen) {
    for (int spin = 0; spin < pool.spins; spin++, relax(spin))
        if (atomic_load(&pool.turn) != seen)
            return atomic_load(&pool.turn);
    atomic_fetch_add(&pool.sleepers, 1);
    while (atomic_load(&pool.turn) == seen)
        sleep_on(&pool.turn, seen);
    atomic_fetch_sub(&pool.sleepers, 1);
    return atomic_load(&pool.turn);
}

static void next_turn(void) {
    atomic_fetch_add(&pool.turn, 1);
    if (atomic_load(&pool.sleepers) > 0)
        wake(&pool.turn, ls_threads());
}

static void leave(void) {
    if (atomic_fetch_sub(&pool.inside, 1) == 1 && atomic_load(&pool.leader_sleeps))
        wake(&pool.inside, 1);
}

static void wait_for_workers(void) {
    unsigned left;
    for (int spin = 0; spin < pool.spins; spin++, relax(spin))
        if (atomic_load(&pool.inside) == 0)
            return;
    atomic_store(&pool.leader_sleeps, true);
    while ((left = atomic_load(&pool.inside)) != 0)
        sleep_on(&pool.inside, left);
    atomic_store(&pool.leader_sleeps, false);
}

/* ---- loops ---------------------------------------------------------------------------------- */

static void note_failure(int64_t index, ls_status status) {
    pthread_mutex_lock(&pool.lock);
    if (pool.failed < 0 || index < pool.failed) {
        pool.failed = index;
        pool.status = status;
        snprintf(pool.message, sizeof pool.message, "%s", ls_message());
    }
    pthread_mutex_unlock(&pool.lock);
    ls_message_set("");
}

static void take_share(share *of) {
    for (int64_t i; (i = atomic_fetch_add(&of->next, 1)) < of->end;) {
        ls_status status = pool.body(pool.context, i);
        if (status != LS_OK)
            note_failure(i, status);
    }
}

/* One's own share, then what is left of the others'. */
static void take_shares(void) {
    for (int i = 0; i < pool.count; i++)
        take_share(&pool.shares[(number + i) % pool.count]);
}

static ls_status run_alone(int64_t count, ls_loop_body *body, void *context) {
    for (int64_t i = 0; i < count; i++)
        LS_TRY(body(context, i));
    return LS_OK;
}

static ls_status result(void) {
    if (pool.failed < 0)
        return LS_OK;
    if (ls_message()[0] == '\0')
        ls_message_set(pool.message);
    return pool.status;
}

ls_status ls_parallel(int64_t count, ls_loop_body *body, void *context) {
    if (!leads || count <= 1 || pool.count <= 1)
        return run_alone(count, body, context);
    for (int i = 0; i < pool.count; i++) {
        atomic_store(&pool.shares[i].next, ls_part_start(count, i, pool.count));
        pool.shares[i].end = ls_part_start(count, i + 1, pool.count);
    }
    pool.body = body;
    pool.context = context;
    pool.failed = -1;
    leads = false; /* loops within this one are not shared */
    atomic_store(&pool.open, true);
    next_turn();
    take_shares();
    atomic_store(&pool.open, false);
    wait_for_workers();
    leads = true;
    return result();
}

/* ---- making --------------------------------------------------------------------------------- */

static void pin(int thread) {
    cpu_set_t one;
    int core = 0;
    CPU_ZERO(&one);
    for (int before = thread; !CPU_ISSET(core, &pool.cores) || before-- > 0;)
        core++;
    CPU_SET(core, &one);
    pthread_setaffinity_np(pthread_self(), sizeof one, &one);
}

static void *work(void *start) {
    unsigned turn = 0;
    number = (int)((share *)start - pool.shares);
    if (pool.pinned)
        pin(number);
    if (pool.begin)
        pool.begin();
    while (turn = wait_for_turn(turn), !atomic_load(&pool.ending)) {
        atomic_fetch_add(&pool.inside, 1);
        if (atomic_load(&pool.open))
            take_shares();
        leave();
    }
    return NULL;
}

/* Ends those that were started, which are `count`, the caller's among them. */
static void end(int count) {
    atomic_store(&pool.ending, true);
    next_turn();
    for (int i = 1; i < count; i++)
        pthread_join(pool.workers[i - 1], NULL);
    ls_free(pool.workers);
    ls_free(pool.shares);
    pool.workers = NULL;
    pool.shares = NULL;
    pool.count = 1;
}

/* Signals are for the threads that there were before. */
static int start(share *of, pthread_t *thread) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(thread, NULL, work, of);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

static void look_at_cores(int threads) {
    bool known = sched_getaffinity(0, sizeof pool.cores, &pool.cores) == 0;
    int cores = known ? CPU_COUNT(&pool.cores) : 0;
    pool.pinned = cores == threads;
    pool.spins = known && cores < threads ? 1 : SPINS;
}

ls_status ls_threads_set(int threads, void (*begin)(void)) {
    LS_REQUIRE(threads >= 1 && (leads || pool.count <= 1));
    if (pool.count > 1)
        end(pool.count);
    leads = true;
    pool.count = threads;
    if (threads == 1)
        return LS_OK;
    pool.begin = begin;
    atomic_store(&pool.ending, false);
    atomic_store(&pool.turn, 0);
    look_at_cores(threads);
    pool.workers = ls_calloc((size_t)threads - 1, sizeof *pool.workers);
    pool.shares = ls_calloc((size_t)threads, sizeof *pool.shares);
    int made = 1;
    while (pool.workers && pool.shares && made < threads &&
           start(&pool.shares[made], &pool.workers[made - 1]) == 0)
        made++;
    if (made == threads)
        return LS_OK;
    end(made);
    return ls_fail(LS_ERR_SYSTEM, "compute.threads %d: the system gives no more than %d", threads,
                   made);
}
