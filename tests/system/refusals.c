/* system tests: what is wrong ends with one clear message, exit code 2, every rank gone and no
 * half-written output. */
#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "system/command.h"

/* ---- the command line ----------------------------------------------------------------------- */

Test(refusals, no_arguments) {
    outcome result = run("%s", program());
    cr_expect_eq(result.code, 2);
    cr_expect_not_null(strstr(result.output, "find-lr"), "no list of commands: %s", result.output);
}

Test(refusals, help_and_version) {
    const char *help = run_well("%s --help", program());
    cr_expect_str_eq(help, run_well("%s help", program()));
    cr_expect_not_null(strstr(run_well("%s find-lr --help", program()), "--out"));
    cr_expect_not_null(strstr(run_well("%s --version", program()), "lockstep "));
    cr_expect_not_null(strstr(run_well("%s help config", program()), "batch.slices"));
}

Test(refusals, unknown_command) {
    REFUSED(WORDS("'find-rl'", "'find-lr'"), "%s find-rl", program());
    REFUSED(WORDS("'xyzzy'"), "%s xyzzy", program());
}

Test(refusals, unknown_option) {
    REFUSED(WORDS("--plane", "--plain"), "%s suggest --plane x.h5", program());
    REFUSED(WORDS("--oot", "--out"), "%s find-lr x.yaml --oot x", program());
}

Test(refusals, missing_operand) {
    REFUSED(WORDS("find-lr"), "%s find-lr", program());
    REFUSED(WORDS("suggest"), "%s suggest", program());
    REFUSED(WORDS("info"), "%s info", program());
}

/* ---- the configuration, alone and under mpirun ---------------------------------------------- */

/* Refused with and without mpirun, and nothing is written. */
static void find_lr_refused(const char *const *words, const char *arguments) {
    const char *out = text("%s/out", workspace());
    run_refused(words, "%s find-lr %s --out %s", program(), arguments, out);
    run_refused(words, "%s %s find-lr %s --out %s", mpirun(2), program(), arguments, out);
    cr_expect_not(exists("%s/*", out), "output left behind for: %s", arguments);
}
#define FIND_LR_REFUSED(words, ...)                                                                \
    find_lr_refused((const char *const[]){words, NULL}, text(__VA_ARGS__))

Test(refusals, missing_configuration, .fini = workspace_remove) {
    FIND_LR_REFUSED(WORDS("none.yaml"), "%s/none.yaml", workspace());
}

Test(refusals, unknown_key, .fini = workspace_remove) {
    const char *path =
        write_file("a.yaml", "seed: 1\nbatch:\n  size: 8\n  slizes: 2\n"
                             "data: {file: a.h5}\nmodel: {layers: [dense: {units: 2}]}\n");
    FIND_LR_REFUSED(WORDS("a.yaml:4:3", "slizes", "slices"), "%s", path);
}

Test(refusals, wrong_type, .fini = workspace_remove) {
    const char *path =
        write_file("a.yaml", "seed: 1\nbatch: {size: many}\n"
                             "data: {file: a.h5}\nmodel: {layers: [dense: {units: 2}]}\n");
    FIND_LR_REFUSED(WORDS("a.yaml:2:15", "batch.size", "many"), "%s", path);
}

Test(refusals, not_yaml, .fini = workspace_remove) {
    FIND_LR_REFUSED(WORDS("a.yaml:2:8", "YAML"), "%s", write_file("a.yaml", "seed: 1\nbatch: ]\n"));
}

Test(refusals, bad_set, .fini = workspace_remove) {
    make_dataset(200, 20);
    FIND_LR_REFUSED(WORDS("batch.sice", "batch.size"), "%s --set batch.sice=3", make_config());
    FIND_LR_REFUSED(WORDS("find_lr.beta"), "%s --set find_lr.beta=2", make_config());
}

Test(refusals, more_ranks_than_slices, .fini = workspace_remove) {
    make_dataset(200, 20);
    const char *out = text("%s/out", workspace());
    REFUSED(WORDS("3", "2"), "%s %s find-lr %s --set batch.slices=2 --out %s", mpirun(3), program(),
            make_config(), out);
    cr_expect_not(exists("%s/*", out));
}

