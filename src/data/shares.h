/* shares: which node has which samples, where each has a part of them.  Pure functions.
 *
 * Samples are cut into rows, of which each node has an equal part of neighbouring ones: so whatever
 * the order, the files' own too, samples come from all nodes, and a node reads long pieces. */
#ifndef LOCKSTEP_DATA_SHARES_H
#define LOCKSTEP_DATA_SHARES_H

#include "lockstep/data.h"

typedef struct ls_shares {
    int64_t samples;
    int64_t block; /* samples of a full row that a node has; the last row may be shorter */
    int nodes;
} ls_shares;

/* Samples of a node. */
int64_t ls_shares_count(const ls_shares *shares, int node);
/* The node that has a sample, and the sample's place there. */
int ls_shares_find(const ls_shares *shares, int64_t sample, int64_t *place);
/* The sample at a place, and how many follow it there, itself too, that are its neighbours. */
int64_t ls_shares_sample(const ls_shares *shares, int node, int64_t place, int64_t *run);

#endif
