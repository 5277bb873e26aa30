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

static ls_status measure(ls_comm *comm, const measured_array *v, ls_normalization *norm) {
    const int64_t chunks = (v->data->count + CHUNK - 1) / CHUNK, channels = v->channels;
    ls_shared *shared = NULL;
    ls_status status;
    LS_TRY(ls_shared_create(comm, sizeof(ls_moments) * (size_t)(chunks * channels),
                            "the moments of the data", &shared));
    ls_moments *all = ls_shared_data(shared);
    ls_normalization measured = {0};
    status = measure_chunks(comm, v, chunks, all);
    if (status == LS_OK)
        status = ls_normalization_identity(channels, &measured);
    LS_TRY_GOTO(done, ls_comm_agree(comm, status));
    ls_comm_node_barrier(comm);
    for (int64_t c = 0; c < channels; c++) {
        ls_moments total = all[c];
        for (int64_t chunk = 1; chunk < chunks; chunk++)
            ls_moments_merge(&total, &all[chunk * channels + c]);
        measured.mean[c] = total.mean;
        measured.deviation[c] = ls_moments_deviation(&total);
    }
    ls_comm_node_barrier(comm); /* nobody reads the chunks any more */
    *norm = measured;
    measured = (ls_normalization){0};
done:
    ls_normalization_free(&measured);
    ls_shared_free(shared);
    return status;
}

ls_status ls_normalization_measure(ls_comm *comm, const ls_data *data, ls_normalization *norm) {
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
