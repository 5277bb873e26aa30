/* data: how the values of files become samples. */
#include <criterion/criterion.h>
#include <string.h>

#include "data/parts.h"

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
