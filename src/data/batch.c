/* Batches: picks samples out of a split and normalises them. */
#include "data/split.h"
#include "data/values.h"

enum { AHEAD = 4 }; /* samples */

/* One sample of a type, computed in `real`: float where it holds the type's values, else double. */
#define DEFINE_FILL(type, real)                                                                    \
    LS_CLONES                                                                                      \
    static void fill_##type(const ls_data *data, const ls_normalization *norm, const void *sample, \
                            float *restrict out) {                                                 \
        const int64_t channels = data->channels, spatial = data->spatial;                          \
        const type *x = sample;                                                                    \
        if (spatial == 1) {                                                                        \
            for (int64_t c = 0; c < channels; c++)                                                 \
                out[c] = (float)(((real)x[c] - (real)norm->mean[c]) / (real)norm->deviation[c]);   \
            return;                                                                                \
        }                                                                                          \
        for (int64_t c = 0; c < channels; c++, x += spatial, out += spatial) {                     \
            const real mean = (real)norm->mean[c], deviation = (real)norm->deviation[c];           \
            for (int64_t i = 0; i < spatial; i++)                                                  \
                out[i] = (float)(((real)x[i] - mean) / deviation);                                 \
        }                                                                                          \
    }

DEFINE_FILL(uint8_t, float)
DEFINE_FILL(int8_t, float)
DEFINE_FILL(uint16_t, float)
DEFINE_FILL(int16_t, float)
DEFINE_FILL(uint32_t, double)
DEFINE_FILL(int32_t, double)
DEFINE_FILL(uint64_t, double)
DEFINE_FILL(int64_t, double)
DEFINE_FILL(float, float)
DEFINE_FILL(double, double)

typedef void filler(const ls_data *, const ls_normalization *, const void *, float *restrict);

static size_t sample_bytes(const ls_data *data) {
    return (size_t)(data->channels * data->spatial) * ls_type_size(data->type);
}

/* Samples come from all over the memory: the start of one, from where on the hardware fetches
 * ahead by itself, is asked for while those before it are filled. */
static void prefetch(const unsigned char *sample, size_t bytes) {
    enum { LINE = 64, LINES = 16 };
    for (size_t at = 0; at < bytes && at < LINES * LINE; at += LINE)
        __builtin_prefetch(sample + at);
}

static void fill_from_memory(const ls_data *data, const ls_normalization *norm, filler *fill,
                             const uint64_t *ids, int64_t count, float *out) {
    const unsigned char *inputs = data->inputs;
    const size_t bytes = sample_bytes(data);
    for (int64_t i = 0; i < count; i++) {
        if (i + AHEAD < count)
            prefetch(inputs + ls_data_place(data, ids[i + AHEAD]) * bytes, bytes);
        fill(data, norm, ls_data_values(data, inputs + ls_data_place(data, ids[i]) * bytes),
             out + i * data->channels * data->spatial);
    }
}

static ls_status fill_in_turn(const ls_data *data, const ls_normalization *norm, filler *fill,
                              const uint64_t *ids, int64_t count, float *out) {
    for (int64_t i = 0; i < count; i++) {
        const void *sample;
        LS_TRY(ls_data_next(data, ls_data_place(data, ids[i]), &sample));
        fill(data, norm, ls_data_values(data, sample), out + i * data->channels * data->spatial);
    }
    return LS_OK;
}

ls_status ls_data_inputs(const ls_data *data, const ls_normalization *norm, const uint64_t *ids,
                         int64_t count, float *out) {
    static filler *const fillers[] = {
        [LS_TYPE_U8] = fill_uint8_t,   [LS_TYPE_I8] = fill_int8_t,    [LS_TYPE_U16] = fill_uint16_t,
        [LS_TYPE_I16] = fill_int16_t,  [LS_TYPE_U32] = fill_uint32_t, [LS_TYPE_I32] = fill_int32_t,
        [LS_TYPE_U64] = fill_uint64_t, [LS_TYPE_I64] = fill_int64_t,  [LS_TYPE_F32] = fill_float,
        [LS_TYPE_F64] = fill_double};
    filler *const fill = fillers[ls_data_value_type(data)];
    LS_ASSERT(norm->channels == data->channels);
    if (ls_data_residence(data) != LS_RESIDENCE_NODE)
        return fill_in_turn(data, norm, fill, ids, count, out);
    fill_from_memory(data, norm, fill, ids, count, out);
    return LS_OK;
}

void ls_data_classes(const ls_data *data, const uint64_t *ids, int64_t count, int32_t *out) {
    LS_ASSERT(data->is_classes);
    for (int64_t i = 0; i < count; i++)
        out[i] = data->classes[ls_data_place(data, ids[i])];
}

/* The targets of a sample in their own type. */
static const void *targets_of(const ls_data *data, uint64_t id) {
    return (const char *)data->targets +
           ls_data_place(data, id) * (uint64_t)data->outputs * ls_type_size(data->target_type);
}

void ls_data_targets(const ls_data *data, const ls_normalization *norm, const uint64_t *ids,
                     int64_t count, float *out) {
    const int64_t width = data->outputs;
    LS_ASSERT(!data->is_classes && norm->channels == width);
    for (int64_t i = 0; i < count; i++, out += width) {
        const float *narrow = targets_of(data, ids[i]);
        const double *wide = targets_of(data, ids[i]);
        for (int64_t t = 0; t < width && data->target_type == LS_TYPE_F32; t++)
            out[t] = (narrow[t] - (float)norm->mean[t]) / (float)norm->deviation[t];
        for (int64_t t = 0; t < width && data->target_type == LS_TYPE_F64; t++)
            out[t] = (float)((wide[t] - norm->mean[t]) / norm->deviation[t]);
    }
}

void ls_data_target_values(const ls_data *data, const uint64_t *ids, int64_t count, double *out) {
    LS_ASSERT(!data->is_classes);
    for (int64_t i = 0; i < count; i++, out += data->outputs)
        ls_values_doubles(data->target_type, targets_of(data, ids[i]), data->outputs, out);
}
