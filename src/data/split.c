/* A split in memory that the ranks of a node share: each reads and checks its contiguous range of
 * the samples, straight into its place. */
#include "data/split.h"
#include "data/values.h"

/* What loading needs besides the split itself. */
typedef struct loader {
    ls_comm *comm;
    ls_data *data;
    ls_array *inputs, *targets;
    char *inputs_name, *targets_name; /* file and array, for messages */
    int64_t classes;                  /* as given, 0: as many as there are */
    int64_t first, end;               /* this rank's samples */
} loader;

static ls_status describe_targets(loader *load) {
    const ls_array_info *targets = ls_array_describe(load->targets);
    ls_data *data = load->data;
    LS_TRY(ls_check_targets(targets, load->targets_name, data->count, load->inputs_name));
    data->is_classes = !ls_type_is_float(targets->type);
    data->outputs = data->is_classes ? load->classes : ls_sample_elements(targets);
    data->target_type = targets->type;
    if (!data->is_classes && load->classes > 0)
        return ls_fail(LS_ERR_INPUT,
                       "%s: %s values where class numbers are needed; expected integers",
                       load->targets_name, ls_type_name(targets->type));
    return LS_OK;
}

static ls_status describe_split(loader *load) {
    const ls_array_info *inputs = ls_array_describe(load->inputs);
    LS_TRY(ls_check_inputs(inputs, load->inputs_name));
    ls_data *data = load->data;
    data->count = inputs->shape[0];
    data->type = inputs->type;
    data->shape = (ls_shape){.ndims = 1, .size = {1}}; /* (N): one channel */
    if (inputs->ndims > 1)
        data->shape.ndims = inputs->ndims - 1;
    for (int d = 1; d < inputs->ndims; d++)
        data->shape.size[d - 1] = inputs->shape[d];
    data->channels = data->shape.size[0];
    data->spatial = ls_sample_elements(inputs) / data->channels;
    if (load->targets)
        LS_TRY(describe_targets(load));
    const int64_t ranks = ls_comm_node_size(load->comm), rank = ls_comm_node_rank(load->comm);
    const int64_t share = data->count / ranks, extra = data->count % ranks;
    load->first = share * rank + (rank < extra ? rank : extra);
    load->end = load->first + share + (rank < extra);
    return LS_OK;
}

static ls_status create_memory(loader *load) {
    ls_data *data = load->data;
    const size_t samples = (size_t)data->count;
    const size_t input_bytes = ls_type_size(data->type) * (size_t)(data->channels * data->spatial);
    const size_t target_bytes = data->is_classes
                                    ? sizeof *data->classes
                                    : ls_type_size(data->target_type) * (size_t)data->outputs;
    LS_TRY(ls_shared_create(load->comm, samples * input_bytes, load->inputs_name,
                            &data->inputs_memory));
    data->inputs = ls_shared_data(data->inputs_memory);
    if (load->targets == NULL)
        return LS_OK;
    LS_TRY(ls_shared_create(load->comm, samples * target_bytes, load->targets_name,
                            &data->targets_memory));
    if (data->is_classes)
        data->classes = ls_shared_data(data->targets_memory);
    else
        data->targets = ls_shared_data(data->targets_memory);
    return LS_OK;
}

static ls_status load_inputs(const loader *load) {
    const ls_data *data = load->data;
    const int64_t elements = data->channels * data->spatial;
    const int64_t count = load->end - load->first;
    char *mine = (char *)ls_shared_data(data->inputs_memory) +
                 (size_t)(load->first * elements) * ls_type_size(data->type);
    LS_TRY(ls_array_read(load->inputs, load->first, count, mine));
    return ls_check_finite(data->type, mine, load->first, count, elements, load->inputs_name);
}

static ls_status load_classes(const loader *load, const void *raw, int64_t first, int64_t count,
                              int64_t *values, int32_t *largest) {
    int32_t *out = (int32_t *)ls_shared_data(load->data->targets_memory) + first;
    ls_values_integers(ls_array_describe(load->targets)->type, raw, count, values);
    LS_TRY(ls_check_classes(values, first, count, load->classes, load->targets_name));
    for (int64_t i = 0; i < count; i++) {
        out[i] = (int32_t)values[i];
        if (out[i] > *largest)
            *largest = out[i];
    }
    return LS_OK;
}

static ls_status load_numbers(const loader *load) {
    const ls_data *data = load->data;
    const int64_t count = load->end - load->first, width = data->outputs;
    char *mine = (char *)ls_shared_data(data->targets_memory) +
                 (size_t)(load->first * width) * ls_type_size(data->target_type);
    LS_TRY(ls_array_read(load->targets, load->first, count, mine));
    return ls_check_finite(data->target_type, mine, load->first, count, width, load->targets_name);
}

