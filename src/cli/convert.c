/* lockstep convert: one HDF5 dataset file from files of other formats. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/command.h"
#include "lockstep/data.h"

typedef struct convert_args {
    ls_words operands; /* the folder, if any */
    ls_words train_inputs, train_targets, test_inputs, test_targets, class_names;
    const char *class_name_file, *format, *target_column, *shape, *layout, *output;
    bool regression;
} convert_args;

/* "3,32,32" */
static ls_status parse_shape(const char *text, ls_shape *shape) {
    ls_shape parsed = {0};
    const char *place = text;
    for (;;) {
        char *end;
        const long long size = strtoll(place, &end, 10);
        if (end == place || size < 1 || size > INT32_MAX || parsed.ndims == LS_MAX_DIMS - 1 ||
            (*end != ',' && *end != '\0'))
            return ls_fail(
                LS_ERR_INPUT,
                "--shape %s: expected 1 to %d numbers, as in 3,32,32: channels, then depth, "
                "height and width as far as there are any",
                text, LS_MAX_DIMS - 1);
        parsed.size[parsed.ndims++] = size;
        if (*end == '\0')
            break;
        place = end + 1;
    }
    *shape = parsed;
    return LS_OK;
}

static ls_status parse_layout(const char *text, bool *channels_last) {
    const char *const *words = LS_WORDS_OF(LS_DATA_LAYOUTS);
    *channels_last = text && strcmp(text, words[LS_CHANNELS_LAST]) == 0;
    if (text == NULL || *channels_last || strcmp(text, words[LS_CHANNELS_FIRST]) == 0)
        return LS_OK;
    return ls_fail(LS_ERR_INPUT, "--layout %s: expected %s or %s", text, words[LS_CHANNELS_FIRST],
                   words[LS_CHANNELS_LAST]);
}

/* Cuts "a,b,c", given once or in several options, into *text, which holds the names. */
static ls_status split_names(const ls_words *given, char **text, ls_words *names) {
    ls_text all = {0};
    for (size_t i = 0; i < given->count; i++)
        ls_text_add(&all, "%s%s", i ? "," : "", given->word[i]);
    *text = all.data;
    if (all.failed)
        return LS_ERR_SYSTEM;
    LS_TRY(LS_NEW(names->word, all.length + 1));
    for (char *name = all.data; name;) {
        char *comma = strchr(name, ',');
        if (comma)
            *comma++ = '\0';
        if (*name == '\0')
            return ls_fail(LS_ERR_INPUT, "--class-names: an empty name; expected NAME,NAME,...");
        names->word[names->count++] = name;
        name = comma;
    }
    return LS_OK;
}

static ls_convert_split split_of(const ls_words *inputs, const ls_words *targets) {
    return (ls_convert_split){inputs->word, inputs->count, targets->word, targets->count};
}

static ls_convert_split split_of_folder(const ls_folder *files, ls_file_role inputs,
                                        ls_file_role targets) {
    return (ls_convert_split){(const char *const *)files->path[inputs], files->count[inputs],
                              (const char *const *)files->path[targets], files->count[targets]};
}

/* The folder's files; what the options say about formats and names comes first. */
static ls_status use_folder(const convert_args *args, ls_folder *files, ls_convert_job *job) {
    if (args->train_inputs.count + args->train_targets.count + args->test_inputs.count +
            args->test_targets.count >
        0)
        return ls_fail(LS_ERR_INPUT,
                       "convert: a FOLDER or options that name files; expected one of both");
    LS_TRY(ls_folder_find(args->operands.word[0], files));
    job->train = split_of_folder(files, LS_FILE_TRAIN_INPUTS, LS_FILE_TRAIN_TARGETS);
    job->test = split_of_folder(files, LS_FILE_TEST_INPUTS, LS_FILE_TEST_TARGETS);
    if (!job->format)
        job->format = files->format;
    if (files->count[LS_FILE_CLASS_NAMES] > 0 && job->class_name_count == 0 &&
        !job->class_name_file)
        job->class_name_file = files->path[LS_FILE_CLASS_NAMES][0];
    return LS_OK;
}

static ls_status convert_and_report(const ls_convert_job *job) {
    ls_text summary = {0};
    struct stat info;
    ls_status status = ls_convert(job, &summary);
    if (status == LS_OK) {
        const double bytes = stat(job->output, &info) == 0 ? (double)info.st_size : 0;
        ls_print("%s: %.1f MB\n%s", job->output, bytes / 1e6, summary.data ? summary.data : "");
    }
    ls_text_free(&summary);
    return status;
}

