/* Whether the launcher that started this process fits the MPI that it is built with. */
#include <stdlib.h>

#include "comm/comm.h"

/* What launchers tell their processes of how many there are, or which one this is. */
static const struct {
    const char *name, *launcher;
    long least; /* a value from which there must be several */
} traces[] = {
    {"OMPI_COMM_WORLD_SIZE", "Open MPI's mpirun", 2},
    {"PMI_SIZE", "the launcher of an MPICH or Intel MPI", 2},
    {"MPI_LOCALNRANKS", "the launcher of an MPICH or Intel MPI", 2},
    {"SLURM_STEP_NUM_TASKS", "srun", 2},
    {"PMIX_RANK", "a launcher that speaks PMIx", 1},
};

ls_status ls_comm_check_launch(const ls_comm *comm) {
    for (size_t i = 0; i < sizeof traces / sizeof *traces && comm->size == 1; i++) {
        const char *value = getenv(traces[i].name);
        if (value && strtol(value, NULL, 10) >= traces[i].least)
            return ls_fail(LS_ERR_INPUT,
                           "%s started several processes (%s is %s), but MPI sees one: it does not "
                           "fit the MPI of this program, %s; use that one's mpirun, or srun with "
                           "the --mpi that it needs ('srun --mpi=list': pmix for Open MPI, pmi2 or "
                           "pmix for MPICH)",
                           traces[i].launcher, traces[i].name, value, ls_comm_library());
    }
    return LS_OK;
}
