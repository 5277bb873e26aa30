/* One run a folder: a lock of fcntl on a hidden file, which ends with the process, whatever ends
 * it; where the file system has no locks, a file that is touched every few seconds. */
#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PERIOD 5.0 /* s */

struct ls_lock {
    char *path;
    int descriptor;
    bool beats;
    double period;
    pthread_t heart; /* when it beats */
    pthread_mutex_t mutex;
    pthread_cond_t ends;
    bool ended;
};

/* ---- who has it ----------------------------------------------------------------------------- */

enum { OWNER_SIZE = 512 };

static void read_owner(int descriptor, char owner[OWNER_SIZE]) {
    ssize_t got = pread(descriptor, owner, OWNER_SIZE - 1, 0);
    owner[got > 0 ? got : 0] = '\0';
    owner[strcspn(owner, "\n")] = '\0';
}

static ls_status write_owner(const ls_lock *lock) {
    char host[LS_HOST_SIZE], started[64] = "?";
    time_t now = time(NULL);
    struct tm parts;
    ls_host_name(host);
    if (localtime_r(&now, &parts))
        strftime(started, sizeof started, "%Y-%m-%d %H:%M:%S", &parts);
    char *text = ls_format("process %ld on %s, since %s\n", (long)getpid(), host, started);
    if (text == NULL)
        return LS_ERR_SYSTEM;
    size_t bytes = strlen(text);
    bool written = ftruncate(lock->descriptor, 0) == 0 &&
                   pwrite(lock->descriptor, text, bytes, 0) == (ssize_t)bytes;
    ls_free(text);
    return written ? LS_OK
                   : ls_fail(LS_ERR_SYSTEM, "cannot write '%s': %s", lock->path, strerror(errno));
}

static ls_status refuse(const ls_lock *lock) {
    char owner[OWNER_SIZE];
    read_owner(lock->descriptor, owner);
    return ls_fail(
        LS_ERR_INPUT,
        "another run writes to this folder: %s (%s); wait for it, or choose another --out",
        owner[0] ? owner : "one that starts", lock->path);
}

/* ---- locks of fcntl ------------------------------------------------------------------------- */

static bool has_no_locks(int reason) {
    return reason == ENOLCK || reason == ENOSYS || reason == EOPNOTSUPP || reason == EINVAL;
}

/* Whether the file that is open is still the one of that name: its owner removes it when it ends.
 */
static bool is_in_place(const ls_lock *lock) {
    struct stat open_one, named;
    return fstat(lock->descriptor, &open_one) == 0 && stat(lock->path, &named) == 0 &&
           open_one.st_ino == named.st_ino && open_one.st_dev == named.st_dev;
}

/* *beats: there are no locks here. */
static ls_status lock_file(ls_lock *lock, bool *beats) {
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    for (;;) {
        lock->descriptor = open(lock->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (lock->descriptor < 0)
            return ls_fail(LS_ERR_INPUT, "cannot write '%s': %s", lock->path, strerror(errno));
        if (*beats)
            return LS_OK;
        if (fcntl(lock->descriptor, F_SETLK, &whole) != 0) {
            *beats = has_no_locks(errno);
            return *beats ? LS_OK : refuse(lock);
        }
        if (is_in_place(lock))
            return LS_OK;
        close(lock->descriptor);
    }
}

/* ---- a heartbeat ---------------------------------------------------------------------------- */

static struct timespec touched(const ls_lock *lock) {
    struct stat info = {0};
    stat(lock->path, &info);
    return info.st_mtim;
}

static struct timespec after(double seconds) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    long long nanoseconds = at.tv_nsec + (long long)(1e9 * seconds);
    at.tv_sec += nanoseconds / 1000000000;
    at.tv_nsec = nanoseconds % 1000000000;
    return at;
}

static void *beat(void *context) {
    ls_lock *lock = context;
    pthread_mutex_lock(&lock->mutex);
    while (!lock->ended) {
        struct timespec next = after(lock->period);
        futimens(lock->descriptor, NULL);
        pthread_cond_timedwait(&lock->ends, &lock->mutex, &next);
    }
    pthread_mutex_unlock(&lock->mutex);
    return NULL;
}

/* A file that nobody touches for some periods was left behind.  One that was is watched: its times
 * may be those of another clock. */
static ls_status wait_for_silence(const ls_lock *lock) {
    char owner[OWNER_SIZE];
    read_owner(lock->descriptor, owner);
    struct timespec before = touched(lock), pause = {0, (long)(1e8 * lock->period)};
    if (owner[0] == '\0')
        return LS_OK;
    if (pause.tv_nsec >= 500000000)
        pause.tv_nsec = 500000000;
    for (double start = ls_seconds(); ls_seconds() - start < LS_LOCK_PERIODS * lock->period;) {
        struct timespec now = touched(lock);
        if (now.tv_sec != before.tv_sec || now.tv_nsec != before.tv_nsec)
            return refuse(lock);
        nanosleep(&pause, NULL);
    }
    return LS_OK;
}

static ls_status start_heart(ls_lock *lock) {
    pthread_mutex_init(&lock->mutex, NULL);
    pthread_cond_init(&lock->ends, NULL);
    if (pthread_create(&lock->heart, NULL, beat, lock) != 0)
        return ls_fail(LS_ERR_SYSTEM, "cannot start a thread that touches '%s'", lock->path);
    lock->beats = true;
    return LS_OK;
}

static void stop_heart(ls_lock *lock) {
    pthread_mutex_lock(&lock->mutex);
    lock->ended = true;
    pthread_cond_signal(&lock->ends);
    pthread_mutex_unlock(&lock->mutex);
    pthread_join(lock->heart, NULL);
    lock->beats = false;
}

/* ---- either --------------------------------------------------------------------------------- */

static ls_status take(ls_lock *lock, bool heartbeat) {
    LS_TRY(lock_file(lock, &heartbeat));
    if (heartbeat)
        LS_TRY(wait_for_silence(lock));
    LS_TRY(write_owner(lock));
    return heartbeat ? start_heart(lock) : LS_OK;
}

ls_status ls_lock_take_as(const char *folder, bool heartbeat, double period, ls_lock **lock) {
    ls_lock *made = NULL;
    LS_TRY(LS_NEW(made, 1));
    made->descriptor = -1;
    made->period = period;
    made->path = ls_format("%s/%s", folder, LS_LOCK_FILE);
    ls_status status = made->path ? take(made, heartbeat) : LS_ERR_SYSTEM;
    if (status == LS_OK) {
        *lock = made;
        return LS_OK;
    }
    if (made->descriptor >= 0)
        close(made->descriptor);
    ls_free(made->path);
    ls_free(made);
    return status;
}

ls_status ls_lock_take(const char *folder, ls_lock **lock) {
    return ls_lock_take_as(folder, false, PERIOD, lock);
}

void ls_lock_free(ls_lock *lock) {
    if (lock == NULL)
        return;
    if (lock->beats)
        stop_heart(lock);
    unlink(lock->path); /* before the lock ends: what is locked later is another file */
    close(lock->descriptor);
    ls_free(lock->path);
    ls_free(lock);
}
