/* Normalisation: mean and deviation of each channel or target over a split, the same bits at any
 * rank count. */
#include <string.h>

#include "data/moments.h"
#include "data/split.h"

enum { CHUNK = 1024 }; /* samples; fixed: its boundaries decide the order of the sums */

/* What is measured of a split: (count, channels, spatial). */
typedef struct measured_array {
    const ls_data *data;
    ls_type type;
    const void *values;
    int64_t channels, spatial;
} measured_array;

static size_t sample_bytes(const measured_array *v) {
    return ls_type_size(v->type) * (size_t)(v->channels * v->spatial);
}

/* The samples of a chunk, one after the other: in their place, or gathered in `scratch`. */
static const void *chunk_values(const measured_array *v, int64_t first, int64_t count,
                                char *scratch) {
    const size_t bytes = sample_bytes(v);
    const char *values = v->values;
    if (scratch == NULL)
        return values + (size_t)first * bytes;
    for (int64_t i = 0; i < count; i++)
        memcpy(scratch + (size_t)i * bytes,
               values + ls_data_place(v->data, (uint64_t)(first + i)) * bytes, bytes);
    return scratch;
}

/* The chunks are dealt out to the ranks of the node in turn; `all` holds (chunks, channels). */
static ls_status measure_chunks(ls_comm *comm, const measured_array *v, int64_t chunks,
                                ls_moments *all) {
    const int64_t ranks = ls_comm_node_size(comm), samples = v->data->count;
    char *scratch = NULL;
    ls_status status = LS_OK;
    if (v->data->held_out.whole > 0)
        status = LS_NEW(scratch, CHUNK * sample_bytes(v));
    for (int64_t chunk = ls_comm_node_rank(comm); status == LS_OK && chunk < chunks;
         chunk += ranks) {
        const int64_t first = chunk * CHUNK, left = samples - first;
        const int64_t count = left < CHUNK ? left : CHUNK;
        status = ls_moments_measure(v->type, chunk_values(v, first, count, scratch), count,
                                    v->channels, v->spatial, all + chunk * v->channels);
    }
    ls_free(scratch);
    return status;
}

/* Of the moments of all chunks, (chunks, channels), in their order. */
static ls_status conclude(const ls_moments *all, int64_t chunks, int64_t channels,
                          ls_normalization *norm) {
    LS_TRY(ls_normalization_identity(channels, norm));
    for (int64_t c = 0; c < channels; c++) {
        ls_moments total = all[c];
        for (int64_t chunk = 1; chunk < chunks; chunk++)
            ls_moments_merge(&total, &all[chunk * channels + c]);
        norm->mean[c] = total.mean;
        norm->deviation[c] = ls_moments_deviation(&total);
    }
    return LS_OK;
}

static ls_status measure(ls_comm *comm, const measured_array *v, ls_normalization *norm) {
    const int64_t chunks = (v->data->count + CHUNK - 1) / CHUNK, channels = v->channels;
    ls_shared *shared = NULL;
    LS_TRY(ls_shared_create(comm, sizeof(ls_moments) * (size_t)(chunks * channels),
                            "the moments of the data", &shared));
    ls_moments *all = ls_shared_data(shared);
    ls_status status = ls_comm_agree(comm, measure_chunks(comm, v, chunks, all));
    if (status == LS_OK) {
        ls_comm_node_barrier(comm);
        status = ls_comm_agree(comm, conclude(all, chunks, channels, norm));
    }
    ls_shared_free(shared); /* nobody reads the chunks any more */
    return status;
}

/* ---- of inputs that are streamed ------------------------------------------------------------ */

/* The chunks are dealt out to all ranks: here no node has samples of its own. */
typedef struct shares {
    int64_t samples;
    int rank, ranks;
} shares;

static int64_t chunk_samples(const shares *s, int64_t turn, int64_t *first) {
    *first = (s->rank + turn * s->ranks) * CHUNK;
    const int64_t left = s->samples - *first;
    return left <= 0 ? 0 : left < CHUNK ? left : CHUNK;
}

/* A chunk a turn: all its samples, for the means, and again, for the squares. */
static int64_t chunk_ids(const void *context, int64_t what, int64_t turn, uint64_t *out) {
    int64_t first;
    const int64_t count = chunk_samples(context, turn, &first);
    (void)what;
    for (int64_t i = 0; i < count; i++)
        out[i] = out[count + i] = (uint64_t)(first + i);
    return 2 * count;
}

