/* What the tests of io share: a folder of their own, other programs that read what was written, and
 * children that may be killed. */
#ifndef LOCKSTEP_TESTS_UNIT_TEST_IO_H
#define LOCKSTEP_TESTS_UNIT_TEST_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lockstep/io.h"

/* The path of `name` in this test's folder, made at the first call.  In a static buffer, one for
 * each of the last eight calls. */
const char *io_path(const char *name);
/* .fini of tests that use it: the folder goes, with all in it. */
void io_remove(void);
/* Files in the folder. */
int io_file_count(void);

/* Ends a child under a hard limit on the size of files: with HDF5's own end, but where there is a
 * LeakSanitizer, which waits for ever when it cannot write. */
_Noreturn void io_exit_limited(int code);

/* Runs a shell command, which must succeed; its standard output, in a static buffer. */
const char *io_command(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A Python with h5py, "" if there is none. */
const char *io_python(void);
/* The values of a dataset as h5py reads them, or h5dump where there is no h5py: as many as there
 * are, at most `limit`. */
size_t io_read_elsewhere(const char *file, const char *dataset, size_t limit, double *values);
/* A text attribute of a group, as h5py reads it, which must take it for a str; or h5dump. */
const char *io_text_elsewhere(const char *file, const char *group, const char *attribute);

/* Runs the Python examples of FORMAT.md that name a file like `files` (a regular expression), as
 * they stand there, in the test's folder; what they print.  Not those that need the xxhash package.
 */
const char *io_examples(const char *files);

/* A file's whole content: a copy, to free. */
char *io_load(const char *file, size_t *bytes);
/* Inverts the bits of the first byte of `pattern` where it stands in the file. */
void io_damage(const char *file, const void *pattern, size_t bytes);

/* Asserts that a call failed with `status` and a one-line message that has all of `words`, up to
 * NULL; clears the message. */
void io_refused(ls_status got, ls_status status, const char *const *words);
#define REFUSED(status, call, ...)                                                                 \
    io_refused((call), (status), (const char *const[]){__VA_ARGS__, NULL})

#endif
