/* nn: convolutions by Winograd's method, against sums in double: any shape that the method takes,
 * and that nothing else is read or written. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "conv_sums.h"
#include "lockstep/nn.h"
#include "lockstep/threads.h"
#include "nn/panel.h"
#include "nn/winograd.h"
#include "nn_check.h"

enum { BEHIND = 16, THREADS = 3 };

/* Each sum of a tile has a share of the errors of all: what counts is how large its sums may be,
 * with terms of up to 1, and not how large one happens to be. */
static void check_near(double value, double wanted, int64_t terms) {
    conv_check_near(value, wanted, (double)terms);
}

static int64_t size_of(const int64_t size[3]) {
    return size[0] * size[1] * size[2];
}

/* Floats, and some behind them that must stay NaNs. */
static float *make_result(size_t count) {
    float *result = ls_calloc(count + BEHIND, sizeof *result);
    memset(result, 0xff, (count + BEHIND) * sizeof *result);
    return result;
}

static void check_behind(const float *result, size_t count) {
    for (size_t i = 0; i < BEHIND; i++)
        cr_assert(isnan(result[count + i]), "written behind the end");
}

static size_t array_floats(int64_t samples, int64_t channels, const int64_t size[3]) {
    return (size_t)(samples * channels * size_of(size));
}

/* Makes the pass, with one thread and with several, whose results must be the same. */
static float *run(const ls_winograd *w, const float *from, const float *weights,
                  const float *bias) {
    const size_t count = array_floats(w->samples, w->filters, w->out);
    const size_t bytes = ls_winograd_scratch(w), step = bytes + sizeof(float) * BEHIND;
    float *packed = make_result(ls_winograd_weight_floats(w));
    unsigned char *scratch = ls_calloc(THREADS, step);
    float *to = make_result(count), *again = make_result(count);
    memset(scratch, 0xff, THREADS * step);
    ls_winograd_pack(w, weights, packed);
    ls_winograd_run(w, from, packed, bias, to, scratch, step);
    cr_assert_eq(ls_threads_set(THREADS, NULL), LS_OK);
    ls_winograd_pack(w, weights, packed);
    ls_winograd_run(w, from, packed, bias, again, scratch, step);
    cr_assert_eq(ls_threads_set(1, NULL), LS_OK);
    cr_expect_arr_eq(to, again, count * sizeof *to);
    check_behind(to, count);
    check_behind(packed, ls_winograd_weight_floats(w));
    for (int i = 0; i < THREADS; i++)
        check_behind((const float *)(const void *)(scratch + (size_t)i * step),
                     bytes / sizeof(float));
    ls_free(packed);
    ls_free(scratch);
    ls_free(again);
    return to;
}

static void check_outputs(const ls_conv_shape *s, const float *x, const float *weights,
                          const float *bias, const float *y) {
    double magnitude;
    for (int64_t sample = 0; sample < s->samples; sample++)
        for (int64_t filter = 0; filter < s->filters; filter++)
            CONV_EACH(at, s->out) {
                double sum = conv_output_sum(s, x, weights, sample, filter, at, &magnitude);
                check_near(conv_element(y, s->filters, s->lanes, s->out, sample, filter, at),
                           sum + bias[filter], s->channels * size_of(s->kernel) + 1);
            }
}

static void check_input_gradient(const ls_conv_shape *s, const float *dy, const float *weights,
                                 const float *dx) {
    double magnitude;
    for (int64_t sample = 0; sample < s->samples; sample++)
        for (int64_t channel = 0; channel < s->channels; channel++)
            CONV_EACH(at, s->in) {
                double sum = conv_input_sum(s, dy, weights, sample, channel, at, &magnitude);
                check_near(conv_element(dx, s->channels, s->inner, s->in, sample, channel, at), sum,
                           s->filters * size_of(s->kernel));
            }
}

