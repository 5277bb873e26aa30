/* Conversion: source files of any known format into one dataset file, piece by piece, checked on
 * the way.  Nothing is left behind when something is wrong. */
#include "data/formats.h"
#include "data/parts.h"
#include "data/values.h"

#include <string.h>

enum { PIECE_BYTES = 1 << 22 };

typedef struct converter {
    const ls_convert_job *job;
    ls_file_format format;
    ls_csv_context csv; /* its labels are the class names, whatever the format */
    ls_split_arrays train, test;
    bool has_test;
    ls_dataset_writer *writer;
    ls_text *summary;
    int64_t classes;      /* largest + 1 */
    ls_channels channels; /* of the inputs, where they are last */
} converter;

/* ---- class names ---------------------------------------------------------------------------- */

static ls_status add_name(ls_labels *labels, const char *name) {
    const size_t count = labels->count;
    size_t place;
    LS_TRY(ls_labels_add(labels, name, &place));
    labels->given = true;
    return place == count ? LS_OK : ls_fail(LS_ERR_INPUT, "class name '%s' is given twice", name);
}

static ls_status read_text(const char *path, ls_text *text) {
    enum { PIECE = 1 << 16 };
    ls_reader *reader;
    char piece[PIECE];
    size_t bytes = PIECE;
    LS_TRY(ls_reader_open(path, &reader));
    ls_status status = LS_OK;
    while (status == LS_OK && bytes == PIECE) {
        status = ls_reader_some(reader, piece, PIECE, &bytes);
        if (status == LS_OK)
            ls_text_append(text, piece, bytes);
    }
    ls_reader_close(reader);
    return status == LS_OK && text->failed ? LS_ERR_SYSTEM : status;
}

/* One name a line; empty lines do not count. */
static ls_status read_names(const char *path, ls_labels *labels) {
    ls_text text = {0};
    ls_status status = read_text(path, &text);
    char *rest = NULL, *first = text.data;
    if (status == LS_OK && strncmp(first, "\xEF\xBB\xBF", 3) == 0)
        first += 3; /* after a byte-order mark */
    for (char *line = strtok_r(first, "\r\n", &rest); status == LS_OK && line;
         line = strtok_r(NULL, "\r\n", &rest))
        status = add_name(labels, line);
    ls_text_free(&text);
    return status;
}

static ls_status take_names(converter *run) {
    const ls_convert_job *job = run->job;
    ls_labels *labels = &run->csv.names.labels;
    if (job->class_name_count > 0 && job->class_name_file)
        return ls_fail(LS_ERR_INPUT,
                       "class names given twice: in the file %s too; expected one of both",
                       job->class_name_file);
    for (size_t i = 0; i < job->class_name_count; i++)
        LS_TRY(add_name(labels, job->class_names[i]));
    if (job->class_name_file)
        LS_TRY(read_names(job->class_name_file, labels));
    if (labels->count == 0 && run->format == LS_FORMAT_CIFAR10)
        for (size_t i = 0; i < 10; i++)
            LS_TRY(add_name(labels, ls_cifar10_names[i]));
    return LS_OK;
}

static ls_status check_names(const converter *run) {
    const size_t names = run->csv.names.labels.count;
    if (names > 0 && (int64_t)names < run->classes)
        return ls_fail(LS_ERR_INPUT, "%zu class names for %lld classes (0 to %lld)", names,
                       (long long)run->classes, (long long)run->classes - 1);
    return LS_OK;
}

/* ---- opening -------------------------------------------------------------------------------- */

static ls_status apply_shape(const ls_shape *shape, ls_split_arrays *arrays) {
    ls_array_info *info = &arrays->inputs.info;
    ls_array_info wanted = {info->type, shape->ndims + 1, {info->shape[0]}};
    for (int d = 0; d < shape->ndims; d++)
        wanted.shape[d + 1] = shape->size[d];
    const int64_t have = ls_sample_elements(info), want = ls_sample_elements(&wanted);
    if (have != want)
        return ls_fail(LS_ERR_INPUT, "%s: a sample has %lld values, but the shape given has %lld",
                       arrays->inputs.parts[0]->path, (long long)have, (long long)want);
    *info = wanted;
    return LS_OK;
}

static ls_status open_split(converter *run, const ls_convert_split *split,
                            ls_split_arrays *arrays) {
    LS_TRY(ls_split_arrays_open(run->format, split, &run->csv, arrays));
    if (run->job->channels_last) {
        run->channels = ls_channels_of(LS_CHANNELS_LAST, &arrays->inputs.info);
        return LS_OK;
    }
    if (run->job->shape)
        return apply_shape(run->job->shape, arrays);
    if (run->format == LS_FORMAT_NPY)
        ls_warn_of_axes(&arrays->inputs.info, arrays->inputs.parts[0]->path,
                        "--layout channels_last takes channels from the last axis",
                        "--shape says so, as in --shape 1,28,28");
    return LS_OK;
}

