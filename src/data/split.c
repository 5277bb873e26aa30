/* A split in memory that the ranks of a node share, from a file or a source: each rank reads and
 * checks its contiguous range of the samples, straight into its place. */
#include <string.h>

#include "data/parts.h"
#include "data/split.h"
#include "data/values.h"

/* Reads samples [first, first + count); NULL: not wanted. */
typedef ls_status read_range(void *from, int64_t first, int64_t count, void *inputs, void *targets);

typedef struct arrays {
    ls_parts inputs;
    ls_joint targets; /* targets.files NULL: none */
} arrays;

/* What loading needs besides the split itself. */
typedef struct loader {
    ls_comm *comm;
    ls_data *data;
    ls_array_info inputs, targets; /* as they are stored; targets.ndims 0: none */
    read_range *read;
    void *from;
    const arrays *arrays;             /* NULL: of a source */
    ls_residence residence;           /* of the inputs */
    int64_t held_first, held_end;     /* of the node's, those that this rank loads */
    char *inputs_name, *targets_name; /* file and array, for messages */
    const ls_form *form;              /* NULL: samples are as they are stored */
    int64_t classes;                  /* as given, 0: as many as there are */
    int64_t first, end;               /* this rank's samples */
} loader;

static ls_status describe_targets(loader *load) {
    const ls_array_info *targets = &load->targets;
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

static ls_status make_transformer(const ls_form *form, ls_data *data) {
    const size_t values = (size_t)(data->channels * data->spatial);
    LS_TRY(ls_transformer_make(form ? &form->transform : NULL, data->type, &data->transformer));
    if (data->transformer == NULL)
        return LS_OK;
    data->transformed = ls_calloc(values, ls_type_size(data->transformer->to));
    return data->transformed ? LS_OK : LS_ERR_SYSTEM;
}

/* The ranks of a node have a range of `samples` each. */
static void divide(const loader *load, int64_t samples, int64_t *first, int64_t *end) {
    ls_slice_samples(samples, ls_comm_node_size(load->comm), ls_comm_node_rank(load->comm), first,
                     end);
    *end += *first;
}

/* Samples: those of the array with the largest chunks. */
static int64_t largest_chunk(const ls_parts *inputs) {
    int64_t chunk = 0;
    for (int64_t i = 0; i < inputs->count; i++)
        if (inputs->joint[i].chunk > chunk)
            chunk = inputs->joint[i].chunk;
    return chunk;
}

static ls_status describe_split(loader *load) {
    const ls_array_info *inputs = &load->inputs;
    ls_data *data = load->data;
    LS_TRY(ls_data_sample_shape(LS_CHANNELS_FIRST, inputs, load->inputs_name, &data->shape));
    data->count = inputs->shape[0];
    data->type = inputs->type;
    data->chunk = load->arrays ? largest_chunk(&load->arrays->inputs) : 0;
    data->channels = data->shape.size[0];
    data->spatial = ls_sample_elements(inputs) / data->channels;
    LS_TRY(make_transformer(load->form, data));
    if (load->targets.ndims > 0)
        LS_TRY(describe_targets(load));
    divide(load, data->count, &load->first, &load->end);
    return LS_OK;
}

/* Collective.  What the node has of the inputs, and what this rank loads of that. */
static ls_status share_inputs(loader *load) {
    ls_data *data = load->data;
    if (load->residence == LS_RESIDENCE_SPREAD)
        LS_TRY(ls_homes_make(load->comm, data->count, ls_data_chunk(data), &data->homes));
    data->rank = ls_comm_rank(load->comm);
    data->held = load->residence == LS_RESIDENCE_NODE ? data->count
                 : load->residence == LS_RESIDENCE_SPREAD
                     ? ls_shares_count(&data->homes.shares, data->homes.node)
                     : 0;
    divide(load, data->held, &load->held_first, &load->held_end);
    return LS_OK;
}

/* Of all samples, as they are kept. */
static size_t bytes_of_targets(const ls_array_info *targets) {
    const size_t samples = (size_t)targets->shape[0];
    return ls_type_is_float(targets->type)
               ? samples * ls_type_size(targets->type) * (size_t)ls_sample_elements(targets)
               : samples * sizeof(int32_t);
}

static ls_status create_targets(loader *load) {
    ls_data *data = load->data;
    char *what = ls_format("%s, which is in each node's memory whatever data.residence is,",
                           load->targets_name);
    ls_status status = ls_shared_create(load->comm, bytes_of_targets(&load->targets),
                                        what ? what : load->targets_name, &data->targets_memory);
    ls_free(what);
    LS_TRY(status);
    if (data->is_classes)
        data->classes = ls_shared_data(data->targets_memory);
    else
        data->targets = ls_shared_data(data->targets_memory);
    return LS_OK;
}

static ls_status create_memory(loader *load) {
    ls_data *data = load->data;
    const size_t input_bytes = ls_type_size(data->type) * (size_t)(data->channels * data->spatial);
    if (load->residence != LS_RESIDENCE_STREAM) {
        LS_TRY(ls_shared_create(load->comm, (size_t)data->held * input_bytes, load->inputs_name,
                                &data->inputs_memory));
        data->inputs = ls_shared_data(data->inputs_memory);
    }
    return load->targets.ndims > 0 ? create_targets(load) : LS_OK;
}

/* Samples that lie in one file, and what messages say of them. */
typedef struct piece {
    int64_t first, count;
    int64_t in_file; /* the first one's number there */
    char *name;      /* owned: file and array */
} piece;

/* From sample `first` on what is left of its file, `most` samples at most. */
static ls_status find_piece(const loader *load, const ls_joint *joint, const char *array,
                            const char *name, int64_t first, int64_t most, piece *made) {
    *made = (piece){.first = first, .count = most, .in_file = first};
    if (load->arrays == NULL) {
        made->name = ls_strdup(name);
    } else {
        const int64_t file = ls_joint_file(joint, first), left = joint->first[file + 1] - first;
        made->count = left < most ? left : most;
        made->in_file = first - joint->first[file];
        made->name = ls_format("%s: %s", joint->files->path[file], array);
    }
    return made->name ? LS_OK : LS_ERR_SYSTEM;
}

/* Of the inputs that the node has, from place `place` on. */
static ls_status find_inputs(const loader *load, int64_t place, piece *made) {
    const ls_parts *inputs = load->arrays ? &load->arrays->inputs : NULL;
    const ls_homes *homes = &load->data->homes;
    int64_t first = place, most = load->held_end - place, run;
    if (load->residence == LS_RESIDENCE_SPREAD) {
        first = ls_shares_sample(&homes->shares, homes->node, place, &run);
        most = run < most ? run : most;
    }
    return find_piece(load, inputs ? inputs->joint : NULL, inputs ? inputs->name : NULL,
                      load->inputs_name, first, most, made);
}

static ls_status find_targets(const loader *load, int64_t first, int64_t most, piece *made) {
    const int64_t left = load->end - first;
    const ls_joint *targets = load->arrays ? &load->arrays->targets : NULL;
    return find_piece(load, targets, targets ? targets->name : NULL, load->targets_name, first,
                      left < most ? left : most, made);
}

static ls_status load_inputs(const loader *load) {
    const ls_data *data = load->data;
    const int64_t elements = data->channels * data->spatial;
    const size_t bytes = (size_t)elements * ls_type_size(data->type);
    piece at;
    for (int64_t place = load->held_first; place < load->held_end; place += at.count) {
        char *mine = (char *)ls_shared_data(data->inputs_memory) + (size_t)place * bytes;
        LS_TRY(find_inputs(load, place, &at));
        ls_status status = load->read(load->from, at.first, at.count, mine, NULL);
        if (status == LS_OK)
            status = ls_check_finite(data->type, mine, at.in_file, at.count, elements, at.name);
        if (status == LS_OK)
            status = ls_transformer_check(data->transformer, mine, at.in_file, at.count, elements,
                                          at.name);
        ls_free(at.name);
        LS_TRY(status);
    }
    return LS_OK;
}

static ls_status load_classes(const loader *load, const void *raw, const piece *at, int64_t *values,
                              int32_t *largest) {
    int32_t *out = (int32_t *)ls_shared_data(load->data->targets_memory) + at->first;
    ls_values_integers(load->targets.type, raw, at->count, values);
    LS_TRY(ls_check_classes(values, at->in_file, at->count, load->classes, at->name));
    for (int64_t i = 0; i < at->count; i++) {
        out[i] = (int32_t)values[i];
        if (out[i] > *largest)
            *largest = out[i];
    }
    return LS_OK;
}

static ls_status load_numbers(const loader *load) {
    const ls_data *data = load->data;
    const int64_t width = data->outputs;
    const size_t bytes = (size_t)width * ls_type_size(data->target_type);
    piece at;
    for (int64_t first = load->first; first < load->end; first += at.count) {
        char *mine = (char *)ls_shared_data(data->targets_memory) + (size_t)first * bytes;
        LS_TRY(find_targets(load, first, INT64_MAX, &at));
        ls_status status = load->read(load->from, first, at.count, NULL, mine);
        if (status == LS_OK)
            status = ls_check_finite(data->target_type, mine, at.in_file, at.count, width, at.name);
        ls_free(at.name);
        LS_TRY(status);
    }
    return LS_OK;
}

/* Reads this rank's targets: classes piece by piece, to be stored as int32. */
static ls_status load_targets(const loader *load, int32_t *largest) {
    const ls_data *data = load->data;
    const ls_type type = load->targets.type;
    const int64_t most = 1 << 18; /* samples */
    char *raw = NULL;
    int64_t *values = NULL;
    piece at;
    ls_status status;
    if (!data->is_classes)
        return load_numbers(load);
    LS_TRY_GOTO(done, LS_NEW(raw, (size_t)most * ls_type_size(type)));
    LS_TRY_GOTO(done, LS_NEW(values, (size_t)most));
    for (int64_t first = load->first; first < load->end; first += at.count) {
        LS_TRY_GOTO(done, find_targets(load, first, most, &at));
        status = load->read(load->from, first, at.count, NULL, raw);
        if (status == LS_OK)
            status = load_classes(load, raw, &at, values, largest);
        ls_free(at.name);
        LS_TRY_GOTO(done, status);
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
    if (status == LS_OK && load->targets.ndims > 0)
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

/* Collective; `status` is this rank's so far. */
static ls_status load_split(loader *load, ls_status status, ls_data **data) {
    if (status == LS_OK)
        status = LS_NEW(load->data, 1);
    LS_TRY_GOTO(failed, ls_comm_agree(load->comm, status));
    LS_TRY_GOTO(failed, ls_comm_agree(load->comm, describe_split(load)));
    LS_TRY_GOTO(failed, share_inputs(load));
    LS_TRY_GOTO(failed, create_memory(load));
    LS_TRY_GOTO(failed, load_values(load));
    *data = load->data;
    return LS_OK;
failed:
    ls_data_close(load->data);
    return status;
}

static void free_names(const loader *load) {
    ls_free(load->targets_name);
    ls_free(load->inputs_name);
}

/* ---- of files ------------------------------------------------------------------------------- */

static ls_status read_arrays(void *from, int64_t first, int64_t count, void *inputs,
                             void *targets) {
    arrays *all = from;
    if (inputs)
        LS_TRY(ls_parts_read(&all->inputs, first, count, inputs));
    return targets ? ls_joint_read(&all->targets, first, count, targets) : LS_OK;
}

/* Collective. */
static ls_status choose(loader *load, const ls_store *store) {
    const ls_array_info *info = &load->inputs;
    size_t bytes = ls_type_size(info->type) * (size_t)info->shape[0];
    if (store == NULL)
        return LS_OK;
    bytes *= (size_t)ls_sample_elements(info);
    return ls_data_choose(load->comm, store, load->inputs_name, bytes,
                          load->targets.ndims > 0 ? bytes_of_targets(&load->targets) : 0,
                          &load->residence);
}

ls_status ls_data_open(ls_comm *comm, ls_files *files, const char *inputs, const char *targets,
                       int64_t classes, const ls_form *form, const ls_store *store,
                       ls_data **data) {
    const ls_data_layout layout = form ? form->layout : LS_CHANNELS_FIRST;
    arrays all = {0};
    ls_data *made = NULL;
    loader load = {.comm = comm,
                   .form = form,
                   .classes = classes,
                   .read = read_arrays,
                   .from = &all,
                   .arrays = &all,
                   .residence = LS_RESIDENCE_NODE};
    char *name = ls_parts_name(inputs);
    load.inputs_name = ls_format("%s: %s", files->title, name ? name : "");
    load.targets_name = ls_format("%s: %s", files->title, targets ? targets : "no targets");
    ls_status status = load.inputs_name && load.targets_name ? LS_OK : LS_ERR_SYSTEM;
    LS_TRY_GOTO(done, ls_comm_agree(comm, status));
    LS_TRY_GOTO(done, ls_parts_open(comm, files, inputs, layout, &all.inputs));
    if (targets)
        LS_TRY_GOTO(done, ls_joint_open(comm, files, targets, &all.targets));
    load.inputs = all.inputs.info;
    load.targets = all.targets.info;
    LS_TRY_GOTO(done, choose(&load, store));
    LS_TRY_GOTO(done, load_split(&load, LS_OK, &made));
    made->files = files->count;
    memcpy(made->digest, all.inputs.joint[0].digest, sizeof made->digest);
    if (load.residence == LS_RESIDENCE_STREAM)
        LS_TRY_GOTO(done, ls_data_stream(comm, &all.inputs, store, made));
    if (load.residence == LS_RESIDENCE_SPREAD)
        LS_TRY_GOTO(done, ls_data_spread(comm, &all.inputs, store, made));
    *data = made;
    made = NULL;
done:
    ls_data_close(made);
    ls_joint_close(&all.targets);
    ls_parts_close(&all.inputs);
    ls_free(name);
    free_names(&load);
    return status;
}

/* ---- of a source ---------------------------------------------------------------------------- */

enum { BLOCK = 4096 }; /* samples asked for at a time */

typedef struct block {
    uint64_t ids[BLOCK];
    int64_t count;
} block;

static void fill_block(const ls_data_source *source, int64_t first, int64_t end, block *made) {
    made->count = end - first < BLOCK ? end - first : BLOCK;
    for (int64_t i = 0; i < made->count; i++)
        made->ids[i] = (uint64_t)(first + i);
    if (source->prefetch && made->count > 0)
        source->prefetch(source->context, made->ids, made->count);
}

static ls_status read_block(const ls_data_source *source, const block *wanted, void *inputs,
                            void *targets) {
    ls_status status = source->read(source->context, wanted->ids, wanted->count, inputs, targets);
    if (status == LS_OK)
        return LS_OK;
    return ls_fail(status, "%s: samples %llu to %llu cannot be read", source->name,
                   (unsigned long long)wanted->ids[0],
                   (unsigned long long)wanted->ids[wanted->count - 1]);
}

static char *after(char *memory, size_t bytes) {
    return memory ? memory + bytes : NULL;
}

static size_t input_bytes(const ls_data_source *source) {
    size_t bytes = ls_type_size(source->type);
    for (int d = 0; d < source->shape.ndims; d++)
        bytes *= (size_t)source->shape.size[d];
    return bytes;
}

static size_t target_bytes(const ls_data_source *source) {
    return ls_type_size(source->target_type) * (size_t)source->targets;
}

/* The next block is asked for before one is read. */
static ls_status read_function(const ls_data_source *source, int64_t first, int64_t count,
                               char *inputs, char *targets) {
    block blocks[2];
    const int64_t end = first + count;
    fill_block(source, first, end, &blocks[0]);
    for (int at = 0; first < end; at = !at) {
        const block *now = &blocks[at];
        first += now->count;
        fill_block(source, first, end, &blocks[!at]);
        LS_TRY(read_block(source, now, inputs, targets));
        inputs = after(inputs, (size_t)now->count * input_bytes(source));
        targets = after(targets, (size_t)now->count * target_bytes(source));
    }
    return LS_OK;
}

static ls_status read_source(void *from, int64_t first, int64_t count, void *inputs,
                             void *targets) {
    const ls_data_source *source = from;
    const size_t input = input_bytes(source), target = target_bytes(source);
    if (source->read)
        return read_function(source, first, count, inputs, targets);
    if (inputs)
        memcpy(inputs, (const char *)source->inputs_array + (size_t)first * input,
               (size_t)count * input);
    if (targets)
        memcpy(targets, (const char *)source->targets_array + (size_t)first * target,
               (size_t)count * target);
    return LS_OK;
}

static ls_status check_source(const ls_data_source *source, bool with_targets) {
    const ls_shape *shape = &source->shape;
    LS_REQUIRE(source->name && shape->ndims >= 1 && shape->ndims < LS_MAX_DIMS);
    LS_REQUIRE(source->read || source->inputs_array || source->count == 0);
    LS_REQUIRE(!with_targets || source->targets >= 1);
    LS_REQUIRE(!with_targets || source->read || source->targets_array || source->count == 0);
    return LS_OK;
}

static void describe_source(const ls_data_source *source, bool with_targets, loader *load) {
    load->inputs = (ls_array_info){source->type, source->shape.ndims + 1, {source->count}};
    for (int d = 0; d < source->shape.ndims; d++)
        load->inputs.shape[d + 1] = source->shape.size[d];
    const int ndims = source->targets > 1 ? 2 : 1;
    if (with_targets)
        load->targets =
            (ls_array_info){source->target_type, ndims, {source->count, source->targets}};
}

ls_status ls_data_load(ls_comm *comm, const ls_data_source *source, bool with_targets,
                       int64_t classes, const ls_form *form, ls_data **data) {
    ls_data_source copy = *source;
    loader load = {.comm = comm,
                   .form = form,
                   .classes = classes,
                   .read = read_source,
                   .from = &copy,
                   .residence = LS_RESIDENCE_NODE};
    ls_status status = check_source(source, with_targets);
    if (status == LS_OK) {
        describe_source(source, with_targets, &load);
        load.inputs_name = ls_strdup(source->name);
        load.targets_name = ls_format("%s: targets", source->name);
        status = load.inputs_name && load.targets_name ? LS_OK : LS_ERR_SYSTEM;
    }
    status = load_split(&load, status, data);
    free_names(&load);
    return status;
}

ls_status ls_data_wrap(const ls_shape *shape, ls_type type, int64_t count, const void *inputs,
                       const ls_form *form, ls_data **data) {
    ls_data *made;
    LS_TRY(LS_NEW(made, 1));
    *made = (ls_data){.count = count,
                      .shape = *shape,
                      .channels = shape->size[0],
                      .spatial = 1,
                      .type = type,
                      .inputs = inputs};
    for (int d = 1; d < shape->ndims; d++)
        made->spatial *= shape->size[d];
    ls_status status = make_transformer(form, made);
    if (status == LS_OK)
        *data = made;
    else
        ls_data_close(made);
    return status;
}
