/* A process that reads one input after another, where HDF5 may crash or search without end, see
 * fuzz.h.  A process for each input would take a hundred times as long, and libFuzzer would not see
 * what it came through. */
#include <dlfcn.h>
#include <execinfo.h>
#include <sanitizer/common_interface_defs.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

void __asan_on_error(void);

enum {
    INPUTS = 2000, /* of a worker: HDF5 keeps memory from one to the next */
    PATIENCE = 2,  /* s of processor time for an input */
    FRAMES = 64,
    CRASHED = 100, /* exit codes */
    ENDLESS = 101,
};

/* What the compiler has made for libFuzzer: a counter for each edge of our code, and, in pairs with
 * a flag, where in our code they are. */
extern uint8_t __start___sancov_cntrs[], __stop___sancov_cntrs[];
extern const uintptr_t __start___sancov_pcs[], __stop___sancov_pcs[];

static pid_t worker; /* in the worker itself -1 */
static int inputs;   /* that it has been given */
static int to_worker, from_worker;
static uint8_t *shared; /* the worker's counters */

static size_t counter_bytes(void) {
    return (size_t)(__stop___sancov_cntrs - __start___sancov_cntrs);
}

bool fuzz_is_apart(void) {
    return worker < 0;
}

/* ---- whose fault ---------------------------------------------------------------------------- */

static uintptr_t code_begin = UINTPTR_MAX, code_end;

static void find_our_code(void) {
    for (const uintptr_t *pc = __start___sancov_pcs; pc < __stop___sancov_pcs; pc += 2) {
        code_begin = *pc < code_begin ? *pc : code_begin;
        code_end = *pc > code_end ? *pc : code_end;
    }
}

/* Whether the innermost call of HDF5 or of our code is one of HDF5, after the caller and this one.
 * What is between, the C library or the sanitizer, did what it was told. */
static __attribute__((noinline)) bool is_in_hdf5(void) {
    void *frames[FRAMES];
    const int count = backtrace(frames, FRAMES);
    for (int i = 0, ours = 0; i < count; i++) {
        const uintptr_t at = (uintptr_t)frames[i];
        Dl_info where;
        if (at >= code_begin && at <= code_end && ++ours > 2)
            return false;
        if (dladdr(frames[i], &where) && where.dli_fname && strstr(where.dli_fname, "libhdf5"))
            return true;
    }
    return false;
}

static __attribute__((noreturn)) void end_worker(int code) {
    memcpy(shared, __start___sancov_cntrs, counter_bytes());
    _exit(code);
}

/* The sanitizer's: before it reports anything, a signal too.  In lockstep's own child process,
 * whose end is what the target is to see, it crashes. */
__attribute__((noinline)) void __asan_on_error(void) {
    if (!is_in_hdf5())
        return;
    if (fuzz_is_apart())
        end_worker(CRASHED);
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
}

/* What our code takes long for is libFuzzer's to judge. */
static __attribute__((noinline)) void out_of_patience(int number) {
    (void)number;
    if (is_in_hdf5())
        end_worker(ENDLESS);
}

/* ---- the worker ----------------------------------------------------------------------------- */

static void nothing(void) {
}

static __attribute__((noreturn)) void work(fuzz_read *read_input, const char *path) {
    const struct itimerval patience = {{PATIENCE, 0}, {PATIENCE, 0}};
    char word = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    worker = -1;
    fuzz_report_here();
    __sanitizer_set_death_callback(nothing); /* libFuzzer's knows an older input only */
    signal(SIGPROF, out_of_patience);
    while (read(to_worker, &word, 1) == 1) {
        memset(__start___sancov_cntrs, 0, counter_bytes());
        setitimer(ITIMER_PROF, &patience, NULL);
        read_input(path);
        memcpy(shared, __start___sancov_cntrs, counter_bytes());
        if (write(from_worker, &word, 1) != 1)
            break;
    }
    _exit(0);
}

static void start(fuzz_read *read_input, const char *path) {
    int to[2], from[2];
    if (shared == NULL) {
        void *frame;
        backtrace(&frame, 1); /* loads a library when it is called first */
        find_our_code();
        shared =
            mmap(NULL, counter_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        FUZZ_CHECK(shared != MAP_FAILED);
    }
    FUZZ_CHECK(pipe(to) == 0 && pipe(from) == 0);
    worker = fork();
    FUZZ_CHECK(worker >= 0);
    to_worker = to[worker > 0];
    from_worker = from[worker == 0];
    close(to[worker == 0]);
    close(from[worker > 0]);
    if (worker == 0)
        work(read_input, path);
    inputs = 0;
}

static int end(void) {
    int how = 0;
    close(to_worker);
    FUZZ_CHECK(waitpid(worker, &how, 0) == worker);
    close(from_worker);
    worker = 0;
    return how;
}

/* The exit status of the worker when it ended, else 0. */
static int give(fuzz_read *read_input, const char *path) {
    char word = 0;
    if (worker == 0)
        start(read_input, path);
    FUZZ_CHECK(write(to_worker, &word, 1) == 1);
    const bool whole = read(from_worker, &word, 1) == 1;
    const int how = !whole || ++inputs == INPUTS ? end() : 0;
    memcpy(__start___sancov_cntrs, shared, counter_bytes());
    return whole ? 0 : how;
}

static bool is_hdf5s(int how) {
    return how == 0 || (WIFEXITED(how) && WEXITSTATUS(how) >= CRASHED);
}

fuzz_end fuzz_apart(fuzz_read *read_input, const char *path) {
    int how = give(read_input, path);
    if (!is_hdf5s(how)) { /* HDF5 may have spoilt memory in an earlier file */
        how = give(read_input, path);
        FUZZ_CHECK(is_hdf5s(how)); /* else: the report above */
        return FUZZ_CRASHED;
    }
    return how == 0 ? FUZZ_READ : WEXITSTATUS(how) == ENDLESS ? FUZZ_ENDLESS : FUZZ_CRASHED;
}
