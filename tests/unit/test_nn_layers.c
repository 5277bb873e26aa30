/* nn: every kind of layer in every dimension, forward and backward, against the reference.  A layer
 * is tested after one with parameters, so that the gradient it passes on is seen too. */
#include <criterion/criterion.h>

#include "nn_check.h"

#define SHAPE_0D(c)                                                                                \
    {                                                                                              \
        1, {                                                                                       \
            c                                                                                      \
        }                                                                                          \
    }
#define SHAPE_1D(c, w)                                                                             \
    {                                                                                              \
        2, {                                                                                       \
            c, w                                                                                   \
        }                                                                                          \
    }
#define SHAPE_2D(c, h, w)                                                                          \
    {                                                                                              \
        3, {                                                                                       \
            c, h, w                                                                                \
        }                                                                                          \
    }
#define SHAPE_3D(c, d, h, w)                                                                       \
    {                                                                                              \
        4, {                                                                                       \
            c, d, h, w                                                                             \
        }                                                                                          \
    }

/* Layers on an input, then a dense layer to three outputs and squared error, two slots. */
#define CHECK(shape, ...)                                                                          \
    net_check(&(net_case){.input = shape,                                                          \
                          .outputs = 3,                                                            \
                          .loss = LS_LOSS_MEAN_SQUARED_ERROR,                                      \
                          .layers = NN_LIST(__VA_ARGS__, NN_DENSE(3)),                             \
                          .slots = 2,                                                              \
                          .samples = {5, 3}})

Test(nn_layers, dense) {
    CHECK(SHAPE_0D(5), NN_DENSE(7));
    CHECK(SHAPE_2D(2, 3, 4), NN_DENSE(33), NN_ACTIVATION(LS_LAYER_TANH), NN_DENSE(5));
    CHECK(SHAPE_0D(5), {.kind = LS_LAYER_DENSE, .dense = {.units = 4, .bias = false}});
}

/* Several blocks of weights: 4000 inputs give blocks of 32 rows. */
Test(nn_layers, dense_of_several_blocks) {
    net_case wanted = {.input = SHAPE_0D(4000),
                       .outputs = 70,
                       .loss = LS_LOSS_MEAN_SQUARED_ERROR,
                       .layers = NN_LIST(NN_DENSE(70)),
                       .slots = 2,
                       .samples = {2, 1}};
    net_network network = net_open(&wanted);
    ls_plan *plan = net_plan(&network, LS_MODE_TRAIN, 2, wanted.samples, 0);
    cr_assert_eq(ls_plan_forward(plan, 1, 0), LS_OK);
    net_gradients gradients;
    net_backward(plan, &network, 1.0f, &gradients);
    for (int slot = 0; slot < 2; slot++)
        for (int unit = 0; unit < 70; unit++) {
            const float *x = ls_plan_input(plan, slot), *weight = network.flat + unit * 4000;
            double slope[2] = {0, 0};
            for (int n = 0; n < wanted.samples[slot]; n++) {
                double y = network.flat[280000 + unit];
                for (int i = 0; i < 4000; i++)
                    y += (double)weight[i] * x[n * 4000 + i];
                cr_assert_float_eq(ls_plan_output(plan, slot)[n * 70 + unit], y, 1e-3);
                slope[n] = 2.0 / 70 * (y - ls_plan_targets(plan, slot)[n * 70 + unit]);
            }
            for (int i = 0; i < 4000; i += 37) {
                double wanted_gradient = slope[0] * x[i] + slope[1] * x[i + (slot ? 0 : 4000)];
                cr_assert_float_eq(gradients.gradient[slot][unit * 4000 + i], wanted_gradient,
                                   1e-4);
            }
        }
    net_gradients_free(&gradients);
    ls_plan_free(plan);
    net_close(&network);
    net_check_bf16(&wanted);
    wanted.layers = (ls_layer_list)NN_LIST(NN_DENSE(300), NN_RELU, NN_DENSE(70));
    net_check_bf16(&wanted);
}

Test(nn_layers, conv_1d) {
    CHECK(SHAPE_1D(2, 9), NN_CONV(3, 3), NN_CONV(5, 3, .padding = NN_EACH(1)));
    CHECK(SHAPE_1D(3, 12), NN_CONV(4, 1),
          {.kind = LS_LAYER_CONV,
           .conv = {.filters = 3, .kernel = NN_EACH(4), .stride = NN_EACH(2), .groups = 1}});
    CHECK(SHAPE_1D(1, 12), NN_CONV(16, 3), NN_CONV(17, 3, .dilation = NN_EACH(2)));
}

