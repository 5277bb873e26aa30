/* nn: gradients of convolution weights by loops of our own.  oneDNN has none that is fast where the
 * input has few channels, nor for volumes with AVX2.
 *
 * A part of the input, a block of channels of some planes of a sample, is copied into scratch with
 * its padding, so that every tap (an element of the weights of one filter) of every output is
 * there. For a chunk of outputs, few enough that all stays in the first cache, and two blocks of
 * filters, six taps at a time are summed in registers (conv_tile.c), and added to what chunks
 * before gave: short sums are added, which keeps the error small. */
#include "nn/conv_loops.h"

#include <string.h>

#include "lockstep/threads.h"
#include "nn/conv_tile.h"
#include "nn/loops.h"

enum {
    PLAIN_CHANNELS = 4,      /* of a plain input, at a time */
    CHUNK = 96,              /* outputs */
    FETCHES = 4,             /* of what the next chunk needs: more at a time would wait */
    SLAB_FLOATS = 128 * 1024 /* of the padded input, at most, but for a single output plane */
};

/* How the gradient is cut. */
typedef struct ls_conv_cut {
    int64_t channels;  /* at a time */
    int64_t blocks;    /* of filters */
    int64_t taps;      /* of `channels` channels */
    int64_t slab;      /* output planes */
    int64_t padded[3]; /* sizes of a slab's input */
    int64_t channel;   /* floats from channel to channel in it */
    /* scratch, in floats */
    size_t input, sums, transposed, bias, offsets, positions, total;
} ls_conv_cut;

bool ls_conv_shape_make(const ls_window *window, const ls_dims *weights, const ls_layout *src,
                        const ls_layout *dst, ls_conv_shape *shape) {
    const ls_dims in = ls_layout_dims(src), out = ls_layout_dims(dst);
    ls_conv_shape made = {.samples = in.size[0], .channels = in.size[1], .filters = out.size[1]};
    int64_t outer, lanes;
    if (weights->n != in.n || ls_layout_type(src) != LS_COMPUTE_FLOAT32 ||
        ls_layout_type(dst) != LS_COMPUTE_FLOAT32 || !ls_layout_view(src, &outer, &made.inner) ||
        !ls_layout_view(dst, &outer, &lanes) || !ls_tile_has((int)lanes))
        return false;
    made.lanes = (int)lanes;
    for (int i = 0; i < 3; i++) {
        /* Two dimensions are rows of planes of one row, so that large images are cut too. */
        int from = window->ndims == 3 ? i : i == 1 ? -1 : i / 2;
        bool there = from >= 0;
        made.in[i] = there ? in.size[2 + from] : 1;
        made.out[i] = there ? out.size[2 + from] : 1;
        made.kernel[i] = there ? window->kernel[from] : 1;
        made.stride[i] = there ? window->stride[from] : 1;
        made.padding[i] = there ? window->padding[from] : 0;
        made.dilation[i] = there ? window->dilation[from] : 1;
    }
    *shape = made;
    return true;
}

/* Measured with oneDNN 2.6.3, its reorders included, on a Xeon of 2 GHz; times as fast as the
 * library:
 * - where it has nothing fast for the layouts of the forward pass (with AVX2 plain inputs of 1, 2
 *   and 4 channels and all volumes, with AVX-512 a few shapes): images 1 -> 32 channels, 5 x
 * 5: 6.1, 3 x 3: 5.0; volumes 1 -> 16: 5.1, 4 -> 32: 3.1 (AVX-512: 4.8), 32 -> 64 of 32^3: 1.7, 128
 * -> 256 of 8^3: 1.0 to 1.1; but with 8 to 256 outputs, where to write the sums takes as long as to
 * make them, 0.6 to 1.0;
 * - where it has something: with AVX2 plain inputs (3 channels) 1.0 to 1.6, blocks 0.8 to 0.9; with
 *   AVX-512 0.5 to 1.1 for most. */
bool ls_conv_gradient_pays(const ls_conv_shape *s, bool library_fast) {
    const int64_t few = 512;
    if (library_fast && (s->lanes != 8 || s->inner > 1))
        return false;
    return s->samples * s->out[0] * s->out[1] * s->out[2] >= few;
}

static int64_t kernel_size(const ls_conv_shape *s) {
    return s->kernel[0] * s->kernel[1] * s->kernel[2];
}

