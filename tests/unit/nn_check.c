/* Tests of nn: building networks, collecting gradients, comparing with the reference. */
#include "nn_check.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn_reference.h"

#define TRY(expression) cr_assert_eq((expression), LS_OK, "%s: %s", #expression, ls_message())

/* ---- networks ------------------------------------------------------------------------------- */

static void copy_list(const ls_layer_list *from, ls_layer_list *to) {
    to->count = from->count;
    to->layers = ls_calloc(from->count, sizeof *to->layers);
    for (size_t i = 0; i < from->count; i++) {
        to->layers[i] = from->layers[i];
        to->layers[i].name = ls_format("%s%zu", ls_layer_kind_name(from->layers[i].kind), i + 1);
        if (from->layers[i].kind == LS_LAYER_RESIDUAL) {
            copy_list(&from->layers[i].residual.body, &to->layers[i].residual.body);
            copy_list(&from->layers[i].residual.projection, &to->layers[i].residual.projection);
        }
    }
}

/* Uniform in [-1, 1), a function of two numbers. */
static float noise(uint64_t major, uint64_t minor) {
    const uint32_t key[2] = {17, 4};
    const uint32_t counter[4] = {(uint32_t)major, (uint32_t)(major >> 32), (uint32_t)minor,
                                 (uint32_t)(minor >> 32)};
    uint32_t words[4];
    ls_philox(key, counter, words);
    return 2 * ls_unit_float(words[0]) - 1;
}

static void fill_params(const net_network *network) {
    for (size_t i = 0; i < ls_net_param_count(network->net); i++) {
        const ls_param *param = ls_net_param(network->net, i);
        bool around_one = param->role == LS_PARAM_SCALE || param->role == LS_PARAM_VARIANCE;
        for (size_t k = 0; k < param->count; k++)
            network->flat[param->offset + k] =
                0.5f * noise(1000 + i, k) + (around_one ? 1.0f : 0.0f);
    }
}

void net_bind(net_network *network, const float *flat) {
    size_t size = ls_net_flat_size(network->net);
    if (network->type == LS_COMPUTE_BF16) {
        ls_free(network->rounded);
        network->rounded = ls_calloc(size, sizeof *network->rounded);
        ls_net_round(size, flat, network->rounded);
    }
    ls_net_bind(network->net, flat, network->rounded);
}

net_network net_open(const net_case *wanted) {
    net_network network = {
        .input = wanted->input, .outputs = wanted->outputs, .type = wanted->type};
    network.spec.loss = wanted->loss;
    network.spec.label_smoothing = wanted->label_smoothing;
    copy_list(&wanted->layers, &network.spec.layers);
    TRY(ls_net_create(&network.spec, &network.input, network.outputs, wanted->type, &network.net));
    if (wanted->class_weights) {
        network.spec.class_weights.count = wanted->outputs;
        network.spec.class_weights.value = ls_calloc((size_t)wanted->outputs, sizeof(double));
        memcpy(network.spec.class_weights.value, wanted->class_weights,
               (size_t)wanted->outputs * sizeof(double));
        ls_net_weigh_classes(network.net, network.spec.class_weights.value);
    }
    network.flat = ls_calloc(ls_net_flat_size(network.net), sizeof(float));
    fill_params(&network);
    net_bind(&network, network.flat);
    return network;
}

void net_close(net_network *network) {
    ls_net_free(network->net);
    ls_free(network->flat);
    ls_free(network->rounded);
    ls_model_spec_free(&network->spec);
}

static int64_t input_elements(const net_network *network) {
    int64_t count = 1;
    for (int i = 0; i < network->input.ndims; i++)
        count *= network->input.size[i];
    return count;
}

ls_plan *net_plan(const net_network *network, ls_mode mode, int slots, const int64_t *samples,
                  uint64_t first_id) {
    ls_plan *plan;
    int64_t inputs = input_elements(network), outputs = network->outputs;
    TRY(ls_plan_create(network->net, mode, slots, samples, &plan));
    uint64_t id = first_id;
    for (int slot = 0; slot < slots; slot++)
        for (int64_t n = 0; n < samples[slot]; n++, id++) {
            ls_plan_sample_ids(plan, slot)[n] = id;
            for (int64_t i = 0; i < inputs; i++)
                ls_plan_input(plan, slot)[n * inputs + i] = noise(id, (uint64_t)i);
            if (network->spec.loss == LS_LOSS_CROSS_ENTROPY)
                ls_plan_classes(plan, slot)[n] = (int32_t)(id * 7 % (uint64_t)outputs);
            else
                for (int64_t i = 0; i < outputs; i++)
                    ls_plan_targets(plan, slot)[n * outputs + i] = noise(id, 1000000 + (uint64_t)i);
        }
    return plan;
}