Test(refusals, layer_that_does_not_fit, .fini = workspace_remove) {
    make_dataset(200, 20);
    const char *path = write_file("a.yaml", text("data: {file: %s/data.h5}\nmodel:\n  layers:\n"
                                                 "    - conv: {filters: 2, kernel: 40}\n"
                                                 "    - dense: {units: 10}\n",
                                                 workspace()));
    FIND_LR_REFUSED(WORDS("conv", "28", "40"), "%s", path);
}

Test(refusals, unwritable_folder, .fini = workspace_remove) {
    make_dataset(200, 20);
    write_file("file", "in the way\n");
    REFUSED(WORDS("file"), "%s %s find-lr %s --out %s/file/out", mpirun(2), program(),
            make_config(), workspace());
    if (geteuid() == 0) /* whom no permission stops */
        return;
    run_well("mkdir %s/locked && chmod a-w %s/locked", workspace(), workspace());
    REFUSED(WORDS("locked"), "%s %s find-lr %s --out %s/locked", mpirun(2), program(),
            make_config(), workspace());
}

/* ---- data ----------------------------------------------------------------------------------- */

Test(refusals, missing_data, .fini = workspace_remove) {
    FIND_LR_REFUSED(WORDS("data.h5"), "%s", make_config());
}

Test(refusals, truncated_data, .fini = workspace_remove) {
    const char *data = make_dataset(2000, 20);
    run_well("truncate -s -300000 %s", data);
    FIND_LR_REFUSED(WORDS("data.h5"), "%s", make_config());
}

Test(refusals, damaged_data, .fini = workspace_remove) {
    const char *data = make_dataset(2000, 20);
    /* In the middle of the file lie samples: the checksum must notice. */
    run_well("printf '\\x55\\xaa\\x55\\xaa' | dd of=%s bs=1 seek=$(($(stat -c %%s %s) / 2)) "
             "conv=notrunc status=none",
             data, data);
    FIND_LR_REFUSED(WORDS("data.h5"), "%s", make_config());
}

Test(refusals, data_that_is_not_hdf5, .fini = workspace_remove) {
    write_file("data.h5", "not HDF5\n");
    FIND_LR_REFUSED(WORDS("data.h5", "HDF5"), "%s", make_config());
}

Test(refusals, missing_dataset, .fini = workspace_remove) {
    make_dataset(200, 20);
    FIND_LR_REFUSED(WORDS("train/input", "train/inputs"), "%s --set data.train_inputs=train/input",
                    make_config());
}

Test(refusals, inputs_without_their_targets, .fini = workspace_remove) {
    make_dataset(200, 20);
    FIND_LR_REFUSED(WORDS("200", "20"), "%s --set data.train_targets=test/targets", make_config());
}

Test(refusals, fewer_outputs_than_classes, .fini = workspace_remove) {
    make_dataset(200, 20);
    const char *path = write_file("a.yaml", text("data: {file: %s/data.h5}\nmodel:\n  layers:\n"
                                                 "    - dense: {units: 7}\n",
                                                 workspace()));
    FIND_LR_REFUSED(WORDS("7"), "%s", path);
}

/* ---- conversion ----------------------------------------------------------------------------- */

static const char *convert(const char *images, const char *labels) {
    return text("%s convert --train-inputs %s/%s --train-targets %s/%s -o %s/new.h5", program(),
                workspace(), images, workspace(), labels, workspace());
}

Test(refusals, truncated_idx, .fini = workspace_remove) {
    make_idx("a", "train", 100);
    run_well("truncate -s -1 %s/a-images", workspace());
    REFUSED(WORDS("a-images"), "%s", convert("a-images", "a-labels"));
    cr_expect_not(exists("%s/new.h5*", workspace()));
    cr_expect_not(exists("%s/.new.h5*", workspace()));
}

Test(refusals, truncated_gzip, .fini = workspace_remove) {
    make_idx("a", "train", 100);
    run_well("cd %s && gzip a-images && truncate -s -40 a-images.gz", workspace());
    REFUSED(WORDS("a-images.gz"), "%s", convert("a-images.gz", "a-labels"));
    cr_expect_not(exists("%s/new.h5*", workspace()));
}

