/* Text files that appear whole: written beside their place, then renamed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lockstep/base.h"

struct ls_text_file {
    char *path, *temporary; /* temporary NULL: written in place */
    FILE *stream;
};

/* The machine's trouble, or the user's. */
static ls_status cannot_write(const char *path) {
    return ls_fail(LS_ERR_INPUT, "cannot write '%s': %s", path, strerror(errno));
}

/* A device or pipe stays what it is, and takes the text itself. */
static bool is_special(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && !S_ISREG(about.st_mode);
}

static ls_status open_stream(ls_text_file *file) {
    struct stat about;
    if (stat(file->path, &about) == 0 && S_ISDIR(about.st_mode)) {
        errno = EISDIR;
        return cannot_write(file->path);
    }
    if (is_special(file->path)) {
        file->stream = fopen(file->path, "w");
        return file->stream ? LS_OK : cannot_write(file->path);
    }
    file->temporary = ls_format("%s.XXXXXX", file->path);
    if (file->temporary == NULL)
        return LS_ERR_SYSTEM;
    int fd = mkstemp(file->temporary);
    if (fd < 0) {
        ls_free(file->temporary);
        file->temporary = NULL;
        return cannot_write(file->path);
    }
    ls_temporary_set(file->temporary);
    mode_t mask = umask(0);
    umask(mask);
    fchmod(fd, 0666 & ~mask);
    file->stream = fdopen(fd, "w");
    return file->stream ? LS_OK : cannot_write(file->path);
}

ls_status ls_text_file_create(const char *path, ls_text_file **file) {
    ls_text_file *made = NULL;
    LS_TRY(LS_NEW(made, 1));
    made->path = ls_strdup(path);
    ls_status status = made->path ? open_stream(made) : LS_ERR_SYSTEM;
    if (status != LS_OK) {
        ls_text_file_free(made);
        return status;
    }
    *file = made;
    return LS_OK;
}

ls_status ls_text_file_add(ls_text_file *file, const char *text, size_t bytes) {
    if (fwrite(text, 1, bytes, file->stream) != bytes)
        return ls_fail(LS_ERR_SYSTEM, "cannot write '%s': %s", file->path, strerror(errno));
    return LS_OK;
}

ls_status ls_text_file_finish(ls_text_file *file) {
    bool whole = fflush(file->stream) == 0;
    int reason = errno, closed = fclose(file->stream);
    file->stream = NULL;
    if (!whole || closed != 0)
        return ls_fail(LS_ERR_SYSTEM, "cannot write '%s': %s", file->path,
                       strerror(whole ? errno : reason));
    if (file->temporary == NULL)
        return LS_OK;
    LS_TRY(ls_file_publish(file->temporary, file->path));
    ls_free(file->temporary);
    file->temporary = NULL;
    return LS_OK;
}

void ls_text_file_free(ls_text_file *file) {
    if (file == NULL)
        return;
    if (file->stream)
        fclose(file->stream);
    if (file->temporary) {
        unlink(file->temporary);
        ls_temporary_set(NULL);
    }
    ls_free(file->temporary);
    ls_free(file->path);
    ls_free(file);
}
