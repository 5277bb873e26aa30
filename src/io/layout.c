/* Where the chunks of an array lie in its file, for whoever reads them without HDF5. */
#include <string.h>

#include "io/h5.h"

/* Whether it is one that is undone without HDF5, of `count` parameters such as HDF5 takes for
 * elements of `size` bytes. */
static bool filter_of(H5Z_filter_t id, const unsigned *parameters, size_t count, size_t size,
                      ls_filter *filter) {
    switch (id) {
    case H5Z_FILTER_DEFLATE:
        *filter = LS_FILTER_DEFLATE;
        return count == 1 && parameters[0] <= 9;
    case H5Z_FILTER_SHUFFLE:
        *filter = LS_FILTER_SHUFFLE;
        return count == 1 && parameters[0] == size;
    case H5Z_FILTER_FLETCHER32:
        *filter = LS_FILTER_FLETCHER32;
        return count == 0;
    default:
        return false;
    }
}

static bool read_filters(hid_t creation, size_t size, ls_array_layout *layout) {
    layout->filter_count = H5Pget_nfilters(creation);
    if (layout->filter_count < 0 || layout->filter_count > LS_FILTERS_LIMIT)
        return false;
    for (int i = 0; i < layout->filter_count; i++) {
        unsigned parameters[LS_FILTERS_LIMIT] = {0};
        size_t count = LS_FILTERS_LIMIT;
        H5Z_filter_t id =
            H5Pget_filter2(creation, (unsigned)i, NULL, &count, parameters, 0, NULL, NULL);
        if (!filter_of(id, parameters, count, size, &layout->filters[i]))
            return false;
    }
    return true;
}

/* Chunks at the border are whole, and filtered, unless the file says otherwise. */
static bool read_chunk_shape(hid_t creation, const ls_array_info *info, ls_array_layout *layout) {
    hsize_t chunk[H5S_MAX_RANK];
    unsigned options = 0;
    if (H5Pget_chunk(creation, info->ndims, chunk) != info->ndims ||
        H5Pget_chunk_opts(creation, &options) < 0 || options != 0)
        return false;
    layout->count = 1;
    for (int d = 0; d < info->ndims; d++) {
        layout->chunk[d] = (int64_t)chunk[d];
        layout->count *= (info->shape[d] + layout->chunk[d] - 1) / layout->chunk[d];
    }
    return true;
}

/* The place in the grid of chunks, row-major, of the chunk that begins at these elements; -1: none.
 */
static int64_t place_of(const ls_array_info *info, const ls_array_layout *layout,
                        const hsize_t *offset) {
    int64_t place = 0;
    for (int d = 0; d < info->ndims; d++) {
        const int64_t across = (info->shape[d] + layout->chunk[d] - 1) / layout->chunk[d];
        const hsize_t at = offset[d] / (hsize_t)layout->chunk[d];
        if (at >= (hsize_t)across) /* the array has shrunk since */
            return -1;
        place = place * across + (int64_t)at;
    }
    return place;
}

typedef struct listing {
    const ls_array_info *info;
    ls_array_layout *layout;
    int64_t found; /* places */
    hsize_t whole; /* bytes of a chunk before filters */
} listing;

/* -1: HDF5 may find something else there, or nothing. */
static int note_chunk(const hsize_t *offset, unsigned mask, haddr_t at, hsize_t bytes,
                      void *context) {
    listing *list = context;
    const int64_t place = place_of(list->info, list->layout, offset);
    if (bytes == 0 || (list->layout->filter_count == 0 && bytes != list->whole))
        return -1;
    for (int d = 0; d < list->info->ndims; d++)
        if (offset[d] % (hsize_t)list->layout->chunk[d] != 0)
            return -1;
    if (place < 0)
        return 0;
    if (list->layout->chunks[place].bytes != 0)
        return -1;
    list->found++;
    list->layout->chunks[place] = (ls_chunk){at, (uint32_t)bytes, mask};
    return 0;
}

/* Whether HDF5, which lists chunks in one way and searches them in another, finds each of them. */
static bool finds_all(hid_t dataset, const listing *list) {
    const ls_array_layout *layout = list->layout;
    for (int64_t place = 0; list->found == layout->count && place < layout->count; place++) {
        hsize_t offset[LS_MAX_DIMS], bytes = 0;
        int64_t rest = place;
        for (int d = list->info->ndims - 1; d >= 0; d--) {
            const int64_t across = (list->info->shape[d] + layout->chunk[d] - 1) / layout->chunk[d];
            offset[d] = (hsize_t)(rest % across * layout->chunk[d]);
            rest /= across;
        }
        if (H5Dget_chunk_storage_size(dataset, offset, &bytes) < 0 ||
            bytes != layout->chunks[place].bytes)
            return false;
    }
    return true;
}

