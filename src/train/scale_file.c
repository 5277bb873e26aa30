/* The run file of a scaling study, written and read: one row a repeat. */
#include "train/scale_file.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train/notes.h"

#define GROUP "scale"

enum { TRAINING_VALUES = sizeof(ls_scale_training) / sizeof(double) };
enum { DIGEST_WORDS = 4, DIGEST_DIGITS = (LS_DIGEST_TEXT - 1) / DIGEST_WORDS };

/* ---- a row's fields ------------------------------------------------------------------------- */

typedef enum field_kind { COUNT, COUNT_64, REAL, DIGEST } field_kind;

/* A count is a whole number from `low` to `high`; a value that must not be NaN has low 0. */
typedef struct field {
    ls_series series;
    field_kind kind;
    size_t offset;
    double low, high;
} field;

#define PLACE(member) offsetof(ls_scale_row, member)
#define MOST_64 0x1p53

static const field fields[] = {
    {{"mode", 1, "1", "0: strong, 1: weak", true}, COUNT, PLACE(size.mode), 0, 1},
    {{"ranks", 1, "1", "that took part", true}, COUNT, PLACE(size.ranks), 1, INT_MAX},
    {{"nodes", 1, "1", "that they were on", false}, COUNT, PLACE(size.nodes), 1, INT_MAX},
    {{"batch", 1, "1", "samples of a step, over all ranks", true},
     COUNT_64,
     PLACE(size.batch),
     1,
     MOST_64},
    {{"slices", 1, "1", "of the batch", true}, COUNT_64, PLACE(size.slices), 1, MOST_64},
    {{"crowd", 1, "1", "threads for each core of a node, at least 1", false},
     REAL,
     PLACE(size.crowd),
     1,
     MOST_64},
    {{"bytes", 1, "B", "gradient sums of a step", false}, REAL, PLACE(size.bytes), 0, INFINITY},
    {{"buckets", 1, "1", "that they travel in", false}, COUNT, PLACE(size.buckets), 0, INT_MAX},
    {{"step", 1, "s", "mean time of a step", false}, REAL, PLACE(step), 1e-12, INFINITY},
    {{"phases", LS_SCALE_PHASES, "s", "of it: compute, exchange (exposed), update, data, imbalance",
      false},
     REAL,
     PLACE(phase),
     0,
     INFINITY},
    {{"exchange_alone", 1, "s", "exchange of a step without compute", false},
     REAL,
     PLACE(alone),
     0,
     INFINITY},
    {{"predicted", 1, "s", "step expected from the smaller sizes, before it ran", false},
     REAL,
     PLACE(predicted),
     -INFINITY,
     INFINITY},
    {{"predicted_low", 1, "s", "lower end of its interval", false},
     REAL,
     PLACE(low),
     -INFINITY,
     INFINITY},
    {{"predicted_high", 1, "s", "upper end of its interval", false},
     REAL,
     PLACE(high),
     -INFINITY,
     INFINITY},
    {{"digest", DIGEST_WORDS, "1",
      "of weights, statistics and optimizer after the steps: 32 bits a value", true},
     DIGEST,
     PLACE(digest),
     0,
     UINT32_MAX},
    {{"training", TRAINING_VALUES, "1",
      "to the target: 1 reached or 0 not, steps, epochs, samples, learning rate", false},
     REAL,
     PLACE(training),
     -INFINITY,
     INFINITY},
};
enum { FIELDS = sizeof fields / sizeof *fields };

static void put_digest(const char *digest, double *values) {
    for (int i = 0; i < DIGEST_WORDS; i++) {
        char word[DIGEST_DIGITS + 1] = "";
        memcpy(word, digest + (size_t)i * DIGEST_DIGITS, DIGEST_DIGITS);
        values[i] = (double)strtoul(word, NULL, 16);
    }
}

static void put_field(const field *of, const ls_scale_row *row, double *values) {
    const char *at = (const char *)row + of->offset;
    int count;
    int64_t count_64;
    switch (of->kind) {
    case COUNT:
        memcpy(&count, at, sizeof count);
        *values = count;
        break;
    case COUNT_64:
        memcpy(&count_64, at, sizeof count_64);
        *values = (double)count_64;
        break;
    case REAL:
        memcpy(values, at, of->series.width * sizeof *values);
        break;
    case DIGEST:
        put_digest(at, values);
        break;
    }
}

static bool may_be(const field *of, double value) {
    if (isnan(value))
        return of->low < 0;
    return value >= of->low && value <= of->high && (of->kind == REAL || value == floor(value));
}

