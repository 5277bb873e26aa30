/* Well-known datasets by the names of their files: MNIST and its like (IDX), CIFAR-10, CIFAR-100.
 */
#include "lockstep/data.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static const struct known_file {
    const char *format;
    ls_file_role role;
    const char *name;
} known_files[] = {{"idx", LS_FILE_TRAIN_INPUTS, "train-images-idx3-ubyte"},
                   {"idx", LS_FILE_TRAIN_TARGETS, "train-labels-idx1-ubyte"},
                   {"idx", LS_FILE_TEST_INPUTS, "t10k-images-idx3-ubyte"},
                   {"idx", LS_FILE_TEST_TARGETS, "t10k-labels-idx1-ubyte"},
                   {"cifar10", LS_FILE_TRAIN_INPUTS, "data_batch_1.bin"},
                   {"cifar10", LS_FILE_TRAIN_INPUTS, "data_batch_2.bin"},
                   {"cifar10", LS_FILE_TRAIN_INPUTS, "data_batch_3.bin"},
                   {"cifar10", LS_FILE_TRAIN_INPUTS, "data_batch_4.bin"},
                   {"cifar10", LS_FILE_TRAIN_INPUTS, "data_batch_5.bin"},
                   {"cifar10", LS_FILE_TEST_INPUTS, "test_batch.bin"},
                   {"cifar10", LS_FILE_CLASS_NAMES, "batches.meta.txt"},
                   {"cifar100", LS_FILE_TRAIN_INPUTS, "train.bin"},
                   {"cifar100", LS_FILE_TEST_INPUTS, "test.bin"},
                   {"cifar100", LS_FILE_CLASS_NAMES, "fine_label_names.txt"}};
enum { KNOWN = sizeof known_files / sizeof known_files[0] };

/* *path is the new path of the file in this folder, NULL if it has none: under its name, as some
 * tools unpack it ("train-images.idx3-ubyte"), or either with .gz. */
static ls_status find_file(const char *folder, const char *name, char **path) {
    const char *idx = strstr(name, "-idx");
    const int before = idx ? (int)(idx - name) : (int)strlen(name);
    for (int variant = 0; variant < (idx ? 4 : 1); variant++) {
        struct stat info;
        char *candidate =
            ls_format("%s/%.*s%s%s%s", folder, before, name, idx ? (variant % 2 ? "." : "-") : "",
                      idx ? idx + 1 : "", variant / 2 ? ".gz" : "");
        if (!candidate)
            return LS_ERR_SYSTEM;
        if (stat(candidate, &info) == 0 && S_ISREG(info.st_mode)) {
            *path = candidate;
            return LS_OK;
        }
        ls_free(candidate);
    }
    *path = NULL;
    return LS_OK;
}

static bool is_test(ls_file_role role) {
    return role == LS_FILE_TEST_INPUTS || role == LS_FILE_TEST_TARGETS;
}

/* Collects the files of one format.  A format without its first file is not there at all; otherwise
 * all training files are needed, and of the test files all or none. */
static ls_status collect(const char *folder, const char *format, ls_folder *found) {
    const char *missing_train = NULL, *missing_test = NULL;
    bool any_test = false;
    for (int i = 0; i < KNOWN; i++) {
        const struct known_file *known = &known_files[i];
        char *path;
        if (strcmp(known->format, format) != 0)
            continue;
        LS_TRY(find_file(folder, known->name, &path));
        if (path) {
            found->path[known->role][found->count[known->role]++] = path;
            found->format = format;
            any_test |= is_test(known->role);
        } else if (is_test(known->role)) {
            missing_test = known->name;
        } else if (known->role != LS_FILE_CLASS_NAMES) {
            missing_train = known->name;
        }
    }
    const char *missing = missing_train ? missing_train : any_test ? missing_test : NULL;
    if (found->format && missing)
        return ls_fail(LS_ERR_INPUT, "%s: some files of the format %s are there, but not %s",
                       folder, format, missing);
    return LS_OK;
}

ls_status ls_folder_find(const char *folder, ls_folder *files) {
    static const char *const formats[] = {"idx", "cifar10", "cifar100"};
    ls_folder found = {0};
    struct stat info;
    ls_status status = LS_OK;
    if (stat(folder, &info) != 0)
        return ls_fail(LS_ERR_INPUT, "%s: %s", folder, strerror(errno));
    if (!S_ISDIR(info.st_mode))
        return ls_fail(LS_ERR_INPUT,
                       "%s: not a folder; --train-inputs and --train-targets name files", folder);
    for (size_t i = 0; i < sizeof formats / sizeof formats[0] && !found.format; i++)
        LS_TRY_GOTO(failed, collect(folder, formats[i], &found));
    if (!found.format) {
        status = ls_fail(LS_ERR_INPUT,
                         "%s: no known dataset; expected files named as those of MNIST "
                         "(train-images-idx3-ubyte[.gz], ...), CIFAR-10 (data_batch_1.bin, ...) or "
                         "CIFAR-100 (train.bin, test.bin)",
                         folder);
        goto failed;
    }
    *files = found;
    return LS_OK;
failed:
    ls_folder_free(&found);
    return status;
}

void ls_folder_free(ls_folder *files) {
    for (int role = 0; role < LS_FILE_ROLES; role++)
        for (size_t i = 0; i < files->count[role]; i++)
            ls_free(files->path[role][i]);
    *files = (ls_folder){0};
}
