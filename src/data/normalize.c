/* Normalisation: mean and deviation of each channel or target over a split, the same bits at any
 * rank count. */
#include "data/moments.h"
#include "data/split.h"

enum { CHUNK = 1024 }; /* samples; fixed: its boundaries decide the order of the sums */

static ls_status sample_in_memory(const void *context, int64_t index, const void **values) {
    const ls_data *data = context;
    const size_t bytes = ls_type_size(data->type) * (size_t)(data->channels * data->spatial);
    const uint64_t place = ls_data_place(data, (uint64_t)index);
    *values = ls_data_values(data, (const char *)data->inputs + place * bytes);
    return LS_OK;
}

static ls_status next_sample(const void *context, int64_t index, const void **values) {
    const ls_data *data = context;
    const void *sample;
    LS_TRY(ls_data_next(data, ls_data_place(data, (uint64_t)index), &sample));
    *values = ls_data_values(data, sample);
    return LS_OK;
}

static ls_status targets_of_sample(const void *context, int64_t index, const void **values) {
    const ls_data *data = context;
    const size_t bytes = ls_type_size(data->target_type) * (size_t)data->outputs;
    *values = (const char *)data->targets + ls_data_place(data, (uint64_t)index) * bytes;
    return LS_OK;
}

static bool in_memory(const ls_data *data) {
    return ls_data_residence(data) == LS_RESIDENCE_NODE;
}

static ls_measured inputs_of(const ls_data *data) {
    return (ls_measured){ls_data_value_type(data), data->channels, data->spatial,
                         in_memory(data) ? sample_in_memory : next_sample, data};
}

/* Samples of a chunk. */
static int64_t chunk_size(int64_t samples, int64_t chunk) {
    const int64_t left = samples - chunk * CHUNK;
    return left < CHUNK ? left : CHUNK;
}

/* The chunks are dealt out to the ranks of the node in turn; `all` holds (chunks, channels). */
static ls_status measure_chunks(ls_comm *comm, const ls_measured *v, int64_t samples,
                                int64_t chunks, ls_moments *all) {
    const int64_t ranks = ls_comm_node_size(comm);
    for (int64_t chunk = ls_comm_node_rank(comm); chunk < chunks; chunk += ranks)
        LS_TRY(ls_moments_measure(v, chunk * CHUNK, chunk_size(samples, chunk),
                                  all + chunk * v->channels));
    return LS_OK;
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

static ls_status measure(ls_comm *comm, const ls_measured *v, int64_t samples,
                         ls_normalization *norm) {
    const int64_t chunks = (samples + CHUNK - 1) / CHUNK, channels = v->channels;
    ls_shared *shared = NULL;
    LS_TRY(ls_shared_create(comm, sizeof(ls_moments) * (size_t)(chunks * channels),
                            "the moments of the data", &shared));
    ls_moments *all = ls_shared_data(shared);
    ls_status status = ls_comm_agree(comm, measure_chunks(comm, v, samples, chunks, all));
    if (status == LS_OK) {
        ls_comm_node_barrier(comm);
        status = ls_comm_agree(comm, conclude(all, chunks, channels, norm));
    }
    ls_shared_free(shared); /* nobody reads the chunks any more */
    return status;
}

/* ---- of inputs that are streamed or spread -------------------------------------------------- */

/* The chunks are dealt out to all ranks: here no node has all samples. */
typedef struct deal {
    int64_t samples;
    int ranks;
} deal;

static int64_t chunk_samples(const deal *s, int rank, int64_t turn, int64_t *first) {
    const int64_t chunk = rank + turn * s->ranks;
    *first = chunk * CHUNK;
    return *first < s->samples ? chunk_size(s->samples, chunk) : 0;
}

/* A chunk a turn. */
static int64_t chunk_ids(const void *context, int64_t what, int rank, int64_t turn, uint64_t *out) {
    int64_t first;
    const int64_t count = chunk_samples(context, rank, turn, &first);
    (void)what;
    for (int64_t i = 0; i < count; i++)
        out[i] = (uint64_t)(first + i);
    return count;
}

/* All ranks come to all turns: see ls_data_begin. */
static ls_status measure_turns(ls_comm *comm, const ls_data *data, ls_status status,
                               ls_moments *all) {
    const deal dealt = {data->count, ls_comm_size(comm)};
    const ls_turns turns = {.ids = chunk_ids, .context = &dealt, .most = CHUNK};
    const ls_measured samples = inputs_of(data);
    const int64_t all_ranks = (int64_t)CHUNK * dealt.ranks;
    int64_t first;
    for (int64_t turn = 0; turn * all_ranks < data->count; turn++) {
        const int64_t count = chunk_samples(&dealt, ls_comm_rank(comm), turn, &first);
        const ls_status begun = ls_data_begin(data, &turns, turn);
        status = status == LS_OK ? begun : status;
        if (status == LS_OK && count > 0)
            status =
                ls_moments_measure(&samples, first, count, all + first / CHUNK * data->channels);
    }
    const ls_status ended = ls_data_end(data);
    return status == LS_OK ? ended : status;
}

/* What other ranks have measured is 0 here: added as integers, all have all. */
static ls_status measure_dealt(ls_comm *comm, const ls_data *data, ls_normalization *norm) {
    const int64_t chunks = (data->count + CHUNK - 1) / CHUNK, channels = data->channels;
    const size_t bytes = (size_t)(chunks * channels) * sizeof(ls_moments);
    ls_moments *all = NULL;
    ls_status status = LS_NEW(all, (size_t)(chunks * channels));
    status = ls_comm_agree(comm, measure_turns(comm, data, status, all));
    if (status == LS_OK)
        status = ls_comm_sum_int64(comm, (int64_t *)(void *)all, bytes / sizeof(int64_t));
    if (status == LS_OK)
        status = ls_comm_agree(comm, conclude(all, chunks, channels, norm));
    ls_free(all);
    return status;
}

ls_status ls_normalization_measure(ls_comm *comm, const ls_data *data, ls_normalization *norm) {
    if (!in_memory(data))
        return measure_dealt(comm, data, norm);
    const ls_measured inputs = inputs_of(data);
    return measure(comm, &inputs, data->count, norm);
}

ls_status ls_normalization_measure_targets(ls_comm *comm, const ls_data *data,
                                           ls_normalization *norm) {
    LS_REQUIRE(!data->is_classes);
    const ls_measured targets = {data->target_type, data->outputs, 1, targets_of_sample, data};
    return measure(comm, &targets, data->count, norm);
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
