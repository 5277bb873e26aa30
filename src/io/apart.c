/* Reading in a child process: HDF5 may crash, or search without end, in a file that is damaged and
 * that no seal covers; then this process has a message to give. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "io/h5.h"

/* s without a byte read: of processor time, and on the clock */
#define CPU_PATIENCE 5.0
#define PATIENCE 60.0
enum { LOOK_MILLISECONDS = 100, MESSAGE_SIZE = 2048 };

/* ---- the child ------------------------------------------------------------------------------ */

static void send_all(int to, const void *data, size_t bytes) {
    const char *at = data;
    for (ssize_t sent; bytes > 0; at += sent, bytes -= (size_t)sent)
        if ((sent = write(to, at, bytes)) < 0)
            _exit(1);
}

/* A crash ends the process as such: MPI and the sanitizers would report it at length. */
static void crash_quietly(void) {
    static const int crashes[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV};
    for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++)
        signal(crashes[i], SIG_DFL);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
}

/* Status, message and text go back; nothing of the parent's is flushed or ended. */
static void read_and_exit(const char *path, ls_h5_read *read, int to) {
    ls_text text = {0};
    char message[MESSAGE_SIZE] = "";
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    crash_quietly();
    int32_t status = read(path, &text);
    if (status == LS_OK && text.failed)
        status = LS_ERR_SYSTEM;
    snprintf(message, sizeof message, "%s", ls_message());
    send_all(to, &status, sizeof status);
    send_all(to, message, sizeof message);
    send_all(to, text.data ? text.data : "", text.length);
    _exit(0);
}

/* ---- the parent ----------------------------------------------------------------------------- */

typedef struct reader {
    pid_t process;
    int from;
    ls_text answer; /* as sent; bytes, with zeros in it */
} reader;

/* Bytes that the process has read so far, and processor time, s. */
static void look_at(const reader *r, unsigned long long *bytes, double *cpu) {
    char name[64];
    clockid_t clock;
    struct timespec used = {0};
    snprintf(name, sizeof name, "/proc/%ld/io", (long)r->process);
    FILE *file = fopen(name, "r");
    if (file == NULL || fscanf(file, "rchar: %llu", bytes) != 1)
        *bytes = 0;
    if (file)
        fclose(file);
    if (clock_getcpuclockid(r->process, &clock) == 0)
        clock_gettime(clock, &used);
    *cpu = (double)used.tv_sec + 1e-9 * (double)used.tv_nsec;
}

static ls_status take_answer(reader *r, bool *more) {
    char part[1 << 16];
    ssize_t got = read(r->from, part, sizeof part);
    *more = got > 0 || (got < 0 && errno == EINTR);
    if (got > 0)
        ls_text_append(&r->answer, part, (size_t)got);
    return r->answer.failed ? LS_ERR_SYSTEM : LS_OK;
}

/* Until the child has said all, or does not get on. */
static ls_status listen_to(reader *r, const char *path) {
    unsigned long long bytes, before = 0;
    double cpu, cpu_then = 0, then = ls_seconds();
    for (bool more = true; more;) {
        struct pollfd end = {.fd = r->from, .events = POLLIN};
        if (poll(&end, 1, LOOK_MILLISECONDS) > 0) {
            LS_TRY(take_answer(r, &more));
            continue;
        }
        look_at(r, &bytes, &cpu);
        if (bytes != before) {
            before = bytes;
            cpu_then = cpu;
            then = ls_seconds();
        } else if (cpu - cpu_then > CPU_PATIENCE || ls_seconds() - then > PATIENCE) {
            return ls_fail(LS_ERR_INPUT,
                           "'%s' cannot be read: HDF5 finds no end in it; it seems damaged", path);
        }
    }
    return LS_OK;
}

static ls_status understand(const reader *r, const char *path, int end, ls_text *text) {
    int32_t status;
    const size_t head = sizeof status + MESSAGE_SIZE;
    if (WIFSIGNALED(end))
        return ls_fail(LS_ERR_INPUT,
                       "'%s' cannot be read: HDF5 crashed in it (%s); it seems damaged", path,
                       strsignal(WTERMSIG(end)));
    if (r->answer.length < head)
        return ls_fail(LS_ERR_SYSTEM, "reading '%s' in a process of its own failed", path);
    memcpy(&status, r->answer.data, sizeof status);
    if (status != LS_OK)
        return ls_fail((ls_status)status, "%s", r->answer.data + sizeof status);
    ls_text_append(text, r->answer.data + head, r->answer.length - head);
    return text->failed ? LS_ERR_SYSTEM : LS_OK;
}

static ls_status start(const char *path, ls_h5_read *read, reader *r) {
    int ends[2];
    if (pipe(ends) != 0)
        return ls_fail(LS_ERR_SYSTEM, "cannot make a pipe: %s", strerror(errno));
    r->process = fork();
    if (r->process == 0) {
        close(ends[0]);
        read_and_exit(path, read, ends[1]);
    }
    close(ends[1]);
    r->from = ends[0];
    if (r->process > 0)
        return LS_OK;
    close(ends[0]);
    return ls_fail(LS_ERR_SYSTEM, "cannot start a process: %s", strerror(errno));
}

ls_status ls_h5_read_apart(const char *path, ls_h5_read *read, ls_text *text) {
    bool sealed;
    reader r = {0};
    LS_TRY(ls_h5_check(path, &sealed));
    if (sealed)
        return read(path, text);
    LS_TRY(start(path, read, &r));
    ls_status status = listen_to(&r, path);
    int end = 0;
    if (status != LS_OK)
        kill(r.process, SIGKILL);
    while (waitpid(r.process, &end, 0) < 0 && errno == EINTR)
        ;
    close(r.from);
    if (status == LS_OK)
        status = understand(&r, path, end, text);
    ls_text_free(&r.answer);
    return status;
}