Test(nn_layers, conv_2d) {
    CHECK(SHAPE_2D(1, 6, 5), NN_CONV(3, 3), NN_CONV(5, 3, .padding = NN_EACH(1)));
    CHECK(SHAPE_2D(3, 7, 6), NN_CONV(18, 1), NN_CONV(4, 3, .stride = NN_EACH(2)));
    CHECK(SHAPE_2D(2, 7, 8), NN_CONV(4, 2),
          {.kind = LS_LAYER_CONV,
           .conv = {.filters = 3,
                    .kernel = {2, {3, 2}},
                    .stride = {2, {2, 1}},
                    .padding = {2, {1, 0}},
                    .dilation = {2, {1, 2}},
                    .groups = 1,
                    .bias = true}});
}

Test(nn_layers, conv_3d) {
    CHECK(SHAPE_3D(1, 4, 5, 4), NN_CONV(3, 2), NN_CONV(4, 3, .padding = NN_EACH(1)));
    CHECK(SHAPE_3D(2, 5, 4, 4), NN_CONV(17, 1), NN_CONV(3, 2, .stride = {3, {2, 1, 2}}));
    CHECK(SHAPE_3D(2, 5, 5, 5), NN_CONV(3, 1), NN_CONV(3, 2, .dilation = NN_EACH(3)));
}

Test(nn_layers, conv_in_groups) {
    CHECK(SHAPE_2D(2, 5, 5), NN_CONV(4, 1), NN_GROUPS(6, 3, 2));
    CHECK(SHAPE_2D(2, 5, 5), NN_CONV(6, 1), NN_GROUPS(6, 3, 6));
    CHECK(SHAPE_2D(2, 4, 4), NN_CONV(32, 1), NN_GROUPS(32, 3, 2, .padding = NN_EACH(1)));
    CHECK(SHAPE_1D(2, 8), NN_CONV(6, 1), NN_GROUPS(9, 3, 3));
    CHECK(SHAPE_3D(2, 3, 4, 3), NN_CONV(4, 1), NN_GROUPS(8, 2, 4));
}

/* One, three and many channels in, so that every way into the blocked layouts is used. */
Test(nn_layers, conv_first) {
    CHECK(SHAPE_2D(1, 6, 6), NN_CONV(16, 3));
    CHECK(SHAPE_2D(3, 6, 6), NN_CONV(20, 3));
    CHECK(SHAPE_2D(16, 4, 4), NN_CONV(16, 3));
    CHECK(SHAPE_2D(19, 4, 4), NN_CONV(5, 3));
}

/* Few channels in the middle: the layouts that the passes like best differ. */
Test(nn_layers, conv_of_few_channels) {
    CHECK(SHAPE_2D(1, 9, 9), NN_CONV(6, 3), NN_RELU, NN_CONV(16, 3));
    CHECK(SHAPE_2D(1, 9, 9), NN_CONV(6, 3), NN_MAX_POOL(2), NN_CONV(16, 3));
    CHECK(SHAPE_2D(3, 6, 6), NN_CONV(3, 1), NN_CONV(20, 3, .padding = NN_EACH(1)), NN_CONV(2, 3));
    CHECK(SHAPE_1D(1, 12), NN_CONV(6, 3), NN_CONV(16, 5));
    CHECK(SHAPE_3D(1, 4, 4, 4), NN_CONV(6, 2), NN_CONV(16, 2));
}

Test(nn_layers, max_pool) {
    CHECK(SHAPE_1D(2, 10), NN_CONV(3, 2), NN_MAX_POOL(3));
    CHECK(SHAPE_2D(2, 6, 7), NN_CONV(5, 1), NN_MAX_POOL(2));
    CHECK(SHAPE_2D(2, 7, 7), NN_CONV(18, 1),
          NN_MAX_POOL(3, .stride = NN_EACH(2), .padding = NN_EACH(1)));
    CHECK(SHAPE_3D(1, 4, 4, 5), NN_CONV(3, 1), NN_MAX_POOL(2, .stride = {3, {2, 1, 2}}));
    CHECK(SHAPE_2D(2, 6, 6), NN_MAX_POOL(2), NN_CONV(4, 2));
    CHECK(SHAPE_3D(1, 5, 4, 5), NN_CONV(9, 1),
          NN_MAX_POOL(3, .stride = NN_EACH(2), .padding = NN_EACH(1)));
    CHECK(SHAPE_2D(1, 17, 17), NN_CONV(2, 1), NN_MAX_POOL(17));
}

