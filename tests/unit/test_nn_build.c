/* nn: building networks: parameters, starting values, the table of layers, errors. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn_check.h"

#define TRY(expression) cr_assert_eq((expression), LS_OK, "%s: %s", #expression, ls_message())

/* ---- parameters ----------------------------------------------------------------------------- */

static net_network residual_network(void) {
    return net_open(&(net_case){
        .input = {3, {3, 8, 8}},
        .outputs = 10,
        .loss = LS_LOSS_CROSS_ENTROPY,
        .layers =
            NN_LIST(NN_CONV(5, 3),
                    NN_RESIDUAL(.body = NN_LIST(NN_CONV(7, 3), {.kind = LS_LAYER_BATCH_NORM,
                                                                .batch_norm = {1e-5, 0.25, true}}),
                                .projection = NN_LIST(NN_CONV(7, 3))),
                    NN_GLOBAL_POOL, NN_DENSE(10))});
}

static void expect(const net_network *network, size_t index, const char *name, ls_param_role role,
                   const char *shape) {
    const ls_param *param = ls_net_param(network->net, index);
    char text[64] = "";
    size_t count = 1;
    for (int i = 0; i < param->ndims; i++) {
        snprintf(text + strlen(text), sizeof text - strlen(text), " %d", (int)param->shape[i]);
        count *= (size_t)param->shape[i];
    }
    cr_assert_str_eq(param->name, name);
    cr_assert_eq(param->role, role, "%s", name);
    cr_assert_str_eq(text, shape, "%s:%s", name, text);
    cr_assert_eq(param->count, count, "%s", name);
    cr_assert_eq(param->offset % 16, 0, "%s", name);
}

Test(nn_build, parameters) {
    net_network network = residual_network();
    const ls_net *net = network.net;
    cr_assert_eq(ls_net_param_count(net), 12);
    expect(&network, 0, "conv1/weight", LS_PARAM_WEIGHT, " 5 3 3 3");
    expect(&network, 1, "conv1/bias", LS_PARAM_BIAS, " 5");
    expect(&network, 2, "residual2/body/conv1/weight", LS_PARAM_WEIGHT, " 7 5 3 3");
    expect(&network, 3, "residual2/body/conv1/bias", LS_PARAM_BIAS, " 7");
    expect(&network, 4, "residual2/body/batch_norm2/scale", LS_PARAM_SCALE, " 7");
    expect(&network, 5, "residual2/body/batch_norm2/shift", LS_PARAM_SHIFT, " 7");
    expect(&network, 6, "residual2/projection/conv1/weight", LS_PARAM_WEIGHT, " 7 5 3 3");
    expect(&network, 7, "residual2/projection/conv1/bias", LS_PARAM_BIAS, " 7");
    expect(&network, 8, "dense4/weight", LS_PARAM_WEIGHT, " 10 7");
    expect(&network, 9, "dense4/bias", LS_PARAM_BIAS, " 10");
    expect(&network, 10, "residual2/body/batch_norm2/running_mean", LS_PARAM_MEAN, " 7");
    expect(&network, 11, "residual2/body/batch_norm2/running_variance", LS_PARAM_VARIANCE, " 7");
    cr_assert_eq(ls_net_param(net, 10)->momentum, 0.25);
    cr_assert_eq(ls_net_param(net, 10)->statistics, 0);
    cr_assert_eq(ls_net_param(net, 11)->statistics, 7);
    cr_assert_eq(ls_net_statistics_size(net), 14);
    cr_assert_eq(ls_net_trained_size(net), ls_net_param(net, 10)->offset);
    cr_assert_eq(ls_net_flat_size(net) % 16, 0);
    for (size_t i = 1; i < 12; i++) {
        const ls_param *before = ls_net_param(net, i - 1);
        cr_assert_geq(ls_net_param(net, i)->offset, before->offset + before->count);
    }
    net_close(&network);
}

Test(nn_build, grouped_weights_have_the_users_shape) {
    net_network network = net_open(
        &(net_case){.input = {2, {4, 9}}, .outputs = 6 * 7, .layers = NN_LIST(NN_GROUPS(6, 3, 2))});
    expect(&network, 0, "conv1/weight", LS_PARAM_WEIGHT, " 6 2 3");
    net_close(&network);
}

/* ---- starting values ------------------------------------------------------------------------ */

