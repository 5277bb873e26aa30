/* The checkpoints of a folder: the newest that is whole, and removing those no longer needed. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/h5.h"
#include "lockstep/checkpoint.h"

char *ls_checkpoint_path(const char *folder, int64_t step) {
    return ls_format("%s/checkpoint-%lld.h5", folder, (long long)step);
}

/* ---- what is there -------------------------------------------------------------------------- */

typedef struct listed {
    int64_t step; /* -1: a temporary file of process `owner` */
    long owner;
    char *path;
} listed;

typedef struct listing {
    size_t count, capacity;
    listed *files;
} listing;

/* Reads digits only: what strtoll takes beyond them is no name of ours. */
static bool read_digits(const char **at, int64_t *value) {
    char *end;
    if (**at < '0' || **at > '9')
        return false;
    errno = 0;
    *value = strtoll(*at, &end, 10);
    *at = end;
    return errno == 0;
}

/* "checkpoint-STEP.h5" */
static bool is_checkpoint(const char *name, int64_t *step) {
    static const char begin[] = "checkpoint-";
    if (strncmp(name, begin, sizeof begin - 1) != 0)
        return false;
    int64_t number;
    name += sizeof begin - 1;
    if (!read_digits(&name, &number) || strcmp(name, ".h5") != 0)
        return false;
    *step = number;
    return true;
}

/* "checkpoint-STEP.h5.tmp.PID", best.h5 and train.h5 likewise: what a training makes, and one
 * training only works in a folder. */
static bool is_temporary(const char *name, long *owner) {
    static const char mark[] = ".tmp.";
    char final[64];
    int64_t number;
    const char *at = strstr(name, mark);
    if (at == NULL || (size_t)(at - name) >= sizeof final)
        return false;
    snprintf(final, sizeof final, "%.*s", (int)(at - name), name);
    if (!is_checkpoint(final, &number) && strcmp(final, "best.h5") != 0 &&
        strcmp(final, "train.h5") != 0)
        return false;
    at += sizeof mark - 1;
    if (!read_digits(&at, &number) || *at != '\0')
        return false;
    *owner = (long)number;
    return true;
}

static ls_status list_file(listing *list, const char *folder, const char *name) {
    listed file = {.step = -1};
    if (!is_checkpoint(name, &file.step) && !is_temporary(name, &file.owner))
        return LS_OK;
    LS_TRY(ls_grow(&list->files, list->count, &list->capacity, sizeof *list->files));
    file.path = ls_format("%s/%s", folder, name);
    if (file.path == NULL)
        return LS_ERR_SYSTEM;
    list->files[list->count++] = file;
    return LS_OK;
}

static void listing_free(listing *list) {
    for (size_t i = 0; i < list->count; i++)
        ls_free(list->files[i].path);
    ls_free(list->files);
    *list = (listing){0};
}

/* Newest first, temporary files last. */
static int newest_first(const void *a, const void *b) {
    const listed *one = a, *other = b;
    if (one->step != other->step)
        return one->step > other->step ? -1 : 1;
    return strcmp(one->path, other->path);
}

/* A folder that cannot be listed is not an empty one. */
static ls_status fail_listing(const char *folder, ls_status status) {
    return ls_fail(status, "cannot look for checkpoints in folder '%s': %s", folder,
                   strerror(errno));
}

static ls_status listing_read(const char *folder, listing *list) {
    listing found = {0};
    DIR *all = opendir(folder);
    if (all == NULL)
        return fail_listing(folder, errno == ENOENT ? LS_ERR_INPUT : LS_ERR_SYSTEM);
    ls_status status = LS_OK;
    while (status == LS_OK) {
        errno = 0;
        struct dirent *entry = readdir(all);
        if (entry == NULL && errno != 0)
            status = fail_listing(folder, LS_ERR_SYSTEM);
        if (entry == NULL)
            break;
        status = list_file(&found, folder, entry->d_name);
    }
    closedir(all);
    if (status != LS_OK) {
        listing_free(&found);
        return status;
    }
    if (found.count > 0)
        qsort(found.files, found.count, sizeof *found.files, newest_first);
    *list = found;
    return LS_OK;
}

