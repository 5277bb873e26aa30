/* nn, inside: the innermost loops of matrix products, with fused multiply-adds of AVX2: each sum is
 * over its terms in order, whatever the sizes. */
#ifndef LOCKSTEP_NN_PANEL_H
#define LOCKSTEP_NN_PANEL_H

#include <stdbool.h>
#include <stdint.h>

enum {
    LS_PANEL_ROWS =
        6, /* of C at a time: with the columns 12 sums, all that the registers of AVX2 take */
    LS_PANEL_COLUMNS = 16 /* of B, that lie together */
};

/* C = A B, or C + A B, of `depth` terms. */
typedef struct ls_panel {
    int64_t depth;
    const float *a;    /* (rows, depth): */
    int64_t row, term; /* floats from one to the next */
    const float *b;    /* (strips, depth, LS_PANEL_COLUMNS) */
    int64_t ldc;
    bool add;
} ls_panel;

/* Whether the instruction set in force has what the loops need, and oneDNN's vectors are no wider.
 */
bool ls_panel_there(void);
/* C (height, width). */
void ls_panel_product(const ls_panel *panel, int64_t height, int64_t width, float *c);

#endif
