/* system tests: data as people have it. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "system/command.h"

/* Columns that float32 would round away become float64; all others stay float32. */
Test(data, csv_of_double_precision, .fini = workspace_remove) {
    const char *csv = write_file("a.csv", "time,x,y\n1700000000000,1,-291230.025\n"
                                          "1700000000010,2,-291229.975\n"
                                          "1700000000005,9,-291230.0125\n");
    const char *said =
        run_well("%s convert --train-inputs %s -o %s/a.h5", program(), csv, workspace());
    cr_expect_not_null(strstr(said, "train/inputs   float64"), "%s", said);
    cr_expect_not_null(strstr(said, "train/targets  float64"), "%s", said);
    const char *value = h5_number("-d /train/targets -s 2 -c 1", text("%s/a.h5", workspace()));
    cr_expect_eq(atof(value), -291230.0125, "%s", value);
    csv = write_file("b.csv", "x,y\n1000000,326.5\n1000300,18823\n16777217,400\n");
    said = run_well("%s convert --train-inputs %s -o %s/b.h5", program(), csv, workspace());
    cr_expect_null(strstr(said, "float64"), "%s", said);
}

/* ---- a model and other data ----------------------------------------------------------------- */

/* Runs a script on the workspace's data.h5, open as f, with numpy as np. */
static void change_data(const char *python, const char *script) {
    run_well("cd %s && %s -c 'import h5py, numpy as np\nf = h5py.File(\"data.h5\", \"r+\")\n%s'",
             workspace(), python, script);
}

/* Evaluation needs the test split alone, prediction not even its targets. */
Test(data, a_checkpoint_is_enough, .fini = workspace_remove) {
    const char *python = python_with("h5py");
    if (!python)
        skip_test("no h5py");
    make_dataset(500, 60);
    const char *folder = workspace(), *model = text("%s/run/best.h5", folder);
    run_well("%s train %s --quiet --out %s/run --set train.epochs=2", program(), make_config(),
             folder);
    const char *whole = run_well("%s eval %s", program(), model);
    run_well("%s predict %s -o %s/whole.h5", program(), model, folder);
    change_data(python, "del f[\"train\"]");
    cr_expect_str_eq(run_well("%s %s eval %s", mpirun(3), program(), model), whole);
    change_data(python, "del f[\"test/targets\"]");
    run_well("%s %s predict %s -o %s/alone.h5", mpirun(2), program(), model, folder);
    cr_expect_str_eq(digest_of(text("%s/alone.h5", folder)),
                     digest_of(text("%s/whole.h5", folder)));
    REFUSED(WORDS("test/targets"), "%s eval %s", program(), model);
    change_data(python, "x = f[\"test/inputs\"][:, :, :20]\ndel f[\"test/inputs\"]\n"
                        "f[\"test/inputs\"] = x");
    REFUSED(WORDS("test/inputs", "differ in shape"), "%s predict %s -o %s/no.h5", program(), model,
            folder);
}

/* A test split without the highest class; labels from 1; a network with more outputs than classes.
 */
Test(data, classes_that_are_not_there, .fini = workspace_remove) {
    const char *python = python_with("h5py");
    if (!python)
        skip_test("no h5py");
    make_dataset(500, 60);
    const char *folder = workspace(), *config = make_config();
    change_data(python, "t = f[\"test/targets\"]\nt[...] = np.minimum(t[...], 8)");
    run_well("%s train %s --quiet --out %s/high --set train.epochs=1", program(), config, folder);
    change_data(python, "t = f[\"train/targets\"]\nt[...] = np.minimum(t[...], 7) + 1\n"
                        "t = f[\"test/targets\"]\nt[...] = np.minimum(t[...], 7) + 1");
    const char *said =
        run_well("%s train %s --out %s/low --set train.epochs=1 2>&1", program(), config, folder);
    cr_expect_not_null(strstr(said, "no training sample is of class 0"), "%s", said);
    cr_expect_not_null(strstr(said, "the last layer has 10 outputs"), "%s", said);
    cr_expect_not_null(strstr(said, "500 training samples of shape (1, 28, 28)"), "%s", said);
    run_well("%s eval %s/low/best.h5", program(), folder);
    change_data(python, "f[\"test/targets\"][3] = 12");
    REFUSED(WORDS("test/targets", "sample 3", "class 12"), "%s eval %s/low/best.h5", program(),
            folder);
}

