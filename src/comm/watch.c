/* The watch: a thread of each rank that tells when the waiting has lasted long, and for whom.  It
 * calls no MPI: what it knows are the waits of the node's ranks, in shared memory. */
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "comm/comm.h"

enum { MOST_HOSTS = 8, SPEAKING_NODES = 4 };

/* Of a rank, for the other ranks of its node; s of the host's clock. */
typedef struct beat {
    _Alignas(LS_ALIGN) _Atomic double waits_since; /* 0: it does not wait */
    _Atomic double alive;                          /* when its watch looked last */
    int rank;
    pid_t process;
} beat;

struct ls_watch {
    const ls_comm *comm;
    ls_shared *memory;
    beat *beats; /* of the node's ranks */
    double patience;
    char host[LS_HOST_SIZE];
    ls_text others; /* "host-2, host-3" */
    bool speaks;    /* of other hosts, too: a few nodes do */
    double told;    /* waits_since of the wait that was told of, */
    int64_t times;  /* and how often */

    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool started, ends;
};

void ls_wait_begin(const ls_comm *comm) {
    if (comm->watch)
        atomic_store_explicit(&comm->watch->beats[comm->node_rank].waits_since, ls_seconds(),
                              memory_order_relaxed);
}

void ls_wait_end(const ls_comm *comm) {
    if (comm->watch)
        atomic_store_explicit(&comm->watch->beats[comm->node_rank].waits_since, 0,
                              memory_order_relaxed);
}

/* ---- what the thread sees ------------------------------------------------------------------- */

/* A process that is stopped, or gone, waits for nothing. */
static bool is_late(const ls_watch *w, const beat *of, double now) {
    const double pause = w->patience < 4 ? w->patience : 4;
    return of->waits_since == 0 || now - of->alive > pause;
}

/* The first rank of the node that has waited for long speaks for all of them. */
static bool is_speaker(const ls_watch *w, double now) {
    for (int i = 0; i < w->comm->node_rank; i++)
        if (!is_late(w, &w->beats[i], now) && now - w->beats[i].waits_since > w->patience)
            return false;
    return true;
}

static void add_late(const ls_watch *w, double now, ls_text *text) {
    for (int i = 0; i < w->comm->node_size; i++)
        if (is_late(w, &w->beats[i], now))
            ls_text_add(text, "%s%d (process %ld)", text->length ? ", " : "", w->beats[i].rank,
                        (long)w->beats[i].process);
}

static void tell(const ls_watch *w, double seconds, double now) {
    ls_text late = {0};
    add_late(w, now, &late);
    if (late.length > 0)
        ls_warn("no progress for %.0f s: the ranks on %s wait for rank %s there", seconds, w->host,
                late.data);
    else if (w->others.length == 0)
        ls_warn("no progress for %.0f s: all ranks wait, for messages of each other", seconds);
    else if (w->speaks)
        ls_warn("no progress for %.0f s: all ranks on %s wait for those on %s", seconds, w->host,
                w->others.data);
    ls_text_free(&late);
}

static void look(ls_watch *w) {
    beat *mine = &w->beats[w->comm->node_rank];
    const double now = ls_seconds(), since = mine->waits_since;
    mine->alive = now;
    if (since != w->told)
        w->times = 0;
    w->told = since;
    if (since == 0 || now - since < w->patience * (double)(w->times + 1))
        return;
    w->times = (int64_t)((now - since) / w->patience);
    if (is_speaker(w, now))
        tell(w, now - since, now);
}

static void *run(void *context) {
    ls_watch *w = context;
    const double pause = fmin(w->patience / 4, 1);
    pthread_mutex_lock(&w->mutex);
    while (!w->ends) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        const double end = (double)until.tv_nsec * 1e-9 + pause;
        until.tv_sec += (time_t)end;
        until.tv_nsec = (long)((end - floor(end)) * 1e9);
        pthread_cond_timedwait(&w->wake, &w->mutex, &until);
        look(w);
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

/* ---- set-up --------------------------------------------------------------------------------- */

/* The other hosts, by their first ranks. */
static ls_status name_others(ls_comm *comm, ls_watch *w) {
    char *names = NULL; /* of each rank's host; empty: not the first rank there */
    int count = 0;
    ls_host_name(w->host);
    LS_TRY(ls_comm_agree(comm, LS_NEW(names, (size_t)comm->size * LS_HOST_SIZE)));
    char mine[LS_HOST_SIZE] = "";
    if (comm->node_rank == 0)
        memcpy(mine, w->host, sizeof mine);
    ls_status status = ls_mpi_check(
        comm,
        MPI_Allgather(mine, LS_HOST_SIZE, MPI_CHAR, names, LS_HOST_SIZE, MPI_CHAR, comm->world),
        "MPI_Allgather");
    for (int rank = 0, node = 0; rank < comm->size; rank++) {
        const char *name = names + (size_t)rank * LS_HOST_SIZE;
        if (name[0] == '\0')
            continue;
        if (rank == w->beats[0].rank)
            w->speaks = node < SPEAKING_NODES;
        else if (count++ < MOST_HOSTS)
            ls_text_add(&w->others, "%s%s", w->others.length ? ", " : "", name);
        node++;
    }
    if (count > MOST_HOSTS)
        ls_text_add(&w->others, " and %d more", count - MOST_HOSTS);
    ls_free(names);
    return status;
}

static ls_status start_thread(ls_watch *w) {
    sigset_t all, before;
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->wake, NULL);
    sigfillset(&all); /* signals are the main thread's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    w->started = pthread_create(&w->thread, NULL, run, w) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return w->started ? LS_OK : ls_fail(LS_ERR_SYSTEM, "cannot start a thread that watches");
}

ls_status ls_comm_watch(ls_comm *comm, double patience) {
    ls_watch *made = NULL;
    ls_comm_watch_end(comm);
    if (patience <= 0 || comm->size == 1)
        return LS_OK;
    LS_TRY(ls_comm_agree(comm, LS_NEW(made, 1)));
    made->comm = comm;
    made->patience = patience;
    ls_status status;
    LS_TRY_GOTO(failed, ls_shared_create(comm, sizeof(beat) * (size_t)comm->node_size,
                                         "the watch over waits", &made->memory));
    made->beats = ls_shared_data(made->memory);
    beat *mine = &made->beats[comm->node_rank];
    mine->rank = comm->rank;
    mine->process = getpid();
    mine->alive = ls_seconds();
    ls_comm_node_barrier(comm);
    LS_TRY_GOTO(failed, name_others(comm, made));
    LS_TRY_GOTO(failed, ls_comm_agree(comm, start_thread(made)));
    comm->watch = made;
    return LS_OK;
failed:
    comm->watch = made;
    ls_comm_watch_end(comm);
    return status;
}

void ls_comm_watch_end(ls_comm *comm) {
    ls_watch *w = comm->watch;
    if (w == NULL)
        return;
    comm->watch = NULL;
    if (w->started) {
        pthread_mutex_lock(&w->mutex);
        w->ends = true;
        pthread_cond_signal(&w->wake);
        pthread_mutex_unlock(&w->mutex);
        pthread_join(w->thread, NULL);
    }
    ls_text_free(&w->others);
    ls_shared_free(w->memory);
    ls_free(w);
}
