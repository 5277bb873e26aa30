/* Samples out of arrays that have their channels elsewhere. */
#include <string.h>

#include "data/parts.h"
#include "data/values.h"

enum { PIECE_BYTES = 1 << 22 };

/* ---- one array ------------------------------------------------------------------------------ */

ls_channels ls_channels_of(ls_data_layout layout, ls_array_info *info) {
    const bool last = layout == LS_CHANNELS_LAST && info->ndims > 2;
    if (last) {
        const int64_t channels = info->shape[info->ndims - 1];
        memmove(info->shape + 2, info->shape + 1,
                (size_t)(info->ndims - 2) * sizeof info->shape[0]);
        info->shape[1] = channels;
    }
    const int64_t count = info->ndims > 1 ? info->shape[1] : 1;
    return (ls_channels){.size = ls_type_size(info->type),
                         .count = count,
                         .all = count,
                         .spatial = ls_sample_elements(info) / count,
                         .last = last};
}

ls_status ls_data_sample_shape(ls_data_layout layout, const ls_array_info *inputs, const char *name,
                               ls_shape *shape) {
    ls_array_info samples = *inputs;
    LS_TRY(ls_check_inputs(inputs, name));
    ls_channels_of(layout, &samples);
    *shape = (ls_shape){.ndims = 1, .size = {1}}; /* (N): one channel */
    if (samples.ndims > 1)
        shape->ndims = samples.ndims - 1;
    for (int d = 1; d < samples.ndims; d++)
        shape->size[d - 1] = samples.shape[d];
    return LS_OK;
}

/* One sample: (spatial, count) becomes (count, spatial). */
#define DEFINE_TRANSPOSE(type)                                                                     \
    static void transpose_##type(const ls_channels *c, const void *stored, void *sample) {         \
        type *out = sample;                                                                        \
        for (int64_t channel = 0; channel < c->count; channel++, out += c->spatial) {              \
            const type *x = (const type *)stored + channel;                                        \
            for (int64_t i = 0; i < c->spatial; i++)                                               \
                out[i] = x[i * c->count];                                                          \
        }                                                                                          \
    }

DEFINE_TRANSPOSE(uint8_t)
DEFINE_TRANSPOSE(uint16_t)
DEFINE_TRANSPOSE(uint32_t)
DEFINE_TRANSPOSE(uint64_t)

static void place_sample(const ls_channels *c, const void *stored, void *sample) {
    if (!c->last)
        memcpy(sample, stored, (size_t)(c->count * c->spatial) * c->size);
    else if (c->size == 1)
        transpose_uint8_t(c, stored, sample);
    else if (c->size == 2)
        transpose_uint16_t(c, stored, sample);
    else if (c->size == 4)
        transpose_uint32_t(c, stored, sample);
    else
        transpose_uint64_t(c, stored, sample);
}

void ls_channels_place(const ls_channels *channels, int64_t count, const void *stored,
                       void *samples) {
    const size_t channel = (size_t)channels->spatial * channels->size;
    const char *from = stored;
    char *to = (char *)samples + (size_t)channels->first * channel;
    for (int64_t i = 0; i < count; i++) {
        place_sample(channels, from, to);
        from += (size_t)channels->count * channel;
        to += (size_t)channels->all * channel;
    }
}

/* ---- all of them ---------------------------------------------------------------------------- */

/* Cuts `names` into lines. */
static ls_status open_joints(ls_comm *comm, ls_files *files, char *names, ls_parts *parts) {
    char *rest = names;
    for (char *name; (name = strsep(&rest, "\n")); parts->count++)
        LS_TRY(ls_joint_open(comm, files, name, &parts->joint[parts->count]));
    return LS_OK;
}

/* Both are samples already. */
static bool differ_in_more(const ls_array_info *one, const ls_array_info *other) {
    bool differ = one->type != other->type || one->ndims != other->ndims;
    for (int d = 2; d < one->ndims && !differ; d++)
        differ = one->shape[d] != other->shape[d];
    return differ;
}

static ls_status fail_infos(const ls_parts *parts, int64_t part, const ls_array_info *info) {
    ls_text here = {0}, there = {0};
    ls_info_text(info, &here);
    ls_info_text(&parts->info, &there);
    ls_status status =
        here.failed || there.failed
            ? LS_ERR_SYSTEM
            : ls_fail(LS_ERR_INPUT,
                      "%s: '%s' makes samples %s of %s, and '%s' %s of %s: their channels can be "
                      "joined where all else is the same",
                      parts->joint[0].files->title, parts->joint[part].name, here.data,
                      ls_type_name(info->type), parts->joint[0].name, there.data,
                      ls_type_name(parts->info.type));
    ls_text_free(&there);
    ls_text_free(&here);
    return status;
}

