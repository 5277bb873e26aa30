/* What the fuzz targets share.  A target is a file with LLVMFuzzerTestOneInput, libFuzzer's entry:
 * it reads what the fuzzer made up, and ends the process when our code does what it must not. */
#ifndef LOCKSTEP_TESTS_FUZZ_FUZZ_H
#define LOCKSTEP_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "lockstep/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The path of `name` in this process's own folder, below TMPDIR.  In a static buffer, one for each
 * of the last four calls. */
const char *fuzz_path(const char *name);
/* Writes a file there; its path. */
const char *fuzz_file(const char *name, const void *data, size_t size);
/* Files in the folder. */
int fuzz_file_count(void);

/* Whether a call succeeded.  Ends the process unless it did, without a message, or refused its
 * input with one of one line, or found no memory for it; forgets the message. */
bool fuzz_worked(ls_status status);

/* Ends the process unless `condition` holds. */
#define FUZZ_CHECK(condition) ((condition) ? (void)0 : fuzz_failed(__FILE__, __LINE__, #condition))
void fuzz_failed(const char *file, int line, const char *what) __attribute__((noreturn));

/* For mutators: from 0 to below `below`. */
void fuzz_chance_begin(unsigned seed);
uint32_t fuzz_chance(uint32_t below);

/* A child process's sanitizer writes to a file of its own until then. */
void fuzz_report_here(void);

/* ---- where HDF5 may crash (worker.c) -------------------------------------------------------- */

typedef void fuzz_read(const char *path);
typedef enum fuzz_end { FUZZ_READ, FUZZ_CRASHED, FUZZ_ENDLESS } fuzz_end;
/* Calls read(path), always the same, in a process that lives from one input to the next, and adds
 * what code it came through to this one's coverage.  FUZZ_CRASHED, FUZZ_ENDLESS: HDF5 did.  What
 * goes wrong in our own code ends this process too. */
fuzz_end fuzz_apart(fuzz_read *read, const char *path);
/* Whether this is that process. */
bool fuzz_is_apart(void);

/* All that lockstep's commands do to a file that no seal covers (reads.c): what it holds, its
 * digest, the curve of a range test and what it suggests. */
void fuzz_read_hdf5(const char *path);

#endif