static void take_field(const field *of, const double *values, ls_scale_row *row) {
    char *at = (char *)row + of->offset;
    int count = of->kind == COUNT ? (int)*values : 0;
    int64_t count_64 = of->kind == COUNT_64 ? (int64_t)*values : 0;
    switch (of->kind) {
    case COUNT:
        memcpy(at, &count, sizeof count);
        break;
    case COUNT_64:
        memcpy(at, &count_64, sizeof count_64);
        break;
    case REAL:
        memcpy(at, values, of->series.width * sizeof *values);
        break;
    case DIGEST:
        for (size_t i = 0; i < DIGEST_WORDS; i++)
            snprintf(at + i * DIGEST_DIGITS, DIGEST_DIGITS + 1, "%08lx", (unsigned long)values[i]);
        break;
    }
}

/* ---- reading -------------------------------------------------------------------------------- */

static ls_status take_series(ls_run_reader *reader, const char *path, const field *of,
                             ls_scale_row *rows) {
    size_t width = 0;
    const double *values = ls_run_series(reader, of->series.name, &width);
    if (values == NULL || width != of->series.width)
        return ls_fail(LS_ERR_INPUT, "%s: expected a series '%s' of %zu value%s a row", path,
                       of->series.name, of->series.width, of->series.width == 1 ? "" : "s");
    for (int64_t row = 0; row < ls_run_points(reader); row++) {
        const double *here = values + (size_t)row * width;
        for (size_t i = 0; i < width; i++)
            if (!may_be(of, here[i]))
                return ls_fail(LS_ERR_INPUT, "%s: row %lld of '%s' is %g, which cannot be", path,
                               (long long)row, of->series.name, here[i]);
        take_field(of, here, &rows[row]);
    }
    return LS_OK;
}

static ls_status take_rows(ls_run_reader *reader, const char *path, int64_t room,
                           ls_scale_row **rows) {
    ls_scale_row *made;
    ls_status status = LS_OK;
    if (strcmp(ls_run_group(reader), GROUP) != 0)
        return ls_fail(LS_ERR_INPUT, "%s: holds group '%s'; expected a scaling study, '" GROUP "'",
                       path, ls_run_group(reader));
    LS_TRY(LS_NEW(made, (size_t)(ls_run_points(reader) + room)));
    for (int i = 0; i < FIELDS && status == LS_OK; i++)
        status = take_series(reader, path, &fields[i], made);
    if (status == LS_OK)
        *rows = made;
    else
        ls_free(made);
    return status;
}

static int64_t take_count(ls_run_reader *reader, const char *name, int64_t otherwise) {
    const char *text = ls_run_text(reader, name);
    return text ? strtoll(text, NULL, 10) : otherwise;
}

/* A text of the group, in new memory; NULL where there is none. */
static ls_status take_text(ls_run_reader *reader, const char *name, char **value) {
    const char *there = ls_run_text(reader, name);
    *value = there ? ls_strdup(there) : NULL;
    return there && *value == NULL ? LS_ERR_SYSTEM : LS_OK;
}

static double noise_scale_of(ls_run_reader *reader) {
    const char *text = ls_run_text(reader, "noise_scale");
    return text ? strtod(text, NULL) : 0;
}

static ls_status take_study(ls_run_reader *reader, const char *path, ls_scale_study *study) {
    const char *invariant = ls_run_text(reader, "layout_invariant");
    LS_TRY(take_rows(reader, path, 0, &study->rows));
    study->row_count = ls_run_points(reader);
    study->steps = take_count(reader, "steps", 0);
    study->base = take_count(reader, "base", -1);
    study->asked_steps = take_count(reader, "asked_steps", -1);
    study->layout_invariant = invariant == NULL || strcmp(invariant, "no") != 0;
    LS_TRY(ls_notes_read(reader, "provenance/arguments", path, &study->about));
    LS_TRY(ls_notes_read(reader, LS_RUN_NAME, "", &study->identity));
    LS_TRY(ls_notes_read(reader, "configuration", "", &study->configuration));
    LS_TRY(ls_notes_read(reader, "provenance/version", "", &study->version));
    LS_TRY(ls_notes_read(reader, "provenance/isa", "", &study->isa));
    LS_TRY(ls_notes_read(reader, "provenance/compute", "", &study->library));
    LS_TRY(ls_notes_read(reader, "provenance/hosts", "", &study->hosts));
    LS_TRY(take_text(reader, "target", &study->target));
    LS_TRY(take_text(reader, "lr_rule", &study->lr_rule));
    study->noise_scale = noise_scale_of(reader);
    return ls_scale_summarize(study->rows, study->row_count, &study->points, &study->point_count);
}