/* ---- gradients ------------------------------------------------------------------------------ */

static void collect_block(void *context, int slot, size_t param, size_t offset, size_t count,
                          const float *gradient) {
    net_gradients *all = context;
    const ls_param *p = ls_net_param(all->network->net, param);
    cr_assert(offset >= p->offset && offset + count <= p->offset + p->count,
              "%s: block outside of it", p->name);
    cr_assert_leq(offset + count, all->final_from, "%s: block after it was final", p->name);
    for (size_t i = 0; i < count; i++) {
        all->gradient[slot][offset + i] = gradient[i];
        all->count[slot][offset + i]++;
    }
}

static void collect_final(void *context, size_t offset, size_t count) {
    net_gradients *all = context;
    cr_assert_leq(offset + count, all->final_from, "final does not fall");
    all->final_from = offset;
}

static void check_counts(const net_gradients *all, size_t trained) {
    for (size_t i = 0; i < ls_net_param_count(all->network->net); i++) {
        const ls_param *param = ls_net_param(all->network->net, i);
        for (int slot = 0; param->offset < trained && slot < all->slots; slot++)
            for (size_t k = 0; k < param->count; k++)
                cr_assert_eq(all->count[slot][param->offset + k], 1,
                             "%s[%zu] of slot %d came %d "
                             "times",
                             param->name, k, slot, all->count[slot][param->offset + k]);
    }
}

void net_backward(ls_plan *plan, const net_network *network, float loss_scale,
                  net_gradients *gradients) {
    size_t size = ls_net_trained_size(network->net);
    *gradients =
        (net_gradients){.network = network, .slots = ls_plan_slots(plan), .final_from = size};
    for (int slot = 0; slot < gradients->slots; slot++) {
        gradients->gradient[slot] = calloc(size, sizeof(float));
        gradients->count[slot] = calloc(size, sizeof(int));
    }
    ls_grad_sink sink = {gradients, collect_block, collect_final};
    TRY(ls_plan_backward(plan, loss_scale, &sink));
    cr_assert_eq(gradients->final_from, 0, "final ends at %zu", gradients->final_from);
    check_counts(gradients, size);
}

void net_gradients_free(net_gradients *gradients) {
    for (int slot = 0; slot < gradients->slots; slot++) {
        free(gradients->gradient[slot]);
        free(gradients->count[slot]);
    }
}

/* ---- comparison ----------------------------------------------------------------------------- */

enum { SEED = 5, EPOCH = 3 };

static const double TOLERANCE = 2e-5;          /* float32 against double, sums of some hundreds */
static const double GRADIENT_TOLERANCE = 5e-5; /* of the largest gradient */
static const double STEP = 3e-7;               /* in double; small: few kinks of ReLU are crossed */

static net_slice slice_of(ls_plan *plan, ls_mode mode, int slot) {
    return (net_slice){mode,
                       ls_plan_samples(plan, slot),
                       ls_plan_input(plan, slot),
                       ls_plan_classes(plan, slot),
                       ls_plan_targets(plan, slot),
                       ls_plan_sample_ids(plan, slot),
                       SEED,
                       EPOCH};
}

static double *as_double(const net_network *network) {
    size_t size = ls_net_flat_size(network->net);
    double *flat = calloc(size, sizeof *flat);
    for (size_t i = 0; i < size; i++)
        flat[i] = network->flat[i];
    return flat;
}

static void near(double got, double wanted, double scale, const char *what, size_t index) {
    cr_assert(fabs(got - wanted) <= TOLERANCE * fmax(1, scale), "%s[%zu]: %.9g instead of %.9g",
              what, index, got, wanted);
}

static void check_statistics(const ls_plan *plan, const net_network *network, int slot,
                             const double *wanted) {
    size_t count = ls_net_statistics_size(network->net);
    float *got = calloc(count + 1, sizeof *got);
    ls_plan_statistics(plan, slot, got);
    for (size_t i = 0; i < count; i++)
        near(got[i], wanted[i], fabs(wanted[i]), "statistics", i);
    free(got);
}

