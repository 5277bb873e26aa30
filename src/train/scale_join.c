/* One study of the files of several jobs. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "train/scale_file.h"

/* ---- what does not go together -------------------------------------------------------------- */

typedef struct differences {
    ls_text text;
    bool trained; /* with --target, which takes the place of train.target */
} differences;

static void add_difference(differences *d, const char *what, const char *one, const char *other) {
    ls_text_add(&d->text, "%s%s is %s in the first, %s in the second", d->text.length ? "; " : "",
                what, one, other);
}

static void take_difference(void *context, const char *key, ls_change change, const char *one,
                            const char *other) {
    differences *d = context;
    (void)change;
    if (!d->trained || strcmp(key, "train.target") != 0)
        add_difference(d, key, one, other);
}

static ls_status compare_configurations(const char *one, const char *other, differences *d) {
    ls_config *first, *second;
    LS_TRY(ls_config_create(one, &first));
    ls_status status = ls_config_create(other, &second);
    if (status == LS_OK) {
        status = ls_config_compare(first, second, take_difference, d);
        ls_config_free(second);
    }
    ls_config_free(first);
    return status;
}

static void compare_counts(const char *what, int64_t one, int64_t other, differences *d) {
    char first[24], second[24];
    if (one == other || one < 0 || other < 0)
        return;
    snprintf(first, sizeof first, one ? "%lld" : "not said", (long long)one);
    snprintf(second, sizeof second, other ? "%lld" : "not said", (long long)other);
    add_difference(d, what, first, second);
}

static void compare_texts(const char *what, const char *one, const char *other, differences *d) {
    if (strcmp(one, other) != 0 && *one && *other)
        add_difference(d, what, one, other);
}

static ls_status refuse_different(const ls_scale_study *first, const char *first_path,
                                  const ls_scale_study *other, const char *path, differences *d) {
    LS_TRY(compare_configurations(first->configuration, other->configuration, d));
    compare_counts("--base, or the smallest size,", first->base, other->base, d);
    compare_counts("--steps", first->asked_steps, other->asked_steps, d);
    compare_texts("the instruction set", first->isa, other->isa, d);
    compare_texts("the compute library", first->library, other->library, d);
    compare_texts("the version of lockstep", first->version, other->version, d);
    if (d->text.failed)
        return LS_ERR_SYSTEM;
    return ls_fail(LS_ERR_INPUT, "'%s' and '%s' are of different studies: %.1000s", first_path,
                   path, d->text.length ? d->text.data : "the files do not say what differs");
}

static ls_status check_same(const ls_scale_study *first, const char *first_path,
                            const ls_scale_study *other, const char *path) {
    if (strcmp(first->identity, other->identity) != 0) {
        differences d = {.trained = first->target || other->target};
        ls_status status = refuse_different(first, first_path, other, path, &d);
        ls_text_free(&d.text);
        return status;
    }
    if (first->steps > 0 && other->steps > 0 && first->steps != other->steps)
        return ls_fail(LS_ERR_INPUT,
                       "repeats have %lld steps in '%s' and %lld in '%s': say --steps to each job",
                       (long long)first->steps, first_path, (long long)other->steps, path);
    return LS_OK;
}

/* A study may have none. */
static ls_status check_trainings(const ls_scale_study *one, const char *one_path,
                                 const ls_scale_study *other, const char *path) {
    if (one->target && other->target && one->lr_rule && other->lr_rule &&
        (strcmp(one->target, other->target) != 0 || strcmp(one->lr_rule, other->lr_rule) != 0))
        return ls_fail(LS_ERR_INPUT,
                       "'%s' has trainings to %s with --lr %s, '%s' to %s with --lr %s: say the "
                       "same --target and --lr to each job that trains",
                       one_path, one->target, one->lr_rule, path, other->target, other->lr_rule);
    if (one->noise_scale > 0 && other->noise_scale > 0 && one->noise_scale != other->noise_scale)
        return ls_fail(LS_ERR_INPUT,
                       "the noise scale is %.6g in '%s' and %.6g in '%s': say the same --noise to "
                       "each job that trains",
                       one->noise_scale, one_path, other->noise_scale, path);
    return LS_OK;
}

static bool same_times(const ls_scale_row *one, const ls_scale_row *other) {
    return one->step == other->step && one->alone == other->alone &&
           memcmp(one->phase, other->phase, sizeof one->phase) == 0;
}

static bool same_training(const ls_scale_training *one, const ls_scale_training *other) {
    bool both = !isnan(one->reached) && !isnan(other->reached);
    return !both || (one->reached == other->reached && one->steps == other->steps);
}

