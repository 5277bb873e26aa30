/* reader: the bytes of a source file in order, plain or gzip.  Nothing here is collective. */
#ifndef LOCKSTEP_DATA_READER_H
#define LOCKSTEP_DATA_READER_H

#include "lockstep/base.h"

typedef struct ls_reader ls_reader;

/* LS_ERR_INPUT: no such file, a folder, not readable, empty. */
ls_status ls_reader_open(const char *path, ls_reader **reader);
/* Reads exactly `bytes`.  LS_ERR_INPUT: the file ends before, or its gzip data are damaged; `what`
 * says in the message what was to be read. */
ls_status ls_reader_read(ls_reader *reader, void *out, size_t bytes, const char *what);
/* Reads up to `capacity` bytes; *got is less only at the end. */
ls_status ls_reader_some(ls_reader *reader, void *out, size_t capacity, size_t *got);
/* LS_ERR_INPUT unless everything was read; also checks the sum at the end of gzip data. */
ls_status ls_reader_end(ls_reader *reader);
/* LS_ERR_INPUT if the file is not compressed and its size is not `bytes`: notices a truncated file
 * before anything is written. */
ls_status ls_reader_expect_size(ls_reader *reader, uint64_t bytes);
/* The size of an uncompressed file.  LS_ERR_INPUT if it is compressed. */
ls_status ls_reader_plain_size(ls_reader *reader, uint64_t *bytes);
const char *ls_reader_path(const ls_reader *reader);
void ls_reader_close(ls_reader *reader);

/* The first bytes of a file, uncompressed, at most `capacity`. */
ls_status ls_reader_peek(const char *path, void *out, size_t capacity, size_t *got);
/* Size and digest of the file as it is on disk. */
ls_status ls_reader_digest(const char *path, uint64_t *bytes, char text[LS_DIGEST_TEXT]);

#endif
