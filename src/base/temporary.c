/* The temporary file that goes with a process which a signal ends. */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lockstep/base.h"

static char name[PATH_MAX];
static volatile sig_atomic_t is_set;

void ls_temporary_set(const char *path) {
    is_set = 0;
    if (path == NULL || strlen(path) >= sizeof name)
        return;
    strcpy(name, path);
    is_set = 1;
}

static void remove_and_end(int number) {
    if (is_set)
        unlink(name);
    signal(number, SIG_DFL);
    raise(number); /* comes when this handler returns */
}

void ls_temporary_catch_signals(void) {
    static const int numbers[] = {SIGHUP, SIGINT, SIGTERM};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (signal(numbers[i], remove_and_end) == SIG_IGN)
            signal(numbers[i], SIG_IGN); /* as nohup wants it */
}
