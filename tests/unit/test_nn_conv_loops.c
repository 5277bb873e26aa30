/* nn: gradients of convolution weights by our loops, against sums in double: any shape, both widths
 * of vectors, and that nothing else is read or written. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "conv_sums.h"
#include "lockstep/nn.h"
#include "lockstep/threads.h"
#include "nn_check.h"

static void check_gradient(const ls_conv_shape *s, const float *x, const float *dy, const float *dw,
                           const float *db) {
    double magnitude;
    for (int64_t filter = 0; filter < s->filters; filter++) {
        double bias = conv_bias_sum(s, dy, filter, &magnitude);
        conv_check_near(db[filter], bias, magnitude);
        for (int64_t channel = 0; channel < s->channels; channel++)
            CONV_EACH(tap, s->kernel) {
                double gradient = conv_gradient_sum(s, x, dy, filter, channel, tap, &magnitude);
                conv_check_near(*dw++, gradient, magnitude);
            }
    }
}

/* Its outputs, and the rest of what it gives. */
static void check_shape(ls_conv_shape s) {
    enum { BEHIND = 16, THREADS = 3 };
    for (int i = 0; i < 3; i++)
        s.out[i] =
            (s.in[i] + 2 * s.padding[i] - (s.kernel[i] - 1) * s.dilation[i] - 1) / s.stride[i] + 1;
    size_t weights = (size_t)(s.filters * s.channels * s.kernel[0] * s.kernel[1] * s.kernel[2]);
    size_t filters = (size_t)s.filters, scratch_bytes = ls_conv_gradient_scratch(&s);
    float *x = conv_array(s.samples, s.channels, s.inner, s.in, 1);
    float *dy = conv_array(s.samples, s.filters, s.lanes, s.out, 2);
    float *dw = ls_calloc(weights + BEHIND, sizeof *dw);
    float *db = ls_calloc(filters + BEHIND, sizeof *db);
    unsigned char *scratch = ls_calloc(scratch_bytes + BEHIND, 1);
    memset(dw, 0xff, (weights + BEHIND) * sizeof *dw); /* NaNs */
    memset(db, 0xff, (filters + BEHIND) * sizeof *db);
    memset(scratch, 0xff, scratch_bytes + BEHIND);
    ls_conv_gradient(&s, x, dy, scratch, 0, dw, db);
    check_gradient(&s, x, dy, dw, db);
    for (int i = 0; i < BEHIND; i++)
        cr_assert(isnan(dw[weights + (size_t)i]) && isnan(db[filters + (size_t)i]) &&
                  scratch[scratch_bytes + (size_t)i] == 0xff);
    float *again = ls_calloc(weights, sizeof *again);
    ls_conv_gradient(&s, x, dy, scratch, 0, again, NULL);
    cr_expect_arr_eq(again, dw, weights * sizeof *dw);
    void *several = ls_calloc(THREADS, scratch_bytes);
    cr_assert_eq(ls_threads_set(THREADS, NULL), LS_OK);
    memset(again, 0, weights * sizeof *again);
    ls_conv_gradient(&s, x, dy, several, scratch_bytes, again, NULL);
    cr_expect_arr_eq(again, dw, weights * sizeof *dw);
    cr_assert_eq(ls_threads_set(1, NULL), LS_OK);
    void *const arrays[] = {x, dy, dw, db, scratch, several, again};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        ls_free(arrays[i]);
}

/* The shape in both widths that this machine has, the input plain and in blocks. */
static void check(ls_conv_shape shape) {
    static const struct {
        const char *isa;
        int lanes;
    } sets[] = {{"avx2", 8}, {"avx512", 16}};
    for (int i = 0; i < 3; i++) {
        shape.stride[i] = shape.stride[i] ? shape.stride[i] : 1;
        shape.dilation[i] = shape.dilation[i] ? shape.dilation[i] : 1;
    }
    for (int i = 0; i < 2; i++) {
        shape.lanes = sets[i].lanes;
        if (!ls_isa_has(sets[i].isa))
            continue;
        for (int blocked = 0; blocked < 2; blocked++) {
            shape.inner = blocked ? shape.lanes : 1;
            check_shape(shape);
        }
    }
}

#define SHAPE(n, c, f, ...)                                                                        \
    check((ls_conv_shape){.samples = (n), .channels = (c), .filters = (f), __VA_ARGS__})