ls_status ls_scale_read(const char *path, ls_scale_study *study) {
    ls_run_reader *reader;
    ls_scale_study made = {0};
    LS_TRY(ls_run_open(path, &reader));
    ls_status status = take_study(reader, path, &made);
    ls_run_close(reader);
    if (status == LS_OK)
        *study = made;
    else
        ls_scale_study_free(&made);
    return status;
}

void ls_scale_study_free(ls_scale_study *study) {
    ls_free(study->about);
    ls_free(study->identity);
    ls_free(study->configuration);
    ls_free(study->version);
    ls_free(study->isa);
    ls_free(study->library);
    ls_free(study->hosts);
    ls_free(study->target);
    ls_free(study->lr_rule);
    ls_free(study->rows);
    ls_free(study->points);
    *study = (ls_scale_study){0};
}

/* ---- writing -------------------------------------------------------------------------------- */

static ls_status check_identity(ls_run_reader *reader, const char *path, const char *identity) {
    const char *there = ls_run_note_text(reader, LS_RUN_NAME);
    if (there && strcmp(there, identity) == 0)
        return LS_OK;
    return ls_fail(
        LS_ERR_INPUT,
        "'%s' is of another study: of another configuration, smallest size or --base, --steps, "
        "instruction set or version; remove it, or choose another folder (--out)",
        path);
}

/* What is there already. */
static ls_status take_older(ls_run_reader *reader, const char *path, int64_t more,
                            ls_scale_file *file) {
    const char *hosts = ls_run_note_text(reader, "provenance/hosts");
    LS_TRY(take_rows(reader, path, more, &file->rows));
    file->count = ls_run_points(reader);
    file->steps = take_count(reader, "steps", 0);
    file->noise_scale = noise_scale_of(reader);
    file->hosts = hosts ? ls_strdup(hosts) : NULL;
    LS_TRY(take_text(reader, "target", &file->target));
    return take_text(reader, "lr_rule", &file->lr_rule);
}

static ls_status read_older(const char *path, const char *identity, int64_t more,
                            ls_scale_file *file) {
    ls_run_reader *reader;
    LS_TRY(ls_run_open(path, &reader));
    ls_status status = take_older(reader, path, more, file);
    if (status == LS_OK)
        status = check_identity(reader, path, identity);
    ls_run_close(reader);
    return status;
}

static ls_status begin(const char *path, const char *identity, int64_t more, ls_scale_file *file) {
    ls_series series[FIELDS];
    for (int i = 0; i < FIELDS; i++)
        series[i] = fields[i].series;
    if (access(path, F_OK) != 0) {
        LS_TRY(LS_NEW(file->rows, (size_t)more));
        file->capacity = more;
        return ls_run_create(path, GROUP, more, series, FIELDS, &file->run);
    }
    LS_TRY(read_older(path, identity, more, file));
    file->capacity = file->count + more;
    return ls_run_resume(path, GROUP, identity, file->capacity, file->count, series, FIELDS,
                         &file->run);
}

static ls_status replace(char **text, const char *value) {
    char *made = ls_strdup(value);
    if (made == NULL)
        return LS_ERR_SYSTEM;
    ls_free(*text);
    *text = made;
    return LS_OK;
}

/* All trainings of a study are to one target, with learning rates by one rule. */
static ls_status take_target(const ls_scale_job *job, ls_scale_file *file) {
    const char *rule = ls_scale_lr_rule_name(job->lr_rule);
    if (job->noise_scale > 0)
        file->noise_scale = job->noise_scale;
    if (job->target == NULL)
        return LS_OK;
    if (file->target && file->lr_rule &&
        (strcmp(file->target, job->target) != 0 || strcmp(file->lr_rule, rule) != 0))
        return ls_fail(LS_ERR_INPUT,
                       "'%s' has trainings to %s with --lr %s; this is %s with --lr %s: say the "
                       "same, or choose another folder (--out)",
                       job->path, file->target, file->lr_rule, job->target, rule);
    LS_TRY(replace(&file->target, job->target));
    return replace(&file->lr_rule, rule);
}

