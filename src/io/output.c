/* Output files: written under a temporary name in their folder, named once they are whole and on
 * disk; and the groups, attributes and strings in them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/h5.h"
#include "lockstep/build.h"

/* Attributes have a limit of 64 KiB: longer texts become datasets. */
enum { ATTRIBUTE_LIMIT = 32768 };

/* ---- failure -------------------------------------------------------------------------------- */

/* HDF5 1.10 crashes when the program ends if it could not write all of a file when it closed it. So
 * once a write has failed, what it still has goes to memory, where it cannot fail.  A limit on the
 * size of files holds for such memory too: it is lifted until the file is closed. */
static void divert(ls_h5_output *output) {
    void *handle;
    if (output->failed || output->file < 0 ||
        H5Fget_vfd_handle(output->file, H5P_DEFAULT, &handle) < 0)
        return;
    output->failed = true;
    int memory = memfd_create("lockstep", MFD_CLOEXEC);
    if (memory < 0)
        return;
    dup3(memory, *(int *)handle, O_CLOEXEC);
    close(memory);
    getrlimit(RLIMIT_FSIZE, &output->limit);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){output->limit.rlim_max, output->limit.rlim_max});
}

/* Closes a file that nobody wants any more. */
static void close_diverted(ls_h5_output *output) {
    divert(output);
    H5Fclose(output->file);
    if (output->limit.rlim_max > 0)
        setrlimit(RLIMIT_FSIZE, &output->limit);
}

ls_status ls_h5_output_fail(ls_h5_output *output) {
    ls_status status = ls_h5_fail(LS_ERR_SYSTEM, "cannot write '%s'", output->path);
    divert(output);
    return status;
}

/* Gets the space that the file has so far given to its parts, holes included.  When H5Fflush or
 * H5Dflush finds no room for metadata, HDF5 1.10 cannot close the file any more and crashes when
 * the program, or MPI, ends: it may not come to that. */
static ls_status get_room(ls_h5_output *output) {
    void *handle;
    hsize_t bytes;
    if (H5Fget_vfd_handle(output->file, H5P_DEFAULT, &handle) < 0 ||
        H5Fget_filesize(output->file, &bytes) < 0)
        return ls_h5_output_fail(output);
    if (fallocate(*(int *)handle, 0, 0, (off_t)bytes) == 0 || !ls_is_system_trouble(errno))
        return LS_OK; /* some file systems cannot do it */
    ls_status status =
        ls_fail(LS_ERR_SYSTEM, "cannot write '%s': %s", output->path, strerror(errno));
    divert(output);
    return status;
}

/* Room beside the values, for HDF5's own data and chunks that are begun. */
enum { ROOM_BESIDE = 4 << 20 };

/* A limit that cannot be lifted holds for the memory of `divert` too: what might pass it is refused
 * before HDF5 begins with it. */
ls_status ls_h5_output_room(ls_h5_output *output, size_t bytes) {
    struct rlimit limit;
    hsize_t there = 0;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_max == RLIM_INFINITY)
        return LS_OK;
    if (output->file >= 0 && H5Fget_filesize(output->file, &there) < 0)
        return ls_h5_output_fail(output);
    if (there + bytes + ROOM_BESIDE > limit.rlim_max)
        return ls_fail(LS_ERR_SYSTEM, "cannot write '%s': %s (see ulimit -f)", output->path,
                       strerror(EFBIG));
    return LS_OK;
}

/* Cuts off what get_room took and HDF5 gave back. */
static ls_status cut_room(ls_h5_output *output) {
    void *handle;
    hsize_t bytes;
    if (H5Fget_vfd_handle(output->file, H5P_DEFAULT, &handle) < 0 ||
        H5Fget_filesize(output->file, &bytes) < 0 || ftruncate(*(int *)handle, (off_t)bytes) != 0)
        return ls_h5_output_fail(output);
    return LS_OK;
}

ls_status ls_h5_output_end(ls_h5_output *output, hid_t dataset) {
    ls_status status = get_room(output);
    if (status == LS_OK && H5Dflush(dataset) < 0)
        status = ls_h5_output_fail(output);
    H5Dclose(dataset);
    return status;
}

/* ---- the file ------------------------------------------------------------------------------- */

/* The folder of a path; free with ls_free. */

/* A plain file first: the system says why it cannot be, HDF5 would not. */
static ls_status reserve(const ls_h5_output *output) {
    struct stat info;
    if (stat(output->path, &info) == 0 && !S_ISREG(info.st_mode))
        return ls_fail(LS_ERR_INPUT, "cannot write '%s': it is a %s, and HDF5 needs a file",
                       output->path, S_ISDIR(info.st_mode) ? "folder" : "device or pipe");
    unlink(output->temporary);
    int descriptor = open(output->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0) {
        close(descriptor);
        return LS_OK;
    }
    int reason = errno;
    char *folder = ls_folder_of(output->path);
    ls_status status = ls_fail(ls_is_system_trouble(reason) ? LS_ERR_SYSTEM : LS_ERR_INPUT,
                               "cannot make '%s' in folder '%s': %s", output->path,
                               folder ? folder : "?", strerror(reason));
    ls_free(folder);
    return status;
}