Test(nn_conv_loops, images) {
    SHAPE(2, 1, 32, .in = {9, 1, 8}, .kernel = {5, 1, 5}, .padding = {2, 0, 2});
    SHAPE(1, 3, 17, .in = {7, 1, 11}, .kernel = {3, 1, 2}, .stride = {2, 1, 3},
          .padding = {1, 0, 0});
    SHAPE(3, 6, 5, .in = {6, 1, 7}, .kernel = {2, 1, 3}, .dilation = {3, 1, 2},
          .padding = {1, 0, 3});
    SHAPE(1, 19, 40, .in = {4, 1, 4}, .kernel = {3, 1, 3}, .padding = {1, 0, 1});
    SHAPE(2, 2, 8, .in = {3, 1, 3}, .kernel = {1, 1, 1}, .padding = {4, 0, 4}, .stride = {2, 1, 2});
}

Test(nn_conv_loops, signals) {
    SHAPE(2, 1, 24, .in = {1, 1, 300}, .kernel = {1, 1, 7}, .padding = {0, 0, 3});
    SHAPE(1, 5, 9, .in = {1, 1, 21}, .kernel = {1, 1, 4}, .stride = {1, 1, 3},
          .dilation = {1, 1, 2});
}

Test(nn_conv_loops, volumes) {
    SHAPE(2, 1, 3, .in = {4, 5, 6}, .kernel = {3, 2, 3}, .padding = {1, 1, 1});
    SHAPE(1, 4, 33, .in = {5, 4, 5}, .kernel = {3, 3, 3}, .padding = {1, 1, 1},
          .stride = {2, 1, 2});
    SHAPE(2, 11, 16, .in = {4, 3, 5}, .kernel = {2, 3, 2}, .dilation = {2, 1, 3},
          .padding = {0, 1, 2});
}

/* More than one slab of planes, the last one a part. */
Test(nn_conv_loops, large_arrays) {
    SHAPE(1, 1, 8, .in = {400, 1, 500}, .kernel = {3, 1, 2}, .padding = {1, 0, 1});
    SHAPE(1, 2, 8, .in = {37, 60, 60}, .kernel = {2, 1, 2}, .stride = {2, 1, 1});
    SHAPE(1, 1, 8, .in = {3, 390, 400}, .kernel = {2, 1, 1}); /* a plane alone is more */
}

/* As layers have it: with AVX2, where most first layers are done by these loops. */
Test(nn_conv_loops, layers_with_avx2) {
    if (ls_compute_init(1, "avx2") != LS_OK)
        return;
#define CHECK(...)                                                                                 \
    net_check(&(net_case){.outputs = 3,                                                            \
                          .loss = LS_LOSS_MEAN_SQUARED_ERROR,                                      \
                          .slots = 2,                                                              \
                          .samples = {5, 3},                                                       \
                          __VA_ARGS__})
    CHECK(.input = {3, {1, 14, 13}}, .layers = NN_LIST(NN_CONV(9, 3), NN_GLOBAL_POOL, NN_DENSE(3)));
    CHECK(.input = {4, {2, 6, 6, 6}},
          .layers = NN_LIST(NN_CONV(9, 2), NN_CONV(3, 2, .padding = NN_EACH(1)), NN_GLOBAL_POOL,
                            NN_DENSE(3)));
    CHECK(.input = {2, {1, 200}}, .layers = NN_LIST(NN_CONV(8, 5), NN_GLOBAL_POOL, NN_DENSE(3)));
}

/* Where the library is not fast, unless there is little to do; else with AVX2 and few channels. */
Test(nn_conv_loops, chosen_by_shape) {
    ls_conv_shape shape = {.lanes = 8, .samples = 2, .inner = 1, .out = {16, 1, 16}};
    cr_expect(ls_conv_gradient_pays(&shape, false));
    cr_expect(ls_conv_gradient_pays(&shape, true));
    shape.inner = 8;
    cr_expect(ls_conv_gradient_pays(&shape, false));
    cr_expect_not(ls_conv_gradient_pays(&shape, true));
    shape.samples = 1;
    cr_expect_not(ls_conv_gradient_pays(&shape, false));
    shape = (ls_conv_shape){.lanes = 16, .samples = 2, .inner = 1, .out = {16, 1, 16}};
    cr_expect(ls_conv_gradient_pays(&shape, false));
    cr_expect_not(ls_conv_gradient_pays(&shape, true));
}
