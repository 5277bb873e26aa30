/* nn: maximum pooling by loops of our own: LANES channels at a time, compiled for several
 * instruction sets, chosen at start. */
#include "nn/pool_loops.h"

#include <float.h>
#include <string.h>

#include "lockstep/threads.h"

enum { LANES = 8, PLACES = 256 };

#define INLINE static inline __attribute__((always_inline))

typedef float floats __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t ints __attribute__((vector_size(LANES * sizeof(int32_t))));
typedef uint16_t halves __attribute__((vector_size(LANES * sizeof(uint16_t))));
typedef uint8_t bytes __attribute__((vector_size(LANES)));

bool ls_pool_shape_make(const ls_window *window, const ls_layout *src, const ls_dims *dst,
                        ls_pool_shape *shape) {
    ls_pool_shape made = {.type = ls_layout_type(src)};
    const ls_dims in = ls_layout_dims(src);
    int64_t places = 1;
    bool overlap = false;
    if (!ls_layout_view(src, &made.outer, &made.inner))
        return false;
    for (int i = 0; i < 3; i++) {
        int from = i - 3 + window->ndims; /* two dimensions: depth 1 */
        bool there = from >= 0;
        made.in[i] = there ? in.size[2 + from] : 1;
        made.out[i] = there ? dst->size[2 + from] : 1;
        made.kernel[i] = there ? window->kernel[from] : 1;
        made.stride[i] = there ? window->stride[from] : 1;
        made.padding[i] = there ? window->padding[from] : 0;
        overlap |= made.stride[i] < made.kernel[i];
        places = made.kernel[i] > PLACES ? PLACES + 1 : places * made.kernel[i];
        if (places > PLACES)
            return false;
    }
    *shape = made;
    return !overlap || made.type == LS_COMPUTE_FLOAT32;
}

size_t ls_pool_outputs(const ls_pool_shape *s) {
    return (size_t)(s->outer * s->out[0] * s->out[1] * s->out[2] * s->inner);
}

/* ---- elements ------------------------------------------------------------------------------- */

INLINE void load(ls_compute_type type, const void *x, int64_t at, floats *value) {
    if (type == LS_COMPUTE_FLOAT32) {
        memcpy(value, (const float *)x + at, sizeof *value);
        return;
    }
    halves half;
    memcpy(&half, (const uint16_t *)x + at, sizeof half);
    ints wide = __builtin_convertvector(half, ints) << 16;
    memcpy(value, &wide, sizeof *value);
}

/* In bf16 of numbers that are rounded already. */
INLINE void store(ls_compute_type type, void *y, int64_t at, const floats *value) {
    if (type == LS_COMPUTE_FLOAT32) {
        memcpy((float *)y + at, value, sizeof *value);
        return;
    }
    ints wide;
    memcpy(&wide, value, sizeof wide);
    halves half = __builtin_convertvector(wide >> 16, halves);
    memcpy((uint16_t *)y + at, &half, sizeof half);
}

