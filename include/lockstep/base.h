/* base: what every module shares: status codes, messages, memory, counter-based random numbers,
 * hashing, and a growing text.  Knows nothing of MPI, HDF5 or networks.
 *
 * Nothing in this header is collective. */
#ifndef LOCKSTEP_BASE_H
#define LOCKSTEP_BASE_H

#include <stdarg.h>

#include "lockstep/lockstep.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- status --------------------------------------------------------------------------------- */

/* Decides an error: records the message (one line, no newline at the end) and returns `status`.
 * The message is printed once, by main; functions above only propagate the status.  The first
 * message since ls_message_set("") is kept: later ones are consequences. */
ls_status ls_fail(ls_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Propagates a failure. */
#define LS_TRY(expression)                                                                         \
    do {                                                                                           \
        ls_status ls_try_status_ = (expression);                                                   \
        if (ls_try_status_ != LS_OK)                                                               \
            return ls_try_status_;                                                                 \
    } while (0)

/* Propagates a failure through clean-up code: needs a local `ls_status status`. */
#define LS_TRY_GOTO(label, expression)                                                             \
    do {                                                                                           \
        status = (expression);                                                                     \
        if (status != LS_OK)                                                                       \
            goto label;                                                                            \
    } while (0)

/* Checks how a caller uses a function: always on. */
#define LS_REQUIRE(condition)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return ls_fail(LS_ERR_BUG, "%s:%d: requirement failed: %s", __FILE__, __LINE__,        \
                           #condition);                                                            \
    } while (0)

