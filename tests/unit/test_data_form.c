/* data: how the values of files become samples. */
#include <criterion/criterion.h>
#include <string.h>

#include <float.h>
#include <math.h>
#include <stdio.h>

#include "data/parts.h"
#include "data/transform.h"
#include "data/values.h"

/* ---- channels in other places --------------------------------------------------------------- */

Test(form, shapes_with_channels_last) {
    static const struct {
        ls_array_info stored;
        int64_t shape[LS_MAX_DIMS];
        int64_t channels, spatial;
        bool last;
    } cases[] = {
        {{LS_TYPE_U8, 4, {7, 5, 6, 3}}, {7, 3, 5, 6}, 3, 30, true},
        {{LS_TYPE_I16, 5, {7, 4, 5, 6, 2}}, {7, 2, 4, 5, 6}, 2, 120, true},
        {{LS_TYPE_F32, 3, {7, 9, 2}}, {7, 2, 9}, 2, 9, true},
        {{LS_TYPE_F32, 2, {7, 9}}, {7, 9}, 9, 1, false},
        {{LS_TYPE_F64, 1, {7}}, {7}, 1, 1, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ls_array_info info = cases[i].stored;
        const ls_channels made = ls_channels_of(LS_CHANNELS_LAST, &info);
        cr_expect_eq(info.ndims, cases[i].stored.ndims);
        cr_expect_arr_eq(info.shape, cases[i].shape, (size_t)info.ndims * sizeof *info.shape);
        cr_expect(made.count == cases[i].channels && made.all == made.count && made.first == 0);
        cr_expect(made.spatial == cases[i].spatial && made.last == cases[i].last);
        info = cases[i].stored;
        cr_expect_not(ls_channels_of(LS_CHANNELS_FIRST, &info).last);
        cr_expect_arr_eq(info.shape, cases[i].stored.shape, sizeof info.shape);
    }
}

/* Two arrays, one with its channels last, make samples of three channels, whatever the type. */
Test(form, values_go_to_their_channels) {
    enum { SAMPLES = 3, SPATIAL = 5, ALL = 3 };
    for (size_t size = 1; size <= 8; size *= 2) {
        unsigned char last[SAMPLES * SPATIAL * 2 * 8], first[SAMPLES * SPATIAL * 8];
        unsigned char made[SAMPLES * ALL * SPATIAL * 8];
        for (size_t i = 0; i < SAMPLES * SPATIAL * 2 * size; i++)
            last[i] = (unsigned char)(i * 7);
        for (size_t i = 0; i < SAMPLES * SPATIAL * size; i++)
            first[i] = (unsigned char)(i * 11 + 3);
        const ls_channels two = {size, 2, 0, ALL, SPATIAL, true};
        const ls_channels one = {size, 1, 2, ALL, SPATIAL, false};
        ls_channels_place(&two, SAMPLES, last, made);
        ls_channels_place(&one, SAMPLES, first, made);
        for (size_t n = 0; n < SAMPLES; n++)
            for (size_t c = 0; c < ALL; c++)
                for (size_t i = 0; i < SPATIAL; i++) {
                    const unsigned char *wanted = c < 2 ? last + ((n * SPATIAL + i) * 2 + c) * size
                                                        : first + (n * SPATIAL + i) * size;
                    cr_assert_arr_eq(made + ((n * ALL + c) * SPATIAL + i) * size, wanted, size);
                }
    }
}

/* ---- transforms ----------------------------------------------------------------------------- */

static double ulps(double one, double other) {
    int64_t a, b;
    memcpy(&a, &one, sizeof a);
    memcpy(&b, &other, sizeof b);
    return fabs((double)(a - b));
}

/* Against the library's, over all magnitudes, both signs, and what is refused. */
Test(form, log1p_is_within_two_ulps) {
    enum { COUNT = 1 << 20 };
    static double x[COUNT], y[COUNT];
    const double refused[] = {-1, -1.5, -INFINITY, INFINITY, (double)NAN, -DBL_MAX};
    double worst = 0;
    for (int i = 0; i < COUNT; i++) {
        const uint32_t counter[4] = {(uint32_t)i, 0, 0, 0}, key[2] = {1, 2};
        uint32_t r[4];
        ls_philox(key, counter, r);
        const double share = (r[0] + 0.5) / 4294967296.0;
        x[i] = i % 4 == 0   ? ldexp(share, (int)(r[1] % 1300) - 280)
               : i % 4 == 1 ? -ldexp(share, -(int)(r[1] % 64))
               : i % 4 == 2 ? 4 * share - 1
                            : -1 + ldexp(share, -(int)(r[1] % 50));
        x[i] = x[i] <= -1 ? 0.5 : x[i];
    }
    x[0] = 0;
    x[4] = DBL_MAX;
    x[8] = DBL_MIN;
    memcpy(y, x, sizeof y);
    ls_log1p(COUNT, y);
    for (int i = 0; i < COUNT; i++)
        worst = fmax(worst, ulps(y[i], log1p(x[i])));
    cr_expect_leq(worst, 2, "%g", worst);
    cr_expect_eq(y[0], 0);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        y[0] = refused[i];
        ls_log1p(1, y);
        cr_expect(isnan(y[0]), "%g", refused[i]);
    }
}

