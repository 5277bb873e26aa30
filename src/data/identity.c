/* What tells one split from another: cheap at any size, and in words. */
#include <string.h>

#include "data/split.h"
#include "data/values.h"

enum { HASHED = 64, LISTED_CLASSES = 100 };

/* The first, the last, and those between them at equal distances. */
static int64_t chosen_ids(const void *context, int64_t what, int rank, int64_t turn,
                          uint64_t *out) {
    const ls_data *data = context;
    const int64_t count = turn > 0 ? 0 : data->count < HASHED ? data->count : HASHED;
    (void)what;
    (void)rank;
    for (int64_t i = 0; i < count; i++) {
        const double share = count > 1 ? (double)i / (double)(count - 1) : 0;
        out[i] = (uint64_t)(share * (double)(data->count - 1));
    }
    return count;
}

/* Of what is spread, from the files of this node; `room` is for a sample. */
static ls_status find_sample(const ls_data *data, ls_parts *parts, uint64_t place, size_t bytes,
                             void *room, const void **sample) {
    if (data->feed)
        return ls_data_next(data, place, sample);
    *sample = data->spread ? room : (const char *)data->inputs + place * bytes;
    return data->spread ? ls_parts_read(parts, (int64_t)place, 1, room) : LS_OK;
}

static ls_status hash_into(const ls_data *data, ls_parts *parts, void *room, ls_hash *hash) {
    const ls_turns turns = {.ids = chosen_ids, .context = data, .most = HASHED};
    const size_t input = ls_type_size(data->type) * (size_t)(data->channels * data->spatial);
    const size_t target = data->is_classes
                              ? sizeof *data->classes
                              : ls_type_size(data->target_type) * (size_t)data->outputs;
    const char *targets = data->is_classes ? (const char *)data->classes : data->targets;
    uint64_t ids[HASHED];
    const int64_t count = chosen_ids(data, 0, 0, 0, ids);
    if (data->feed)
        LS_TRY(ls_data_begin(data, &turns, 0));
    for (int64_t i = 0; i < count; i++) {
        const size_t place = (size_t)ls_data_place(data, ids[i]);
        const void *sample;
        LS_TRY(find_sample(data, parts, place, input, room, &sample));
        ls_hash_add(hash, sample, input);
        ls_hash_add(hash, targets + place * target, target);
    }
    return LS_OK;
}

static ls_status hash_samples(const ls_data *data, ls_parts *parts, char text[LS_DIGEST_TEXT]) {
    ls_hash *hash;
    char *room = NULL;
    LS_TRY(ls_hash_create(&hash));
    ls_status status =
        LS_NEW(room, ls_type_size(data->type) * (size_t)(data->channels * data->spatial));
    if (status == LS_OK)
        status = hash_into(data, parts, room, hash);
    if (data->feed)
        ls_feed_stop(data->feed);
    if (status == LS_OK)
        ls_hash_text(hash, text);
    ls_free(room);
    ls_hash_free(hash);
    return status;
}

ls_status ls_data_identify(ls_data *data) {
    ls_status status = hash_samples(data, &data->parts, data->samples_digest);
    ls_parts_close(&data->parts);
    return status;
}

static ls_status add_classes(const ls_data *data, ls_text *text) {
    int64_t *counts;
    ls_text_add(text, "classes: %lld\n", (long long)data->outputs);
    if (data->outputs > LISTED_CLASSES)
        return LS_OK;
    LS_TRY(LS_NEW(counts, (size_t)data->outputs));
    ls_data_class_counts(data, counts);
    ls_text_add(text, "samples of each class:");
    for (int64_t c = 0; c < data->outputs; c++)
        ls_text_add(text, " %lld", (long long)counts[c]);
    ls_text_add(text, "\n");
    ls_free(counts);
    return LS_OK;
}

ls_status ls_data_identity(const ls_data *data, ls_text *text) {
    char digest[LS_DIGEST_TEXT];
    ls_text_add(text, "samples: %lld\nshape of a sample:", (long long)data->count);
    for (int d = 0; d < data->shape.ndims; d++)
        ls_text_add(text, " %lld", (long long)data->shape.size[d]);
    ls_text_add(text, "\ntype of the inputs: %s\n", ls_type_name(data->type));
    if (data->is_classes)
        LS_TRY(add_classes(data, text));
    else
        ls_text_add(text, "targets: %lld %s\n", (long long)data->outputs,
                    ls_type_name(data->target_type));
    if (*data->samples_digest)
        memcpy(digest, data->samples_digest, sizeof digest);
    else
        LS_TRY(hash_samples(data, NULL, digest));
    ls_text_add(text, "XXH3-128 of %d samples: %s\n", HASHED, digest);
    if (data->files > 1)
        ls_text_add(text, "XXH3-128 of the samples and sizes of %lld files: %s\n",
                    (long long)data->files, data->digest);
    return text->failed ? LS_ERR_SYSTEM : LS_OK;
}
