/* Checkpoints, written: arrays contiguous, straight from the caller's memory.  One checksum over
 * the whole file, see checkpoint_seal.c, takes the place of checksums of chunks. */
#include "io/h5.h"
#include "lockstep/checkpoint.h"

struct ls_checkpoint_writer {
    ls_h5_output output;
};

ls_status ls_checkpoint_create(const char *path, ls_checkpoint_writer **writer) {
    ls_checkpoint_writer *made = NULL;
    LS_TRY(LS_NEW(made, 1));
    ls_status status =
        ls_h5_output_open(path, LS_FORMAT_CHECKPOINT, time(NULL), true, &made->output);
    if (status != LS_OK) {
        ls_free(made);
        return status;
    }
    *writer = made;
    return LS_OK;
}

static ls_status write_array(ls_h5_output *output, hid_t group, const char *name, ls_type type,
                             hid_t space, const void *values) {
    if (H5Lexists(group, name, H5P_DEFAULT) > 0)
        return ls_fail(LS_ERR_BUG, "array '%s' of '%s' is written twice", name, output->path);
    LS_TRY(ls_h5_output_room(output,
                             (size_t)H5Sget_simple_extent_npoints(space) * ls_type_size(type)));
    hid_t layout = H5Pcreate(H5P_DATASET_CREATE), memory = ls_h5_native(type);
    H5Pset_obj_track_times(layout, false);
    H5Pset_fill_time(layout, H5D_FILL_TIME_NEVER);
    ls_status status = LS_OK;
    hid_t dataset = H5Dcreate2(group, name, memory, space, H5P_DEFAULT, layout, H5P_DEFAULT);
    if (dataset < 0 || H5Dwrite(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
        status = ls_h5_output_fail(output);
    if (status == LS_OK)
        status = ls_h5_output_end(output, dataset);
    else
        ls_h5_release(dataset);
    ls_h5_release(layout);
    return status;
}

ls_status ls_checkpoint_array(ls_checkpoint_writer *writer, const char *name, ls_type type,
                              int ndims, const int64_t *shape, const void *values) {
    hsize_t sizes[LS_MAX_DIMS];
    hid_t group;
    const char *last;
    LS_REQUIRE(ndims >= 0 && ndims <= LS_MAX_DIMS);
    for (int d = 0; d < ndims; d++) {
        LS_REQUIRE(shape[d] >= 0);
        sizes[d] = (hsize_t)shape[d];
    }
    LS_TRY(ls_h5_output_parent(&writer->output, name, &group, &last));
    hid_t space = ndims > 0 ? H5Screate_simple(ndims, sizes, NULL) : H5Screate(H5S_SCALAR);
    ls_status status = write_array(&writer->output, group, last, type, space, values);
    ls_h5_release(space);
    ls_h5_release(group);
    return status;
}

ls_status ls_checkpoint_number(ls_checkpoint_writer *writer, const char *name, double value) {
    return ls_h5_output_number(&writer->output, name, value);
}

ls_status ls_checkpoint_integer(ls_checkpoint_writer *writer, const char *name, int64_t value) {
    hid_t group;
    const char *last;
    LS_TRY(ls_h5_output_parent(&writer->output, name, &group, &last));
    ls_status status = ls_h5_output_integer(&writer->output, group, last, value);
    ls_h5_release(group);
    return status;
}

ls_status ls_checkpoint_text(ls_checkpoint_writer *writer, const char *name, const char *value) {
    return ls_h5_output_text(&writer->output, name, value);
}

ls_status ls_checkpoint_finish(ls_checkpoint_writer *writer) {
    ls_h5_output *output = &writer->output;
    char digest[LS_DIGEST_TEXT];
    LS_TRY(ls_h5_digest(output->file, output->path, digest));
    LS_TRY(ls_h5_output_text(output, "digest", digest));
    return ls_h5_output_publish(output);
}

void ls_checkpoint_writer_free(ls_checkpoint_writer *writer) {
    if (writer == NULL)
        return;
    ls_h5_output_free(&writer->output);
    ls_free(writer);
}
