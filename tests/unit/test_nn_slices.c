/* nn: the same bits for a slice whatever is computed beside it, before it or elsewhere in memory.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lockstep/threads.h"
#include "nn_check.h"

#define TRY(expression) cr_assert_eq((expression), LS_OK, "%s: %s", #expression, ls_message())

enum { SEED = 11, EPOCH = 2, FIRST = 40 };

/* Something of everything, odd channel counts, layouts that change. */
static net_network everything(ls_compute_type type) {
    return net_open(&(net_case){
        .type = type,
        .input = {3, {2, 9, 8}},
        .outputs = 4,
        .loss = LS_LOSS_CROSS_ENTROPY,
        .layers = NN_LIST(
            NN_CONV(18, 3, .padding = NN_EACH(1)), NN_NORM, NN_RELU, NN_MAX_POOL(2),
            NN_RESIDUAL(.body = NN_LIST(NN_CONV(18, 3, .padding = NN_EACH(1)), NN_NORM, NN_RELU,
                                        NN_DROPOUT(0.3), NN_CONV(18, 1), NN_NORM)),
            NN_RELU,
            NN_RESIDUAL(.body = NN_LIST(NN_CONV(7, 2, .stride = NN_EACH(2)),
                                        NN_ACTIVATION(LS_LAYER_GELU)),
                        .projection = NN_LIST(NN_CONV(7, 1, .stride = NN_EACH(2)))),
            NN_AVG_POOL(2), NN_FLATTEN, NN_DENSE(33), NN_RELU, NN_DROPOUT(0.5), NN_DENSE(4))});
}

/* A test in float32, and in bf16 if this machine has it. */
#define IN_BOTH_TYPES(name)                                                                        \
    static void check_##name(ls_compute_type type);                                                \
    Test(nn_slices, name) {                                                                        \
        check_##name(LS_COMPUTE_FLOAT32);                                                          \
    }                                                                                              \
    Test(nn_slices, name##_bf16) {                                                                 \
        if (ls_compute_has(LS_COMPUTE_BF16))                                                       \
            check_##name(LS_COMPUTE_BF16);                                                         \
    }                                                                                              \
    static void check_##name(ls_compute_type type)

/* What a slice gives. */
typedef struct outcome {
    ls_slice_result result;
    float outputs[64], statistics[256];
    float *gradient; /* of the trained part */
} outcome;

static outcome take(const net_network *network, ls_plan *plan, int slot, net_gradients *gradients) {
    outcome made = {.result = ls_plan_result(plan, slot), .gradient = gradients->gradient[slot]};
    memcpy(made.outputs, ls_plan_output(plan, slot),
           sizeof(float) * (size_t)(ls_plan_samples(plan, slot) * network->outputs));
    ls_plan_statistics(plan, slot, made.statistics);
    gradients->gradient[slot] = NULL;
    return made;
}

/* A training pass; the outcomes of its slots. */
static void pass(const net_network *network, ls_plan *plan, outcome *outcomes) {
    net_gradients gradients;
    TRY(ls_plan_forward(plan, SEED, EPOCH));
    net_backward(plan, network, 0.25f, &gradients);
    for (int slot = 0; slot < ls_plan_slots(plan); slot++)
        outcomes[slot] = take(network, plan, slot, &gradients);
    net_gradients_free(&gradients);
}

static void same(const net_network *network, const outcome *a, const outcome *b, const char *what) {
    size_t bytes = sizeof(float) * ls_net_trained_size(network->net);
    cr_assert(memcmp(&a->result.loss, &b->result.loss, sizeof(double)) == 0, "loss: %s", what);
    cr_assert_eq(a->result.correct, b->result.correct, "correct: %s", what);
    cr_assert(memcmp(a->outputs, b->outputs, sizeof a->outputs) == 0, "outputs: %s", what);
    cr_assert(memcmp(a->statistics, b->statistics, sizeof a->statistics) == 0, "statistics: %s",
              what);
    cr_assert(memcmp(a->gradient, b->gradient, bytes) == 0, "gradients: %s", what);
}

static void free_all(outcome *outcomes, int count) {
    for (int i = 0; i < count; i++)
        free(outcomes[i].gradient);
}