static ls_status run(ls_comm *comm, void *context) {
    const convert_args *args = context;
    (void)comm;
    ls_folder files = {0};
    ls_words names = {0};
    char *name_text = NULL;
    ls_shape shape;
    ls_convert_job job = {.train = split_of(&args->train_inputs, &args->train_targets),
                          .test = split_of(&args->test_inputs, &args->test_targets),
                          .format = args->format,
                          .target_column = args->target_column,
                          .regression = args->regression,
                          .class_name_file = args->class_name_file,
                          .output = args->output};
    ls_status status;
    if (!args->output)
        return ls_fail(LS_ERR_INPUT, "convert: expected -o FILE, the dataset file to write");
    if (args->shape) {
        LS_TRY(parse_shape(args->shape, &shape));
        job.shape = &shape;
    }
    LS_TRY(parse_layout(args->layout, &job.channels_last));
    LS_TRY_GOTO(done, split_names(&args->class_names, &name_text, &names));
    job.class_names = names.word;
    job.class_name_count = names.count;
    if (args->operands.count > 0)
        LS_TRY_GOTO(done, use_folder(args, &files, &job));
    LS_TRY_GOTO(done, convert_and_report(&job));
done:
    ls_folder_free(&files);
    ls_free(names.word);
    ls_free(name_text);
    return status;
}

static const ls_option options[] = {
    {"--output", "-o", LS_OPTION_TEXT, "FILE", "the HDF5 dataset file to write",
     offsetof(convert_args, output)},
    {"--train-inputs", NULL, LS_OPTION_LIST, "FILE", "training samples; repeat to join files",
     offsetof(convert_args, train_inputs)},
    {"--train-targets", NULL, LS_OPTION_LIST, "FILE", "their targets, where in files of their own",
     offsetof(convert_args, train_targets)},
    {"--test-inputs", NULL, LS_OPTION_LIST, "FILE", "test samples",
     offsetof(convert_args, test_inputs)},
    {"--test-targets", NULL, LS_OPTION_LIST, "FILE", "their targets",
     offsetof(convert_args, test_targets)},
    {"--format", NULL, LS_OPTION_TEXT, "NAME",
     "idx, cifar10, cifar100, csv, npy or auto: by content (default)",
     offsetof(convert_args, format)},
    {"--class-names", NULL, LS_OPTION_LIST, "A,B,...",
     "names of the classes, in the order of their numbers", offsetof(convert_args, class_names)},
    {"--class-name-file", NULL, LS_OPTION_TEXT, "FILE", "a text file with one class name a line",
     offsetof(convert_args, class_name_file)},
    {"--shape", NULL, LS_OPTION_TEXT, "C,[D,][H,][W]",
     "shape of a sample, instead of the files' own", offsetof(convert_args, shape)},
    {"--layout", NULL, LS_OPTION_TEXT, "NAME",
     "NPY: channels_first (default) or channels_last; channels are written first",
     offsetof(convert_args, layout)},
    {"--target-column", NULL, LS_OPTION_TEXT, "COLUMN",
     "CSV: name or number (from 0) of the target's column; default: the last",
     offsetof(convert_args, target_column)},
    {"--regression", NULL, LS_OPTION_FLAG, NULL, "CSV: whole numbers as targets are no classes",
     offsetof(convert_args, regression)},
};

const ls_command ls_command_convert = {
    .name = "convert",
    .summary = "Make an HDF5 dataset file from IDX, CIFAR, CSV or NPY files",
    .operands = "FOLDER -o FILE | --train-inputs FILE [--train-targets FILE] ... -o FILE",
    .details = "FOLDER holds the files of MNIST or its like (IDX, plain or .gz), of CIFAR-10 or of "
               "CIFAR-100\n"
               "(binary version) under their usual names.  Options name any other files:\n"
               "  IDX    inputs and targets in two files; images (N, H, W) get a channel axis\n"
               "  NPY    inputs and targets in two files; inputs are (N, channels, [depth,] "
               "[height,] [width])\n"
               "  CIFAR  the targets are inside; CIFAR-100's are the fine labels\n"
               "  CSV    one row a sample, one column the target: text or whole numbers are "
               "classes, other\n"
               "         numbers regression; a header is recognised; an input column of words "
               "becomes one\n"
               "         column of 0 and 1 for each word, in the order of the alphabet\n"
               "Integer targets are classes from 0, float targets regression.  Any file may be "
               "gzip, but for\n"
               "CIFAR.  Nothing is written when something is wrong.\n",
    .min_operands = 0,
    .max_operands = 1,
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .args_size = sizeof(convert_args),
    .parallel = false,
    .run = run,
};
