/* Source files for the conversion tests, in a folder of their own. */
#ifndef LOCKSTEP_TESTS_UNIT_TEST_CONVERT_H
#define LOCKSTEP_TESTS_UNIT_TEST_CONVERT_H

#include <stddef.h>

/* Fixtures: make and remove the folder, which is then the working folder. */
void convert_enter(void);
void convert_leave(void);

void write_file(const char *name, const void *data, size_t bytes);
void write_text(const char *name, const char *text);
void write_gzip(const char *name, const void *data, size_t bytes);
/* Cuts the file to its first `bytes` bytes. */
void cut_file(const char *name, size_t bytes);
/* IDX: type code, sizes, then `bytes` bytes of values; returns the file's size. */
size_t write_idx(const char *name, int code, int ndims, const int *sizes, const void *values,
                 size_t bytes);
/* NPY of this version with this header text. */
void write_npy(const char *name, int version, const char *header, const void *values, size_t bytes);
/* Files in the folder. */
int count_files(void);

/* Fails unless `status` is LS_ERR_INPUT and the message holds each of the words. */
#define REFUSED(status, ...) refused(__LINE__, (status), (const char *[]){__VA_ARGS__, NULL})
void refused(int line, int status, const char *const *words);

#endif
