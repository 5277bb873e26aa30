/* What a split is: its shape, counts and memory. */
#include "data/split.h"
#include "data/values.h"

enum { SOME_BYTES = 1 << 20 }; /* of neighbouring samples, where there are no chunks */

void ls_data_close(ls_data *data) {
    if (!data)
        return;
    ls_feed_close(data->feed);
    ls_spread_close(data->spread);
    ls_homes_free(&data->homes);
    ls_parts_close(&data->parts);
    if (data->targets_memory)
        ls_shared_free(data->targets_memory);
    if (data->inputs_memory)
        ls_shared_free(data->inputs_memory);
    if (!data->held_out.held) { /* otherwise another split's */
        ls_transformer_free(data->transformer);
        ls_free(data->transformed);
    }
    ls_free(data);
}

void ls_data_warn_of_axes(const ls_data *data, const char *name) {
    ls_array_info info = {data->type, data->shape.ndims + 1, {data->count}};
    for (int d = 0; d < data->shape.ndims; d++)
        info.shape[d + 1] = data->shape.size[d];
    ls_warn_of_axes(&info, name,
                    data->files > 0 ? "data.layout: channels_last takes channels from the last axis"
                                    : "a sample has its channels first",
                    "array[:, None] adds the axis of channels");
}

double ls_data_zero(const ls_data *data) {
    const bool narrow = ls_data_value_type(data) == LS_TYPE_F32;
    const double zero = 0; /* of any type, by its bits */
    float single = 0;
    double value = 0;
    if (data->transformer)
        ls_transformer_apply(data->transformer, &zero, 1, narrow ? (void *)&single : &value);
    return narrow ? (double)single : value;
}

int64_t ls_data_count(const ls_data *data) {
    return data->count;
}

const ls_shape *ls_data_shape(const ls_data *data) {
    return &data->shape;
}

int64_t ls_data_chunk(const ls_data *data) {
    const int64_t bytes = (int64_t)ls_type_size(data->type) * data->channels * data->spatial;
    const int64_t some = SOME_BYTES > bytes ? SOME_BYTES / bytes : 1;
    const int64_t chunk = data->chunk > 0 ? data->chunk : some;
    return chunk < data->count ? chunk : data->count;
}

bool ls_data_is_classes(const ls_data *data) {
    return data->is_classes;
}

int64_t ls_data_outputs(const ls_data *data) {
    return data->outputs;
}

bool ls_data_has_double_targets(const ls_data *data) {
    return !data->is_classes && data->target_type == LS_TYPE_F64;
}

void ls_data_class_counts(const ls_data *data, int64_t *counts) {
    LS_ASSERT(data->is_classes);
    for (int64_t c = 0; c < data->outputs; c++)
        counts[c] = 0;
    for (int64_t i = 0; i < data->count; i++)
        counts[data->classes[ls_data_place(data, (uint64_t)i)]]++;
}

size_t ls_data_bytes(const ls_data *data) {
    const size_t buffer = data->feed     ? ls_feed_bytes(data->feed)
                          : data->spread ? ls_spread_bytes(data->spread)
                                         : 0;
    return (size_t)data->ranks * buffer +
           (data->inputs_memory ? ls_shared_bytes(data->inputs_memory) : 0) +
           (data->targets_memory ? ls_shared_bytes(data->targets_memory) : 0);
}
