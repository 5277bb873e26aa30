/* blocks: the units in which the samples of an array in files are read when they do not all fit
 * into memory: a chunk of the file, with its neighbours where a sample spans several; of values
 * that are stored as they are, a few samples. */
#ifndef LOCKSTEP_DATA_BLOCKS_H
#define LOCKSTEP_DATA_BLOCKS_H

#include "data/decode.h"
#include "data/parts.h"
#include "data/transform.h"

/* Of one file. */
typedef struct ls_block_file {
    ls_array_layout layout;
    int64_t first_block;
    int64_t in_chunk, in_block; /* samples; in_block at most in_chunk */
} ls_block_file;

enum { LS_BLOCK_DESCRIPTORS = 64 };

typedef struct ls_blocks {
    ls_joint joint;                    /* owned */
    size_t sample;                     /* bytes */
    int64_t count;                     /* of blocks */
    int64_t most;                      /* samples of the largest block */
    bool plain;                        /* all blocks can be read without HDF5 */
    bool floats;                       /* values that may not be finite */
    const ls_transformer *transformer; /* that must take the values; borrowed; NULL: none */
    ls_block_file *file;
    size_t encoded; /* bytes that the decoder needs */
    /* Of samples that are made of several arrays, or of one whose channels are last: its blocks are
     * those of the array with the largest. */
    int64_t part_count; /* 0: samples are as they are stored */
    struct ls_blocks *part;
    ls_channels *channels;
    unsigned char *scratch; /* a block of a part */
    /* Of whoever reads: */
    ls_decoder decoder;
    struct {
        int64_t file;
        int descriptor;
    } open[LS_BLOCK_DESCRIPTORS]; /* file i in place i modulo their number */
    uint64_t bytes_read;
} ls_blocks;

/* Samples of the joint. */
typedef struct ls_block {
    int64_t number, file;
    int64_t first, count; /* samples of all files */
} ls_block;

/* Collective.  Takes over *parts, also on failure.  Each file is looked at by one rank. */
ls_status ls_blocks_open(ls_comm *comm, ls_parts *parts, ls_blocks *blocks);
/* Collective.  The same of one array, as it is stored. */
ls_status ls_blocks_open_array(ls_comm *comm, ls_joint *joint, ls_blocks *blocks);
/* Not collective.  For another reader. */
ls_status ls_blocks_copy(const ls_blocks *blocks, ls_blocks *copy);
void ls_blocks_close(ls_blocks *blocks);
void ls_blocks_check(ls_blocks *blocks, const ls_transformer *transformer);

/* The block that a sample is in. */
ls_block ls_blocks_find(const ls_blocks *blocks, int64_t sample);
/* Reads a block, by one thread at a time: without HDF5 where `plain`, otherwise by the thread that
 * calls HDF5.  LS_ERR_INPUT names file and sample: missing, short, damaged, not finite. */
ls_status ls_blocks_read(ls_blocks *blocks, const ls_block *block, void *out);

/* ---- of several arrays (joined_blocks.c) ---------------------------------------------------- */

/* Of a block the least that can be read for its samples from `first` to `end`. */
void ls_blocks_narrow(const ls_blocks *blocks, int64_t first, int64_t end, ls_block *block);
ls_status ls_blocks_copy_parts(const ls_blocks *blocks, ls_blocks *made);
void ls_blocks_close_parts(ls_blocks *blocks);
ls_status ls_blocks_read_parts(ls_blocks *blocks, const ls_block *block, void *out);

#endif
