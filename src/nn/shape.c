/* nn: shapes of samples, as text and for kernels, and the windows of convolutions and pooling. */
#include <stdio.h>

#include "nn/net.h"

const char *ls_shape_text(const ls_shape *shape, char text[LS_SHAPE_TEXT]) {
    int length = snprintf(text, LS_SHAPE_TEXT, "(");
    for (int i = 0; i < shape->ndims; i++)
        length += snprintf(text + length, (size_t)(LS_SHAPE_TEXT - length), "%s%lld",
                           i > 0 ? ", " : "", (long long)shape->size[i]);
    snprintf(text + length, (size_t)(LS_SHAPE_TEXT - length), ")");
    return text;
}

int64_t ls_shape_spatial(const ls_shape *shape) {
    int64_t elements = 1;
    for (int i = 1; i < shape->ndims; i++)
        elements *= shape->size[i];
    return elements;
}

int64_t ls_shape_elements(const ls_shape *shape) {
    return shape->size[0] * ls_shape_spatial(shape);
}

ls_dims ls_shape_dims(const ls_shape *shape, int64_t samples) {
    ls_dims dims = {2, {samples, shape->size[0]}};
    if (shape->ndims == 2)
        dims.size[dims.n++] = 1;
    for (int i = 1; i < shape->ndims; i++)
        dims.size[dims.n++] = shape->size[i];
    return dims;
}

/* ---- windows -------------------------------------------------------------------------------- */

/* One number for each of `ndims` dimensions. */
static ls_status expand(const ls_builder *builder, const ls_layer_spec *layer, const char *what,
                        const ls_extent *extent, int ndims, int64_t missing, int64_t smallest,
                        int64_t *sizes) {
    if (extent->count > 1 && extent->count != ndims)
        return ls_layer_fail(builder, layer,
                             "%s has %d numbers, but the input has %d spatial "
                             "dimensions",
                             what, extent->count, ndims);
    for (int i = 0; i < ndims; i++) {
        sizes[i] = extent->count == 0 ? missing : extent->size[extent->count == 1 ? 0 : i];
        if (sizes[i] < smallest)
            return ls_layer_fail(builder, layer, "%s %lld is less than %lld", what,
                                 (long long)sizes[i], (long long)smallest);
    }
    return LS_OK;
}

/* Tells what does not fit where, with the whole window and the whole input. */
static ls_status does_not_fit(const ls_builder *builder, const ls_layer_spec *layer,
                              const ls_window *window, int first, const ls_shape *in) {
    char input[LS_SHAPE_TEXT], kernel[LS_SHAPE_TEXT], padding[LS_SHAPE_TEXT];
    ls_shape k = {.ndims = in->ndims - 1}, p = {.ndims = in->ndims - 1};
    for (int i = 0; i < k.ndims; i++) {
        k.size[i] = window->dilation[first + i] * (window->kernel[first + i] - 1) + 1;
        p.size[i] = window->padding[first + i];
    }
    return ls_layer_fail(builder, layer,
                         "a window of %s does not fit into the input %s with "
                         "padding %s",
                         ls_shape_text(&k, kernel), ls_shape_text(in, input),
                         ls_shape_text(&p, padding));
}

ls_status ls_window_make(const ls_builder *builder, const ls_layer_spec *layer,
                         const ls_window_spec *spec, const ls_shape *in, ls_window *window,
                         ls_shape *out) {
    char text[LS_SHAPE_TEXT];
    int ndims = in->ndims - 1;
    if (ndims < 1)
        return ls_layer_fail(builder, layer,
                             "needs an input (channels, [depth,] [height,] width), "
                             "but gets %s",
                             ls_shape_text(in, text));
    /* one spatial dimension: a height of 1 before it */
    int first = ndims == 1 ? 1 : 0;
    ls_window made = {ndims + first, {1}, {1}, {0}, {1}};
    LS_TRY(expand(builder, layer, "kernel", &spec->kernel, ndims, 1, 1, made.kernel + first));
    LS_TRY(expand(builder, layer, "stride", &spec->stride, ndims, 1, 1, made.stride + first));
    LS_TRY(expand(builder, layer, "padding", &spec->padding, ndims, 0, 0, made.padding + first));
    LS_TRY(expand(builder, layer, "dilation", &spec->dilation, ndims, 1, 1, made.dilation + first));
    ls_shape shape = *in;
    for (int i = 0; i < ndims; i++) {
        int64_t reach = made.dilation[first + i] * (made.kernel[first + i] - 1) + 1;
        int64_t room = in->size[1 + i] + 2 * made.padding[first + i] - reach;
        if (room < 0)
            return does_not_fit(builder, layer, &made, first, in);
        shape.size[1 + i] = room / made.stride[first + i] + 1;
    }
    *window = made;
    *out = shape;
    return LS_OK;
}
