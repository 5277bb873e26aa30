/* An array in several files: what each has of it, looked at by one rank, and reading across their
 * borders. */
#include <string.h>
#include <sys/stat.h>

#include "data/files.h"
#include "data/values.h"

/* What one rank found in a file. */
typedef struct found {
    int64_t file;
    int64_t bytes; /* of the file */
    int64_t chunk; /* samples */
    ls_array_info info;
} found;

static void describe(const ls_array_info *info, ls_text *text) {
    ls_text_add(text, "%s", ls_type_name(info->type));
    for (int d = 0; d < info->ndims; d++)
        ls_text_add(text, " %lld", (long long)info->shape[d]);
}

static ls_status fail_infos(const char *name, const char *path, const char *what,
                            const ls_array_info *here, const ls_array_info *there,
                            const char *where) {
    ls_text a = {0}, b = {0};
    describe(here, &a);
    describe(there, &b);
    ls_status status = a.failed || b.failed
                           ? LS_ERR_SYSTEM
                           : ls_fail(LS_ERR_INPUT, "'%s' in '%s' %s: '%s', and '%s' %s", name, path,
                                     what, a.data, b.data, where);
    ls_text_free(&b);
    ls_text_free(&a);
    return status;
}

/* ---- what the files have -------------------------------------------------------------------- */

static ls_status look_at_file(const ls_joint *joint, int64_t file, found *seen) {
    const char *path = joint->files->path[file];
    struct stat status = {0};
    ls_array *array;
    LS_TRY(ls_array_open(NULL, path, joint->name, &array));
    stat(path, &status);
    *seen = (found){file, status.st_size, ls_array_chunk_samples(array), *ls_array_describe(array)};
    ls_array_close(array);
    return LS_OK;
}

/* This rank's files: every so many. */
static ls_status look(ls_comm *comm, const ls_joint *joint, found *mine, size_t *count) {
    for (int64_t file = ls_comm_rank(comm); file < joint->files->count; file += ls_comm_size(comm))
        LS_TRY(look_at_file(joint, file, &mine[(*count)++]));
    return LS_OK;
}

static ls_status take_found(void *context, int rank, const void *data, size_t bytes) {
    found *all = context;
    const found *theirs = data;
    (void)rank;
    for (size_t i = 0; i < bytes / sizeof *theirs; i++)
        all[theirs[i].file] = theirs[i];
    return LS_OK;
}

/* Collective.  What all files have, on all ranks. */
static ls_status gather(ls_comm *comm, const ls_joint *joint, found *all) {
    const int64_t files = joint->files->count, ranks = ls_comm_size(comm);
    found *mine = NULL;
    size_t count = 0;
    ls_status status = LS_NEW(mine, (size_t)(files / ranks + 1));
    if (status == LS_OK)
        status = look(comm, joint, mine, &count);
    LS_TRY_GOTO(done, ls_comm_agree(comm, status));
    LS_TRY_GOTO(done, ls_comm_collect(comm, mine, count * sizeof *mine, take_found, all));
    status = ls_comm_broadcast(comm, all, (size_t)files * sizeof *all, 0);
done:
    ls_free(mine);
    return status;
}

static bool same_samples(const ls_array_info *one, const ls_array_info *other) {
    return one->type == other->type && one->ndims == other->ndims &&
           memcmp(one->shape + 1, other->shape + 1,
                  (size_t)(one->ndims - 1) * sizeof *one->shape) == 0;
}

static ls_status join(ls_joint *joint, const found *all) {
    const ls_files *files = joint->files;
    joint->info = all[0].info;
    joint->chunk = all[0].chunk;
    for (int64_t i = 0; i < files->count; i++) {
        if (!same_samples(&all[0].info, &all[i].info))
            return fail_infos(joint->name, files->path[i],
                              "has samples of another type or shape than the first file",
                              &all[i].info, &all[0].info, "there");
        joint->first[i + 1] = joint->first[i] + all[i].info.shape[0];
    }
    joint->info.shape[0] = joint->first[files->count];
    return LS_OK;
}

