/* Element types: names and sizes, and which HDF5 types are numbers. */
#include "io/h5.h"

static const struct {
    const char *name;
    size_t size;
} types[] = {
    [LS_TYPE_U8] = {"uint8", 1},   [LS_TYPE_I8] = {"int8", 1},    [LS_TYPE_U16] = {"uint16", 2},
    [LS_TYPE_I16] = {"int16", 2},  [LS_TYPE_U32] = {"uint32", 4}, [LS_TYPE_I32] = {"int32", 4},
    [LS_TYPE_U64] = {"uint64", 8}, [LS_TYPE_I64] = {"int64", 8},  [LS_TYPE_F32] = {"float32", 4},
    [LS_TYPE_F64] = {"float64", 8}};

size_t ls_type_size(ls_type type) {
    return types[type].size;
}

const char *ls_type_name(ls_type type) {
    return types[type].name;
}

hid_t ls_h5_native(ls_type type) {
    switch (type) {
    case LS_TYPE_U8:
        return H5T_NATIVE_UINT8;
    case LS_TYPE_I8:
        return H5T_NATIVE_INT8;
    case LS_TYPE_U16:
        return H5T_NATIVE_UINT16;
    case LS_TYPE_I16:
        return H5T_NATIVE_INT16;
    case LS_TYPE_U32:
        return H5T_NATIVE_UINT32;
    case LS_TYPE_I32:
        return H5T_NATIVE_INT32;
    case LS_TYPE_U64:
        return H5T_NATIVE_UINT64;
    case LS_TYPE_I64:
        return H5T_NATIVE_INT64;
    case LS_TYPE_F32:
        return H5T_NATIVE_FLOAT;
    case LS_TYPE_F64:
        break;
    }
    return H5T_NATIVE_DOUBLE;
}

/* The integers that the names stand for: numpy's booleans are an enumeration of FALSE and TRUE. */
static bool enumeration(hid_t type, ls_type *number) {
    hid_t base = H5Tget_super(type);
    bool is = ls_h5_number(base, number);
    ls_h5_release(base);
    return is;
}

/* An integer of an odd size (24 bits) is held by the next larger type, a half-precision float by
 * float32.  What has more than 64 bits would lose some: not a number for us. */
bool ls_h5_number(hid_t type, ls_type *number) {
    H5T_class_t kind = H5Tget_class(type);
    if (kind == H5T_ENUM)
        return enumeration(type, number);
    size_t size = H5Tget_size(type);
    if (size == 0 || size > 8 || (kind != H5T_INTEGER && kind != H5T_FLOAT))
        return false;
    if (kind == H5T_FLOAT) {
        *number = size <= 4 ? LS_TYPE_F32 : LS_TYPE_F64;
        return true;
    }
    bool is_signed = H5Tget_sign(type) != H5T_SGN_NONE;
    if (size == 1)
        *number = is_signed ? LS_TYPE_I8 : LS_TYPE_U8;
    else if (size == 2)
        *number = is_signed ? LS_TYPE_I16 : LS_TYPE_U16;
    else if (size <= 4)
        *number = is_signed ? LS_TYPE_I32 : LS_TYPE_U32;
    else
        *number = is_signed ? LS_TYPE_I64 : LS_TYPE_U64;
    return true;
}

const char *ls_h5_class(hid_t type) {
    switch (H5Tget_class(type)) {
    case H5T_INTEGER:
        return "large integer";
    case H5T_FLOAT:
        return "extended float";
    case H5T_STRING:
        return "string";
    case H5T_BITFIELD:
        return "bit field";
    case H5T_OPAQUE:
        return "opaque";
    case H5T_COMPOUND:
        return "compound";
    case H5T_REFERENCE:
        return "reference";
    case H5T_ENUM:
        return "enumeration";
    case H5T_VLEN:
        return "variable-length";
    case H5T_ARRAY:
        return "array";
    default:
        return "unknown";
    }
}
