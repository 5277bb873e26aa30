/* nn: passes of convolutions in parts, against the same kernels for the whole. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "lockstep/nn.h"
#include "nn/conv_parts.h"

#define TRY(expression) cr_assert_eq((expression), LS_OK, "%s: %s", #expression, ls_message())

/* So much work that all is parted that can be. */
static const double flops = 1e12;

typedef struct conv_case {
    int ndims;
    int64_t samples, channels, filters, groups;
    int64_t in[3], kernel[3], stride, padding, dilation;
    int blocks[LS_CONV_PASSES]; /* of a sample, expected at the most */
} conv_case;

static const conv_case cases[] = {
    {2, 1, 3, 48, 1, {1, 301}, {1, 5}, 1, 2, 1, {3, 1, 3}},        /* 1-D, a first layer */
    {2, 1, 32, 48, 1, {1, 57}, {1, 3}, 2, 1, 1, {3, 2, 3}},        /* 1-D with steps */
    {2, 1, 32, 64, 1, {13, 9}, {3, 3}, 1, 1, 1, {4, 2, 4}},        /* 2-D */
    {2, 3, 64, 32, 1, {11, 7}, {3, 5}, 2, 2, 1, {2, 4, 1}},        /* 2-D, samples */
    {2, 1, 48, 32, 1, {14, 15}, {3, 3}, 1, 0, 2, {2, 3, 2}},       /* 2-D, dilated */
    {2, 1, 64, 96, 1, {9, 9}, {1, 1}, 1, 0, 1, {6, 4, 6}},         /* 2-D, points */
    {2, 2, 18, 20, 1, {9, 11}, {3, 3}, 1, 1, 1, {1, 1, 1}},        /* channels of no block */
    {2, 2, 32, 64, 2, {9, 11}, {3, 3}, 1, 1, 1, {1, 1, 1}},        /* groups */
    {3, 1, 4, 32, 1, {7, 9, 11}, {3, 3, 3}, 1, 1, 1, {2, 1, 2}},   /* 3-D, a first layer */
    {3, 1, 32, 64, 1, {5, 9, 7}, {3, 3, 3}, 1, 1, 1, {4, 2, 4}},   /* 3-D */
    {3, 2, 32, 48, 1, {9, 7, 8}, {3, 2, 3}, 2, 1, 1, {3, 2, 1}},   /* 3-D with steps, samples */
    {3, 1, 272, 32, 1, {2, 3, 2}, {3, 3, 3}, 1, 1, 1, {2, 17, 2}}, /* more blocks than are made */
};

/* The arrays of a kernel's call. */
typedef struct arrays {
    float *data[LS_ARGS];
} arrays;

static ls_window window_of(const conv_case *c) {
    ls_window window = {.ndims = c->ndims};
    for (int i = 0; i < c->ndims; i++) {
        bool flat = c->kernel[i] == 1 && c->in[i] == 1;
        window.kernel[i] = c->kernel[i];
        window.stride[i] = flat ? 1 : c->stride;
        window.padding[i] = flat ? 0 : c->padding;
        window.dilation[i] = flat ? 1 : c->dilation;
    }
    return window;
}

static void make_dims(const conv_case *c, ls_dims *src, ls_dims *weights, ls_dims *dst) {
    const ls_window w = window_of(c);
    *src = (ls_dims){c->ndims + 2, {c->samples, c->channels}};
    *dst = (ls_dims){c->ndims + 2, {c->samples, c->filters}};
    *weights = (ls_dims){0};
    if (c->groups > 1)
        weights->size[weights->n++] = c->groups;
    weights->size[weights->n++] = c->filters / c->groups;
    weights->size[weights->n++] = c->channels / c->groups;
    for (int i = 0; i < c->ndims; i++) {
        src->size[2 + i] = c->in[i];
        dst->size[2 + i] =
            (c->in[i] + 2 * w.padding[i] - (w.kernel[i] - 1) * w.dilation[i] - 1) / w.stride[i] + 1;
        weights->size[weights->n++] = c->kernel[i];
    }
}

static ls_status make_kernel(ls_dnnl_engine *engine, const conv_case *c, ls_conv_direction pass,
                             ls_kernel **kernel) {
    const ls_window window = window_of(c);
    ls_dims src, weights, dst;
    ls_kernel *forward;
    make_dims(c, &src, &weights, &dst);
    LS_TRY(
        ls_conv_forward(engine, LS_COMPUTE_FLOAT32, &window, &src, &weights, true, &dst, &forward));
    if (pass == LS_CONV_FORWARD) {
        *kernel = forward;
        return LS_OK;
    }
    ls_status status = pass == LS_CONV_DATA
                           ? ls_conv_backward_data(engine, &window, forward, true, kernel)
                           : ls_conv_backward_weights(engine, &window, forward, true, kernel);
    ls_kernel_free(forward);
    return status;
}