/* Two repeats of one size. */
static ls_status check_rows(const ls_scale_row *one, const char *one_path,
                            const ls_scale_row *other, const char *path) {
    const char *mode = ls_scale_mode_name(one->size.mode);
    int ranks = one->size.ranks;
    if (same_times(one, other))
        return ls_fail(LS_ERR_INPUT,
                       "'%s' and '%s' have the same repeat of %s, %d rank%s: name each file once, "
                       "and none that others were joined to",
                       one_path, path, mode, ranks, ranks == 1 ? "" : "s");
    if (one->size.nodes != other->size.nodes || one->size.crowd != other->size.crowd)
        return ls_fail(LS_ERR_INPUT,
                       "%s, %d rank%s: '%s' has them on %d node%s with %.3g threads a core, '%s' "
                       "on %d node%s with %.3g threads a core: such times do not go together",
                       mode, ranks, ranks == 1 ? "" : "s", one_path, one->size.nodes,
                       one->size.nodes == 1 ? "" : "s", one->size.crowd, path, other->size.nodes,
                       other->size.nodes == 1 ? "" : "s", other->size.crowd);
    if (!same_training(&one->training, &other->training))
        return ls_fail(LS_ERR_INPUT,
                       "%s, %d rank%s: the training took %g steps in '%s' and %g in '%s': take the "
                       "--target from one of the jobs",
                       mode, ranks, ranks == 1 ? "" : "s", one->training.steps, one_path,
                       other->training.steps, path);
    return LS_OK;
}

static ls_status check_pair(const ls_scale_study *one, const char *one_path,
                            const ls_scale_study *other, const char *path) {
    LS_TRY(check_same(one, one_path, other, path));
    LS_TRY(check_trainings(one, one_path, other, path));
    for (int64_t i = 0; i < one->row_count; i++) {
        for (int64_t k = 0; k < other->row_count; k++) {
            const ls_scale_row *left = &one->rows[i], *right = &other->rows[k];
            if (left->size.mode == right->size.mode && left->size.ranks == right->size.ranks)
                LS_TRY(check_rows(left, one_path, right, path));
        }
    }
    return LS_OK;
}

static ls_status read_all(const char *const *paths, size_t count, ls_scale_study *studies) {
    for (size_t i = 0; i < count; i++) {
        LS_TRY(ls_scale_read(paths[i], &studies[i]));
        for (size_t k = 0; k < i; k++)
            LS_TRY(check_pair(&studies[k], paths[k], &studies[i], paths[i]));
    }
    return LS_OK;
}

/* ---- one of all ----------------------------------------------------------------------------- */

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
    while (rule > 0 && strcmp(name, ls_scale_lr_rule_name((ls_scale_lr_rule)rule)) != 0)
        rule--;
    return (ls_scale_lr_rule)rule;
}

/* What only some of the studies say. */
typedef struct joined {
    const ls_scale_study *main; /* one with trainings, if any has them */
    int64_t steps;
    double noise_scale;
    ls_text hosts;
    ls_scale_row *rows; /* by mode and ranks, as in one job */
    int64_t count;
} joined;

static ls_status write_rows(const joined *all, const char *path) {
    const ls_scale_study *main = all->main;
    const ls_note notes[] = {{"provenance/arguments", main->about},
                             {"provenance/isa", main->isa},
                             {"provenance/compute", main->library},
                             {"provenance/hosts", all->hosts.data}};
    const ls_scale_job job = {.path = path,
                              .base = (int)main->base,
                              .steps = main->asked_steps,
                              .target = main->lr_rule ? main->target : NULL,
                              .lr_rule = main->lr_rule ? rule_of(main->lr_rule) : 0,
                              .noise_scale = all->noise_scale,
                              .notes = notes,
                              .note_count = sizeof notes / sizeof *notes};
    ls_config *config;
    ls_scale_file *file;
    LS_TRY(ls_config_create(main->configuration, &config));
    ls_status status = ls_scale_file_open(config, &job, main->identity, all->count, &file);
    ls_config_free(config);
    LS_TRY(status);
    for (int64_t i = 0; i < all->count && status == LS_OK; i++)
        status = ls_scale_file_add(file, &all->rows[i], all->steps);
    if (status == LS_OK)
        status = ls_scale_file_finish(file);
    ls_scale_file_free(file);
    return status;
}

static bool comes_after(const ls_scale_size *one, const ls_scale_size *other) {
    return one->mode != other->mode ? one->mode > other->mode : one->ranks > other->ranks;
}

/* Behind those of its size that are there. */
static void insert(joined *all, const ls_scale_row *row) {
    int64_t at = all->count++;
    for (; at > 0 && comes_after(&all->rows[at - 1].size, &row->size); at--)
        all->rows[at] = all->rows[at - 1];
    all->rows[at] = *row;
}

static void add_study(joined *all, const ls_scale_study *study) {
    if (all->main == NULL || (all->main->target == NULL && study->target))
        all->main = study;
    all->steps = study->steps > 0 ? study->steps : all->steps;
    all->noise_scale = study->noise_scale > 0 ? study->noise_scale : all->noise_scale;
    ls_text_add(&all->hosts, "%s%s", all->hosts.length ? "; " : "", study->hosts);
    for (int64_t i = 0; i < study->row_count; i++)
        insert(all, &study->rows[i]);
}

static ls_status join(const ls_scale_study *studies, size_t count, const char *path) {
    joined all = {0};
    int64_t rows = 0;
    for (size_t i = 0; i < count; i++)
        rows += studies[i].row_count;
    LS_TRY(LS_NEW(all.rows, (size_t)rows));
    for (size_t i = 0; i < count; i++)
        add_study(&all, &studies[i]);
    ls_status status = all.hosts.failed ? LS_ERR_SYSTEM : predict_rows(all.rows, all.count);
    if (status == LS_OK)
        status = write_rows(&all, path);
    ls_text_free(&all.hosts);
    ls_free(all.rows);
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