/* Reads this rank's targets: classes piece by piece, to be stored as int32. */
static ls_status load_targets(const loader *load, int32_t *largest) {
    const ls_data *data = load->data;
    const ls_type type = ls_array_describe(load->targets)->type;
    const int64_t piece = 1 << 18; /* samples */
    char *raw = NULL;
    int64_t *values = NULL;
    ls_status status;
    if (!data->is_classes)
        return load_numbers(load);
    LS_TRY_GOTO(done, LS_NEW(raw, (size_t)piece * ls_type_size(type)));
    LS_TRY_GOTO(done, LS_NEW(values, (size_t)piece));
    for (int64_t first = load->first; first < load->end; first += piece) {
        const int64_t left = load->end - first, count = left < piece ? left : piece;
        LS_TRY_GOTO(done, ls_array_read(load->targets, first, count, raw));
        LS_TRY_GOTO(done, load_classes(load, raw, first, count, values, largest));
    }
done:
    ls_free(values);
    ls_free(raw);
    return status;
}

/* Collective.  Each node reads the whole split, each of its ranks a range. */
static ls_status load_values(loader *load) {
    ls_shared *shared = NULL; /* the largest class of each rank of the node */
    ls_status status;
    LS_TRY(ls_shared_create(load->comm, sizeof(int32_t) * (size_t)ls_comm_node_size(load->comm),
                            "the classes of the ranks", &shared));
    int32_t *largest = ls_shared_data(shared);
    status = load_inputs(load);
    if (status == LS_OK && load->targets)
        status = load_targets(load, &largest[ls_comm_node_rank(load->comm)]);
    status = ls_comm_agree(load->comm, status);
    ls_comm_node_barrier(load->comm);
    ls_data *data = load->data;
    if (status == LS_OK && data->is_classes && data->outputs == 0)
        for (int rank = 0; rank < ls_comm_node_size(load->comm); rank++)
            if (largest[rank] + 1 > data->outputs)
                data->outputs = largest[rank] + 1;
    ls_shared_free(shared);
    return status;
}

ls_status ls_data_open(ls_comm *comm, const char *file, const char *inputs, const char *targets,
                       int64_t classes, ls_data **data) {
    loader load = {.comm = comm, .classes = classes};
    ls_status status = LS_NEW(load.data, 1);
    load.inputs_name = ls_format("%s: %s", file, inputs);
    load.targets_name = ls_format("%s: %s", file, targets ? targets : "no targets");
    if (!load.inputs_name || !load.targets_name)
        status = LS_ERR_SYSTEM;
    LS_TRY_GOTO(failed, ls_comm_agree(comm, status));
    LS_TRY_GOTO(failed, ls_array_open(comm, file, inputs, &load.inputs));
    if (targets)
        LS_TRY_GOTO(failed, ls_array_open(comm, file, targets, &load.targets));
    LS_TRY_GOTO(failed, ls_comm_agree(comm, describe_split(&load)));
    LS_TRY_GOTO(failed, create_memory(&load));
    LS_TRY_GOTO(failed, load_values(&load));
    *data = load.data;
    goto done;
failed:
    ls_data_close(load.data);
done:
    if (load.targets)
        ls_array_close(load.targets);
    if (load.inputs)
        ls_array_close(load.inputs);
    ls_free(load.targets_name);
    ls_free(load.inputs_name);
    return status;
}

void ls_data_close(ls_data *data) {
    if (!data)
        return;
    if (data->targets_memory)
        ls_shared_free(data->targets_memory);
    if (data->inputs_memory)
        ls_shared_free(data->inputs_memory);
    ls_free(data);
}

void ls_data_warn_of_axes(const ls_data *data, const char *name) {
    ls_array_info info = {data->type, data->shape.ndims + 1, {data->count}};
    for (int d = 0; d < data->shape.ndims; d++)
        info.shape[d + 1] = data->shape.size[d];
    ls_warn_of_axes(&info, name, "array[:, None] adds the axis of channels");
}

int64_t ls_data_count(const ls_data *data) {
    return data->count;
}

const ls_shape *ls_data_shape(const ls_data *data) {
    return &data->shape;
}

bool ls_data_is_classes(const ls_data *data) {
    return data->is_classes;
}

int64_t ls_data_outputs(const ls_data *data) {
    return data->outputs;
}

bool ls_data_has_double_targets(const ls_data *data) {
    return !data->is_classes && data->target_type == LS_TYPE_F64;
}

void ls_data_class_counts(const ls_data *data, int64_t *counts) {
    LS_ASSERT(data->is_classes);
    for (int64_t c = 0; c < data->outputs; c++)
        counts[c] = 0;
    for (int64_t i = 0; i < data->count; i++)
        counts[data->classes[ls_data_place(data, (uint64_t)i)]]++;
}

size_t ls_data_bytes(const ls_data *data) {
    return (data->inputs_memory ? ls_shared_bytes(data->inputs_memory) : 0) +
           (data->targets_memory ? ls_shared_bytes(data->targets_memory) : 0);
}
