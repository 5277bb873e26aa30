/* system tests: inputs that are read from their files while training goes on. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "system/command.h"
#include "system/json.h"

#define STORE "store(\"%s\", %s)\n"

/* Writes files FILE.h5: the workspace's data.h5 again, its inputs stored by h5py with the options
 * of each STORE. */
static void store_all(const char *python, const char *stores) {
    run_well("cd %s && %s -c 'import h5py, numpy as np\n"
             "f = h5py.File(\"data.h5\")\n"
             "def store(file, **options):\n"
             "    with h5py.File(file + \".h5\", \"w\") as g:\n"
             "        for split in [\"train\", \"test\"]:\n"
             "            x = f[split + \"/inputs\"][:]\n"
             "            g.create_dataset(split + \"/inputs\", data=x, **options)\n"
             "            g[split + \"/targets\"] = f[split + \"/targets\"][:]\n%s'",
             workspace(), python, stores);
}

static const char *store(const char *python, const char *file, const char *options) {
    store_all(python, text(STORE, file, options));
    return text("%s/%s.h5", workspace(), file);
}

static const char *train(int ranks, const char *file, const char *sets) {
    static int runs;
    const char *folder = text("%s/run-%d", workspace(), runs++);
    run_well("%s %s train %s --quiet --out %s --set data.file=%s --set train.epochs=2 %s",
             mpirun(ranks), program(), make_config(), folder, file, sets);
    return digest_of(text("%s/train.h5", folder));
}

#define STREAM "--set data.residence=stream"

/* Chunks of one sample, of many, of parts of samples; filters that are undone here, and others;
 * a type that HDF5 converts. */
Test(stream, same_bits_however_stored, .fini = workspace_remove, .timeout = 600) {
    static const struct {
        const char *name, *options;
        int ranks;
    } stored[] = {
        {"contiguous", "", 2},
        {"samples", "chunks=(1, 1, 28, 28)", 1},
        {"filtered", "chunks=(64, 1, 28, 28), compression=4, shuffle=True, fletcher32=True", 4},
        {"parts", "chunks=(48, 1, 9, 28), compression=1", 3},
        {"pieces", "chunks=(7, 1, 28, 5)", 1},
        {"offset", "chunks=(64, 1, 28, 28), scaleoffset=0", 2},
        {"double", "chunks=(10, 1, 28, 28), shuffle=True, compression=1, dtype=\"<f8\"", 1},
        {"big", "dtype=\">f8\"", 1},
    };
    const char *python = python_with("h5py");
    if (!python)
        skip_test("no h5py");
    const char *file = make_dataset(1000, 100), *stores = "", *wide = NULL;
    const char *node = train(1, file, "--set data.residence=node");
    cr_expect_str_eq(train(2, file, STREAM " --set data.buffer=8"), node);
    for (size_t i = 0; i < sizeof stored / sizeof *stored; i++)
        stores = text("%s" STORE, stores, stored[i].name, stored[i].options);
    store_all(python, stores);
    for (size_t i = 0; i < sizeof stored / sizeof *stored; i++) {
        file = text("%s/%s.h5", workspace(), stored[i].name);
        bool is_wide = strstr(stored[i].options, "dtype");
        if (is_wide && !wide)
            wide = train(1, file, "--set data.residence=node");
        const char *digest = train(stored[i].ranks, file, STREAM " --set data.buffer=20");
        cr_expect_str_eq(digest, is_wide ? wide : node, "%s", stored[i].name);
    }
}

/* So many that HDF5 before 1.14 would take minutes to list them one by one. */
Test(stream, many_chunks, .fini = workspace_remove, .timeout = 600) {
    const char *python = python_with("h5py");
    if (!python)
        skip_test("no h5py");
    const char *node = train(1, make_dataset(1000, 100), "--set data.residence=node");
    const char *file = store(python, "many", "chunks=(1, 1, 4, 7)");
    cr_expect_str_eq(train(2, file, STREAM " --set data.buffer=20"), node);
    const char *said =
        run_well("%s bench %s --steps 2 --windows 1 --set data.file=%s " STREAM " 2>&1", program(),
                 make_config(), file);
    cr_expect_null(strstr(said, "takes long"), "%s", said);
    cr_expect_null(strstr(said, "not read ahead"), "%s", said);
}

/* Buffers from two blocks a rank up; samples held out; the range test, mid-epoch resuming, and
 * evaluation of a part. */
