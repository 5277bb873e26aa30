/* Folders of the file system. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "lockstep/base.h"

static ls_status make_one(const char *path) {
    struct stat info;
    if (mkdir(path, 0777) == 0)
        return LS_OK;
    int reason = errno;
    if (stat(path, &info) == 0) {
        if (S_ISDIR(info.st_mode))
            return LS_OK;
        reason = ENOTDIR;
    }
    return ls_fail(LS_ERR_INPUT, "cannot make folder '%s': %s", path, strerror(reason));
}

ls_status ls_make_folder(const char *path) {
    char *copy = ls_strdup(path);
    ls_status status = copy ? LS_OK : LS_ERR_SYSTEM;
    for (char *at = copy; status == LS_OK && at && *at; at++) {
        if (*at == '/' && at > copy) {
            *at = '\0';
            status = make_one(copy);
            *at = '/';
        }
    }
    if (status == LS_OK)
        status = make_one(path);
    ls_free(copy);
    return status;
}

bool ls_same_file(const char *one, const char *other) {
    struct stat a, b;
    return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

ls_status ls_check_output(const char *output, const char *input) {
    if (ls_same_file(output, input))
        return ls_fail(LS_ERR_INPUT,
                       "'%s' is read, and would be overwritten: choose another output", output);
    return LS_OK;
}