static ls_transforms chain(const char *const words[]) {
    ls_transforms made = {0};
    for (; words[made.count]; made.count++) {
        ls_transform *step = &made.step[made.count];
        if (sscanf(words[made.count], "scale %lf", &step->value[0]) == 1)
            step->kind = LS_TRANSFORM_SCALE;
        else if (sscanf(words[made.count], "clip %lf %lf", &step->value[0], &step->value[1]) == 2)
            step->kind = LS_TRANSFORM_CLIP;
    }
    return made;
}

/* All that a type of 8 or 16 bits holds, in float32 step by step, and wide ones in double. */
Test(form, chains_of_every_type) {
    enum { COUNT = 1 << 16 };
    static char stored[COUNT * 8];
    static double out[COUNT];
    const ls_transforms steps =
        chain((const char *const[]){"clip -0.75 30000", "log1p", "scale 0.3", NULL});
    for (ls_type type = LS_TYPE_U8; type <= LS_TYPE_F64; type++) {
        ls_transformer *t;
        cr_assert_eq(ls_transformer_make(&steps, type, &t), LS_OK);
        const bool narrow = t->to == LS_TYPE_F32;
        const int count = ls_type_size(type) == 1 ? 256 : COUNT - 7;
        double x[1];
        for (int i = 0; i < count; i++)
            if (type == LS_TYPE_F32)
                ((float *)(void *)stored)[i] = (float)(i - 30000) / 7;
            else if (type == LS_TYPE_F64)
                ((double *)(void *)stored)[i] = (i - 30000) / 7.0;
            else
                memcpy(stored + (size_t)i * ls_type_size(type), &(int64_t){i - 500},
                       ls_type_size(type));
        cr_expect_eq(narrow, ls_type_size(type) < 4 || type == LS_TYPE_F32);
        ls_transformer_apply(t, stored, count, out);
        for (int i = 0; i < count; i++) {
            ls_values_doubles(type, stored + (size_t)i * ls_type_size(type), 1, x);
            const double clipped = x[0] < -0.75 ? -0.75 : x[0] > 30000 ? 30000 : x[0];
            if (narrow)
                cr_assert_eq(((float *)(void *)out)[i], (float)log1p((float)clipped) * 0.3f,
                             "type %d: %g", type, x[0]);
            else
                cr_assert_leq(ulps(out[i], log1p(clipped) * 0.3), 3, "type %d: %g", type, x[0]);
        }
        cr_expect_eq(ls_transformer_check(t, stored, 0, count, 1, "x"), LS_OK);
        ls_transformer_free(t);
    }
}

Test(form, what_is_refused) {
    const ls_transforms steps = chain((const char *const[]){"log1p", NULL});
    const int16_t values[] = {5, 0, 7, 3, -1, 8};
    const float floats[] = {1, -0.999f, 2, 3, 4, -1.25f};
    ls_transformer *t;
    cr_assert_eq(ls_transformer_make(&steps, LS_TYPE_I16, &t), LS_OK);
    cr_expect_not(t->total);
    cr_expect_eq(ls_transformer_check(t, values, 10, 2, 2, "a.h5: x"), LS_OK);
    cr_expect_eq(ls_transformer_check(t, values, 10, 3, 2, "a.h5: x"), LS_ERR_INPUT);
    cr_expect_not_null(strstr(ls_message(), "a.h5: x: sample 12 holds -1 (value 0 of the sample)"),
                       "%s", ls_message());
    ls_transformer_free(t);
    ls_message_set("");
    cr_assert_eq(ls_transformer_make(&steps, LS_TYPE_F32, &t), LS_OK);
    cr_expect_eq(ls_transformer_check(t, floats, 0, 2, 3, "b.h5: x"), LS_ERR_INPUT);
    cr_expect_not_null(strstr(ls_message(), "sample 1 holds -1.25 (value 2 of the sample)"), "%s",
                       ls_message());
    ls_transformer_free(t);
    cr_assert_eq(ls_transformer_make(&steps, LS_TYPE_U16, &t), LS_OK);
    cr_expect(t->total);
    ls_transformer_free(t);
    ls_message_set("");
}
