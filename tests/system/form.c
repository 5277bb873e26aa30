/* system tests: how the inputs of files become samples. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "system/command.h"

/* FILE.h5 in the workspace: images of three channels, as numpy's script wants them stored: x is
 * (N, 3, 12, 10), `store(split, x)` writes it. */
static const char *colours(const char *python, const char *file, const char *store) {
    run_well("cd %s && %s -c 'import h5py, numpy as np\n"
             "g = h5py.File(\"%s.h5\", \"w\")\n%s\n"
             "for split, n in ((\"train\", 500), (\"test\", 90)):\n"
             " r = np.random.default_rng(n)\n"
             " y = r.integers(0, 4, n)\n"
             " x = r.integers(0, 100, (n, 3, 12, 10)).astype(\"i2\")\n"
             " x[:, 1] += (20 * y.astype(\"i2\"))[:, None, None]\n"
             " store(split + \"/inputs\", x)\n"
             " g[split + \"/targets\"] = y\n'",
             workspace(), python, file, store);
    return text("%s/%s.h5", workspace(), file);
}

static const char *colour_config(const char *file) {
    return write_file("colour.yaml",
                      text("data: {file: %s}\nbatch: {size: 64, slices: 4}\n"
                           "augment: {crop_padding: 2, flip: true, cutout: 3}\n"
                           "train: {epochs: 2, lr: 0.02}\ncheckpoint: {every_steps: 5}\n"
                           "model:\n  layers: [conv: {filters: 8, kernel: 3}, batch_norm, relu, "
                           "flatten, dense: {units: 4}]\n",
                           file));
}

#define FIRST "def store(name, x): g[name] = x"
#define STREAM "--set data.residence=stream --set data.buffer=6 "

static const char *train(int ranks, const char *config, const char *out, const char *sets) {
    const char *folder = text("%s/%s", workspace(), out);
    run_well("%s %s train %s --quiet --out %s %s", mpirun(ranks), program(), config, folder, sets);
    return folder;
}

static void same_run(const char *one, const char *other) {
    cr_expect_str_eq(digest_of(text("%s/train.h5", one)), digest_of(text("%s/train.h5", other)));
    cr_expect_str_eq(last_digest(one), last_digest(other));
}

/* Stored with channels last, however it is stored, the run is that of the transposed file: its
 * checkpoints are gone on with, and evaluate and predict, from either. */
Test(form, channels_last, .fini = workspace_remove, .timeout = 600) {
    static const char *const stored[] = {
        "def store(name, x): g[name] = np.moveaxis(x, 1, -1)",
        "def store(name, x): g.create_dataset(name, data=np.moveaxis(x, 1, -1), "
        "chunks=(48, 5, 10, 2), compression=1, shuffle=True)",
        "def store(name, x): g.create_dataset(name, data=np.moveaxis(x, 1, -1), "
        "chunks=(50, 12, 10, 3), dtype=\">i2\")",
    };
    const char *python = python_with("h5py");
    if (!python)
        skip_test("no h5py");
    const char *config = colour_config(colours(python, "first", FIRST));
    const char *first = train(2, config, "first", ""), *folder = workspace();
    const char *const residences[] = {"--set data.residence=node", STREAM};
    for (int i = 0; i < 3; i++) { /* trained with one residence, gone on with in the other */
        const char *file = colours(python, text("last%d", i), stored[i]);
        const char *last = text("--set data.layout=channels_last --set data.file=%s", file);
        same_run(first, train(i == 1 ? 4 : 1, config, text("whole-%d", i),
                              text("%s %s", last, residences[i % 2])));
        run_well("cp -r %s/first %s/resumed-%d && rm %s/resumed-%d/checkpoint-16.h5", folder,
                 folder, i, folder, i);
        same_run(first, train(2, config, text("resumed-%d", i),
                              text("%s --resume %s", last, residences[1 - i % 2])));
    }
    const char *said = run_well("%s eval %s/first/best.h5", program(), folder);
    const char *here = run_well("%s %s eval %s/first/best.h5 --set data.layout=channels_last "
                                "--set data.file=%s/last1.h5 " STREAM,
                                mpirun(2), program(), folder, folder);
    cr_expect_not_null(strstr(here, said), "%s", here);
    cr_expect_str_eq(run_well("%s eval %s/whole-1/best.h5", program(), folder), said);
    run_well("%s predict %s/first/best.h5 -o %s/a.h5", program(), folder, folder);
    run_well("%s predict %s/whole-2/best.h5 -o %s/b.h5", program(), folder, folder);
    cr_expect_str_eq(digest_of(text("%s/a.h5", folder)), digest_of(text("%s/b.h5", folder)));
    outcome other = run("%s train %s --out %s/first --resume --set data.file=%s/last0.h5 2>&1",
                        program(), config, folder, folder);
    cr_expect_eq(other.code, 2);
    cr_expect_not_null(strstr(other.output, "taken as 12 channels of 10 x 3; data.layout"));
    cr_expect_not_null(strstr(other.output, "shape of a sample is 12 10 3, was 3 12 10"));
    REFUSED(WORDS("data.layout", "channels_first or channels_last", "did you mean 'channels_last'"),
            "%s train %s --out %s/no --set data.layout=channel_last", program(), config, folder);
}

