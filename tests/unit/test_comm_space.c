/* unit tests: the memory limit of a job's control group, from files as Linux has them. */
#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>

#include "comm/space.h"
#include "unit/test_io.h"

static const char *put(const char *name, const char *content) {
    io_command("mkdir -p $(dirname %s)", io_path(name));
    FILE *file = fopen(io_path(name), "w");
    cr_assert_not_null(file);
    fputs(content, file);
    fclose(file);
    return io_path(name);
}

static ls_memory_limit find(const char *groups) {
    return ls_memory_limit_find(put("groups", groups), io_path("."));
}

Test(comm_space, no_limit, .fini = io_remove) {
    cr_expect_eq(ls_memory_limit_find(io_path("none"), io_path(".")).bytes, ULLONG_MAX);
    put("job/memory.max", "max\n");
    cr_expect_eq(find("0::/job\n").bytes, ULLONG_MAX);
    cr_expect_eq(find("0::/elsewhere\n").bytes, ULLONG_MAX);
}

/* Version 2: the least that is left counts, in the group or in one around it. */
Test(comm_space, version_2, .fini = io_remove) {
    put("job/memory.max", "1000\n");
    put("job/memory.stat", "anon 300\nfile 50000\nshmem 100\n");
    put("job/step/memory.max", "900\n");
    put("job/step/memory.stat", "anon 10\nfile 0\nshmem 20\n");
    ls_memory_limit limit = find("0::/job/step\n");
    cr_expect(limit.bytes == 1000 && limit.used == 400, "%llu, %llu", limit.bytes, limit.used);
    put("job/step/memory.max", "500\n");
    limit = find("0::/job/step\n");
    cr_expect(limit.bytes == 500 && limit.used == 30, "%llu, %llu", limit.bytes, limit.used);
}

/* A limit may be lowered below what is used already: then nothing is left. */
Test(comm_space, more_used_than_allowed, .fini = io_remove) {
    put("job/memory.max", "1000\n");
    put("job/memory.stat", "anon 1200\nshmem 0\n");
    put("job/step/memory.max", "500\n");
    put("job/step/memory.stat", "anon 30\nshmem 0\n");
    ls_memory_limit limit = find("0::/job/step\n");
    cr_expect(limit.bytes == 1000 && limit.used == 1200, "%llu, %llu", limit.bytes, limit.used);
    put("job/memory.stat", "anon 10\nshmem 0\n");
    put("job/step/memory.stat", "anon 600\nshmem 0\n");
    limit = find("0::/job/step\n");
    cr_expect(limit.bytes == 500 && limit.used == 600, "%llu, %llu", limit.bytes, limit.used);
}

/* Version 1 names the tightest limit itself. */
Test(comm_space, version_1, .fini = io_remove) {
    put("memory/job/memory.stat",
        "rss 1\nhierarchical_memory_limit 700\ntotal_rss 50\ntotal_shmem 5\n");
    ls_memory_limit limit = find("5:memory:/job\n0::/\n");
    cr_expect(limit.bytes == 700 && limit.used == 55, "%llu, %llu", limit.bytes, limit.used);
}