/* The oldest layout that holds what we write: every HDF5 reads it, and it has no mark of being open
 * for writing that a killed process would leave behind. */
static ls_status create_file(ls_h5_output *output) {
    hid_t access = ls_h5_access(), creation = H5Pcreate(H5P_FILE_CREATE);
    ls_status status = LS_OK;
    H5Pset_userblock(creation, output->sealed ? LS_H5_SEAL : 0);
    H5Pset_libver_bounds(access, H5F_LIBVER_EARLIEST, H5F_LIBVER_LATEST);
    output->file = H5Fcreate(output->temporary, H5F_ACC_TRUNC, creation, access);
    if (output->file < 0)
        status = ls_h5_output_fail(output);
    ls_h5_release(creation);
    ls_h5_release(access);
    return status;
}

static ls_status stamp(ls_h5_output *output, const char *format, time_t created) {
    char when[LS_TIME_TEXT];
    LS_TRY(ls_h5_output_text(output, "format", format));
    LS_TRY(ls_h5_output_integer(output, output->file, "format_version", LS_FORMAT_VERSION));
    LS_TRY(ls_h5_output_text(output, "provenance/created", ls_time_text(created, when)));
    LS_TRY(ls_h5_output_text(output, "provenance/version", ls_build_version()));
    LS_TRY(ls_h5_output_text(output, "provenance/revision", ls_build_revision()));
    LS_TRY(ls_h5_output_text(output, "provenance/compiler", ls_build_compiler()));
    LS_TRY(ls_h5_output_text(output, "provenance/flags", ls_build_flags()));
    return ls_h5_output_text(output, "provenance/hdf5", ls_io_library());
}

ls_status ls_h5_output_open(const char *path, const char *format, time_t created, bool sealed,
                            ls_h5_output *output) {
    ls_h5_output made = LS_H5_NO_OUTPUT;
    ls_status status = LS_ERR_SYSTEM;
    ls_h5_quiet();
    made.sealed = sealed;
    made.path = ls_strdup(path);
    char *temporary = ls_format("%s.tmp.%ld", path, (long)getpid());
    if (made.path == NULL || temporary == NULL)
        goto failed;
    made.temporary = temporary;
    ls_temporary_set(temporary);
    LS_TRY_GOTO(failed, reserve(&made));
    LS_TRY_GOTO(failed, ls_h5_output_room(&made, 0));
    LS_TRY_GOTO(failed, create_file(&made));
    LS_TRY_GOTO(failed, stamp(&made, format, created));
    *output = made;
    return LS_OK;
failed:
    if (made.temporary == NULL)
        ls_free(temporary);
    ls_h5_output_free(&made);
    return status;
}

ls_status ls_h5_output_close(ls_h5_output *output) {
    if (output->file < 0)
        return LS_OK;
    if (output->failed)
        return ls_fail(LS_ERR_SYSTEM, "cannot write '%s': an earlier write failed", output->path);
    LS_TRY(get_room(output));
    if (H5Fflush(output->file, H5F_SCOPE_LOCAL) < 0)
        return ls_h5_output_fail(output);
    LS_TRY(cut_room(output));
    herr_t result = H5Fclose(output->file);
    output->file = H5I_INVALID_HID;
    return result < 0 ? ls_h5_output_fail(output) : LS_OK;
}

ls_status ls_h5_output_publish(ls_h5_output *output) {
    LS_TRY(ls_h5_output_close(output));
    if (output->sealed)
        LS_TRY(ls_h5_seal(output->temporary, output->path));
    LS_TRY(ls_file_publish(output->temporary, output->path));
    ls_free(output->temporary);
    output->temporary = NULL;
    return LS_OK;
}

void ls_h5_output_free(ls_h5_output *output) {
    if (output->file >= 0)
        close_diverted(output);
    if (output->temporary) {
        unlink(output->temporary);
        ls_temporary_set(NULL);
    }
    ls_free(output->temporary);
    ls_free(output->path);
    *output = LS_H5_NO_OUTPUT;
}

/* ---- groups --------------------------------------------------------------------------------- */

