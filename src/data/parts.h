/* parts: the inputs of a split as their files have them: an array, or several whose channels follow
 * one another, each with the axis of channels first or last; and the samples (C, [D,] [H,] [W])
 * that are made of them. */
#ifndef LOCKSTEP_DATA_PARTS_H
#define LOCKSTEP_DATA_PARTS_H

#include "data/files.h"

/* Where the values of an array are in samples. */
typedef struct ls_channels {
    size_t size;          /* of a value, bytes */
    int64_t count, first; /* the array's channels: [first, first + count) of a sample's */
    int64_t all, spatial; /* channels of a sample, and values of each */
    bool last;            /* in the array they come after the spatial dimensions */
} ls_channels;

/* Of an array alone; *info, its own, becomes that of the samples. */
ls_channels ls_channels_of(ls_data_layout layout, ls_array_info *info);
/* Puts `count` samples of the array, one after another, to where they are in `samples`. */
void ls_channels_place(const ls_channels *channels, int64_t count, const void *stored,
                       void *samples);

typedef struct ls_parts {
    int64_t count;
    ls_joint *joint;       /* (count): with the same samples in each file */
    ls_channels *channels; /* (count) */
    ls_array_info info;    /* of the samples of all files */
    char *name;            /* for messages */
} ls_parts;

/* "a, b" of names in lines, for messages; NULL: no memory. */
char *ls_parts_name(const char *names);
/* Collective.  The datasets `names`, a line each.  LS_ERR_INPUT: what ls_joint_open refuses, arrays
 * that are no inputs, or differ in more than their channels. */
ls_status ls_parts_open(ls_comm *comm, ls_files *files, const char *names, ls_data_layout layout,
                        ls_parts *parts);
void ls_parts_close(ls_parts *parts);
/* Whether samples are as they are stored. */
bool ls_parts_are_samples(const ls_parts *parts);
/* Not collective.  Reads samples [first, first + count). */
ls_status ls_parts_read(ls_parts *parts, int64_t first, int64_t count, void *out);

#endif
