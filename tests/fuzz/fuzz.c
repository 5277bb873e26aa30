/* Helpers of the fuzz targets, see fuzz.h, and how the sanitizers are set. */
#include "fuzz.h"

#include <dirent.h>
#include <hdf5.h>
#include <sanitizer/common_interface_defs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the sanitizers ------------------------------------------------------------------------- */

const char *__asan_default_options(void);
const char *__lsan_default_suppressions(void);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* A file that claims to be huge finds no memory: our code is to say so.  What was freed need not be
 * kept for long: each input begins anew. */
const char *__asan_default_options(void) {
    return "allocator_may_return_null=1:max_allocation_size_mb=256:quarantine_size_mb=4:"
           "detect_stack_use_after_return=1:handle_abort=1:handle_sigill=1";
}

/* What others keep. */
const char *__lsan_default_suppressions(void) {
    return "leak:libhdf5\nleak:libmpi\nleak:libopen-pal\nleak:libopen-rte\n";
}

/* ---- failing -------------------------------------------------------------------------------- */

/* Standard error, which libFuzzer closes so that warnings do not fill it. */
static int told = STDERR_FILENO;

void fuzz_report_here(void) {
    __sanitizer_set_report_fd((void *)(intptr_t)told);
}

void fuzz_failed(const char *file, int line, const char *what) {
    dprintf(told, "%s:%d: %s: %s\n", file, line, what, ls_message());
    abort();
}

bool fuzz_worked(ls_status status) {
    const char *message = ls_message();
    FUZZ_CHECK(status == LS_OK ? !*message : *message && !strchr(message, '\n'));
    FUZZ_CHECK(status == LS_OK || status == LS_ERR_INPUT ||
               (status == LS_ERR_SYSTEM && strstr(message, "out of memory")));
    ls_message_set("");
    return status == LS_OK;
}

/* ---- files ---------------------------------------------------------------------------------- */

static char folder[256];

static void remove_folder(void) {
    DIR *all = opendir(folder);
    for (struct dirent *entry; all && (entry = readdir(all));)
        if (entry->d_name[0] != '.')
            unlink(fuzz_path(entry->d_name));
    if (all)
        closedir(all);
    rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    const char *parent = getenv("TMPDIR");
    (void)argc;
    (void)argv;
    told = dup(STDERR_FILENO);
    /* HDF5 keeps what it frees, as much as it likes: the large structure of each file is what its
     * opening takes longest for. */
    H5set_free_list_limits(-1, -1, -1, -1, -1, -1);
    snprintf(folder, sizeof folder, "%s/lockstep-fuzz-XXXXXX", parent ? parent : "/tmp");
    if (mkdtemp(folder) == NULL)
        fuzz_failed(__FILE__, __LINE__, "no folder for files");
    atexit(remove_folder);
    return 0;
}

const char *fuzz_path(const char *name) {
    static char paths[4][512];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

const char *fuzz_file(const char *name, const void *data, size_t size) {
    const char *path = fuzz_path(name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file) != 0)
        fuzz_failed(__FILE__, __LINE__, "cannot write a file");
    return path;
}

int fuzz_file_count(void) {
    int count = 0;
    DIR *all = opendir(folder);
    for (struct dirent *entry; all && (entry = readdir(all));)
        count += entry->d_name[0] != '.';
    if (all)
        closedir(all);
    return count;
}

/* ---- chance --------------------------------------------------------------------------------- */

static uint32_t state = 1;

void fuzz_chance_begin(unsigned seed) {
    state = seed | 1;
}

uint32_t fuzz_chance(uint32_t below) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % below;
}