Test(stream, same_bits_at_any_size, .fini = workspace_remove, .timeout = 600) {
    const char *python = python_with("h5py");
    if (!python)
        skip_test("no h5py");
    make_dataset(1000, 300);
    const char *file = store(python, "chunks", "chunks=(16, 1, 28, 28), compression=1");
    const char *sets =
        "--set data.validation=0.1 --set find_lr.validation_every=5 "
        "--set find_lr.validation_samples=70 --set find_lr.steps=100 --set train.lr=auto";
    const char *node = train(1, file, text("%s --set data.residence=node", sets));
    for (int ranks = 1; ranks <= 4; ranks += 3) {
        const char *small = text("%s " STREAM " --set data.buffer=%d", sets, ranks);
        cr_expect_str_eq(train(ranks, file, small), node);
    }
    cr_expect_str_eq(train(3, file, text("%s " STREAM " --set data.buffer=0.9", sets)), node);
    const char *out = text("%s/resumed", workspace());
    const char *run =
        text("train %s --quiet --out %s --set data.file=%s " STREAM, make_config(), out, file);
    run_well("%s %s %s --set train.epochs=2 --set checkpoint.every_steps=7", mpirun(2), program(),
             run);
    run_well("rm %s/checkpoint-22.h5", out);
    run_well("%s %s %s --set train.epochs=2 --resume", mpirun(3), program(), run);
    const char *whole = text("%s/whole", workspace());
    run_well("%s train %s --quiet --out %s --set train.epochs=2", program(), make_config(), whole);
    cr_expect_str_eq(last_digest(out), last_digest(whole));
    const char *model = text("%s/best.h5", whole);
    cr_expect_str_eq(run_well("%s %s eval %s " STREAM, mpirun(3), program(), model),
                     run_well("%s eval %s", program(), model));
    run_well("%s predict %s -o %s/a.h5", program(), model, workspace());
    run_well("%s %s predict %s -o %s/b.h5 " STREAM, mpirun(2), program(), model, workspace());
    cr_expect_str_eq(digest_of(text("%s/a.h5", workspace())),
                     digest_of(text("%s/b.h5", workspace())));
}

Test(stream, bench_shows_what_is_read, .fini = workspace_remove) {
    const char *file = make_dataset(1000, 100);
    const char *said = run_well("%s %s bench %s --steps 5 --windows 1 --json %s/a.json "
                                "--set data.file=%s " STREAM,
                                mpirun(2), program(), make_config(), workspace(), file);
    cr_expect_not_null(strstr(said, "data        streamed: "), "%s", said);
    said = run_well("cat %s/a.json", workspace());
    cr_expect_not_null(strstr(said, "\"data\": {\"residence\": \"stream\", "), "%s", said);
    said = run_well("%s bench %s --steps 5 --windows 1", program(), make_config());
    cr_expect_null(strstr(said, "streamed"), "%s", said);
}

static double read_over_needed(const char *file, const char *buffer) {
    const char *json = text("%s/read.json", workspace());
    run_well("%s bench %s --steps 150 --windows 1 --json %s --set data.file=%s "
             "--set data.buffer=%s " STREAM,
             program(), make_config(), json, file, buffer);
    const char *said = run_well("cat %s", json);
    return json_number(said, "data.bytes_read") / json_number(said, "data.bytes_needed");
}

/* Chunks of many small samples, in several epochs: once in all where all fit, and a few times an
 * epoch where a third does. */
Test(stream, chunks_are_not_read_for_each_sample, .fini = workspace_remove, .timeout = 600) {
    const char *python = python_with("h5py");
    if (!python)
        skip_test("no h5py");
    make_dataset(1000, 300);
    const char *file = store(python, "large", "chunks=(250, 1, 28, 28), compression=1");
    const double all = read_over_needed(file, "8"), third = read_over_needed(file, "1");
    cr_expect_lt(all, 0.5, "%g", all);
    cr_expect_lt(third, 12, "%g", third);
}

#define WINDOW "--set data.shuffle=window --set data.shuffle_window=2 "

/* Shuffled in windows: the chunks of a file each once an epoch, on any number of ranks. */
Test(stream, windows_read_each_chunk_once, .fini = workspace_remove, .timeout = 600) {
    const char *python = python_with("h5py");
    if (!python)
        skip_test("no h5py");
    const char *plain = make_dataset(2000, 100);
    const char *file = store(python, "windows", "chunks=(16, 1, 28, 28), compression=1");
    const char *node = train(1, file, WINDOW "--set data.residence=node");
    cr_expect_str_eq(train(2, plain, WINDOW "--set data.shuffle_chunk=16"), node);
    cr_expect_str_neq(train(1, plain, ""), node);
    for (int ranks = 1; ranks <= 4; ranks += 3) {
        cr_expect_str_eq(train(ranks, file, WINDOW STREAM " --set data.buffer=2"), node);
        const char *json = text("%s/windows.json", workspace());
        run_well("%s %s bench %s --steps 60 --windows 1 --json %s --set data.file=%s " WINDOW STREAM
                 " --set data.buffer=0.5",
                 mpirun(ranks), program(), make_config(), json, file);
        const char *said = run_well("cat %s", json);
        const double read =
            json_number(said, "data.bytes_read") / json_number(said, "data.bytes_needed");
        cr_expect_lt(read, 1.2, "%d ranks: %g", ranks, read);
    }
}

