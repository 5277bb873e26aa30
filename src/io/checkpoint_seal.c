/* The seal of a checkpoint: its first 512 bytes, in front of all that is HDF5, hold its length and
 * a checksum.  Read before HDF5 sees the file, because HDF5 may crash on flipped bytes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/h5.h"

static const char magic[] = "lockstep checkpoint ";

enum { MAGIC_BYTES = sizeof magic - 1, BLOCK_BYTES = 1 << 20 };

/* ---- the parts ------------------------------------------------------------------------------ */

typedef struct seal {
    int version;
    long long bytes;             /* of the whole file */
    char digest[LS_DIGEST_TEXT]; /* XXH3-128 of all after the seal */
} seal;

static ls_status hash_text(const char *data, size_t bytes, char text[LS_DIGEST_TEXT]) {
    ls_hash *hash;
    LS_TRY(ls_hash_create(&hash));
    ls_hash_add(hash, data, bytes);
    ls_hash_text(hash, text);
    ls_hash_free(hash);
    return LS_OK;
}

/* One line that ends with a checksum of itself; zeros after it.  There is exactly one block for
 * the same parts. */
static ls_status compose(const seal *parts, char block[LS_H5_SEAL]) {
    char own[LS_DIGEST_TEXT];
    memset(block, 0, LS_H5_SEAL);
    int length = snprintf(block, LS_H5_SEAL, "%s%d %lld %s", magic, parts->version, parts->bytes,
                          parts->digest);
    LS_TRY(hash_text(block, (size_t)length, own));
    snprintf(block + length, (size_t)(LS_H5_SEAL - length), " %s\n", own);
    return LS_OK;
}