/* ---- transforms ----------------------------------------------------------------------------- */

#define CHAIN "[log1p, {scale: 0.5}, {clip: [0, 2.25]}]"
#define DONE                                                                                       \
    "def done(x, t): return np.clip(np.log1p(x.astype(\"f8\")).astype(t) * t(0.5), t(0), "         \
    "t(2.25))\n"

/* To the bits of a file whose values numpy has changed before, of float32 and of float64. */
Test(form, transforms, .fini = workspace_remove, .timeout = 600) {
    static const struct {
        const char *name, *raw, *changed;
    } types[] = {
        {"short", FIRST, DONE "def store(name, x): g[name] = done(x, np.float32)"},
        {"single", "def store(name, x): g[name] = x.astype(\"f4\") / 8",
         DONE "def store(name, x): g[name] = done(x.astype(\"f4\") / 8, np.float32)"},
        {"long", "def store(name, x): g[name] = np.moveaxis(x.astype(\"i4\"), 1, -1)",
         DONE "def store(name, x): g[name] = np.moveaxis(done(x, np.float64), 1, -1)"},
    };
    const char *python = python_with("h5py");
    if (!python)
        skip_test("no h5py");
    const char *folder = workspace();
    for (int i = 0; i < 3; i++) {
        const char *layout = i == 2 ? "channels_last" : "channels_first";
        const char *sets = text("--set data.layout=%s --set data.validation=0.1", layout);
        const char *raw = colours(python, text("raw%d", i), types[i].raw);
        const char *changed = colours(python, text("changed%d", i), types[i].changed);
        const char *config = colour_config(raw), *one = text("changed-%d", i);
        const char *chain = text("%s --set 'data.transform=" CHAIN "'", sets);
        one = train(1, config, one, text("%s --set data.file=%s", sets, changed));
        same_run(one, train(1 + i, config, text("raw-%d", i), chain));
        same_run(one, train(2, config, text("stream-%d", i), text("%s " STREAM, chain)));
    }
    const char *model = text("%s/stream-2/best.h5", folder);
    cr_expect_str_eq(run_well("%s eval %s --set data.residence=node", program(), model),
                     run_well("%s eval %s/changed-2/best.h5", program(), folder));
    run_well("%s predict %s -o %s/a.h5 --set data.residence=node", program(), model, folder);
    run_well("%s predict %s/changed-2/best.h5 -o %s/b.h5", program(), folder, folder);
    cr_expect_str_eq(digest_of(text("%s/a.h5", folder)), digest_of(text("%s/b.h5", folder)));
    REFUSED(WORDS("data.transform is [log1p], was " CHAIN),
            "%s train %s --quiet --resume --out %s/raw-0 --set data.transform=log1p "
            "--set data.file=%s/raw0.h5 --set data.validation=0.1",
            program(), colour_config("none.h5"), folder, folder);
}

Test(form, what_log1p_refuses, .fini = workspace_remove) {
    const char *python = python_with("h5py");
    if (!python)
        skip_test("no h5py");
    const char *file = colours(python, "raw",
                               "def store(name, x):\n if len(x) == 500: x[345, 1, 2, 3] = -1\n"
                               " g[name] = x");
    const char *config = colour_config(file);
    const char *words = "raw.h5: train/inputs: sample 345 holds -1 (value 143 of the sample)";
    REFUSED(WORDS(words, "data.transform"), "%s %s train %s --out %s/no --set data.transform=log1p",
            mpirun(3), program(), config, workspace());
    REFUSED(WORDS(words, "data.transform"),
            "%s %s train %s --out %s/no --set data.transform=log1p " STREAM, mpirun(2), program(),
            config, workspace());
}

