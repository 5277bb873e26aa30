/* nn: maximum pooling by our loops, as oneDNN has it, bit by bit: any shape and layout, and numbers
 * that are none. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "nn/pool_loops.h"

/* A small number of different ones, so that windows have equal ones, and now and then another. */
static void fill(size_t count, float *x, unsigned seed, bool odd) {
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        unsigned kind = (seed >> 8) % 16;
        x[i] = (float)(int)(seed >> 24) - 128;
        if (odd)
            x[i] = kind < 5 ? NAN : kind < 10 ? -INFINITY : kind == 10 ? INFINITY : x[i];
    }
}

/* Channels that a blocked layout has beyond the array's are 0 everywhere. */
static void clear_padding(const ls_layout *layout, size_t count, float *x) {
    int64_t outer, inner, channels = ls_layout_dims(layout).size[1];
    cr_assert(ls_layout_view(layout, &outer, &inner));
    int64_t blocks = (channels + inner - 1) / inner;
    size_t plane = count / (size_t)outer;
    for (size_t i = 0; i < count; i++)
        if ((int64_t)(i / plane) % blocks * inner + (int64_t)i % inner >= channels)
            x[i] = 0;
}

static void run(ls_dnnl_engine *engine, const ls_kernel *kernel, const ls_binding *bindings) {
    ls_call *call;
    cr_assert_eq(ls_call_create(engine, kernel, bindings, 4, &call), LS_OK);
    cr_assert_eq(ls_call_run(call), LS_OK);
    ls_call_free(call);
}

/* Both on numbers in this layout, whose sums, where windows overlap, are exact: small integers. */
static void compare(ls_dnnl_engine *engine, const ls_window *window, const ls_layout *src,
                    const ls_dims *dst, bool odd) {
    ls_kernel *forward, *backward;
    ls_pool_shape shape;
    cr_assert_eq(ls_pool_forward(engine, LS_POOL_MAX, window, src, dst, true, &forward), LS_OK);
    cr_assert_eq(ls_pool_backward(engine, LS_POOL_MAX, window, forward, &backward), LS_OK);
    cr_assert(ls_pool_shape_make(window, src, dst, &shape));
    size_t in = ls_layout_elements(src), out = ls_pool_outputs(&shape);
    cr_assert_eq(ls_kernel_bytes(forward, LS_ARG_DST), out * sizeof(float));
    size_t scratch_bytes =
        ls_kernel_bytes(forward, LS_ARG_SCRATCH) + ls_kernel_bytes(backward, LS_ARG_SCRATCH) + 1;
    float *x = ls_calloc(in, sizeof *x), *y = ls_calloc(out, sizeof *y);
    float *dx = ls_calloc(in, sizeof *dx), *dy = ls_calloc(out, sizeof *dy);
    float *our_y = ls_calloc(out, sizeof *y), *our_dx = ls_calloc(in, sizeof *dx);
    uint8_t *places = ls_calloc(out, 1);
    void *workspace = ls_calloc(1, ls_kernel_bytes(forward, LS_ARG_WORKSPACE));
    void *scratch = ls_calloc(1, scratch_bytes);
    fill(in, x, 1, odd);
    fill(out, dy, 2, false);
    clear_padding(src, in, x);
    clear_padding(src, out, dy);
    run(engine, forward,
        (const ls_binding[]){{LS_ARG_SRC, x},
                             {LS_ARG_DST, y},
                             {LS_ARG_WORKSPACE, workspace},
                             {LS_ARG_SCRATCH, scratch}});
    run(engine, backward,
        (const ls_binding[]){{LS_ARG_DIFF_DST, dy},
                             {LS_ARG_DIFF_SRC, dx},
                             {LS_ARG_WORKSPACE, workspace},
                             {LS_ARG_SCRATCH, scratch}});
    memset(our_dx, 0xff, in * sizeof *our_dx); /* what is not written is a NaN */
    ls_pool_max(&shape, x, our_y, NULL);
    cr_expect_arr_eq(our_y, y, out * sizeof *y);
    memset(our_y, 0xff, out * sizeof *our_y);
    ls_pool_max(&shape, x, our_y, places);
    ls_pool_max_gradient(&shape, places, dy, our_dx);
    cr_expect_arr_eq(our_y, y, out * sizeof *y);
    for (size_t i = 0; i < in; i++)
        cr_assert_eq(our_dx[i], dx[i], "gradient %zu: %g, not %g", i, (double)our_dx[i],
                     (double)dx[i]);
    void *const arrays[] = {x, y, dx, dy, our_y, our_dx, places, workspace, scratch};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        ls_free(arrays[i]);
    ls_kernel_free(forward);
    ls_kernel_free(backward);
}