static void moments(const float *values, size_t count, double *mean, double *deviation,
                    double *largest) {
    double sum = 0, squares = 0;
    *largest = 0;
    for (size_t i = 0; i < count; i++) {
        sum += values[i];
        squares += (double)values[i] * values[i];
        *largest = fmax(*largest, fabs(values[i]));
    }
    *mean = sum / (double)count;
    *deviation = sqrt(squares / (double)count - *mean * *mean);
}

static void check_deviation(const ls_net *net, const float *flat, size_t index, double wanted,
                            double *largest) {
    const ls_param *weight = ls_net_param(net, index);
    double mean, deviation, tolerance = 4 * wanted / sqrt((double)weight->count);
    moments(flat + weight->offset, weight->count, &mean, &deviation, largest);
    cr_assert_lt(fabs(mean), tolerance, "%s", weight->name);
    cr_assert_lt(fabs(deviation - wanted), tolerance, "%s: %g", weight->name, deviation);
}

/* A dense layer 200 -> 300, fan_in 200, and a convolution 12 -> 40, 5 x 5, fan_in 300, fan_out
 * 1000, each before a dense layer 300 or 40 -> 50. */
static void check_start(ls_init init, const double wanted[2], const double last[2]) {
    ls_layer_spec conv[] = {NN_CONV(40, 5), NN_DENSE(50)}, dense[] = {NN_DENSE(300), NN_DENSE(50)};
    const ls_shape inputs[] = {{1, {200}}, {3, {12, 5, 5}}};
    ls_layer_spec *layers[] = {dense, conv};
    for (int i = 0; i < 2; i++) {
        ls_model_spec spec = {.init = init, .layers = {2, layers[i]}};
        ls_net *net;
        double largest;
        TRY(ls_net_create(&spec, &inputs[i], 50, LS_COMPUTE_FLOAT32, &net));
        float *flat = ls_calloc(ls_net_flat_size(net), sizeof *flat);
        ls_net_init_params(net, 3, 0, ls_net_flat_size(net), flat);
        check_deviation(net, flat, 0, wanted[i], &largest);
        if (init == LS_INIT_GLOROT)
            cr_assert_leq(largest, 1.0001 * sqrt(3) * wanted[i]);
        else
            cr_assert_gt(largest, 3.5 * wanted[i]);
        check_deviation(net, flat, 2, last[i], &largest);
        ls_free(flat);
        ls_net_free(net);
    }
}

/* With He the last layer starts small. */
Test(nn_build, he_and_glorot) {
    check_start(LS_INIT_HE, (double[]){sqrt(2.0 / 200), sqrt(2.0 / 300)}, (double[]){0.01, 0.01});
    check_start(LS_INIT_GLOROT, (double[]){sqrt(2.0 / 500), sqrt(2.0 / 1300)},
                (double[]){sqrt(2.0 / 350), sqrt(2.0 / 90)});
}

Test(nn_build, starting_values_are_a_function_of_the_seed) {
    net_network network = residual_network();
    size_t size = ls_net_flat_size(network.net), differ = 0;
    float *a = ls_calloc(size, sizeof *a), *b = ls_calloc(size, sizeof *b);
    memset(b, 7, size * sizeof *b);
    ls_net_init_params(network.net, 3, 0, size, a);
    for (size_t first = 0; first < size; first += 48) /* in parts */
        ls_net_init_params(network.net, 3, first, first + 48 < size ? first + 48 : size, b);
    cr_assert(memcmp(a, b, size * sizeof *a) == 0);
    ls_net_init_params(network.net, 4, 0, size, b);
    for (size_t i = 0; i < size; i++)
        differ += a[i] != b[i];
    cr_assert_gt(differ, 500);
    for (size_t i = 0; i < ls_net_param_count(network.net); i++) {
        const ls_param *param = ls_net_param(network.net, i);
        /* the norm's scale starts at 0 here: zero_scale */
        float wanted = param->role == LS_PARAM_VARIANCE ? 1 : 0;
        for (size_t k = 0; k < param->count && param->role != LS_PARAM_WEIGHT; k++)
            cr_assert_eq(a[param->offset + k], wanted, "%s", param->name);
    }
    ls_free(a);
    ls_free(b);
    net_close(&network);
}

Test(nn_build, scale_starts_at_one) {
    net_network network =
        net_open(&(net_case){.input = {1, {4}}, .outputs = 4, .layers = NN_LIST(NN_NORM)});
    ls_net_init_params(network.net, 1, 0, ls_net_flat_size(network.net), network.flat);
    cr_assert_eq(network.flat[0], 1.0f);
    cr_assert_eq(network.flat[4], 0.0f, "padding");
    net_close(&network);
}