/* Every file has the same samples of all arrays. */
static ls_status check_files(const ls_parts *parts, int64_t part) {
    const ls_joint *joint = &parts->joint[part], *first = &parts->joint[0];
    for (int64_t i = 0; i < joint->files->count; i++) {
        const int64_t here = joint->first[i + 1] - joint->first[i];
        const int64_t there = first->first[i + 1] - first->first[i];
        if (here != there)
            return ls_fail(LS_ERR_INPUT, "'%s' in '%s' has %lld samples, and '%s' has %lld",
                           joint->name, joint->files->path[i], (long long)here, first->name,
                           (long long)there);
    }
    return LS_OK;
}

static ls_status describe_part(ls_data_layout layout, ls_parts *parts, int64_t part) {
    const ls_joint *joint = &parts->joint[part];
    ls_array_info info = joint->info;
    char *name = ls_format("%s: %s", joint->files->title, joint->name);
    ls_status status = name ? ls_check_inputs(&info, name) : LS_ERR_SYSTEM;
    ls_free(name);
    LS_TRY(status);
    if (info.ndims == 1 && parts->count > 1) /* a channel */
        info.shape[info.ndims++] = 1;
    parts->channels[part] = ls_channels_of(layout, &info);
    if (part == 0) {
        parts->info = info;
        return LS_OK;
    }
    if (differ_in_more(&info, &parts->info))
        return fail_infos(parts, part, &info);
    parts->channels[part].first = parts->info.shape[1];
    parts->info.shape[1] += info.shape[1];
    return check_files(parts, part);
}

static ls_status describe(ls_data_layout layout, ls_parts *parts) {
    for (int64_t i = 0; i < parts->count; i++)
        LS_TRY(describe_part(layout, parts, i));
    for (int64_t i = 0; i < parts->count && parts->count > 1; i++)
        parts->channels[i].all = parts->info.shape[1];
    return LS_OK;
}

char *ls_parts_name(const char *names) {
    ls_text text = {0};
    for (const char *at = names; *at; at++)
        ls_text_append(&text, *at == '\n' ? ", " : at, *at == '\n' ? 2 : 1);
    return text.data;
}

static ls_status make(const char *names, ls_parts *parts, char **copy) {
    size_t lines = 1;
    for (const char *at = names; (at = strchr(at, '\n')); at++)
        lines++;
    *copy = ls_strdup(names);
    parts->name = ls_parts_name(names);
    if (*copy == NULL || parts->name == NULL)
        return LS_ERR_SYSTEM;
    LS_TRY(LS_NEW(parts->joint, lines));
    return LS_NEW(parts->channels, lines);
}

ls_status ls_parts_open(ls_comm *comm, ls_files *files, const char *names, ls_data_layout layout,
                        ls_parts *parts) {
    ls_parts made = {0};
    char *copy = NULL;
    ls_status status = ls_comm_agree(comm, make(names, &made, &copy));
    if (status == LS_OK)
        status = open_joints(comm, files, copy, &made);
    if (status == LS_OK)
        status = describe(layout, &made);
    ls_free(copy);
    if (status == LS_OK)
        *parts = made;
    else
        ls_parts_close(&made);
    return status;
}

void ls_parts_close(ls_parts *parts) {
    for (int64_t i = 0; i < parts->count; i++)
        ls_joint_close(&parts->joint[i]);
    ls_free(parts->joint);
    ls_free(parts->channels);
    ls_free(parts->name);
    *parts = (ls_parts){0};
}

bool ls_parts_are_samples(const ls_parts *parts) {
    return parts->count == 1 && !parts->channels[0].last;
}

/* ---- reading -------------------------------------------------------------------------------- */

static ls_status read_part(ls_joint *joint, const ls_channels *channels, int64_t first,
                           int64_t count, char *out) {
    const size_t channel = (size_t)channels->spatial * channels->size;
    const size_t stored = (size_t)channels->count * channel;
    const int64_t most = 1 + PIECE_BYTES / (int64_t)stored;
    char *piece;
    ls_status status = LS_OK;
    LS_TRY(LS_NEW(piece, (size_t)(most < count ? most : count) * stored));
    while (status == LS_OK && count > 0) {
        const int64_t part = count < most ? count : most;
        status = ls_joint_read(joint, first, part, piece);
        if (status == LS_OK)
            ls_channels_place(channels, part, piece, out);
        out += (size_t)(part * channels->all) * channel;
        first += part;
        count -= part;
    }
    ls_free(piece);
    return status;
}

ls_status ls_parts_read(ls_parts *parts, int64_t first, int64_t count, void *out) {
    if (ls_parts_are_samples(parts))
        return ls_joint_read(&parts->joint[0], first, count, out);
    for (int64_t i = 0; i < parts->count; i++)
        LS_TRY(read_part(&parts->joint[i], &parts->channels[i], first, count, out));
    return LS_OK;
}
