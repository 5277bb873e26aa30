/* CIFAR-10 and CIFAR-100 in their binary version: no header, records of fixed size.  Classes of
 * CIFAR-100 are its fine labels. */
#include "data/source.h"

const char *const ls_cifar10_names[10] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                          "dog",      "frog",       "horse", "ship", "truck"};

ls_status ls_cifar_open(const char *path, ls_cifar kind, bool labels, ls_source **source) {
    const ls_records records = {.record = LS_CIFAR_PIXELS + kind,
                                .offset = labels ? (size_t)kind - 1 : (size_t)kind};
    uint64_t size;
    ls_reader *reader;
    LS_TRY(ls_reader_open(path, &reader));
    ls_status status = ls_reader_plain_size(reader, &size);
    if (status == LS_OK && size % records.record != 0)
        status = ls_fail(LS_ERR_INPUT,
                         "%s: has %llu bytes; expected a multiple of %zu, the record of CIFAR-%s: "
                         "truncated, or another format",
                         path, (unsigned long long)size, records.record,
                         kind == LS_CIFAR_10 ? "10" : "100");
    if (status != LS_OK) {
        ls_reader_close(reader);
        return status;
    }
    ls_array_info info = {LS_TYPE_U8, 4, {(int64_t)(size / records.record), 3, 32, 32}};
    if (labels)
        info.ndims = 1;
    return ls_record_source(reader, &info, &records, source);
}