INLINE float load_one(ls_compute_type type, const void *x, int64_t at) {
    if (type == LS_COMPUTE_FLOAT32)
        return ((const float *)x)[at];
    uint32_t wide = (uint32_t)((const uint16_t *)x)[at] << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

INLINE void store_one(ls_compute_type type, void *y, int64_t at, float value) {
    uint32_t wide;
    memcpy(&wide, &value, sizeof wide);
    if (type == LS_COMPUTE_FLOAT32)
        ((float *)y)[at] = value;
    else
        ((uint16_t *)y)[at] = (uint16_t)(wide >> 16);
}

/* ---- windows -------------------------------------------------------------------------------- */

/* A window within the input: its first element, of which sizes, and the place of that element. */
typedef struct ls_span {
    int64_t start, row, plane; /* elements: of the input, from row to row, from plane to plane */
    int count[3], place;
} ls_span;

/* Of the output at (plane, od, oh, ow). */
INLINE ls_span span_at(const ls_pool_shape *s, int64_t plane, const int64_t o[3]) {
    int64_t first[3], from[3];
    ls_span span;
    for (int i = 0; i < 3; i++) {
        int64_t start = o[i] * s->stride[i] - s->padding[i], end = start + s->kernel[i];
        first[i] = start < 0 ? 0 : start;
        from[i] = first[i] - start;
        end = end > s->in[i] ? s->in[i] : end;
        span.count[i] = end > first[i] ? (int)(end - first[i]) : 0;
    }
    span.row = s->in[2] * s->inner;
    span.plane = s->in[1] * span.row;
    span.start =
        (plane * s->in[0] + first[0]) * span.plane + first[1] * span.row + first[2] * s->inner;
    span.place = (int)((from[0] * s->kernel[1] + from[1]) * s->kernel[2] + from[2]);
    return span;
}

/* For each element of the window: `at`, and its `place`; `step` from column to column. */
#define FOR_WINDOW(s, span, step)                                                                  \
    for (int d = 0; d < (span)->count[0]; d++)                                                     \
        for (int h = 0; h < (span)->count[1]; h++)                                                 \
            for (int64_t w = 0, at = (span)->start + d * (span)->plane + h * (span)->row,          \
                         place = (span)->place + (d * (s)->kernel[1] + h) * (s)->kernel[2];        \
                 w < (span)->count[2]; w++, at += (step), place++)

INLINE void max_lanes(const ls_pool_shape *s, ls_compute_type type, const ls_span *span,
                      int64_t channel, const void *x, void *y, uint8_t *largest, int64_t out) {
    const float low = -FLT_MAX;
    floats best = {low, low, low, low, low, low, low, low};
    ints where = {0};
    FOR_WINDOW(s, span, s->inner) {
        floats value;
        load(type, x, at + channel, &value);
        ints more = value > best, here = (ints){0} + (int32_t)place, best_bits, value_bits;
        memcpy(&best_bits, &best, sizeof best);
        memcpy(&value_bits, &value, sizeof value);
        best_bits = (value_bits & more) | (best_bits & ~more);
        where = (here & more) | (where & ~more);
        memcpy(&best, &best_bits, sizeof best);
    }
    store(type, y, out, &best);
    if (largest) {
        bytes narrow = __builtin_convertvector(where, bytes);
        memcpy(largest + out, &narrow, sizeof narrow);
    }
}

INLINE void max_one(const ls_pool_shape *s, ls_compute_type type, const ls_span *span,
                    int64_t channel, const void *x, void *y, uint8_t *largest, int64_t out) {
    float best = -FLT_MAX;
    int64_t where = 0;
    FOR_WINDOW(s, span, s->inner) {
        float value = load_one(type, x, at + channel);
        where = value > best ? place : where;
        best = value > best ? value : best;
    }
    store_one(type, y, out, best);
    if (largest)
        largest[out] = (uint8_t)where;
}

/* Sets the gradients of a window, or, where windows overlap, adds to them. */
INLINE void spread_lanes(const ls_pool_shape *s, ls_compute_type type, bool add,
                         const ls_span *span, int64_t channel, const uint8_t *largest,
                         const void *dy, void *dx, int64_t out) {
    bytes narrow;
    floats gradient;
    memcpy(&narrow, largest + out, sizeof narrow);
    ints where = __builtin_convertvector(narrow, ints), bits;
    load(type, dy, out, &gradient);
    memcpy(&bits, &gradient, sizeof bits);
    FOR_WINDOW(s, span, s->inner) {
        ints mine = bits & (where == (ints){0} + (int32_t)place);
        floats value;
        memcpy(&value, &mine, sizeof value);
        if (add) {
            floats sum;
            load(type, dx, at + channel, &sum);
            value += sum;
        }
        store(type, dx, at + channel, &value);
    }
}

INLINE void spread_one(const ls_pool_shape *s, ls_compute_type type, bool add, const ls_span *span,
                       int64_t channel, const uint8_t *largest, const void *dy, void *dx,
                       int64_t out) {
    float gradient = load_one(type, dy, out);
    FOR_WINDOW(s, span, s->inner) {
        float value = place == largest[out] ? gradient : 0.0f;
        store_one(type, dx, at + channel, add ? value + load_one(type, dx, at + channel) : value);
    }
}

/* ---- passes --------------------------------------------------------------------------------- */

/* For each output: its window `span`, and `out`, that of its first channel. */
#define FOR_OUTPUTS(s)                                                                             \
    for (int64_t plane = 0, out = 0; plane < (s)->outer; plane++)                                  \
        for (int64_t od = 0; od < (s)->out[0]; od++)                                               \
            for (int64_t oh = 0; oh < (s)->out[1]; oh++)                                           \
                for (int64_t ow = 0; ow < (s)->out[2]; ow++, out += (s)->inner)

INLINE void max_all(const ls_pool_shape *s, ls_compute_type type, const void *x, void *y,
                    uint8_t *largest) {
    FOR_OUTPUTS(s) {
        const ls_span span = span_at(s, plane, (const int64_t[]){od, oh, ow});
        int64_t channel = 0;
        for (; channel + LANES <= s->inner; channel += LANES)
            max_lanes(s, type, &span, channel, x, y, largest, out + channel);
        for (; channel < s->inner; channel++)
            max_one(s, type, &span, channel, x, y, largest, out + channel);
    }
}

INLINE void spread_all(const ls_pool_shape *s, ls_compute_type type, bool add,
                       const uint8_t *largest, const void *dy, void *dx) {
    FOR_OUTPUTS(s) {
        const ls_span span = span_at(s, plane, (const int64_t[]){od, oh, ow});
        int64_t channel = 0;
        for (; channel + LANES <= s->inner; channel += LANES)
            spread_lanes(s, type, add, &span, channel, largest, dy, dx, out + channel);
        for (; channel < s->inner; channel++)
            spread_one(s, type, add, &span, channel, largest, dy, dx, out + channel);
    }
}

LS_CLONES
static void max_planes(const ls_pool_shape *s, const void *x, void *y, uint8_t *largest) {
    if (s->type == LS_COMPUTE_FLOAT32)
        max_all(s, LS_COMPUTE_FLOAT32, x, y, largest);
    else
        max_all(s, LS_COMPUTE_BF16, x, y, largest);
}

/* Whether every input lies in one window. */
static bool covers(const ls_pool_shape *s) {
    for (int i = 0; i < 3; i++)
        if (s->stride[i] != s->kernel[i] || s->padding[i] != 0 ||
            s->out[i] * s->kernel[i] != s->in[i])
            return false;
    return true;
}

LS_CLONES
static void spread_planes(const ls_pool_shape *s, const uint8_t *largest, const void *dy,
                          void *dx) {
    size_t inputs = (size_t)(s->outer * s->in[0] * s->in[1] * s->in[2] * s->inner);
    bool overlap = false;
    for (int i = 0; i < 3; i++)
        overlap |= s->stride[i] < s->kernel[i];
    if (!covers(s))
        memset(dx, 0, inputs * ls_type_bytes(s->type));
    if (s->type == LS_COMPUTE_BF16)
        spread_all(s, LS_COMPUTE_BF16, false, largest, dy, dx);
    else if (overlap)
        spread_all(s, LS_COMPUTE_FLOAT32, true, largest, dy, dx);
    else
        spread_all(s, LS_COMPUTE_FLOAT32, false, largest, dy, dx);
}

/* ---- shared among threads, each a part of the planes ---------------------------------------- */

typedef struct ls_pool_pass {
    const ls_pool_shape *shape;
    const void *x, *dy;
    void *y, *dx;
    uint8_t *largest;
    const uint8_t *was_largest;
} ls_pool_pass;

/* Planes of a part, with the elements before them in the input and in the output. */
static ls_pool_shape part_of(const ls_pool_shape *s, int64_t part, size_t *in, size_t *out) {
    const int64_t parts = ls_threads(), first = ls_part_start(s->outer, part, parts);
    ls_pool_shape made = *s;
    made.outer = ls_part_start(s->outer, part + 1, parts) - first;
    *in = (size_t)(first * s->in[0] * s->in[1] * s->in[2] * s->inner);
    *out = (size_t)(first * s->out[0] * s->out[1] * s->out[2] * s->inner);
    return made;
}

static ls_status max_part(void *context, int64_t part) {
    const ls_pool_pass *pass = context;
    size_t in, out, width = ls_type_bytes(pass->shape->type);
    const ls_pool_shape shape = part_of(pass->shape, part, &in, &out);
    max_planes(&shape, (const char *)pass->x + in * width, (char *)pass->y + out * width,
               pass->largest ? pass->largest + out : NULL);
    return LS_OK;
}

void ls_pool_max(const ls_pool_shape *s, const void *x, void *y, uint8_t *largest) {
    ls_pool_pass pass = {.shape = s, .x = x, .y = y, .largest = largest};
    ls_parallel(ls_threads(), max_part, &pass);
}

static ls_status spread_part(void *context, int64_t part) {
    const ls_pool_pass *pass = context;
    size_t in, out, width = ls_type_bytes(pass->shape->type);
    const ls_pool_shape shape = part_of(pass->shape, part, &in, &out);
    spread_planes(&shape, pass->was_largest + out, (const char *)pass->dy + out * width,
                  (char *)pass->dx + in * width);
    return LS_OK;
}

void ls_pool_max_gradient(const ls_pool_shape *s, const uint8_t *largest, const void *dy,
                          void *dx) {
    ls_pool_pass pass = {.shape = s, .dy = dy, .dx = dx, .was_largest = largest};
    ls_parallel(ls_threads(), spread_part, &pass);
}
