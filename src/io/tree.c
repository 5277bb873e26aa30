/* What a file holds: its groups and datasets in path order, their attributes, and the message that
 * names what there is when something is not there. */
#include <stdlib.h>
#include <string.h>

#include "io/h5.h"

enum { NAMES_LISTED = 8 };

/* ---- objects -------------------------------------------------------------------------------- */

static ls_status tree_add(ls_h5_tree *tree, const char *path, ls_h5_kind kind) {
    if (tree->count == tree->capacity) {
        size_t capacity = tree->capacity ? 2 * tree->capacity : 32;
        ls_h5_item *items;
        LS_TRY(LS_NEW(items, capacity));
        if (tree->count > 0)
            memcpy(items, tree->items, tree->count * sizeof *items);
        ls_free(tree->items);
        tree->items = items;
        tree->capacity = capacity;
    }
    char *copy = ls_strdup(path);
    if (copy == NULL)
        return LS_ERR_SYSTEM;
    tree->items[tree->count++] = (ls_h5_item){copy, kind};
    return LS_OK;
}

static ls_h5_kind kind_of(hid_t group, const char *name) {
    hid_t object = H5Oopen(group, name, H5P_DEFAULT);
    H5I_type_t type = object < 0 ? H5I_BADID : H5Iget_type(object);
    ls_h5_release(object);
    return type == H5I_GROUP ? LS_H5_GROUP : type == H5I_DATASET ? LS_H5_DATASET : LS_H5_OTHER;
}

static herr_t visit_link(hid_t root, const char *path, const H5L_info_t *link, void *context) {
    ls_h5_kind kind = link->type == H5L_TYPE_HARD ? kind_of(root, path) : LS_H5_OTHER;
    return tree_add(context, path, kind) == LS_OK ? 0 : -1;
}

static int by_path(const void *a, const void *b) {
    return strcmp(((const ls_h5_item *)a)->path, ((const ls_h5_item *)b)->path);
}

ls_status ls_h5_tree_read(hid_t file, const char *path, ls_h5_tree *tree) {
    ls_h5_tree found = {0};
    ls_status status = tree_add(&found, "", LS_H5_GROUP);
    if (status == LS_OK && H5Lvisit(file, H5_INDEX_NAME, H5_ITER_INC, visit_link, &found) < 0)
        status = ls_h5_fail(LS_ERR_INPUT, "cannot list what '%s' holds", path);
    if (status != LS_OK) {
        ls_h5_tree_free(&found);
        return status;
    }
    qsort(found.items, found.count, sizeof *found.items, by_path);
    *tree = found;
    return LS_OK;
}

void ls_h5_tree_free(ls_h5_tree *tree) {
    for (size_t i = 0; i < tree->count; i++)
        ls_free(tree->items[i].path);
    ls_free(tree->items);
    *tree = (ls_h5_tree){0};
}

/* ---- attributes ----------------------------------------------------------------------------- */

typedef struct attribute_visit {
    const char *path;
    ls_h5_visit_attribute *visit;
    void *context;
    ls_status status;
} attribute_visit;

static herr_t visit_one(hid_t object, const char *name, const H5A_info_t *info, void *context) {
    attribute_visit *all = context;
    (void)info;
    char *value = NULL;
    all->status = ls_h5_attribute_read(object, all->path, name, &value);
    if (all->status == LS_OK)
        all->status = all->visit(all->context, name, value ? value : "");
    ls_free(value);
    return all->status == LS_OK ? 0 : -1;
}

ls_status ls_h5_attributes(hid_t object, const char *path, ls_h5_visit_attribute *visit,
                           void *context) {
    attribute_visit all = {path, visit, context, LS_OK};
    herr_t result = H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, NULL, visit_one, &all);
    if (result < 0 && all.status == LS_OK)
        all.status = ls_h5_fail(LS_ERR_INPUT, "cannot read attributes in '%s'", path);
    return all.status;
}

/* ---- what there is instead ------------------------------------------------------------------ */

static ls_status name_others(const char *path, const char *name, const char *const *names,
                             size_t count) {
    const char *nearest = ls_nearest(name, names, count);
    if (nearest)
        return ls_fail(LS_ERR_INPUT, "there is no dataset '%s' in '%s'; nearest is '%s'", name,
                       path, nearest);
    if (count == 0)
        return ls_fail(LS_ERR_INPUT, "there is no dataset '%s' in '%s', nor any other", name, path);
    ls_text text = {0};
    for (size_t i = 0; i < count && i < NAMES_LISTED; i++)
        ls_text_add(&text, "%s'%s'", i ? ", " : "", names[i]);
    if (count > NAMES_LISTED)
        ls_text_add(&text, " and %zu more", count - NAMES_LISTED);
    ls_status status = ls_fail(LS_ERR_INPUT, "there is no dataset '%s' in '%s', which holds %s",
                               name, path, text.failed ? "others" : text.data);
    ls_text_free(&text);
    return status;
}

static ls_status not_opened(hid_t file, const char *path, const char *name) {
    H5L_info_t link;
    const char *object = NULL, *other = NULL;
    if (H5Lget_info(file, name, &link, H5P_DEFAULT) < 0 || link.type == H5L_TYPE_HARD)
        return ls_fail(LS_ERR_INPUT, "cannot open '%s' in '%s', which seems damaged", name, path);
    char *to = ls_calloc(link.u.val_size + 1, 1);
    if (to == NULL)
        return LS_ERR_SYSTEM;
    H5Lget_val(file, name, to, link.u.val_size, H5P_DEFAULT);
    if (link.type == H5L_TYPE_EXTERNAL)
        H5Lunpack_elink_val(to, link.u.val_size, NULL, &other, &object);
    ls_status status = ls_fail(
        LS_ERR_INPUT, "'%s' in '%s' is a link to '%s'%s%s%s, which cannot be opened", name, path,
        object ? object : to, other ? " in file '" : "", other ? other : "", other ? "'" : "");
    ls_free(to);
    return status;
}

ls_status ls_h5_no_dataset(hid_t file, const char *path, const char *name) {
    ls_h5_tree tree;
    LS_TRY(ls_h5_tree_read(file, path, &tree));
    const char **names = NULL, *bare = name + strspn(name, "/");
    size_t count = 0;
    ls_status status = LS_NEW(names, tree.count);
    for (size_t i = 0; i < tree.count && status == LS_OK; i++) {
        const ls_h5_item *item = &tree.items[i];
        if (item->kind == LS_H5_DATASET)
            names[count++] = item->path;
        if (strcmp(item->path, bare) != 0)
            continue;
        if (item->kind == LS_H5_GROUP)
            status = ls_fail(LS_ERR_INPUT, "'%s' in '%s' is a group, not a dataset", name, path);
        else
            status = not_opened(file, path, name);
    }
    if (status == LS_OK)
        status = name_others(path, name, names, count);
    ls_free(names);
    ls_h5_tree_free(&tree);
    return status;
}