/* ReLU and what it becomes before a maximum. */
Test(nn_layers, max_pool_after_activation) {
    CHECK(SHAPE_2D(2, 6, 6), NN_CONV(5, 1), NN_RELU, NN_MAX_POOL(2), NN_CONV(3, 2), NN_RELU);
    CHECK(SHAPE_2D(2, 6, 6), NN_CONV(5, 1), NN_ACTIVATION(LS_LAYER_LEAKY_RELU), NN_MAX_POOL(2));
    CHECK(SHAPE_2D(2, 6, 6), NN_CONV(5, 1), {.kind = LS_LAYER_LEAKY_RELU, .leaky_relu = {-0.5}},
          NN_MAX_POOL(2));
    CHECK(SHAPE_2D(2, 6, 6), NN_RELU, NN_MAX_POOL(2), NN_CONV(3, 2));
}

Test(nn_layers, avg_pool) {
    CHECK(SHAPE_1D(2, 10), NN_CONV(3, 2), NN_AVG_POOL(3));
    CHECK(SHAPE_2D(2, 6, 7), NN_CONV(5, 1), NN_RELU, NN_AVG_POOL(2));
    CHECK(SHAPE_2D(2, 7, 7), NN_CONV(18, 1),
          NN_AVG_POOL(3, .stride = NN_EACH(2), .padding = NN_EACH(1)));
    CHECK(SHAPE_3D(1, 4, 4, 5), NN_CONV(3, 1), NN_AVG_POOL(2, .padding = NN_EACH(1)));
}

Test(nn_layers, global_avg_pool) {
    CHECK(SHAPE_1D(2, 5), NN_CONV(3, 2), NN_GLOBAL_POOL);
    CHECK(SHAPE_2D(2, 5, 4), NN_CONV(17, 2), NN_GLOBAL_POOL);
    CHECK(SHAPE_3D(2, 3, 3, 4), NN_CONV(16, 2), NN_GLOBAL_POOL, NN_RELU);
}

Test(nn_layers, batch_norm) {
    CHECK(SHAPE_0D(4), NN_DENSE(5), NN_NORM);
    CHECK(SHAPE_0D(4), NN_DENSE(18), NN_NORM, NN_RELU);
    CHECK(SHAPE_1D(2, 6), NN_CONV(5, 2), NN_NORM);
    CHECK(SHAPE_2D(2, 4, 5), NN_CONV(5, 2), NN_NORM, NN_RELU);
    CHECK(SHAPE_2D(2, 4, 5), NN_CONV(19, 2), NN_NORM);
    CHECK(SHAPE_2D(2, 4, 5), NN_CONV(16, 2), NN_NORM, NN_RELU, NN_CONV(3, 1));
    CHECK(SHAPE_3D(2, 3, 3, 3), NN_CONV(6, 2), NN_NORM, NN_RELU);
    CHECK(SHAPE_2D(3, 4, 5), NN_NORM, NN_CONV(3, 2));
    CHECK(SHAPE_0D(4), NN_NORM);
}

Test(nn_layers, activations) {
    for (int function = LS_LAYER_RELU; function <= LS_LAYER_GELU; function++) {
        CHECK(SHAPE_0D(6), NN_DENSE(9), NN_ACTIVATION(function));
        CHECK(SHAPE_2D(2, 4, 4), NN_CONV(5, 2), NN_ACTIVATION(function), NN_CONV(3, 2));
        CHECK(SHAPE_2D(2, 4, 4), NN_ACTIVATION(function), NN_CONV(3, 2));
    }
}

Test(nn_layers, scale) {
    CHECK(SHAPE_0D(6), NN_DENSE(9), NN_SCALE(1.25), NN_DENSE(5), NN_SCALE(-0.5));
    CHECK(SHAPE_2D(2, 4, 4), NN_SCALE(3), NN_CONV(5, 2), NN_SCALE(0.5), NN_MAX_POOL(2));
    CHECK(SHAPE_2D(2, 4, 4), NN_CONV(5, 2), NN_RELU, NN_SCALE(2), NN_RELU, NN_CONV(3, 2));
}

Test(nn_layers, dropout) {
    CHECK(SHAPE_0D(6), NN_DENSE(30), NN_DROPOUT(0.4), NN_DENSE(9), NN_DROPOUT(0.2));
    CHECK(SHAPE_2D(2, 4, 4), NN_CONV(5, 2), NN_RELU, NN_DROPOUT(0.5), NN_CONV(3, 2));
    CHECK(SHAPE_2D(2, 4, 4), NN_DROPOUT(0.5), NN_CONV(3, 2));
    CHECK(SHAPE_0D(6), NN_DENSE(4), NN_DROPOUT(0));
}

Test(nn_layers, flatten) {
    CHECK(SHAPE_2D(2, 4, 4), NN_FLATTEN, NN_DENSE(5));
    CHECK(SHAPE_3D(2, 2, 3, 4), NN_CONV(5, 2), NN_FLATTEN, NN_DENSE(4), NN_FLATTEN);
}

