/* Signals, caught where they do no harm. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "lockstep/base.h"

ls_status ls_signal_catch(int number, void (*handler)(int number)) {
    static char memory[64 * 1024]; /* registers alone take up to 12 KiB */
    stack_t stack = {.ss_sp = memory, .ss_size = sizeof memory};
    struct sigaction action = {.sa_handler = handler,
                               .sa_flags = (int)(SA_ONSTACK | SA_RESETHAND | SA_RESTART)};
    if (sigaltstack(&stack, NULL) != 0 || sigaction(number, &action, NULL) != 0)
        return ls_fail(LS_ERR_SYSTEM, "cannot catch signal %d: %s", number, strerror(errno));
    return LS_OK;
}
