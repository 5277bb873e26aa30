/* Rank tests: a folder with a dataset of two splits, made by rank 0, known to all ranks. */
#ifndef LOCKSTEP_TESTS_RANK_BENCH_H
#define LOCKSTEP_TESTS_RANK_BENCH_H

#include "lockstep/comm.h"
#include "lockstep/io.h"

typedef struct bench {
    ls_comm *comm;
    char folder[64], file[96]; /* file: the dataset */
    char output[96];           /* free for a file of the test's own */
} bench;

/* Writes the arrays of one split: "train", number 0, or "test", number 1. */
typedef ls_status bench_write_split(ls_dataset_writer *writer, const char *split, int number);
/* Writes one of them: SPLIT/NAME, `samples` rows. */
ls_status bench_write_array(ls_dataset_writer *writer, const char *split, const char *name,
                            const ls_array_info *info, int64_t samples, const void *values);

/* Collective.  b->comm is given; the rest is set, and removed. */
void bench_set_up(bench *b, bench_write_split *write_split);
void bench_tear_down(const bench *b);

#endif