static size_t take(size_t *total, int64_t floats) {
    const size_t grain = 16; /* a cache line */
    size_t start = *total;
    *total += ((size_t)floats + grain - 1) / grain * grain;
    return start;
}

/* Elements of the input that `outputs` neighbours see. */
static int64_t reach(const ls_conv_shape *s, int i, int64_t outputs) {
    return (outputs - 1) * s->stride[i] + (s->kernel[i] - 1) * s->dilation[i] + 1;
}

static ls_conv_cut cut(const ls_conv_shape *s) {
    ls_conv_cut c = {.channels = s->inner > 1 ? s->inner : ls_smaller(s->channels, PLAIN_CHANNELS),
                     .blocks = (s->filters + s->lanes - 1) / s->lanes};
    c.taps = c.channels * kernel_size(s);
    c.padded[1] = reach(s, 1, s->out[1]);
    c.padded[2] = reach(s, 2, s->out[2]);
    int64_t planes = SLAB_FLOATS / (c.padded[1] * c.padded[2] * c.channels);
    c.slab = (planes - reach(s, 0, 1)) / s->stride[0] + 1;
    c.slab = ls_smaller(s->out[0], planes < reach(s, 0, 1) ? 1 : c.slab);
    c.padded[0] = reach(s, 0, c.slab);
    c.channel = s->inner > 1 ? 1 : c.padded[0] * c.padded[1] * c.padded[2];
    c.offsets = take(&c.total, 2 * c.taps); /* int64_t */
    c.positions = take(&c.total, c.slab * s->out[1] * s->out[2]);
    c.input = take(&c.total, c.padded[0] * c.padded[1] * c.padded[2] * c.channels);
    c.sums = take(&c.total, c.blocks * c.taps * s->lanes);
    c.transposed = take(&c.total, LS_TILE_BLOCKS * c.taps * s->lanes);
    c.bias = take(&c.total, c.blocks * s->lanes);
    return c;
}

size_t ls_conv_gradient_scratch(const ls_conv_shape *shape) {
    return cut(shape).total * sizeof(float);
}

/* Where in the padded input each tap of the first output is, channel by channel. */
static void set_offsets(const ls_conv_shape *s, const ls_conv_cut *c, int64_t *offset) {
    for (int64_t channel = 0; channel < c->channels; channel++)
        for (int64_t d = 0; d < s->kernel[0]; d++)
            for (int64_t h = 0; h < s->kernel[1]; h++)
                for (int64_t w = 0; w < s->kernel[2]; w++)
                    *offset++ =
                        channel * c->channel +
                        ((d * s->dilation[0] * c->padded[1] + h * s->dilation[1]) * c->padded[2] +
                         w * s->dilation[2]) *
                            s->inner;
}

/* Where the first tap of each output of a slab is. */
static void set_positions(const ls_conv_shape *s, const ls_conv_cut *c, int32_t *position) {
    for (int64_t d = 0; d < c->slab; d++)
        for (int64_t h = 0; h < s->out[1]; h++)
            for (int64_t w = 0; w < s->out[2]; w++)
                *position++ =
                    (int32_t)(((d * s->stride[0] * c->padded[1] + h * s->stride[1]) * c->padded[2] +
                               w * s->stride[2]) *
                              s->inner);
}

/* ---- the padded input ----------------------------------------------------------------------- */

/* A row of the input, NULL: zeros, with its padding. */
static float *pad_row(const ls_conv_shape *s, const ls_conv_cut *c, const float *row, float *to) {
    int64_t left = ls_smaller(s->padding[2], c->padded[2]);
    int64_t middle = row ? ls_smaller(s->in[2], c->padded[2] - left) : 0;
    int64_t right = c->padded[2] - left - middle;
    memset(to, 0, (size_t)(left * s->inner) * sizeof *to);
    to += left * s->inner;
    if (row)
        memcpy(to, row, (size_t)(middle * s->inner) * sizeof *to);
    to += middle * s->inner;
    memset(to, 0, (size_t)(right * s->inner) * sizeof *to);
    return to + right * s->inner;
}

/* What outputs from plane `first` on see of one block of channels. */
static float *pad_block(const ls_conv_shape *s, const ls_conv_cut *c, const float *block,
                        int64_t first, float *to) {
    for (int64_t d = 0; d < c->padded[0]; d++)
        for (int64_t h = 0; h < c->padded[1]; h++) {
            int64_t depth = first * s->stride[0] - s->padding[0] + d, height = h - s->padding[1];
            bool there = depth >= 0 && depth < s->in[0] && height >= 0 && height < s->in[1];
            int64_t row = (depth * s->in[1] + height) * s->in[2] * s->inner;
            to = pad_row(s, c, there ? block + row : NULL, to);
        }
    return to;
}