/* Of weights a few, spread: each costs a sum over all outputs. */
static void check_weight_gradient(const ls_conv_shape *s, const float *x, const float *dy,
                                  const float *dw, const float *db) {
    const int64_t few = 3;
    double magnitude;
    for (int64_t filter = 0; filter < s->filters; filter++) {
        double bias = conv_bias_sum(s, dy, filter, &magnitude);
        check_near(db[filter], bias, s->samples * size_of(s->out));
        for (int64_t channel = 0; channel < s->channels; channel++)
            CONV_EACH(tap, s->kernel) {
                const float value = *dw++;
                if ((filter + channel) % few != 0)
                    continue;
                double sum = conv_gradient_sum(s, x, dy, filter, channel, tap, &magnitude);
                check_near(value, sum, s->samples * size_of(s->out));
            }
    }
}

static void check_gradient(const ls_conv_shape *s, const ls_winograd *w, const float *x,
                           const float *dy) {
    const size_t taps = (size_t)size_of(s->kernel);
    const size_t count = (size_t)(s->filters * s->channels) * taps, filters = (size_t)s->filters;
    const size_t floats = ls_winograd_gradient_scratch(w) / sizeof(float);
    float *dw = make_result(count), *db = make_result(filters), *again = make_result(count);
    float *scratch = make_result(floats);
    ls_winograd_gradient(w, x, dy, scratch, dw, db);
    check_weight_gradient(s, x, dy, dw, db);
    cr_assert_eq(ls_threads_set(THREADS, NULL), LS_OK);
    ls_winograd_gradient(w, x, dy, scratch, again, NULL);
    cr_assert_eq(ls_threads_set(1, NULL), LS_OK);
    cr_expect_arr_eq(again, dw, count * sizeof *dw);
    check_behind(dw, count);
    check_behind(db, filters);
    check_behind(scratch, floats);
    float *const arrays[] = {dw, db, again, scratch};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        ls_free(arrays[i]);
}

static ls_conv_shape complete(ls_conv_shape s) {
    s.lanes = 8;
    s.inner = 8;
    for (int i = 0; i < 3; i++) {
        s.stride[i] = s.stride[i] ? s.stride[i] : 1;
        s.dilation[i] = s.dilation[i] ? s.dilation[i] : 1;
        s.out[i] = s.in[i] + 2 * s.padding[i] - s.kernel[i] + 1;
    }
    return s;
}

static void check(ls_conv_shape shape) {
    static const int64_t one[3] = {1, 1, 1};
    const ls_conv_shape s = complete(shape);
    ls_winograd forward, backward;
    if (!ls_panel_there())
        cr_skip_test("no AVX2");
    cr_assert(ls_winograd_make(&s, false, &forward));
    cr_assert(ls_winograd_make(&s, true, &backward));
    float *x = conv_array(s.samples, s.channels, s.inner, s.in, 1);
    float *dy = conv_array(s.samples, s.filters, s.lanes, s.out, 2);
    float *weights = conv_array(s.filters, s.channels, 1, s.kernel, 3);
    float *bias = conv_array(1, s.filters, 1, one, 4);
    float *y = run(&forward, x, weights, bias), *dx = run(&backward, dy, weights, NULL);
    check_outputs(&s, x, weights, bias, y);
    check_input_gradient(&s, dy, weights, dx);
    check_gradient(&s, &forward, x, dy);
    float *const arrays[] = {x, dy, weights, bias, y, dx};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        ls_free(arrays[i]);
}

#define SHAPE(n, c, f, ...)                                                                        \
    check((ls_conv_shape){.samples = (n), .channels = (c), .filters = (f), __VA_ARGS__})

static void with_avx2(void) {
    ls_compute_init(1, "avx2"); /* where it is not there, neither is what is tested */
}

