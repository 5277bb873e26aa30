/* system tests: every program of tests/rank at 1, 2, 3 and 4 ranks; what it prints as "bits: ..."
 * is the same at any number. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>

#include "system/command.h"

#define MAX_CASES 64
#define MOST_RANKS 4
#define MOST_RANKS_OF_BITS 5
#define SPINNING_RANKS 3 /* of as many on two cores none gets on */

typedef struct rank_case {
    char program[240];
} rank_case;

static void free_cases(struct criterion_test_params *params) {
    cr_free(params->params);
}

ParameterizedTestParameters(ranks, program) {
    glob_t found = {0};
    glob(text("%s/tests/rank/*[!.]", build_folder()), 0, NULL, &found);
    rank_case *cases = cr_calloc(MAX_CASES, sizeof *cases);
    size_t count = 0;
    for (; count < found.gl_pathc && count < MAX_CASES; count++)
        snprintf(cases[count].program, sizeof cases[count].program, "%s", found.gl_pathv[count]);
    globfree(&found);
    return cr_make_param_array(rank_case, cases, count, free_cases);
}

static bool ranks_spin(void) {
    return strstr(run_well("%s info --build", program()), "MPICH") != NULL;
}

/* The lines "bits: ..." of what a program prints. */
static const char *bits_of(const char *file, int ranks) {
    const char *bits = "";
    char *rest = text("%s", run_well("%s %s", mpirun(ranks), file));
    for (char *line; (line = strsep(&rest, "\n"));)
        if (strncmp(line, "bits:", 5) == 0)
            bits = text("%s%s\n", bits, line);
    return bits;
}

ParameterizedTest(rank_case *it, ranks, program) {
    const char *one = bits_of(it->program, 1);
    int most = ranks_spin() ? SPINNING_RANKS : *one ? MOST_RANKS_OF_BITS : MOST_RANKS;
    for (int ranks = 2; ranks <= most; ranks++)
        cr_expect_str_eq(bits_of(it->program, ranks), one, "%s, %d ranks", it->program, ranks);
}

/* Its kernels are others than those of the instruction set that this machine would choose. */
Test(ranks, golden_with_avx2) {
    static const char *const networks[] = {"lenet", "resnet", "conv3d"};
    const char *golden = text("%s/tests/rank/golden", build_folder());
    if (!strstr(run_well("cat /proc/cpuinfo"), "avx2"))
        skip_test("no AVX2");
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++)
        run_well("%s %s tests/golden %s avx2", mpirun(2), golden, networks[i]);
}

/* More ranks than the programs above are run with. */
Test(ranks, adamw_and_lars) {
    const char *file = text("%s/tests/rank/engine optimizers", build_folder());
    if (ranks_spin())
        skip_test("MPICH's ranks spin while they wait");
    const char *one = bits_of(file, 1);
    cr_expect_not_null(strstr(one, "optimizer=lars"), "%s", one);
    for (int ranks = 7; ranks <= 8; ranks++)
        cr_expect_str_eq(bits_of(file, ranks), one, "%d ranks", ranks);
}

/* Killed while it adds to what it shares with the others of its node, which wait for it. */
Test(ranks, killed_while_it_adds) {
    outcome result = run("%s %s/tests/rank/exchange die", mpirun(3), build_folder());
    cr_expect_neq(result.code, 0);
    cr_expect_not_null(strstr(result.output, "signal 9"), "%s", result.output);
}
