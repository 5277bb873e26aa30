/* Opening HDF5 files to read, with messages that tell a missing file from a foreign and a damaged
 * one. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/h5.h"

#define TEXT_OF(number) #number
#define VERSION_TEXT(major, minor, release) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(release)

const char *ls_io_library(void) {
    return "HDF5 " VERSION_TEXT(H5_VERS_MAJOR, H5_VERS_MINOR, H5_VERS_RELEASE);
}

enum { SMALLEST_FILE = 96 }; /* bytes: the superblock alone */

/* The signature stands at the start, or behind a user block of 512, 1024, 2048, ... bytes. */
static bool has_signature(int descriptor, off_t size) {
    static const char signature[8] = {'\211', 'H', 'D', 'F', '\r', '\n', '\032', '\n'};
    char begin[sizeof signature];
    for (off_t at = 0; at < size; at = at ? 2 * at : 512) {
        if (pread(descriptor, begin, sizeof begin, at) == (ssize_t)sizeof begin &&
            memcmp(begin, signature, sizeof begin) == 0)
            return true;
    }
    return false;
}

ls_status ls_h5_check(const char *path) {
    struct stat info;
    if (stat(path, &info) != 0)
        return errno == ENOENT
                   ? ls_fail(LS_ERR_INPUT, "there is no file '%s'", path)
                   : ls_fail(LS_ERR_INPUT, "cannot read '%s': %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return ls_fail(LS_ERR_INPUT, "'%s' is a %s, not an HDF5 file", path,
                       S_ISDIR(info.st_mode) ? "folder" : "special file");
    if (info.st_size == 0)
        return ls_fail(LS_ERR_INPUT, "'%s' is empty, not an HDF5 file", path);
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return ls_fail(LS_ERR_INPUT, "cannot read '%s': %s", path, strerror(errno));
    bool ours = has_signature(descriptor, info.st_size);
    close(descriptor);
    if (!ours)
        return ls_fail(LS_ERR_INPUT, "'%s' is not an HDF5 file", path);
    if (info.st_size < SMALLEST_FILE)
        return ls_fail(LS_ERR_INPUT, "'%s' is truncated: it has only %lld bytes", path,
                       (long long)info.st_size);
    return LS_OK;
}

hid_t ls_h5_access(void) {
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
#if H5_VERSION_GE(1, 10, 7) && !(H5_VERS_MINOR == 12 && H5_VERS_RELEASE == 0)
    H5Pset_file_locking(access, false, true);
#endif
    return access;
}

ls_status ls_h5_open_with(const char *path, hid_t access, hid_t *file) {
    hid_t opened = H5Fopen(path, H5F_ACC_RDONLY, access);
    if (opened < 0)
        return ls_h5_fail(LS_ERR_INPUT, "'%s' is truncated or damaged", path);
    *file = opened;
    return LS_OK;
}

ls_status ls_h5_open(const char *path, hid_t *file) {
    ls_h5_quiet();
    LS_TRY(ls_h5_check(path));
    hid_t access = ls_h5_access();
    ls_status status = ls_h5_open_with(path, access, file);
    ls_h5_release(access);
    return status;
}

void ls_h5_release(hid_t id) {
    if (id >= 0)
        H5Idec_ref(id);
}
