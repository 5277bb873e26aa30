/* augment: crop, flip and cutout against a pixel by pixel reference with explicitly padded arrays;
 * what the draws depend on, and how they are distributed. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lockstep/augment.h"

#define SEED UINT64_C(0x9876543210abcdef)

static int64_t pixels_of(const ls_shape *shape) {
    int64_t pixels = 1;
    for (int d = 1; d < shape->ndims; d++)
        pixels *= shape->size[d];
    return pixels;
}

/* Every value of a batch is different, and none is a fill. */
static float *numbered(int64_t count) {
    float *x = malloc((size_t)count * sizeof *x);
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)(i + 1);
    return x;
}

/* ---- reference ------------------------------------------------------------------------------ */

static int64_t chosen(uint32_t word, int64_t n) {
    return (int64_t)floor((double)word * (double)n / 0x1p32);
}

/* The place of pixel `p` in each of three dimensions, those that are missing first. */
static void place_of(const int64_t size[3], int64_t p, int64_t place[3]) {
    place[2] = p % size[2];
    place[1] = p / size[2] % size[1];
    place[0] = p / size[2] / size[1];
}

static int64_t pixel_at(const int64_t size[3], const int64_t place[3]) {
    return (place[0] * size[1] + place[1]) * size[2] + place[2];
}

/* One channel: pads into a new array, cuts the window out of it, mirrors, hides. */
static void reference_channel(const ls_augment *a, const int64_t size[3], const int64_t pad[3],
                              const uint32_t draws[2][4], int dims, float fill, float *x) {
    int64_t padded[3], place[3], centre[3], pixels = size[0] * size[1] * size[2];
    for (int d = 0; d < 3; d++)
        padded[d] = size[d] + 2 * pad[d];
    int64_t padded_pixels = padded[0] * padded[1] * padded[2];
    float *wide = malloc((size_t)padded_pixels * sizeof *wide);
    for (int64_t p = 0; p < padded_pixels; p++)
        wide[p] = fill;
    for (int64_t p = 0; p < pixels; p++) {
        place_of(size, p, place);
        for (int d = 0; d < 3; d++)
            place[d] += pad[d];
        wide[pixel_at(padded, place)] = x[p];
    }
    for (int64_t p = 0; p < pixels; p++) {
        bool hidden = a->cutout > 0;
        place_of(size, p, place);
        for (int d = 3 - dims; d < 3; d++) {
            centre[d] = chosen(draws[1][d - (3 - dims)], size[d]);
            int64_t first = centre[d] - a->cutout / 2;
            hidden = hidden && place[d] >= first && place[d] < first + a->cutout;
        }
        if (a->flip && draws[0][0] >= 0x80000000u)
            place[2] = size[2] - 1 - place[2];
        for (int d = 3 - dims; d < 3; d++)
            place[d] += chosen(draws[0][1 + d - (3 - dims)], 2 * pad[d] + 1);
        x[p] = hidden ? fill : wide[pixel_at(padded, place)];
    }
    free(wide);
}

static void reference(const ls_augment *a, uint64_t seed, uint32_t epoch, const ls_shape *shape,
                      uint64_t id, const float *fill, float *x) {
    int dims = shape->ndims - 1;
    int64_t size[3] = {1, 1, 1}, pad[3] = {0, 0, 0};
    uint32_t key[2], draws[2][4];
    for (int d = 0; d < dims; d++) {
        size[3 - dims + d] = shape->size[1 + d];
        pad[3 - dims + d] = a->crop_padding;
    }
    ls_stream_key(seed, LS_STREAM_AUGMENT, key);
    for (uint32_t what = 0; what < 2; what++)
        ls_philox(key, (uint32_t[]){what, (uint32_t)id, (uint32_t)(id >> 32), epoch}, draws[what]);
    for (int64_t c = 0; c < shape->size[0]; c++)
        reference_channel(a, size, pad, (const uint32_t(*)[4])draws, dims, fill[c],
                          x + c * pixels_of(shape));
}

