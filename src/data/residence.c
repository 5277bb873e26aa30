/* Where the inputs of a split are: in the node's memory, a share of them in each node's, or read
 * from their files as they are needed. */
#include <math.h>

#include "data/split.h"

#define MEBIBYTE (1024.0 * 1024.0)
#define MOST_BUFFER (1024 * MEBIBYTE) /* unless more is asked for */

ls_status ls_data_choose(ls_comm *comm, const ls_store *store, const char *name, size_t inputs,
                         size_t targets, ls_residence *chosen) {
    static const char *const reasons[] = {
        [LS_RESIDENCE_NODE] = "they are kept there (data.residence: node)",
        [LS_RESIDENCE_SPREAD] = "more than half of it, but a share of them is not; each node keeps "
                                "one (data.residence: spread)",
        [LS_RESIDENCE_STREAM] = "more than half of it; they are read as the run goes on "
                                "(data.residence: stream)"};
    const size_t nodes = (size_t)ls_comm_node_count(comm);
    uint64_t left;
    *chosen = store->residence;
    if (store->residence != LS_RESIDENCE_AUTO)
        return LS_OK;
    LS_TRY(ls_comm_memory_left(comm, &left));
    *chosen = inputs + targets <= left / 2           ? LS_RESIDENCE_NODE
              : inputs / nodes + targets <= left / 2 ? LS_RESIDENCE_SPREAD
                                                     : LS_RESIDENCE_STREAM;
    if (ls_comm_rank(comm) != 0)
        return LS_OK;
    ls_log(
        *chosen == LS_RESIDENCE_NODE ? LS_LOG_VERBOSE : LS_LOG_NORMAL,
        "%s: %.0f MiB, with %.0f MiB of targets, and %.0f MiB of memory are left on each node: %s",
        name, (double)inputs / MEBIBYTE, (double)targets / MEBIBYTE, (double)left / MEBIBYTE,
        reasons[*chosen]);
    return LS_OK;
}

/* ---- streamed ------------------------------------------------------------------------------- */

/* Takes over *blocks, also on failure. */
static ls_status open_feed(ls_blocks *blocks, const ls_store *store, int ranks, int64_t samples,
                           ls_feed **feed) {
    const double bytes = store->buffer * store->share / ranks,
                 least = (double)ls_feed_least(blocks);
    ls_status status =
        bytes >= least
            ? ls_feed_open(blocks, (size_t)bytes, samples, feed)
            : ls_fail(
                  LS_ERR_INPUT,
                  "%s: %s: samples are read %lld at a time, %.3g MiB: expected data.buffer %.0f "
                  "or more for %d rank%s a node",
                  blocks->joint.files->title, blocks->joint.name, (long long)blocks->most,
                  least / 2 / MEBIBYTE, ceil(least * ranks / store->share / MEBIBYTE), ranks,
                  ranks == 1 ? "" : "s");
    if (status != LS_OK)
        ls_blocks_close(blocks);
    return status;
}

/* Collective. */
static ls_status choose_buffer(ls_comm *comm, ls_store *store) {
    uint64_t left;
    if (!isnan(store->buffer))
        return LS_OK;
    LS_TRY(ls_comm_memory_left(comm, &left));
    store->buffer = fmin((double)left / 4, MOST_BUFFER);
    return LS_OK;
}

ls_status ls_data_stream(ls_comm *comm, ls_parts *parts, const ls_store *store, ls_data *data) {
    ls_blocks blocks;
    LS_TRY(ls_blocks_open(comm, parts, &blocks));
    ls_blocks_check(&blocks, data->transformer);
    data->store = *store;
    ls_status status = choose_buffer(comm, &data->store);
    if (status != LS_OK) {
        ls_blocks_close(&blocks);
        return status;
    }
    data->ranks = ls_comm_node_size(comm);
    data->rank = ls_comm_rank(comm);
    const bool plain = blocks.plain;
    LS_TRY(ls_comm_agree(comm, open_feed(&blocks, &data->store, data->ranks,
                                         data->count / ls_comm_size(comm) + 1, &data->feed)));
    const ls_joint *opened = &ls_feed_blocks(data->feed)->joint;
    if (!plain && ls_comm_rank(comm) == 0)
        ls_warn("%s: %s: its type, filters or layout are for HDF5 alone, and are not read ahead",
                opened->files->title, opened->name);
    return LS_OK;
}

static ls_status stream_part(const ls_data *data, ls_data *part) {
    ls_blocks blocks;
    LS_TRY(ls_blocks_copy(ls_feed_blocks(data->feed), &blocks));
    return open_feed(&blocks, &part->store, data->ranks, part->count, &part->feed);
}

/* ---- spread --------------------------------------------------------------------------------- */

