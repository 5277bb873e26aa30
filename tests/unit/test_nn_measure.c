/* nn: what operations are called, how much they have to do, and the events that passes note. */
#include <criterion/criterion.h>
#include <string.h>

#include "nn_check.h"

#define TRY(expression) cr_assert_eq((expression), LS_OK, "%s: %s", #expression, ls_message())

/* A residual block with a projection, an activation that waits for the pooling, one that the batch
 * norm takes along. */
static net_network network_of_all(void) {
    return net_open(&(net_case){
        .input = {3, {2, 8, 8}},
        .outputs = 10,
        .loss = LS_LOSS_CROSS_ENTROPY,
        .layers = NN_LIST(NN_CONV(16, 3, .padding = NN_EACH(1)), NN_RELU, NN_MAX_POOL(2),
                          NN_RESIDUAL(.body = NN_LIST(NN_CONV(16, 1), NN_NORM, NN_RELU),
                                      .projection = NN_LIST(NN_CONV(16, 1))),
                          NN_FLATTEN, NN_DENSE(10))});
}

/* The operation of a layer and kind; the test fails unless there is just one. */
static size_t find(const ls_net *net, const char *layer, const char *kind) {
    size_t found = 0, count = 0;
    for (size_t i = 0; i < ls_net_op_count(net); i++)
        if (strcmp(ls_net_op_layer(net, i), layer) == 0 &&
            strcmp(ls_net_op_kind(net, i), kind) == 0) {
            found = i;
            count++;
        }
    cr_assert_eq(count, 1, "%zu operations of %s layer %s", count, kind, layer);
    return found;
}

Test(nn_measure, names) {
    net_network network = network_of_all();
    const ls_net *net = network.net;
    size_t last = ls_net_op_count(net) - 1;
    cr_expect_str_eq(ls_net_op_layer(net, last), "loss");
    cr_expect_str_eq(ls_net_op_kind(net, last), "loss");
    cr_expect_eq(find(net, "conv1", "conv"), 0);
    cr_expect_lt(find(net, "max_pool3", "max_pool"), find(net, "relu2", "relu"));
    find(net, "residual4/body/conv1", "conv");
    find(net, "residual4/projection/conv1", "conv");
    find(net, "dense6", "dense");
    size_t ends = 0; /* of the residual block */
    for (size_t i = 0; i <= last; i++) {
        ends += strcmp(ls_net_op_layer(net, i), "residual4") == 0;
        cr_expect_str_neq(ls_net_op_layer(net, i), "residual4/body/relu3");
    }
    cr_expect_eq(ends, 2);
    net_close(&network);
}

Test(nn_measure, arithmetic) {
    static const int64_t samples[] = {3, 2};
    net_network network = network_of_all();
    ls_plan *plan = net_plan(&network, LS_MODE_TRAIN, 2, samples, 0);
    ls_pass_work forward, backward;
    double sum = 0;
    for (size_t i = 0; i < ls_net_op_count(network.net); i++) {
        ls_plan_work(plan, i, &forward, &backward);
        sum += forward.flops;
        bool first = strcmp(ls_net_op_layer(network.net, i), "conv1") == 0;
        cr_expect_eq(backward.flops, (first ? 1 : 2) * forward.flops, "%s",
                     ls_net_op_layer(network.net, i));
    }
    cr_expect_eq(sum, 5 * ls_net_forward_flops(network.net));
    ls_plan_work(plan, 0, &forward, &backward);
    cr_expect_eq(forward.flops, 5 * 2.0 * (16 * 2 * 3 * 3) * (8 * 8));
    ls_plan_free(plan);
    net_close(&network);
}

Test(nn_measure, bytes_of_a_dense_layer) {
    static const int64_t samples[] = {3, 2};
    net_network network = net_open(&(net_case){.input = {1, {7}},
                                               .outputs = 5,
                                               .loss = LS_LOSS_CROSS_ENTROPY,
                                               .layers = NN_LIST(NN_DENSE(11), NN_DENSE(5))});
    ls_plan *plan = net_plan(&network, LS_MODE_TRAIN, 2, samples, 0);
    const double first = 7 * 11 + 11, second = 11 * 5 + 5; /* parameters */
    ls_pass_work forward, backward;
    ls_plan_work(plan, 0, &forward, &backward);
    cr_expect_eq(forward.bytes, 4 * (5 * 7 + 5 * 11 + first));
    cr_expect_eq(backward.bytes, 4 * (5 * 11 + 5 * 7 + first)); /* dy, x, dW */
    ls_plan_work(plan, 1, &forward, &backward);
    cr_expect_eq(forward.bytes, 4 * (5 * 11 + 5 * 5 + second));
    cr_expect_eq(backward.bytes, 4 * (5 * 5 + 5 * 11 + 5 * 11 + 2 * second)); /* and dx, W */
    ls_plan_work(plan, 2, &forward, &backward);
    cr_expect_eq(forward.bytes, 0, "the loss is not counted");
    ls_plan_free(plan);
    net_close(&network);
}