IN_BOTH_TYPES(alone_and_among_others) {
    const int64_t samples[] = {6, 5, 6, 5};
    net_network network = everything(type);
    ls_plan *together = net_plan(&network, LS_MODE_TRAIN, 4, samples, FIRST);
    outcome all[4] = {0}, alone = {0};
    pass(&network, together, all);
    int64_t first = FIRST;
    for (int slot = 0; slot < 4; first += samples[slot++]) {
        ls_plan *one = net_plan(&network, LS_MODE_TRAIN, 1, &samples[slot], (uint64_t)first);
        memset(&alone, 0, sizeof alone);
        pass(&network, one, &alone);
        same(&network, &all[slot], &alone, "alone");
        free(alone.gradient);
        ls_plan_free(one);
    }
    free_all(all, 4);
    ls_plan_free(together);
    net_close(&network);
}

/* More threads than slots, as many, fewer, and slots of a single sample: the last `most` cases. */
static void check_threads(net_network network, const char *isa, int most) {
    const int64_t samples[][3] = {{6, 5, 1}, {5}, {1}, {1, 1, 2}};
    const int slots[] = {3, 1, 1, 3};
    for (int i = 4 - most; i < 4; i++) {
        outcome one[3] = {0}, many[3] = {0};
        for (int threads = 1; threads <= 4; threads++) {
            TRY(ls_compute_init(threads, isa));
            cr_assert_eq(ls_threads(), threads);
            ls_plan *plan = net_plan(&network, LS_MODE_TRAIN, slots[i], samples[i], FIRST);
            pass(&network, plan, threads == 1 ? one : many);
            for (int slot = 0; threads > 1 && slot < slots[i]; slot++)
                same(&network, &one[slot], &many[slot], "with more threads");
            ls_plan_free(plan);
            if (threads > 1)
                free_all(many, 3);
            memset(many, 0, sizeof many);
        }
        free_all(one, 3);
    }
    net_close(&network);
}

IN_BOTH_TYPES(by_any_number_of_threads) {
    check_threads(everything(type), "auto", 4);
}

/* Samples so large that their convolutions are parted. */
static net_network large_volumes(ls_compute_type type) {
    return net_open(&(net_case){
        .type = type,
        .input = {4, {4, 9, 12, 12}},
        .outputs = 3,
        .loss = LS_LOSS_MEAN_SQUARED_ERROR,
        .layers = NN_LIST(NN_CONV(32, 3, .padding = NN_EACH(1)), NN_ACTIVATION(LS_LAYER_LEAKY_RELU),
                          NN_CONV(48, 3, .padding = NN_EACH(1)), NN_NORM, NN_RELU, NN_CONV(64, 3),
                          NN_MAX_POOL(2), NN_CONV(24, 2), NN_FLATTEN, NN_DENSE(3))});
}

static net_network large_images(ls_compute_type type) {
    return net_open(
        &(net_case){.type = type,
                    .input = {3, {3, 33, 31}},
                    .outputs = 3,
                    .loss = LS_LOSS_MEAN_SQUARED_ERROR,
                    .layers = NN_LIST(NN_CONV(64, 3, .padding = NN_EACH(1)), NN_RELU,
                                      NN_CONV(64, 3, .padding = NN_EACH(1)), NN_NORM, NN_RELU,
                                      NN_CONV(128, 3, .padding = NN_EACH(1), .stride = NN_EACH(2)),
                                      NN_GROUPS(96, 3, 2), NN_FLATTEN, NN_DENSE(3))});
}

IN_BOTH_TYPES(of_large_volumes_by_any_number_of_threads) {
    check_threads(large_volumes(type), "auto", 2);
}

IN_BOTH_TYPES(of_large_images_by_any_number_of_threads) {
    check_threads(large_images(type), "auto", 2);
}

Test(nn_slices, of_large_samples_with_avx2) {
    if (ls_compute_init(1, "avx2") != LS_OK)
        cr_skip_test("no AVX2");
    check_threads(large_volumes(LS_COMPUTE_FLOAT32), "avx2", 2);
    check_threads(large_images(LS_COMPUTE_FLOAT32), "avx2", 2);
}

/* Of many volumes Winograd's method takes larger tiles than of one, and other forms of the weights.
 */
Test(nn_slices, beside_larger_ones_with_avx2) {
    static const int64_t samples[] = {8, 1};
    const net_case wanted = {.input = {4, {1, 4, 8, 8}},
                             .outputs = 3,
                             .layers =
                                 NN_LIST(NN_CONV(16, 1), NN_CONV(16, 3, .padding = NN_EACH(1)),
                                         NN_GLOBAL_POOL, NN_DENSE(3))};
    if (ls_compute_init(1, "avx2") != LS_OK)
        cr_skip_test("no AVX2");
    net_network network = net_open(&wanted), other = net_open(&wanted);
    ls_plan *plan = net_plan(&network, LS_MODE_TRAIN, 2, samples, FIRST);
    ls_plan *alone = net_plan(&other, LS_MODE_TRAIN, 1, samples + 1, FIRST + 8);
    outcome a[2] = {0}, b[1] = {0};
    pass(&network, plan, a);
    pass(&other, alone, b);
    same(&network, &a[1], &b[0], "beside eight as alone");
    free_all(a, 2);
    free_all(b, 1);
    ls_plan_free(plan);
    ls_plan_free(alone);
    net_close(&network);
    net_close(&other);
}

