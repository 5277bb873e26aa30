/* nn, inside: what Winograd's method does to one tile, in vectors of 8 channels.
 *
 * A tile has as many outputs along each axis of the kernel, and taps + outputs - 1 inputs.  It
 * becomes as many points as it has inputs, each a factor of a product.  An axis that the kernel
 * does not have is the first, of size 1.  Taps, points, inputs and outputs are numbered (depth,
 * height, width). */
#ifndef LOCKSTEP_NN_WINOGRAD_TILE_H
#define LOCKSTEP_NN_WINOGRAD_TILE_H

#include <stdint.h>

enum { LS_WINOGRAD_LANES = 8, LS_WINOGRAD_TAPS = 27 /* of a kernel, at most */ };

/* F(outputs, taps) along each axis; there are F(4, 3) and F(2, 5) for 2 axes, F(4, 3) and F(2, 3)
 * for 3. */
typedef struct ls_winograd_kind {
    int axes, taps, outputs;
} ls_winograd_kind;

/* `along` to the power of the number of axes. */
static inline int ls_winograd_all(const ls_winograd_kind *kind, int along) {
    return (kind->axes == 3 ? along : 1) * along * along;
}

static inline int ls_winograd_points(const ls_winograd_kind *kind) {
    return ls_winograd_all(kind, kind->taps + kind->outputs - 1);
}

/* Part of a sample (blocks of channels, size, lanes), which may reach beyond it. */
typedef struct ls_winograd_tile {
    int64_t size[3];
    int64_t first[3]; /* element; before the sample if negative */
} ls_winograd_tile;

/* In all of these `step` is floats from a point to the next. */

/* Points (point, channel) of the inputs that begin at the tile's first; those beyond the sample are
 * 0. */
void ls_winograd_inputs(const ls_winograd_kind *kind, const ls_winograd_tile *tile, int64_t blocks,
                        const float *sample, float *points, int64_t step);
/* Points of the gradients of the outputs.  Channels are in strips of two blocks, `strip` floats
 * from one to the next. */
void ls_winograd_slopes(const ls_winograd_kind *kind, const ls_winograd_tile *tile, int64_t blocks,
                        const float *sample, float *points, int64_t step, int64_t strip);
/* The outputs of sums of products (point, channel), added to bias (channels); NULL: 0. */
void ls_winograd_outputs(const ls_winograd_kind *kind, const ls_winograd_tile *tile, int64_t blocks,
                         const float *sums, int64_t step, const float *bias, float *sample);
/* Points of the taps (tap, lane) of a channel. */
void ls_winograd_weights(const ls_winograd_kind *kind, const float *taps, float *points,
                         int64_t step);
/* Gradients of the taps (tap, lane) from sums of products of points. */
void ls_winograd_taps(const ls_winograd_kind *kind, const float *sums, int64_t step, float *taps);
/* The point of the outputs' gradients that is their sum. */
int ls_winograd_point_of_sum(const ls_winograd_kind *kind);

#endif
