/* system tests: running commands, and the small inputs they run on. */
#include "system/command.h"

#include <criterion/criterion.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS_ALLOWED 120

static char *format_text(const char *format, va_list arguments) {
    char *result = NULL;
    cr_assert(vasprintf(&result, format, arguments) >= 0);
    return result;
}

char *text(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *result = format_text(format, arguments);
    va_end(arguments);
    return result;
}

/* ---- where ---------------------------------------------------------------------------------- */

static char *folder; /* Criterion runs each test in a process of its own */

const char *workspace(void) {
    if (!folder) {
        const char *parent = getenv("TMPDIR");
        folder = text("%s/lockstep-test-XXXXXX", parent ? parent : "/tmp");
        cr_assert_not_null(mkdtemp(folder), "no folder for the test: %s", folder);
    }
    return folder;
}

void workspace_remove(void) {
    if (folder)
        run_well("chmod -R u+w %s && rm -rf %s", folder, folder);
}

const char *build_folder(void) {
    const char *given = getenv("LS_BUILD");
    return given ? given : "build";
}

const char *program(void) {
    return text("%s/lockstep", build_folder());
}

const char *mpirun(int ranks) {
    /* Other tests share the cores: no binding, and whoever waits yields. */
    return text("MPIRUN_SHARED=1 MPIRUN_PROGRAM=%s scripts/mpirun.sh %d", program(), ranks);
}

bool exists(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *pattern = format_text(format, arguments);
    va_end(arguments);
    glob_t found;
    bool any = glob(pattern, 0, NULL, &found) == 0;
    if (any)
        globfree(&found);
    return any;
}

/* ---- running -------------------------------------------------------------------------------- */

static char *read_all(FILE *stream) {
    char *data = NULL, block[4096];
    size_t length = 0, count;
    FILE *memory = open_memstream(&data, &length);
    cr_assert_not_null(memory);
    while ((count = fread(block, 1, sizeof block, stream)) > 0)
        fwrite(block, 1, count, memory);
    fclose(memory);
    return data;
}

static outcome run_command(const char *format, va_list arguments) {
    char *script = text("%s\n", format_text(format, arguments));
    setenv("LS_TEST_SCRIPT", script, 1); /* no quoting needed */
    char *command =
        text("exec timeout -k 5 %d bash -c \"$LS_TEST_SCRIPT\" 2>&1 </dev/null", SECONDS_ALLOWED);
    FILE *stream = popen(command, "r");
    cr_assert_not_null(stream, "cannot start: %s", script);
    outcome result = {.output = read_all(stream)};
    int status = pclose(stream);
    result.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    cr_assert_neq(result.code, 124, "ran longer than %d s: %s%s", SECONDS_ALLOWED, script,
                  result.output);
    return result;
}

outcome run(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    outcome result = run_command(format, arguments);
    va_end(arguments);
    return result;
}

const char *run_well(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    outcome result = run_command(format, arguments);
    va_end(arguments);
    cr_assert_eq(result.code, 0, "exit code %d of: %s\n%s", result.code, getenv("LS_TEST_SCRIPT"),
                 result.output);
    return result.output;
}

void run_refused(const char *const *words, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    outcome result = run_command(format, arguments);
    va_end(arguments);
    const char *script = getenv("LS_TEST_SCRIPT");
    cr_assert_eq(result.code, 2, "exit code %d, not 2, of: %s\n%s", result.code, script,
                 result.output);
    const char *message = NULL;
    int messages = 0;
    char *rest = text("%s", result.output);
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (strncmp(line, "lockstep: ", 10) == 0) {
            message = line;
            messages++;
        }
    }
    cr_assert_eq(messages, 1, "%d messages, not 1, of: %s\n%s", messages, script, result.output);
    for (; *words; words++)
        cr_expect_not_null(strstr(message, *words), "no \"%s\" in \"%s\", of: %s", *words, message,
                           script);
}

const char *python_with(const char *modules) {
    const char *const known[] = {getenv("LS_TORCH_PYTHON"), "python3", "/usr/bin/python3"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i] && run("%s -c 'import %s'", known[i], modules).code == 0)
            return known[i];
    return NULL;
}

/* ---- inputs --------------------------------------------------------------------------------- */

const char *write_file(const char *name, const char *content) {
    const char *path = text("%s/%s", workspace(), name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file, "cannot write %s", path);
    cr_assert(fputs(content, file) >= 0);
    cr_assert_eq(fclose(file), 0);
    return path;
}

static const char *fashion_mnist(void) {
    const char *given = getenv("FASHION_MNIST");
    return given ? given : "/usr/share/datasets/fashion-mnist";
}

/* The first `count` records of a gzipped IDX file: the same header, but for the count.  No more is
 * unpacked than that. */
static void cut_idx(const char *path, const char *source, int header, int record, int count) {
    run_well("gzip -dc %s/%s.gz 2>/dev/null | { head -c 4; head -c 4 >/dev/null; "
             "printf '\\x%02x\\x%02x\\x%02x\\x%02x'; head -c %d; } >%s",
             fashion_mnist(), source, count >> 24 & 255, count >> 16 & 255, count >> 8 & 255,
             count & 255, header - 8 + record * count, path);
}

void make_idx(const char *prefix, const char *source, int count) {
    cut_idx(text("%s/%s-images", workspace(), prefix), text("%s-images-idx3-ubyte", source), 16,
            28 * 28, count);
    cut_idx(text("%s/%s-labels", workspace(), prefix), text("%s-labels-idx1-ubyte", source), 8, 1,
            count);
}

const char *make_dataset(int train, int test) {
    const char *path = text("%s/data.h5", workspace());
    make_idx("train", "train", train);
    make_idx("test", "t10k", test);
    run_well("%s convert --train-inputs %s/train-images --train-targets %s/train-labels "
             "--test-inputs %s/test-images --test-targets %s/test-labels -o %s",
             program(), workspace(), workspace(), workspace(), workspace(), path);
    return path;
}

const char *make_config(void) {
    return write_file("config.yaml", text("seed: 7\n"
                                          "data: {file: %s/data.h5}\n"
                                          "batch: {size: 96, slices: 8}\n"
                                          "find_lr: {start: 1e-4, end: 1, steps: 24, beta: 0.9}\n"
                                          "model:\n"
                                          "  layers:\n"
                                          "    - conv: {filters: 4, kernel: 3, padding: 1}\n"
                                          "    - batch_norm\n"
                                          "    - relu\n"
                                          "    - max_pool: {size: 4}\n"
                                          "    - residual:\n"
                                          "        body:\n"
                                          "          - conv: {filters: 4, kernel: 3, padding: 1}\n"
                                          "          - batch_norm\n"
                                          "    - relu\n"
                                          "    - flatten\n"
                                          "    - dropout: {rate: 0.3}\n"
                                          "    - dense: {units: 10}\n",
                                          workspace()));
}

/* ---- outputs -------------------------------------------------------------------------------- */

const char *digest_of(const char *file) {
    const char *line = run_well("%s info --digest %s", program(), file);
    cr_assert_eq(strspn(line, "0123456789abcdef"), 32, "no digest: %s", line);
    return text("%.32s", line);
}

const char *last_digest(const char *run_folder) {
    return digest_of(text("$(ls %s/checkpoint-*.h5 | sort -V | tail -n 1)", run_folder));
}

const char *h5_number(const char *what, const char *file) {
    return run_well(
        "h5dump %s -m %%.17g %s | sed -n 's/^ *([0-9]*): //p' | head -n 1 | tr -d '\\n'", what,
        file);
}
