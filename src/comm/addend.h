/* comm, inside: what an exchange adds. */
#ifndef LOCKSTEP_COMM_ADDEND_H
#define LOCKSTEP_COMM_ADDEND_H

#include "lockstep/comm.h"
#include "lockstep/mpi.h"

/* out = a + b; out may be a or b. */
void ls_addends_add(ls_addend addend, size_t count, const void *a, const void *b, void *out);
MPI_Datatype ls_addend_type(ls_addend addend);

#endif
