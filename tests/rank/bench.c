/* Rank tests: a folder with a dataset of two splits, made by rank 0, known to all ranks. */
#include "rank/bench.h"

#include <stdlib.h>
#include <unistd.h>

#include "rank/check.h"

ls_status bench_write_array(ls_dataset_writer *writer, const char *split, const char *name,
                            const ls_array_info *info, int64_t samples, const void *values) {
    char path[64];
    snprintf(path, sizeof path, "%s/%s", split, name);
    LS_TRY(ls_dataset_array(writer, path, info));
    return ls_dataset_append(writer, samples, values);
}

static ls_status write_dataset(const char *path, bench_write_split *write_split) {
    ls_dataset_writer *writer = NULL;
    LS_TRY(ls_dataset_create(path, &writer));
    ls_status status = write_split(writer, "train", 0);
    if (status == LS_OK)
        status = write_split(writer, "test", 1);
    if (status == LS_OK)
        status = ls_dataset_finish(writer);
    ls_dataset_writer_free(writer);
    return status;
}

void bench_set_up(bench *b, bench_write_split *write_split) {
    ls_status status = LS_OK;
    snprintf(b->folder, sizeof b->folder, "/tmp/ls-bench-XXXXXX");
    if (ls_comm_rank(b->comm) == 0)
        CHECK(b->comm, mkdtemp(b->folder) != NULL);
    CHECK(b->comm, ls_comm_broadcast(b->comm, b->folder, sizeof b->folder, 0) == LS_OK);
    snprintf(b->file, sizeof b->file, "%s/data.h5", b->folder);
    snprintf(b->output, sizeof b->output, "%s/output.h5", b->folder);
    if (ls_comm_rank(b->comm) == 0)
        status = write_dataset(b->file, write_split);
    CHECK(b->comm, ls_comm_agree(b->comm, status) == LS_OK);
}

void bench_tear_down(const bench *b) {
    ls_comm_barrier(b->comm);
    if (ls_comm_rank(b->comm) != 0)
        return;
    unlink(b->output);
    unlink(b->file);
    CHECK(b->comm, rmdir(b->folder) == 0);
}
