/* Fuzz target: conversion.  The first byte says how, the next two the length of the inputs' file,
 * and what is behind it is the file of the targets, or a second one of training samples, or test
 * samples.  Nothing may be left when it fails; what was made must be readable. */
#include <stdio.h>

#include "fuzz.h"
#include "lockstep/data.h"
#include "lockstep/io.h"

enum { HEAD = 3, SECOND_TRAIN = 8, TEST = 16, REGRESSION = 32, BY_NAME = 64, NAMES = 128 };

static ls_convert_job job_of(uint8_t how, const char *const *first, const char *const *second) {
    static const char *const formats[8] = {"auto", "idx", "cifar10", "cifar100",
                                           "csv",  "npy", "auto",    "csv"};
    static const char *const names[] = {"a", "b", "c"};
    ls_convert_job job = {.format = formats[how % 8], .output = fuzz_path("out.h5")};
    job.train = (ls_convert_split){.inputs = first, .input_count = 1};
    if (how & SECOND_TRAIN)
        job.train.input_count = 2; /* `second` stands behind `first` */
    else if (how & TEST)
        job.test = (ls_convert_split){.inputs = second, .input_count = 1};
    else if (**second)
        job.train.targets = second, job.train.target_count = 1;
    job.regression = how & REGRESSION;
    job.target_column = how & BY_NAME ? "b" : NULL;
    job.class_names = names;
    job.class_name_count = how & NAMES ? 3 : 0;
    return job;
}

static void read_back(const char *path) {
    ls_array *array;
    char **names;
    size_t count;
    FUZZ_CHECK(ls_array_open(NULL, path, "train/inputs", &array) == LS_OK);
    ls_array_close(array);
    FUZZ_CHECK(ls_class_names_read(path, &names, &count) == LS_OK);
    for (size_t i = 0; i < count; i++)
        ls_free(names[i]);
    ls_free(names);
    remove(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < HEAD)
        return 0;
    const size_t rest = size - HEAD, wanted = data[1] | (size_t)data[2] << 8;
    const size_t length = wanted < rest ? wanted : rest;
    const char *files[2] = {fuzz_file("a.bin", data + HEAD, length), ""};
    ls_text summary = {0};
    if (rest > length)
        files[1] = fuzz_file("b.bin", data + HEAD + length, rest - length);
    const ls_convert_job job = job_of(data[0], files, files + 1);
    if (fuzz_worked(ls_convert(&job, &summary)))
        read_back(job.output);
    FUZZ_CHECK(fuzz_file_count() <= 2);
    ls_text_free(&summary);
    return 0;
}
