/* system tests: running the built programs as a user does, in a folder of one's own.
 * LS_BUILD names the build folder ("build" by default); LS_TORCH_PYTHON a Python with PyTorch and
 * h5py, where python3 has not; the working directory is the repository. */
#ifndef LOCKSTEP_TESTS_COMMAND_H
#define LOCKSTEP_TESTS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

/* A new folder for the test, the same on every call within it; removed by workspace_remove. */
const char *workspace(void);
void workspace_remove(void);
/* Skips the test, which then runs no .fini. */
#define skip_test(...)                                                                             \
    do {                                                                                           \
        workspace_remove();                                                                        \
        cr_skip_test(__VA_ARGS__);                                                                 \
    } while (0)

/* The folder that the build went to, and the program. */
const char *build_folder(void);
const char *program(void);

/* A finished command. */
typedef struct outcome {
    int code;     /* exit code, 124 when it ran too long, -1 when a signal ended it */
    char *output; /* standard output and error together; kept until the test ends */
} outcome;

/* Runs a shell command.  The test fails if it runs longer than two minutes. */
outcome run(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same; the test fails, showing the output, unless the exit code is 0.  Returns the output. */
const char *run_well(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same; the test fails unless the exit code is 2 and the output has exactly one line that
 * begins with "lockstep: " and it contains every one of the words given, up to NULL. */
void run_refused(const char *const *words, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
#define REFUSED(words, ...) run_refused((const char *const[]){words, NULL}, __VA_ARGS__)
#define WORDS(...) __VA_ARGS__

/* "mpirun -n RANKS" as tests need it: any number of ranks, cores shared with other tests. */
const char *mpirun(int ranks);

/* A Python that can import these modules, "h5py, torch"; NULL when there is none. */
const char *python_with(const char *modules);

/* Writes a text file into the workspace and returns its path. */
const char *write_file(const char *name, const char *text);
/* Does a file match the shell pattern? */
bool exists(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* DIR/data.h5 in the workspace: the first `train` and `test` samples of Fashion-MNIST.  Its path.
 */
const char *make_dataset(int train, int test);
/* Plain IDX files of the first `count` samples in the workspace: PREFIX-images and PREFIX-labels.
 */
void make_idx(const char *prefix, const char *source, int count);

/* A configuration over make_dataset's file: small, yet with convolution, batch norm, dropout, a
 * residual block and a last batch that is partial and does not divide by the slices.  Its path. */
const char *make_config(void);

/* What `lockstep info --digest` prints of a run's file, or of a checkpoint: 32 hexadecimal digits.
 */
const char *digest_of(const char *file);
/* That of the weights, statistics and momentum in a run's last checkpoint. */
const char *last_digest(const char *run_folder);
/* A number in an HDF5 file, in full precision; `what` in h5dump's words: "-a /train/base_lr". */
const char *h5_number(const char *what, const char *file);

/* printf into memory that is never freed: a test's process is short. */
char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
