/* nn: convolutions by Winograd's method, a block of tiles at a time.
 *
 * The inputs of each tile become points, one for each product of a single channel and filter.  Over
 * the channels these are matrix products, one for each point: tiles by channels by filters. Their
 * results become outputs.  For the gradient of the weights both the inputs and the gradients of the
 * outputs become points, and the products are over the tiles. */
#include "nn/winograd.h"

#include <string.h>

#include "lockstep/threads.h"
#include "nn/loops.h"
#include "nn/panel.h"
#include "nn/winograd_tile.h"

enum {
    LANES = LS_WINOGRAD_LANES,
    STRIP = LS_PANEL_COLUMNS,
    TILES = 48, /* at a time, at most */
    FEWEST = 2 * LS_PANEL_ROWS,
    APART = 16 /* floats between matrices: else all begin in the same lines of the first cache */
};

/* ---- sizes ---------------------------------------------------------------------------------- */

static int64_t tile_count(const ls_winograd *w) {
    return w->samples * w->tiles[0] * w->tiles[1] * w->tiles[2];
}

static int64_t strip_count(int64_t columns) {
    return (columns + STRIP - 1) / STRIP;
}

/* Floats from a point's matrix to the next: of the tiles' inputs or outputs, of the weights. */
static int64_t tiles_step(int64_t channels) {
    return TILES * strip_count(channels) * STRIP + APART;
}

static int64_t weights_step(const ls_winograd *w) {
    return w->channels * strip_count(w->filters) * STRIP + APART;
}

static int64_t sums_step(const ls_winograd *w) {
    return w->channels * w->filters + APART;
}

/* Tiles that a thread makes outputs of at a time: few, so that their points stay in the second
 * cache; many where the weights do not fit into the third, and are read anew each time. */
static int64_t tiles_at_a_time(const ls_winograd *w) {
    const int64_t second = 64 * 1024, third = 2 * 1024 * 1024; /* floats */
    const int64_t points = ls_winograd_points(&w->kind);
    const int64_t tiles = second / (points * (w->channels + w->filters)) / FEWEST * FEWEST;
    if (points * weights_step(w) > third || tiles > TILES)
        return TILES;
    return tiles < FEWEST ? FEWEST : tiles;
}

/* At least one for each thread, where there are tiles enough: no output depends on the blocks. */
static int64_t block_count(const ls_winograd *w) {
    const int64_t needed = (tile_count(w) + tiles_at_a_time(w) - 1) / tiles_at_a_time(w);
    const int64_t wanted = ls_smaller(ls_threads(), tile_count(w) / FEWEST);
    return wanted > needed ? wanted : needed;
}

static bool suits(const ls_conv_shape *s, int axis, int64_t taps) {
    return s->kernel[axis] == taps && s->stride[axis] == 1 && s->dilation[axis] == 1 &&
           s->padding[axis] < taps;
}

/* Two dimensions are depth and width to ls_conv_shape, and height and width here. */
static bool is_flat(const ls_conv_shape *s) {
    return s->kernel[1] == 1 && s->in[1] == 1 && s->out[1] == 1;
}

/* Sets what the pass has along axis `to`, as the convolution has it along `axis`. */
static void set_axis(const ls_conv_shape *s, int axis, int to, ls_winograd *w) {
    w->in[to] = w->reverse ? s->out[axis] : s->in[axis];
    w->out[to] = w->reverse ? s->in[axis] : s->out[axis];
    w->padding[to] = w->reverse ? s->kernel[axis] - 1 - s->padding[axis] : s->padding[axis];
}

static void set_tiles(ls_winograd *w, int outputs) {
    w->kind.outputs = outputs;
    for (int i = 0; i < 3; i++)
        w->tiles[i] = i == 0 && w->kind.axes == 2 ? 1 : (w->out[i] + outputs - 1) / outputs;
}

/* Multiplications of one channel and filter; the transform of the weights counts as 25 tiles, as
 * measured. */
static double work(const ls_winograd *w) {
    const double weights = 25;
    return ls_winograd_points(&w->kind) * ((double)tile_count(w) + weights);
}

