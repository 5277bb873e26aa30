/* Staging: copies of the files of a split on the disk of each node, whose ranks share the work. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "data/files.h"

enum { PIECE = 1 << 22 }; /* bytes */

#define MEBIBYTE (1024.0 * 1024.0)

/* FOLDER/HASH-NAME: files of one name in several folders do not meet.  NULL: no memory. */
static char *name_copy(const char *folder, const char *path) {
    const char *slash = strrchr(path, '/');
    char *whole = realpath(path, NULL), text[LS_DIGEST_TEXT], *copy = NULL;
    ls_hash *hash;
    if (whole && ls_hash_create(&hash) == LS_OK) {
        ls_hash_add(hash, whole, strlen(whole));
        ls_hash_text(hash, text);
        ls_hash_free(hash);
        copy = ls_format("%s/%.16s-%s", folder, text, slash ? slash + 1 : path);
    }
    free(whole);
    return copy;
}

/* Whether `copy` was made of the file as it is now. */
static bool is_current(const char *copy, const struct stat *file) {
    struct stat there;
    return stat(copy, &there) == 0 && there.st_size == file->st_size &&
           there.st_mtim.tv_sec == file->st_mtim.tv_sec &&
           there.st_mtim.tv_nsec == file->st_mtim.tv_nsec;
}

static ls_status fail_copy(const char *path, const char *copy, int reason) {
    return ls_fail(ls_is_system_trouble(reason) ? LS_ERR_SYSTEM : LS_ERR_INPUT,
                   "data.stage: '%s' cannot be copied to '%s': %s", path, copy, strerror(reason));
}

/* 0, or errno.  A file that ends early gives EIO. */
static int copy_bytes(int from, int to, int64_t bytes, char *piece) {
    while (bytes > 0) {
        const ssize_t got = read(from, piece, PIECE);
        if (got <= 0 && !(got < 0 && errno == EINTR))
            return got < 0 ? errno : EIO;
        for (ssize_t done = 0; done < got;) {
            const ssize_t put = write(to, piece + done, (size_t)(got - done));
            if (put < 0 && errno != EINTR)
                return errno;
            done += put > 0 ? put : 0;
        }
        bytes -= got > 0 ? got : 0;
    }
    return 0;
}

/* Into a temporary file, with the time of the original: by it a copy is known as current. */
static int copy_to(const char *path, const char *temporary, const struct stat *file, char *piece) {
    const struct timespec times[2] = {file->st_atim, file->st_mtim};
    const int from = open(path, O_RDONLY | O_CLOEXEC);
    const int to = from < 0 ? -1 : open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int reason = from < 0 || to < 0 ? errno : 0;
    if (reason == 0)
        reason = copy_bytes(from, to, file->st_size, piece);
    if (reason == 0 && futimens(to, times) != 0)
        reason = errno;
    if (to >= 0 && close(to) != 0 && reason == 0)
        reason = errno;
    if (from >= 0)
        close(from);
    return reason;
}

static ls_status copy_file(const char *path, const char *copy, const struct stat *file) {
    char *piece, *temporary = ls_format("%s.%ld.part", copy, (long)getpid());
    if (temporary == NULL)
        return LS_ERR_SYSTEM;
    ls_status status = LS_NEW(piece, PIECE);
    if (status == LS_OK) {
        int reason = copy_to(path, temporary, file, piece);
        if (reason == 0 && rename(temporary, copy) != 0)
            reason = errno;
        if (reason != 0) {
            unlink(temporary);
            status = fail_copy(path, copy, reason);
        }
        ls_free(piece);
    }
    ls_free(temporary);
    return status;
}

/* Not collective.  Of the copies that are missing, the bytes. */
static double missing_bytes(const ls_files *files, char *const *copies) {
    double bytes = 0;
    struct stat file;
    for (int64_t i = 0; i < files->count; i++)
        if (copies[i] && stat(files->path[i], &file) == 0 && !is_current(copies[i], &file))
            bytes += (double)file.st_size;
    return bytes;
}

static ls_status check_room(const char *folder, double bytes) {
    struct statvfs disk;
    LS_TRY(ls_make_folder(folder));
    if (bytes == 0 || statvfs(folder, &disk) != 0)
        return LS_OK;
    const double left = (double)disk.f_bavail * (double)disk.f_frsize;
    if (bytes <= left)
        return LS_OK;
    return ls_fail(LS_ERR_INPUT,
                   "data.stage: the files take %.0f MiB, and '%s' has room for %.0f MiB",
                   bytes / MEBIBYTE, folder, left / MEBIBYTE);
}

/* This rank's files: every so many of its node. */
static ls_status copy_mine(const ls_comm *comm, const ls_files *files, char *const *copies) {
    struct stat file;
    for (int64_t i = ls_comm_node_rank(comm); i < files->count; i += ls_comm_node_size(comm))
        if (copies[i] && stat(files->path[i], &file) == 0 && !is_current(copies[i], &file))
            LS_TRY(copy_file(files->path[i], copies[i], &file));
    return LS_OK;
}

static ls_status stage(ls_comm *comm, const char *folder, ls_files *files, char **copies) {
    ls_status status = LS_OK;
    for (int64_t i = 0; i < files->count; i++)
        copies[i] = name_copy(folder, files->path[i]); /* NULL: not there, as opening it tells */
    if (ls_comm_node_rank(comm) == 0) {
        const double bytes = missing_bytes(files, copies);
        status = check_room(folder, bytes);
        if (status == LS_OK && bytes > 0 && ls_comm_rank(comm) == 0)
            ls_log(LS_LOG_NORMAL, "copying %s, %.0f MiB, to %s", files->title, bytes / MEBIBYTE,
                   folder);
    }
    LS_TRY(ls_comm_agree(comm, status));
    LS_TRY(ls_comm_agree(comm, copy_mine(comm, files, copies)));
    for (int64_t i = 0; i < files->count; i++) {
        if (copies[i] == NULL)
            continue;
        ls_free(files->path[i]);
        files->path[i] = copies[i];
        copies[i] = NULL;
    }
    return LS_OK;
}

ls_status ls_files_stage(ls_comm *comm, const char *folder, ls_files *files) {
    char **copies;
    ls_status status = LS_NEW(copies, (size_t)files->count);
    LS_TRY(ls_comm_agree(comm, status));
    status = stage(comm, folder, files, copies);
    for (int64_t i = 0; i < files->count; i++)
        ls_free(copies[i]);
    ls_free(copies);
    return status;
}