static bool same_samples(const ls_array_info *one, const ls_array_info *other) {
    return one->ndims == other->ndims &&
           memcmp(one->shape + 1, other->shape + 1,
                  sizeof one->shape[0] * (size_t)(one->ndims - 1)) == 0;
}

static ls_status check_splits(const converter *run) {
    const ls_split_arrays *train = &run->train, *test = &run->test;
    const bool numbers = ls_type_is_float(train->targets.info.type);
    if (numbers && run->csv.names.labels.count > 0)
        return ls_fail(LS_ERR_INPUT, "%s: class names given, but the targets are %s values",
                       train->targets.parts[0]->path, ls_type_name(train->targets.info.type));
    if (!run->has_test)
        return LS_OK;
    if (!same_samples(&train->inputs.info, &test->inputs.info) ||
        !same_samples(&train->targets.info, &test->targets.info))
        return ls_fail(LS_ERR_INPUT,
                       "%s: test samples of another shape than the training samples of %s",
                       test->inputs.parts[0]->path, train->inputs.parts[0]->path);
    if (numbers != ls_type_is_float(test->targets.info.type))
        return ls_fail(LS_ERR_INPUT, "%s: %s targets, while those of %s are %s",
                       test->targets.parts[0]->path, ls_type_name(test->targets.info.type),
                       train->targets.parts[0]->path, ls_type_name(train->targets.info.type));
    return LS_OK;
}

static ls_status open_all(converter *run) {
    const ls_convert_job *job = run->job;
    if (job->train.input_count == 0)
        return ls_fail(LS_ERR_INPUT, "no training files; expected a folder, or --train-inputs");
    LS_TRY(ls_file_format_find(job->format, job->train.inputs[0], &run->format));
    if (run->format != LS_FORMAT_CSV && (job->target_column || job->regression))
        return ls_fail(LS_ERR_INPUT, "%s: a target column or --regression is for CSV files only",
                       job->train.inputs[0]);
    if (run->format != LS_FORMAT_NPY && job->channels_last)
        return ls_fail(LS_ERR_INPUT, "%s: --layout is for NPY files only", job->train.inputs[0]);
    if (job->channels_last && job->shape)
        return ls_fail(LS_ERR_INPUT, "--shape and --layout: expected one of both");
    run->csv.target_column = job->target_column;
    run->csv.kind = job->regression ? LS_CSV_NUMBERS : LS_CSV_ANY;
    LS_TRY(take_names(run));
    LS_TRY(open_split(run, &job->train, &run->train));
    run->has_test = job->test.input_count > 0;
    if (run->has_test)
        LS_TRY(open_split(run, &job->test, &run->test));
    else if (job->test.target_count > 0)
        return ls_fail(LS_ERR_INPUT, "%s: test targets without test inputs", job->test.targets[0]);
    return check_splits(run);
}

/* ---- writing -------------------------------------------------------------------------------- */

/* Looks at `count` samples of a part on their way; `targets` are checked as classes or numbers. */
static ls_status check_piece(converter *run, const ls_source *part, bool targets, int64_t count,
                             const void *piece, int64_t *values) {
    const int64_t first = part->done - count;
    if (!targets || ls_type_is_float(part->info.type))
        return ls_check_finite(part->info.type, piece, first, count,
                               ls_sample_elements(&part->info), part->path);
    ls_values_integers(part->info.type, piece, count, values);
    LS_TRY(ls_check_classes(values, first, count, 0, part->path));
    for (int64_t i = 0; i < count; i++)
        if (values[i] >= run->classes)
            run->classes = values[i] + 1;
    return LS_OK;
}

/* `moved`: room for the piece with its channels first; NULL: it is written as it is. */
static ls_status write_piece(converter *run, int64_t count, const char *piece, char *moved) {
    if (moved)
        ls_channels_place(&run->channels, count, piece, moved);
    return ls_dataset_append(run->writer, count, moved ? moved : piece);
}

static ls_status copy_part(converter *run, ls_source *part, bool targets) {
    const int64_t piece_samples = 1 + PIECE_BYTES / (int64_t)part->bytes;
    char *piece = NULL, *moved = NULL;
    int64_t *values = NULL;
    ls_status status;
    if (!targets && run->channels.last)
        LS_TRY(LS_NEW(moved, (size_t)piece_samples * part->bytes));
    LS_TRY_GOTO(done, LS_NEW(piece, (size_t)piece_samples * part->bytes));
    LS_TRY_GOTO(done, LS_NEW(values, (size_t)piece_samples));
    for (int64_t left = part->info.shape[0]; left > 0;) {
        const int64_t count = left < piece_samples ? left : piece_samples;
        LS_TRY_GOTO(done, ls_source_read(part, count, piece));
        LS_TRY_GOTO(done, check_piece(run, part, targets, count, piece, values));
        LS_TRY_GOTO(done, write_piece(run, count, piece, moved));
        left -= count;
    }
    status = ls_source_end(part);
done:
    ls_free(values);
    ls_free(piece);
    ls_free(moved);
    return status;
}

