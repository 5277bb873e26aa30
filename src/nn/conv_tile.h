/* nn, inside: the innermost loops of ls_conv_gradient, for each instruction set. */
#ifndef LOCKSTEP_NN_CONV_TILE_H
#define LOCKSTEP_NN_CONV_TILE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    LS_TILE_BLOCKS = 2, /* of filters, */
    LS_TILE_TAPS = 6    /* by taps: 12 sums, as many as fit into the registers of AVX2 */
};

/* Outputs that lie together in dy, in blocks of `lanes` filters. */
typedef struct ls_tile {
    int lanes, blocks;
    int64_t count;           /* outputs */
    const int32_t *position; /* (count): where each one's first tap is in x */
    const float *x, *dy;
    int64_t dy_block; /* floats from a block of filters to the next */
} ls_tile;

/* Whether the instruction set in force has vectors of so many floats, for which there are loops. */
bool ls_tile_has(int lanes);
/* sums (taps, blocks, lanes) += dy x[position + offset[tap]], summed over the outputs from 0.  At
 * most LS_TILE_TAPS taps. */
void ls_tile_add(const ls_tile *tile, int taps, const int64_t *offset, float *sums);

#endif
