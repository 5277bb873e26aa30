/* Rank tests: a check that ends all ranks when it fails. */
#ifndef LOCKSTEP_TESTS_RANK_CHECK_H
#define LOCKSTEP_TESTS_RANK_CHECK_H

#include <stdio.h>

#include "lockstep/comm.h"

#define CHECK(comm, condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: rank %d of %d: %s\n", __FILE__, __LINE__, ls_comm_rank(comm),  \
                    ls_comm_size(comm), #condition);                                               \
            ls_comm_abort(comm, LS_ERR_BUG);                                                       \
        }                                                                                          \
    } while (0)

#endif
