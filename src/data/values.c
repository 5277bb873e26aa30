/* Conversion and checks of arrays of any element type. */
#include "data/values.h"

#include <math.h>

bool ls_type_is_float(ls_type type) {
    return type == LS_TYPE_F32 || type == LS_TYPE_F64;
}

int64_t ls_sample_elements(const ls_array_info *info) {
    int64_t elements = 1;
    for (int d = 1; d < info->ndims; d++)
        elements *= info->shape[d];
    return elements;
}

void ls_info_text(const ls_array_info *info, ls_text *text) {
    for (int d = 0; d < info->ndims; d++)
        ls_text_add(text, "%s%lld", d ? ", " : "(", (long long)info->shape[d]);
    ls_text_add(text, "%s", info->ndims ? ")" : "()");
}

/* Runs `statement` with `x` pointing at the values in their own type. */
#define CASE_TYPE(id, type, statement)                                                             \
    case id: {                                                                                     \
        const type *x = values;                                                                    \
        statement;                                                                                 \
        break;                                                                                     \
    }
#define FOR_EACH_TYPE(statement)                                                                   \
    switch (type) {                                                                                \
        CASE_TYPE(LS_TYPE_U8, uint8_t, statement)                                                  \
        CASE_TYPE(LS_TYPE_I8, int8_t, statement)                                                   \
        CASE_TYPE(LS_TYPE_U16, uint16_t, statement)                                                \
        CASE_TYPE(LS_TYPE_I16, int16_t, statement)                                                 \
        CASE_TYPE(LS_TYPE_U32, uint32_t, statement)                                                \
        CASE_TYPE(LS_TYPE_I32, int32_t, statement)                                                 \
        CASE_TYPE(LS_TYPE_U64, uint64_t, statement)                                                \
        CASE_TYPE(LS_TYPE_I64, int64_t, statement)                                                 \
        CASE_TYPE(LS_TYPE_F32, float, statement)                                                   \
        CASE_TYPE(LS_TYPE_F64, double, statement)                                                  \
    }

void ls_values_integers(ls_type type, const void *values, int64_t count, int64_t *out) {
    if (type == LS_TYPE_U64) {
        const uint64_t *x = values;
        for (int64_t i = 0; i < count; i++)
            out[i] = x[i] > INT64_MAX ? INT64_MAX : (int64_t)x[i];
        return;
    }
    FOR_EACH_TYPE(for (int64_t i = 0; i < count; i++) out[i] = (int64_t)x[i])
}

void ls_values_doubles(ls_type type, const void *values, int64_t count, double *out) {
    FOR_EACH_TYPE(for (int64_t i = 0; i < count; i++) out[i] = (double)x[i])
}

int64_t ls_values_not_finite(ls_type type, const void *values, int64_t count) {
    if (!ls_type_is_float(type))
        return count;
    int64_t i = 0;
    FOR_EACH_TYPE(while (i < count && isfinite((float)x[i])) i++)
    return i;
}

static ls_status shape_error(const ls_array_info *info, const char *name, const char *expected) {
    ls_text shape = {0};
    ls_info_text(info, &shape);
    ls_status status = ls_fail(LS_ERR_INPUT, "%s: %s of shape %s; expected %s", name,
                               ls_type_name(info->type), shape.data ? shape.data : "?", expected);
    ls_text_free(&shape);
    return status;
}

ls_status ls_check_inputs(const ls_array_info *inputs, const char *name) {
    if (inputs->ndims < 1 || inputs->ndims > LS_MAX_DIMS)
        return shape_error(inputs, name, "(N, channels, [depth,] [height,] [width])");
    for (int d = 0; d < inputs->ndims; d++)
        if (inputs->shape[d] < 1)
            return shape_error(inputs, name, "at least one sample of at least one value");
    return LS_OK;
}

ls_status ls_check_targets(const ls_array_info *targets, const char *name, int64_t samples,
                           const char *inputs_name) {
    const bool numbers = ls_type_is_float(targets->type);
    const bool one_hot = !numbers && targets->ndims == 2 && targets->shape[1] > 1;
    if (numbers && (targets->ndims < 1 || targets->ndims > 2 ||
                    (targets->ndims == 2 && targets->shape[1] < 1)))
        return shape_error(targets, name, "float targets (N) or (N, outputs)");
    if (one_hot)
        return shape_error(targets, name,
                           "(N) class numbers; if these are one-hot, numpy.argmax(array, axis=1) "
                           "makes class numbers of them");
    if (!numbers && targets->ndims != 1)
        return shape_error(targets, name,
                           "(N) class numbers, or floats (N, outputs) for regression");
    if (samples != targets->shape[0])
        return ls_fail(LS_ERR_INPUT, "%s has %lld samples, but %s has %lld targets", inputs_name,
                       (long long)samples, name, (long long)targets->shape[0]);
    return LS_OK;
}

ls_status ls_check_arrays(const ls_array_info *inputs, const char *inputs_name,
                          const ls_array_info *targets, const char *targets_name) {
    LS_TRY(ls_check_inputs(inputs, inputs_name));
    return ls_check_targets(targets, targets_name, inputs->shape[0], inputs_name);
}

/* 2 or more dimensions after the samples, and none of them says what it is. */
void ls_warn_of_axes(const ls_array_info *info, const char *name, const char *last,
                     const char *one_channel) {
    const int64_t *size = info->shape;
    if (info->ndims == 4 && size[1] > 4 && (size[3] == 1 || size[3] == 3 || size[3] == 4))
        ls_warn("%s: taken as %lld channels of %lld x %lld; %s", name, (long long)size[1],
                (long long)size[2], (long long)size[3], last);
    if (info->ndims == 3 && size[1] > 4 && size[1] == size[2])
        ls_warn("%s: taken as %lld channels of length %lld; for images of one channel %s", name,
                (long long)size[1], (long long)size[2], one_channel);
}

ls_status ls_check_classes(const int64_t *values, int64_t first, int64_t count, int64_t classes,
                           const char *name) {
    const int64_t end = classes > 0 && classes <= LS_MAX_CLASS ? classes : LS_MAX_CLASS + 1LL;
    for (int64_t i = 0; i < count; i++)
        if (values[i] < 0 || values[i] >= end)
            return ls_fail(LS_ERR_INPUT,
                           "%s: sample %lld has class %lld; expected a number from 0 to %lld", name,
                           (long long)(first + i), (long long)values[i], (long long)end - 1);
    return LS_OK;
}

ls_status ls_check_finite(ls_type type, const void *samples, int64_t first, int64_t count,
                          int64_t elements, const char *name) {
    const int64_t place = ls_values_not_finite(type, samples, count * elements);
    if (place == count * elements)
        return LS_OK;
    const double value = type == LS_TYPE_F32 ? (double)((const float *)samples)[place]
                                             : ((const double *)samples)[place];
    return ls_fail(
        LS_ERR_INPUT,
        "%s: sample %lld holds %g (value %lld of the sample); expected finite float32 values", name,
        (long long)(first + place / elements), value, (long long)(place % elements));
}
