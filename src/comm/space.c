/* Whether memory fits: in /dev/shm, where shared memory lives, and under the memory limit of the
 * job's control group, beyond which the kernel kills. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include "comm/comm.h"
#include "comm/space.h"

/* ---- control groups ------------------------------------------------------------------------- */

enum { PATH_SIZE = 4096, LINE_SIZE = 256 };

/* The number after `name` in a file of "name number" lines; or, without a name, the first one. */
static bool read_number(const char *folder, const char *file, const char *name,
                        unsigned long long *value) {
    char path[PATH_SIZE], line[LINE_SIZE];
    bool found = false;
    const size_t length = strlen(name);
    if (snprintf(path, sizeof path, "%s/%s", folder, file) >= (int)sizeof path)
        return false;
    FILE *stream = fopen(path, "r");
    if (stream == NULL)
        return false;
    while (!found && fgets(line, sizeof line, stream))
        if (strncmp(line, name, length) == 0 && (length == 0 || line[length] == ' '))
            found = sscanf(line + length, "%llu", value) == 1; /* "max": there is none */
    fclose(stream);
    return found;
}

/* Version 1 knows the limits of the groups around it. */
static void look_at_1(const char *folder, ls_memory_limit *limit) {
    unsigned long long bytes, anonymous = 0, shared = 0;
    if (!read_number(folder, "memory.stat", "hierarchical_memory_limit", &bytes) ||
        bytes >= limit->bytes)
        return;
    read_number(folder, "memory.stat", "total_rss", &anonymous);
    read_number(folder, "memory.stat", "total_shmem", &shared);
    *limit = (ls_memory_limit){bytes, anonymous + shared};
}

static unsigned long long left(const ls_memory_limit *limit) {
    return limit->used < limit->bytes ? limit->bytes - limit->used : 0;
}

static void look_at_2(const char *folder, ls_memory_limit *limit) {
    unsigned long long bytes, anonymous = 0, shared = 0;
    if (!read_number(folder, "memory.max", "", &bytes))
        return;
    read_number(folder, "memory.stat", "anon", &anonymous);
    read_number(folder, "memory.stat", "shmem", &shared);
    const ls_memory_limit here = {bytes, anonymous + shared};
    if (left(&here) < left(limit))
        *limit = here;
}

/* The group, and those around it; in a container the first ones may not be there. */
static void look_upwards(const char *root, const char *within, char *path,
                         void (*look_at)(const char *folder, ls_memory_limit *limit),
                         ls_memory_limit *limit) {
    char folder[PATH_SIZE];
    for (;;) {
        if (snprintf(folder, sizeof folder, "%s%s%s", root, within, path) < (int)sizeof folder)
            look_at(folder, limit);
        char *slash = strrchr(path, '/');
        if (slash == NULL)
            return;
        *slash = '\0';
    }
}

ls_memory_limit ls_memory_limit_find(const char *groups, const char *root) {
    ls_memory_limit limit = {ULLONG_MAX, 0};
    char line[PATH_SIZE];
    FILE *stream = fopen(groups, "r");
    while (stream && fgets(line, sizeof line, stream)) {
        line[strcspn(line, "\n")] = '\0';
        char *one = strstr(line, ":memory:");
        if (one)
            look_upwards(root, "/memory", one + strlen(":memory:"), look_at_1, &limit);
        if (strncmp(line, "0::", 3) == 0)
            look_upwards(root, "", line + 3, look_at_2, &limit);
    }
    if (stream)
        fclose(stream);
    return limit;
}

/* ---- both ----------------------------------------------------------------------------------- */

static size_t mebibytes(size_t bytes) {
    return bytes >> 20 ? bytes >> 20 : 1;
}

static ls_status check_group(size_t bytes, const char *what) {
    const ls_memory_limit limit = ls_memory_limit_find("/proc/self/cgroup", "/sys/fs/cgroup");
    if (bytes <= left(&limit))
        return LS_OK;
    return ls_fail(LS_ERR_SYSTEM,
                   "%s needs %zu MiB on each node but this job may have %zu MiB of memory there, "
                   "of which %zu are taken; ask for more (SLURM: --mem)",
                   what, mebibytes(bytes), mebibytes((size_t)limit.bytes),
                   mebibytes((size_t)limit.used));
}

/* A window that does not fit would end in SIGBUS at the first touch of the missing page. */
static ls_status check_tmpfs(size_t bytes, const char *what) {
    struct statvfs space;
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && bytes > limit.rlim_cur)
        return ls_fail(LS_ERR_SYSTEM,
                       "%s needs %zu MiB of shared memory on each node, which is a file, and files "
                       "may have %zu MiB here: see ulimit -f",
                       what, mebibytes(bytes), (size_t)limit.rlim_cur >> 20);
    if (statvfs("/dev/shm", &space) != 0 || space.f_blocks == 0) /* no blocks: without a limit */
        return LS_OK;
    size_t there = (size_t)space.f_bavail * space.f_frsize;
    if (bytes <= there)
        return LS_OK;
    return ls_fail(LS_ERR_SYSTEM,
                   "%s needs %zu MiB of shared memory on each node but /dev/shm has %zu MiB free; "
                   "enlarge it, or run one rank a node with more compute.threads",
                   what, mebibytes(bytes), there >> 20);
}

ls_status ls_check_space(const ls_comm *comm, size_t bytes, const char *what) {
    if (comm->node_rank != 0)
        return LS_OK;
    if (comm->node_size > 1)
        LS_TRY(check_tmpfs(bytes, what));
    return check_group(bytes, what);
}

/* ---- how much there is ---------------------------------------------------------------------- */

static unsigned long long least(unsigned long long one, unsigned long long other) {
    return one < other ? one : other;
}

ls_status ls_comm_memory_left(ls_comm *comm, uint64_t *bytes) {
    const ls_memory_limit limit = ls_memory_limit_find("/proc/self/cgroup", "/sys/fs/cgroup");
    unsigned long long kibibytes, here = left(&limit);
    struct statvfs space;
    if (read_number("/proc", "meminfo", "MemAvailable:", &kibibytes))
        here = least(here, kibibytes << 10);
    if (comm->node_size > 1 && statvfs("/dev/shm", &space) == 0 && space.f_blocks > 0)
        here = least(here, (unsigned long long)space.f_bavail * space.f_frsize);
    int64_t lowest = here < INT64_MAX ? (int64_t)here : INT64_MAX;
    LS_TRY(ls_comm_min_int64(comm, &lowest)); /* MPICH 4.0 compares MPI_UINT64_T as signed */
    *bytes = (uint64_t)lowest;
    return LS_OK;
}