static void check_forward(ls_plan *plan, const net_network *network, ls_mode mode,
                          const double *flat) {
    for (int slot = 0; slot < ls_plan_slots(plan); slot++) {
        net_slice slice = slice_of(plan, mode, slot);
        size_t count = (size_t)(slice.samples * network->outputs);
        double *outputs = calloc(count, sizeof *outputs), largest = 0;
        double *statistics = calloc(ls_net_statistics_size(network->net) + 1, sizeof *statistics);
        double loss = net_reference(network->net, &network->spec, &network->input, flat, &slice,
                                    outputs, statistics);
        for (size_t i = 0; i < count; i++)
            largest = fmax(largest, fabs(outputs[i]));
        for (size_t i = 0; i < count; i++)
            near(ls_plan_output(plan, slot)[i], outputs[i], largest, "output", i);
        near(ls_plan_result(plan, slot).loss, loss, fabs(loss), "loss of slot", (size_t)slot);
        if (mode == LS_MODE_TRAIN)
            check_statistics(plan, network, slot, statistics);
        free(outputs);
        free(statistics);
    }
}

static double loss_at(const net_network *network, const net_slice *slice, double *flat, size_t at,
                      double step) {
    double kept = flat[at];
    flat[at] += step;
    double loss =
        net_reference(network->net, &network->spec, &network->input, flat, slice, NULL, NULL);
    flat[at] = kept;
    return loss;
}

enum { CHECKED = 60 }; /* elements of a parameter, at least, if it has as many */

static size_t stride_of(const ls_param *param) {
    return param->count / CHECKED + 1;
}

static double difference(const net_network *network, const net_slice *slice, double *flat,
                         size_t at) {
    return (loss_at(network, slice, flat, at, STEP) - loss_at(network, slice, flat, at, -STEP)) /
           (2 * STEP);
}

/* The differences for every trained parameter, and the largest of them. */
static double *differences(const net_network *network, const net_slice *slice, double *flat,
                           double *largest) {
    double *wanted = calloc(ls_net_trained_size(network->net), sizeof *wanted);
    *largest = 0;
    for (size_t i = 0; i < ls_net_param_count(network->net); i++) {
        const ls_param *param = ls_net_param(network->net, i);
        bool trained = param->offset < ls_net_trained_size(network->net);
        for (size_t k = 0; trained && k < param->count; k += stride_of(param)) {
            size_t at = param->offset + k;
            wanted[at] = difference(network, slice, flat, at);
            *largest = fmax(*largest, fabs(wanted[at]));
        }
    }
    return wanted;
}

static void check_gradients(const net_network *network, const net_slice *slice, double *flat,
                            const float *gradient) {
    double all;
    double *wanted = differences(network, slice, flat, &all);
    for (size_t i = 0; i < ls_net_param_count(network->net); i++) {
        const ls_param *param = ls_net_param(network->net, i);
        double largest = 0.1 * all; /* some are 0 but for rounding: a bias before batch norm */
        if (param->offset >= ls_net_trained_size(network->net))
            continue;
        for (size_t k = 0; k < param->count; k += stride_of(param))
            largest = fmax(largest, fabs(wanted[param->offset + k]));
        for (size_t k = 0; k < param->count; k += stride_of(param))
            cr_assert(fabs(gradient[param->offset + k] - wanted[param->offset + k]) <=
                          GRADIENT_TOLERANCE * largest,
                      "gradient of %s[%zu]: %.9g instead of %.9g", param->name, k,
                      (double)gradient[param->offset + k], wanted[param->offset + k]);
    }
    free(wanted);
}

static void check_float32(const net_case *wanted) {
    net_network network = net_open(wanted);
    double *flat = as_double(&network);
    ls_plan *evaluation = net_plan(&network, LS_MODE_EVALUATE, wanted->slots, wanted->samples, 100);
    TRY(ls_plan_forward(evaluation, SEED, EPOCH));
    check_forward(evaluation, &network, LS_MODE_EVALUATE, flat);
    ls_plan *plan = net_plan(&network, LS_MODE_TRAIN, wanted->slots, wanted->samples, 100);
    TRY(ls_plan_forward(plan, SEED, EPOCH));
    check_forward(plan, &network, LS_MODE_TRAIN, flat);
    net_gradients gradients;
    net_backward(plan, &network, 1.0f, &gradients);
    for (int slot = 0; slot < wanted->slots; slot++) {
        net_slice slice = slice_of(plan, LS_MODE_TRAIN, slot);
        check_gradients(&network, &slice, flat, gradients.gradient[slot]);
    }
    net_gradients_free(&gradients);
    ls_plan_free(plan);
    ls_plan_free(evaluation);
    net_close(&network);
    free(flat);
}

/* ---- bf16 against float32 ------------------------------------------------------------------- */

/* Roundings of 2^-9 in each layer, and now and then a ReLU or a maximum that goes the other way: in
 * these small networks each is up to a sixth of a gradient.  A wrong gradient is off by more. */
