/* system tests: what the commands leave behind: suggestions, pictures, information, and the
 * readable file of a run that was killed. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "system/command.h"

/* A run of a small network; its run file. */
static const char *small_run(void) {
    make_dataset(1000, 100);
    run_well("%s %s find-lr %s --quiet --out %s/out", mpirun(2), program(), make_config(),
             workspace());
    return text("%s/out/find-lr.h5", workspace());
}

Test(results, suggestions_of_run_file_and_csv_agree, .fini = workspace_remove) {
    const char *file = small_run();
    /* h5dump -y -w 1 -m: one value a line, all digits */
    run_well("cd %s/out && for s in lr loss; do h5dump -y -w 1 -m %%.17g -d /find_lr/$s -o $s.txt "
             "find-lr.h5 >$s.log || exit; tr -d ', ' <$s.txt | sed '/^$/d' >$s.column; done && "
             "{ echo lr,loss; paste -d, lr.column loss.column; } >curve.csv",
             workspace());
    const char *from_file = run_well("%s suggest --plain %s", program(), file);
    const char *from_csv =
        run_well("%s suggest --plain --beta 0.9 %s/out/curve.csv", program(), workspace());
    static const char *const names[] = {"minimum", "steep", "valley", "slide"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *in_file = strstr(from_file, names[i]), *in_csv = strstr(from_csv, names[i]);
        cr_assert_not_null(in_file, "no %s in: %s", names[i], from_file);
        cr_assert_not_null(in_csv, "no %s in: %s", names[i], from_csv);
        cr_expect_eq(strncmp(in_file, in_csv, strcspn(in_file, "\n") + 1), 0, "%s\nbut\n%s",
                     from_file, from_csv);
    }
    cr_expect_not_null(strstr(from_file, "recommended "));
}

static void begins_with(const char *path, const char *magic) {
    char start[16] = "";
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "no %s", path);
    cr_assert_gt(fread(start, 1, sizeof start - 1, file), 0);
    fclose(file);
    cr_expect_eq(strncmp(start, magic, strlen(magic)), 0, "%s begins with: %s", path, start);
}

Test(results, pictures, .fini = workspace_remove) {
    const char *file = small_run(), *folder = workspace();
    run_well("%s plot %s -o %s/a.svg", program(), file, folder);
    begins_with(text("%s/a.svg", folder), "<?xml");
    run_well("grep -q '</svg>' %s/a.svg", folder);
    run_well("%s plot %s -o %s/a.png", program(), file, folder);
    begins_with(text("%s/a.png", folder), "\x89PNG\r\n\x1a\n");
    run_well(
        "printf 'lr,loss\\n1e-5,nan\\n1e-4,2.3\\n1e-3,2.1\\n' >%s/nan.csv; %s plot %s/nan.csv -o "
        "%s/nan.svg",
        folder, program(), folder, folder);
    REFUSED(WORDS("a.jpeg", "svg", "png"), "%s plot %s -o %s/a.jpeg", program(), file, folder);
}

Test(results, information, .fini = workspace_remove) {
    const char *build = run_well("%s info --build", program());
    static const char *const parts[] = {"0.1.0", "MPI", "HDF5", "oneDNN", "-O"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        cr_expect_not_null(strstr(build, parts[i]), "no %s in: %s", parts[i], build);
    const char *data = make_dataset(200, 20);
    const char *page = run_well("%s info %s", program(), data);
    cr_expect_not_null(strstr(page, "uint8"), "no type in: %s", page);
    cr_expect_not_null(strstr(page, "200"), "no count in: %s", page);
}

Test(results, run_file_holds_what_was_asked, .fini = workspace_remove) {
    const char *file = small_run();
    const char *page = run_well("%s info %s", program(), file);
    static const char *const parts[] = {"loss", "smoothed_loss", "slice_loss", "stop_reason"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        cr_expect_not_null(strstr(page, parts[i]), "no %s in: %s", parts[i], page);
    run_well("h5dump -H %s | grep -q configuration", file);
}

/* One rank killed in mid-run: the other ends too, and the file keeps the points so far. */
Test(results, killed_run, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *config = make_config(), *folder = workspace();
    /* Each rank leaves its process id; rank 1 is killed once the file holds points. */
    outcome result = run(
        "cd_out=%s/out; points() { h5dump -y -d /find_lr/points $cd_out/find-lr.h5 2>/dev/null |"
        " grep -qE '^ +[1-9]'; }\n"
        "%s bash -c 'echo $$ >%s/pid-${OMPI_COMM_WORLD_RANK:-$PMI_RANK}; exec \"$@\"' - %s find-lr "
        "%s "
        "--quiet --out $cd_out --set find_lr.steps=1000000 --set find_lr.end=2e-4 & job=$!\n"
        "for i in $(seq 200); do sleep 0.1; points && break; done\n"
        "kill -KILL $(cat %s/pid-1); wait $job; echo \"ended with $?\"\n"
        "other=$(cat %s/pid-0)\n"
        "for i in $(seq 50); do\n"
        "  grep -qsE '\\) [^Z] ' /proc/$other/stat || break; sleep 0.1\n"
        "done\n"
        "grep -sE '\\) [^Z] ' /proc/$other/stat && echo survivor\n",
        folder, mpirun(2), folder, program(), config, folder, folder);
    cr_expect_not_null(strstr(result.output, "ended with "), "%s", result.output);
    cr_expect_null(strstr(result.output, "ended with 0"), "%s", result.output);
    cr_expect_null(strstr(result.output, "survivor"), "%s", result.output);
    const char *points = run_well("h5dump -y -d /find_lr/points %s/out/find-lr.h5", folder);
    const char *data = strstr(points, "DATA {");
    cr_assert_not_null(data, "%s", points);
    cr_expect_gt(atol(data + strlen("DATA {")), 0, "no points: %s", points);
    run_well("%s info %s/out/find-lr.h5", program(), folder);
    run_well("%s suggest %s/out/find-lr.h5", program(), folder);
}