Test(data, axes_in_other_places, .fini = workspace_remove) {
    const char *python = python_with("h5py");
    if (!python)
        skip_test("no h5py");
    make_dataset(200, 20);
    const char *folder = workspace();
    const char *config =
        write_file("flat.yaml", text("data: {file: %s/data.h5}\n"
                                     "model: {layers: [flatten, dense: {units: 10}]}\n",
                                     folder));
    change_data(python, "for s in (\"train\", \"test\"):\n x = f[s + \"/inputs\"][:, 0]\n"
                        " del f[s + \"/inputs\"]\n f[s + \"/inputs\"] = x");
    const char *said =
        run_well("%s train %s --out %s/a --set train.epochs=1 2>&1", program(), config, folder);
    cr_expect_not_null(strstr(said, "28 channels of length 28"), "%s", said);
    change_data(python,
                "for s in (\"train\", \"test\"):\n x = f[s + \"/inputs\"][:][:, :, :, None]\n"
                " del f[s + \"/inputs\"]\n f[s + \"/inputs\"] = x");
    said = run_well("%s train %s --out %s/b --set train.epochs=1 2>&1", program(), config, folder);
    cr_expect_not_null(strstr(said, "28 channels of 28 x 1; data.layout: channels_last"), "%s",
                       said);
    change_data(python, "t = np.eye(10, dtype=\"u1\")[f[\"train/targets\"]]\n"
                        "del f[\"train/targets\"]\nf[\"train/targets\"] = t");
    REFUSED(WORDS("train/targets", "one-hot", "argmax"), "%s train %s --out %s/c", program(),
            config, folder);
}

/* ---- types and places of other programs ----------------------------------------------------- */

/* A small dataset of h5py: 60 and 20 samples of 4 values, classes 0 and 1. */
static const char *small_dataset(const char *python) {
    run_well("cd %s && %s -c 'import h5py, numpy as np\nf = h5py.File(\"data.h5\", \"w\")\n"
             "for s, n in ((\"train\", 60), (\"test\", 20)):\n"
             " x = np.sin(np.arange(4 * n)).reshape(n, 4).astype(\"f4\")\n"
             " f[s + \"/inputs\"] = x\n f[s + \"/targets\"] = (x[:, 0] > 0).astype(\"u1\")'",
             workspace(), python);
    return write_file("small.yaml", text("data: {file: %s/data.h5}\nbatch: {size: 20}\n"
                                         "model: {layers: [dense: {units: 2}]}\n",
                                         workspace()));
}

static const char *trained_on(int ranks, const char *config, const char *name) {
    run_well("%s %s train %s --quiet --out %s/%s --set train.epochs=1 --set train.lr=0.1",
             mpirun(ranks), program(), config, workspace(), name);
    return digest_of(text("%s/%s/checkpoint-3.h5", workspace(), name));
}

/* numpy's booleans are an enumeration, those of PyTables a bit field: both are class numbers. */
Test(data, booleans, .fini = workspace_remove) {
    const char *python = python_with("h5py");
    if (!python)
        skip_test("no h5py");
    const char *config = small_dataset(python), *numbers = trained_on(1, config, "numbers");
    change_data(python, "for s in (\"train\", \"test\"):\n y = f[s + \"/targets\"][:]\n"
                        " del f[s + \"/targets\"]\n f[s + \"/targets\"] = y > 0");
    cr_expect_str_eq(trained_on(2, config, "booleans"), numbers);
    change_data(python, "B = h5py.h5t.NATIVE_B8\nfor s in (\"train\", \"test\"):\n"
                        " y = f[s + \"/targets\"][:].astype(\"u1\")\n del f[s + \"/targets\"]\n"
                        " n = h5py.h5s.create_simple(y.shape)\n"
                        " h5py.h5d.create(f[s].id, b\"targets\", B, n).write(n, n, y, B)");
    cr_expect_str_eq(trained_on(1, config, "bits"), numbers);
}