static ls_status write_array(converter *run, const char *name, ls_joined *joined, bool targets) {
    LS_TRY(ls_dataset_array(run->writer, name, &joined->info));
    for (size_t i = 0; i < joined->count; i++)
        LS_TRY(copy_part(run, joined->parts[i], targets));
    ls_text_add(run->summary, "  %-14s %-7s ", name, ls_type_name(joined->info.type));
    ls_info_text(&joined->info, run->summary);
    ls_text_add(run->summary, "\n");
    return LS_OK;
}

static ls_status write_names(converter *run) {
    const ls_labels *labels = &run->csv.names.labels;
    LS_TRY(check_names(run));
    if (ls_type_is_float(run->train.targets.info.type))
        return LS_OK;
    const int64_t classes =
        (int64_t)labels->count > run->classes ? (int64_t)labels->count : run->classes;
    ls_text_add(run->summary, "  %-14s %lld", "classes", (long long)classes);
    for (size_t i = 0; i < labels->count; i++)
        ls_text_add(run->summary, "%s%s", i ? ", " : ": ", labels->names[i]);
    ls_text_add(run->summary, "\n");
    if (labels->count == 0)
        return LS_OK;
    return ls_dataset_class_names(run->writer, (const char *const *)labels->names, labels->count);
}

/* The columns of words, and what they became. */
static void tell_words(converter *run) {
    const ls_csv_columns *columns = &run->csv.names.columns;
    for (size_t c = 0; c < columns->count; c++) {
        const ls_csv_column *column = &columns->column[c];
        if (!column->words)
            continue;
        ls_text_add(run->summary, "  %-14s words, %zu inputs", column->name, column->labels.count);
        for (size_t i = 0; i < column->labels.count; i++)
            ls_text_add(run->summary, "%s%s", i ? ", " : ": ", column->labels.names[i]);
        ls_text_add(run->summary, "\n");
    }
}

/* ---- provenance ----------------------------------------------------------------------------- */

static ls_status note_files(const char *role, const char *const *paths, size_t count,
                            ls_text *text) {
    for (size_t i = 0; i < count; i++) {
        uint64_t bytes;
        char digest[LS_DIGEST_TEXT];
        const char *slash = strrchr(paths[i], '/');
        LS_TRY(ls_reader_digest(paths[i], &bytes, digest));
        ls_text_add(text, "%s: %s, %llu bytes, XXH3-128 %s\n", role, slash ? slash + 1 : paths[i],
                    (unsigned long long)bytes, digest);
    }
    return LS_OK;
}

static ls_status note_sources(const ls_convert_job *job, ls_text *text) {
    LS_TRY(note_files("train inputs", job->train.inputs, job->train.input_count, text));
    LS_TRY(note_files("train targets", job->train.targets, job->train.target_count, text));
    LS_TRY(note_files("test inputs", job->test.inputs, job->test.input_count, text));
    LS_TRY(note_files("test targets", job->test.targets, job->test.target_count, text));
    return text->failed ? LS_ERR_SYSTEM : LS_OK;
}

static ls_status write_notes(converter *run) {
    ls_text sources = {0};
    ls_status status = note_sources(run->job, &sources);
    if (status == LS_OK)
        status = ls_dataset_note(run->writer, "provenance/sources", sources.data);
    ls_text_free(&sources);
    return status;
}

/* ---- all ------------------------------------------------------------------------------------ */

static ls_status check_output(const ls_convert_job *job) {
    const ls_convert_split *const splits[] = {&job->train, &job->test};
    for (size_t s = 0; s < 2; s++) {
        for (size_t i = 0; i < splits[s]->input_count; i++)
            LS_TRY(ls_check_output(job->output, splits[s]->inputs[i]));
        for (size_t i = 0; i < splits[s]->target_count; i++)
            LS_TRY(ls_check_output(job->output, splits[s]->targets[i]));
    }
    return job->class_name_file ? ls_check_output(job->output, job->class_name_file) : LS_OK;
}

static ls_status write_all(converter *run) {
    LS_TRY(ls_dataset_create(run->job->output, &run->writer));
    LS_TRY(write_array(run, "train/inputs", &run->train.inputs, false));
    LS_TRY(write_array(run, "train/targets", &run->train.targets, true));
    if (run->has_test) {
        LS_TRY(write_array(run, "test/inputs", &run->test.inputs, false));
        LS_TRY(write_array(run, "test/targets", &run->test.targets, true));
    }
    tell_words(run);
    LS_TRY(write_names(run));
    LS_TRY(write_notes(run));
    return ls_dataset_finish(run->writer);
}

ls_status ls_convert(const ls_convert_job *job, ls_text *summary) {
    converter run = {.job = job, .summary = summary};
    LS_REQUIRE(job->output);
    ls_status status;
    LS_TRY_GOTO(done, check_output(job));
    LS_TRY_GOTO(done, open_all(&run));
    LS_TRY_GOTO(done, write_all(&run));
done:
    if (run.writer)
        ls_dataset_writer_free(run.writer);
    ls_split_arrays_close(&run.test);
    ls_split_arrays_close(&run.train);
    ls_csv_names_free(&run.csv.names);
    return status;
}