static ls_status describe_target(const ls_scale_file *file) {
    if (file->noise_scale > 0)
        LS_TRY(ls_run_set_number(file->run, "noise_scale", file->noise_scale));
    if (file->target == NULL || file->lr_rule == NULL)
        return LS_OK;
    LS_TRY(ls_run_set_text(file->run, "target", file->target));
    return ls_run_set_text(file->run, "lr_rule", file->lr_rule);
}

static const char *hosts_of(const ls_scale_job *job) {
    for (size_t i = 0; i < job->note_count; i++)
        if (strcmp(job->notes[i].name, "provenance/hosts") == 0)
            return job->notes[i].value;
    return NULL;
}

/* The hosts of before stay in the file. */
static ls_status describe_hosts(const ls_scale_job *job, const ls_scale_file *file) {
    const char *now = hosts_of(job);
    bool strange;
    char *all;
    if (now == NULL || file->hosts == NULL)
        return LS_OK;
    LS_TRY(ls_scale_hosts_add(file->hosts, now, &all, &strange));
    if (strange && file->count > 0)
        ls_warn("%s has repeats measured on %s; now it is %s: such times go together only where "
                "the hosts are alike; otherwise choose another folder (--out)",
                job->path, file->hosts, now);
    ls_status status = ls_run_note(file->run, "provenance/hosts", all);
    ls_free(all);
    return status;
}

int ls_scale_base(const ls_scale_job *job) {
    return job->base != 0 ? job->base : job->ranks[0];
}

static ls_status describe(const ls_config *config, const ls_scale_job *job, const char *identity,
                          const ls_scale_file *file) {
    bool fixed = config->exchange_sum == LS_EXCHANGE_FIXED;
    LS_TRY(ls_run_note(file->run, LS_RUN_NAME, identity));
    LS_TRY(ls_run_set_text(file->run, "layout_invariant", fixed ? "yes" : "no"));
    LS_TRY(ls_run_set_number(file->run, "warm_up_steps", LS_SCALE_WARM_UP));
    LS_TRY(ls_run_set_number(file->run, "base", ls_scale_base(job)));
    LS_TRY(ls_run_set_number(file->run, "asked_steps", (double)job->steps));
    if (file->steps > 0)
        LS_TRY(ls_run_set_number(file->run, "steps", (double)file->steps));
    LS_TRY(describe_target(file));
    LS_TRY(ls_notes_write_plain(file->run, config, job->notes, job->note_count));
    LS_TRY(describe_hosts(job, file));
    return ls_run_commit(file->run, file->count);
}

ls_status ls_scale_file_open(const ls_config *config, const ls_scale_job *job, const char *identity,
                             int64_t more, ls_scale_file **file) {
    ls_scale_file *made;
    ls_status status;
    LS_TRY(LS_NEW(made, 1));
    LS_TRY_GOTO(failed, begin(job->path, identity, more, made));
    LS_TRY_GOTO(failed, take_target(job, made));
    LS_TRY_GOTO(failed, describe(config, job, identity, made));
    *file = made;
    return LS_OK;
failed:
    ls_scale_file_free(made);
    return status;
}

ls_status ls_scale_file_add(ls_scale_file *file, const ls_scale_row *row, int64_t steps) {
    LS_REQUIRE(file->count < file->capacity);
    if (file->steps != steps)
        LS_TRY(ls_run_set_number(file->run, "steps", (double)steps));
    file->steps = steps;
    for (size_t i = 0; i < FIELDS; i++)
        put_field(&fields[i], row, ls_run_row(file->run, i, file->count));
    file->rows[file->count++] = *row;
    return ls_run_commit(file->run, file->count);
}

/* The attributes are set again for the file to be laid out anew, with the older rows. */
ls_status ls_scale_file_train(ls_scale_file *file, const ls_scale_size *size,
                              const ls_scale_training *training) {
    for (int64_t i = 0; i < file->count; i++) {
        ls_scale_row *row = &file->rows[i];
        if (row->size.mode != size->mode || row->size.ranks != size->ranks)
            continue;
        row->training = *training;
        for (size_t k = 0; k < FIELDS; k++)
            put_field(&fields[k], row, ls_run_row(file->run, k, i));
    }
    LS_TRY(describe_target(file));
    return ls_run_commit(file->run, file->count);
}

ls_status ls_scale_file_finish(ls_scale_file *file) {
    return ls_run_finish(file->run);
}

void ls_scale_file_free(ls_scale_file *file) {
    if (file == NULL)
        return;
    ls_run_free(file->run);
    ls_free(file->target);
    ls_free(file->lr_rule);
    ls_free(file->hosts);
    ls_free(file->rows);
    ls_free(file);
}
