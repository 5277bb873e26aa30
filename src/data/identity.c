/* What tells one split from another: cheap at any size, and in words. */
#include "data/split.h"
#include "data/values.h"

enum { HASHED = 64, LISTED_CLASSES = 100 };

/* Of the first, the last, and those between them at equal distances. */
static ls_status hash_samples(const ls_data *data, char text[LS_DIGEST_TEXT]) {
    const size_t input = ls_type_size(data->type) * (size_t)(data->channels * data->spatial);
    const size_t target = data->is_classes
                              ? sizeof *data->classes
                              : ls_type_size(data->target_type) * (size_t)data->outputs;
    const char *targets = data->is_classes ? (const char *)data->classes : data->targets;
    const int64_t count = data->count < HASHED ? data->count : HASHED;
    ls_hash *hash;
    LS_TRY(ls_hash_create(&hash));
    for (int64_t i = 0; i < count; i++) {
        const double share = count > 1 ? (double)i / (double)(count - 1) : 0;
        const uint64_t place = (uint64_t)(share * (double)(data->count - 1));
        const size_t id = (size_t)ls_data_place(data, place);
        ls_hash_add(hash, (const char *)data->inputs + id * input, input);
        ls_hash_add(hash, targets + id * target, target);
    }
    ls_hash_text(hash, text);
    ls_hash_free(hash);
    return LS_OK;
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
    LS_TRY(hash_samples(data, digest));
    ls_text_add(text, "XXH3-128 of %d samples: %s\n", HASHED, digest);
    if (data->files > 1)
        ls_text_add(text, "XXH3-128 of the samples and sizes of %lld files: %s\n",
                    (long long)data->files, data->digest);
    return text->failed ? LS_ERR_SYSTEM : LS_OK;
}
