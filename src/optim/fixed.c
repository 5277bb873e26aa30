/* Fixed-point gradients: integers add up to the same sum in any order. */
#include <math.h>
#include <string.h>

#include "lockstep/optim.h"

enum {
    GROWTH_BITS = 3, /* room for the largest element to grow 8-fold from one step to the next */
    /* The largest element spans at least so many bits of units. */
    NARROW_PRECISION_BITS = 16,
    WIDE_PRECISION_BITS = 20,
};

bool ls_fixed_is_wide(int slices) {
    return slices > LS_NARROW_SLICES;
}

int32_t ls_fixed_limit(int slices) {
    return ls_fixed_is_wide(slices) ? INT32_MAX : INT32_MAX / slices;
}

/* Bits between the unit and a power of two above the largest element, with room for its growth. */
static int fresh_bits(int slices) {
    int limit_bits;
    frexp(ls_fixed_limit(slices), &limit_bits); /* limit >= 2^(limit_bits - 1) */
    return limit_bits - 1 - GROWTH_BITS;
}

int ls_fixed_exponent(float largest, int slices) {
    int largest_bits;
    frexpf(largest > 0 ? largest : 1.0f, &largest_bits);
    int exponent = fresh_bits(slices) - largest_bits;
    if (exponent > LS_EXPONENT_LIMIT)
        return LS_EXPONENT_LIMIT;
    return exponent < -LS_EXPONENT_LIMIT ? -LS_EXPONENT_LIMIT : exponent;
}

bool ls_fixed_is_exponent(int32_t exponent) {
    return exponent >= -LS_EXPONENT_LIMIT && exponent <= LS_EXPONENT_LIMIT;
}

/* The largest float that is not above the limit. */
static float limit_float(int slices) {
    int32_t limit = ls_fixed_limit(slices);
    float rounded = (float)limit;
    return (double)rounded > (double)limit ? nextafterf(rounded, 0) : rounded;
}

float ls_fixed_range(int exponent, int slices) {
    return ldexpf(limit_float(slices), -exponent);
}

bool ls_fixed_fits(int exponent, float largest, int slices) {
    if (largest == 0 || exponent == LS_EXPONENT_LIMIT)
        return largest <= ls_fixed_range(exponent, slices);
    int wanted = ls_fixed_is_wide(slices) ? WIDE_PRECISION_BITS : NARROW_PRECISION_BITS;
    int lowest = fresh_bits(slices) - 1; /* what a fresh exponent gives at least */
    if (lowest > wanted)
        lowest = wanted;
    return largest <= ls_fixed_range(exponent, slices) &&
           ldexpf(largest, exponent) >= ldexpf(1.0f, lowest);
}

static inline int32_t quantise(float value, float scale, float limit) {
    float scaled = value * scale;
    scaled = scaled > limit ? limit : scaled;
    scaled = scaled > -limit ? scaled : -limit; /* takes NaN too */
    return (int32_t)rintf(scaled);
}

static inline uint32_t magnitude(const float *value) {
    uint32_t bits;
    memcpy(&bits, value, sizeof bits);
    return bits & 0x7fffffffu;
}

LS_CLONES
static uint32_t set_quantised(int32_t *restrict sums, const float *restrict gradient, size_t count,
                              float scale, float limit) {
    uint32_t largest = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = magnitude(&gradient[i]);
        largest = bits > largest ? bits : largest;
        sums[i] = quantise(gradient[i], scale, limit);
    }
    return largest;
}

LS_CLONES
static uint32_t add_quantised(int32_t *restrict sums, const float *restrict gradient, size_t count,
                              float scale, float limit) {
    uint32_t largest = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = magnitude(&gradient[i]);
        largest = bits > largest ? bits : largest;
        sums[i] += quantise(gradient[i], scale, limit);
    }
    return largest;
}

/* `keep`: all bits to add, none to set. */
LS_CLONES
static uint32_t add_wide(int64_t *restrict sums, const float *restrict gradient, size_t count,
                         float scale, float limit, int64_t keep) {
    uint32_t largest = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = magnitude(&gradient[i]);
        largest = bits > largest ? bits : largest;
        sums[i] = (sums[i] & keep) + quantise(gradient[i], scale, limit);
    }
    return largest;
}

uint32_t ls_fixed_add(void *sums, const float *gradient, size_t count, int exponent, int slices,
                      bool first) {
    float scale = ldexpf(1.0f, exponent), limit = limit_float(slices);
    if (ls_fixed_is_wide(slices))
        return add_wide(sums, gradient, count, scale, limit, first ? 0 : -1);
    return first ? set_quantised(sums, gradient, count, scale, limit)
                 : add_quantised(sums, gradient, count, scale, limit);
}

/* Of 64 bits a square has up to 62: its halves are added apart. */
LS_CLONES
static void add_squares(int64_t sums[2], const float *restrict gradient, size_t count, float scale,
                        float limit) {
    uint64_t high = 0, low = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t value = quantise(gradient[i], scale, limit);
        uint64_t square = (uint64_t)(value * value);
        high += square >> 32;
        low += square & UINT32_MAX;
    }
    sums[0] += (int64_t)(high + (low >> 32));
    sums[1] += (int64_t)(low & UINT32_MAX);
}

void ls_fixed_add_squares(int64_t sums[2], const float *gradient, size_t count, int exponent,
                          int slices) {
    add_squares(sums, gradient, count, ldexpf(1.0f, exponent), limit_float(slices));
}

LS_CLONES
static void scale(const int32_t *restrict sums, size_t count, float unit, float factor,
                  float *restrict out) {
    for (size_t i = 0; i < count; i++)
        out[i] = (float)sums[i] * unit * factor;
}

void ls_fixed_scale(const int32_t *sums, size_t count, int exponent, float factor, float *out) {
    scale(sums, count, ldexpf(1.0f, -exponent), factor, out);
}