/* ---- several datasets ----------------------------------------------------------------------- */

#define PARTS                                                                                      \
    "--set 'data.train_inputs=[train/inputs/a, train/inputs/b, train/inputs/c]' "                  \
    "--set 'data.test_inputs=[test/inputs/a, test/inputs/b, test/inputs/c]'"

/* The channels of several, stored each in its own way, to the bits of one dataset; in one file and
 * in several. */
Test(form, several_datasets, .fini = workspace_remove, .timeout = 600) {
    static const char *const stored[] = {
        "def store(name, x):\n for i, p in enumerate(\"abc\"): g[name + \"/\" + p] = x[:, i:i + 1]",
        "def store(name, x):\n"
        " g.create_dataset(name + \"/a\", data=x[:, :1], chunks=(64, 1, 12, 10), compression=1)\n"
        " g.create_dataset(name + \"/b\", data=x[:, 1:2], chunks=(48, 1, 5, 10), shuffle=True)\n"
        " g[name + \"/c\"] = x[:, 2:]",
    };
    const char *python = python_with("h5py");
    if (!python)
        skip_test("no h5py");
    const char *config = colour_config(colours(python, "one", FIRST)), *folder = workspace();
    const char *one = train(1, config, "one", "");
    for (int i = 0; i < 2; i++) {
        const char *file = colours(python, text("parts%d", i), stored[i]);
        const char *parts = text(PARTS " --set data.file=%s", file);
        same_run(one, train(4 - 3 * i, config, text("stream-%d", i), text("%s " STREAM, parts)));
    }
    const char *mixed = text(PARTS " --set data.file=%s/parts1.h5", folder);
    same_run(one, train(2, config, "node", text("%s --set data.residence=node", mixed)));
    cr_expect_str_eq(run_well("%s eval %s/node/best.h5", program(), folder),
                     run_well("%s eval %s/one/best.h5", program(), folder));
    run_well("%s predict %s/one/best.h5 -o %s/a.h5", program(), folder, folder);
    run_well("%s predict %s/node/best.h5 -o %s/b.h5", program(), folder, folder);
    cr_expect_str_eq(digest_of(text("%s/a.h5", folder)), digest_of(text("%s/b.h5", folder)));
    const char *window = "--set data.shuffle=window --set data.shuffle_chunk=16 "
                         "--set data.shuffle_window=2";
    const char *windows = train(1, config, "windows", window);
    same_run(windows, train(3, config, "windows-streamed", text("%s %s " STREAM, window, mixed)));
    cr_expect_str_eq(run_well("%s schedule %s", program(), config),
                     run_well("%s schedule %s " PARTS " --set data.file=%s/parts0.h5", program(),
                              config, folder));
    run_well("cd %s && %s -c 'import h5py\nf = h5py.File(\"parts1.h5\")\n"
             "for i, (a, b) in enumerate(((0, 200), (200, 201), (201, 500))):\n"
             " with h5py.File(f\"piece{i}.h5\", \"w\") as g:\n"
             "  for s in (\"train\", \"test\"):\n"
             "   e = slice(a, b) if s == \"train\" else slice(None)\n"
             "   g[s + \"/targets\"] = f[s + \"/targets\"][e]\n"
             "   for p in \"abc\":\n"
             "    g[s + \"/inputs/\" + p] = f[s + \"/inputs/\" + p][e]\n'",
             folder, python);
    const char *pieces = text(PARTS " --set 'data.file=%s/piece*.h5' "
                                    "--set data.test_file=%s/parts1.h5",
                              folder, folder);
    same_run(one, train(2, config, "pieces", pieces));
    same_run(one, train(1, config, "pieces-streamed", text("%s " STREAM, pieces)));
}

