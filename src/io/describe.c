/* What a file holds, for people: one block a group, with its attributes and arrays, and long texts
 * and provenance at the end. */
#include <string.h>

#include "io/run.h"

enum { NAME_WIDTH = 16, SHAPE_WIDTH = 18, TYPE_WIDTH = 8 };

typedef struct description {
    const char *path;
    hid_t file;
    ls_text *text;
} description;

/* ---- lines ---------------------------------------------------------------------------------- */

/* Text of a file may hold anything: control characters would reach the terminal. */
static void add_clean(ls_text *text, const char *value) {
    for (; *value; value++)
        ls_text_add(text, "%c", (unsigned char)*value < ' ' || *value == 127 ? ' ' : *value);
}

static ls_status add_attribute(void *context, const char *name, const char *value) {
    ls_text *text = context;
    ls_text_add(text, "  ");
    add_clean(text, name);
    for (size_t column = strlen(name); column < NAME_WIDTH; column++)
        ls_text_add(text, " ");
    ls_text_add(text, " ");
    add_clean(text, value);
    ls_text_add(text, "\n");
    return LS_OK;
}

/* A text of several lines, indented. */
static void add_lines(ls_text *text, const char *value) {
    while (*value) {
        size_t length = strcspn(value, "\n");
        ls_text_add(text, "  %.*s\n", (int)length, value);
        value += length + (value[length] == '\n');
    }
}

/* ---- datasets ------------------------------------------------------------------------------- */

static void add_shape(ls_text *text, hid_t space) {
    hsize_t shape[H5S_MAX_RANK];
    int ndims = H5Sget_simple_extent_dims(space, shape, NULL);
    ls_text line = {0};
    for (int d = 0; d < ndims; d++)
        ls_text_add(&line, "%s%llu", d ? ", " : "(", (unsigned long long)shape[d]);
    ls_text_add(&line, ")");
    ls_text_add(text, " %-*s", SHAPE_WIDTH, line.failed ? "" : line.data);
    ls_text_free(&line);
}

static const char *type_name(hid_t dataset) {
    ls_type number;
    hid_t type = H5Dget_type(dataset);
    const char *name = ls_h5_number(type, &number) ? ls_type_name(number) : ls_h5_class(type);
    ls_h5_release(type);
    return name;
}

static ls_status visit_other(void *context, const char *name, const char *value) {
    static const char *const shown[] = {"unit", "comment", "digested"};
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++)
        if (strcmp(name, shown[i]) == 0)
            return LS_OK;
    ls_text_add(context, " ");
    add_clean(context, name);
    ls_text_add(context, "=");
    add_clean(context, value);
    return LS_OK;
}

/* "  loss   (469)   float64  [1] mean loss of the batch" */
static ls_status add_array(description *out, hid_t dataset, hid_t space, const char *name) {
    char *unit = NULL, *comment = NULL;
    ls_status status = ls_h5_attribute_read(dataset, out->path, "unit", &unit);
    if (status == LS_OK)
        status = ls_h5_attribute_read(dataset, out->path, "comment", &comment);
    ls_text_add(out->text, "  %-*s", NAME_WIDTH, name);
    add_shape(out->text, space);
    const char *type = type_name(dataset);
    bool labelled = (unit && *unit) || (comment && *comment);
    ls_text_add(out->text, " %-*s", labelled ? TYPE_WIDTH : 0, type);
    if (unit && *unit) {
        ls_text_add(out->text, " [");
        add_clean(out->text, unit);
        ls_text_add(out->text, "]");
    }
    if (comment && *comment) {
        ls_text_add(out->text, " ");
        add_clean(out->text, comment);
    }
    ls_free(comment);
    ls_free(unit);
    if (status == LS_OK)
        status = ls_h5_attributes(dataset, out->path, visit_other, out->text);
    ls_text_add(out->text, "\n");
    return status;
}

static ls_status add_value(description *out, hid_t dataset, const char *name) {
    char *value = ls_h5_value(dataset);
    if (value == NULL)
        return ls_fail(LS_ERR_INPUT, "cannot read '%s' in '%s'", name, out->path);
    if (strchr(value, '\n')) {
        ls_text_add(out->text, "%s\n", name);
        add_lines(out->text, value);
    } else {
        add_attribute(out->text, name, value);
    }
    ls_free(value);
    return LS_OK;
}

/* Single values and short lists of words are shown, larger arrays described. */
static ls_status add_dataset(description *out, const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    hid_t dataset = H5Oopen(out->file, path, H5P_DEFAULT);
    if (dataset < 0)
        return ls_h5_fail(LS_ERR_INPUT, "cannot open '%s' in '%s'", path, out->path);
    hid_t space = H5Dget_space(dataset), type = H5Dget_type(dataset);
    bool scalar = H5Sget_simple_extent_type(space) != H5S_SIMPLE;
    bool words = H5Tget_class(type) == H5T_STRING;
    ls_status status =
        scalar || words ? add_value(out, dataset, name) : add_array(out, dataset, space, name);
    ls_h5_release(type);
    ls_h5_release(space);
    ls_h5_release(dataset);
    return status;
}

