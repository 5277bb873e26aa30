/* comm's private look at the memory limit of the job's control group. */
#ifndef LOCKSTEP_COMM_SPACE_H
#define LOCKSTEP_COMM_SPACE_H

typedef struct ls_memory_limit {
    unsigned long long bytes; /* ULLONG_MAX: there is none */
    unsigned long long used;  /* what cannot be given back, as file caches can; may be above it */
} ls_memory_limit;

/* The tightest of the groups around this process: `groups` is /proc/self/cgroup, `root` is
 * /sys/fs/cgroup.  Not collective. */
ls_memory_limit ls_memory_limit_find(const char *groups, const char *root);

#endif
