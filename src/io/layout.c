/* Where the chunks of an array lie in its file, for whoever reads them without HDF5. */
#include <string.h>

#include "io/h5.h"

static bool filter_of(H5Z_filter_t id, ls_filter *filter) {
    switch (id) {
    case H5Z_FILTER_DEFLATE:
        *filter = LS_FILTER_DEFLATE;
        return true;
    case H5Z_FILTER_SHUFFLE:
        *filter = LS_FILTER_SHUFFLE;
        return true;
    case H5Z_FILTER_FLETCHER32:
        *filter = LS_FILTER_FLETCHER32;
        return true;
    default:
        return false;
    }
}

static bool read_filters(hid_t creation, ls_array_layout *layout) {
    layout->filter_count = H5Pget_nfilters(creation);
    if (layout->filter_count < 0 || layout->filter_count > LS_FILTERS_LIMIT)
        return false;
    for (int i = 0; i < layout->filter_count; i++)
        if (!filter_of(H5Pget_filter2(creation, (unsigned)i, NULL, NULL, NULL, 0, NULL, NULL),
                       &layout->filters[i]))
            return false;
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

/* The place in the grid of chunks, row-major, of the chunk that begins at these elements. */
static int64_t place_of(const ls_array_info *info, const ls_array_layout *layout,
                        const hsize_t *offset) {
    int64_t place = 0;
    for (int d = 0; d < info->ndims; d++) {
        const int64_t across = (info->shape[d] + layout->chunk[d] - 1) / layout->chunk[d];
        const int64_t at = (int64_t)offset[d] / layout->chunk[d];
        if (at >= across) /* the array has shrunk since */
            return -1;
        place = place * across + at;
    }
    return place;
}

/* By index, which HDF5 1.10 looks for from the start each time: slow above 100,000 chunks. */
static int64_t find_chunks(hid_t dataset, hid_t space, const ls_array_info *info,
                           ls_array_layout *layout) {
    hsize_t stored = 0, offset[H5S_MAX_RANK];
    int64_t found = 0;
    if (H5Dget_num_chunks(dataset, space, &stored) < 0)
        return 0;
    for (hsize_t i = 0; i < stored; i++) {
        haddr_t at;
        hsize_t bytes;
        unsigned mask;
        if (H5Dget_chunk_info(dataset, space, i, offset, &mask, &at, &bytes) < 0)
            return 0;
        const int64_t place = place_of(info, layout, offset);
        if (place < 0)
            continue;
        layout->chunks[place] = (ls_chunk){at, (uint32_t)bytes, mask};
        found++;
    }
    return found;
}

static ls_status read_chunks(hid_t dataset, const ls_array_info *info, ls_array_layout *layout) {
    LS_TRY(LS_NEW(layout->chunks, (size_t)layout->count));
    hid_t space = H5Dget_space(dataset);
    layout->plain = find_chunks(dataset, space, info, layout) == layout->count;
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
    if (is_native(numbers) && read_filters(creation, &made)) {
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
