/* Writing a dataset file: arrays that grow by samples, in chunks with checksums. */
#include "io/h5.h"

/* A chunk is the unit of checksums and of reading: about CHUNK_BYTES of whole samples.  A sample
 * larger than CHUNK_LIMIT is cut, for HDF5 has no chunk of 4 GiB and MPI-IO no transfer of 2. */
#define CHUNK_BYTES ((hsize_t)1 << 20)
#define CHUNK_SAMPLES ((hsize_t)1 << 16)
#define CHUNK_LIMIT ((hsize_t)64 << 20)

struct ls_dataset_writer {
    ls_h5_output output;
    hid_t dataset; /* the array started last */
    hid_t memory;
    int ndims;
    hsize_t shape[LS_MAX_DIMS]; /* shape[0]: samples so far */
    size_t chunk;               /* bytes */
};

ls_status ls_dataset_create(const char *path, ls_dataset_writer **writer) {
    ls_dataset_writer *made = NULL;
    LS_TRY(LS_NEW(made, 1));
    made->dataset = H5I_INVALID_HID;
    ls_status status = ls_h5_output_open(path, LS_FORMAT_DATASET, time(NULL), false, &made->output);
    if (status != LS_OK) {
        ls_free(made);
        return status;
    }
    *writer = made;
    return LS_OK;
}

static ls_status end_array(ls_dataset_writer *writer) {
    hid_t dataset = writer->dataset;
    writer->dataset = H5I_INVALID_HID;
    return dataset < 0 ? LS_OK : ls_h5_output_end(&writer->output, dataset);
}

/* `samples` is how many there will be, 0 when that is not known. */
static void choose_chunk(const ls_dataset_writer *writer, hsize_t bytes, hsize_t samples,
                         hsize_t chunk[LS_MAX_DIMS]) {
    for (int d = 1; d < writer->ndims; d++) {
        chunk[d] = writer->shape[d];
        bytes *= chunk[d];
    }
    for (int d = 1; d < writer->ndims; d++) {
        while (bytes > CHUNK_LIMIT && chunk[d] > 1) {
            bytes /= chunk[d];
            chunk[d] = (chunk[d] + 1) / 2;
            bytes *= chunk[d];
        }
    }
    hsize_t rows = CHUNK_BYTES / bytes;
    if (rows > CHUNK_SAMPLES)
        rows = CHUNK_SAMPLES;
    if (samples > 0 && rows > samples)
        rows = samples;
    chunk[0] = rows > 0 ? rows : 1;
}

static ls_status create_dataset(ls_dataset_writer *writer, const char *name, hid_t space,
                                const hsize_t *chunk) {
    ls_status status = LS_OK;
    hid_t links = H5Pcreate(H5P_LINK_CREATE), layout = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    H5Pset_obj_track_times(layout, false);
    H5Pset_chunk(layout, writer->ndims, chunk);
    H5Pset_fill_time(layout, H5D_FILL_TIME_NEVER);
    H5Pset_fletcher32(layout);
    writer->dataset =
        H5Dcreate2(writer->output.file, name, writer->memory, space, links, layout, H5P_DEFAULT);
    if (writer->dataset < 0)
        status = ls_h5_output_fail(&writer->output);
    ls_h5_release(layout);
    ls_h5_release(links);
    return status;
}

ls_status ls_dataset_array(ls_dataset_writer *writer, const char *name, const ls_array_info *info) {
    LS_REQUIRE(info->ndims >= 1 && info->ndims <= LS_MAX_DIMS && info->shape[0] >= 0);
    LS_TRY(end_array(writer));
    hsize_t chunk[LS_MAX_DIMS], most[LS_MAX_DIMS] = {H5S_UNLIMITED};
    writer->memory = ls_h5_native(info->type);
    writer->ndims = info->ndims;
    writer->shape[0] = 0;
    for (int d = 1; d < info->ndims; d++) {
        LS_REQUIRE(info->shape[d] > 0);
        most[d] = writer->shape[d] = (hsize_t)info->shape[d];
    }
    choose_chunk(writer, ls_type_size(info->type), (hsize_t)info->shape[0], chunk);
    writer->chunk = ls_type_size(info->type);
    for (int d = 0; d < info->ndims; d++)
        writer->chunk *= chunk[d];
    hid_t space = H5Screate_simple(writer->ndims, writer->shape, most);
    ls_status status = create_dataset(writer, name, space, chunk);
    ls_h5_release(space);
    return status;
}

ls_status ls_dataset_append(ls_dataset_writer *writer, int64_t count, const void *samples) {
    LS_REQUIRE(writer->dataset >= 0 && count >= 0);
    if (count == 0)
        return LS_OK;
    hsize_t start[LS_MAX_DIMS] = {writer->shape[0]}, counts[LS_MAX_DIMS] = {(hsize_t)count};
    size_t bytes = (size_t)count * H5Tget_size(writer->memory);
    for (int d = 1; d < writer->ndims; d++) {
        counts[d] = writer->shape[d];
        bytes *= counts[d];
    }
    LS_TRY(ls_h5_output_room(&writer->output, bytes + writer->chunk));
    writer->shape[0] += (hsize_t)count;
    if (H5Dset_extent(writer->dataset, writer->shape) < 0)
        return ls_h5_output_fail(&writer->output);
    ls_status status = LS_OK;
    hid_t file = H5Dget_space(writer->dataset);
    hid_t memory = H5Screate_simple(writer->ndims, counts, NULL);
    H5Sselect_hyperslab(file, H5S_SELECT_SET, start, NULL, counts, NULL);
    if (H5Dwrite(writer->dataset, writer->memory, memory, file, H5P_DEFAULT, samples) < 0)
        status = ls_h5_output_fail(&writer->output);
    ls_h5_release(memory);
    ls_h5_release(file);
    return status;
}

ls_status ls_dataset_class_names(ls_dataset_writer *writer, const char *const *names,
                                 size_t count) {
    return count ? ls_h5_output_strings(&writer->output, "class_names", names, count) : LS_OK;
}

ls_status ls_dataset_note(ls_dataset_writer *writer, const char *name, const char *value) {
    return ls_h5_output_text(&writer->output, name, value);
}

ls_status ls_dataset_finish(ls_dataset_writer *writer) {
    LS_TRY(end_array(writer));
    return ls_h5_output_publish(&writer->output);
}

void ls_dataset_writer_free(ls_dataset_writer *writer) {
    if (writer == NULL)
        return;
    ls_h5_output_free(&writer->output); /* closes the array too */
    ls_free(writer);
}