/* ---- what it shows -------------------------------------------------------------------------- */

Test(nn_build, table) {
    net_network network = residual_network();
    ls_text text = {0};
    ls_net_describe(network.net, &text);
    cr_assert_not(text.failed);
    cr_assert(strstr(text.data, "(3, 8, 8)"));
    cr_assert(strstr(text.data, "residual2/body/conv1        conv             (7, 4, 4)"
                                "                    322\n"),
              "%s", text.data);
    cr_assert(strstr(text.data, " 878\n"), "%s", text.data);
    ls_text_free(&text);
    net_close(&network);
}

Test(nn_build, flops) {
    net_network network = residual_network();
    double conv1 = 2.0 * 5 * 27 * 36, blocks = 2 * (2.0 * 7 * 45 * 16), dense = 2.0 * 70;
    cr_assert_float_eq(ls_net_forward_flops(network.net), conv1 + blocks + dense, 0.5);
    net_close(&network);
}

Test(nn_build, memory_is_shared_by_plans) {
    const int64_t samples[] = {16, 16};
    net_network network = residual_network();
    ls_plan *first = net_plan(&network, LS_MODE_TRAIN, 2, samples, 0);
    size_t one = ls_net_memory(network.net);
    ls_plan *second = net_plan(&network, LS_MODE_TRAIN, 2, samples, 0);
    ls_plan *evaluation = net_plan(&network, LS_MODE_EVALUATE, 2, samples, 0);
    cr_assert_gt(one, 2 * 16 * 3 * 64 * sizeof(float));
    cr_assert_lt(ls_net_memory(network.net), one + one / 2);
    ls_plan_free(evaluation);
    ls_plan_free(second);
    ls_plan_free(first);
    net_close(&network);
}

/* ---- errors --------------------------------------------------------------------------------- */

static void expect_error(const ls_shape *input, int64_t outputs, ls_layer_list layers,
                         const char *message) {
    ls_model_spec spec = {.layers = layers};
    ls_net *net = NULL;
    for (size_t i = 0; i < layers.count; i++)
        layers.layers[i].line = 31 + (int)i;
    ls_message_set("");
    cr_assert_eq(ls_net_create(&spec, input, outputs, LS_COMPUTE_FLOAT32, &net), LS_ERR_INPUT, "%s",
                 message);
    cr_assert_str_eq(ls_message(), message);
    cr_assert_null(net);
}