/* ---- groups --------------------------------------------------------------------------------- */

/* The name below group `group`, NULL when `path` is not directly in it. */
static const char *child_of(const char *path, const char *group) {
    size_t length = strlen(group);
    if (*path == '\0' || strncmp(path, group, length) != 0 || (length && path[length] != '/'))
        return NULL;
    const char *name = path + length + (length > 0);
    return strchr(name, '/') ? NULL : name;
}

static ls_status add_children(description *out, const ls_h5_tree *tree, const char *group) {
    for (size_t i = 0; i < tree->count; i++) {
        const ls_h5_item *item = &tree->items[i];
        const char *name = child_of(item->path, group);
        if (name == NULL || strcmp(item->path, "configuration") == 0)
            continue;
        if (item->kind == LS_H5_DATASET)
            LS_TRY(add_dataset(out, item->path));
        else if (item->kind == LS_H5_OTHER)
            add_attribute(out->text, name, "(a link or a named type)");
    }
    return LS_OK;
}

static ls_status add_group_body(description *out, const ls_h5_tree *tree, const char *group) {
    hid_t object = H5Oopen(out->file, *group ? group : "/", H5P_DEFAULT);
    if (object < 0)
        return ls_h5_fail(LS_ERR_INPUT, "cannot open '%s' in '%s'", group, out->path);
    ls_status status = ls_h5_attributes(object, out->path, add_attribute, out->text);
    ls_h5_release(object);
    LS_TRY(status);
    return add_children(out, tree, group);
}

/* Whether the group has groups, and nothing else. */
static bool only_groups(const ls_h5_tree *tree, const char *group) {
    bool groups = false;
    for (size_t i = 0; i < tree->count; i++) {
        if (child_of(tree->items[i].path, group) == NULL)
            continue;
        if (tree->items[i].kind != LS_H5_GROUP)
            return false;
        groups = true;
    }
    return groups;
}

static ls_status add_group(description *out, const ls_h5_tree *tree, const char *group) {
    ls_text *whole = out->text, body = {0};
    out->text = &body;
    ls_status status = add_group_body(out, tree, group);
    out->text = whole;
    if (*group && (body.length > 0 || !only_groups(tree, group))) {
        ls_text_add(whole, "\n");
        add_clean(whole, group);
        ls_text_add(whole, "\n");
    }
    if (body.length > 0)
        ls_text_add(whole, "%s", body.data);
    whole->failed = whole->failed || body.failed;
    ls_text_free(&body);
    return status;
}

static ls_status add_all(description *out, const ls_h5_tree *tree) {
    bool configuration = false, provenance = false;
    for (size_t i = 0; i < tree->count; i++) {
        const ls_h5_item *item = &tree->items[i];
        bool late = item->kind == LS_H5_GROUP && strcmp(item->path, "provenance") == 0;
        if (item->kind == LS_H5_GROUP && !late)
            LS_TRY(add_group(out, tree, item->path));
        provenance = provenance || late;
        configuration = configuration ||
                        (item->kind == LS_H5_DATASET && strcmp(item->path, "configuration") == 0);
    }
    if (configuration) {
        ls_text_add(out->text, "\n");
        LS_TRY(add_dataset(out, "configuration"));
    }
    return provenance ? add_group(out, tree, "provenance") : LS_OK;
}

/* ---- the file ------------------------------------------------------------------------------- */

static ls_status add_heading(description *out) {
    char *format = ls_h5_attribute(out->file, "format");
    int64_t points;
    ls_text_add(out->text, "%s: ", out->path);
    add_clean(out->text, format ? format : "HDF5 file");
    ls_free(format);
    if (ls_h5_is(out->file, LS_FORMAT_RUN)) {
        LS_TRY(ls_h5_run_points(out->file, out->path, &points));
        ls_text_add(out->text, ", %lld points", (long long)points);
    }
    ls_text_add(out->text, "\n");
    return LS_OK;
}

static ls_status describe(const char *path, ls_text *text) {
    hid_t file;
    ls_h5_tree tree = {0};
    LS_TRY(ls_h5_open(path, &file));
    description out = {path, file, text};
    ls_status status;
    LS_TRY_GOTO(done, add_heading(&out));
    LS_TRY_GOTO(done, ls_h5_tree_read(file, path, &tree));
    LS_TRY_GOTO(done, add_all(&out, &tree));
    if (text->failed)
        status = ls_fail(LS_ERR_SYSTEM, "out of memory while describing '%s'", path);
done:
    ls_h5_tree_free(&tree);
    H5Fclose(file);
    return status;
}

ls_status ls_file_describe(const char *path, ls_text *text) {
    return ls_h5_read_apart(path, describe, text);
}
