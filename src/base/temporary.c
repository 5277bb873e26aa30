/* Temporary files: taken away with a process that a signal ends, or given their names. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lockstep/base.h"

static char name[PATH_MAX];
static volatile sig_atomic_t is_set;

void ls_temporary_set(const char *path) {
    is_set = 0;
    if (path == NULL || strlen(path) >= sizeof name)
        return;
    strcpy(name, path);
    is_set = 1;
}

static void remove_and_end(int number) {
    if (is_set)
        unlink(name);
    signal(number, SIG_DFL);
    raise(number); /* comes when this handler returns */
}

void ls_temporary_catch_signals(void) {
    static const int numbers[] = {SIGHUP, SIGINT, SIGTERM};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (signal(numbers[i], remove_and_end) == SIG_IGN)
            signal(numbers[i], SIG_IGN); /* as nohup wants it */
}

/* ---- naming --------------------------------------------------------------------------------- */

bool ls_is_system_trouble(int reason) {
    return reason == ENOSPC || reason == EDQUOT || reason == EFBIG || reason == EIO ||
           reason == ENOMEM || reason == EMFILE || reason == ENFILE;
}

char *ls_folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return ls_strdup(".");
    return slash == path ? ls_strdup("/") : ls_format("%.*s", (int)(slash - path), path);
}

/* A file or folder; `path` for the message. */
static ls_status sync_to_disk(const char *file, const char *path) {
    int descriptor = open(file, O_RDONLY | O_CLOEXEC);
    int result = descriptor < 0 ? -1 : fsync(descriptor);
    int reason = errno;
    if (descriptor >= 0)
        close(descriptor);
    /* Some file systems cannot sync a folder, and say so. */
    if (result < 0 && reason != EINVAL && reason != ENOTSUP)
        return ls_fail(LS_ERR_SYSTEM, "cannot write '%s' to the disk: %s", path, strerror(reason));
    return LS_OK;
}

ls_status ls_file_publish(const char *temporary, const char *path) {
    LS_TRY(sync_to_disk(temporary, path));
    if (rename(temporary, path) != 0)
        return ls_fail(ls_is_system_trouble(errno) ? LS_ERR_SYSTEM : LS_ERR_INPUT,
                       "cannot name the finished file '%s': %s", path, strerror(errno));
    ls_temporary_set(NULL);
    char *folder = ls_folder_of(path);
    ls_status status = folder ? sync_to_disk(folder, path) : LS_ERR_SYSTEM;
    ls_free(folder);
    return status;
}