/* Checks our own reasoning: only in debug and sanitizer builds (-DLS_DEBUG). */
#ifdef LS_DEBUG
void ls_assert_failed(const char *file, int line, const char *condition) __attribute__((noreturn));
#define LS_ASSERT(condition)                                                                       \
    ((condition) ? (void)0 : ls_assert_failed(__FILE__, __LINE__, #condition))
#else
#define LS_ASSERT(condition) ((void)0)
#endif

/* ---- hot loops ------------------------------------------------------------------------------ */

/* Before a function: compiles it for several instruction sets, one of which is chosen at start. For
 * element-by-element arithmetic, which has the same bits in each, as nothing is contracted.  gcc
 * only: clang 14 does not vectorise such clones. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) &&                             \
    !defined(__SANITIZE_ADDRESS__) && !defined(LS_DEBUG)
#define LS_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define LS_CLONES
#endif

/* ---- log ------------------------------------------------------------------------------------ */

void ls_log(ls_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Whatever the level is. */
void ls_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* These, and ls_fail, make names and texts harmless that came from a file or a user: what a
 * terminal could take as a command (control characters but line ends and tabs, and what is no
 * UTF-8) becomes '?'.  In place. */
void ls_make_harmless(char *text);
/* Such a text, to be freed with free; NULL, without a message, where there is no memory. */
char *ls_harmless_text(const char *format, va_list args);

/* ---- memory --------------------------------------------------------------------------------- */

#define LS_ALIGN 64 /* bytes; every ls_calloc block and every parameter starts at a multiple */

/* Zeroed memory, aligned to LS_ALIGN; NULL with a message recorded when there is none.
 * count 0 gives a valid pointer.  Free with ls_free. */
void *ls_calloc(size_t count, size_t size);
void ls_free(void *memory);

/* Adds " for WHAT" to the message where memory has run out; returns `status`. */
ls_status ls_memory_for(ls_status status, const char *what);

/* LS_TRY(LS_NEW(pointer, count)): allocates `count` zeroed elements of what `pointer` points at. */
#define LS_NEW(pointer, count)                                                                     \
    (((pointer) = ls_calloc((count), sizeof *(pointer))) ? LS_OK : LS_ERR_SYSTEM)

/* Makes room for one more element behind `count` in a growing array of elements of `size` bytes;
 * `array` is the address of its pointer. */
ls_status ls_grow(void *array, size_t count, size_t *capacity, size_t size);

char *ls_strdup(const char *text);
/* printf into new memory; NULL when there is none.  Free with ls_free. */
char *ls_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- text ----------------------------------------------------------------------------------- */

/* A string that grows.  Start with {0}; free with ls_text_free.  `failed` is set once memory runs
 * out, and what is added later is dropped: check it once, at the end. */
typedef struct ls_text {
    char *data; /* "" terminated, or NULL while empty */
    size_t length, capacity;
    bool failed;
} ls_text;

void ls_text_add(ls_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Bytes, zeros among them. */
void ls_text_append(ls_text *text, const char *data, size_t bytes);
void ls_text_free(ls_text *text);

#define LS_DIGITS_TEXT 24
/* A rate or a time with three digits that count, "1234", "12.3", "0.0123"; "-" for what is not
 * above 0.  Returns `text`. */
const char *ls_digits(double value, char text[LS_DIGITS_TEXT]);

/* A JSON string, quoted and escaped; a JSON number of 9 digits, null when it is not finite. */
void ls_json_string(ls_text *text, const char *value);
void ls_json_number(ls_text *text, double value);

/* The element of `words` nearest to `word` by edit distance, NULL if none is near enough to be
 * what was meant. */
const char *ls_nearest(const char *word, const char *const *words, size_t count);

/* ---- random numbers ------------------------------------------------------------------------- */

/* Every random number is a pure function of (seed, stream, counter): there is no state to save.
 * Philox4x32-10: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011. */
typedef enum ls_stream {
    LS_STREAM_INIT = 1,  /* (parameter, element / 4, 0) */
    LS_STREAM_SHUFFLE,   /* (epoch, round, value, window) */
    LS_STREAM_DROPOUT,   /* (epoch, sample, layer, element / 4), see nn */
    LS_STREAM_AUGMENT,   /* (epoch, sample, what) */
    LS_STREAM_VALIDATION /* (block, block's upper half) */
} ls_stream;

/* Four 32-bit words from a 128-bit counter and a 64-bit key. */
void ls_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]);
/* out (count, 4): of `count` counters whose first word goes on from counter[0]; several at once. */
void ls_philox_run(const uint32_t key[2], const uint32_t counter[4], size_t count, uint32_t *out);
/* The key of a stream: seed and stream mixed. */
void ls_stream_key(uint64_t seed, ls_stream stream, uint32_t key[2]);
/* A word as a number in [0, 1) with 24 bits. */
static inline float ls_unit_float(uint32_t word) {
    return (float)(word >> 8) * 0x1p-24f;
}

/* ---- hashing -------------------------------------------------------------------------------- */

/* XXH3-128 over what is added, in order. */
typedef struct ls_hash ls_hash;
ls_status ls_hash_create(ls_hash **hash);
void ls_hash_add(ls_hash *hash, const void *data, size_t bytes);
void ls_hash_text(const ls_hash *hash, char text[LS_DIGEST_TEXT]);
void ls_hash_free(ls_hash *hash);

/* ---- time and files ------------------------------------------------------------------------- */

double ls_seconds(void); /* monotonic clock, s */

enum { LS_TIME_TEXT = 24 };
/* "2024-05-31T17:02:03Z", of seconds since 1970 (time_t). */
const char *ls_time_text(int64_t seconds, char text[LS_TIME_TEXT]);

/* Makes the folder and its parents; no error if it is there.  LS_ERR_INPUT names what is in the
 * way. */
ls_status ls_make_folder(const char *path);

/* Keeps other processes, also on other hosts, from taking the folder, until it is freed or this
 * process ends, in whatever way.  LS_ERR_INPUT names host, process and start of the one that has
 * it; where the file system has no locks that may take half a minute. */
typedef struct ls_lock ls_lock;
ls_status ls_lock_take(const char *folder, ls_lock **lock);
void ls_lock_free(ls_lock *lock);

/* Whether two paths lead to one file that is there. */
bool ls_same_file(const char *one, const char *other);
/* LS_ERR_INPUT when `output` is the file `input`. */
ls_status ls_check_output(const char *output, const char *input);

/* A text file that appears under its name when it is whole, or not at all; what is no regular file
 * is written as it comes.  LS_ERR_INPUT when it cannot be made. */
typedef struct ls_text_file ls_text_file;
ls_status ls_text_file_create(const char *path, ls_text_file **file);
ls_status ls_text_file_add(ls_text_file *file, const char *text, size_t bytes);
ls_status ls_text_file_finish(ls_text_file *file); /* it appears; free it then */
void ls_text_file_free(ls_text_file *file);

/* ---- this process --------------------------------------------------------------------------- */

/* The name of this host; zeros fill what it leaves. */
void ls_host_name(char host[LS_HOST_SIZE]);

/* Seconds since the process was started, to 0.01; 0 where the system does not tell. */
double ls_process_age(void);

double ls_process_cpu_seconds(void); /* processor time that it took, all threads */

/* Bytes; 0 where the system does not tell. */
typedef struct ls_process_memory {
    size_t peak_resident; /* most there ever was, shared pages counted in full (VmHWM) */
    size_t proportional;  /* now; of a page shared by n processes an n-th (Pss) */
} ls_process_memory;
ls_process_memory ls_process_memory_now(void);

/* The file that a signal which ends this process is to take away, once ls_temporary_catch_signals
 * was called: SIGHUP, SIGINT or SIGTERM.  The last one set counts; NULL: none. */
void ls_temporary_set(const char *path);
void ls_temporary_catch_signals(void);

/* Gives a temporary file that is whole and closed its name: bytes to the disk, then the name, then
 * the name to the disk.  After that no signal takes it away.  On failure it is as before;
 * LS_ERR_SYSTEM where the machine is in trouble, LS_ERR_INPUT where the name cannot be had. */
ls_status ls_file_publish(const char *temporary, const char *path);
/* Whether errno tells of the machine's trouble, such as a full disk, and not of a wrong path. */
bool ls_is_system_trouble(int reason);
/* The folder that a file is in, new memory (ls_free); NULL: out of memory. */
char *ls_folder_of(const char *path);

/* From now on the first signal `number` calls `handler`, which may do only what signal-safety(7)
 * allows.  Others within `patience` seconds are ignored, for a batch system may send two at once; a
 * later one does what the system does by default.  Call it in the thread that computes:
 * there the handler has a stack of its own.  oneDNN's products point the stack register at their
 * buffers, and what a handler puts below that would overwrite the heap.  LS_ERR_SYSTEM. */
ls_status ls_signal_catch(int number, double patience, void (*handler)(int number));

#ifdef __cplusplus
}
#endif
#endif