Test(nn_measure, nothing_is_computed) {
    static const int64_t samples[] = {4};
    net_network network = net_open(&(net_case){.input = {2, {3, 4}},
                                               .outputs = 2,
                                               .loss = LS_LOSS_CROSS_ENTROPY,
                                               .layers = NN_LIST(NN_FLATTEN, NN_DENSE(2))});
    ls_plan *train = net_plan(&network, LS_MODE_TRAIN, 1, samples, 0);
    ls_plan *evaluate = net_plan(&network, LS_MODE_EVALUATE, 1, samples, 0);
    ls_pass_work forward, backward;
    ls_plan_work(train, 0, &forward, &backward);
    cr_expect(forward.bytes == 0 && backward.bytes == 0, "a plain array is flat already");
    ls_plan_work(evaluate, 1, &forward, &backward);
    cr_expect(forward.flops > 0 && backward.flops == 0 && backward.bytes == 0);
    ls_plan_free(train);
    ls_plan_free(evaluate);
    net_close(&network);
}

/* ---- events --------------------------------------------------------------------------------- */

/* How often an event of this kind and index was noted. */
static size_t times(const ls_recorder *recorder, ls_event_kind kind, size_t index) {
    size_t count = 0;
    for (size_t i = 0; i < recorder->count; i++)
        count += recorder->events[i].kind == kind && recorder->events[i].index == (int32_t)index;
    return count;
}

/* Dense layers and the loss take all slots at once. */
static size_t passes(const ls_net *net, size_t op, size_t slots) {
    const char *kind = ls_net_op_kind(net, op);
    return strcmp(kind, "dense") == 0 || strcmp(kind, "loss") == 0 ? 1 : slots;
}

Test(nn_measure, passes_note_each_operation) {
    static const int64_t samples[] = {3, 2};
    net_network network = network_of_all();
    ls_plan *plan = net_plan(&network, LS_MODE_TRAIN, 2, samples, 0);
    net_gradients gradients;
    ls_recorder recorder = {0};
    ls_net_record(network.net, &recorder);
    TRY(ls_plan_forward(plan, 1, 0));
    net_backward(plan, &network, 1, &gradients);
    ls_net_record(network.net, NULL);
    size_t noted = recorder.count;
    net_gradients_free(&gradients);
    for (size_t op = 0; op < ls_net_op_count(network.net); op++) {
        size_t expected = passes(network.net, op, 2);
        cr_expect_eq(times(&recorder, LS_EVENT_FORWARD, op), expected, "forward %zu", op);
        cr_expect_eq(times(&recorder, LS_EVENT_BACKWARD, op), expected, "backward %zu", op);
    }
    for (size_t param = 0; param < ls_net_param_count(network.net); param++) {
        bool trained = ls_net_param(network.net, param)->offset < ls_net_trained_size(network.net);
        cr_expect_eq(times(&recorder, LS_EVENT_GRADIENT, param), trained ? 2 : 0, "slots: %s",
                     ls_net_param(network.net, param)->name);
        cr_expect_eq(times(&recorder, LS_EVENT_FINAL, param), trained, "%s",
                     ls_net_param(network.net, param)->name);
    }
    TRY(ls_plan_forward(plan, 1, 0));
    cr_expect_eq(recorder.count, noted, "nobody asks any more");
    ls_recorder_free(&recorder);
    ls_plan_free(plan);
    net_close(&network);
}

Test(nn_measure, product_of_squares) {
    static const float expected[] = {6, 7, 1, 6, -5, -2, -15, -3, -5};
    for (int type = LS_COMPUTE_FLOAT32; type <= LS_COMPUTE_BF16; type++) {
        ls_gemm *gemm;
        if (!ls_compute_has((ls_compute_type)type))
            continue;
        TRY(ls_gemm_create((ls_compute_type)type, 3, &gemm));
        TRY(ls_gemm_run(gemm));
        cr_expect_arr_eq(ls_gemm_result(gemm), expected, sizeof expected, "%s",
                         ls_compute_type_name((ls_compute_type)type));
        ls_gemm_free(gemm);
    }
}