static ls_status hash_files(ls_joint *joint, const found *all) {
    ls_hash *hash;
    LS_TRY(ls_hash_create(&hash));
    for (int64_t i = 0; i < joint->files->count; i++) {
        const int64_t values[] = {all[i].info.shape[0], all[i].bytes};
        ls_hash_add(hash, values, sizeof values);
    }
    ls_hash_text(hash, joint->digest);
    ls_hash_free(hash);
    return LS_OK;
}

ls_status ls_joint_open(ls_comm *comm, ls_files *files, const char *name, ls_joint *joint) {
    ls_joint made = {.files = ls_files_keep(files), .name = ls_strdup(name)};
    found *all = NULL;
    ls_status status = made.name ? LS_OK : LS_ERR_SYSTEM;
    if (status == LS_OK)
        status = LS_NEW(made.first, (size_t)files->count + 1);
    if (status == LS_OK)
        status = LS_NEW(all, (size_t)files->count);
    LS_TRY_GOTO(done, ls_comm_agree(comm, status));
    LS_TRY_GOTO(done, gather(comm, &made, all));
    LS_TRY_GOTO(done, join(&made, all));
    LS_TRY_GOTO(done, ls_comm_agree(comm, hash_files(&made, all)));
    *joint = made;
    made = (ls_joint){0};
done:
    ls_free(all);
    ls_joint_close(&made);
    return status;
}

ls_status ls_joint_copy(const ls_joint *joint, ls_joint *copy) {
    ls_joint made = *joint;
    const size_t entries = (size_t)joint->files->count + 1;
    made.array = NULL;
    made.first = NULL;
    made.files = ls_files_keep(joint->files);
    made.name = ls_strdup(joint->name);
    if (made.name == NULL || LS_NEW(made.first, entries) != LS_OK) {
        ls_joint_close(&made);
        return LS_ERR_SYSTEM;
    }
    memcpy(made.first, joint->first, entries * sizeof *made.first);
    *copy = made;
    return LS_OK;
}

void ls_joint_close(ls_joint *joint) {
    ls_files_free(joint->files);
    ls_free(joint->name);
    ls_array_close(joint->array);
    ls_free(joint->first);
    *joint = (ls_joint){0};
}

/* ---- reading -------------------------------------------------------------------------------- */

int64_t ls_joint_file(const ls_joint *joint, int64_t sample) {
    int64_t low = 0, high = joint->files->count - 1;
    while (low < high) { /* the last file that begins at the sample or before it */
        const int64_t middle = (low + high + 1) / 2;
        if (joint->first[middle] <= sample)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* This host may have another file of that name, or an older copy. */
static ls_status open_file(ls_joint *joint, int64_t file) {
    const char *path = joint->files->path[file];
    if (joint->array && joint->opened == file)
        return LS_OK;
    ls_array_close(joint->array);
    joint->array = NULL;
    LS_TRY(ls_array_open(NULL, path, joint->name, &joint->array));
    joint->opened = file;
    const ls_array_info *here = ls_array_describe(joint->array);
    ls_array_info expected = joint->info;
    expected.shape[0] = joint->first[file + 1] - joint->first[file];
    if (same_samples(here, &expected) && here->shape[0] == expected.shape[0])
        return LS_OK;
    return fail_infos(joint->name, path, "differs between ranks", here, &expected, "on others");
}

ls_status ls_joint_read(ls_joint *joint, int64_t first, int64_t count, void *out) {
    const size_t bytes = ls_type_size(joint->info.type) * (size_t)ls_sample_elements(&joint->info);
    char *to = out;
    while (count > 0) {
        const int64_t file = ls_joint_file(joint, first), left = joint->first[file + 1] - first;
        const int64_t part = left < count ? left : count;
        LS_TRY(open_file(joint, file));
        LS_TRY(ls_array_read(joint->array, first - joint->first[file], part, to));
        first += part;
        count -= part;
        to += (size_t)part * bytes;
    }
    return LS_OK;
}
