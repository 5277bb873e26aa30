/* comm, for io and data only: the MPI communicator behind an ls_comm. */
#ifndef LOCKSTEP_COMM_MPI_H
#define LOCKSTEP_COMM_MPI_H

#include <mpi.h>

#include "lockstep/comm.h"

MPI_Comm ls_comm_world(const ls_comm *comm);

#endif
