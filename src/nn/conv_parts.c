/* nn: a pass of a convolution in parts that threads share. */
#include "nn/conv_parts.h"

#include <string.h>

enum {
    GRAIN = 16, /* channels: of blocked layouts the largest block */
    MOST = 16   /* blocks of a sample */
};

static const double part_flops =
    3.2e7; /* at least: half a millisecond, and far more than to share */

/* The channels of a part: as few as leave it work enough; all, where they cannot be parted. */
static int64_t part_channels(const ls_layout *parted, bool groups, double flops) {
    const int64_t channels = ls_layout_dims(parted).size[1];
    int64_t outer, inner;
    if (groups || !ls_layout_view(parted, &outer, &inner) || inner > GRAIN)
        return channels;
    for (int64_t part = GRAIN; part < channels; part += GRAIN) {
        const int64_t blocks = channels / part;
        if (channels % part == 0 && blocks <= MOST && flops / (double)blocks >= part_flops)
            return part;
    }
    return channels;
}

/* Products sum in an order that depends on their sizes: their parts would have other bits.  Those
 * of the other kernels have the whole one's, as far as was seen. */
static bool is_product(const ls_kernel *kernel) {
    return strstr(ls_kernel_name(kernel), "gemm") != NULL;
}

ls_status ls_conv_parts(ls_dnnl_engine *engine, const ls_window *window, ls_conv_direction pass,
                        bool groups, double flops, ls_kernel **kernel, int *parts) {
    const ls_layout *parted = ls_kernel_layout(*kernel, ls_conv_parted(pass));
    const ls_dims dims = ls_layout_dims(parted);
    const int64_t samples = dims.size[0], channels = part_channels(parted, groups, flops);
    const int64_t count = samples * (dims.size[1] / channels);
    ls_kernel *part;
    *parts = 1;
    /* gradients of weights are sums over the samples, which stay in one part */
    if (count == 1 || flops < 2 * part_flops || is_product(*kernel) ||
        (pass == LS_CONV_WEIGHTS && samples > 1))
        return LS_OK;
    LS_TRY(ls_conv_part_kernel(engine, window, pass, *kernel, channels, &part));
    if (!part)
        return LS_OK;
    ls_kernel_free(*kernel);
    *kernel = part;
    *parts = (int)count;
    return LS_OK;
}