static void check(const ls_augment *a, const ls_shape *shape) {
    enum { COUNT = 60 };
    const float fill[] = {-0.5f, -1.5f, -2.5f};
    const int64_t values = shape->size[0] * pixels_of(shape);
    float *x = numbered(COUNT * values), *expected = numbered(COUNT * values);
    uint64_t ids[COUNT];
    for (int n = 0; n < COUNT; n++) {
        ids[n] = (uint64_t)n * UINT64_C(3000000019);
        reference(a, SEED, 7, shape, ids[n], fill, expected + n * values);
    }
    cr_assert_eq(ls_augment_check(a, shape), LS_OK, "%s", ls_message());
    ls_augment_apply(a, SEED, 7, shape, ids, COUNT, fill, x);
    for (int64_t i = 0; i < COUNT * values; i++)
        cr_assert_eq(x[i], expected[i],
                     "ndims %d, padding %d, flip %d, cutout %d: sample %d, value "
                     "%d is %g, not %g",
                     shape->ndims, (int)a->crop_padding, a->flip, (int)a->cutout, (int)(i / values),
                     (int)(i % values), x[i], expected[i]);
    free(expected);
    free(x);
}

static const ls_shape shapes[] = {{2, {3, 9}},       {2, {1, 4}},       {3, {1, 5, 7}},
                                  {3, {3, 8, 4}},    {3, {1, 28, 28}},  {4, {2, 3, 5, 4}},
                                  {4, {1, 4, 4, 6}}, {4, {1, 3, 3, 3}}, {3, {2, 6, 1}}};

Test(augment, agrees_with_the_reference) {
    const ls_augment cases[] = {{1, false, 0}, {2, false, 0}, {0, true, 0}, {0, false, 1},
                                {0, false, 2}, {0, false, 3}, {2, true, 3}, {1, true, 2}};
    int checked = 0;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
            if (ls_augment_check(&cases[k], &shapes[s]) == LS_OK) {
                check(&cases[k], &shapes[s]);
                checked++;
            }
    cr_assert_gt(checked, 60);
}

Test(augment, wide_padding_and_large_cutout) {
    check(&(ls_augment){27, true, 28}, &(ls_shape){3, {1, 28, 28}});
    check(&(ls_augment){2, true, 5}, &(ls_shape){4, {2, 3, 5, 4}});
    check(&(ls_augment){8, false, 9}, &(ls_shape){2, {3, 9}});
}

/* ---- what it depends on --------------------------------------------------------------------- */

enum { BATCH = 40, SIDE = 12, IMAGE = SIDE * SIDE };

static const ls_augment everything = {3, true, 4};
static const ls_shape square = {3, {1, SIDE, SIDE}};
static const float zero[3];

/* The same picture for all, so that only the draws differ. */
static float *same_pictures(uint64_t seed, uint32_t epoch, const uint64_t *ids, int64_t count) {
    float *x = numbered(count * IMAGE);
    for (int64_t n = 1; n < count; n++)
        memcpy(x + n * IMAGE, x, IMAGE * sizeof *x);
    ls_augment_apply(&everything, seed, epoch, &square, ids, count, zero, x);
    return x;
}

static int equal_pictures(const float *a, const float *b) {
    int equal = 0;
    for (int n = 0; n < BATCH; n++)
        equal += memcmp(a + n * IMAGE, b + n * IMAGE, IMAGE * sizeof *a) == 0;
    return equal;
}

Test(augment, a_change_belongs_to_the_sample) {
    uint64_t ids[BATCH];
    for (uint64_t n = 0; n < BATCH; n++)
        ids[n] = (n * 7 + 3) | (n % 2) << 40;
    float *x = same_pictures(5, 2, ids, BATCH);
    for (int n = 0; n < BATCH; n++) { /* alone, in another place of another batch */
        float *alone = same_pictures(5, 2, &ids[n], 1);
        cr_assert_arr_eq(alone, x + n * IMAGE, IMAGE * sizeof *x);
        free(alone);
    }
    free(x);
}

Test(augment, seed_epoch_and_sample_matter) {
    uint64_t ids[BATCH], low[BATCH], high[BATCH];
    for (uint64_t n = 0; n < BATCH; n++) {
        ids[n] = n;
        low[n] = n + BATCH;
        high[n] = n | UINT64_C(1) << 32;
    }
    float *x = same_pictures(5, 2, ids, BATCH);
    float *others[] = {same_pictures(6, 2, ids, BATCH), same_pictures(5, 3, ids, BATCH),
                       same_pictures(5, 2, low, BATCH), same_pictures(5, 2, high, BATCH)};
    for (int i = 0; i < 4; i++) {
        cr_expect_lt(equal_pictures(x, others[i]), 3, "%d", i);
        free(others[i]);
    }
    free(x);
}

