/* system tests: the gradient noise scale: the same bits on any number of ranks, what is said,
 * refused and drawn, and that the training is that of `train`. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "system/command.h"
#include "system/json.h"

#define STEPS 40

/* Folder `name` in the workspace; what was said. */
static const char *noise(int ranks, const char *name, const char *options) {
    return run_well("%s %s noise %s --quiet --out %s/%s --steps %d %s", mpirun(ranks), program(),
                    make_config(), workspace(), name, STEPS, options);
}

static const char *file_of(const char *name) {
    return text("%s/%s/noise.h5", workspace(), name);
}

/* Convolutions, batch norm, dropout; a partial batch, which is not measured. */
Test(noise, same_bits, .fini = workspace_remove) {
    static const int ranks[] = {3, 8};
    make_dataset(1000, 100); /* 11 batches of 96, the last one of 40 */
    noise(1, "1", "");
    cr_expect_str_eq(h5_number("-d /noise/gradient_trace -s 10 -c 1", file_of("1")), "nan");
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++) {
        const char *name = text("%d", ranks[i]);
        noise(ranks[i], name, ranks[i] == 3 ? "--set exchange=flat" : "");
        cr_expect_str_eq(digest_of(file_of("1")), digest_of(file_of(name)));
    }
}

/* One epoch of both. */
Test(noise, trains_as_train_does, .fini = workspace_remove) {
    make_dataset(1000, 100);
    run_well("%s noise %s --quiet --out %s/out --set train.epochs=1", program(), make_config(),
             workspace());
    run_well("%s train %s --quiet --out %s/out --set train.epochs=1", program(), make_config(),
             workspace());
    run_well("h5dump -a /noise/state_digest %s/out/noise.h5 | grep %s", workspace(),
             last_digest(text("%s/out", workspace())));
    run_well("h5diff %s/out/noise.h5 %s/out/train.h5 /noise/loss /train/loss", workspace(),
             workspace());
    run_well("h5diff %s/out/noise.h5 %s/out/train.h5 /noise/gradient_norm /train/gradient_norm",
             workspace(), workspace());
}

Test(noise, json, .fini = workspace_remove) {
    static const char *const parts[] = {"start", "middle", "end"};
    make_dataset(1000, 100);
    const char *said = noise(1, "out", "--json -");
    json_check(said);
    cr_expect_eq(json_number(said, "batch"), 96);
    cr_expect_eq(json_number(said, "slices"), 8);
    cr_expect_eq(json_number(said, "steps"), STEPS);
    for (int i = 0; i < 3; i++) {
        const char *point = json_find(said, text("points.%d", i));
        cr_expect_str_eq(json_string(point, "part"), parts[i]);
        cr_expect_eq(json_number(point, "first_step"), 1 + i * (STEPS - 10) / 2);
        cr_expect_eq(json_number(point, "steps"), 10);
        cr_expect_gt(json_number(point, "gradient_trace"), 0);
        cr_expect_gt(json_number(point, "at_least"), 0);
    }
    double scale = json_number(said, "points.0.noise_scale");
    cr_expect_float_eq(json_number(said, "points.0.steps_factor"), 1 + scale / 96, 1e-6 * scale);
    noise(1, "again", text("--json %s/noise.json", workspace()));
    json_check(run_well("cat %s/noise.json", workspace()));
}

Test(noise, said_and_drawn, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *said = noise(1, "out", "");
    cr_expect_not_null(strstr(said, "40 steps, batch 96 in 8 slices"), "%s", said);
    cr_expect_not_null(strstr(said, "larger batches save steps up to"), "%s", said);
    said = run_well("%s plot %s", program(), file_of("out"));
    cr_expect_not_null(strstr(said, "larger batches save steps up to"), "%s", said);
    run_well("%s plot %s -o %s/noise.svg", program(), file_of("out"), workspace());
    run_well("grep -q 'noise scale, with its standard error' %s/noise.svg", workspace());
    REFUSED(WORDS("noise scales one is drawn at a time"), "%s plot %s %s", program(),
            file_of("out"), file_of("out"));
    REFUSED(WORDS("--beta", "noise scale"), "%s plot --beta 0.9 %s", program(), file_of("out"));
    REFUSED(WORDS("'noise'"), "%s suggest %s", program(), file_of("out"));
}

/* Where no learning rate is given the range test comes first. */
Test(noise, finds_its_learning_rate, .fini = workspace_remove) {
    make_dataset(1000, 100);
    run_well(
        "%s noise %s --quiet --out %s/out --set train.lr=auto --set find_lr.steps=100 --steps 10",
        program(), make_config(), workspace());
    cr_expect(exists("%s/out/find-lr.h5", workspace()));
    cr_expect_gt(atof(h5_number("-a /noise/base_lr", file_of("out"))), 0);
}

Test(noise, refused, .fini = workspace_remove) {
    make_dataset(1000, 100);
    const char *command = text("%s noise %s --out %s/out", program(), make_config(), workspace());
    REFUSED(WORDS("batch.slices is 1", "expected 2 or more"), "%s --quiet --set batch.slices=1",
            command);
    REFUSED(WORDS("exchange_sum is float32", "expected fixed"),
            "%s --quiet --set exchange_sum=float32", command);
    REFUSED(WORDS("9 steps", "expected 10 or more"), "%s --quiet --steps 9", command);
    REFUSED(WORDS("--steps"), "%s --quiet --steps few", command);
    cr_expect_not(exists("%s/out/noise.h5", workspace()));
}