/* Of channels [channel, channel + count) of a sample. */
static void pad(const ls_conv_shape *s, const ls_conv_cut *c, const float *x, int64_t sample,
                int64_t channel, int64_t count, int64_t first, float *to) {
    int64_t size = s->in[0] * s->in[1] * s->in[2] * s->inner;
    int64_t blocks = (s->channels + s->inner - 1) / s->inner;
    for (int64_t i = 0; i < count; i += s->inner)
        to = pad_block(s, c, x + (sample * blocks + (channel + i) / s->inner) * size, first, to);
}

/* ---- sums ----------------------------------------------------------------------------------- */

/* What a thread makes at a time: taps [tap, tap + taps) of the `count` channels from `channel` on,
 * for all filters.  No tap's sum depends on the others. */
typedef struct ls_conv_part {
    int64_t channel, count, tap, taps;
    bool bias; /* this one too */
} ls_conv_part;

/* The sums of dy are those of an input of ones. */
static void add_bias(const ls_tile *tile, float *sums) {
    static const int32_t positions[CHUNK] = {0};
    static const int64_t offset = 0;
    static const float one = 1;
    ls_tile ones = *tile;
    ones.position = positions;
    ones.x = &one;
    ls_tile_add(&ones, 1, &offset, sums);
}

/* Part `part` of `parts` of the dy of the outputs after the tile's, into the first cache while
 * others are computed: with few taps, memory binds. */
static void fetch(const ls_tile *tile, int64_t part, int64_t parts) {
    const int64_t line = 16, size = tile->count * tile->lanes; /* floats */
    for (int block = 0; block < tile->blocks; block++) {
        const float *dy = tile->dy + block * tile->dy_block + size;
        for (int64_t i = part * size / parts; i < (part + 1) * size / parts; i += line)
            __builtin_prefetch(dy + i);
    }
}

/* Taps [first, first + taps), in groups of about the same number. */
static void add_taps(const ls_tile *tile, int64_t first, int64_t taps, const int64_t *offset,
                     float *sums) {
    const int64_t groups = (taps + LS_TILE_TAPS - 1) / LS_TILE_TAPS;
    const int64_t fetches = ls_smaller(groups, FETCHES);
    for (int64_t group = 0; group < groups; group++) {
        int64_t tap = first + group * taps / groups, end = first + (group + 1) * taps / groups;
        ls_tile_add(tile, (int)(end - tap), offset + tap, sums + tap * tile->blocks * tile->lanes);
        if (group < fetches)
            fetch(tile, group, fetches);
    }
}

/* Of `outputs` outputs, whose input is in scratch, to two blocks of filters; bias NULL: not wanted.
 */
static void add_outputs(const ls_conv_shape *s, const ls_conv_cut *c, const ls_conv_part *part,
                        const float *base, ls_tile tile, int64_t outputs, float *sums,
                        float *bias) {
    const int32_t *position = (const int32_t *)(const void *)(base + c->positions);
    for (int64_t i = 0; i < outputs; i += CHUNK) {
        tile.count = ls_smaller(CHUNK, outputs - i);
        tile.position = position + i;
        add_taps(&tile, part->tap, part->taps, (const int64_t *)(const void *)(base + c->offsets),
                 sums);
        if (bias)
            add_bias(&tile, bias);
        tile.dy += tile.count * s->lanes;
    }
}

static void add_part(const ls_conv_shape *s, const ls_conv_cut *c, const ls_conv_part *part,
                     const float *x, const float *dy, float *base) {
    const int64_t plane = s->out[1] * s->out[2], block_size = s->out[0] * plane * s->lanes;
    memset(base + c->sums, 0, (size_t)(c->blocks * c->taps * s->lanes) * sizeof *base);
    for (int64_t sample = 0; sample < s->samples; sample++)
        for (int64_t first = 0; first < s->out[0]; first += c->slab) {
            int64_t outputs = ls_smaller(c->slab, s->out[0] - first) * plane;
            pad(s, c, x, sample, part->channel, part->count, first, base + c->input);
            for (int64_t block = 0; block < c->blocks; block += LS_TILE_BLOCKS) {
                ls_tile tile = {s->lanes,
                                (int)ls_smaller(LS_TILE_BLOCKS, c->blocks - block),
                                0,
                                NULL,
                                base + c->input,
                                dy + (sample * c->blocks + block) * block_size +
                                    first * plane * s->lanes,
                                block_size};
                add_outputs(s, c, part, base, tile, outputs,
                            base + c->sums + block * s->lanes * c->taps,
                            part->bias ? base + c->bias + block * s->lanes : NULL);
            }
        }
}