/* Digest of bytes [LS_H5_SEAL, end).  When they cannot be read, `*trouble` is why, else NULL. */
static ls_status digest_content(int descriptor, long long end, char text[LS_DIGEST_TEXT],
                                const char **trouble) {
    ls_hash *hash = NULL;
    char *block;
    const long long content = end > LS_H5_SEAL ? end - LS_H5_SEAL : 0;
    const size_t most = content < BLOCK_BYTES ? (size_t)content : BLOCK_BYTES;
    LS_TRY(LS_NEW(block, most));
    ls_status status = ls_hash_create(&hash);
    const char *reason = NULL;
    for (long long at = LS_H5_SEAL; status == LS_OK && reason == NULL && at < end;) {
        size_t wanted = (size_t)(end - at) < most ? (size_t)(end - at) : most;
        ssize_t got = pread(descriptor, block, wanted, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            reason = got < 0 ? strerror(errno) : "it became shorter meanwhile";
        else
            ls_hash_add(hash, block, (size_t)got);
        at += got;
    }
    if (status == LS_OK && reason == NULL)
        ls_hash_text(hash, text);
    *trouble = reason;
    ls_hash_free(hash);
    ls_free(block);
    return status;
}

/* ---- sealing -------------------------------------------------------------------------------- */

static ls_status seal_open_file(int descriptor, const char *name) {
    struct stat info;
    seal parts = {.version = LS_FORMAT_VERSION};
    char block[LS_H5_SEAL];
    const char *trouble = NULL;
    if (fstat(descriptor, &info) != 0)
        return ls_fail(LS_ERR_SYSTEM, "cannot write '%s': %s", name, strerror(errno));
    parts.bytes = info.st_size;
    LS_TRY(digest_content(descriptor, parts.bytes, parts.digest, &trouble));
    if (trouble)
        return ls_fail(LS_ERR_SYSTEM, "cannot read '%s' back: %s", name, trouble);
    LS_TRY(compose(&parts, block));
    if (pwrite(descriptor, block, sizeof block, 0) != (ssize_t)sizeof block)
        return ls_fail(LS_ERR_SYSTEM, "cannot write '%s': %s", name, strerror(errno));
    return LS_OK;
}

ls_status ls_h5_seal(const char *path, const char *name) {
    int descriptor = open(path, O_RDWR | O_CLOEXEC);
    if (descriptor < 0)
        return ls_fail(LS_ERR_SYSTEM, "cannot write '%s': %s", name, strerror(errno));
    ls_status status = seal_open_file(descriptor, name);
    if (close(descriptor) != 0 && status == LS_OK)
        status = ls_fail(LS_ERR_SYSTEM, "cannot write '%s': %s", name, strerror(errno));
    return status;
}

/* ---- checking ------------------------------------------------------------------------------- */

static ls_status check_block(const char *path, const char block[LS_H5_SEAL], seal *parts) {
    char text[LS_H5_SEAL + 1], expected[LS_H5_SEAL];
    memcpy(text, block, LS_H5_SEAL);
    text[LS_H5_SEAL] = '\0';
    if (sscanf(text + MAGIC_BYTES, "%9d %18lld %32[0-9a-f]", &parts->version, &parts->bytes,
               parts->digest) == 3) {
        LS_TRY(compose(parts, expected));
        if (memcmp(block, expected, LS_H5_SEAL) == 0)
            return LS_OK;
    }
    return ls_fail(LS_ERR_INPUT,
                   "'%s' is damaged: its first %d bytes, with length and checksum, "
                   "are not as they were written",
                   path, LS_H5_SEAL);
}

static ls_status check_content(int descriptor, const char *path, long long bytes,
                               const seal *parts) {
    char digest[LS_DIGEST_TEXT];
    const char *trouble = NULL;
    if (parts->version < 1 || parts->version > LS_FORMAT_VERSION)
        return ls_fail(LS_ERR_INPUT,
                       "'%s' has format version %d: this lockstep reads versions 1 to %d", path,
                       parts->version, LS_FORMAT_VERSION);
    if (bytes < parts->bytes)
        return ls_fail(LS_ERR_INPUT, "'%s' is truncated: only %lld of its %lld bytes are there",
                       path, bytes, parts->bytes);
    if (bytes > parts->bytes)
        return ls_fail(LS_ERR_INPUT, "'%s' is damaged: it has %lld bytes after its end", path,
                       bytes - parts->bytes);
    LS_TRY(digest_content(descriptor, bytes, digest, &trouble));
    if (trouble)
        return ls_fail(LS_ERR_INPUT, "cannot read '%s': %s", path, trouble);
    if (strcmp(digest, parts->digest) != 0)
        return ls_fail(LS_ERR_INPUT,
                       "'%s' is damaged: the checksum of its content is %s, expected %s", path,
                       digest, parts->digest);
    return LS_OK;
}

static ls_status check_open_file(int descriptor, const char *path, bool *sealed) {
    struct stat info;
    seal parts;
    char block[LS_H5_SEAL];
    ssize_t got = pread(descriptor, block, sizeof block, 0);
    if (got < 0 || fstat(descriptor, &info) != 0)
        return ls_fail(LS_ERR_INPUT, "cannot read '%s': %s", path, strerror(errno));
    size_t begin = got < MAGIC_BYTES ? (size_t)got : MAGIC_BYTES;
    if (got == 0 || memcmp(block, magic, begin) != 0) {
        *sealed = false;
        return LS_OK;
    }
    if (got < LS_H5_SEAL)
        return ls_fail(LS_ERR_INPUT, "'%s' is truncated: it has only %lld bytes", path,
                       (long long)got);
    LS_TRY(check_block(path, block, &parts));
    LS_TRY(check_content(descriptor, path, info.st_size, &parts));
    *sealed = true;
    return LS_OK;
}

ls_status ls_h5_seal_check(const char *path, bool *sealed) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return ls_fail(LS_ERR_INPUT, "cannot read '%s': %s", path, strerror(errno));
    ls_status status = check_open_file(descriptor, path, sealed);
    close(descriptor);
    return status;
}
