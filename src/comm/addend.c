/* What an exchange adds: integers of 32 or 64 bits, or floats. */
#include "comm/addend.h"

const char *ls_addend_name(ls_addend addend) {
    static const char *const names[] = {
        [LS_ADDEND_INT32] = "int32", [LS_ADDEND_INT64] = "int64", [LS_ADDEND_FLOAT32] = "float32"};
    return names[addend];
}

size_t ls_addend_bytes(ls_addend addend) {
    return addend == LS_ADDEND_INT64 ? sizeof(int64_t) : sizeof(int32_t);
}

MPI_Datatype ls_addend_type(ls_addend addend) {
    if (addend == LS_ADDEND_FLOAT32)
        return MPI_FLOAT;
    return addend == LS_ADDEND_INT64 ? MPI_INT64_T : MPI_INT32_T;
}

LS_CLONES
static void add_int32(size_t count, const int32_t *a, const int32_t *b, int32_t *out) {
    for (size_t i = 0; i < count; i++)
        out[i] = a[i] + b[i];
}

LS_CLONES
static void add_int64(size_t count, const int64_t *a, const int64_t *b, int64_t *out) {
    for (size_t i = 0; i < count; i++)
        out[i] = a[i] + b[i];
}

LS_CLONES
static void add_float(size_t count, const float *a, const float *b, float *out) {
    for (size_t i = 0; i < count; i++)
        out[i] = a[i] + b[i];
}

void ls_addends_add(ls_addend addend, size_t count, const void *a, const void *b, void *out) {
    if (addend == LS_ADDEND_INT32)
        add_int32(count, a, b, out);
    else if (addend == LS_ADDEND_INT64)
        add_int64(count, a, b, out);
    else
        add_float(count, a, b, out);
}
