/* Source files through zlib, which reads plain files as they are. */
#include "data/reader.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

struct ls_reader {
    char *path;
    gzFile file;
    uint64_t size;     /* on disk */
    uint64_t position; /* uncompressed */
};

static ls_status file_size(const char *path, uint64_t *size) {
    struct stat info;
    if (stat(path, &info) != 0)
        return ls_fail(LS_ERR_INPUT, "%s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return ls_fail(LS_ERR_INPUT, "%s: not a regular file", path);
    if (info.st_size == 0)
        return ls_fail(LS_ERR_INPUT, "%s: the file is empty", path);
    *size = (uint64_t)info.st_size;
    return LS_OK;
}

ls_status ls_reader_open(const char *path, ls_reader **reader) {
    uint64_t size = 0;
    ls_reader *opened;
    LS_TRY(file_size(path, &size));
    LS_TRY(LS_NEW(opened, 1));
    *opened = (ls_reader){.path = ls_strdup(path), .size = size, .file = gzopen(path, "rb")};
    if (!opened->path || !opened->file) {
        ls_status status = ls_fail(LS_ERR_INPUT, "%s: %s", path, strerror(errno));
        ls_reader_close(opened);
        return status;
    }
    gzbuffer(opened->file, 1 << 18);
    *reader = opened;
    return LS_OK;
}

void ls_reader_close(ls_reader *reader) {
    if (!reader)
        return;
    if (reader->file)
        gzclose(reader->file);
    ls_free(reader->path);
    ls_free(reader);
}

const char *ls_reader_path(const ls_reader *reader) {
    return reader->path;
}

ls_status ls_reader_some(ls_reader *reader, void *out, size_t capacity, size_t *got) {
    const size_t most = 1 << 30; /* gzread counts in int */
    size_t done = 0;
    while (done < capacity) {
        const size_t left = capacity - done;
        const int bytes =
            gzread(reader->file, (char *)out + done, left < most ? (unsigned)left : most);
        if (bytes > 0) {
            done += (size_t)bytes;
            continue;
        }
        int code;
        const char *message = gzerror(reader->file, &code);
        if (code == Z_BUF_ERROR)
            return ls_fail(LS_ERR_INPUT, "%s: the gzip data end too early: truncated",
                           reader->path);
        if (code == Z_ERRNO)
            return ls_fail(LS_ERR_SYSTEM, "%s: %s", reader->path, strerror(errno));
        if (bytes < 0)
            return ls_fail(LS_ERR_INPUT, "%s: damaged gzip data (%s)", reader->path, message);
        break;
    }
    reader->position += done;
    *got = done;
    return LS_OK;
}

ls_status ls_reader_read(ls_reader *reader, void *out, size_t bytes, const char *what) {
    size_t got = 0;
    LS_TRY(ls_reader_some(reader, out, bytes, &got));
    if (got < bytes)
        return ls_fail(LS_ERR_INPUT, "%s: ends after %llu bytes, within %s: truncated",
                       reader->path, (unsigned long long)reader->position, what);
    return LS_OK;
}

ls_status ls_reader_end(ls_reader *reader) {
    char more;
    size_t got = 0;
    LS_TRY(ls_reader_some(reader, &more, 1, &got));
    if (got > 0)
        return ls_fail(LS_ERR_INPUT, "%s: goes on after the %llu bytes that its header announces",
                       reader->path, (unsigned long long)reader->position - 1);
    return LS_OK;
}

ls_status ls_reader_expect_size(ls_reader *reader, uint64_t bytes) {
    if (gzdirect(reader->file) && reader->size != bytes)
        return ls_fail(LS_ERR_INPUT, "%s: has %llu bytes, but its header announces %llu: %s",
                       reader->path, (unsigned long long)reader->size, (unsigned long long)bytes,
                       reader->size < bytes ? "truncated" : "damaged");
    return LS_OK;
}

ls_status ls_reader_plain_size(ls_reader *reader, uint64_t *bytes) {
    if (!gzdirect(reader->file))
        return ls_fail(LS_ERR_INPUT, "%s: compressed; uncompress this file first (gunzip, tar xzf)",
                       reader->path);
    *bytes = reader->size;
    return LS_OK;
}

ls_status ls_reader_peek(const char *path, void *out, size_t capacity, size_t *got) {
    ls_reader *reader;
    LS_TRY(ls_reader_open(path, &reader));
    ls_status status = ls_reader_some(reader, out, capacity, got);
    ls_reader_close(reader);
    return status;
}

ls_status ls_reader_digest(const char *path, uint64_t *bytes, char text[LS_DIGEST_TEXT]) {
    enum { PIECE = 1 << 18 };
    ls_hash *hash = NULL;
    char *piece = NULL;
    FILE *file = fopen(path, "rb");
    ls_status status = LS_OK;
    uint64_t total = 0;
    if (!file)
        return ls_fail(LS_ERR_INPUT, "%s: %s", path, strerror(errno));
    LS_TRY_GOTO(done, LS_NEW(piece, PIECE));
    LS_TRY_GOTO(done, ls_hash_create(&hash));
    for (size_t got; (got = fread(piece, 1, PIECE, file)) > 0; total += got)
        ls_hash_add(hash, piece, got);
    if (ferror(file)) {
        status = ls_fail(LS_ERR_SYSTEM, "%s: cannot be read", path);
        goto done;
    }
    ls_hash_text(hash, text);
    *bytes = total;
done:
    if (hash)
        ls_hash_free(hash);
    ls_free(piece);
    fclose(file);
    return status;
}