IN_BOTH_TYPES(in_another_slot) {
    const int64_t samples[] = {5, 6, 5};
    net_network network = everything(type);
    ls_plan *plan = net_plan(&network, LS_MODE_TRAIN, 3, samples, FIRST);
    /* slot 1 and 2 as slot 0 and 1 of another plan */
    ls_plan *shifted = net_plan(&network, LS_MODE_TRAIN, 2, samples + 1, FIRST + 5);
    outcome a[3] = {0}, b[2] = {0};
    pass(&network, plan, a);
    pass(&network, shifted, b);
    same(&network, &a[1], &b[0], "slot 1 as slot 0");
    same(&network, &a[2], &b[1], "slot 2 as slot 1");
    free_all(a, 3);
    free_all(b, 2);
    ls_plan_free(plan);
    ls_plan_free(shifted);
    net_close(&network);
}

IN_BOTH_TYPES(again_with_other_plans_between) {
    const int64_t samples[] = {6, 5}, more[] = {6, 6, 6, 6};
    net_network network = everything(type);
    ls_plan *plan = net_plan(&network, LS_MODE_TRAIN, 2, samples, FIRST);
    outcome before[2] = {0}, after[2] = {0}, other[4] = {0};
    pass(&network, plan, before);
    ls_plan *evaluation = net_plan(&network, LS_MODE_EVALUATE, 4, more, FIRST + 1000);
    TRY(ls_plan_forward(evaluation, SEED, EPOCH));
    pass(&network, plan, after);
    for (int slot = 0; slot < 2; slot++)
        same(&network, &before[slot], &after[slot], "after an evaluation");
    free_all(after, 2);
    memset(after, 0, sizeof after);
    /* a larger plan moves the memory that all share */
    ls_plan *larger = net_plan(&network, LS_MODE_TRAIN, 4, more, FIRST + 2000);
    pass(&network, larger, other);
    pass(&network, plan, after);
    for (int slot = 0; slot < 2; slot++)
        same(&network, &before[slot], &after[slot], "after a larger plan");
    free_all(before, 2);
    free_all(after, 2);
    free_all(other, 4);
    ls_plan_free(larger);
    ls_plan_free(evaluation);
    ls_plan_free(plan);
    net_close(&network);
}

/* Parameters elsewhere in memory, and changed and restored. */
IN_BOTH_TYPES(other_addresses_and_changed_parameters) {
    const int64_t samples[] = {4, 3};
    net_network network = everything(type);
    size_t count = ls_net_flat_size(network.net);
    ls_plan *plan = net_plan(&network, LS_MODE_TRAIN, 2, samples, FIRST);
    outcome a[2] = {0}, b[2] = {0}, c[2] = {0};
    pass(&network, plan, a);
    float *moved = ls_calloc(count, sizeof *moved);
    for (size_t i = 0; i < count; i++)
        moved[i] = 0.9f * network.flat[i];
    net_bind(&network, moved);
    pass(&network, plan, b);
    cr_assert_neq(a[0].result.loss, b[0].result.loss);
    memcpy(moved, network.flat, sizeof(float) * count);
    if (network.rounded)
        ls_net_round(count, moved, network.rounded);
    ls_net_params_changed(network.net);
    pass(&network, plan, c);
    for (int slot = 0; slot < 2; slot++)
        same(&network, &a[slot], &c[slot], "restored elsewhere");
    free_all(a, 2);
    free_all(b, 2);
    free_all(c, 2);
    ls_plan_free(plan);
    net_close(&network);
    ls_free(moved);
}

IN_BOTH_TYPES(evaluation_does_not_depend_on_the_slot) {
    const int64_t samples[] = {3, 7, 4}, one[] = {7};
    net_network network = everything(type);
    ls_plan *plan = net_plan(&network, LS_MODE_EVALUATE, 3, samples, FIRST);
    ls_plan *alone = net_plan(&network, LS_MODE_EVALUATE, 1, one, FIRST + 3);
    float outputs[28];
    TRY(ls_plan_forward(plan, SEED, EPOCH));
    memcpy(outputs, ls_plan_output(plan, 1), sizeof outputs);
    TRY(ls_plan_forward(alone, SEED + 1, EPOCH + 1));
    cr_assert(memcmp(outputs, ls_plan_output(alone, 0), sizeof outputs) == 0);
    ls_plan_free(plan);
    ls_plan_free(alone);
    net_close(&network);
}