/* As many outputs as leave 6 points along each axis; of volumes 2, where that is less work. */
static void choose_tiles(ls_winograd *w) {
    ls_winograd small = *w;
    set_tiles(w, w->kind.taps == 5 ? 2 : 4);
    set_tiles(&small, 2);
    if (w->kind.axes == 3 && work(&small) < work(w))
        *w = small;
}

bool ls_winograd_make(const ls_conv_shape *s, bool reverse, ls_winograd *winograd) {
    const bool flat = is_flat(s);
    const int taps = flat && s->kernel[2] == 5 ? 5 : 3;
    if (!ls_panel_there() || s->lanes != LANES || s->inner != LANES || s->channels % LANES != 0 ||
        s->filters % LANES != 0 || !suits(s, 0, taps) || !suits(s, 2, taps) ||
        !(flat || suits(s, 1, taps)))
        return false;
    *winograd = (ls_winograd){.kind = {.axes = flat ? 2 : 3, .taps = taps},
                              .reverse = reverse,
                              .samples = s->samples,
                              .channels = reverse ? s->filters : s->channels,
                              .filters = reverse ? s->channels : s->filters};
    set_axis(s, flat ? 1 : 0, 0, winograd);
    set_axis(s, flat ? 0 : 1, 1, winograd);
    set_axis(s, 2, 2, winograd);
    choose_tiles(winograd);
    return true;
}

/* Measured on one core of a Zen 3 with oneDNN 2.6.3, see scripts/peers/README.md. */
bool ls_winograd_pays(const ls_winograd *w) {
    const int64_t least = 16;
    const double faster = 0.75, outputs = (double)(w->samples * w->out[0] * w->out[1] * w->out[2]);
    return w->channels >= least && w->filters >= least &&
           work(w) < faster * ls_winograd_all(&w->kind, w->kind.taps) * outputs;
}

/* ---- tiles ---------------------------------------------------------------------------------- */

/* Sets what tile `index` is of the outputs, and gives its sample. */
static int64_t find_tile(const ls_winograd *w, int64_t index, ls_winograd_tile *outputs) {
    for (int i = 2; i >= 0; i--) {
        outputs->size[i] = w->out[i];
        outputs->first[i] = index % w->tiles[i] * w->kind.outputs;
        index /= w->tiles[i];
    }
    return index;
}

static ls_winograd_tile inputs_of(const ls_winograd *w, const ls_winograd_tile *outputs) {
    ls_winograd_tile inputs;
    for (int i = 0; i < 3; i++) {
        inputs.size[i] = w->in[i];
        inputs.first[i] = outputs->first[i] - w->padding[i];
    }
    return inputs;
}

static int64_t sample_floats(int64_t channels, const int64_t size[3]) {
    return channels * size[0] * size[1] * size[2];
}

static void put_inputs(const ls_winograd *w, int64_t sample, const ls_winograd_tile *outputs,
                       const float *from, float *points) {
    const ls_winograd_tile inputs = inputs_of(w, outputs);
    ls_winograd_inputs(&w->kind, &inputs, w->channels / LANES,
                       from + sample * sample_floats(w->channels, w->in), points,
                       tiles_step(w->channels));
}

/* ---- forward and the gradient of the input -------------------------------------------------- */

size_t ls_winograd_weight_floats(const ls_winograd *w) {
    return (size_t)(ls_winograd_points(&w->kind) * weights_step(w));
}

typedef struct ls_winograd_packing {
    const ls_winograd *winograd;
    const float *weights;
    float *packed;
} ls_winograd_packing;

/* The taps of filters [filter, filter + 8) for one channel: of a reversed pass channels are the
 * convolution's filters, and taps are in reverse order. */
static void collect_taps(const ls_winograd *w, const float *weights, int64_t filter,
                         int64_t channel, float *taps) {
    const int count = ls_winograd_all(&w->kind, w->kind.taps);
    for (int lane = 0; lane < LANES; lane++) {
        const int64_t f = filter + lane;
        const float *from =
            weights + (w->reverse ? channel * w->filters + f : f * w->channels + channel) * count;
        for (int tap = 0; tap < count; tap++)
            taps[tap * LANES + lane] = from[w->reverse ? count - 1 - tap : tap];
    }
}

