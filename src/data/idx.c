/* IDX, the format of MNIST: two zero bytes, type, number of dimensions, then the sizes and the
 * values, all big-endian.  Its arrays have no channel axis: images (N, H, W) become (N, 1, H, W),
 * volumes (N, D, H, W) become (N, 1, D, H, W). */
#include "data/source.h"

#include <string.h>

static bool idx_type(unsigned char code, ls_type *type) {
    switch (code) {
    case 0x08:
        *type = LS_TYPE_U8;
        return true;
    case 0x09:
        *type = LS_TYPE_I8;
        return true;
    case 0x0B:
        *type = LS_TYPE_I16;
        return true;
    case 0x0C:
        *type = LS_TYPE_I32;
        return true;
    case 0x0D:
        *type = LS_TYPE_F32;
        return true;
    case 0x0E:
        *type = LS_TYPE_F64;
        return true;
    default:
        return false;
    }
}

static ls_status read_header(ls_reader *reader, ls_array_info *info) {
    const char *path = ls_reader_path(reader);
    unsigned char magic[4], size[4];
    LS_TRY(ls_reader_read(reader, magic, sizeof magic, "the IDX header"));
    const int ndims = magic[3];
    if (magic[0] != 0 || magic[1] != 0 || !idx_type(magic[2], &info->type))
        return ls_fail(
            LS_ERR_INPUT,
            "%s: not an IDX file: starts with bytes %02x %02x %02x %02x; expected 00 00, a type "
            "(08, 09, 0b, 0c, 0d or 0e) and the number of dimensions",
            path, magic[0], magic[1], magic[2], magic[3]);
    if (ndims < 1 || ndims > LS_MAX_DIMS)
        return ls_fail(LS_ERR_INPUT, "%s: an IDX array of %d dimensions; expected 1 to %d", path,
                       ndims, LS_MAX_DIMS);
    for (info->ndims = 0; info->ndims < ndims; info->ndims++) {
        LS_TRY(ls_reader_read(reader, size, sizeof size, "the IDX header"));
        info->shape[info->ndims] = (int64_t)size[0] << 24 | size[1] << 16 | size[2] << 8 | size[3];
    }
    return LS_OK;
}

static void insert_channel(ls_array_info *info) {
    if (info->ndims != 3 && info->ndims != 4)
        return;
    memmove(info->shape + 2, info->shape + 1, (size_t)(info->ndims - 1) * sizeof info->shape[0]);
    info->shape[1] = 1;
    info->ndims++;
}

ls_status ls_idx_open(const char *path, ls_source **source) {
    ls_reader *reader;
    ls_array_info info = {0};
    LS_TRY(ls_reader_open(path, &reader));
    ls_status status = read_header(reader, &info);
    if (status != LS_OK) {
        ls_reader_close(reader);
        return status;
    }
    const ls_records records = {.header = 4 + 4 * (uint64_t)info.ndims, .big_endian = true};
    insert_channel(&info);
    return ls_record_source(reader, &info, &records, source);
}
