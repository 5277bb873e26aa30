/* system tests: compute.type: bf16 gives the same bits on any layout too, falls back to float32
 * where the CPU has it not, says which it was, and is not mixed with float32 in one run. */
#include <criterion/criterion.h>
#include <string.h>

#include "system/command.h"

#define TRAINING "--set train.lr=0.05 --set train.epochs=2 --set checkpoint.every_steps=5 "
#define BF16 "--set compute.type=bf16 "

static bool machine_has_bf16(void) {
    return run("grep -qw avx512_bf16 /proc/cpuinfo").code == 0;
}

/* Trains into folder `name` of the workspace and returns the folder. */
static const char *train(const char *name, int ranks, const char *options) {
    const char *out = text("%s/%s", workspace(), name);
    run_well("%s %s train %s --quiet --out %s " TRAINING "%s", mpirun(ranks), program(),
             make_config(), out, options);
    return out;
}

static void computed_in(const char *file, const char *type) {
    const char *said = run_well("%s info %s | grep compute_type", program(), file);
    cr_expect_not_null(strstr(said, type), "%s: not %s but %s", file, type, said);
}

Test(bf16, same_bits_on_any_layout, .fini = workspace_remove) {
    static const int ranks[] = {3, 5};
    make_dataset(1000, 100);
    const char *one = train("alone", 1, BF16);
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++) {
        const char *mode = i == 0 ? "flat" : "node";
        const char *other =
            train(text("%s-%d", mode, ranks[i]), ranks[i], text(BF16 "--set exchange=%s", mode));
        cr_expect_str_eq(last_digest(one), last_digest(other), "%d ranks, %s", ranks[i], mode);
        run_well("h5diff -v %s/train.h5 %s/train.h5 /train/loss", one, other);
        run_well("h5diff -v %s/train.h5 %s/train.h5 /train/test_loss", one, other);
    }
}

Test(bf16, is_what_is_computed_in, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *one = train("bf16", 1, BF16), *other = train("float32", 1, "");
    bool has = machine_has_bf16();
    computed_in(text("%s/train.h5", one), has ? "bf16" : "float32");
    computed_in(text("%s/train.h5", other), "float32");
    cr_expect_eq(strcmp(last_digest(one), last_digest(other)) != 0, has);
}

Test(bf16, falls_back_to_float32, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *out = text("%s/bf16", workspace());
    const char *said = run_well("%s %s train %s --out %s " TRAINING BF16 "--set compute.isa=sse41",
                                mpirun(2), program(), make_config(), out);
    const char *warning = strstr(said, "sse41, has no bf16: computing in float32");
    cr_assert_not_null(warning, "%s", said);
    cr_expect_null(strstr(strchr(warning, '\n'), "has no bf16"), "said twice: %s", said);
    computed_in(text("%s/train.h5", out), "float32");
    cr_expect_str_eq(last_digest(out), last_digest(train("float32", 1, "--set compute.isa=sse41")));
}

/* The range test puts back the rounded weights too. */
Test(bf16, auto_equals_the_number, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *found = train("auto", 2, BF16 "--set train.lr=auto --set find_lr.steps=100");
    const char *lr = h5_number("-a /train/base_lr", text("%s/train.h5", found));
    const char *given = train("number", 3, text(BF16 "--set train.lr=%s", lr));
    cr_expect_str_eq(last_digest(found), last_digest(given));
}

/* Checkpoints are float32 arrays: another run, an evaluation may take them in either type. */
Test(bf16, resumed_in_its_own_type_only, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *one = train("one", 2, BF16), *whole = last_digest(one);
    const char *resume =
        text("%s train %s --quiet --resume --out %s " TRAINING, program(), make_config(), one);
    run_well("rm %s/checkpoint-22.h5", one);
    if (machine_has_bf16())
        REFUSED(WORDS("computed in bf16", "in float32", "compute.type", "init"), "%s", resume);
    run_well("%s" BF16, resume);
    cr_expect_str_eq(last_digest(one), whole);
    run_well("%s eval %s/best.h5 --set compute.type=float32", program(), one);
    train("tuned", 1, text("--set init=%s/best.h5", one));
}
