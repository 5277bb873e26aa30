/* What a file keeps in other files: targets of external links, sources of virtual datasets, raw
 * storage.  HDF5 itself waits on a FIFO, follows a circle until the stack ends, and reads fill
 * values where a source is missing. */
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>

#include "io/h5.h"

/* ---- files ---------------------------------------------------------------------------------- */

typedef enum there { NOWHERE, REGULAR, SPECIAL } there;

static there look(const char *path) {
    struct stat info;
    if (path == NULL || stat(path, &info) != 0)
        return NOWHERE;
    return S_ISREG(info.st_mode) ? REGULAR : SPECIAL;
}

/* Beside file `parent` unless absolute.  Freed with ls_free. */
static char *beside(const char *parent, const char *name) {
    if (name[0] == '/')
        return ls_strdup(name);
    char *copy = ls_strdup(parent);
    char *path = copy ? ls_format("%s/%s", dirname(copy), name) : NULL;
    ls_free(copy);
    return path;
}

/* HDF5 looks there, and then in the working folder. */
static there look_for(const char *parent, const char *name) {
    char *path = beside(parent, name);
    there found = look(path);
    ls_free(path);
    return found == NOWHERE ? look(name) : found;
}

/* ---- links ---------------------------------------------------------------------------------- */

static herr_t before_link(const char *parent, const char *group, const char *file,
                          const char *object, unsigned *flags, hid_t access, void *context) {
    (void)group, (void)object, (void)flags, (void)access, (void)context;
    return look_for(parent, file) == SPECIAL ? -1 : 0;
}

hid_t ls_h5_object_open(hid_t file, const char *name) {
    hid_t access = H5Pcreate(H5P_LINK_ACCESS);
    H5Pset_elink_cb(access, before_link, NULL);
    hid_t object = name[0] ? H5Oopen(file, name, access) : H5I_INVALID_HID;
    ls_h5_release(access);
    return object;
}

/* ---- virtual datasets ----------------------------------------------------------------------- */

typedef struct mapping {
    const char *path, *name; /* of the virtual dataset */
    char *file, *dataset;    /* of the source */
    hid_t to, from;          /* selections */
} mapping;

/* -1 without a limit. */
static hssize_t points(hid_t space) {
    hssize_t count = H5Sget_select_npoints(space);
    return count == (hssize_t)H5S_UNLIMITED ? -1 : count;
}

/* A selection of everything is stored without the shape that it had. */
static bool covers(const mapping *map, hid_t extent) {
    hsize_t shape[H5S_MAX_RANK], begin[H5S_MAX_RANK], end[H5S_MAX_RANK];
    if (H5Sget_select_type(map->from) == H5S_SEL_ALL)
        return H5Sget_simple_extent_npoints(extent) == points(map->to);
    int ndims = H5Sget_simple_extent_dims(extent, shape, NULL);
    if (ndims != H5Sget_simple_extent_ndims(map->from) ||
        H5Sget_select_bounds(map->from, begin, end) < 0)
        return false;
    for (int d = 0; d < ndims; d++)
        if (end[d] >= shape[d])
            return false;
    return true;
}

static H5D_layout_t layout_of(hid_t dataset, bool *outside) {
    hid_t creation = H5Dget_create_plist(dataset);
    H5D_layout_t layout = H5Pget_layout(creation);
    *outside = layout == H5D_CONTIGUOUS && H5Pget_external_count(creation) > 0;
    ls_h5_release(creation);
    return layout;
}

static ls_status check_dataset(const mapping *map, hid_t dataset) {
    bool outside;
    if (dataset < 0 || H5Iget_type(dataset) != H5I_DATASET)
        return ls_fail(LS_ERR_INPUT,
                       "'%s' in '%s' is a virtual dataset of '%s' in '%s', which cannot be opened",
                       map->name, map->path, map->dataset, map->file);
    if (layout_of(dataset, &outside) == H5D_VIRTUAL || outside)
        return ls_fail(LS_ERR_INPUT,
                       "'%s' in '%s' is a virtual dataset of '%s' in '%s', which itself has its "
                       "values elsewhere; make one file of them, with h5py: "
                       "out[name] = virtual[...]",
                       map->name, map->path, map->dataset, map->file);
    hid_t extent = H5Dget_space(dataset);
    bool covered = covers(map, extent);
    ls_h5_release(extent);
    return covered ? LS_OK
                   : ls_fail(LS_ERR_INPUT,
                             "'%s' in '%s' is a virtual dataset of '%s' in '%s', which has not all "
                             "the values that it wants",
                             map->name, map->path, map->dataset, map->file);
}