static const double BF16_TOLERANCE = 0.03;          /* of the largest value */
static const double BF16_GRADIENT_TOLERANCE = 0.25; /* of the norm */

/* One network in one type: a plan of a mode after its pass. */
typedef struct net_run {
    net_network network;
    ls_plan *plan;
    net_gradients gradients; /* in training */
} net_run;

static net_run run_in(const net_case *wanted, ls_compute_type type, ls_mode mode) {
    net_case typed = *wanted;
    typed.type = type;
    net_run made = {.network = net_open(&typed)};
    made.plan = net_plan(&made.network, mode, wanted->slots, wanted->samples, 100);
    TRY(ls_plan_forward(made.plan, SEED, EPOCH));
    return made;
}

static void run_free(net_run *run) {
    ls_plan_free(run->plan);
    net_close(&run->network);
}

static void close_to(const float *got, const float *wanted, size_t count, const char *what) {
    double largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(wanted[i]));
    for (size_t i = 0; i < count; i++)
        cr_assert(fabs(got[i] - wanted[i]) <= BF16_TOLERANCE * largest,
                  "bf16: %s[%zu]: %.9g instead of %.9g, largest %g", what, i, (double)got[i],
                  (double)wanted[i], largest);
}

static void compare_forward(const net_run *a, const net_run *b, int slot, ls_mode mode) {
    size_t outputs = (size_t)(ls_plan_samples(a->plan, slot) * a->network.outputs);
    size_t count = ls_net_statistics_size(a->network.net);
    float *statistics[2] = {calloc(count + 1, sizeof(float)), calloc(count + 1, sizeof(float))};
    double loss = ls_plan_result(b->plan, slot).loss;
    close_to(ls_plan_output(a->plan, slot), ls_plan_output(b->plan, slot), outputs, "output");
    cr_assert(fabs(ls_plan_result(a->plan, slot).loss - loss) <= BF16_TOLERANCE * fabs(loss));
    if (mode == LS_MODE_TRAIN) {
        ls_plan_statistics(a->plan, slot, statistics[0]);
        ls_plan_statistics(b->plan, slot, statistics[1]);
        close_to(statistics[0], statistics[1], count, "statistics");
    }
    free(statistics[0]);
    free(statistics[1]);
}

/* Squares of the difference and of b. */
static void add_squares(const float *a, const float *b, size_t count, double squares[2]) {
    for (size_t i = 0; i < count; i++) {
        squares[0] += pow((double)a[i] - b[i], 2);
        squares[1] += pow(b[i], 2);
    }
}

static void compare_gradients(const net_run *a, const net_run *b, int slot) {
    const ls_net *net = a->network.net;
    const float *got = a->gradients.gradient[slot], *wanted = b->gradients.gradient[slot];
    double all[2] = {0, 0};
    add_squares(got, wanted, ls_net_trained_size(net), all);
    for (size_t i = 0; i < ls_net_param_count(net); i++) {
        const ls_param *param = ls_net_param(net, i);
        double squares[2] = {0, 0.01 * all[1]}; /* some are 0 but for rounding */
        if (param->offset >= ls_net_trained_size(net))
            continue;
        add_squares(got + param->offset, wanted + param->offset, param->count, squares);
        double error = sqrt(squares[0] / squares[1]);
        cr_assert(error <= BF16_GRADIENT_TOLERANCE, "bf16: gradient of %s: error %.3g", param->name,
                  error);
    }
}

static void compare_types(const net_case *wanted, ls_mode mode) {
    net_run a = run_in(wanted, LS_COMPUTE_BF16, mode);
    net_run b = run_in(wanted, LS_COMPUTE_FLOAT32, mode);
    for (int slot = 0; slot < wanted->slots; slot++)
        compare_forward(&a, &b, slot, mode);
    if (mode == LS_MODE_TRAIN) {
        net_backward(a.plan, &a.network, 1.0f, &a.gradients);
        net_backward(b.plan, &b.network, 1.0f, &b.gradients);
        for (int slot = 0; slot < wanted->slots; slot++)
            compare_gradients(&a, &b, slot);
        net_gradients_free(&a.gradients);
        net_gradients_free(&b.gradients);
    }
    run_free(&a);
    run_free(&b);
}

void net_check_bf16(const net_case *wanted) {
    if (!ls_compute_has(LS_COMPUTE_BF16))
        return; /* not this machine */
    compare_types(wanted, LS_MODE_EVALUATE);
    compare_types(wanted, LS_MODE_TRAIN);
}

void net_check(const net_case *wanted) {
    check_float32(wanted);
    net_check_bf16(wanted);
}
