/* split: what a split holds in memory, for the files of this module: loading, normalisation,
 * batches. */
#ifndef LOCKSTEP_DATA_SPLIT_H
#define LOCKSTEP_DATA_SPLIT_H

#include "data/feed.h"
#include "data/spread.h"
#include "data/transform.h"
#include "lockstep/data.h"
#include "lockstep/io.h"

/* Which samples of the arrays a split has, where some are held out. */
typedef struct ls_held_out {
    int64_t whole;  /* samples of the arrays; 0: the split has them all */
    int64_t blocks; /* neighbouring samples, of which one is held out */
    uint32_t key[2];
    bool held; /* the split has those held out; otherwise the others */
} ls_held_out;

struct ls_data {
    int64_t count;
    ls_held_out held_out;
    ls_shape shape;            /* of one sample */
    int64_t channels, spatial; /* shape.size[0], and the product of the others */
    ls_type type;              /* of the inputs */
    int64_t chunk;             /* samples of one in the files; 0: there are none */
    bool is_classes;
    int64_t outputs;
    const void *inputs;                        /* (held, channels, spatial) in their own type */
    int64_t held;                              /* samples there */
    ls_transformer *transformer;               /* of the inputs' values; NULL: none */
    void *transformed;                         /* room for a sample, of type transformer->to */
    ls_feed *feed;                             /* instead; NULL: none */
    ls_homes homes;                            /* of what is spread; another split's if held out */
    ls_spread *spread;                         /* NULL: it is not */
    ls_parts parts;                            /* of what is spread, until it is identified */
    ls_store store;                            /* of the feed, or what is spread */
    ls_comm *comm;                             /* of what is spread */
    int rank, ranks;                           /* its number; of a node, which share store.buffer */
    char samples_digest[LS_DIGEST_TEXT];       /* "": not known yet */
    const int32_t *classes;                    /* (count), or NULL */
    ls_type target_type;                       /* LS_TYPE_F32 or LS_TYPE_F64 */
    const void *targets;                       /* (count, outputs), or NULL */
    int64_t files;                             /* that it is read from; 0: none */
    char digest[LS_DIGEST_TEXT];               /* of their samples and sizes */
    ls_shared *inputs_memory, *targets_memory; /* NULL: another split's */
};

uint64_t ls_held_out_sample(const ls_held_out *held_out, uint64_t id);

/* Where sample `id` of the split is in the arrays. */
static inline uint64_t ls_data_place(const ls_data *data, uint64_t id) {
    return data->held_out.whole == 0 ? id : ls_held_out_sample(&data->held_out, id);
}

/* The type of the inputs as they are transformed, and such a sample, valid until the next one: of
 * the split's memory or stream. */
static inline ls_type ls_data_value_type(const ls_data *data) {
    return data->transformer ? data->transformer->to : data->type;
}
static inline const void *ls_data_values(const ls_data *data, const void *sample) {
    if (data->transformer == NULL)
        return sample;
    ls_transformer_apply(data->transformer, sample, data->channels * data->spatial,
                         data->transformed);
    return data->transformed;
}

/* Collective.  Where the inputs are to be; `inputs` and `targets`: bytes of all of them.  Targets
 * are in each node's memory in any case. */
ls_status ls_data_choose(ls_comm *comm, const ls_store *store, const char *name, size_t inputs,
                         size_t targets, ls_residence *chosen);
/* Collective.  Both take over *parts, also on failure. */
ls_status ls_data_stream(ls_comm *comm, ls_parts *parts, const ls_store *store, ls_data *data);
ls_status ls_data_spread(ls_comm *comm, ls_parts *parts, const ls_store *store, ls_data *data);
/* Not collective.  The feed, or the spread, of a part of the samples of `data`. */
ls_status ls_data_follow_part(const ls_data *data, ls_data *part);
/* The next sample of the turn, of a split that is streamed or spread: see ls_data_begin. */
ls_status ls_data_next(const ls_data *data, uint64_t place, const void **sample);

#endif
