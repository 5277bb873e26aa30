/* Fuzz target: checkpoints whose seal fits and whose groups, types, shapes and values are not those
 * that lockstep writes (mutate.c).  And no byte of them may change. */
#include "lockstep/checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "io/h5.h"
#include "lockstep/config.h"

enum { READ_LIMIT = 1 << 20 };

static ls_status read_array(void *context, const char *name, const ls_array_info *info) {
    const ls_checkpoint_reader *reader = context;
    size_t count = 1;
    for (int d = 0; d < info->ndims; d++)
        count *= (size_t)info->shape[d];
    if (count > READ_LIMIT)
        return LS_OK;
    char *values = malloc(count * ls_type_size(info->type));
    fuzz_worked(ls_checkpoint_read(reader, name, info->type, count, values));
    free(values);
    return LS_OK;
}

static void read_text(const ls_checkpoint_reader *reader, const char *name) {
    char *text;
    ls_config *config;
    if (!fuzz_worked(ls_checkpoint_get_text(reader, name, &text)))
        return;
    if (fuzz_worked(ls_config_parse("stored", text, NULL, 0, &config)))
        ls_config_free(config);
    ls_free(text);
}

static void read_values(const ls_checkpoint_reader *reader) {
    static const char *const names[] = {"state/step", "state/lr", "state/data", "configuration",
                                        "digest"};
    double number;
    int64_t integer;
    ls_array_info info;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        fuzz_worked(ls_checkpoint_get_number(reader, names[i], &number));
        fuzz_worked(ls_checkpoint_get_integer(reader, names[i], &integer));
        read_text(reader, names[i]);
    }
    fuzz_worked(ls_checkpoint_info(reader, "model/dense", &info));
}

/* One byte of `size` is another one: which, hangs on the content. */
static void damage(const char *path, char *content, size_t size) {
    ls_checkpoint_reader *reader;
    uint32_t sum = (uint32_t)size;
    for (size_t i = LS_H5_SEAL; i < size; i++)
        sum = 31 * sum + (unsigned char)content[i];
    FILE *file = fopen(path, "r+b");
    FUZZ_CHECK(file && fread(content, 1, LS_H5_SEAL, file) == LS_H5_SEAL);
    content[sum % 7 ? sum % LS_H5_SEAL : sum % size] ^= (char)(1 << sum % 8);
    rewind(file);
    FUZZ_CHECK(fwrite(content, 1, size, file) == size && fclose(file) == 0);
    FUZZ_CHECK(!fuzz_worked(ls_checkpoint_open(path, &reader)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ls_checkpoint_reader *reader;
    char *content = calloc(1, LS_H5_SEAL + size);
    if (size > 0)
        memcpy(content + LS_H5_SEAL, data, size);
    const char *path = fuzz_file("x.h5", content, LS_H5_SEAL + size);
    FUZZ_CHECK(ls_h5_seal(path, path) == LS_OK);
    if (fuzz_worked(ls_checkpoint_open(path, &reader))) {
        fuzz_worked(ls_checkpoint_names(reader, "", read_array, reader));
        read_values(reader);
        ls_checkpoint_close(reader);
    }
    damage(path, content, LS_H5_SEAL + size);
    free(content);
    return 0;
}
