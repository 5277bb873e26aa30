/* nn, inside: what Winograd's method does to one tile, in vectors of 8 channels.
 *
 * Along each axis of 3 taps a tile has 2 outputs and 4 inputs, and becomes 4 points, each a factor
 * of a product; along an axis of 1 tap it is one of each.  Points are numbered (depth, height,
 * width). */
#ifndef LOCKSTEP_NN_WINOGRAD_TILE_H
#define LOCKSTEP_NN_WINOGRAD_TILE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    LS_WINOGRAD_LANES = 8,
    LS_WINOGRAD_POINTS = 64,       /* of a tile with three axes; with two a quarter */
    LS_WINOGRAD_POINT_OF_SUM = 21, /* of outputs' gradients: all of the tile; with two axes 5 */
    LS_WINOGRAD_TAPS = 27          /* with three axes; with two a third */
};

/* Part of a sample (blocks of channels, size, lanes), which may reach beyond it. */
typedef struct ls_winograd_tile {
    bool deep; /* three axes; else size[0] is 1 */
    int64_t size[3];
    int64_t first[3]; /* element; before the sample if negative */
} ls_winograd_tile;

/* In all of these `step` is floats from a point to the next. */

/* Points (point, channel) of the inputs that begin at the tile's first; those beyond the sample are
 * 0. */
void ls_winograd_inputs(const ls_winograd_tile *tile, int64_t blocks, const float *sample,
                        float *points, int64_t step);
/* Points of the gradients of the outputs.  Channels are in strips of two blocks, `strip` floats
 * from one to the next. */
void ls_winograd_slopes(const ls_winograd_tile *tile, int64_t blocks, const float *sample,
                        float *points, int64_t step, int64_t strip);
/* The outputs of sums of products (point, channel), which are added to bias (channels), NULL: 0. */
void ls_winograd_outputs(const ls_winograd_tile *tile, int64_t blocks, const float *sums,
                         int64_t step, const float *bias, float *sample);
/* Points of the taps (tap, lane) of a channel. */
void ls_winograd_weights(bool deep, const float *taps, float *points, int64_t step);
/* Gradients of the taps (tap, lane) from sums of products of points. */
void ls_winograd_taps(bool deep, const float *sums, int64_t step, float *taps);

#endif
