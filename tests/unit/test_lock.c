/* The lock of a folder, both ways: who has it is named, and what a killed process left is no lock.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/lock.h"

#define PERIOD 0.05 /* s */

static char folder[] = "/tmp/lockstep-lock-XXXXXX";

static void enter(void) {
    cr_assert_not_null(mkdtemp(folder));
}

static void leave(void) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, LS_LOCK_FILE);
    unlink(path);
    cr_expect_eq(rmdir(folder), 0, "files left");
}

TestSuite(lock, .init = enter, .fini = leave);

/* A process that has the lock until it is killed. */
static pid_t hold(bool heartbeat) {
    int ready[2];
    char byte = 0;
    cr_assert_eq(pipe(ready), 0);
    pid_t process = fork();
    if (process == 0) {
        ls_lock *lock;
        bool taken = ls_lock_take_as(folder, heartbeat, PERIOD, &lock) == LS_OK;
        byte = taken;
        if (write(ready[1], &byte, 1) == 1)
            pause();
        _exit(0);
    }
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    cr_assert_eq(byte, 1);
    close(ready[0]);
    close(ready[1]);
    return process;
}

static void check(bool heartbeat) {
    ls_lock *lock;
    char who[64];
    pid_t process = hold(heartbeat);
    snprintf(who, sizeof who, "process %ld on ", (long)process);
    cr_expect_eq(ls_lock_take_as(folder, heartbeat, PERIOD, &lock), LS_ERR_INPUT);
    cr_expect_not_null(strstr(ls_message(), who), "%s", ls_message());
    ls_message_set("");
    kill(process, SIGKILL);
    waitpid(process, NULL, 0);
    cr_assert_eq(ls_lock_take_as(folder, heartbeat, PERIOD, &lock), LS_OK, "%s", ls_message());
    ls_lock_free(lock);
    cr_assert_eq(ls_lock_take_as(folder, heartbeat, PERIOD, &lock), LS_OK, "%s", ls_message());
    ls_lock_free(lock);
}

Test(lock, of_fcntl) {
    check(false);
}

Test(lock, by_heartbeat) {
    check(true);
}
