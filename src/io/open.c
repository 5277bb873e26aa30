/* Opening HDF5 files to read, with messages that tell a missing file from a foreign and a damaged
 * one. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
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

/* The signature stands at the start, or after a user block of 512, 1024, 2048, ... bytes. */
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

ls_status ls_h5_check(const char *path, bool *sealed) {
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
    LS_TRY(ls_h5_seal_check(path, sealed));
    if (*sealed)
        return LS_OK;
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

static ls_status open_alone(const char *path, hid_t *file) {
    hid_t access = ls_h5_access();
    ls_status status = ls_h5_open_with(path, access, file);
    ls_h5_release(access);
    return status;
}

/* Of a later version what a file holds may mean something else. */
static ls_status check_version(hid_t file, const char *path) {
    char *version = NULL;
    ls_status status = ls_h5_attribute_read(file, path, "format_version", &version);
    long number = version ? strtol(version, NULL, 10) : 0;
    if (status == LS_OK && (number < 1 || number > LS_FORMAT_VERSION))
        status = ls_fail(LS_ERR_INPUT,
                         "'%s' has format version %s: this lockstep reads versions 1 to %d", path,
                         version ? version : "unknown", LS_FORMAT_VERSION);
    ls_free(version);
    return status;
}

static bool is_ours(hid_t file) {
    return ls_h5_is(file, LS_FORMAT_RUN) || ls_h5_is(file, LS_FORMAT_DATASET) ||
           ls_h5_is(file, LS_FORMAT_CHECKPOINT);
}

ls_status ls_h5_open(const char *path, hid_t *file) {
    bool sealed;
    char *format = NULL;
    hid_t opened;
    ls_h5_quiet();
    LS_TRY(ls_h5_check(path, &sealed));
    LS_TRY(open_alone(path, &opened));
    ls_status status = ls_h5_attribute_read(opened, path, "format", &format);
    ls_free(format);
    if (status == LS_OK && is_ours(opened))
        status = check_version(opened, path);
    if (status == LS_OK && !sealed && ls_h5_is(opened, LS_FORMAT_CHECKPOINT))
        status = ls_fail(LS_ERR_INPUT, "'%s' is a checkpoint whose first bytes are damaged", path);
    if (status == LS_OK)
        *file = opened;
    else
        H5Fclose(opened);
    return status;
}

ls_status ls_h5_open_sealed(const char *path, hid_t *file) {
    bool sealed;
    ls_h5_quiet();
    LS_TRY(ls_h5_check(path, &sealed));
    if (!sealed)
        return ls_fail(LS_ERR_INPUT,
                       "'%s' is not a checkpoint of lockstep, or its first bytes are damaged",
                       path);
    return open_alone(path, file);
}

bool ls_h5_is(hid_t file, const char *format) {
    char *found = ls_h5_attribute(file, "format");
    bool is = found && strcmp(found, format) == 0;
    ls_free(found);
    return is;
}

ls_status ls_h5_check_format(hid_t file, const char *path, const char *format, const char *what) {
    if (!ls_h5_is(file, format))
        return ls_fail(LS_ERR_INPUT, "'%s' is not %s", path, what);
    return check_version(file, path);
}

void ls_h5_release(hid_t id) {
    if (id >= 0)
        H5Idec_ref(id);
}
