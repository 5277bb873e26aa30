/* The steps of a chain of transforms, block by block in the cache; of narrow integers by a table.
 */
#include "data/transform.h"
#include "data/values.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { BLOCK = 512, NARROW_VALUES = 1 << 16 };

/* ---- log1p ---------------------------------------------------------------------------------- */

static inline double double_of(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint64_t bits_of(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* 1 + x = 2^k m, m in [sqrt(1/2), sqrt(2)): its logarithm is k ln 2 + log m, and what 1 + x has
 * lost of x adds lost / (1 + x).  With f = m - 1 and s = f / (2 + f), log m = 2 atanh s = f - s (f
 * - 2 (s^2/3 + s^4/5 + ...)), whose terms are below 2^-55 from s^22 on.  ln 2 is in two parts, so
 * that k times the first is exact.  (The argument's reduction is that of FreeBSD's log1p.) */
static inline __attribute__((always_inline)) double log1p_of(double x) {
    const uint64_t half = UINT64_C(0x3fe6a09e00000000), one = UINT64_C(0x3ff0000000000000);
    const double u = 1 + x, most = u - 1, lost = (1 - (u - most)) + (x - most);
    const uint64_t shifted = bits_of(u) + (one - half);
    /* 2^52 + the exponent field, as the bits of a double */
    const double k = double_of(shifted >> 52 | UINT64_C(0x4330000000000000)) - (0x1p52 + 1023);
    const double f = double_of((shifted & UINT64_C(0x000fffffffffffff)) + half) - 1;
    const double s = f / (2 + f), z = s * s;
    double sum = 1.0 / 19 + z * (1.0 / 21);
    sum = 1.0 / 15 + z * (1.0 / 17 + z * sum);
    sum = 1.0 / 11 + z * (1.0 / 13 + z * sum);
    sum = 1.0 / 7 + z * (1.0 / 9 + z * sum);
    sum = 1.0 / 3 + z * (1.0 / 5 + z * sum); /* no loop, which keeps gcc from vectorising */
    const double tail = k * 1.90821492927058770002e-10 + lost / u; /* ln 2, its lower part */
    const double y = k * 6.93147180369123816490e-01 + (f - (s * (f - 2 * z * sum) - tail));
    return x > -1 && x <= DBL_MAX ? y : (double)NAN;
}

LS_CLONES
void ls_log1p(int64_t count, double *x) {
    for (int64_t i = 0; i < count; i++)
        x[i] = log1p_of(x[i]);
}

/* Up to BLOCK of them; in double and rounded once. */
static void log1p_floats(int64_t count, float *x) {
    double wide[BLOCK];
    for (int64_t i = 0; i < count; i++)
        wide[i] = (double)x[i];
    ls_log1p(count, wide);
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)wide[i];
}

/* ---- chains --------------------------------------------------------------------------------- */

#define DEFINE_STEPS(real, log1p_in_place)                                                         \
    LS_CLONES                                                                                      \
    static void scale_##real(int64_t count, real factor, real *x) {                                \
        for (int64_t i = 0; i < count; i++)                                                        \
            x[i] *= factor;                                                                        \
    }                                                                                              \
    LS_CLONES                                                                                      \
    static void clip_##real(int64_t count, real low, real high, real *x) {                         \
        for (int64_t i = 0; i < count; i++)                                                        \
            x[i] = x[i] < low ? low : x[i] > high ? high : x[i];                                   \
    }                                                                                              \
    static void change_##real(const ls_transforms *steps, int64_t count, real *x) {                \
        for (int i = 0; i < steps->count; i++) {                                                   \
            const ls_transform *step = &steps->step[i];                                            \
            if (step->kind == LS_TRANSFORM_LOG1P)                                                  \
                log1p_in_place;                                                                    \
            else if (step->kind == LS_TRANSFORM_SCALE)                                             \
                scale_##real(count, (real)step->value[0], x);                                      \
            else                                                                                   \
                clip_##real(count, (real)step->value[0], (real)step->value[1], x);                 \
        }                                                                                          \
    }

DEFINE_STEPS(float, log1p_floats(count, x))
DEFINE_STEPS(double, ls_log1p(count, x))

/* Of a type whose values float32 holds: NARROW integers go through double, which is exact. */
static void to_floats(ls_type type, const void *values, int64_t count, float *out) {
    double wide[BLOCK];
    if (type == LS_TYPE_F32) {
        memcpy(out, values, (size_t)count * sizeof *out);
        return;
    }
    ls_values_doubles(type, values, count, wide);
    for (int64_t i = 0; i < count; i++)
        out[i] = (float)wide[i];
}