ls_status ls_h5_output_group(ls_h5_output *output, const char *path, hid_t *group) {
    hid_t at = H5Gopen2(output->file, "/", H5P_DEFAULT);
    while (at >= 0 && *path) {
        size_t length = strcspn(path, "/");
        char *part = ls_format("%.*s", (int)length, path);
        if (part == NULL) {
            ls_h5_release(at);
            return LS_ERR_SYSTEM;
        }
        path += length + (path[length] == '/');
        if (length == 0) {
            ls_free(part);
            continue;
        }
        htri_t exists = H5Lexists(at, part, H5P_DEFAULT);
        hid_t next = exists > 0 ? H5Gopen2(at, part, H5P_DEFAULT)
                                : H5Gcreate2(at, part, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        ls_free(part);
        if (next < 0) {
            ls_status status = ls_h5_output_fail(output);
            ls_h5_release(at);
            return status;
        }
        ls_h5_release(at);
        at = next;
    }
    if (at < 0)
        return ls_h5_output_fail(output);
    *group = at;
    return LS_OK;
}

ls_status ls_h5_output_parent(ls_h5_output *output, const char *path, hid_t *group,
                              const char **name) {
    const char *slash = strrchr(path, '/');
    char *parent = slash ? ls_format("%.*s", (int)(slash - path), path) : ls_strdup("");
    if (parent == NULL)
        return LS_ERR_SYSTEM;
    ls_status status = ls_h5_output_group(output, parent, group);
    ls_free(parent);
    *name = slash ? slash + 1 : path;
    return status;
}

/* ---- values --------------------------------------------------------------------------------- */

/* Of a fixed length: texts of variable length lie in HDF5's global heap, which it reads without
 * care for damage. */
static hid_t string_type(size_t bytes) {
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, bytes > 0 ? bytes : 1);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

static ls_status write_attribute(ls_h5_output *output, hid_t object, const char *name, hid_t file,
                                 hid_t memory, const void *value) {
    ls_status status = LS_OK;
    if (H5Aexists(object, name) > 0)
        H5Adelete(object, name);
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(object, name, file, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0 || H5Awrite(attribute, memory, value) < 0)
        status = ls_h5_output_fail(output);
    ls_h5_release(attribute);
    ls_h5_release(space);
    return status;
}

/* The strings side by side, each in `bytes` bytes. */
static ls_status pack_strings(const char *const *strings, size_t count, size_t *bytes,
                              char **packed) {
    *bytes = 1;
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(strings[i]);
        *bytes = length > *bytes ? length : *bytes;
    }
    LS_TRY(LS_NEW(*packed, count * *bytes));
    for (size_t i = 0; i < count; i++)
        memcpy(*packed + i * *bytes, strings[i], strlen(strings[i]));
    return LS_OK;
}

/* `space`: a scalar or a vector of `count`. */
static ls_status write_strings(ls_h5_output *output, hid_t group, const char *name, hid_t space,
                               const char *const *strings, size_t count) {
    size_t bytes;
    char *packed;
    LS_TRY(pack_strings(strings, count, &bytes, &packed));
    ls_status status = ls_h5_output_room(output, bytes * count);
    if (status != LS_OK) {
        ls_free(packed);
        return status;
    }
    hid_t type = string_type(bytes);
    if (H5Lexists(group, name, H5P_DEFAULT) > 0)
        H5Ldelete(group, name, H5P_DEFAULT);
    hid_t dataset = H5Dcreate2(group, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (dataset < 0 || H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, packed) < 0)
        status = ls_h5_output_fail(output);
    if (dataset >= 0 && status == LS_OK)
        status = ls_h5_output_end(output, dataset);
    else
        ls_h5_release(dataset);
    ls_h5_release(type);
    ls_free(packed);
    return status;
}

ls_status ls_h5_output_label(ls_h5_output *output, hid_t object, const char *name,
                             const char *value) {
    hid_t type = string_type(strlen(value));
    ls_status status = write_attribute(output, object, name, type, type, value);
    ls_h5_release(type);
    return status;
}

ls_status ls_h5_output_integer(ls_h5_output *output, hid_t object, const char *name,
                               int64_t value) {
    return write_attribute(output, object, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
}

ls_status ls_h5_output_text(ls_h5_output *output, const char *path, const char *value) {
    hid_t group;
    const char *name;
    ls_status status;
    LS_TRY(ls_h5_output_parent(output, path, &group, &name));
    if (strcmp(path, "configuration") == 0 || strlen(value) > ATTRIBUTE_LIMIT) {
        hid_t space = H5Screate(H5S_SCALAR);
        status = write_strings(output, group, name, space, &value, 1);
        ls_h5_release(space);
    } else {
        status = ls_h5_output_label(output, group, name, value);
    }
    ls_h5_release(group);
    return status;
}

ls_status ls_h5_output_number(ls_h5_output *output, const char *path, double value) {
    hid_t group;
    const char *name;
    LS_TRY(ls_h5_output_parent(output, path, &group, &name));
    ls_status status =
        write_attribute(output, group, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value);
    ls_h5_release(group);
    return status;
}

ls_status ls_h5_output_strings(ls_h5_output *output, const char *name, const char *const *strings,
                               size_t count) {
    hsize_t size = count;
    hid_t space = H5Screate_simple(1, &size, NULL);
    ls_status status = write_strings(output, output->file, name, space, strings, count);
    ls_h5_release(space);
    return status;
}