Test(augment, off_changes_nothing) {
    const uint64_t ids[] = {1, 2, 3};
    float *x = numbered(3 * IMAGE), *before = numbered(3 * IMAGE);
    ls_augment_apply(&(ls_augment){0}, 1, 1, &square, ids, 3, zero, x);
    cr_expect_arr_eq(x, before, 3 * IMAGE * sizeof *x);
    free(before);
    free(x);
}

/* ---- distribution --------------------------------------------------------------------------- */

/* 5 sigma above what chance gives. */
static void check_uniform(const int *seen, int cells, int draws, const char *what) {
    double chi = 0, expected = (double)draws / cells, freedom = cells - 1;
    for (int i = 0; i < cells; i++)
        chi += (seen[i] - expected) * (seen[i] - expected) / expected;
    cr_expect_lt(chi, freedom + 5 * sqrt(2 * freedom) + 5, "%s: chi2 %g of %d cells", what, chi,
                 cells);
}

enum { DRAWS = 20000, HEIGHT = 5, WIDTH = 7 };

/* Offsets and flip together: where the middle pixel goes, and on which side its neighbour is. */
Test(augment, crops_and_flips_are_uniform) {
    const ls_shape shape = {3, {1, HEIGHT, WIDTH}};
    const ls_augment a = {2, true, 0};
    int seen[5 * 5 * 2] = {0}, by_epoch[2] = {0};
    for (uint64_t id = 0; id < DRAWS; id++) {
        float *x = numbered(HEIGHT * WIDTH);
        const float middle = x[2 * WIDTH + 3];
        ls_augment_apply(&a, 11, 0, &shape, &id, 1, zero, x);
        int at = 0;
        while (x[at] != middle)
            at++;
        bool flipped = x[at + 1] == middle - 1;
        seen[((at / WIDTH) * 5 + at % WIDTH - 1) * 2 + flipped]++;
        free(x);
    }
    check_uniform(seen, 50, DRAWS, "places and flips");
    for (uint32_t epoch = 0; epoch < DRAWS; epoch++) {
        const uint64_t id = 123;
        float pair[] = {1, 2};
        ls_augment_apply(&(ls_augment){.flip = true}, 11, epoch, &(ls_shape){2, {1, 2}}, &id, 1,
                         zero, pair);
        by_epoch[pair[0] == 2]++;
    }
    check_uniform(by_epoch, 2, DRAWS, "flips of one sample");
}

Test(augment, cutout_centres_are_uniform) {
    const ls_shape shape = {3, {1, HEIGHT, WIDTH}};
    const ls_augment a = {0, false, 1};
    int seen[HEIGHT * WIDTH] = {0};
    for (uint64_t id = 0; id < DRAWS; id++) {
        float *x = numbered(HEIGHT * WIDTH);
        ls_augment_apply(&a, 11, 0, &shape, &id, 1, zero, x);
        for (int i = 0; i < HEIGHT * WIDTH; i++)
            seen[i] += x[i] == 0;
        free(x);
    }
    check_uniform(seen, HEIGHT * WIDTH, DRAWS, "centres");
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void check_refused(ls_augment a, ls_shape shape, const char *message) {
    ls_message_set("");
    cr_expect_eq(ls_augment_check(&a, &shape), LS_ERR_INPUT);
    cr_expect_str_eq(ls_message(), message);
}

Test(augment, refuses_what_makes_no_sense) {
    check_refused((ls_augment){.flip = true}, (ls_shape){1, {30}},
                  "augment.flip: the samples have 30 features and no spatial dimension; leave it "
                  "off");
    check_refused((ls_augment){.crop_padding = 5}, (ls_shape){3, {1, 8, 5}},
                  "augment.crop_padding is 5, but the smallest spatial size of a sample is 5: at "
                  "most 4");
    check_refused((ls_augment){.cutout = 9}, (ls_shape){3, {1, 8, 5}},
                  "augment.cutout is 9, but the largest spatial size of a sample is 8");
    cr_expect_eq(ls_augment_check(&(ls_augment){0}, &(ls_shape){1, {30}}), LS_OK);
}
