/* Signals, caught where they do no harm. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "lockstep/base.h"

static struct {
    void (*handler)(int number);
    double patience, taken; /* s; when, 0: not yet */
} caught[NSIG];

/* clock_gettime, which ls_seconds asks, is safe in a handler. */
static void take(int number) {
    double now = ls_seconds();
    if (caught[number].taken == 0) {
        caught[number].taken = now;
        caught[number].handler(number);
    } else if (now - caught[number].taken > caught[number].patience) {
        signal(number, SIG_DFL);
        raise(number); /* comes when this handler returns */
    }
}

ls_status ls_signal_catch(int number, double patience, void (*handler)(int number)) {
    static char memory[64 * 1024]; /* registers alone take up to 12 KiB */
    stack_t stack = {.ss_sp = memory, .ss_size = sizeof memory};
    struct sigaction action = {.sa_handler = take, .sa_flags = SA_ONSTACK | SA_RESTART};
    LS_REQUIRE(number > 0 && number < NSIG);
    caught[number].handler = handler;
    caught[number].patience = patience;
    caught[number].taken = 0;
    if (sigaltstack(&stack, NULL) != 0 || sigaction(number, &action, NULL) != 0)
        return ls_fail(LS_ERR_SYSTEM, "cannot catch signal %d: %s", number, strerror(errno));
    return LS_OK;
}