static ls_status pack_strip(void *context, int64_t strip) {
    const ls_winograd_packing *packing = context;
    const ls_winograd *w = packing->winograd;
    const int64_t first = strip * STRIP, count = ls_smaller(STRIP, w->filters - first);
    float taps[LS_WINOGRAD_TAPS * LANES], *packed = packing->packed + first * w->channels;
    for (int64_t channel = 0; channel < w->channels; channel++, packed += STRIP)
        for (int64_t i = 0; i < count; i += LANES) {
            collect_taps(w, packing->weights, first + i, channel, taps);
            ls_winograd_weights(&w->kind, taps, packed + i, weights_step(w));
        }
    return LS_OK;
}

void ls_winograd_pack(const ls_winograd *w, const float *weights, float *packed) {
    ls_winograd_packing packing = {w, weights, packed};
    ls_parallel(strip_count(w->filters), pack_strip, &packing);
}

typedef struct ls_winograd_pass {
    const ls_winograd *winograd;
    const float *from, *packed, *bias;
    float *to;
    void *scratch;
    size_t step;
    int64_t blocks; /* of tiles */
} ls_winograd_pass;

int ls_winograd_parts(const ls_winograd *w) {
    return (int)block_count(w);
}

size_t ls_winograd_scratch(const ls_winograd *w) {
    return (size_t)(ls_winograd_points(&w->kind) *
                    (tiles_step(w->channels) + tiles_step(w->filters))) *
           sizeof(float);
}

static void multiply(const ls_winograd *w, int64_t tiles, const float *inputs, const float *packed,
                     float *products) {
    for (int point = 0; point < ls_winograd_points(&w->kind); point++)
        for (int64_t first = 0; first < w->filters; first += STRIP) {
            const ls_panel panel = {w->channels,
                                    inputs + point * tiles_step(w->channels),
                                    w->channels,
                                    1,
                                    packed + point * weights_step(w) + first * w->channels,
                                    w->filters,
                                    false};
            ls_panel_product(&panel, tiles, ls_smaller(STRIP, w->filters - first),
                             products + point * tiles_step(w->filters) + first);
        }
}

static ls_status run_block(void *context, int64_t index) {
    const ls_winograd_pass *pass = context;
    const ls_winograd *w = pass->winograd;
    const int64_t first = ls_part_start(tile_count(w), index, pass->blocks);
    const int64_t tiles = ls_part_start(tile_count(w), index + 1, pass->blocks) - first;
    float *inputs =
        (float *)(void *)((char *)pass->scratch + (size_t)ls_thread_number() * pass->step);
    float *products = inputs + ls_winograd_points(&w->kind) * tiles_step(w->channels);
    ls_winograd_tile tile;
    for (int64_t i = 0; i < tiles; i++) {
        const int64_t sample = find_tile(w, first + i, &tile);
        put_inputs(w, sample, &tile, pass->from, inputs + i * w->channels);
    }
    multiply(w, tiles, inputs, pass->packed, products);
    for (int64_t i = 0; i < tiles; i++) {
        const int64_t sample = find_tile(w, first + i, &tile);
        ls_winograd_outputs(&w->kind, &tile, w->filters / LANES, products + i * w->filters,
                            tiles_step(w->filters), pass->bias,
                            pass->to + sample * sample_floats(w->filters, w->out));
    }
    return LS_OK;
}

void ls_winograd_run(const ls_winograd *w, const float *from, const float *packed,
                     const float *bias, float *to, void *scratch, size_t step) {
    ls_winograd_pass pass = {w, from, packed, bias, to, scratch, step, block_count(w)};
    ls_parallel(pass.blocks, run_block, &pass);
}

/* ---- the gradient of the weights ------------------------------------------------------------ */

typedef struct ls_winograd_gradients {
    const ls_winograd *winograd;
    const float *x, *dy;
    float *inputs, *outputs; /* points of the block's tiles */
    float *sums;             /* of products, a matrix (channels, filters) a point */
    float *bias;             /* (filters) sums of dy */
    float *dw;
    int64_t first, tiles; /* the block */
} ls_winograd_gradients;

size_t ls_winograd_gradient_scratch(const ls_winograd *w) {
    return (size_t)(ls_winograd_points(&w->kind) *
                        (tiles_step(w->channels) + tiles_step(w->filters) + sums_step(w)) +
                    w->filters) *
           sizeof(float);
}

int ls_winograd_gradient_parts(const ls_winograd *w) {
    return ls_winograd_points(&w->kind);
}

