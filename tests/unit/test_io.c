/* Helpers of the tests of io, see test_io.h; and the tests of element types. */
#include "test_io.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the folder ----------------------------------------------------------------------------- */

static char folder[256];

const char *io_path(const char *name) {
    static char paths[8][512];
    static int next;
    if (folder[0] == '\0') {
        const char *parent = getenv("TMPDIR");
        snprintf(folder, sizeof folder, "%s/lockstep-io-XXXXXX", parent ? parent : "/tmp");
        cr_assert_not_null(mkdtemp(folder), "cannot make %s", folder);
    }
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

void io_exit_limited(int code) {
#ifdef __SANITIZE_ADDRESS__
    _exit(code);
#endif
    exit(code);
}

int io_file_count(void) {
    int count = 0;
    DIR *all = folder[0] ? opendir(folder) : NULL;
    for (struct dirent *entry; all && (entry = readdir(all));)
        count += entry->d_name[0] != '.';
    if (all)
        closedir(all);
    return count;
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *place) {
    (void)about, (void)kind, (void)place;
    return remove(path);
}

void io_remove(void) {
    if (folder[0])
        nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- other programs ------------------------------------------------------------------------- */

const char *io_command(const char *format, ...) {
    static char output[1 << 16];
    char command[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    FILE *pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    size_t length = fread(output, 1, sizeof output - 1, pipe);
    output[length] = '\0';
    cr_assert_eq(pclose(pipe), 0, "failed: %s: %s", command, output);
    return output;
}

const char *io_python(void) {
    static const char *const known[] = {"python3", "/usr/bin/python3"};
    static const char *found;
    for (size_t i = 0; found == NULL && i < sizeof known / sizeof known[0]; i++) {
        char command[128];
        snprintf(command, sizeof command, "%s -c 'import h5py' 2>/dev/null", known[i]);
        if (system(command) == 0)
            found = known[i];
    }
    return found ? found : "";
}

size_t io_read_elsewhere(const char *file, const char *dataset, size_t limit, double *values) {
    const char *text =
        *io_python() ? io_command("%s -c 'import h5py, sys\n"
                                  "for x in h5py.File(sys.argv[1], \"r\")[sys.argv[2]][...].flat: "
                                  "print(repr(float(x)))' %s %s",
                                  io_python(), file, dataset)
                     : io_command("h5dump -y -w 1 -m %%.17g -d %s %s | sed '1,/DATA {/d; /}/,$d; "
                                  "s/,//'",
                                  dataset, file);
    size_t count = 0;
    for (char *end; count < limit; text = end) {
        values[count] = strtod(text, &end);
        if (end == text)
            break;
        count++;
    }
    return count;
}

const char *io_text_elsewhere(const char *file, const char *group, const char *attribute) {
    if (*io_python())
        return io_command("%s -c 'import h5py, sys\n"
                          "text = h5py.File(sys.argv[1], \"r\")[sys.argv[2]].attrs[sys.argv[3]]\n"
                          "print(text.decode(), end=\"\")' %s %s %s",
                          io_python(), file, group, attribute);
    return io_command("h5dump -y -a %s/%s %s | sed '1,/DATA {/d; /^ *}/,$d; s/^ *\"//; s/\"$//' | "
                      "tr -d '\\n'",
                      group, attribute, file);
}

const char *io_examples(const char *files) {
    return io_command(
        "(cd %s && %s -c '\n"
        "import re, sys\n"
        "for code in re.findall(\"`{3}python\\n(.*?)`{3}\", sys.stdin.read(), re.S):\n"
        "    if re.search(sys.argv[1], code) and \"xxhash\" not in code: exec(code)\n"
        "' '%s') <src/io/FORMAT.md",
        io_path(""), io_python(), files);
}

/* ---- damage and refusals -------------------------------------------------------------------- */

char *io_load(const char *file, size_t *bytes) {
    FILE *stream = fopen(file, "rb");
    cr_assert_not_null(stream, "%s", file);
    fseek(stream, 0, SEEK_END);
    *bytes = (size_t)ftell(stream);
    rewind(stream);
    char *content = malloc(*bytes + 1);
    cr_assert_eq(fread(content, 1, *bytes, stream), *bytes);
    fclose(stream);
    return content;
}

void io_damage(const char *file, const void *pattern, size_t bytes) {
    size_t size;
    char *content = io_load(file, &size);
    char *found = memmem(content, size, pattern, bytes);
    cr_assert_not_null(found, "the pattern is not in %s", file);
    *found = (char)~*found;
    FILE *stream = fopen(file, "wb");
    cr_assert_eq(fwrite(content, 1, size, stream), size);
    cr_assert_eq(fclose(stream), 0);
    free(content);
}

void io_refused(ls_status got, ls_status status, const char *const *words) {
    const char *message = ls_message();
    cr_expect_eq(got, status, "status %d: %s", got, message);
    for (; *words; words++)
        cr_expect_not_null(strstr(message, *words), "no '%s' in: %s", *words, message);
    cr_expect_null(strchr(message, '\n'), "several lines: %s", message);
    ls_message_set("");
}

/* ---- types ---------------------------------------------------------------------------------- */

Test(io_types, sizes_and_names) {
    cr_assert_eq(ls_type_size(LS_TYPE_U8), 1);
    cr_assert_eq(ls_type_size(LS_TYPE_I16), 2);
    cr_assert_eq(ls_type_size(LS_TYPE_F32), 4);
    cr_assert_eq(ls_type_size(LS_TYPE_U64), 8);
    cr_assert_eq(ls_type_size(LS_TYPE_F64), 8);
    cr_assert_str_eq(ls_type_name(LS_TYPE_U8), "uint8");
    cr_assert_str_eq(ls_type_name(LS_TYPE_I64), "int64");
    cr_assert_str_eq(ls_type_name(LS_TYPE_F32), "float32");
}

Test(io_types, library_is_named) {
    cr_assert_eq(strncmp(ls_io_library(), "HDF5 1.", 7), 0, "%s", ls_io_library());
}
