/* Where the inputs of a split are: in the node's memory, or read from their files as they are
 * needed. */
#include <math.h>

#include "data/split.h"

#define MEBIBYTE (1024.0 * 1024.0)
#define MOST_BUFFER (1024 * MEBIBYTE) /* unless more is asked for */

ls_status ls_data_choose(ls_comm *comm, const ls_store *store, const char *name, size_t bytes,
                         bool *streamed) {
    uint64_t left;
    *streamed = store->residence == LS_RESIDENCE_STREAM;
    if (store->residence != LS_RESIDENCE_AUTO)
        return LS_OK;
    LS_TRY(ls_comm_memory_left(comm, &left));
    *streamed = bytes > left / 2;
    if (ls_comm_rank(comm) != 0)
        return LS_OK;
    ls_log(*streamed ? LS_LOG_NORMAL : LS_LOG_VERBOSE,
           "%s: %.0f MiB, and %.0f MiB of memory are left on each node: %s", name,
           (double)bytes / MEBIBYTE, (double)left / MEBIBYTE,
           *streamed ? "more than half of it; they are read as the run goes on (data.residence: "
                       "stream)"
                     : "they are kept there (data.residence: node)");
    return LS_OK;
}

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
    const bool plain = blocks.plain;
    LS_TRY(ls_comm_agree(comm, open_feed(&blocks, &data->store, data->ranks,
                                         data->count / ls_comm_size(comm) + 1, &data->feed)));
    const ls_joint *opened = &ls_feed_blocks(data->feed)->joint;
    if (!plain && ls_comm_rank(comm) == 0)
        ls_warn("%s: %s: its type, filters or layout are for HDF5 alone, and are not read ahead",
                opened->files->title, opened->name);
    return LS_OK;
}

/* It evaluates, in the order of the files: a small buffer will do. */
ls_status ls_data_stream_part(const ls_data *data, ls_data *part) {
    ls_blocks blocks;
    part->store.share = data->store.share / 6;
    LS_TRY(ls_blocks_copy(ls_feed_blocks(data->feed), &blocks));
    return open_feed(&blocks, &part->store, data->ranks, part->count, &part->feed);
}

/* ---- what is read --------------------------------------------------------------------------- */

static int64_t places_of(const void *owner, const ls_turns *turns, int64_t turn, uint64_t *out) {
    const ls_data *data = owner;
    const int64_t number = turns->period > 0 ? turn % turns->period : turn;
    const int64_t count = turns->ids(turns->context, turns->what, number, out);
    for (int64_t i = 0; i < count; i++)
        out[i] = ls_data_place(data, out[i]);
    return count;
}

ls_status ls_data_begin(const ls_data *data, const ls_turns *turns, int64_t turn) {
    return data->feed ? ls_feed_follow(data->feed, places_of, data, turns, turn) : LS_OK;
}

void ls_data_end(const ls_data *data) {
    if (data->feed)
        ls_feed_stop(data->feed);
}

ls_data_traffic ls_data_traffic_now(const ls_data *data) {
    return data->feed ? ls_feed_traffic(data->feed) : (ls_data_traffic){0};
}

bool ls_data_is_streamed(const ls_data *data) {
    return data->feed != NULL;
}
