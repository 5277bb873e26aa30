/* system tests: samples that lie in many files. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "system/command.h"

/* Cuts the workspace's data.h5 into files part-NNN.h5, the first of one sample, the others of
 * `samples` and of one more in turn. */
static void cut(const char *python, int samples) {
    run_well("cd %s && %s -c 'import h5py, sys\n"
             "f = h5py.File(\"data.h5\")\n"
             "total, size, first, part = len(f[\"train/inputs\"]), int(sys.argv[1]), 0, 0\n"
             "while first < total:\n"
             "    end = min(total, first + (1 if part == 0 else size + part %% 2))\n"
             "    with h5py.File(f\"part-{part:03}.h5\", \"w\") as g:\n"
             "        for name in [\"inputs\", \"targets\"]:\n"
             "            g[\"train/\" + name] = f[\"train/\" + name][first:end]\n"
             "    first, part = end, part + 1\n' %d",
             workspace(), python, samples);
}

#define PARTS "--set 'data.file=%s/part-*.h5' --set data.test_file=%s/data.h5"

static const char *train(int ranks, const char *out, const char *sets) {
    const char *folder = text("%s/%s", workspace(), out);
    run_well("%s %s train %s --quiet --out %s %s", mpirun(ranks), program(), make_config(), folder,
             sets);
    return folder;
}

/* The bits of one file, with a share held out too. */
Test(many_files, same_bits, .fini = workspace_remove) {
    const char *python = python_with("h5py");
    if (!python)
        skip_test("no h5py");
    make_dataset(1000, 100);
    cut(python, 150);
    const char *parts = text(PARTS, workspace(), workspace());
    const char *share = "--set train.epochs=2 --set data.validation=0.1";
    const char *one = digest_of(text("%s/train.h5", train(1, "one", share)));
    for (int ranks = 1; ranks <= 3; ranks += 2) {
        const char *out = train(ranks, text("parts-%d", ranks), text("%s %s", share, parts));
        cr_expect_str_eq(digest_of(text("%s/train.h5", out)), one);
    }
    run_well("%s eval %s/parts-1/best.h5", program(), workspace());
    run_well("%s eval %s/parts-1/best.h5 --data %s/data.h5", program(), workspace(), workspace());
    cr_expect_str_eq(run_well("%s schedule %s %s", program(), make_config(), parts),
                     run_well("%s schedule %s", program(), make_config()));
}

/* A sample a file; and a run that began with one file goes on with many, but not with others. */
Test(many_files, one_sample_a_file, .fini = workspace_remove) {
    const char *python = python_with("h5py");
    if (!python)
        skip_test("no h5py");
    make_dataset(120, 50);
    run_well("cd %s && %s -c 'import h5py\nf = h5py.File(\"data.h5\")\n"
             "for i in range(120):\n"
             "    with h5py.File(f\"part-{i:03}.h5\", \"w\") as g:\n"
             "        for name in [\"train/inputs\", \"train/targets\"]:\n"
             "            g[name] = f[name][i:i + 1]\n'",
             workspace(), python);
    const char *parts = text(PARTS, workspace(), workspace());
    train(1, "one", "--set train.epochs=2");
    train(2, "parts", text("--set train.epochs=1 %s", parts));
    train(3, "parts", text("--set train.epochs=2 --resume %s", parts));
    run_well("%s train %s --quiet --out %s/half --set train.epochs=1", program(), make_config(),
             workspace());
    train(1, "half", text("--set train.epochs=2 --resume %s", parts));
    cr_expect_str_eq(last_digest(text("%s/parts", workspace())),
                     last_digest(text("%s/one", workspace())));
    cr_expect_str_eq(last_digest(text("%s/half", workspace())),
                     last_digest(text("%s/one", workspace())));
    run_well("cd %s && cp part-007.h5 kept.h5 && cp part-008.h5 part-007.h5", workspace());
    REFUSED(WORDS("the training data's "), "%s train %s --out %s/parts --resume %s", program(),
            make_config(), workspace(), parts);
}

