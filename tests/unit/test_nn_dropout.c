/* nn: dropout's masks: how many are kept, what they depend on and what they do not. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "nn_check.h"

#define TRY(expression) cr_assert_eq((expression), LS_OK, "%s: %s", #expression, ls_message())

enum { WIDTH = 1000 };

/* Two dropout layers, nothing else: the output is the input, masked twice, or once if `second` is
 * 0. */
static net_network masks(double first, double second) {
    return net_open(&(net_case){.input = {1, {WIDTH}},
                                .outputs = WIDTH,
                                .loss = LS_LOSS_MEAN_SQUARED_ERROR,
                                .layers = NN_LIST(NN_DROPOUT(first), NN_DROPOUT(second))});
}

/* Output of slot `slot` for an input of ones. */
static const float *run(ls_plan *plan, int slot, uint64_t seed, uint32_t epoch) {
    for (int i = 0; i < ls_plan_slots(plan); i++)
        for (int64_t k = 0; k < ls_plan_samples(plan, i) * WIDTH; k++)
            ls_plan_input(plan, i)[k] = 1;
    TRY(ls_plan_forward(plan, seed, epoch));
    return ls_plan_output(plan, slot);
}

static int64_t equal(const float *a, const float *b, int64_t count) {
    int64_t same = 0;
    for (int64_t i = 0; i < count; i++)
        same += a[i] == b[i];
    return same;
}

Test(nn_dropout, share_and_scale) {
    const double rates[] = {0.1, 0.5, 0.9};
    const int64_t samples[] = {50};
    for (int r = 0; r < 3; r++) {
        net_network network = masks(rates[r], 0);
        ls_plan *plan = net_plan(&network, LS_MODE_TRAIN, 1, samples, 0);
        const float *y = run(plan, 0, 1, 0);
        double kept = 0, count = 50.0 * WIDTH, sum = 0;
        for (int i = 0; i < 50 * WIDTH; i++) {
            cr_assert(y[i] == 0 || y[i] == (float)(1 / (1 - rates[r])));
            kept += y[i] != 0;
            sum += y[i];
        }
        double deviation = sqrt(count * rates[r] * (1 - rates[r]));
        cr_assert_lt(fabs(kept - count * (1 - rates[r])), 4 * deviation);
        cr_assert_float_eq(sum / count, 1, 0.05);
        ls_plan_free(plan);
        net_close(&network);
    }
}

Test(nn_dropout, a_mask_belongs_to_the_sample) {
    const int64_t samples[] = {3, 4}, one[] = {4};
    net_network network = masks(0.5, 0);
    ls_plan *plan = net_plan(&network, LS_MODE_TRAIN, 2, samples, 7);
    ls_plan *alone = net_plan(&network, LS_MODE_TRAIN, 1, one, 10);
    float mask[4 * WIDTH];
    memcpy(mask, run(plan, 1, 1, 0), sizeof mask);
    cr_assert_eq(equal(mask, run(alone, 0, 1, 0), 4 * WIDTH), 4 * WIDTH);
    /* another place in the slice */
    ls_plan_sample_ids(alone, 0)[0] = 12;
    cr_assert_eq(equal(mask + 2 * WIDTH, run(alone, 0, 1, 0), WIDTH), WIDTH);
    ls_plan_free(plan);
    ls_plan_free(alone);
    net_close(&network);
}

/* Independent masks agree in half of the elements, within 5 deviations. */
static void independent(const float *a, const float *b, const char *what) {
    double deviation = sqrt(WIDTH * 0.25);
    cr_assert_lt(fabs((double)equal(a, b, WIDTH) - WIDTH / 2), 5 * deviation, "%s", what);
}

Test(nn_dropout, masks_differ) {
    const int64_t samples[] = {2};
    net_network network = masks(0.5, 0);
    ls_plan *plan = net_plan(&network, LS_MODE_TRAIN, 1, samples, 7);
    float mask[2 * WIDTH];
    memcpy(mask, run(plan, 0, 1, 0), sizeof mask);
    independent(mask, mask + WIDTH, "sample");
    independent(mask, run(plan, 0, 2, 0), "seed");
    independent(mask, run(plan, 0, 1, 1), "epoch");
    ls_plan_sample_ids(plan, 0)[0] += (uint64_t)1 << 32;
    independent(mask, run(plan, 0, 1, 0), "upper half of the sample's id");
    ls_plan_free(plan);
    net_close(&network);
    network = masks(0, 0.5);
    plan = net_plan(&network, LS_MODE_TRAIN, 1, samples, 7);
    independent(mask, run(plan, 0, 1, 0), "layer");
    ls_plan_free(plan);
    net_close(&network);
}

Test(nn_dropout, nothing_in_evaluation) {
    const int64_t samples[] = {2};
    net_network network = masks(0.5, 0.9);
    ls_plan *plan = net_plan(&network, LS_MODE_EVALUATE, 1, samples, 0);
    const float *y = run(plan, 0, 1, 0);
    for (int i = 0; i < 2 * WIDTH; i++)
        cr_assert_eq(y[i], 1.0f);
    ls_plan_free(plan);
    net_close(&network);
}
