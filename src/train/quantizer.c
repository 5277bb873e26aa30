/* Fixed-point gradients: exponents, and the ranges that they follow. */
#include "train/quantizer.h"

#include <math.h>
#include <string.h>

#include "lockstep/optim.h"

enum { NOT_FINITE_BITS = 0x7f800000 }; /* float bits from here on are infinity and NaN */

static bool is_fixed(const ls_quantizer *quantizer) {
    return quantizer->addend != LS_ADDEND_FLOAT32;
}

static ls_addend choose_addend(ls_exchange_type type, int slices) {
    if (type == LS_EXCHANGE_FLOAT32)
        return LS_ADDEND_FLOAT32;
    return ls_fixed_is_wide(slices) ? LS_ADDEND_INT64 : LS_ADDEND_INT32;
}

ls_status ls_quantizer_create(ls_comm *comm, const ls_net *net, ls_exchange_type type, int slices,
                              ls_quantizer **quantizer) {
    size_t params = ls_net_param_count(net);
    ls_quantizer *made;
    LS_TRY(LS_NEW(made, 1));
    *made = (ls_quantizer){.net = net,
                           .addend = choose_addend(type, slices),
                           .comm = comm,
                           .slices = slices,
                           .lock = PTHREAD_MUTEX_INITIALIZER};
    ls_status status = ls_allreduce_create(comm, LS_REDUCTION_MAX_UINT32, params, &made->largest);
    if (status == LS_OK)
        status = LS_NEW(made->exponent, params);
    if (status == LS_OK)
        status = LS_NEW(made->next_exponent, params);
    if (status == LS_OK)
        status = LS_NEW(made->reached, params);
    if (status != LS_OK) {
        ls_quantizer_free(made);
        return status;
    }
    ls_quantizer_reset(made);
    *quantizer = made;
    return LS_OK;
}

void ls_quantizer_free(ls_quantizer *quantizer) {
    if (quantizer == NULL)
        return;
    ls_allreduce_free(quantizer->squares);
    ls_allreduce_free(quantizer->largest);
    ls_free(quantizer->reached);
    ls_free(quantizer->next_exponent);
    ls_free(quantizer->exponent);
    ls_free(quantizer);
}

/* ---- a pass --------------------------------------------------------------------------------- */

void ls_quantizer_begin(ls_quantizer *quantizer) {
    size_t params = ls_net_param_count(quantizer->net);
    memset(ls_allreduce_mine(quantizer->largest), 0, params * sizeof(uint32_t));
    if (quantizer->measures)
        memset(ls_allreduce_mine(quantizer->squares), 0, 2 * params * sizeof(int64_t));
    quantizer->not_finite = INT64_MAX;
}

static uint32_t add_float(float *sums, const float *gradient, size_t count, bool first) {
    uint32_t largest = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &gradient[i], sizeof bits);
        bits &= 0x7fffffffu;
        largest = bits > largest ? bits : largest;
        sums[i] = first ? gradient[i] : sums[i] + gradient[i];
    }
    return largest;
}

static void note_largest(ls_quantizer *quantizer, int slice, size_t param, uint32_t largest) {
    uint32_t *all = ls_allreduce_mine(quantizer->largest);
    int64_t place = slice * (int64_t)ls_net_param_count(quantizer->net) + (int64_t)param;
    pthread_mutex_lock(&quantizer->lock);
    all[param] = largest > all[param] ? largest : all[param];
    if (largest >= NOT_FINITE_BITS && place < quantizer->not_finite)
        quantizer->not_finite = place;
    pthread_mutex_unlock(&quantizer->lock);
}

void ls_quantizer_add(ls_quantizer *quantizer, int slice, size_t param, size_t count,
                      const float *gradient, bool first, void *addends) {
    uint32_t largest = is_fixed(quantizer)
                           ? ls_fixed_add(addends, gradient, count, quantizer->exponent[param],
                                          quantizer->slices, first)
                           : add_float(addends, gradient, count, first);
    note_largest(quantizer, slice, param, largest);
}

void ls_quantizer_add_squares(ls_quantizer *quantizer, size_t param, size_t count,
                              const float *gradient) {
    int64_t *sums = ls_allreduce_mine(quantizer->squares), own[2] = {0, 0};
    sums += 2 * param;
    ls_fixed_add_squares(own, gradient, count, quantizer->exponent[param], quantizer->slices);
    pthread_mutex_lock(&quantizer->lock);
    sums[0] += own[0];
    sums[1] += own[1];
    pthread_mutex_unlock(&quantizer->lock);
}

ls_status ls_quantizer_measure(ls_quantizer *quantizer, bool measures) {
    size_t params = ls_net_param_count(quantizer->net);
    LS_ASSERT(is_fixed(quantizer));
    if (measures && quantizer->squares == NULL)
        LS_TRY(ls_allreduce_create(quantizer->comm, LS_REDUCTION_SUM_INT64, 2 * params,
                                   &quantizer->squares));
    quantizer->measures = measures;
    return LS_OK;
}

