/* One study of the files of several jobs. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "train/scale_file.h"

static bool same_text(const char *one, const char *other) {
    return one && other ? strcmp(one, other) == 0 : one == other;
}

static ls_status check_same(const ls_scale_study *first, const char *first_path,
                            const ls_scale_study *other, const char *path) {
    if (strcmp(first->identity, other->identity) != 0)
        return ls_fail(LS_ERR_INPUT,
                       "'%s' and '%s' are of different studies: of another configuration, --base, "
                       "--steps, instruction set or version",
                       first_path, path);
    if (first->steps != other->steps)
        return ls_fail(LS_ERR_INPUT,
                       "repeats have %lld steps in '%s' and %lld in '%s': say --steps to each job",
                       (long long)first->steps, first_path, (long long)other->steps, path);
    if (!same_text(first->target, other->target) || !same_text(first->lr_rule, other->lr_rule))
        return ls_fail(LS_ERR_INPUT,
                       "'%s' and '%s' were not trained alike: say the same --target and --lr to "
                       "each job",
                       first_path, path);
    return LS_OK;
}

static ls_status read_all(const char *const *paths, size_t count, ls_scale_study *studies) {
    for (size_t i = 0; i < count; i++) {
        LS_TRY(ls_scale_read(paths[i], &studies[i]));
        LS_TRY(check_same(&studies[0], paths[0], &studies[i], paths[i]));
    }
    return LS_OK;
}

static ls_status predict_rows(ls_scale_row *rows, int64_t count) {
    ls_scale_point *points;
    size_t point_count;
    LS_TRY(ls_scale_summarize(rows, count, &points, &point_count));
    for (int64_t i = 0; i < count; i++) {
        if (!isnan(rows[i].predicted))
            continue;
        ls_scale_prediction expected = ls_scale_predict(points, point_count, &rows[i].size);
        rows[i].predicted = expected.step;
        rows[i].low = expected.low;
        rows[i].high = expected.high;
    }
    ls_free(points);
    return LS_OK;
}

static ls_scale_lr_rule rule_of(const char *name) {
    int rule = LS_SCALE_LR_RULES - 1;
    while (rule > 0 && !same_text(name, ls_scale_lr_rule_name((ls_scale_lr_rule)rule)))
        rule--;
    return (ls_scale_lr_rule)rule;
}

static ls_status write_rows(const ls_scale_study *first, const char *hosts, const char *path,
                            const ls_scale_row *rows, int64_t count) {
    const ls_note notes[] = {{"provenance/arguments", first->about},
                             {"provenance/isa", first->isa},
                             {"provenance/hosts", hosts}};
    const ls_scale_job job = {.path = path,
                              .target = first->target,
                              .lr_rule = rule_of(first->lr_rule),
                              .noise_scale = first->noise_scale,
                              .notes = notes,
                              .note_count = sizeof notes / sizeof *notes};
    ls_config *config;
    ls_scale_file *file;
    LS_TRY(ls_config_create(first->configuration, &config));
    ls_status status = ls_scale_file_open(config, &job, first->identity, count, &file);
    ls_config_free(config);
    LS_TRY(status);
    for (int64_t i = 0; i < count && status == LS_OK; i++)
        status = ls_scale_file_add(file, &rows[i], first->steps);
    if (status == LS_OK)
        status = ls_scale_file_finish(file);
    ls_scale_file_free(file);
    return status;
}

static ls_status join(const ls_scale_study *studies, size_t count, const char *path) {
    ls_scale_row *rows;
    ls_text hosts = {0};
    int64_t all = 0, used = 0;
    for (size_t i = 0; i < count; i++)
        all += studies[i].row_count;
    LS_TRY(LS_NEW(rows, (size_t)all));
    for (size_t i = 0; i < count; i++) {
        ls_text_add(&hosts, "%s%s", i ? "; " : "", studies[i].hosts);
        if (studies[i].row_count > 0)
            memcpy(rows + used, studies[i].rows, (size_t)studies[i].row_count * sizeof *rows);
        used += studies[i].row_count;
    }
    ls_status status = hosts.failed ? LS_ERR_SYSTEM : predict_rows(rows, all);
    if (status == LS_OK)
        status = write_rows(&studies[0], hosts.data, path, rows, all);
    ls_text_free(&hosts);
    ls_free(rows);
    return status;
}

ls_status ls_scale_join(const char *const *paths, size_t count, const char *path) {
    ls_scale_study *studies;
    LS_REQUIRE(count >= 1);
    if (access(path, F_OK) == 0)
        return ls_fail(LS_ERR_INPUT, "'%s' is there already: remove it, or choose another --out",
                       path);
    LS_TRY(LS_NEW(studies, count));
    ls_status status = read_all(paths, count, studies);
    if (status == LS_OK)
        status = join(studies, count, path);
    for (size_t i = 0; i < count; i++)
        ls_scale_study_free(&studies[i]);
    ls_free(studies);
    return status;
}