#define SHAPE(...)                                                                                 \
    {                                                                                              \
        sizeof((int[]){__VA_ARGS__}) / sizeof(int), {                                              \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

Test(nn_build, errors_of_shape) {
    const ls_shape image = SHAPE(3, 8, 6), flat = SHAPE(5);
    expect_error(&image, 10, (ls_layer_list){0}, "the model has no layers");
    expect_error(&flat, 10, (ls_layer_list)NN_LIST(NN_DENSE(4)),
                 "line 31: dense layer 'dense': the last layer gives (4), but the data has (10) "
                 "classes");
    expect_error(&flat, 10, (ls_layer_list)NN_LIST(NN_DENSE(0)),
                 "line 31: dense layer 'dense': has 0 units, needs at least 1");
    expect_error(&flat, 10, (ls_layer_list)NN_LIST(NN_DENSE(8), NN_CONV(4, 3)),
                 "line 32: conv layer 'conv': needs an input (channels, [depth,] [height,] width), "
                 "but gets (8)");
    expect_error(&image, 10, (ls_layer_list)NN_LIST(NN_CONV(4, 7)),
                 "line 31: conv layer 'conv': a window of (7, 7) does not fit into the input "
                 "(3, 8, 6) with padding (0, 0)");
    expect_error(&image, 10, (ls_layer_list)NN_LIST(NN_MAX_POOL(2), NN_GROUPS(4, 1, 2)),
                 "line 32: conv layer 'conv': 2 groups do not divide both its 4 filters and the "
                 "channels of its input (3, 4, 3)");
    expect_error(&image, 10, (ls_layer_list)NN_LIST(NN_MAX_POOL(2, .padding = NN_EACH(2))),
                 "line 31: max_pool layer 'max_pool': padding 2 must be less than the size 2: a "
                 "window would see nothing else");
    expect_error(&image, 10, (ls_layer_list)NN_LIST(NN_CONV(4, 2, .stride = {3, {1, 1, 1}})),
                 "line 31: conv layer 'conv': stride has 3 numbers, but the input has 2 spatial "
                 "dimensions");
    expect_error(&image, 10, (ls_layer_list)NN_LIST(NN_CONV(4, 2, .dilation = NN_EACH(0))),
                 "line 31: conv layer 'conv': dilation 0 is less than 1");
    expect_error(&flat, 5, (ls_layer_list)NN_LIST(NN_DROPOUT(1)),
                 "line 31: dropout layer 'dropout': its rate 1 is not in [0, 1)");
}

Test(nn_build, errors_of_residual_blocks) {
    const ls_shape image = SHAPE(3, 8, 6);
    expect_error(&image, 10, (ls_layer_list)NN_LIST(NN_RESIDUAL(.body = NN_LIST(NN_CONV(4, 1)))),
                 "line 31: residual layer 'residual': its body gives (4, 8, 6), but its input is "
                 "(3, 8, 6): they must be equal");
    expect_error(&image, 10,
                 (ls_layer_list)NN_LIST(NN_RESIDUAL(.body = NN_LIST(NN_CONV(4, 3)),
                                                    .projection = NN_LIST(NN_CONV(4, 1)))),
                 "line 31: residual layer 'residual': its body gives (4, 6, 4), but its projection "
                 "gives (4, 8, 6): they must be equal");
    expect_error(&image, 10, (ls_layer_list)NN_LIST(NN_RESIDUAL(.body = {0})),
                 "line 31: residual layer 'residual': its body is empty");
    expect_error(&image, 10, (ls_layer_list)NN_LIST(NN_RESIDUAL(.body = NN_LIST(NN_CONV(4, 9)))),
                 "conv layer 'residual/body/conv': a window of (9, 9) does not fit into the input "
                 "(3, 8, 6) with padding (0, 0)");
}

/* ---- the compute library -------------------------------------------------------------------- */

Test(nn_compute, pinned_instruction_set) {
    TRY(ls_compute_init(1, "sse41"));
    cr_assert_str_eq(ls_compute_isa(), "sse41");
    cr_assert_eq(strncmp(ls_compute_library(), "oneDNN ", 7), 0);
}

Test(nn_compute, types_of_instruction_sets) {
    TRY(ls_compute_init(1, "sse41"));
    cr_assert(ls_compute_has(LS_COMPUTE_FLOAT32));
    cr_assert_not(ls_compute_has(LS_COMPUTE_BF16));
}

Test(nn_compute, bf16_comes_with_its_instruction_set) {
    if (ls_compute_init(1, "avx512_bf16") == LS_OK) /* this machine has it */
        cr_assert(ls_compute_has(LS_COMPUTE_BF16));
}

Test(nn_compute, unknown_instruction_set) {
    cr_assert_eq(ls_compute_init(1, "avx"), LS_ERR_INPUT);
    cr_assert_str_eq(ls_message(), "compute.isa: 'avx' is none of auto, sse41, avx2, avx512, "
                                   "avx512_bf16, amx");
}

/* A machine has what is asked for, or says what it has. */
Test(nn_compute, highest_instruction_set) {
    ls_status status = ls_compute_init(1, "amx");
    if (status == LS_OK)
        cr_assert_str_eq(ls_compute_isa(), "amx");
    else
        cr_assert(strstr(ls_message(), "this machine has no amx, it goes up to "));
}

/* The result of a network on the lowest set agrees with the reference too. */
Test(nn_compute, network_on_the_lowest_instruction_set) {
    TRY(ls_compute_init(1, "sse41"));
    net_check(
        &(net_case){.input = {3, {3, 6, 6}},
                    .outputs = 3,
                    .loss = LS_LOSS_CROSS_ENTROPY,
                    .layers = NN_LIST(NN_CONV(9, 3), NN_NORM, NN_RELU, NN_CONV(8, 3),
                                      NN_MAX_POOL(2), NN_ACTIVATION(LS_LAYER_GELU), NN_DENSE(3)),
                    .slots = 1,
                    .samples = {4}});
}

Test(nn_compute, network_on_avx2) {
    if (ls_compute_init(1, "avx2") != LS_OK)
        return; /* not this machine */
    net_check(
        &(net_case){.input = {3, {3, 6, 6}},
                    .outputs = 3,
                    .loss = LS_LOSS_CROSS_ENTROPY,
                    .layers = NN_LIST(NN_CONV(9, 3), NN_NORM, NN_RELU, NN_CONV(8, 3),
                                      NN_MAX_POOL(2), NN_ACTIVATION(LS_LAYER_GELU), NN_DENSE(3)),
                    .slots = 1,
                    .samples = {4}});
}