/* How it is stored is part of the order. */
Test(stream, windows_of_another_chunk_are_another_run, .fini = workspace_remove, .timeout = 600) {
    const char *file = make_dataset(400, 100);
    const char *run = text("train %s --quiet --out %s/out --set data.file=%s " WINDOW,
                           make_config(), workspace(), file);
    run_well("%s %s --set train.epochs=1 --set data.shuffle_chunk=16", program(), run);
    REFUSED(WORDS("data.shuffle_chunk is auto, was 16", "chunk that is shuffled is"),
            "%s %s --set train.epochs=2 --resume", program(), run);
    REFUSED(WORDS("data.shuffle", "true", "window"), "%s train %s --set data.shuffle=windows",
            program(), make_config());
}

/* Of many files, and what goes wrong with them while training goes on: all ranks end. */
Test(stream, failures_on_the_way, .fini = workspace_remove, .timeout = 600) {
    const char *python = python_with("h5py");
    if (!python)
        skip_test("no h5py");
    make_dataset(2000, 100);
    const char *file = store(python, "long", "");
    const char *run_it = text("%s %s train %s --quiet --out %s/out --set data.file=%s "
                              "--set train.epochs=1000 --set data.buffer=1 " STREAM,
                              mpirun(3), program(), make_config(), workspace(), file);
    outcome cut = run("%s >%s/said 2>&1 & while [ ! -e %s/out/checkpoint-21.h5 ]; do sleep 0.1; "
                      "done; truncate -s 100000 %s; wait $!",
                      run_it, workspace(), workspace(), file);
    const char *said = run_well("cat %s/said", workspace());
    cr_expect_eq(cut.code, 2, "%d: %s", cut.code, said);
    cr_expect_not_null(strstr(said, "long.h5: train/inputs: samples "), "%s", said);
    cr_expect_not_null(strstr(said, "the file has become shorter"), "%s", said);
    REFUSED(WORDS("expected data.buffer "),
            "%s find-lr %s --out %s/no --set data.buffer=0.001 " STREAM, program(), make_config(),
            workspace());
    file = store(python, "damaged", "chunks=(50, 1, 28, 28), compression=1, fletcher32=True");
    run_well("cd %s && %s -c 'import h5py\nf = h5py.File(\"damaged.h5\")\n"
             "at = f[\"train/inputs\"].id.get_chunk_info(3).byte_offset\nf.close()\n"
             "f = open(\"damaged.h5\", \"r+b\")\nf.seek(at + 100)\nf.write(b\"xxxx\")\n'",
             workspace(), python);
    REFUSED(WORDS("damaged.h5: train/inputs: samples 150 to 199 are damaged"),
            "%s %s find-lr %s --out %s/no --set data.file=%s " STREAM, mpirun(2), program(),
            make_config(), workspace(), file);
}

/* What was trained until a sample could not be read is kept, and goes on once it can be. */
Test(stream, a_failure_leaves_a_checkpoint, .fini = workspace_remove, .timeout = 600) {
    const char *python = python_with("h5py");
    if (!python)
        skip_test("no h5py");
    make_dataset(1000, 100);
    const char *file = store(python, "cut", "chunks=(8, 1, 28, 28), fletcher32=True");
    const char *sets = STREAM " --set data.normalize=false --set data.buffer=2";
    const char *whole = train(1, file, sets);
    run_well("cd %s && cp cut.h5 whole.h5 && %s -c 'import h5py\nf = h5py.File(\"cut.h5\")\n"
             "at = f[\"train/inputs\"].id.get_chunk_info(2).byte_offset\nf.close()\n"
             "f = open(\"cut.h5\", \"r+b\")\nf.seek(at + 100)\nf.write(b\"xxxx\")\n'",
             workspace(), python);
    const char *run =
        text("train %s --quiet --out %s/out --set data.file=%s --set train.epochs=2 %s",
             make_config(), workspace(), file, sets);
    REFUSED(WORDS("samples 16 to 23 are damaged", "--resume goes on with step"), "%s %s %s",
            mpirun(3), program(), run);
    cr_expect(exists("%s/out/checkpoint-*.h5", workspace()));
    run_well("cd %s && mv whole.h5 cut.h5", workspace());
    run_well("%s %s %s --resume", mpirun(2), program(), run);
    cr_expect_str_eq(digest_of(text("%s/out/train.h5", workspace())), whole);
}
