/* Values of attributes and small datasets: strings of any kind, and numbers as text. */
#include <stdlib.h>
#include <string.h>

#include "io/h5.h"

enum { SHOWN_VALUES = 16 };

/* ---- attributes and datasets alike ---------------------------------------------------------- */

static hid_t type_of(hid_t id) {
    return H5Iget_type(id) == H5I_ATTR ? H5Aget_type(id) : H5Dget_type(id);
}

static hid_t space_of(hid_t id) {
    return H5Iget_type(id) == H5I_ATTR ? H5Aget_space(id) : H5Dget_space(id);
}

static ls_status read_all(hid_t id, hid_t memory, void *out) {
    herr_t result = H5Iget_type(id) == H5I_ATTR
                        ? H5Aread(id, memory, out)
                        : H5Dread(id, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, out);
    if (result < 0)
        return ls_h5_fail(LS_ERR_INPUT, "cannot read a value, the file seems damaged");
    return LS_OK;
}

/* ---- strings -------------------------------------------------------------------------------- */

static ls_status read_variable(hid_t id, hid_t memory, size_t count, char **out) {
    char **found;
    hid_t space = H5I_INVALID_HID;
    LS_TRY(LS_NEW(found, count));
    ls_status status;
    LS_TRY_GOTO(done, read_all(id, memory, found));
    for (size_t i = 0; i < count && status == LS_OK; i++) {
        out[i] = ls_strdup(found[i] ? found[i] : "");
        status = out[i] ? LS_OK : LS_ERR_SYSTEM;
    }
    space = space_of(id);
    H5Dvlen_reclaim(memory, space, H5P_DEFAULT, found);
    ls_h5_release(space);
done:
    ls_free(found);
    return status;
}

static ls_status read_fixed(hid_t id, hid_t memory, size_t count, char **out) {
    size_t size = H5Tget_size(memory);
    char *found = ls_calloc(count, size);
    if (found == NULL)
        return LS_ERR_SYSTEM;
    ls_status status = read_all(id, memory, found);
    for (size_t i = 0; i < count && status == LS_OK; i++) {
        out[i] = ls_strdup(found + i * size);
        status = out[i] ? LS_OK : LS_ERR_SYSTEM;
    }
    ls_free(found);
    return status;
}

ls_status ls_h5_strings(hid_t id, char ***strings, size_t *count) {
    hid_t type = type_of(id), space = space_of(id);
    hssize_t points = H5Sget_simple_extent_npoints(space);
    hid_t memory = H5Tcopy(H5T_C_S1);
    bool variable = H5Tis_variable_str(type) > 0;
    char **made = NULL;
    ls_status status = LS_OK;
    H5Tset_size(memory, variable ? H5T_VARIABLE : H5Tget_size(type) + 1);
    H5Tset_cset(memory, H5Tget_cset(type));
    if (points < 0 || H5Tget_class(type) != H5T_STRING) {
        status = ls_fail(LS_ERR_INPUT, "expected strings, found %s elements", ls_h5_class(type));
        goto done;
    }
    LS_TRY_GOTO(done, LS_NEW(made, (size_t)points));
    if (points > 0)
        status = variable ? read_variable(id, memory, (size_t)points, made)
                          : read_fixed(id, memory, (size_t)points, made);
    if (status != LS_OK) {
        ls_h5_strings_free(made, (size_t)points);
        goto done;
    }
    *strings = made;
    *count = (size_t)points;
done:
    ls_h5_release(memory);
    ls_h5_release(space);
    ls_h5_release(type);
    return status;
}

void ls_h5_strings_free(char **strings, size_t count) {
    for (size_t i = 0; strings && i < count; i++)
        ls_free(strings[i]);
    ls_free(strings);
}

/* ---- values as text ------------------------------------------------------------------------- */

static ls_status add_strings(hid_t id, ls_text *text) {
    char **strings;
    size_t count;
    LS_TRY(ls_h5_strings(id, &strings, &count));
    for (size_t i = 0; i < count; i++)
        ls_text_add(text, "%s%s", i ? ", " : "", strings[i]);
    ls_h5_strings_free(strings, count);
    return LS_OK;
}

static ls_status add_numbers(hid_t id, ls_type type, size_t count, ls_text *text) {
    union {
        long long integer[SHOWN_VALUES];
        unsigned long long natural[SHOWN_VALUES];
        double real[SHOWN_VALUES];
    } values;
    bool real = type == LS_TYPE_F32 || type == LS_TYPE_F64, natural = type == LS_TYPE_U64;
    LS_TRY(read_all(id,
                    real      ? H5T_NATIVE_DOUBLE
                    : natural ? H5T_NATIVE_ULLONG
                              : H5T_NATIVE_LLONG,
                    &values));
    for (size_t i = 0; i < count; i++) {
        const char *comma = i ? ", " : "";
        if (real)
            ls_text_add(text, "%s%.9g", comma, values.real[i]);
        else if (natural)
            ls_text_add(text, "%s%llu", comma, values.natural[i]);
        else
            ls_text_add(text, "%s%lld", comma, values.integer[i]);
    }
    return LS_OK;
}

char *ls_h5_value(hid_t id) {
    hid_t type = type_of(id), space = space_of(id);
    hssize_t points = H5Sget_simple_extent_npoints(space);
    ls_type number;
    ls_text text = {0};
    ls_status status = LS_OK;
    ls_text_add(&text, "%s", "");
    if (points > SHOWN_VALUES)
        ls_text_add(&text, "(%lld values)", (long long)points);
    else if (H5Tget_class(type) == H5T_STRING)
        status = add_strings(id, &text);
    else if (points > 0 && ls_h5_number(type, &number))
        status = add_numbers(id, number, (size_t)points, &text);
    else
        ls_text_add(&text, points > 0 ? "(%s)" : "(empty)", ls_h5_class(type));
    ls_h5_release(space);
    ls_h5_release(type);
    if (status != LS_OK || text.failed) {
        ls_text_free(&text);
        return NULL;
    }
    return text.data;
}

char *ls_h5_attribute(hid_t object, const char *name) {
    if (H5Aexists(object, name) <= 0)
        return NULL;
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    if (attribute < 0)
        return NULL;
    char *value = ls_h5_value(attribute);
    ls_h5_release(attribute);
    return value;
}

ls_status ls_h5_attribute_read(hid_t object, const char *path, const char *name, char **value) {
    char *found = ls_h5_attribute(object, name);
    if (found == NULL && H5Aexists(object, name) != 0) {
        ls_message_set(""); /* which says less */
        return ls_fail(LS_ERR_INPUT, "cannot read attribute '%s' in '%s', which seems damaged",
                       name, path);
    }
    *value = found;
    return LS_OK;
}