Test(refusals, idx_counts_that_differ, .fini = workspace_remove) {
    make_idx("a", "train", 100);
    make_idx("b", "train", 99);
    REFUSED(WORDS("100", "99"), "%s", convert("a-images", "b-labels"));
    cr_expect_not(exists("%s/new.h5*", workspace()));
}

Test(refusals, conversion_of_a_missing_file, .fini = workspace_remove) {
    REFUSED(WORDS("a-images"), "%s", convert("a-images", "a-labels"));
}

/* ---- files of ours -------------------------------------------------------------------------- */

Test(refusals, reading_what_is_no_run_file, .fini = workspace_remove) {
    const char *path = write_file("a.h5", "not HDF5\n");
    REFUSED(WORDS("a.h5"), "%s suggest %s", program(), path);
    REFUSED(WORDS("a.h5"), "%s plot %s -o %s/a.svg", program(), path, workspace());
    REFUSED(WORDS("a.h5"), "%s info %s", program(), path);
    REFUSED(WORDS("none.h5"), "%s info --digest %s/none.h5", program(), workspace());
    cr_expect_not(exists("%s/a.svg*", workspace()));
}

Test(refusals, csv_without_its_columns, .fini = workspace_remove) {
    REFUSED(WORDS("a.csv", "loss"), "%s suggest %s", program(),
            write_file("a.csv", "lr,lost\n1e-3,2\n"));
    REFUSED(WORDS("b.csv:3"), "%s suggest %s", program(),
            write_file("b.csv", "lr,loss\n1e-3,2\n2e-3,two\n"));
}

/* ---- the build and the launcher ------------------------------------------------------------- */

Test(refusals, a_onednn_of_other_threads, .fini = workspace_remove) {
    run_well("mkdir -p %s/include/oneapi/dnnl && sed 's/RUNTIME_OMP$/RUNTIME_TBB/' "
             "/usr/include/oneapi/dnnl/dnnl_config.h "
             ">%s/include/oneapi/dnnl/dnnl_config.h",
             workspace(), workspace());
    outcome result =
        run("DNNL_ROOT=%s scripts/find-libraries %s/libraries.mk", workspace(), workspace());
    cr_expect_neq(result.code, 0);
    cr_expect_not_null(strstr(result.output, "CPU runtime is OMP or SEQ"), "%s", result.output);
    run_well("scripts/find-libraries %s/libraries.mk", workspace());
}

/* What another MPI's launcher, or srun with the wrong plugin, makes of a program: processes that
 * are each alone. */
Test(refusals, a_launcher_that_does_not_fit, .fini = workspace_remove) {
    static const char *const traces[] = {"SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=0",
                                         "PMI_SIZE=2 PMI_RANK=0", "MPI_LOCALNRANKS=4"};
    make_dataset(200, 20);
    const char *command = text("%s train %s --set train.epochs=1 --out %s/out", program(),
                               make_config(), workspace());
    for (size_t i = 0; i < sizeof traces / sizeof *traces; i++)
        REFUSED(WORDS("several processes", "MPI sees one"), "env %s %s", traces[i], command);
    outcome other = run("env SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=1 %s", command);
    cr_expect(other.code == 2 && strstr(other.output, "lockstep: ") == NULL, "%s", other.output);
    cr_expect_not(exists("%s/out", workspace()));
    run_well("env SLURM_STEP_NUM_TASKS=1 SLURM_PROCID=0 SLURM_NTASKS=2 %s", command);
}

/* Ranks that were told different things would train different models. */
Test(refusals, ranks_that_differ, .fini = workspace_remove) {
    make_dataset(300, 50);
    const char *config = make_config(), *out = text("%s/no", workspace());
    REFUSED(WORDS("the command differs between ranks", "train.lr=0.1' on rank 0",
                  "train.lr=0.2' on rank 1"),
            "%s %s train %s --out %s --set train.lr=0.1 : -n 1 %s train %s --out %s "
            "--set train.lr=0.2",
            mpirun(1), program(), config, out, program(), config, out);
    REFUSED(WORDS("the command differs between ranks", "find-lr"),
            "%s %s train %s --out %s : -n 1 %s find-lr %s --out %s", mpirun(1), program(), config,
            out, program(), config, out);
    cr_expect(!exists("%s", out));
}