static void fill(float *array, size_t count, uint32_t seed) {
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        array[i] = (float)(seed >> 8) / (1 << 23) - 1;
    }
}

/* An array from its plain form into a kernel's layout, or back; both by the library. */
static void reorder(ls_dnnl_engine *engine, const ls_layout *from, const ls_layout *to,
                    const float *source, float *target) {
    ls_kernel *kernel;
    ls_call *call;
    TRY(ls_reorder(engine, from, to, &kernel));
    void *scratch = ls_calloc(1, ls_kernel_bytes(kernel, LS_ARG_SCRATCH) + 1);
    const ls_binding bindings[] = {
        {LS_ARG_SRC, source}, {LS_ARG_DST, target}, {LS_ARG_SCRATCH, scratch}};
    TRY(ls_call_create(engine, kernel, bindings, 3, &call));
    TRY(ls_call_run(call));
    ls_call_free(call);
    ls_kernel_free(kernel);
    ls_free(scratch);
}

/* Runs the kernel on arrays that begin so many pieces, each as large as its argument, on. */
static void run(ls_dnnl_engine *engine, const ls_kernel *kernel, const arrays *on,
                const int index[LS_ARGS]) {
    ls_binding bindings[LS_ARGS];
    ls_call *call;
    void *scratch = ls_calloc(1, ls_kernel_bytes(kernel, LS_ARG_SCRATCH) + 1);
    for (int i = 0; i < LS_ARGS; i++) {
        size_t step = ls_kernel_bytes(kernel, (ls_arg)i) / sizeof(float);
        float *data = on->data[i] ? on->data[i] + (size_t)index[i] * step : NULL;
        bindings[i] = (ls_binding){(ls_arg)i, i == LS_ARG_SCRATCH ? scratch : data};
    }
    TRY(ls_call_create(engine, kernel, bindings, LS_ARGS, &call));
    TRY(ls_call_run(call));
    ls_call_free(call);
    ls_free(scratch);
}

/* Weights are packed for each kernel: the plain ones, from their first element on, as it wants. */
static float *pack(ls_dnnl_engine *engine, const ls_dims *dims, const ls_kernel *kernel, int block,
                   int dim, const float *weights) {
    const ls_layout *plain, *from, *to = ls_kernel_layout(kernel, LS_ARG_WEIGHTS);
    const ls_dims part = ls_layout_dims(to);
    size_t step = (size_t)part.size[dim];
    for (int i = dim + 1; i < dims->n; i++)
        step *= (size_t)dims->size[i];
    TRY(ls_layout_plain(engine, LS_COMPUTE_FLOAT32, dims, &plain));
    TRY(ls_layout_part(engine, plain, &part, &from));
    float *packed = ls_calloc(1, ls_layout_bytes(to));
    reorder(engine, from, to, weights + (size_t)block * step, packed);
    return packed;
}

typedef struct outcome {
    float *result, *bias;
    size_t count; /* of the result, plain */
} outcome;

/* The plain gradient of the weights, block after block. */
static void unpack(ls_dnnl_engine *engine, const ls_kernel *kernel, const float *packed,
                   float *plain) {
    const ls_layout *from = ls_kernel_layout(kernel, LS_ARG_DIFF_WEIGHTS), *to;
    const ls_dims dims = ls_layout_dims(from);
    TRY(ls_layout_plain(engine, LS_COMPUTE_FLOAT32, &dims, &to));
    reorder(engine, from, to, packed, plain);
}

static size_t elements(const ls_dims *dims) {
    size_t count = 1;
    for (int i = 0; i < dims->n; i++)
        count *= (size_t)dims->size[i];
    return count;
}