static ls_status check_file(const mapping *map) {
    there found = look_for(map->path, map->file);
    if (found != REGULAR)
        return ls_fail(LS_ERR_INPUT, "'%s' in '%s' is a virtual dataset of file '%s', which is %s",
                       map->name, map->path, map->file,
                       found == NOWHERE ? "not there" : "not a regular file");
    char *near = beside(map->path, map->file);
    if (near == NULL)
        return LS_ERR_SYSTEM;
    hid_t file;
    ls_status status = ls_h5_open(look(near) == REGULAR ? near : map->file, &file);
    ls_free(near);
    LS_TRY(status);
    hid_t dataset = ls_h5_object_open(file, map->dataset);
    status = check_dataset(map, dataset);
    ls_h5_release(dataset);
    H5Fclose(file);
    return status;
}

static ls_status check_mapping(const mapping *map, hid_t file) {
    if (strstr(map->file, "%b") || strstr(map->dataset, "%b") || points(map->to) < 0)
        return ls_fail(LS_ERR_INPUT,
                       "'%s' in '%s' is a virtual dataset without an end; make one file of it, "
                       "with h5py: out[name] = virtual[...]",
                       map->name, map->path);
    if (strcmp(map->file, ".") != 0)
        return check_file(map);
    hid_t dataset = ls_h5_object_open(file, map->dataset);
    ls_status status = check_dataset(map, dataset);
    ls_h5_release(dataset);
    return status;
}

static char *text_of(ssize_t (*get)(hid_t, size_t, char *, size_t), hid_t creation, size_t index) {
    ssize_t length = get(creation, index, NULL, 0);
    char *text = length < 0 ? NULL : ls_calloc((size_t)length + 1, 1);
    if (text)
        get(creation, index, text, (size_t)length + 1);
    return text;
}

static ls_status check_mappings(hid_t dataset, hid_t creation, const char *path, const char *name) {
    hid_t file = H5Iget_file_id(dataset), space = H5Dget_space(dataset);
    hssize_t missing = H5Sget_simple_extent_npoints(space);
    size_t count = 0;
    ls_status status = LS_OK;
    H5Pget_virtual_count(creation, &count);
    for (size_t i = 0; i < count && status == LS_OK; i++) {
        mapping map = {path,
                       name,
                       text_of(H5Pget_virtual_filename, creation, i),
                       text_of(H5Pget_virtual_dsetname, creation, i),
                       H5Pget_virtual_vspace(creation, i),
                       H5Pget_virtual_srcspace(creation, i)};
        status = map.file && map.dataset ? check_mapping(&map, file) : LS_ERR_SYSTEM;
        missing -= points(map.to);
        ls_h5_release(map.from);
        ls_h5_release(map.to);
        ls_free(map.dataset);
        ls_free(map.file);
    }
    if (status == LS_OK && missing > 0)
        status = ls_fail(LS_ERR_INPUT,
                         "'%s' in '%s' is a virtual dataset, and %lld of its values come from "
                         "nowhere",
                         name, path, (long long)missing);
    ls_h5_release(space);
    ls_h5_release(file);
    return status;
}

ls_status ls_h5_check_elsewhere(hid_t dataset, const char *path, const char *name) {
    bool outside;
    H5D_layout_t layout = layout_of(dataset, &outside);
    if (outside)
        return ls_fail(LS_ERR_INPUT,
                       "'%s' in '%s' has its values in a raw file beside it, which is not read; "
                       "make one file of both: h5repack -l %s:CONTI",
                       name, path, name);
    if (layout != H5D_VIRTUAL)
        return LS_OK;
    hid_t creation = H5Dget_create_plist(dataset);
    ls_status status = check_mappings(dataset, creation, path, name);
    ls_h5_release(creation);
    return status;
}
