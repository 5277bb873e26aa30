/* augment: random changes to training samples: crop with padding, horizontal flip, cutout.  The
 * second public header of module data.  Pure: no MPI, no I/O, no state.
 *
 * Nothing in this header is collective. */
#ifndef LOCKSTEP_AUGMENT_H
#define LOCKSTEP_AUGMENT_H

#include "lockstep/base.h"
#include "lockstep/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ls_augment {
    int64_t crop_padding; /* pixels; 0: off */
    bool flip;
    int64_t cutout; /* side of the square in pixels; 0: off */
} ls_augment;

/* LS_ERR_INPUT, naming the configuration key, where samples of this shape cannot be changed so: no
 * spatial dimension, a padding that is not below every size, a cutout above the largest one. */
ls_status ls_augment_check(const ls_augment *augment, const ls_shape *shape);

/* Changes `count` samples in place: normalised floats (count, C, [D,] [H,] [W]) whose indices in
 * the dataset are `ids`.  Where a sample has nothing to show, every channel takes its value in
 * `fill` (C): the normalised value of raw 0.  In this order:
 *
 * - crop: each spatial dimension is padded by crop_padding on both sides, and a window of the old
 *   size cut out at an offset that is uniform in 0..2 crop_padding;
 * - flip: with probability 1/2 the last dimension is reversed;
 * - cutout (DeVries and Taylor 2017): a square, in 1 or 3 dimensions an interval or a cube, is
 *   filled: pixels c - floor(side/2) to c - floor(side/2) + side - 1 in each dimension, clipped at
 *   the border, the centre c uniform over the sample.  (The paper fills with the mean instead.)
 *
 * What happens to a sample is a pure function of (seed, epoch, id): Philox with the key of
 * LS_STREAM_AUGMENT and counter {what, id (low 32 bits), id (high 32 bits), epoch}.  what 0: word 0
 * decides the flip (its highest bit set: reverse), word 1 + d the offset in spatial dimension d;
 * what 1: word d the centre in spatial dimension d.  A word w stands for floor(w n / 2^32) out of
 * 0..n-1. */
void ls_augment_apply(const ls_augment *augment, uint64_t seed, uint32_t epoch,
                      const ls_shape *shape, const uint64_t *ids, int64_t count, const float *fill,
                      float *inputs);

#ifdef __cplusplus
}
#endif
#endif