Test(form, datasets_that_do_not_fit, .fini = workspace_remove) {
    static const struct {
        const char *change, *word;
    } cases[] = {
        {"x[:, :, :, :9]", "makes samples (500, 3, 12, 9) of int16, and "
                           "'train/inputs/a' (500, 3, 12, 10) of int16"},
        {"x.astype(\"f4\")", "of float32, and"},
        {"x[:400]", "train/inputs/b2' in '"},
        {"x[:, 0, 0]", "(500, 10)"},
    };
    const char *python = python_with("h5py");
    if (!python)
        skip_test("no h5py");
    const char *store = "def store(name, x):\n g[name + \"/a\"] = x";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        store = text("%s\n g[name + \"/b%zu\"] = %s", store, i, cases[i].change);
    const char *config = colour_config(colours(python, "odd", store));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        REFUSED(WORDS(text("'train/inputs/b%zu'", i), cases[i].word),
                "%s %s train %s --out %s/no "
                "--set 'data.train_inputs=[train/inputs/a, train/inputs/b%zu]'",
                i == 0 ? mpirun(2) : "", program(), config, workspace(), i);
}

/* ---- targets -------------------------------------------------------------------------------- */

/* Powers of two, so that numpy's products are exact: the losses, the weights and, in the units of
 * the raw targets, the predictions are those of targets that numpy has changed. */
Test(form, scaled_targets, .fini = workspace_remove, .timeout = 600) {
    const char *python = python_with("h5py");
    if (!python)
        skip_test("no h5py");
    run_well(
        "cd %s && %s -c 'import h5py, numpy as np\n"
        "f, g = h5py.File(\"raw.h5\", \"w\"), h5py.File(\"scaled.h5\", \"w\")\n"
        "for s, n in ((\"train\", 400), (\"test\", 80)):\n"
        " x = np.random.default_rng(n).normal(size=(n, 6)).astype(\"f4\")\n"
        " y = np.round(1024 * np.tanh(x[:, :2])).astype(\"f4\")\n"
        " for h in (f, g): h[s + \"/inputs\"] = x\n"
        " f[s + \"/targets\"] = y\n"
        " g[s + \"/targets\"] = y * np.float32([1 / 256, -1 / 512]) + np.float32([0.5, 0.5])\n'",
        workspace(), python);
    const char *folder = workspace(), *scale =
                                          "--set 'data.target_scale=[0.00390625, -0.001953125]' "
                                          "--set data.target_offset=0.5";
    const char *config = write_file(
        "scale.yaml", text("data: {file: %s/raw.h5}\nbatch: {size: 50, slices: 4}\n"
                           "train: {epochs: 3, lr: 0.05}\n"
                           "model: {loss: mean_squared_error, layers: [dense: {units: 16}, "
                           "relu, dense: {units: 2}, tanh, scale: {factor: 8}]}\n",
                           folder));
    const char *by_hand = train(
        1, config, "hand", text("--set data.file=%s/scaled.h5 --set data.target_scale=1", folder));
    for (int ranks = 2; ranks <= 3; ranks++)
        cr_expect_str_eq(last_digest(train(ranks, config, text("scaled-%d", ranks),
                                           text("%s %s", scale, ranks % 2 ? STREAM : ""))),
                         last_digest(by_hand));
    const char *model = text("%s/scaled-2/best.h5", folder);
    const char *said = run_well("%s eval %s", program(), model);
    run_well("%s predict %s -o %s/a.h5 && %s predict %s/best.h5 -o %s/b.h5", program(), model,
             folder, program(), by_hand, folder);
    const char *rmse = run_well(
        "cd %s && %s -c 'import h5py, numpy as np\n"
        "a, b = (h5py.File(n)[\"outputs\"][:].astype(\"f8\") for n in (\"a.h5\", \"b.h5\"))\n"
        "y = h5py.File(\"raw.h5\")[\"test/targets\"][:].astype(\"f8\")\n"
        "c = (b - 0.5) / [1 / 256, -1 / 512]\n"
        "assert np.abs(a - c).max() < 1e-3, np.abs(a - c).max()\n"
        "print(\"RMSE      %%.6g\" %% np.sqrt(((a - y) ** 2).mean()), end=\"\")'",
        folder, python);
    cr_expect_not_null(strstr(said, rmse), "%s %s", said, rmse);
    REFUSED(WORDS("data.target_scale is 2, was [0.00390625, -0.001953125]"),
            "%s train %s --quiet --resume --out %s/scaled-2 --set data.target_scale=2 "
            "--set data.target_offset=0.5",
            program(), config, folder);
    REFUSED(WORDS("data.target_scale has 3 numbers, and a sample has 2 targets"),
            "%s %s train %s --out %s/no --set data.target_scale=[1,2,3]", mpirun(2), program(),
            config, folder);
}
