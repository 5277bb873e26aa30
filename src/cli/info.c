/* lockstep info: what a file holds, its digest, or how this program was built. */
#include <stdio.h>

#include "cli/command.h"
#include "lockstep/build.h"
#include "lockstep/io.h"
#include "lockstep/nn.h"

typedef struct info_args {
    ls_words operands;
    bool digest, build;
} info_args;

static void print_build(void) {
    ls_print("lockstep %s\n", ls_build_version());
    ls_print("revision %s\n", ls_build_revision());
    ls_print("compiler %s\n", ls_build_compiler());
    ls_print("flags    %s\n", ls_build_flags());
    ls_print("MPI      %s\n", ls_comm_library());
    ls_print("files    %s\n", ls_io_library());
    ls_print("compute  %s\n", ls_compute_library());
}

static ls_status print_file(const char *path) {
    ls_text text = {0};
    ls_status status = ls_file_describe(path, &text);
    if (status == LS_OK)
        ls_print("%s", text.data);
    ls_text_free(&text);
    return status;
}

/* Like sha256sum. */
static ls_status print_digest(const char *path) {
    char digest[LS_DIGEST_TEXT];
    LS_TRY(ls_file_digest(path, digest));
    ls_print("%s  %s\n", digest, path);
    return LS_OK;
}

static ls_status run(ls_comm *comm, void *context) {
    const info_args *args = context;
    (void)comm;
    if (!args->build && args->operands.count == 0)
        return ls_fail(LS_ERR_INPUT, "info: expected a FILE, or --build");
    if (args->build)
        print_build();
    for (size_t i = 0; i < args->operands.count; i++) {
        const char *path = args->operands.word[i];
        LS_TRY(args->digest ? print_digest(path) : print_file(path));
    }
    return LS_OK;
}

static const ls_option options[] = {
    {"--digest", NULL, LS_OPTION_FLAG, NULL, "one line a file: the digest of its results, its name",
     offsetof(info_args, digest)},
    {"--build", NULL, LS_OPTION_FLAG, NULL, "version, revision, compiler, flags and libraries",
     offsetof(info_args, build)},
};

const ls_command ls_command_info = {
    .name = "info",
    .summary = "Show what a file holds, its digest, or how this program was built",
    .operands = "[--digest] FILE... | --build",
    .details =
        "Reads run files, dataset files and any other HDF5 file.  The digest is XXH3-128 over the\n"
        "results in the file: equal digests, equal bits, whatever the number of ranks.",
    .min_operands = 0,
    .max_operands = SIZE_MAX,
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .args_size = sizeof(info_args),
    .parallel = false,
    .run = run,
};