/* The points of tile `index` of the block: of its inputs, and, in strips, of its outputs'
 * gradients. Columns that the last strip has beyond the filters are never looked at. */
static ls_status put_points(void *context, int64_t index) {
    const ls_winograd_gradients *s = context;
    const ls_winograd *w = s->winograd;
    ls_winograd_tile tile;
    const int64_t sample = find_tile(w, s->first + index, &tile);
    put_inputs(w, sample, &tile, s->x, s->inputs + index * w->channels);
    ls_winograd_slopes(&w->kind, &tile, w->filters / LANES,
                       s->dy + sample * sample_floats(w->filters, w->out),
                       s->outputs + index * STRIP, tiles_step(w->filters), s->tiles * STRIP);
    return LS_OK;
}

/* One of the points of a tile is the sum of its gradients. */
static void add_bias(const ls_winograd_gradients *s) {
    const ls_winograd *w = s->winograd;
    const int point = ls_winograd_point_of_sum(&w->kind);
    for (int64_t filter = 0; filter < w->filters; filter++) {
        const float *sums = s->outputs + point * tiles_step(w->filters) +
                            filter / STRIP * STRIP * s->tiles + filter % STRIP;
        float sum = 0;
        for (int64_t tile = 0; tile < s->tiles; tile++)
            sum += sums[tile * STRIP];
        s->bias[filter] += sum;
    }
}

static ls_status add_products(void *context, int64_t point) {
    const ls_winograd_gradients *s = context;
    const ls_winograd *w = s->winograd;
    for (int64_t first = 0; first < w->filters; first += STRIP) {
        const ls_panel panel = {s->tiles,
                                s->inputs + point * tiles_step(w->channels),
                                1,
                                w->channels,
                                s->outputs + point * tiles_step(w->filters) + first * s->tiles,
                                w->filters,
                                s->first > 0};
        ls_panel_product(&panel, w->channels, ls_smaller(STRIP, w->filters - first),
                         s->sums + point * sums_step(w) + first);
    }
    return LS_OK;
}

/* The gradient of the weights of 8 filters for one channel. */
static void write_taps(const ls_winograd_gradients *s, int64_t filter, int64_t channel) {
    const ls_winograd *w = s->winograd;
    const int count = ls_winograd_all(&w->kind, w->kind.taps);
    float taps[LS_WINOGRAD_TAPS * LANES];
    ls_winograd_taps(&w->kind, s->sums + channel * w->filters + filter, sums_step(w), taps);
    for (int lane = 0; lane < LANES; lane++) {
        float *to = s->dw + ((filter + lane) * w->channels + channel) * count;
        for (int tap = 0; tap < count; tap++)
            to[tap] = taps[tap * LANES + lane];
    }
}

static ls_status write_strip(void *context, int64_t strip) {
    const ls_winograd_gradients *s = context;
    const int64_t first = strip * STRIP, end = ls_smaller(first + STRIP, s->winograd->filters);
    for (int64_t channel = 0; channel < s->winograd->channels; channel++)
        for (int64_t filter = first; filter < end; filter += LANES)
            write_taps(s, filter, channel);
    return LS_OK;
}

void ls_winograd_gradient(const ls_winograd *w, const float *x, const float *dy, void *scratch,
                          float *dw, float *db) {
    ls_winograd_gradients s = {.winograd = w, .x = x, .dy = dy, .dw = dw};
    s.inputs = scratch;
    s.outputs = s.inputs + ls_winograd_points(&w->kind) * tiles_step(w->channels);
    s.sums = s.outputs + ls_winograd_points(&w->kind) * tiles_step(w->filters);
    s.bias = s.sums + ls_winograd_points(&w->kind) * sums_step(w);
    memset(s.bias, 0, (size_t)w->filters * sizeof *s.bias);
    for (; s.first < tile_count(w); s.first += TILES) {
        s.tiles = ls_smaller(TILES, tile_count(w) - s.first);
        ls_parallel(s.tiles, put_points, &s);
        add_bias(&s);
        ls_parallel(ls_winograd_points(&w->kind), add_products, &s);
    }
    ls_parallel(strip_count(w->filters), write_strip, &s);
    if (db)
        memcpy(db, s.bias, (size_t)w->filters * sizeof *db);
}
