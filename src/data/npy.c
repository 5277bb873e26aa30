/* NPY, numpy.save's format, versions 1 to 3: magic, version, length of the header, and the header:
 * a Python dictionary with 'descr' (type), 'fortran_order' and 'shape'. */
#include "data/source.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_HEADER = 1 << 16 };

/* What follows the key's colon, or NULL. */
static const char *find_value(const char *header, const char *key) {
    const char *place = strstr(header, key);
    if (!place)
        return NULL;
    place += strlen(key);
    place += strspn(place, " ");
    if (*place++ != ':')
        return NULL;
    return place + strspn(place, " ");
}

static ls_status parse_type(const char *path, const char *header, ls_type *type, bool *big_endian) {
    static const struct {
        char code[3];
        ls_type type;
    } known[] = {{"u1", LS_TYPE_U8},  {"i1", LS_TYPE_I8},  {"b1", LS_TYPE_U8},  {"u2", LS_TYPE_U16},
                 {"i2", LS_TYPE_I16}, {"u4", LS_TYPE_U32}, {"i4", LS_TYPE_I32}, {"u8", LS_TYPE_U64},
                 {"i8", LS_TYPE_I64}, {"f4", LS_TYPE_F32}, {"f8", LS_TYPE_F64}};
    const char *descr = find_value(header, "'descr'");
    if (!descr)
        return ls_fail(LS_ERR_INPUT, "%s: an NPY header without 'descr': damaged", path);
    if (*descr == '\'' && descr[1] && strchr("<>|", descr[1]))
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            if (strncmp(descr + 2, known[i].code, 2) == 0 && descr[4] == '\'') {
                *type = known[i].type;
                *big_endian = descr[1] == '>';
                return LS_OK;
            }
    return ls_fail(
        LS_ERR_INPUT,
        "%s: elements of type %.*s; expected integers of 1 to 8 bytes, float32 or float64: "
        "numpy.save(file, array.astype('float32')) makes one",
        path, (int)strcspn(descr, ",}"), descr);
}

static ls_status parse_order(const char *path, const char *header) {
    const char *fortran = find_value(header, "'fortran_order'");
    if (fortran && strncmp(fortran, "False", 5) == 0)
        return LS_OK;
    if (fortran && strncmp(fortran, "True", 4) == 0)
        return ls_fail(LS_ERR_INPUT,
                       "%s: in Fortran order; expected C order: "
                       "numpy.save(file, numpy.ascontiguousarray(array)) makes it",
                       path);
    return ls_fail(LS_ERR_INPUT, "%s: an NPY header without 'fortran_order': damaged", path);
}

static ls_status parse_shape(const char *path, const char *header, ls_array_info *info) {
    const char *place = find_value(header, "'shape'");
    if (!place || *place++ != '(')
        return ls_fail(LS_ERR_INPUT, "%s: an NPY header without 'shape': damaged", path);
    for (info->ndims = 0;;) {
        place += strspn(place, " ,");
        if (*place == ')')
            break;
        char *end;
        const long long size = isdigit((unsigned char)*place) ? strtoll(place, &end, 10) : -1;
        if (size < 0)
            return ls_fail(LS_ERR_INPUT, "%s: an NPY header with a damaged 'shape'", path);
        if (info->ndims == LS_MAX_DIMS)
            return ls_fail(
                LS_ERR_INPUT,
                "%s: an array of more than %d dimensions; expected (N, channels, [depth,] "
                "[height,] [width])",
                path, LS_MAX_DIMS);
        info->shape[info->ndims++] = size;
        place = end + (*end == 'L'); /* as Python 2 wrote it */
    }
    if (info->ndims == 0)
        return ls_fail(LS_ERR_INPUT, "%s: a single number; expected an array of samples", path);
    return LS_OK;
}

static ls_status read_header(ls_reader *reader, ls_array_info *info, ls_records *records) {
    const char *path = ls_reader_path(reader);
    unsigned char start[12] = {0};
    LS_TRY(ls_reader_read(reader, start, 8, "the NPY header"));
    if (memcmp(start, "\x93NUMPY", 6) != 0)
        return ls_fail(LS_ERR_INPUT, "%s: not an NPY file: it does not start with \\x93NUMPY",
                       path);
    if (start[6] < 1 || start[6] > 3)
        return ls_fail(LS_ERR_INPUT, "%s: NPY version %d; expected 1 to 3", path, start[6]);
    const size_t width = start[6] == 1 ? 2 : 4;
    LS_TRY(ls_reader_read(reader, start + 8, width, "the NPY header"));
    const size_t length =
        start[8] | (size_t)start[9] << 8 | (size_t)start[10] << 16 | (size_t)start[11] << 24;
    if (length > MAX_HEADER)
        return ls_fail(LS_ERR_INPUT, "%s: an NPY header of %zu bytes; expected at most %d", path,
                       length, MAX_HEADER);
    char *header;
    LS_TRY(LS_NEW(header, length + 1));
    ls_status status;
    LS_TRY_GOTO(done, ls_reader_read(reader, header, length, "the NPY header"));
    LS_TRY_GOTO(done, parse_type(path, header, &info->type, &records->big_endian));
    LS_TRY_GOTO(done, parse_order(path, header));
    LS_TRY_GOTO(done, parse_shape(path, header, info));
    records->header = 8 + width + length;
done:
    ls_free(header);
    return status;
}

ls_status ls_npy_open(const char *path, ls_source **source) {
    ls_reader *reader;
    ls_array_info info = {0};
    ls_records records = {0};
    LS_TRY(ls_reader_open(path, &reader));
    ls_status status = read_header(reader, &info, &records);
    if (status != LS_OK) {
        ls_reader_close(reader);
        return status;
    }
    return ls_record_source(reader, &info, &records, source);
}