Test(nn_winograd, images, .init = with_avx2) {
    SHAPE(3, 8, 16, .in = {6, 1, 6}, .kernel = {3, 1, 3}, .padding = {1, 0, 1});
    SHAPE(2, 16, 24, .in = {5, 1, 8}, .kernel = {3, 1, 3}, .padding = {0, 0, 0});
    SHAPE(1, 40, 8, .in = {7, 1, 3}, .kernel = {3, 1, 3}, .padding = {2, 0, 1});
    SHAPE(1, 8, 8, .in = {3, 1, 3}, .kernel = {3, 1, 3}); /* a single output */
    SHAPE(1, 8, 8, .in = {1, 1, 1}, .kernel = {3, 1, 3}, .padding = {1, 0, 1});
    SHAPE(3, 16, 8, .in = {17, 1, 19}, .kernel = {3, 1, 3}, .padding = {1, 0, 1}); /* blocks */
}

Test(nn_winograd, images_with_5_taps, .init = with_avx2) {
    SHAPE(3, 8, 16, .in = {6, 1, 6}, .kernel = {5, 1, 5}, .padding = {2, 0, 2});
    SHAPE(2, 16, 24, .in = {5, 1, 8}, .kernel = {5, 1, 5}, .padding = {0, 0, 1});
    SHAPE(1, 8, 8, .in = {2, 1, 1}, .kernel = {5, 1, 5}, .padding = {4, 0, 3});
    SHAPE(2, 16, 8, .in = {11, 1, 9}, .kernel = {5, 1, 5}, .padding = {2, 0, 2}); /* blocks */
}

Test(nn_winograd, volumes, .init = with_avx2) {
    SHAPE(2, 8, 16, .in = {4, 4, 4}, .kernel = {3, 3, 3}, .padding = {1, 1, 1});
    SHAPE(1, 16, 8, .in = {3, 6, 5}, .kernel = {3, 3, 3}, .padding = {0, 1, 2});
    SHAPE(2, 8, 24, .in = {5, 3, 4}, .kernel = {3, 3, 3}, .padding = {2, 0, 1});
    SHAPE(1, 8, 8, .in = {9, 8, 7}, .kernel = {3, 3, 3}, .padding = {1, 1, 1}); /* blocks */
    SHAPE(1, 8, 8, .in = {13, 15, 14}, .kernel = {3, 3, 3},
          .padding = {1, 1, 0}); /* larger tiles */
}

/* What it is not for. */
Test(nn_winograd, refuses, .init = with_avx2) {
    static const ls_conv_shape shapes[] = {
        {.channels = 8, .filters = 8, .kernel = {3, 1, 3}, .stride = {2, 1, 2}},
        {.channels = 8, .filters = 8, .kernel = {3, 1, 3}, .dilation = {1, 1, 2}},
        {.channels = 8, .filters = 8, .kernel = {5, 1, 3}},
        {.channels = 8, .filters = 8, .kernel = {5, 5, 5}},
        {.channels = 8, .filters = 8, .kernel = {7, 1, 7}},
        {.channels = 8, .filters = 8, .kernel = {1, 1, 3}},
        {.channels = 8, .filters = 8, .kernel = {3, 3, 1}},
        {.channels = 8, .filters = 8, .kernel = {3, 1, 3}, .padding = {3, 0, 0}},
        {.channels = 12, .filters = 8, .kernel = {3, 1, 3}},
        {.channels = 8, .filters = 12, .kernel = {3, 1, 3}},
    };
    ls_winograd winograd;
    if (!ls_panel_there())
        cr_skip_test("no AVX2");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        ls_conv_shape s = shapes[i];
        s.samples = 1;
        s.in[0] = s.in[2] = 9;
        s.in[1] = s.kernel[1] == 1 ? 1 : 9;
        s = complete(s);
        cr_expect_not(ls_winograd_make(&s, false, &winograd), "shape %zu", i);
        cr_expect_not(ls_winograd_make(&s, true, &winograd), "shape %zu", i);
    }
}

/* Root mean square of the errors of the method, and of sums in float32 that are made one term after
 * the other. */