/* ---- the newest ----------------------------------------------------------------------------- */

/* Tries one after the other.  Each refusal is a line of `rejected`; the first is put in `reason`
 * too. */
static ls_status open_first(const listing *list, ls_text *rejected, char **reason,
                            ls_checkpoint_reader **reader, char **path) {
    for (size_t i = 0; i < list->count && list->files[i].step >= 0; i++) {
        ls_checkpoint_reader *opened;
        const char *name = list->files[i].path;
        ls_status status = ls_checkpoint_open(name, &opened);
        if (status == LS_OK) {
            *path = ls_strdup(name);
            if (*path == NULL) {
                ls_checkpoint_close(opened);
                return LS_ERR_SYSTEM;
            }
            *reader = opened;
            return LS_OK;
        }
        if (status != LS_ERR_INPUT)
            return status;
        ls_text_add(rejected, "%s\n", ls_message());
        if (*reason == NULL)
            *reason = ls_strdup(ls_message());
        ls_message_set("");
    }
    return LS_ERR_INPUT;
}

static ls_status find_newest(const char *folder, ls_text *rejected, ls_checkpoint_reader **reader,
                             char **path) {
    listing list;
    char *reason = NULL;
    LS_TRY(listing_read(folder, &list));
    ls_status status = open_first(&list, rejected, &reason, reader, path);
    if (status == LS_ERR_INPUT && reason)
        ls_fail(status, "no checkpoint in folder '%s' is whole: %s", folder, reason);
    else if (status == LS_ERR_INPUT)
        ls_fail(status, "there is no checkpoint (checkpoint-STEP.h5) in folder '%s'", folder);
    ls_free(reason);
    listing_free(&list);
    return status;
}

ls_status ls_checkpoint_newest(const char *folder, ls_text *rejected, ls_checkpoint_reader **reader,
                               char **path) {
    char *before = ls_strdup(ls_message());
    if (before == NULL)
        return LS_ERR_SYSTEM;
    ls_message_set("");
    ls_status status = find_newest(folder, rejected, reader, path);
    if (*before)
        ls_message_set(before);
    ls_free(before);
    return status;
}

/* ---- pruning -------------------------------------------------------------------------------- */

/* Silently. */
static ls_status is_whole(const char *path, bool *whole) {
    bool sealed = false;
    ls_status status = ls_h5_seal_check(path, &sealed);
    if (status == LS_ERR_INPUT) {
        ls_message_set("");
        status = LS_OK;
    }
    *whole = sealed;
    return status;
}

static ls_status remove_file(const char *path) {
    if (unlink(path) != 0 && errno != ENOENT)
        return ls_fail(LS_ERR_SYSTEM, "cannot remove '%s': %s", path, strerror(errno));
    return LS_OK;
}

/* A file of this process's number is of an earlier process that had it. */
static bool is_dead(long owner) {
    return owner == (long)getpid() || (kill((pid_t)owner, 0) != 0 && errno == ESRCH);
}

static ls_status prune(const listing *list, int64_t keep) {
    int64_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        const listed *file = &list->files[i];
        bool whole = false;
        if (file->step < 0) {
            if (is_dead(file->owner))
                LS_TRY(remove_file(file->path));
        } else if (kept < keep) {
            LS_TRY(is_whole(file->path, &whole));
            kept += whole;
        } else {
            LS_TRY(remove_file(file->path));
        }
    }
    return LS_OK;
}

ls_status ls_checkpoint_prune(const char *folder, int64_t keep) {
    listing list;
    LS_REQUIRE(keep > 0);
    LS_TRY(listing_read(folder, &list));
    ls_status status = prune(&list, keep);
    listing_free(&list);
    return status;
}