#if H5_VERSION_GE(1, 14, 0)
static bool list_chunks(hid_t dataset, hid_t space, listing *list) {
    (void)space;
    return H5Dchunk_iter(dataset, H5P_DEFAULT, note_chunk, list) >= 0 && finds_all(dataset, list);
}
#else
/* By index, for which HDF5 walks through all chunks each time: the square of their number. */
static bool list_by_index(hid_t dataset, hid_t space, hsize_t stored, listing *list) {
    enum { MANY = 20000 };
    hsize_t offset[H5S_MAX_RANK];
    if (stored > MANY)
        ls_warn("a dataset has %llu chunks, and this HDF5 takes long to list so many; 1.14 does "
                "not",
                (unsigned long long)stored);
    for (hsize_t i = 0; i < stored; i++) {
        haddr_t at;
        hsize_t bytes;
        unsigned mask;
        if (H5Dget_chunk_info(dataset, space, i, offset, &mask, &at, &bytes) < 0)
            return false;
        if (note_chunk(offset, mask, at, bytes, list) != 0)
            return false;
    }
    return true;
}

/* Whether HDF5 says the same of chunk `i`. */
static bool agrees(hid_t dataset, hid_t space, hsize_t i, const listing *list) {
    hsize_t offset[H5S_MAX_RANK], bytes;
    haddr_t at;
    unsigned mask;
    if (H5Dget_chunk_info(dataset, space, i, offset, &mask, &at, &bytes) < 0)
        return false;
    const int64_t place = place_of(list->info, list->layout, offset);
    const ls_chunk *chunk = place < 0 ? NULL : &list->layout->chunks[place];
    return chunk == NULL || (chunk->at == at && chunk->bytes == bytes && chunk->unfiltered == mask);
}

static bool list_chunks(hid_t dataset, hid_t space, listing *list) {
    hsize_t stored = 0;
    if (H5Dget_num_chunks(dataset, space, &stored) < 0)
        return false;
    switch (ls_h5_walk_chunks(dataset, list->info->ndims, stored, note_chunk, list)) {
    case LS_H5_WALK_WHOLE:
        return stored == 0 ||
               (agrees(dataset, space, 0, list) && agrees(dataset, space, stored - 1, list));
    case LS_H5_WALK_OTHER:
        return list_by_index(dataset, space, stored, list) && finds_all(dataset, list);
    default:
        return false;
    }
}
#endif

static ls_status read_chunks(hid_t dataset, const ls_array_info *info, ls_array_layout *layout) {
    LS_TRY(LS_NEW(layout->chunks, (size_t)layout->count));
    listing list = {info, layout, 0, ls_type_size(info->type)};
    for (int d = 0; d < info->ndims; d++)
        list.whole *= (hsize_t)layout->chunk[d];
    hid_t space = H5Dget_space(dataset);
    layout->plain = list_chunks(dataset, space, &list) && list.found == layout->count;
    ls_h5_release(space);
    return LS_OK;
}

static ls_status read_contiguous(hid_t dataset, const ls_array_info *info,
                                 ls_array_layout *layout) {
    const haddr_t at = H5Dget_offset(dataset);
    memcpy(layout->chunk, info->shape, sizeof layout->chunk);
    layout->count = 1;
    LS_TRY(LS_NEW(layout->chunks, 1));
    layout->chunks[0].at = at;
    layout->plain = at != HADDR_UNDEF;
    return LS_OK;
}

/* Values as in memory, and offsets that count from the file's first byte: before HDF5 1.14 those of
 * chunks did not when it has a user block. */
static bool is_native(const ls_h5_numbers *numbers) {
    hid_t type = H5Dget_type(numbers->dataset), file = H5Iget_file_id(numbers->dataset);
    hid_t creation = H5Fget_create_plist(file);
    hsize_t block = 1;
    bool native = H5Tequal(type, numbers->memory) > 0 && H5Pget_userblock(creation, &block) >= 0 &&
                  block == 0;
    ls_h5_release(creation);
    ls_h5_release(file);
    ls_h5_release(type);
    return native;
}

ls_status ls_h5_layout(const ls_h5_numbers *numbers, const ls_array_info *info,
                       ls_array_layout *layout) {
    ls_array_layout made = {0};
    ls_status status = LS_OK;
    hid_t creation = H5Dget_create_plist(numbers->dataset);
    const H5D_layout_t kind = H5Pget_layout(creation);
    if (is_native(numbers) && read_filters(creation, numbers->size, &made)) {
        if (kind == H5D_CONTIGUOUS)
            status = read_contiguous(numbers->dataset, info, &made);
        else if (kind == H5D_CHUNKED && read_chunk_shape(creation, info, &made))
            status = read_chunks(numbers->dataset, info, &made);
    }
    if (status != LS_OK || !made.plain) {
        ls_free(made.chunks);
        made = (ls_array_layout){0};
        if (kind == H5D_CHUNKED)
            read_chunk_shape(creation, info, &made);
        made.count = 0;
    }
    ls_h5_release(creation);
    *layout = made;
    return status;
}

int64_t ls_h5_chunk_samples(hid_t dataset) {
    hsize_t chunk[H5S_MAX_RANK] = {0};
    hid_t creation = H5Dget_create_plist(dataset);
    if (H5Pget_layout(creation) == H5D_CHUNKED && H5Pget_chunk(creation, H5S_MAX_RANK, chunk) < 1)
        chunk[0] = 0;
    ls_h5_release(creation);
    return (int64_t)chunk[0];
}