/* Values in another file: read where they are there, and never waited for or made up. */
Test(data, values_in_other_files, .fini = workspace_remove) {
    static const char virtual_dataset[] =
        "def virtual(file, name = \"train/targets\", n = 60, m = 60):\n"
        " v = h5py.VirtualLayout((60,), \"u1\")\n v[:m] = h5py.VirtualSource(file, name, "
        "(n,))[:m]\n"
        " del f[\"train/targets\"]\n f.create_virtual_dataset(\"train/targets\", v)\n";
    static const struct {
        const char *script, *words[3];
    } refused[] = {
        {"virtual(\"no.h5\")", {"virtual dataset", "no.h5", "not there"}},
        {"virtual(\"fifo\")", {"virtual dataset", "fifo", "not a regular file"}},
        {"virtual(\"whole.h5\", \"train/none\")", {"virtual dataset", "train/none", "opened"}},
        {"virtual(\"whole.h5\", \"test/targets\")", {"virtual dataset", "not all the values"}},
        {"virtual(\"whole.h5\", m = 50)", {"virtual dataset", "10 of its values"}},
        {"virtual(\"linked.h5\")", {"virtual dataset", "linked.h5", "cannot be opened"}},
        {"virtual(\".\")", {"virtual dataset", "itself has its values elsewhere"}},
        {"link(h5py.ExternalLink(\"fifo\", \"train/targets\"))", {"link", "fifo", "opened"}},
        {"link(h5py.ExternalLink(\"no.h5\", \"train/targets\"))", {"link", "no.h5", "opened"}},
        {"link(h5py.SoftLink(\"/train/targets\"))", {"link", "cannot be opened"}},
        {"del f[\"train/targets\"]\n"
         "f.create_dataset(\"train/targets\", (60,), \"u1\", external=[(\"fifo\", 0, 60)])",
         {"raw file", "h5repack"}},
    };
    const char *python = python_with("h5py");
    if (!python)
        skip_test("no h5py");
    const char *config = small_dataset(python), *whole = trained_on(1, config, "whole");
    const char *prelude =
        text("%sdef link(to):\n del f[\"train/targets\"]\n f[\"train/targets\"] = to\n",
             virtual_dataset);
    run_well("cd %s && mkfifo fifo && cp data.h5 whole.h5", workspace());
    change_data(python,
                text("%slink(h5py.ExternalLink(\"whole.h5\", \"train/targets\"))", prelude));
    cr_expect_str_eq(trained_on(2, config, "linked"), whole);
    change_data(python, text("%svirtual(\"whole.h5\")", prelude));
    cr_expect_str_eq(trained_on(2, config, "virtual"), whole);
    change_data(python, text("%slink(h5py.ExternalLink(\"fifo\", \"train/targets\"))", prelude));
    run_well("cd %s && mv data.h5 linked.h5", workspace());
    const char *script = text("%s", prelude);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        run_well("cd %s && cp whole.h5 case-%zu.h5", workspace(), i);
        script = text("%s\nf.close()\nf = h5py.File(\"case-%zu.h5\", \"r+\")\n%s", script, i,
                      refused[i].script);
    }
    run_well("cd %s && cp whole.h5 data.h5", workspace());
    change_data(python, script);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        const char *const *words = refused[i].words;
        REFUSED(WORDS("train/targets", words[0], words[1], words[2]),
                "%s %s train %s --out %s/no --set data.file=%s/case-%zu.h5",
                i % 4 == 1 ? mpirun(2) : "", program(), config, workspace(), workspace(), i);
    }
}

/* What has no numbers, or none that can be read here, is told with the way out. */
Test(data, strings_and_filters, .fini = workspace_remove) {
    const char *python = python_with("h5py");
    if (!python)
        skip_test("no h5py");
    const char *config = small_dataset(python), *folder = workspace();
    change_data(python, "y = f[\"train/targets\"][:]\ndel f[\"train/targets\"]\n"
                        "f.create_dataset(\"train/targets\", data=0 * y, compression=\"lzf\")");
    REFUSED(WORDS("train/targets", "filter 32000, lzf", "h5repack", "HDF5_PLUGIN_PATH"),
            "%s train %s --out %s/no", program(), config, folder);
    change_data(python, "del f[\"train/targets\"]\nf[\"train/targets\"] = [\"cat\", \"dog\"] * 30");
    REFUSED(WORDS("train/targets", "string", "numpy.unique", "class_names"),
            "%s train %s --out %s/no", program(), config, folder);
}
