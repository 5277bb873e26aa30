/* Where a scaling study is measured: what goes together, and what does not. */
#include <string.h>

#include "train/scale_file.h"

ls_status ls_scale_file_check(const ls_scale_file *file, const char *path,
                              const ls_scale_size *size) {
    for (int64_t i = 0; i < file->count; i++) {
        const ls_scale_size *there = &file->rows[i].size;
        if (there->mode != size->mode || there->ranks != size->ranks)
            continue;
        if (there->nodes == size->nodes && there->crowd == size->crowd)
            return LS_OK;
        return ls_fail(
            LS_ERR_INPUT,
            "%s scaling, %d ranks: '%s' has them on %d node%s with %.3g threads a core, "
            "here they are on %d with %.3g: start the ranks as before, or choose another "
            "folder (--out)",
            ls_scale_mode_name(size->mode), size->ranks, path, there->nodes,
            there->nodes == 1 ? "" : "s", there->crowd, size->nodes, size->crowd);
    }
    return LS_OK;
}

/* The length of the name that a list, or what is left of it, begins with; *next: what follows. */
static size_t first_host(const char *list, const char **next) {
    const char *end = strchr(list, ')');
    *next = end ? end + 1 + strspn(end + 1, ",; ") : list + strlen(list);
    return strcspn(list, " ");
}

static bool has_host(const char *list, const char *name, size_t length) {
    for (const char *at = list, *next; *at; at = next)
        if (first_host(at, &next) == length && strncmp(at, name, length) == 0)
            return true;
    return false;
}

static bool has_all(const char *list, const char *others) {
    for (const char *at = others, *next; *at; at = next) {
        size_t length = first_host(at, &next);
        if (!has_host(list, at, length))
            return false;
    }
    return true;
}

ls_status ls_scale_hosts_add(const char *before, const char *now, char **all, bool *strange) {
    bool known = has_all(before, now), grown = has_all(now, before);
    char *made = known   ? ls_strdup(before)
                 : grown ? ls_strdup(now)
                         : ls_format("%s; %s", before, now);
    if (made == NULL)
        return LS_ERR_SYSTEM;
    *all = made;
    *strange = !known && !grown;
    return LS_OK;
}