static ls_status measure_turn(const ls_data *data, int64_t first, int64_t count, double *sums,
                              ls_moments *moments) {
    const int64_t channels = data->channels, spatial = data->spatial;
    const void *sample;
    for (int64_t c = 0; c < channels; c++)
        sums[c] = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < count; i++) {
            const uint64_t place = ls_data_place(data, (uint64_t)(first + i));
            LS_TRY(ls_feed_next(data->feed, place, &sample));
            if (pass == 0 && i == 0)
                ls_moments_begin(data->type, sample, count, channels, spatial, moments);
            ls_moments_add(data->type, sample, channels, spatial, moments, pass == 1, sums);
        }
        if (pass == 0)
            ls_moments_means(channels, moments, sums);
    }
    ls_moments_end(channels, sums, moments);
    return LS_OK;
}

static ls_status measure_turns(const ls_data *data, const shares *s, double *sums,
                               ls_moments *all) {
    const ls_turns turns = {.ids = chunk_ids, .context = s, .most = 2 * CHUNK};
    int64_t first, count;
    ls_status status = LS_OK;
    for (int64_t turn = 0; status == LS_OK && (count = chunk_samples(s, turn, &first)); turn++) {
        status = ls_data_begin(data, &turns, turn);
        if (status == LS_OK)
            status = measure_turn(data, first, count, sums, all + first / CHUNK * data->channels);
    }
    ls_data_end(data);
    return status;
}

/* What other ranks have measured is 0 here: added as integers, all have all. */
static ls_status measure_streamed(ls_comm *comm, const ls_data *data, ls_normalization *norm) {
    const shares mine = {data->count, ls_comm_rank(comm), ls_comm_size(comm)};
    const int64_t chunks = (data->count + CHUNK - 1) / CHUNK, channels = data->channels;
    const size_t bytes = (size_t)(chunks * channels) * sizeof(ls_moments);
    ls_moments *all = NULL;
    double *sums = NULL;
    ls_status status = LS_NEW(all, (size_t)(chunks * channels));
    if (status == LS_OK)
        status = LS_NEW(sums, (size_t)channels);
    if (status == LS_OK)
        status = measure_turns(data, &mine, sums, all);
    status = ls_comm_agree(comm, status);
    if (status == LS_OK)
        status = ls_comm_sum_int64(comm, (int64_t *)(void *)all, bytes / sizeof(int64_t));
    if (status == LS_OK)
        status = ls_comm_agree(comm, conclude(all, chunks, channels, norm));
    ls_free(sums);
    ls_free(all);
    return status;
}

ls_status ls_normalization_measure(ls_comm *comm, const ls_data *data, ls_normalization *norm) {
    if (data->feed)
        return measure_streamed(comm, data, norm);
    const measured_array inputs = {data, data->type, data->inputs, data->channels, data->spatial};
    return measure(comm, &inputs, norm);
}

ls_status ls_normalization_measure_targets(ls_comm *comm, const ls_data *data,
                                           ls_normalization *norm) {
    LS_REQUIRE(!data->is_classes);
    const measured_array targets = {data, data->target_type, data->targets, data->outputs, 1};
    return measure(comm, &targets, norm);
}

ls_status ls_normalization_identity(int64_t channels, ls_normalization *norm) {
    double *both; /* means, then deviations */
    LS_TRY(LS_NEW(both, 2 * (size_t)channels));
    *norm = (ls_normalization){channels, both, both + channels};
    for (int64_t c = 0; c < channels; c++)
        norm->deviation[c] = 1;
    return LS_OK;
}

void ls_normalization_free(ls_normalization *norm) {
    ls_free(norm->mean);
    *norm = (ls_normalization){0};
}

void ls_normalization_undo(const ls_normalization *norm, bool in_double, int64_t count,
                           const float *normalized, double *out) {
    const int64_t channels = norm->channels;
    for (int64_t i = 0; i < count; i++, normalized += channels, out += channels)
        for (int64_t c = 0; c < channels; c++)
            out[c] = in_double ? normalized[c] * norm->deviation[c] + norm->mean[c]
                               : normalized[c] * (float)norm->deviation[c] + (float)norm->mean[c];
}