static size_t sample_bytes(const ls_data *data) {
    return ls_type_size(data->type) * (size_t)(data->channels * data->spatial);
}

/* `name`: of the inputs, for messages. */
static ls_status open_spread(const ls_homes *homes, const char *name, ls_data *data) {
    const double bytes = data->store.buffer * data->store.share / data->ranks;
    const double least = (double)ls_spread_least(sample_bytes(data));
    if (sample_bytes(data) > INT32_MAX)
        return ls_fail(LS_ERR_INPUT,
                       "%s: samples of %.0f MiB are too large for data.residence: "
                       "spread; expected node or stream",
                       name, least / 2 / MEBIBYTE);
    if (bytes < least)
        return ls_fail(LS_ERR_INPUT,
                       "%s: a sample has %.3g MiB: expected data.buffer %.0f or more for %d rank%s "
                       "a node",
                       name, least / 2 / MEBIBYTE,
                       ceil(least * data->ranks / data->store.share / MEBIBYTE), data->ranks,
                       data->ranks == 1 ? "" : "s");
    return ls_spread_open(data->comm, homes, data->inputs, sample_bytes(data), (size_t)bytes,
                          &data->spread);
}

/* Collective.  Packets are cut alike everywhere: as for the node that has most ranks. */
static ls_status agree_on_ranks(ls_comm *comm, int *ranks) {
    int64_t most = -ls_comm_node_size(comm);
    LS_TRY(ls_comm_min_int64(comm, &most));
    *ranks = (int)-most;
    return LS_OK;
}

ls_status ls_data_spread(ls_comm *comm, ls_parts *parts, const ls_store *store, ls_data *data) {
    data->parts = *parts;
    *parts = (ls_parts){0};
    data->store = *store;
    data->comm = comm;
    LS_TRY(choose_buffer(comm, &data->store));
    LS_TRY(agree_on_ranks(comm, &data->ranks));
    char *name = ls_format("%s: %s", data->parts.joint[0].files->title, data->parts.name);
    ls_status status = name ? open_spread(&data->homes, name, data) : LS_ERR_SYSTEM;
    ls_free(name);
    return ls_comm_agree(comm, status);
}

/* It evaluates, in the order of the files: a small buffer will do. */
ls_status ls_data_follow_part(const ls_data *data, ls_data *part) {
    part->store.share = data->store.share / 6;
    if (data->feed)
        return stream_part(data, part);
    return data->spread ? open_spread(&data->homes, "the samples held out", part) : LS_OK;
}

/* ---- what is read --------------------------------------------------------------------------- */

static int64_t places_of_rank(const void *owner, const ls_turns *turns, int rank, int64_t turn,
                              uint64_t *out) {
    const ls_data *data = owner;
    const int64_t number = turns->period > 0 ? turn % turns->period : turn;
    const int64_t count = turns->ids(turns->context, turns->what, rank, number, out);
    for (int64_t i = 0; i < count; i++)
        out[i] = ls_data_place(data, out[i]);
    return count;
}

static int64_t own_places(const void *owner, const ls_turns *turns, int64_t turn, uint64_t *out) {
    const ls_data *data = owner;
    return places_of_rank(data, turns, data->rank, turn, out);
}

ls_status ls_data_begin(const ls_data *data, const ls_turns *turns, int64_t turn) {
    if (data->feed)
        return ls_feed_follow(data->feed, own_places, data, turns, turn);
    return data->spread ? ls_spread_follow(data->spread, places_of_rank, data, turns, turn) : LS_OK;
}

ls_status ls_data_end(const ls_data *data) {
    if (data->feed)
        ls_feed_stop(data->feed);
    return data->spread ? ls_spread_stop(data->spread) : LS_OK;
}

ls_status ls_data_next(const ls_data *data, uint64_t place, const void **sample) {
    return data->feed ? ls_feed_next(data->feed, place, sample)
                      : ls_spread_next(data->spread, place, sample);
}

void ls_data_poll(const ls_data *data) {
    if (data->spread)
        ls_spread_poll(data->spread);
}

ls_data_traffic ls_data_traffic_now(const ls_data *data) {
    if (data->feed)
        return ls_feed_traffic(data->feed);
    return data->spread ? ls_spread_traffic(data->spread) : (ls_data_traffic){0};
}

ls_residence ls_data_residence(const ls_data *data) {
    return data->feed     ? LS_RESIDENCE_STREAM
           : data->spread ? LS_RESIDENCE_SPREAD
                          : LS_RESIDENCE_NODE;
}

double ls_data_share(const ls_data *data) {
    const int64_t all = data->held_out.whole > 0 ? data->held_out.whole : data->count;
    return (double)data->held / (double)all;
}
