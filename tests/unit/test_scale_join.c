/* Files of scaling studies that do not go together, and what is said of them. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#include "test_io.h"
#include "test_scale_file.h"

/* A study of one repeat of strong scaling on 2 ranks, as `row` has it. */
static const char *write_row(const char *name, const ls_scale_row *row, double noise_scale) {
    const char *path = io_path(name);
    ls_config *config = scale_config();
    const ls_scale_job job = {.path = path, .target = "accuracy 0.9", .noise_scale = noise_scale};
    ls_scale_file *file;
    remove(path);
    cr_assert_eq(ls_scale_file_open(config, &job, "me", 1, &file), LS_OK, "%s", ls_message());
    cr_assert_eq(ls_scale_file_add(file, row, SCALE_STEPS), LS_OK, "%s", ls_message());
    cr_assert_eq(ls_scale_file_finish(file), LS_OK, "%s", ls_message());
    ls_scale_file_free(file);
    ls_config_free(config);
    return path;
}

/* Another repeat of the size, with one thing that does not go with the first. */
Test(scale_join, what_cannot_be_joined, .fini = io_remove) {
    const ls_scale_training training = {1, 500, 5, 64000, 0.1};
    ls_scale_row row = scale_row(LS_SCALE_STRONG, 2, 0), next = scale_row(LS_SCALE_STRONG, 2, 1);
    row.training = next.training = training;
    char one[512], two[512], joined[512];
    const char *paths[] = {one, two};
    snprintf(one, sizeof one, "%s", write_row("one.h5", &row, 0));
    snprintf(two, sizeof two, "%s", io_path("two.h5"));
    snprintf(joined, sizeof joined, "%s", io_path("joined.h5"));
    ls_scale_study study;
#define REFUSED_ROW(...) REFUSED(ls_scale_join(paths, 2, joined), LS_ERR_INPUT, __VA_ARGS__)
    write_row("two.h5", &row, 0);
    REFUSED_ROW("one.h5", "two.h5", "the same repeat", "strong, 2 ranks");
    ls_scale_row other = next;
    other.size.nodes = 2;
    write_row("two.h5", &other, 0);
    REFUSED_ROW("one.h5", "two.h5", "strong, 2 ranks", "on 1 node", "on 2 nodes");
    other = next;
    other.size.crowd = 2;
    write_row("two.h5", &other, 0);
    REFUSED_ROW("one.h5", "two.h5", "1.5 threads a core", "2 threads a core");
    other = next;
    other.training.steps = 600;
    write_row("two.h5", &other, 0);
    REFUSED_ROW("one.h5", "two.h5", "strong, 2 ranks", "500 steps", "600");
    write_row("one.h5", &row, 300);
    write_row("two.h5", &next, 400);
    REFUSED_ROW("one.h5", "two.h5", "noise scale", "300", "400");
    cr_expect_neq(access(joined, F_OK), 0);
    /* One noise scale is that of all. */
    write_row("one.h5", &row, 0);
    cr_assert_eq(ls_scale_join(paths, 2, joined), LS_OK, "%s", ls_message());
    cr_assert_eq(ls_scale_read(joined, &study), LS_OK, "%s", ls_message());
    cr_expect_eq(study.noise_scale, 400);
    cr_expect_eq(study.row_count, 2);
    cr_expect_eq(study.points[0].training.steps, 500);
    ls_scale_study_free(&study);
}

/* A study without repeats, with `key` set. */
static void write_empty(ls_scale_job job, const char *identity, const char *key,
                        const char *value) {
    static const ls_note notes[] = {{"provenance/isa", "avx2"}, {"provenance/compute", "oneDNN 2"}};
    ls_config *config = scale_config();
    ls_scale_file *file;
    job.notes = notes;
    job.note_count = 2;
    cr_assert_eq(ls_config_set(config, key, value), LS_OK, "%s", ls_message());
    remove(job.path);
    cr_assert_eq(ls_scale_file_open(config, &job, identity, 1, &file), LS_OK, "%s", ls_message());
    cr_assert_eq(ls_scale_file_finish(file), LS_OK, "%s", ls_message());
    ls_scale_file_free(file);
    ls_config_free(config);
}

Test(scale_join, says_what_differs, .fini = io_remove) {
    char one[512], two[512];
    const char *paths[] = {one, two}, *joined = io_path("joined.h5");
    snprintf(one, sizeof one, "%s", io_path("one.h5"));
    snprintf(two, sizeof two, "%s", io_path("two.h5"));
    const ls_scale_job first = {.path = one, .base = 1, .target = "accuracy 0.9"};
    ls_scale_job second = {.path = two, .base = 1};
#define DIFFERENT(...) REFUSED(ls_scale_join(paths, 2, joined), LS_ERR_INPUT, __VA_ARGS__)
    write_empty(first, "me", "train.target", "accuracy 0.9");
    write_empty(second, "you", "seed", "1");
    DIFFERENT("one.h5' and '", "two.h5' are of different studies: the files do not say what");
    second.base = 2;
    write_empty(second, "you", "seed", "1");
    DIFFERENT("studies: --base, or the smallest size, is 1 in the first, 2 in the second");
    second.base = -1; /* not known */
    second.steps = 50;
    write_empty(second, "you", "train.momentum", "0.5");
    DIFFERENT("studies: train.momentum is 0.9 in the first, 0.5 in the second; --steps is not said "
              "in the first, 50 in the second");
}
