/* Source files for the conversion tests. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "lockstep/base.h"
#include "unit/test_convert.h"

static char folder[4096];

void convert_enter(void) {
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/lockstep-XXXXXX", base ? base : "/tmp");
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
}

void convert_leave(void) {
    char command[4200];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert_eq(chdir("/"), 0);
    cr_assert_eq(system(command), 0);
}

void write_file(const char *name, const void *data, size_t bytes) {
    FILE *file = fopen(name, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(data, 1, bytes, file), bytes);
    fclose(file);
}

void write_text(const char *name, const char *text) {
    write_file(name, text, strlen(text));
}

void write_gzip(const char *name, const void *data, size_t bytes) {
    gzFile file = gzopen(name, "wb");
    cr_assert_eq(gzwrite(file, data, (unsigned)bytes), (int)bytes);
    cr_assert_eq(gzclose(file), Z_OK);
}

void cut_file(const char *name, size_t bytes) {
    cr_assert_eq(truncate(name, (off_t)bytes), 0);
}

size_t write_idx(const char *name, int code, int ndims, const int *sizes, const void *values,
                 size_t bytes) {
    unsigned char *data = calloc(1, 64 + bytes);
    size_t length = 4;
    data[2] = (unsigned char)code;
    data[3] = (unsigned char)ndims;
    for (int d = 0; d < ndims; d++)
        for (int shift = 24; shift >= 0; shift -= 8)
            data[length++] = (unsigned char)((unsigned)sizes[d] >> shift);
    memcpy(data + length, values, bytes);
    if (strlen(name) > 3 && strcmp(name + strlen(name) - 3, ".gz") == 0)
        write_gzip(name, data, length + bytes);
    else
        write_file(name, data, length + bytes);
    free(data);
    return length + bytes;
}

void write_npy(const char *name, int version, const char *header, const void *values,
               size_t bytes) {
    const size_t length = strlen(header), width = version == 1 ? 2 : 4;
    unsigned char *data = calloc(1, 16 + length + bytes);
    memcpy(data, "\x93NUMPY", 6);
    data[6] = (unsigned char)version;
    for (size_t i = 0; i < width; i++)
        data[8 + i] = (unsigned char)(length >> 8 * i);
    memcpy(data + 8 + width, header, length);
    memcpy(data + 8 + width + length, values, bytes);
    write_file(name, data, 8 + width + length + bytes);
    free(data);
}

int count_files(void) {
    int count = 0;
    DIR *open = opendir(".");
    for (struct dirent *entry; (entry = readdir(open));)
        count += entry->d_name[0] != '.' || strlen(entry->d_name) > 2;
    closedir(open);
    return count;
}

void refused(int line, int status, const char *const *words) {
    cr_assert_eq(status, LS_ERR_INPUT, "line %d: status %d: %s", line, status, ls_message());
    for (; *words; words++)
        cr_assert_not_null(strstr(ls_message(), *words), "line %d: no '%s' in: %s", line, *words,
                           ls_message());
    cr_assert_null(strchr(ls_message(), '\n'));
    ls_message_set("");
}