static void measure(const ls_conv_shape *s, double *winograd, double *direct) {
    ls_winograd forward;
    cr_assert(ls_winograd_make(s, false, &forward));
    float *x = conv_array(s->samples, s->channels, s->inner, s->in, 1);
    float *weights = conv_array(s->filters, s->channels, 1, s->kernel, 3);
    float *y = run(&forward, x, weights, NULL);
    double count = 0, magnitude;
    *winograd = *direct = 0;
    for (int64_t filter = 0; filter < s->filters; filter += 16)
        CONV_EACH(at, s->out) {
            double sum = conv_output_sum(s, x, weights, 0, filter, at, &magnitude);
            float plain = 0;
            for (int64_t channel = 0; channel < s->channels; channel++) {
                const float *w = weights + (filter * s->channels + channel) * size_of(s->kernel);
                CONV_EACH(tap, s->kernel) {
                    int64_t from[3];
                    for (int i = 0; i < 3; i++)
                        from[i] = at[i] - s->padding[i] + tap[i];
                    plain =
                        fmaf((float)conv_element(x, s->channels, s->inner, s->in, 0, channel, from),
                             *w++, plain);
                }
            }
            *direct += pow(plain - sum, 2);
            *winograd += pow(conv_element(y, s->filters, s->lanes, s->out, 0, filter, at) - sum, 2);
            count++;
        }
    *winograd = sqrt(*winograd / count);
    *direct = sqrt(*direct / count);
    ls_free(x);
    ls_free(weights);
    ls_free(y);
}

/* Sums of fewer terms make up for what the transforms of 4 points lose, but not for those of 6. */
Test(nn_winograd, errors_beside_direct_sums, .init = with_avx2) {
    const struct {
        ls_conv_shape shape;
        double most; /* times the error of direct sums */
    } cases[] = {
        {{.samples = 1,
          .channels = 64,
          .filters = 64,
          .in = {16, 1, 16},
          .kernel = {3, 1, 3},
          .padding = {1, 0, 1}},
         3},
        {{.samples = 1,
          .channels = 32,
          .filters = 64,
          .in = {14, 1, 14},
          .kernel = {5, 1, 5},
          .padding = {2, 0, 2}},
         3},
        {{.samples = 1,
          .channels = 64,
          .filters = 32,
          .in = {8, 8, 8},
          .kernel = {3, 3, 3},
          .padding = {1, 1, 1}},
         1},
        {{.samples = 1,
          .channels = 32,
          .filters = 32,
          .in = {12, 12, 12},
          .kernel = {3, 3, 3},
          .padding = {1, 1, 1}},
         8},
    };
    double winograd, direct;
    if (!ls_panel_there())
        cr_skip_test("no AVX2");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const ls_conv_shape shape = complete(cases[i].shape);
        measure(&shape, &winograd, &direct);
        cr_log_info("root mean square error %.2g, of direct sums %.2g", winograd, direct);
        cr_expect(winograd < cases[i].most * direct, "%g, of direct sums %g", winograd, direct);
    }
}

/* As a layer has it: so many outputs that it is chosen, for all passes. */
Test(nn_winograd, layers, .init = with_avx2) {
    const net_case wanted = {.input = {3, {1, 16, 16}},
                             .outputs = 2,
                             .loss = LS_LOSS_MEAN_SQUARED_ERROR,
                             .layers =
                                 NN_LIST(NN_CONV(16, 1), NN_CONV(16, 3, .padding = NN_EACH(1)),
                                         NN_GLOBAL_POOL, NN_DENSE(2)),
                             .slots = 1,
                             .samples = {1}};
    ls_pass_work forward, backward;
    if (!ls_panel_there())
        cr_skip_test("no AVX2");
    net_network network = net_open(&wanted);
    ls_plan *plan = net_plan(&network, LS_MODE_TRAIN, 1, wanted.samples, 0);
    ls_plan_work(plan, 1, &forward, &backward);
    cr_expect_str_eq(forward.kernel[0], LS_WINOGRAD);
    cr_expect_str_eq(backward.kernel[0], LS_WINOGRAD);
    cr_expect_str_eq(backward.kernel[1], LS_WINOGRAD);
    ls_plan_free(plan);
    net_close(&network);
    net_check(&wanted);
}
