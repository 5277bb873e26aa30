/* comm: an ls_comm made of the caller's MPI communicator.  The only header that includes mpi.h.
 *
 * lockstep neither starts MPI nor ends it.  It calls MPI from the thread that calls lockstep alone:
 * MPI_THREAD_FUNNELED is what its own threads (compute.threads, ls_comm_watch) need. */
#ifndef LOCKSTEP_MPI_H
#define LOCKSTEP_MPI_H

#include <mpi.h>

#include "lockstep/lockstep.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Collective over `mpi`, an intracommunicator, which stays the caller's: duplicates it, with
 * MPI_ERRORS_RETURN, and finds the ranks of each node.  LS_ERR_INPUT before MPI_Init.  Free with
 * ls_comm_free before MPI_Finalize. */
LS_API ls_status ls_comm_create(MPI_Comm mpi, ls_comm **comm);
/* The same of a Fortran handle. */
LS_API ls_status ls_comm_create_fortran(MPI_Fint mpi, ls_comm **comm);

#ifdef __cplusplus
}
#endif
#endif