/* Runs `parts` calls of the kernel over arrays in the layouts of the whole one. */
static outcome run_all(ls_dnnl_engine *engine, const conv_case *c, ls_conv_direction pass,
                       const ls_kernel *whole, const ls_kernel *kernel, int parts) {
    const bool weights_wanted = pass == LS_CONV_WEIGHTS;
    const ls_arg parted = ls_conv_parted(pass);
    const ls_arg other = pass == LS_CONV_DATA ? LS_ARG_DIFF_DST : LS_ARG_SRC;
    const int dim = ls_conv_parted_dim(pass),
              blocks = weights_wanted ? parts : parts / (int)c->samples;
    ls_dims src, weights, dst;
    make_dims(c, &src, &weights, &dst);
    outcome made = {.count = elements(&weights)};
    float *plain = ls_calloc(made.count, sizeof *plain);
    arrays on = {{0}};
    for (int i = 0; i < LS_ARGS; i++)
        if (ls_kernel_layout(whole, (ls_arg)i) && i != LS_ARG_SCRATCH)
            on.data[i] = ls_calloc(1, ls_kernel_bytes(whole, (ls_arg)i));
    fill(plain, made.count, 5);
    if (on.data[LS_ARG_BIAS])
        fill(on.data[LS_ARG_BIAS], (size_t)c->filters, 7);
    for (int i = 0; i < 2; i++) { /* the inputs, plain first: paddings of blocks stay 0 */
        const ls_arg arg = i ? parted : other;
        const ls_dims dims = ls_layout_dims(ls_kernel_layout(whole, arg));
        const ls_layout *flat;
        if (arg == parted && !weights_wanted)
            continue;
        float *values = ls_calloc(elements(&dims), sizeof *values);
        fill(values, elements(&dims), 11 + (uint32_t)i);
        TRY(ls_layout_plain(engine, LS_COMPUTE_FLOAT32, &dims, &flat));
        reorder(engine, flat, ls_kernel_layout(whole, arg), values, on.data[arg]);
        ls_free(values);
    }
    for (int part = 0; part < parts; part++) {
        const int block = blocks ? part % blocks : 0, sample = blocks ? part / blocks : 0;
        int index[LS_ARGS] = {0};
        index[parted] = part;
        index[other] = sample;
        index[LS_ARG_BIAS] = block;
        index[LS_ARG_DIFF_BIAS] = block;
        index[LS_ARG_DIFF_WEIGHTS] = block;
        ls_free(weights_wanted ? NULL : on.data[LS_ARG_WEIGHTS]);
        if (!weights_wanted)
            on.data[LS_ARG_WEIGHTS] = pack(engine, &weights, kernel, block, dim, plain);
        run(engine, kernel, &on, index);
    }
    if (weights_wanted) {
        const size_t step = ls_kernel_bytes(kernel, LS_ARG_DIFF_WEIGHTS) / sizeof(float);
        made.result = plain;
        for (int block = 0; block < blocks; block++)
            unpack(engine, kernel, on.data[LS_ARG_DIFF_WEIGHTS] + (size_t)block * step,
                   plain + (size_t)block * (made.count / (size_t)blocks));
        made.bias = on.data[LS_ARG_DIFF_BIAS];
        on.data[LS_ARG_DIFF_BIAS] = NULL;
    } else {
        made.count = ls_kernel_bytes(whole, parted) / sizeof(float);
        made.result = on.data[parted];
        on.data[parted] = NULL;
        ls_free(plain);
    }
    for (int i = 0; i < LS_ARGS; i++)
        ls_free(on.data[i]);
    return made;
}

static void check_near(const float *a, const float *b, size_t count, const conv_case *c, int pass) {
    double largest = 0, error = 0;
    for (size_t i = 0; i < count; i++) {
        largest = fmax(largest, fabs((double)a[i]));
        error = fmax(error, fabs((double)a[i] - (double)b[i]));
    }
    cr_assert(largest > 0 && error <= 1e-6 * largest, "case %td, pass %d: error %g of %g",
              c - cases, pass, error, largest);
}

static int parted; /* passes that were */

static void check_pass(ls_dnnl_engine *engine, const conv_case *c, ls_conv_direction pass) {
    const ls_window window = window_of(c);
    ls_kernel *whole, *kernel;
    int parts, most = c->blocks[pass] * (pass == LS_CONV_WEIGHTS ? 1 : (int)c->samples);
    TRY(make_kernel(engine, c, pass, &whole));
    TRY(make_kernel(engine, c, pass, &kernel));
    TRY(ls_conv_parts(engine, &window, pass, c->groups > 1, flops, &kernel, &parts));
    cr_assert(parts >= 1 && parts <= most, "case %td, pass %d: %d parts", c - cases, pass, parts);
    if (parts > 1) {
        parted++;
        cr_assert_str_eq(ls_kernel_name(kernel), ls_kernel_name(whole));
        outcome one = run_all(engine, c, pass, whole, whole, 1);
        outcome all = run_all(engine, c, pass, whole, kernel, parts);
        check_near(one.result, all.result, one.count, c, pass);
        if (one.bias)
            check_near(one.bias, all.bias, (size_t)c->filters, c, pass);
        void *const made[] = {one.result, one.bias, all.result, all.bias};
        for (int i = 0; i < 4; i++)
            ls_free(made[i]);
    }
    ls_kernel_free(whole);
    ls_kernel_free(kernel);
}

static void check_all(const char *isa) {
    ls_dnnl_engine *engine;
    if (ls_compute_init(1, isa) != LS_OK)
        cr_skip_test("%s", ls_message());
    TRY(ls_dnnl_engine_create(&engine));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int pass = 0; pass < LS_CONV_PASSES; pass++)
            check_pass(engine, &cases[i], (ls_conv_direction)pass);
    cr_expect_geq(parted, 20);
    ls_dnnl_engine_free(engine);
}

Test(nn_conv_parts, avx2) {
    check_all("avx2");
}

Test(nn_conv_parts, highest) {
    check_all("auto");
}