static void apply_steps(const ls_transformer *t, const void *values, int64_t count, void *out) {
    const size_t from = ls_type_size(t->from), to = ls_type_size(t->to);
    for (int64_t first = 0; first < count; first += BLOCK) {
        const int64_t part = count - first < BLOCK ? count - first : BLOCK;
        const char *x = (const char *)values + (size_t)first * from;
        char *y = (char *)out + (size_t)first * to;
        if (t->to == LS_TYPE_F32) {
            to_floats(t->from, x, part, (float *)(void *)y);
            change_float(&t->steps, part, (float *)(void *)y);
        } else {
            ls_values_doubles(t->from, x, part, (double *)(void *)y);
            change_double(&t->steps, part, (double *)(void *)y);
        }
    }
}

/* ---- tables --------------------------------------------------------------------------------- */

static void look_up(const ls_transformer *t, const void *values, int64_t count, float *out) {
    const uint8_t *bytes = values;
    const uint16_t *words = values;
    if (ls_type_size(t->from) == 1)
        for (int64_t i = 0; i < count; i++)
            out[i] = t->table[bytes[i]];
    else
        for (int64_t i = 0; i < count; i++)
            out[i] = t->table[words[i]];
}

static ls_status make_table(ls_transformer *t) {
    const bool bytes = ls_type_size(t->from) == 1;
    const int64_t count = bytes ? 256 : NARROW_VALUES;
    uint16_t *all;
    LS_TRY(LS_NEW(t->table, (size_t)count));
    LS_TRY(LS_NEW(all, (size_t)count));
    for (int64_t i = 0; i < count; i++)
        if (bytes)
            ((uint8_t *)all)[i] = (uint8_t)i;
        else
            all[i] = (uint16_t)i;
    apply_steps(t, all, count, t->table);
    ls_free(all);
    t->total = ls_values_not_finite(LS_TYPE_F32, t->table, count) == count;
    return LS_OK;
}

/* ---- all together --------------------------------------------------------------------------- */

static bool is_narrow(ls_type type) {
    return !ls_type_is_float(type) && ls_type_size(type) <= 2;
}

ls_status ls_transformer_make(const ls_transforms *steps, ls_type from, ls_transformer **made) {
    ls_transformer *t;
    *made = NULL;
    if (steps == NULL || steps->count == 0)
        return LS_OK;
    LS_TRY(LS_NEW(t, 1));
    t->steps = *steps;
    t->from = from;
    t->to = is_narrow(from) || from == LS_TYPE_F32 ? LS_TYPE_F32 : LS_TYPE_F64;
    ls_status status = is_narrow(from) ? make_table(t) : LS_OK;
    if (status == LS_OK)
        *made = t;
    else
        ls_transformer_free(t);
    return status;
}

void ls_transformer_free(ls_transformer *t) {
    if (t)
        ls_free(t->table);
    ls_free(t);
}

void ls_transformer_apply(const ls_transformer *t, const void *values, int64_t count, void *out) {
    if (t->table)
        look_up(t, values, count, out);
    else
        apply_steps(t, values, count, out);
}

/* ---- what is refused ------------------------------------------------------------------------ */

static ls_status refuse(const ls_transformer *t, const void *value, int64_t sample, int64_t place,
                        const char *name) {
    double x;
    ls_values_doubles(t->from, value, 1, &x);
    return ls_fail(LS_ERR_INPUT,
                   "%s: sample %lld holds %g (value %lld of the sample), of which data.transform "
                   "makes no finite float32 value: expected log1p of values above -1, and no "
                   "overflow",
                   name, (long long)sample, x, (long long)place);
}

ls_status ls_transformer_check(const ls_transformer *t, const void *samples, int64_t first,
                               int64_t count, int64_t elements, const char *name) {
    double changed[BLOCK];
    if (t == NULL || t->total)
        return LS_OK;
    const size_t size = ls_type_size(t->from);
    for (int64_t at = 0; at < count * elements; at += BLOCK) {
        const int64_t left = count * elements - at, part = left < BLOCK ? left : BLOCK;
        const char *values = (const char *)samples + (size_t)at * size;
        ls_transformer_apply(t, values, part, changed);
        const int64_t bad = ls_values_not_finite(t->to, changed, part);
        if (bad < part)
            return refuse(t, values + (size_t)bad * size, first + (at + bad) / elements,
                          (at + bad) % elements, name);
    }
    return LS_OK;
}
