/* What is slow about the ranks: cores that several of them share, nodes that have more of them than
 * others, and the one that works longest. */
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "comm/comm.h"
#include "lockstep/threads.h"

typedef struct place {
    cpu_set_t cores; /* that this rank may run on */
    char host[LS_HOST_SIZE];
} place;

/* Whether the threads of ranks that may run on no other cores than `of` are more than these. */
static bool is_crowded(const place *places, int first, int count, const place *of, int *ranks,
                       int *cores) {
    *cores = CPU_COUNT(&of->cores);
    *ranks = 0;
    for (int i = first; i < first + count; i++) {
        cpu_set_t both;
        CPU_AND(&both, &places[i].cores, &of->cores);
        *ranks += CPU_EQUAL(&both, &places[i].cores);
    }
    return *ranks * ls_threads() > *cores;
}

/* Launchers put the ranks of a host one after another; where they do not, less is found. */
static bool find_crowd(const place *places, int count, const place **where, int *ranks,
                       int *cores) {
    for (int i = 0; i < count; i++) {
        int first = i, end = i + 1;
        while (first > 0 && strcmp(places[first - 1].host, places[i].host) == 0)
            first--;
        while (end < count && strcmp(places[end].host, places[i].host) == 0)
            end++;
        *where = &places[i];
        if (is_crowded(places, first, end - first, *where, ranks, cores))
            return true;
    }
    return false;
}

static void tell_crowd(const char *host, int ranks, int cores) {
    const int threads = ls_threads();
    if (threads == 1)
        ls_log(LS_LOG_NORMAL,
               "on %s %d ranks share %d core%s: one a core is faster (mpirun --bind-to core, srun "
               "--cpu-bind=cores)",
               host, ranks, cores, cores == 1 ? "" : "s");
    else
        ls_log(LS_LOG_NORMAL,
               "on %s the %d threads of %d rank%s share %d core%s: a core for each is faster "
               "(mpirun --map-by slot:PE=%d --bind-to core, srun --cpus-per-task=%d)",
               host, threads * ranks, ranks, ranks == 1 ? "" : "s", cores, cores == 1 ? "" : "s",
               threads, threads);
}

static void tell(const ls_comm *comm, const place *places) {
    const place *where;
    int ranks, cores;
    if (find_crowd(places, comm->size, &where, &ranks, &cores))
        tell_crowd(where->host, ranks, cores);
    if (!comm->uniform)
        ls_log(LS_LOG_NORMAL, "the nodes have different numbers of ranks: gradients are summed by "
                              "exchange: flat, which is slower than node");
}

/* On rank 0: of all ranks, new memory. */
static ls_status gather_places(ls_comm *comm, place **places) {
    place mine = {.host = ""}, *all = NULL;
    ls_status status = LS_OK;
    CPU_ZERO(&mine.cores);
    if (sched_getaffinity(0, sizeof mine.cores, &mine.cores) != 0)
        memset(&mine.cores, 0xff, sizeof mine.cores); /* there are more than a set has room for */
    ls_host_name(mine.host);
    if (comm->rank == 0)
        status = LS_NEW(all, (size_t)comm->size);
    LS_TRY(ls_comm_agree(comm, status));
    status = ls_comm_gather(comm, &mine, sizeof mine, all);
    if (status != LS_OK)
        ls_free(all);
    else
        *places = all;
    return status;
}

ls_status ls_comm_tell_layout(ls_comm *comm) {
    place *places;
    LS_TRY(gather_places(comm, &places));
    if (comm->rank == 0)
        tell(comm, places);
    ls_free(places);
    return LS_OK;
}

ls_status ls_comm_crowd(ls_comm *comm, int threads, double *crowd) {
    place *places;
    LS_TRY(gather_places(comm, &places));
    *crowd = 1;
    for (int first = 0, end; comm->rank == 0 && first < comm->size; first = end) {
        cpu_set_t cores = places[first].cores;
        for (end = first + 1; end < comm->size && strcmp(places[end].host, places[first].host) == 0;
             end++)
            CPU_OR(&cores, &cores, &places[end].cores);
        double here = (double)threads * (end - first) / CPU_COUNT(&cores);
        *crowd = here > *crowd ? here : *crowd;
    }
    ls_free(places);
    return LS_OK;
}

typedef struct worker {
    double seconds;
    char host[LS_HOST_SIZE];
} worker;

static void find_slowest(const worker *all, int count, ls_slowest *slowest) {
    *slowest = (ls_slowest){.rank = 0};
    for (int rank = 0; rank < count; rank++) {
        slowest->mean += all[rank].seconds / count;
        if (all[rank].seconds > all[slowest->rank].seconds)
            slowest->rank = rank;
    }
    slowest->seconds = all[slowest->rank].seconds;
    memcpy(slowest->host, all[slowest->rank].host, LS_HOST_SIZE);
}

ls_status ls_comm_slowest(ls_comm *comm, double seconds, ls_slowest *slowest) {
    worker mine = {.seconds = seconds}, *all = NULL;
    ls_status status = LS_OK;
    ls_host_name(mine.host);
    if (comm->rank == 0)
        status = LS_NEW(all, (size_t)comm->size);
    LS_TRY(ls_comm_agree(comm, status));
    status = ls_comm_gather(comm, &mine, sizeof mine, all);
    if (status == LS_OK && comm->rank == 0)
        find_slowest(all, comm->size, slowest);
    ls_free(all);
    return status;
}
