/* base, inside: the two ways to lock a folder, for the tests. */
#ifndef LOCKSTEP_BASE_LOCK_H
#define LOCKSTEP_BASE_LOCK_H

#include "lockstep/base.h"

#define LS_LOCK_FILE ".lockstep.lock"

/* heartbeat: as where the file system has no locks.  The file is touched every `period` s; one that
 * is not for LS_LOCK_PERIODS of them was left by a process that is no more. */
enum { LS_LOCK_PERIODS = 6 };
ls_status ls_lock_take_as(const char *folder, bool heartbeat, double period, ls_lock **lock);

#endif
