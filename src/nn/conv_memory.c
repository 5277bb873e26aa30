/* nn: where the passes of a convolution find their arrays: scratch, packed weights, the calls of
 * the kernels and of their parts. */
#include "nn/op_conv.h"

/* ---- parts ---------------------------------------------------------------------------------- */

/* Parts of a pass. */
static int parts_of(const ls_prepared *prepared, int which) {
    return prepared->kernel[which] ? prepared->parts[which] : 0;
}

/* Blocks that the pass takes the weights in. */
static int blocks_of(const ls_conv *conv, const ls_prepared *prepared, int pass) {
    const ls_kernel *kernel = prepared->kernel[pass];
    const int dim = ls_conv_parted_dim((ls_conv_direction)pass);
    if (!kernel)
        return 0;
    const ls_layout *weights =
        ls_kernel_layout(kernel, pass == WEIGHTS ? LS_ARG_DIFF_WEIGHTS : LS_ARG_WEIGHTS);
    return (int)(conv->weights.size[dim] / ls_layout_dims(weights).size[dim]);
}

/* The kernels that have several calls, in the calls' order. */
static const int PARTED[] = {FORWARD, DATA, WEIGHTS, PACK_FORWARD, PACK_DATA, UNPACK};

/* The pass that a reorder of weights is for. */
static int pass_of(int which) {
    return which == PACK_FORWARD ? FORWARD : which == PACK_DATA ? DATA : WEIGHTS;
}

int ls_conv_call_count(const ls_conv *conv, const ls_prepared *prepared, int which) {
    if (!prepared->kernel[which])
        return 0;
    return which <= WEIGHTS ? parts_of(prepared, which) : blocks_of(conv, prepared, pass_of(which));
}

/* Those of `which` follow; of CONV_KERNELS: behind all. */
int ls_conv_first_call(const ls_conv *conv, const ls_prepared *prepared, int which) {
    int call = CONV_KERNELS;
    for (size_t i = 0; i < sizeof PARTED / sizeof *PARTED && PARTED[i] != which; i++)
        call += ls_conv_call_count(conv, prepared, PARTED[i]);
    return call;
}

/* ---- scratch -------------------------------------------------------------------------------- */

static size_t take(size_t *total, size_t bytes) {
    size_t start = *total;
    *total += ls_align_bytes(bytes);
    return start;
}

/* Of a kernel's argument; kernels that are not there need no room. */
static size_t bytes_of(const ls_prepared *prepared, int which, ls_arg arg) {
    return prepared->kernel[which] ? ls_kernel_bytes(prepared->kernel[which], arg) : 0;
}