Test(many_files, refusals, .fini = workspace_remove) {
    const char *python = python_with("h5py");
    if (!python)
        skip_test("no h5py");
    make_dataset(300, 100);
    cut(python, 100);
    const char *find = text("%s find-lr %s --out %s/out", program(), make_config(), workspace());
    REFUSED(WORDS("no file matches", "none-*.h5"), "%s --set 'data.file=%s/none-*.h5'", find,
            workspace());
    REFUSED(WORDS("there is no file", "part-999.h5"),
            "%s --set 'data.file=[%s/part-*.h5, %s/part-999.h5]'", find, workspace(), workspace());
    REFUSED(WORDS("part-000.h5' is named twice"),
            "%s --set 'data.file=[%s/part-*.h5, %s/part-000.h5]'", find, workspace(), workspace());
    run_well("head -c 3000 %s/part-001.h5 >%s/part-1.h5 && mv %s/part-1.h5 %s/part-001.h5",
             workspace(), workspace(), workspace(), workspace());
    REFUSED(WORDS("part-001.h5' is truncated"), "%s %s " PARTS, mpirun(3), find, workspace(),
            workspace());
    run_well("cd %s && %s -c 'import h5py\nf = h5py.File(\"part-001.h5\", \"w\")\n"
             "f[\"train/inputs\"] = [[1.5]]\nf[\"train/targets\"] = [1]\n'",
             workspace(), python);
    REFUSED(WORDS("'train/inputs' in", "part-001.h5' has samples of another type or shape"),
            "%s %s " PARTS, mpirun(2), find, workspace(), workspace());
    REFUSED(WORDS("part-002.h5' is read, and would be overwritten"),
            "%s bench %s --json %s/part-002.h5 " PARTS, program(), make_config(), workspace(),
            workspace(), workspace());
}

/* ---- staging -------------------------------------------------------------------------------- */

static const char *staged(int ranks, const char *file) {
    const char *folder = text("%s/staged-%d", workspace(), ranks);
    return run_well("%s %s train %s --out %s --set 'data.file=%s' --set data.stage=%s/disk/deep "
                    "--set train.epochs=1 2>&1",
                    mpirun(ranks), program(), make_config(), folder, file, workspace());
}

/* Copies are read instead, with the same bits; they are made once, and anew when a file changes. */
Test(many_files, staged_copies_are_read, .fini = workspace_remove) {
    make_dataset(400, 100);
    const char *disk = text("%s/disk/deep", workspace()), *file = text("%s/data.h5", workspace());
    run_well("%s train %s --quiet --out %s/here --set train.epochs=1", program(), make_config(),
             workspace());
    cr_expect_not_null(strstr(staged(2, file), " to "));
    cr_expect_str_eq(digest_of(text("%s/staged-2/train.h5", workspace())),
                     digest_of(text("%s/here/train.h5", workspace())));
    const char *before = run_well("stat -c '%%i %%n' %s/*", disk);
    cr_expect_null(strstr(staged(3, file), "copying "));
    cr_expect_str_eq(run_well("stat -c '%%i %%n' %s/*", disk), before);
    run_well("touch %s", file);
    cr_expect_not_null(strstr(staged(1, file), "copying "));
    cr_expect_str_neq(run_well("stat -c '%%i %%n' %s/*", disk), before);
    cr_expect_str_eq(run_well("ls %s | wc -l", disk), "1\n", "%s", run_well("ls %s", disk));
    REFUSED(WORDS("there is no file", "none.h5"),
            "%s train %s --out %s/no --set data.file=none.h5 --set data.stage=%s", program(),
            make_config(), workspace(), disk);
    REFUSED(WORDS("cannot make folder"),
            "%s train %s --out %s/no --set data.file=%s --set data.stage=%s/x", program(),
            make_config(), workspace(), file, file);
}
