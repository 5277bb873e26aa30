/* system tests: the exchange of a step on hosts that SimGrid simulates: the same sums on any
 * number. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "system/command.h"
#include "system/json.h"

static const char network[] = "layer conv1 other 144 0 0.0005 0.001\n"
                              "layer norm1 other 32 32 0.0002 0.0004\n"
                              "layer dense1 dense 90000 0 0.0001 0.0002\n"
                              "update 0.0003\n";

/* What rank 0 prints of steps over 16 slices. */
static const char *simulate(int hosts, const char *steps) {
    return run_well("cd %s && seq -f n%%g 0 15 >hosts && smpirun -np %d -hostfile hosts -platform "
                    "\"$OLDPWD/scripts/simulate/fat-tree.xml\" "
                    "--cfg=smpi/simulate-computation:no --cfg=smpi/host-speed:1Gf "
                    "--cfg=smpi/test:1e-6 --log=root.thres:error \"%s\" network.txt 16 %s",
                    workspace(), hosts, text("$OLDPWD/%s/tests/simulated", build_folder()), steps);
}

Test(simulate, same_sums, .fini = workspace_remove) {
    if (run("command -v smpirun && ls %s/tests/simulated", build_folder()).code != 0)
        skip_test("no SimGrid");
    FILE *file = fopen(text("%s/network.txt", workspace()), "w");
    fputs(network, file);
    fclose(file);
    const char *one = simulate(1, "2 numbers"), *sums = json_string(one, "digest");
    cr_expect_float_eq(json_number(one, "phases.forward"), 16 * 0.0008, 1e-3);
    for (int hosts = 2; hosts <= 16; hosts *= 2) {
        const char *said = simulate(hosts, "2 numbers");
        cr_expect_eq(json_number(said, "nodes"), hosts);
        cr_expect_str_eq(json_string(said, "digest"), sums, "%d hosts: %s", hosts, said);
        cr_expect_lt(json_number(said, "step_seconds"),
                     json_number(one, "step_seconds") / hosts + 1e-3);
    }
    /* A single step without numbers, which large studies take, is as long. */
    cr_expect_float_eq(json_number(simulate(16, "1"), "step_seconds"),
                       json_number(simulate(16, "2 numbers"), "step_seconds"), 2e-4);
}
