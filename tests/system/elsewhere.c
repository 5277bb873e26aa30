/* system tests: a training's files in other programs: read by h5py alone, and its weights in
 * PyTorch, whose predictions must be lockstep's. */
#include <criterion/criterion.h>

#include "system/command.h"

/* Trains the small network for three epochs, predicts with its last checkpoint, and runs `script`
 * on the checkpoint, the data and the predictions, behind other `operands`. */
static void check_files(const char *python, const char *script, const char *operands) {
    const char *folder = workspace(), *data = make_dataset(1000, 100);
    run_well("%s %s train %s --quiet --out %s --set train.lr=0.05 --set train.epochs=3", mpirun(2),
             program(), make_config(), folder);
    run_well("%s predict %s/checkpoint-33.h5 -o %s/predictions.h5", program(), folder, folder);
    run_well("%s tests/system/%s %s %s/checkpoint-33.h5 %s %s/predictions.h5", python, script,
             operands, folder, data, folder);
}

Test(elsewhere, h5py, .fini = workspace_remove) {
    const char *python = python_with("h5py");
    if (!python)
        skip_test("no h5py");
    check_files(python, "read_results.py", text("%s/train.h5", workspace()));
}

Test(elsewhere, torch, .fini = workspace_remove) {
    const char *python = python_with("h5py, torch");
    if (!python)
        skip_test("no PyTorch");
    check_files(python, "torch_predict.py", "");
}