Test(nn_layers, residual) {
    /* identity, with and without ReLU after it */
    CHECK(SHAPE_2D(2, 4, 4), NN_CONV(5, 1),
          NN_RESIDUAL(.body = NN_LIST(NN_CONV(5, 3, .padding = NN_EACH(1)), NN_NORM, NN_RELU,
                                      NN_CONV(5, 3, .padding = NN_EACH(1)), NN_NORM)),
          NN_RELU, NN_CONV(3, 2));
    CHECK(SHAPE_0D(6), NN_DENSE(7), NN_RESIDUAL(.body = NN_LIST(NN_DENSE(7), NN_RELU)),
          NN_DENSE(4));
    CHECK(SHAPE_0D(6), NN_DENSE(7), NN_RESIDUAL(.body = NN_LIST(NN_RELU, NN_DENSE(7))), NN_RELU);
    /* projection */
    CHECK(SHAPE_2D(2, 4, 4), NN_CONV(5, 1),
          NN_RESIDUAL(.body = NN_LIST(NN_CONV(6, 3, .padding = NN_EACH(1), .stride = NN_EACH(2)),
                                      NN_NORM, NN_RELU, NN_CONV(6, 3, .padding = NN_EACH(1))),
                      .projection = NN_LIST(NN_CONV(6, 1, .stride = NN_EACH(2)), NN_NORM)),
          NN_RELU);
}

Test(nn_layers, residual_at_the_ends) {
    /* on the network's input: no gradient wanted there, layouts of the branches may differ */
    CHECK(SHAPE_2D(3, 4, 4), NN_RESIDUAL(.body = NN_LIST(NN_CONV(3, 1))), NN_RELU, NN_CONV(2, 2));
    CHECK(SHAPE_2D(3, 4, 4),
          NN_RESIDUAL(.body = NN_LIST(NN_RELU), .projection = NN_LIST(NN_CONV(3, 1))), NN_RELU,
          NN_CONV(2, 2));
    CHECK(SHAPE_2D(3, 4, 4),
          NN_RESIDUAL(.body = NN_LIST(NN_NORM), .projection = NN_LIST(NN_CONV(3, 1))));
    /* one in another, and one that only adds its input to itself */
    CHECK(SHAPE_2D(2, 4, 4), NN_CONV(4, 1),
          NN_RESIDUAL(.body = NN_LIST(NN_RESIDUAL(.body = NN_LIST(NN_CONV(4, 1), NN_NORM)), NN_RELU,
                                      NN_RESIDUAL(.body = NN_LIST(NN_RELU)), NN_RELU)));
    CHECK(SHAPE_0D(3), NN_DENSE(4), NN_RESIDUAL(.body = NN_LIST(NN_FLATTEN)));
    /* plain and blocked layouts meet */
    CHECK(SHAPE_2D(2, 4, 4), NN_CONV(16, 1),
          NN_RESIDUAL(.body = NN_LIST(NN_DROPOUT(0.3)), .projection = NN_LIST(NN_CONV(16, 1))),
          NN_RELU, NN_CONV(3, 2));
    CHECK(SHAPE_2D(2, 4, 4), NN_CONV(16, 1), NN_RESIDUAL(.body = NN_LIST(NN_DROPOUT(0.3))),
          NN_CONV(3, 2));
}

Test(nn_layers, cross_entropy) {
    static const double weights[] = {2, 0.5, 0, 1, 1.5};
    for (int i = 0; i < 4; i++)
        net_check(
            &(net_case){.input = SHAPE_0D(4),
                        .outputs = 5,
                        .loss = LS_LOSS_CROSS_ENTROPY,
                        .label_smoothing = i % 2 * 0.1,
                        .class_weights = i < 2 ? NULL : weights,
                        .layers = NN_LIST(NN_DENSE(6), NN_ACTIVATION(LS_LAYER_TANH), NN_DENSE(5)),
                        .slots = 2,
                        .samples = {4, 3}});
}

/* The output need not be flat. */
Test(nn_layers, spatial_output) {
    net_check(&(net_case){.input = SHAPE_2D(2, 3, 3),
                          .outputs = 8,
                          .loss = LS_LOSS_MEAN_SQUARED_ERROR,
                          .layers = NN_LIST(NN_CONV(2, 2)),
                          .slots = 1,
                          .samples = {2}});
}

/* The last slice of an epoch may be small. */
Test(nn_layers, slices_of_one_sample) {
    net_check(
        &(net_case){.input = SHAPE_2D(2, 4, 4),
                    .outputs = 3,
                    .loss = LS_LOSS_CROSS_ENTROPY,
                    .layers = NN_LIST(NN_CONV(4, 2), NN_NORM, NN_RELU, NN_MAX_POOL(2), NN_DENSE(3)),
                    .slots = 3,
                    .samples = {2, 1, 2}});
}
