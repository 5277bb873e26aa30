/* What tells one split from another: cheap at any size, and in words. */
#include <string.h>

#include "data/split.h"
#include "data/values.h"

enum { HASHED = 64, LISTED_CLASSES = 100 };

/* The first, the last, and those between them at equal distances. */
static int64_t spread_ids(const void *context, int64_t what, int64_t turn, uint64_t *out) {
    const ls_data *data = context;
    const int64_t count = turn > 0 ? 0 : data->count < HASHED ? data->count : HASHED;
    (void)what;
    for (int64_t i = 0; i < count; i++) {
        const double share = count > 1 ? (double)i / (double)(count - 1) : 0;
        out[i] = (uint64_t)(share * (double)(data->count - 1));
    }
    return count;
}

static ls_status hash_into(const ls_data *data, ls_hash *hash) {
    const ls_turns turns = {.ids = spread_ids, .context = data, .most = HASHED};
    const size_t input = ls_type_size(data->type) * (size_t)(data->channels * data->spatial);
    const size_t target = data->is_classes
                              ? sizeof *data->classes
                              : ls_type_size(data->target_type) * (size_t)data->outputs;
    const char *targets = data->is_classes ? (const char *)data->classes : data->targets;
    uint64_t ids[HASHED];
    const int64_t count = spread_ids(data, 0, 0, ids);
    LS_TRY(ls_data_begin(data, &turns, 0));
    for (int64_t i = 0; i < count; i++) {
        const size_t place = (size_t)ls_data_place(data, ids[i]);
        const void *sample = (const char *)data->inputs + place * input;
        if (data->feed)
            LS_TRY(ls_feed_next(data->feed, place, &sample));
        ls_hash_add(hash, sample, input);
        ls_hash_add(hash, targets + place * target, target);
    }
    return LS_OK;
}

static ls_status hash_samples(const ls_data *data, char text[LS_DIGEST_TEXT]) {
    ls_hash *hash;
    LS_TRY(ls_hash_create(&hash));
    ls_status status = hash_into(data, hash);
    ls_data_end(data);
    if (status == LS_OK)
        ls_hash_text(hash, text);
    ls_hash_free(hash);
    return status;
}

ls_status ls_data_identify(ls_data *data) {
    return hash_samples(data, data->samples_digest);
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
        LS_TRY(hash_samples(data, digest));
    ls_text_add(text, "XXH3-128 of %d samples: %s\n", HASHED, digest);
    if (data->files > 1)
        ls_text_add(text, "XXH3-128 of the samples and sizes of %lld files: %s\n",
                    (long long)data->files, data->digest);
    return text->failed ? LS_ERR_SYSTEM : LS_OK;
}