/* The sums (taps, blocks, lanes) of the filters from block `block` on, as (filters, taps) in dw. */
static void write_sums(const ls_conv_shape *s, const ls_conv_cut *c, const ls_conv_part *part,
                       int64_t block, float *base, float *dw) {
    const int64_t rows = ls_smaller(LS_TILE_BLOCKS, c->blocks - block) * s->lanes;
    const int64_t first = block * s->lanes, filters = ls_smaller(s->filters - first, rows);
    float *transposed = base + c->transposed;
    ls_loop_transpose(part->taps, rows, base + c->sums + first * c->taps + part->tap * rows,
                      transposed);
    for (int64_t i = 0; i < filters; i++)
        memcpy(dw + ((first + i) * s->channels + part->channel) * kernel_size(s) + part->tap,
               transposed + i * part->taps, (size_t)part->taps * sizeof *dw);
}

typedef struct ls_conv_pass {
    const ls_conv_shape *shape;
    ls_conv_cut cut;
    int64_t shares; /* parts that the taps of the same channels are cut into */
    const float *x, *dy;
    void *scratch;
    size_t step;
    float *dw, *db;
} ls_conv_pass;

/* Part `index`: those of the same channels follow each other. */
static ls_conv_part part_at(const ls_conv_pass *pass, int64_t index) {
    const ls_conv_shape *s = pass->shape;
    const int64_t share = index % pass->shares, channel = index / pass->shares * pass->cut.channels;
    ls_conv_part part = {.channel = channel,
                         .count = ls_smaller(pass->cut.channels, s->channels - channel),
                         .bias = pass->db && index == 0};
    const int64_t taps = part.count * kernel_size(s);
    part.tap = ls_part_start(taps, share, pass->shares);
    part.taps = ls_part_start(taps, share + 1, pass->shares) - part.tap;
    return part;
}

static ls_status make_part(void *context, int64_t index) {
    const ls_conv_pass *pass = context;
    const ls_conv_shape *s = pass->shape;
    const ls_conv_cut *c = &pass->cut;
    const ls_conv_part part = part_at(pass, index);
    float *base =
        (float *)(void *)((char *)pass->scratch + (size_t)ls_thread_number() * pass->step);
    set_offsets(s, c, (int64_t *)(void *)(base + c->offsets));
    set_positions(s, c, (int32_t *)(void *)(base + c->positions));
    memset(base + c->bias, 0, (size_t)(c->blocks * s->lanes) * sizeof *base);
    add_part(s, c, &part, pass->x, pass->dy, base);
    for (int64_t block = 0; block < c->blocks; block += LS_TILE_BLOCKS)
        write_sums(s, c, &part, block, base, pass->dw);
    if (part.bias)
        memcpy(pass->db, base + c->bias, (size_t)s->filters * sizeof *pass->db);
    return LS_OK;
}

static int64_t group_count(const ls_conv_shape *s, const ls_conv_cut *c) {
    return (s->channels + c->channels - 1) / c->channels;
}

/* The taps of few channels are shared among the threads: each then copies the input anew. */
static int64_t shares_of_taps(int64_t groups, int64_t taps) {
    int64_t most = (taps + LS_TILE_TAPS - 1) / LS_TILE_TAPS, wanted = ls_threads() / groups;
    wanted = ls_smaller(wanted, most);
    return wanted < 1 ? 1 : wanted;
}

int ls_conv_gradient_parts(const ls_conv_shape *s) {
    const ls_conv_cut c = cut(s);
    const int64_t groups = group_count(s, &c);
    return (int)(groups * shares_of_taps(groups, c.taps));
}

void ls_conv_gradient(const ls_conv_shape *s, const float *x, const float *dy, void *scratch,
                      size_t step, float *dw, float *db) {
    const ls_conv_cut c = cut(s);
    const int64_t groups = group_count(s, &c);
    ls_conv_pass pass = {s, c, shares_of_taps(groups, c.taps), x, dy, scratch, step, dw, db};
    ls_parallel(groups * pass.shares, make_part, &pass);
}
