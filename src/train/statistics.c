/* Batch-norm statistics of all slices, as sums of integers. */
#include "train/statistics.h"

#include <math.h>
#include <string.h>

enum {
    NOT_FINITE_BITS = 0x7f800000, /* float bits from here on are infinity and NaN */
    SUM_BITS = 61                 /* what is summed stays below 2^61, and its rounding too */
};

ls_status ls_statistics_create(ls_comm *comm, const ls_net *net, ls_statistics **statistics) {
    ls_statistics *made;
    LS_TRY(LS_NEW(made, 1));
    *made = (ls_statistics){.net = net, .count = ls_net_statistics_size(net)};
    ls_status status =
        ls_allreduce_create(comm, LS_REDUCTION_MAX_UINT32, made->count, &made->largest);
    if (status == LS_OK)
        status = ls_allreduce_create(comm, LS_REDUCTION_SUM_INT64, made->count, &made->sums);
    if (status == LS_OK)
        status = LS_NEW(made->slice, made->count);
    if (status == LS_OK)
        status = LS_NEW(made->scale, made->count);
    if (status != LS_OK) {
        ls_statistics_free(made);
        return status;
    }
    *statistics = made;
    return LS_OK;
}

void ls_statistics_free(ls_statistics *statistics) {
    if (statistics == NULL)
        return;
    ls_free(statistics->scale);
    ls_free(statistics->slice);
    ls_allreduce_free(statistics->sums);
    ls_allreduce_free(statistics->largest);
    ls_free(statistics);
}

/* ---- maxima --------------------------------------------------------------------------------- */

static int slots(const ls_statistics *statistics) {
    return statistics->plan ? ls_plan_slots(statistics->plan) : 0;
}

static uint32_t magnitude(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits & 0x7fffffffu;
}

ls_status ls_statistics_start(ls_statistics *statistics, const ls_plan *plan, int64_t samples) {
    if (statistics->count == 0)
        return LS_OK;
    uint32_t *largest = ls_allreduce_mine(statistics->largest);
    statistics->plan = plan;
    statistics->samples = samples;
    statistics->summing = false;
    memset(largest, 0, statistics->count * sizeof *largest);
    for (int slot = 0; slot < slots(statistics); slot++) {
        ls_plan_statistics(plan, slot, statistics->slice);
        for (size_t i = 0; i < statistics->count; i++) {
            uint32_t bits = magnitude(statistics->slice[i]);
            largest[i] = bits > largest[i] ? bits : largest[i];
        }
    }
    return ls_allreduce_start(statistics->largest);
}

/* ---- sums ----------------------------------------------------------------------------------- */

/* For values up to the one whose bits are `largest`, weighted by `samples` in all: their sum times
 * the scale, a power of two, is below 2^SUM_BITS.  0: they are not all finite. */
static double scale_for(uint32_t largest, int64_t samples) {
    float value;
    int value_bits, sample_bits;
    if (largest >= NOT_FINITE_BITS)
        return 0;
    memcpy(&value, &largest, sizeof value);
    frexpf(value, &value_bits);
    frexp((double)samples, &sample_bits);
    return ldexp(1, SUM_BITS - value_bits - sample_bits);
}

static ls_status start_sums(ls_statistics *statistics) {
    const uint32_t *largest = ls_allreduce_result(statistics->largest);
    int64_t *sums = ls_allreduce_mine(statistics->sums);
    memset(sums, 0, statistics->count * sizeof *sums);
    for (size_t i = 0; i < statistics->count; i++)
        statistics->scale[i] = scale_for(largest[i], statistics->samples);
    for (int slot = 0; slot < slots(statistics); slot++) {
        const double samples = (double)ls_plan_samples(statistics->plan, slot);
        ls_plan_statistics(statistics->plan, slot, statistics->slice);
        for (size_t i = 0; i < statistics->count; i++)
            if (statistics->scale[i] > 0)
                sums[i] += llrint(samples * (double)statistics->slice[i] * statistics->scale[i]);
    }
    statistics->summing = true;
    return ls_allreduce_start(statistics->sums);
}

ls_status ls_statistics_poll(ls_statistics *statistics) {
    if (statistics->count == 0)
        return LS_OK;
    if (!statistics->summing)
        return ls_allreduce_test(statistics->largest) ? start_sums(statistics) : LS_OK;
    ls_allreduce_test(statistics->sums);
    return LS_OK;
}

ls_status ls_statistics_wait(ls_statistics *statistics) {
    if (statistics->count == 0)
        return LS_OK;
    LS_TRY(ls_allreduce_wait(statistics->largest));
    if (!statistics->summing)
        LS_TRY(start_sums(statistics));
    return ls_allreduce_wait(statistics->sums);
}

/* ---- the running ones ----------------------------------------------------------------------- */

static double batch_mean(const ls_statistics *statistics, size_t place) {
    const int64_t *sums = ls_allreduce_result(statistics->sums);
    double scale = statistics->scale[place];
    return scale > 0 ? (double)sums[place] / scale / (double)statistics->samples : (double)NAN;
}

void ls_statistics_merge(const ls_statistics *statistics, float *params) {
    for (size_t p = 0; p < ls_net_param_count(statistics->net); p++) {
        const ls_param *param = ls_net_param(statistics->net, p);
        if (param->role != LS_PARAM_MEAN && param->role != LS_PARAM_VARIANCE)
            continue;
        float *running = params + param->offset;
        for (size_t i = 0; i < param->count; i++) {
            double batch = batch_mean(statistics, param->statistics + i);
            running[i] =
                (float)((1 - param->momentum) * (double)running[i] + param->momentum * batch);
        }
    }
}