/* ---- between passes ------------------------------------------------------------------------- */

/* Names the first slice, and there the first parameter, of all ranks. */
static ls_status fail_not_finite(const ls_quantizer *quantizer, int64_t step) {
    int64_t params = (int64_t)ls_net_param_count(quantizer->net), place = quantizer->not_finite;
    LS_TRY(ls_comm_min_int64(quantizer->comm, &place));
    return ls_fail(LS_ERR_NUMERIC, "the gradient of %s is not finite in slice %lld of step %lld",
                   ls_net_param(quantizer->net, (size_t)(place % params))->name,
                   (long long)(place / params), (long long)step);
}

static ls_status reduce(ls_quantizer *quantizer) {
    LS_TRY(ls_allreduce_start(quantizer->largest));
    if (quantizer->measures)
        LS_TRY(ls_allreduce_start(quantizer->squares));
    LS_TRY(ls_allreduce_wait(quantizer->largest));
    return quantizer->measures ? ls_allreduce_wait(quantizer->squares) : LS_OK;
}

static double sum_squares(const ls_quantizer *quantizer) {
    const int64_t *sums = ls_allreduce_result(quantizer->squares);
    double sum = 0;
    for (size_t i = 0; i < ls_net_param_count(quantizer->net); i++)
        sum += ldexp(ldexp((double)sums[2 * i], 32) + (double)sums[2 * i + 1],
                     -2 * quantizer->exponent[i]);
    return sum;
}

ls_status ls_quantizer_check(ls_quantizer *quantizer, int64_t step, bool *fits) {
    int slices = quantizer->slices;
    size_t params = ls_net_param_count(quantizer->net);
    LS_TRY(reduce(quantizer));
    const uint32_t *bits = ls_allreduce_result(quantizer->largest);
    for (size_t i = 0; i < params; i++)
        if (bits[i] >= NOT_FINITE_BITS)
            return fail_not_finite(quantizer, step);
    quantizer->slice_squares = quantizer->measures ? sum_squares(quantizer) : (double)NAN;
    *fits = quantizer->calibrated || !is_fixed(quantizer);
    quantizer->calibrated = true;
    for (size_t i = 0; i < params; i++) {
        float largest;
        int exponent = quantizer->exponent[i];
        memcpy(&largest, &bits[i], sizeof largest);
        if (is_fixed(quantizer) && !ls_fixed_fits(exponent, largest, slices))
            *fits = false;
        quantizer->reached[i] |= largest > 0;
        quantizer->next_exponent[i] = largest > 0 ? ls_fixed_exponent(largest, slices) : exponent;
    }
    return LS_OK;
}

bool ls_quantizer_reached(const ls_quantizer *quantizer, size_t param) {
    return quantizer->reached[param];
}

void ls_quantizer_next(ls_quantizer *quantizer) {
    memcpy(quantizer->exponent, quantizer->next_exponent,
           ls_net_param_count(quantizer->net) * sizeof *quantizer->exponent);
}

void ls_quantizer_reset(ls_quantizer *quantizer) {
    quantizer->calibrated = false;
    for (size_t i = 0; i < ls_net_param_count(quantizer->net); i++) {
        quantizer->exponent[i] = ls_fixed_exponent(0, quantizer->slices);
        quantizer->reached[i] = false;
    }
}

/* ---- the sums ------------------------------------------------------------------------------- */

double ls_quantizer_square_sum(const ls_quantizer *quantizer, size_t param, size_t count,
                               const void *sums) {
    float scaled[LS_CHUNK];
    if (quantizer->addend == LS_ADDEND_INT32)
        return ls_square_sum_fixed(count, sums, quantizer->exponent[param]);
    if (quantizer->addend == LS_ADDEND_FLOAT32)
        return ls_square_sum_float(count, sums);
    ls_quantizer_scale(quantizer, param, 1, count, sums, scaled);
    return ls_square_sum_float(count, scaled);
}

static float as_float(ls_addend addend, const void *sums, size_t i) {
    return addend == LS_ADDEND_INT64 ? (float)((const int64_t *)sums)[i] : ((const float *)sums)[i];
}

void ls_quantizer_scale(const ls_quantizer *quantizer, size_t param, float factor, size_t count,
                        const void *sums, float *out) {
    if (quantizer->addend == LS_ADDEND_INT32) {
        ls_fixed_scale(sums, count, quantizer->exponent[param], factor, out);
        return;
    }
    float unit = is_fixed(quantizer) ? ldexpf(1, -quantizer->exponent[param]) : 1;
    for (size_t i = 0; i < count; i++)
        out[i] = as_float(quantizer->addend, sums, i) * unit * factor;
}