/* The plain layout, and that which a convolution likes for so many channels. */
static void check(const ls_dims *src, const ls_window *window, bool odd) {
    static const ls_window point = {
        .kernel = {1, 1, 1}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}};
    ls_dnnl_engine *engine;
    const ls_layout *plain;
    ls_kernel *conv;
    ls_window one = point;
    ls_dims weights = {src->n, {src->size[1], 16, 1, 1, 1}}, from = *src, dst = *src;
    one.ndims = window->ndims;
    from.size[1] = 16;
    for (int i = 0; i < window->ndims; i++)
        dst.size[2 + i] =
            (src->size[2 + i] + 2 * window->padding[i] - window->kernel[i]) / window->stride[i] + 1;
    cr_assert_eq(ls_dnnl_engine_create(&engine), LS_OK);
    cr_assert_eq(ls_layout_plain(engine, LS_COMPUTE_FLOAT32, src, &plain), LS_OK);
    compare(engine, window, plain, &dst, odd);
    cr_assert_eq(
        ls_conv_forward(engine, LS_COMPUTE_FLOAT32, &one, &from, &weights, true, src, &conv),
        LS_OK);
    compare(engine, window, ls_kernel_layout(conv, LS_ARG_DST), &dst, odd);
    ls_kernel_free(conv);
    ls_dnnl_engine_free(engine);
}

#define DIMS(...)                                                                                  \
    &(const ls_dims) {                                                                             \
        sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), {                                      \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define WINDOW(n, ...)                                                                             \
    &(const ls_window) {                                                                           \
        .ndims = n, __VA_ARGS__, .dilation = { 1, 1, 1 }                                           \
    }

Test(nn_pool_loops, as_the_library) {
    for (int odd = 0; odd < 2; odd++) {
        check(DIMS(2, 8, 6, 6), WINDOW(2, .kernel = {2, 2}, .stride = {2, 2}), odd);
        check(DIMS(3, 19, 7, 9), WINDOW(2, .kernel = {2, 3}, .stride = {2, 3}), odd);
        check(DIMS(1, 5, 7, 7), WINDOW(2, .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}),
              odd);
        check(DIMS(2, 24, 1, 11), WINDOW(2, .kernel = {1, 4}, .stride = {1, 3}, .padding = {0, 2}),
              odd);
        check(DIMS(1, 1, 9, 8), WINDOW(2, .kernel = {2, 2}, .stride = {3, 3}), odd);
        check(DIMS(2, 16, 4, 4, 5), WINDOW(3, .kernel = {2, 2, 2}, .stride = {2, 2, 2}), odd);
        check(DIMS(2, 11, 5, 4, 7),
              WINDOW(3, .kernel = {3, 2, 3}, .stride = {2, 1, 2}, .padding = {1, 1, 1}), odd);
    }
}

Test(nn_pool_loops, large_windows_are_not_theirs) {
    ls_dnnl_engine *engine;
    const ls_layout *plain;
    ls_pool_shape shape;
    cr_assert_eq(ls_dnnl_engine_create(&engine), LS_OK);
    cr_assert_eq(ls_layout_plain(engine, LS_COMPUTE_FLOAT32, DIMS(1, 1, 17, 16), &plain), LS_OK);
    cr_expect(ls_pool_shape_make(WINDOW(2, .kernel = {16, 16}, .stride = {1, 1}), plain,
                                 DIMS(1, 1, 2, 1), &shape));
    cr_expect_not(ls_pool_shape_make(WINDOW(2, .kernel = {17, 16}, .stride = {1, 1}), plain,
                                     DIMS(1, 1, 1, 1), &shape));
    ls_dnnl_engine_free(engine);
}
