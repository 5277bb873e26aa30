/* Samples as fields of records of a file, or in memory. */
#include "data/source.h"
#include "data/values.h"

#include <string.h>

/* HDF5 chunks, and a batch in memory, hold at least one sample. */
#define MAX_SAMPLE_BYTES (UINT64_C(1) << 31)

/* The bytes of one sample; 0 if they are too many or none. */
static uint64_t sample_bytes(const ls_array_info *info) {
    uint64_t bytes = ls_type_size(info->type);
    for (int d = 1; d < info->ndims; d++) {
        if (info->shape[d] < 1 || (uint64_t)info->shape[d] > MAX_SAMPLE_BYTES / bytes)
            return 0;
        bytes *= (uint64_t)info->shape[d];
    }
    return bytes;
}

static ls_status new_source(const char *path, const ls_array_info *info, ls_source **source) {
    ls_source *made;
    ls_text shape = {0};
    ls_info_text(info, &shape);
    ls_status status = LS_OK;
    const uint64_t bytes = sample_bytes(info);
    if (bytes == 0 || info->shape[0] < 1 || info->shape[0] > INT64_MAX / (int64_t)bytes)
        status =
            ls_fail(LS_ERR_INPUT,
                    "%s: announces the shape %s; expected at least one sample, of 1 byte to 2 GiB",
                    path, shape.data ? shape.data : "");
    ls_text_free(&shape);
    LS_TRY(status);
    LS_TRY(LS_NEW(made, 1));
    *made = (ls_source){.info = *info, .path = ls_strdup(path), .record = bytes, .bytes = bytes};
    if (!made->path) {
        ls_free(made);
        return LS_ERR_SYSTEM;
    }
    *source = made;
    return LS_OK;
}

ls_status ls_record_source(ls_reader *reader, const ls_array_info *info, const ls_records *records,
                           ls_source **source) {
    ls_source *made = NULL;
    ls_status status = new_source(ls_reader_path(reader), info, &made);
    if (status != LS_OK) {
        ls_reader_close(reader);
        return status;
    }
    made->reader = reader;
    if (records->record > 0) {
        made->record = records->record;
        made->offset = records->offset;
    }
    made->swap = records->big_endian == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
    status =
        ls_reader_expect_size(reader, records->header + (uint64_t)info->shape[0] * made->record);
    if (status != LS_OK) {
        ls_source_close(made);
        return status;
    }
    *source = made;
    return LS_OK;
}

ls_status ls_memory_source(const char *path, const ls_array_info *info, void *memory,
                           ls_source **source) {
    ls_status status = new_source(path, info, source);
    if (status == LS_OK)
        (*source)->memory = memory;
    else
        ls_free(memory);
    return status;
}

static void swap_bytes(void *values, size_t bytes, size_t size) {
    unsigned char *value = values;
    for (; bytes >= size; bytes -= size, value += size)
        for (size_t low = 0, high = size - 1; low < high; low++, high--) {
            const unsigned char kept = value[low];
            value[low] = value[high];
            value[high] = kept;
        }
}

static ls_status read_fields(ls_source *source, int64_t count, char *out) {
    char *record;
    LS_TRY(LS_NEW(record, source->record));
    ls_status status = LS_OK;
    for (int64_t i = 0; i < count; i++, out += source->bytes) {
        LS_TRY_GOTO(done, ls_reader_read(source->reader, record, source->record, "a record"));
        memcpy(out, record + source->offset, source->bytes);
    }
done:
    ls_free(record);
    return status;
}

ls_status ls_source_read(ls_source *source, int64_t count, void *out) {
    LS_REQUIRE(count >= 0 && source->done + count <= source->info.shape[0]);
    const size_t bytes = (size_t)count * source->bytes, size = ls_type_size(source->info.type);
    if (source->memory)
        memcpy(out, (const char *)source->memory + (size_t)source->done * source->bytes, bytes);
    else if (source->record == source->bytes)
        LS_TRY(ls_reader_read(source->reader, out, bytes, "the samples"));
    else
        LS_TRY(read_fields(source, count, out));
    if (source->swap && size > 1)
        swap_bytes(out, bytes, size);
    source->done += count;
    return LS_OK;
}

ls_status ls_source_end(ls_source *source) {
    LS_REQUIRE(source->done == source->info.shape[0]);
    return source->reader ? ls_reader_end(source->reader) : LS_OK;
}

void ls_source_close(ls_source *source) {
    if (!source)
        return;
    ls_reader_close(source->reader);
    ls_free(source->memory);
    ls_free(source->path);
    ls_free(source);
}