static size_t most_parts(const ls_prepared *prepared) {
    int most = 1;
    for (int pass = FORWARD; pass <= WEIGHTS; pass++)
        most = parts_of(prepared, pass) > most ? parts_of(prepared, pass) : most;
    return (size_t)most;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

ls_conv_scratch ls_conv_lay_out(const ls_conv *conv, const ls_prepared *prepared) {
    ls_conv_scratch scratch = {0};
    const ls_kernel *weights = prepared->kernel[WEIGHTS];
    scratch.step = ls_align_bytes(ls_prepared_scratch(prepared));
    scratch.library = take(&scratch.total, most_parts(prepared) * scratch.step);
    scratch.src = take(&scratch.total, larger(bytes_of(prepared, SRC_FORWARD, LS_ARG_DST),
                                              bytes_of(prepared, SRC_WEIGHTS, LS_ARG_DST)));
    scratch.dst_weights = take(&scratch.total, bytes_of(prepared, DST_WEIGHTS, LS_ARG_DST));
    scratch.data_step =
        ls_align_bytes(larger(bytes_of(prepared, DATA, LS_ARG_SCRATCH),
                              larger(bytes_of(prepared, DST_DATA, LS_ARG_SCRATCH),
                                     bytes_of(prepared, SRC_GRADIENT, LS_ARG_SCRATCH))));
    scratch.data = take(&scratch.total, (size_t)parts_of(prepared, DATA) * scratch.data_step);
    scratch.dst_data = take(&scratch.total, bytes_of(prepared, DST_DATA, LS_ARG_DST));
    if (prepared->kernel[SRC_GRADIENT])
        scratch.src_gradient = take(&scratch.total, (size_t)parts_of(prepared, DATA) *
                                                        bytes_of(prepared, DATA, LS_ARG_DIFF_SRC));
    scratch.shared = take(&scratch.total, prepared->shared);
    if (prepared->own[WEIGHTS]) {
        scratch.plain_gradient = take(&scratch.total, sizeof(float) * conv->weight_count);
        scratch.bias_gradient = take(&scratch.total, sizeof(float) * (size_t)conv->filters);
    }
    if (!weights)
        return scratch;
    size_t blocks = (size_t)blocks_of(conv, prepared, WEIGHTS);
    scratch.packed_gradient =
        take(&scratch.total, blocks * ls_kernel_bytes(weights, LS_ARG_DIFF_WEIGHTS));
    scratch.plain_gradient = prepared->kernel[UNPACK]
                                 ? take(&scratch.total, sizeof(float) * conv->weight_count)
                                 : scratch.packed_gradient;
    scratch.bias_gradient =
        take(&scratch.total, blocks * ls_kernel_bytes(weights, LS_ARG_DIFF_BIAS));
    return scratch;
}

/* ---- packed weights ------------------------------------------------------------------------- */

static ls_packed *find_packed(ls_conv *conv, const ls_layout *layout) {
    for (int i = 0; i < conv->packed_count; i++)
        if (conv->packed[i].layout == layout)
            return &conv->packed[i];
    return NULL;
}

ls_status ls_conv_plain_block(const ls_conv *conv, const ls_layout *block,
                              const ls_layout **layout) {
    const ls_dims dims = ls_layout_dims(block);
    const ls_layout *plain;
    LS_TRY(ls_layout_plain(conv->net->engine, LS_COMPUTE_FLOAT32, &conv->weights, &plain));
    return ls_layout_part(conv->net->engine, plain, &dims, layout);
}

/* Floats from a block to the next in the flat array. */
static size_t plain_step(const ls_conv *conv, const ls_prepared *prepared, int pass) {
    size_t step = (size_t)conv->weights.size[ls_conv_parted_dim((ls_conv_direction)pass)];
    for (int i = ls_conv_parted_dim((ls_conv_direction)pass) + 1; i < conv->weights.n; i++)
        step *= (size_t)conv->weights.size[i];
    return step / (size_t)blocks_of(conv, prepared, pass);
}

ls_status ls_conv_prepare_pack(ls_conv *conv, ls_prepared *prepared, int user, int pack) {
    ls_dnnl_engine *engine = conv->net->engine;
    const ls_layout *plain, *wanted = ls_kernel_layout(prepared->kernel[user], LS_ARG_WEIGHTS);
    const size_t bytes = ls_layout_bytes(wanted) * (size_t)blocks_of(conv, prepared, user);
    LS_TRY(ls_conv_plain_block(conv, wanted, &plain));
    if (wanted == plain)
        return LS_OK;
    LS_TRY(ls_reorder(engine, plain, wanted, &prepared->kernel[pack]));
    if (find_packed(conv, wanted))
        return LS_OK;
    LS_REQUIRE(conv->packed_count < MAX_PACKED);
    void *data = ls_calloc(1, bytes);
    if (!data)
        return LS_ERR_SYSTEM;
    conv->packed[conv->packed_count++] = (ls_packed){wanted, data, 0};
    conv->net->packed_bytes += bytes;
    return LS_OK;
}

ls_packed *ls_conv_packed(ls_conv *conv, const ls_prepared *prepared, int user, int pack) {
    if (!prepared->kernel[pack])
        return NULL;
    return find_packed(conv, ls_kernel_layout(prepared->kernel[user], LS_ARG_WEIGHTS));
}

/* Block `block` of the weights as kernel `user` wants it. */
static const void *weights_of(ls_conv *conv, const ls_prepared *prepared, int user, int pack,
                              int block) {
    const ls_layout *layout = ls_kernel_layout(prepared->kernel[user], LS_ARG_WEIGHTS);
    if (!prepared->kernel[pack])
        return ls_param_data(conv->net, conv->op.first_param) +
               (size_t)block * plain_step(conv, prepared, user);
    return (const char *)ls_conv_packed(conv, prepared, user, pack)->data +
           (size_t)block * ls_layout_bytes(layout);
}

static ls_status bind_pack(ls_conv *conv, ls_work *work, int user, int pack) {
    const ls_prepared *prepared = work->prepared;
    const size_t library = ls_conv_lay_out(conv, prepared).step;
    const float *flat = ls_param_data(conv->net, conv->op.first_param);
    for (int i = 0; i < ls_conv_call_count(conv, prepared, pack); i++) {
        const ls_binding bindings[] = {
            {LS_ARG_SRC, flat + (size_t)i * plain_step(conv, prepared, user)},
            {LS_ARG_DST, weights_of(conv, prepared, user, pack, i)},
            {LS_ARG_SCRATCH, (char *)work->scratch + (size_t)i * library}};
        LS_TRY(ls_work_bind_call(work, conv->net, pack,
                                 ls_conv_first_call(conv, prepared, pack) + i, bindings, 3));
    }
    return LS_OK;
}

/* ---- binding -------------------------------------------------------------------------------- */

/* The reorder `which` from `from` into scratch, if there is one, with the library's scratch at
 * `library`; gives where the array is then. */
static ls_status bind_adapted(ls_work *work, const ls_net *net, int which, const void *from,
                              size_t library, size_t place, const void **data) {
    unsigned char *scratch = work->scratch;
    *data = work->prepared->kernel[which] ? scratch + place : from;
    return ls_work_bind_reorder(work, net, which, from, *data, scratch + library);
}

/* Piece `index` of an array, each as large as the kernel's argument. */
static const void *place(const ls_prepared *prepared, int which, ls_arg arg, const void *array,
                         int index) {
    return (const char *)array + (size_t)index * bytes_of(prepared, which, arg);
}

static ls_status bind_forward(ls_conv *conv, const ls_net *net, ls_work *work) {
    const ls_prepared *prepared = work->prepared;
    const ls_conv_scratch scratch = ls_conv_lay_out(conv, prepared);
    const int blocks = blocks_of(conv, prepared, FORWARD);
    const float *bias = conv->bias ? ls_param_data(net, conv->op.first_param + 1) : NULL;
    const void *src;
    LS_TRY(bind_pack(conv, work, FORWARD, PACK_FORWARD));
    LS_TRY(bind_adapted(work, net, SRC_FORWARD, work->in[0], 0, scratch.src, &src));
    for (int i = 0; i < parts_of(prepared, FORWARD); i++) {
        const int block = i % blocks;
        const ls_binding bindings[] = {
            {LS_ARG_SRC, place(prepared, FORWARD, LS_ARG_SRC, src, i / blocks)},
            {LS_ARG_WEIGHTS, weights_of(conv, prepared, FORWARD, PACK_FORWARD, block)},
            {LS_ARG_BIAS, bias ? bias + block * (conv->filters / blocks) : NULL},
            {LS_ARG_DST, place(prepared, FORWARD, LS_ARG_DST, work->out[0], i)},
            {LS_ARG_SCRATCH, (char *)work->scratch + (size_t)i * scratch.step}};
        LS_TRY(ls_work_bind_call(work, net, FORWARD,
                                 ls_conv_first_call(conv, prepared, FORWARD) + i, bindings, 5));
    }
    return LS_OK;
}

static ls_status bind_weights(const ls_conv *conv, const ls_net *net, ls_work *work) {
    const ls_prepared *prepared = work->prepared;
    const ls_conv_scratch scratch = ls_conv_lay_out(conv, prepared);
    unsigned char *base = work->scratch;
    const void *src, *dst;
    LS_TRY(bind_adapted(work, net, SRC_WEIGHTS, work->in[0], 0, scratch.src, &src));
    LS_TRY(
        bind_adapted(work, net, DST_WEIGHTS, work->out_gradient[0], 0, scratch.dst_weights, &dst));
    for (int i = 0; i < parts_of(prepared, WEIGHTS); i++) {
        const void *library = base + (size_t)i * scratch.step;
        const void *packed =
            place(prepared, WEIGHTS, LS_ARG_DIFF_WEIGHTS, base + scratch.packed_gradient, i);
        const float *plain = (const float *)(const void *)(base + scratch.plain_gradient);
        const ls_binding bindings[] = {
            {LS_ARG_SRC, src},
            {LS_ARG_DIFF_DST, place(prepared, WEIGHTS, LS_ARG_DIFF_DST, dst, i)},
            {LS_ARG_DIFF_WEIGHTS, packed},
            {LS_ARG_DIFF_BIAS,
             place(prepared, WEIGHTS, LS_ARG_DIFF_BIAS, base + scratch.bias_gradient, i)},
            {LS_ARG_SCRATCH, library}};
        const ls_binding unpack[] = {
            {LS_ARG_SRC, packed},
            {LS_ARG_DST, plain + (size_t)i * plain_step(conv, prepared, WEIGHTS)},
            {LS_ARG_SCRATCH, library}};
        LS_TRY(ls_work_bind_call(work, net, WEIGHTS,
                                 ls_conv_first_call(conv, prepared, WEIGHTS) + i, bindings, 5));
        LS_TRY(ls_work_bind_call(work, net, UNPACK, ls_conv_first_call(conv, prepared, UNPACK) + i,
                                 unpack, 3));
    }
    return LS_OK;
}

static ls_status bind_data(ls_conv *conv, const ls_net *net, ls_work *work) {
    const ls_prepared *prepared = work->prepared;
    const ls_conv_scratch scratch = ls_conv_lay_out(conv, prepared);
    const int blocks = blocks_of(conv, prepared, DATA);
    unsigned char *base = work->scratch;
    bool adapted = work->prepared->kernel[SRC_GRADIENT] != NULL;
    const void *gradient = adapted ? base + scratch.src_gradient : work->in_gradient[0];
    const void *dst;
    LS_TRY(bind_pack(conv, work, DATA, PACK_DATA));
    LS_TRY(bind_adapted(work, net, DST_DATA, work->out_gradient[0], scratch.data, scratch.dst_data,
                        &dst));
    LS_TRY(ls_work_bind_reorder(work, net, SRC_GRADIENT, gradient, work->in_gradient[0],
                                base + scratch.data));
    for (int i = 0; i < parts_of(prepared, DATA); i++) {
        const ls_binding bindings[] = {
            {LS_ARG_WEIGHTS, weights_of(conv, prepared, DATA, PACK_DATA, i % blocks)},
            {LS_ARG_DIFF_DST, place(prepared, DATA, LS_ARG_DIFF_DST, dst, i / blocks)},
            {LS_ARG_DIFF_SRC, place(prepared, DATA, LS_ARG_DIFF_SRC, gradient, i)},
            {LS_ARG_SCRATCH, base + scratch.data + (size_t)i * scratch.data_step}};
        LS_TRY(ls_work_bind_call(work, net, DATA, ls_conv_first_call(conv, prepared, DATA) + i,
                                 bindings, 4));
    }
    return LS_OK;
}

ls_status ls_conv_bind(ls_op *op, const ls_net *net, ls_work *work) {
    ls_conv *conv = (ls_conv *)op;
    LS_TRY(bind_forward(conv, net, work));
    if (work->prepared->kernel[WEIGHTS])
        LS_TRY(bind_weights(conv, net, work));
    return work->prepared->kernel[DATA] ? bind_data(conv, net, work) : LS_OK;
}
