/* Normalisation: mean and deviation of each channel or target over a split, the same bits at any
 * rank count. */
#include "data/moments.h"
#include "data/split.h"

enum { CHUNK = 1024 }; /* samples; fixed: its boundaries decide the order of the sums */

/* What is measured: (count, channels, spatial). */
typedef struct measured_array {
    ls_type type;
    const void *data;
    int64_t count, channels, spatial;
} measured_array;

/* The chunks are dealt out to the ranks of the node in turn; `all` holds (chunks, channels). */
static ls_status measure_chunks(ls_comm *comm, const measured_array *v, int64_t chunks,
                                ls_moments *all) {
    const int64_t ranks = ls_comm_node_size(comm);
    const size_t bytes = ls_type_size(v->type) * (size_t)(v->channels * v->spatial);
    for (int64_t chunk = ls_comm_node_rank(comm); chunk < chunks; chunk += ranks) {
        const int64_t first = chunk * CHUNK, left = v->count - first;
        LS_TRY(ls_moments_measure(v->type, (const char *)v->data + (size_t)first * bytes,
                                  left < CHUNK ? left : CHUNK, v->channels, v->spatial,
                                  all + chunk * v->channels));
    }
    return LS_OK;
}

static ls_status measure(ls_comm *comm, const measured_array *v, ls_normalization *norm) {
    const int64_t chunks = (v->count + CHUNK - 1) / CHUNK, channels = v->channels;
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
    const measured_array inputs = {data->type, data->inputs, data->count, data->channels,
                                   data->spatial};
    return measure(comm, &inputs, norm);
}

ls_status ls_normalization_measure_targets(ls_comm *comm, const ls_data *data,
                                           ls_normalization *norm) {
    LS_REQUIRE(!data->is_classes);
    const measured_array targets = {data->target_type, data->targets, data->count, data->outputs,
                                    1};
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