IN_BOTH_TYPES(gradients_scale_with_the_loss) {
    const int64_t samples[] = {4};
    net_network network = everything(type);
    ls_plan *plan = net_plan(&network, LS_MODE_TRAIN, 1, samples, FIRST);
    net_gradients one, quarter;
    TRY(ls_plan_forward(plan, SEED, EPOCH));
    net_backward(plan, &network, 1.0f, &one);
    TRY(ls_plan_forward(plan, SEED, EPOCH));
    net_backward(plan, &network, 0.25f, &quarter);
    for (size_t i = 0; i < ls_net_trained_size(network.net); i++)
        cr_assert_eq(0.25f * one.gradient[0][i], quarter.gradient[0][i]);
    net_gradients_free(&one);
    net_gradients_free(&quarter);
    ls_plan_free(plan);
    net_close(&network);
}

Test(nn_slices, backward_needs_its_own_forward) {
    const int64_t samples[] = {2};
    net_network network = everything(LS_COMPUTE_FLOAT32);
    ls_plan *plan = net_plan(&network, LS_MODE_TRAIN, 1, samples, FIRST);
    ls_plan *evaluation = net_plan(&network, LS_MODE_EVALUATE, 1, samples, FIRST);
    ls_grad_sink sink = {0};
    cr_assert_eq(ls_plan_backward(plan, 1, &sink), LS_ERR_BUG);
    TRY(ls_plan_forward(plan, SEED, EPOCH));
    TRY(ls_plan_forward(evaluation, SEED, EPOCH));
    cr_assert_eq(ls_plan_backward(plan, 1, &sink), LS_ERR_BUG);
    cr_assert_eq(ls_plan_backward(evaluation, 1, &sink), LS_ERR_BUG);
    ls_plan_free(plan);
    ls_plan_free(evaluation);
    net_close(&network);
}

Test(nn_slices, correct_counts_and_wrong_classes) {
    net_network network = net_open(&(net_case){.input = {1, {3}},
                                               .outputs = 3,
                                               .loss = LS_LOSS_CROSS_ENTROPY,
                                               .layers = NN_LIST(NN_DENSE(3))});
    const int64_t samples[] = {3};
    ls_plan *plan = net_plan(&network, LS_MODE_EVALUATE, 1, samples, 0);
    memset(network.flat, 0, sizeof(float) * ls_net_flat_size(network.net));
    for (int i = 0; i < 3; i++)
        network.flat[4 * i] = 1; /* the identity */
    for (int i = 0; i < 9; i++)
        ls_plan_input(plan, 0)[i] = i % 4 == 0;
    for (int i = 0; i < 3; i++)
        ls_plan_classes(plan, 0)[i] = i == 1 ? 2 : i;
    TRY(ls_plan_forward(plan, 0, 0));
    cr_assert_eq(ls_plan_result(plan, 0).correct, 2);
    double sum = exp(1) + 2;
    cr_assert_float_eq(ls_plan_result(plan, 0).loss, 3 * log(sum) - 2, 1e-6);
    ls_plan_classes(plan, 0)[1] = 3;
    cr_assert_eq(ls_plan_forward(plan, 0, 0), LS_ERR_INPUT);
    cr_assert_str_eq(ls_message(), "sample 1 has class 3, but classes go from 0 to 2");
    ls_plan_free(plan);
    net_close(&network);
}

IN_BOTH_TYPES(a_loss_that_is_not_finite_shows) {
    net_network network = everything(type);
    const int64_t samples[] = {2};
    ls_plan *plan = net_plan(&network, LS_MODE_TRAIN, 1, samples, FIRST);
    ls_plan_input(plan, 0)[5] = NAN;
    TRY(ls_plan_forward(plan, SEED, EPOCH));
    bool finite = isfinite(ls_plan_result(plan, 0).loss);
    net_gradients gradients;
    net_backward(plan, &network, 1.0f, &gradients);
    for (size_t i = 0; i < ls_net_trained_size(network.net); i++)
        finite = finite && isfinite(gradients.gradient[0][i]);
    cr_assert_not(finite);
    net_gradients_free(&gradients);
    ls_plan_free(plan);
    net_close(&network);
}
