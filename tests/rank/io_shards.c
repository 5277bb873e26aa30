/* Reading in parallel: every rank its own shard, and errors that all ranks agree on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "lockstep/io.h"

enum { SAMPLES = 1013, ROW = 12, TEXT = 256 };

static int16_t value_of(int64_t sample, int i) {
    return (int16_t)(sample * 31 + i * 7 - 9000);
}

static ls_status write_file(const char *path) {
    static int16_t samples[SAMPLES][ROW];
    ls_dataset_writer *writer;
    for (int s = 0; s < SAMPLES; s++)
        for (int i = 0; i < ROW; i++)
            samples[s][i] = value_of(s, i);
    LS_TRY(ls_dataset_create(path, &writer));
    /* chunks of 10 samples and less: shards begin inside of chunks */
    ls_array_info info = {LS_TYPE_I16, 4, {10, 1, 3, 4}};
    ls_status status = ls_dataset_array(writer, "train/inputs", &info);
    if (status == LS_OK)
        status = ls_dataset_append(writer, SAMPLES, samples);
    if (status == LS_OK)
        status = ls_dataset_finish(writer);
    ls_dataset_writer_free(writer);
    return status;
}

static void check_shards(ls_comm *comm, const char *path) {
    static int16_t mine[SAMPLES][ROW];
    ls_array *array;
    int first, end;
    CHECK(comm, ls_array_open(comm, path, "train/inputs", &array) == LS_OK);
    const ls_array_info *info = ls_array_describe(array);
    CHECK(comm, info->type == LS_TYPE_I16 && info->ndims == 4 && info->shape[0] == SAMPLES);
    ls_slice_range(SAMPLES, ls_comm_size(comm), ls_comm_rank(comm), &first, &end);
    CHECK(comm, ls_array_read(array, first, end - first, mine) == LS_OK);
    for (int s = first; s < end; s++)
        for (int i = 0; i < ROW; i++)
            CHECK(comm, mine[s - first][i] == value_of(s, i));
    /* not collective: rank 0 reads once more, alone */
    if (ls_comm_rank(comm) == 0)
        CHECK(comm, ls_array_read(array, SAMPLES - 1, 1, mine) == LS_OK &&
                        mine[0][3] == value_of(SAMPLES - 1, 3));
    ls_array_close(array);
}

/* All ranks get the status and the message of the lowest rank that fails. */
static void check_refused(ls_comm *comm, const char *path, const char *name, const char *word) {
    ls_array *array = NULL;
    char message[1024] = "";
    ls_status status = ls_array_open(comm, path, name, &array);
    CHECK(comm, status == LS_ERR_INPUT && array == NULL);
    snprintf(message, sizeof message, "%s", ls_message());
    ls_message_set("");
    CHECK(comm, strstr(message, word) != NULL);
    CHECK(comm, ls_comm_same(comm, "the message", message) == LS_OK);
}

static void check_errors(ls_comm *comm, const char *folder, const char *path) {
    char broken[TEXT + 16], mixed[TEXT + 16];
    snprintf(broken, sizeof broken, "%s/broken.h5", folder);
    snprintf(mixed, sizeof mixed, "%s/%s.h5", folder,
             ls_comm_rank(comm) == ls_comm_size(comm) - 1 ? "none" : "a");
    if (ls_comm_rank(comm) == 0)
        CHECK(comm, write_file(broken) == LS_OK && truncate(broken, 5000) == 0);
    ls_comm_barrier(comm);
    check_refused(comm, broken, "train/inputs", "truncated");
    check_refused(comm, path, "train/input", "nearest is 'train/inputs'");
    check_refused(comm, folder, "train/inputs", "folder");
    check_refused(comm, mixed, "train/inputs", "none.h5"); /* the last rank does not see it */
    ls_comm_barrier(comm);
    if (ls_comm_rank(comm) == 0)
        unlink(broken);
}

int main(int argc, char **argv) {
    ls_comm *comm = start_mpi(&argc, &argv);
    char folder[TEXT] = "", path[TEXT + 16];
    const char *parent = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/lockstep-shards-XXXXXX", parent ? parent : "/tmp");
    if (ls_comm_rank(comm) == 0)
        CHECK(comm, mkdtemp(folder) != NULL);
    CHECK(comm, ls_comm_broadcast(comm, folder, sizeof folder, 0) == LS_OK);
    snprintf(path, sizeof path, "%s/a.h5", folder);
    CHECK(comm, ls_comm_agree(comm, ls_comm_rank(comm) == 0 ? write_file(path) : LS_OK) == LS_OK);
    check_shards(comm, path);
    check_errors(comm, folder, path);
    ls_comm_barrier(comm);
    if (ls_comm_rank(comm) == 0) {
        unlink(path);
        rmdir(folder);
    }
    end_mpi(comm);
    return 0;
}
