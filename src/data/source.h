/* source: a stream of samples of one array, whatever the format of the file it comes from.  Nothing
 * here is collective. */
#ifndef LOCKSTEP_DATA_SOURCE_H
#define LOCKSTEP_DATA_SOURCE_H

#include "data/reader.h"
#include "lockstep/io.h"

/* Samples are fields of records of a file, or lie in memory. */
typedef struct ls_source {
    ls_array_info info;
    char *path;           /* for messages */
    ls_reader *reader;    /* NULL: in memory */
    size_t record;        /* bytes of a record */
    size_t offset, bytes; /* of the field in the record: one sample */
    bool swap;            /* the file's byte order is not this machine's */
    void *memory;         /* owned */
    int64_t done;         /* samples read so far */
} ls_source;

/* Opens one file.  LS_ERR_INPUT says what is wrong with it. */
ls_status ls_idx_open(const char *path, ls_source **source);
ls_status ls_npy_open(const char *path, ls_source **source);

/* CIFAR binary batches: records of one label (CIFAR-10) or two (CIFAR-100: coarse, fine) and 3072
 * pixels. */
typedef enum ls_cifar { LS_CIFAR_10 = 1, LS_CIFAR_100 = 2 } ls_cifar; /* labels a record */
enum { LS_CIFAR_PIXELS = 3 * 32 * 32 };
ls_status ls_cifar_open(const char *path, ls_cifar kind, bool labels, ls_source **source);
extern const char *const ls_cifar10_names[10];

/* Takes over `memory`, also on failure. */
ls_status ls_memory_source(const char *path, const ls_array_info *info, void *memory,
                           ls_source **source);

/* How the samples lie in a file. */
typedef struct ls_records {
    uint64_t header; /* bytes before the first record */
    size_t record;   /* bytes of a record; 0: a sample and nothing else */
    size_t offset;   /* of the sample in its record */
    bool big_endian;
} ls_records;

/* What the openers of formats share: a source over `reader`, which it takes over, also on failure.
 * LS_ERR_INPUT if the shape is impossible, or not that of a file of this size. */
ls_status ls_record_source(ls_reader *reader, const ls_array_info *info, const ls_records *records,
                           ls_source **source);

/* The next `count` samples in the machine's byte order. */
ls_status ls_source_read(ls_source *source, int64_t count, void *out);
/* LS_ERR_INPUT unless all was read and the file ends here. */
ls_status ls_source_end(ls_source *source);
void ls_source_close(ls_source *source);

#endif
