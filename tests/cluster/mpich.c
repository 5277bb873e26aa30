/* cluster tests: lockstep built with MPICH, in the folder `mpich` of the build, by its own
 * launcher: every program of tests/rank, and the bits that Open MPI gives. */
#include <criterion/criterion.h>
#include <glob.h>
#include <string.h>

#include "system/command.h"

static const char *mpich_program(void) {
    return text("%s/mpich/lockstep", build_folder());
}

Test(mpich, rank_programs) {
    glob_t found;
    cr_assert_eq(glob(text("%s/mpich/tests/rank/*[!.]", build_folder()), 0, NULL, &found), 0);
    cr_assert_gt(found.gl_pathc, 5);
    for (size_t i = 0; i < found.gl_pathc; i++)
        for (int ranks = 1; ranks <= 3; ranks++) /* it spins, on two cores */
            run_well("%s %s", mpirun(ranks), found.gl_pathv[i]);
    globfree(&found);
}

Test(mpich, same_bits, .fini = workspace_remove) {
    const char *folder = workspace(), *config = make_config();
    const char *options = "--quiet --set train.epochs=2 --set train.lr=0.05";
    make_dataset(1000, 100);
    cr_expect_not_null(strstr(run_well("%s info --build", mpich_program()), "MPICH"));
    run_well("%s %s train %s --out %s/open %s", mpirun(3), program(), config, folder, options);
    for (int ranks = 1; ranks <= 4; ranks++) {
        const char *out = text("%s/mpich-%d", folder, ranks);
        run_well("%s %s train %s --out %s %s", mpirun(ranks), mpich_program(), config, out,
                 options);
        cr_expect_str_eq(last_digest(out), last_digest(text("%s/open", folder)));
    }
    REFUSED(WORDS("--set seed=x"), "%s %s train %s --out %s/no --set seed=x", mpirun(3),
            mpich_program(), config, folder);
}

/* Started by the launcher of another MPI, each rank would be alone. */
Test(mpich, another_launcher, .fini = workspace_remove) {
    make_dataset(500, 50);
    outcome result = run("OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "
                         "mpirun.openmpi --oversubscribe -n 2 %s train %s --out %s/run",
                         mpich_program(), make_config(), workspace());
    cr_expect_eq(result.code, 2, "%d: %s", result.code, result.output);
    cr_expect_not_null(strstr(result.output, "MPICH"), "%s", result.output);
    cr_expect(!exists("%s/run", workspace()));
}
