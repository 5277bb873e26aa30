/* A scaling study: its sizes one after the other, each on a part of the ranks. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lockstep/build.h"
#include "train/scale_file.h"
#include "train/scale_measure.h"
#include "train/scale_train.h"

typedef struct study {
    ls_comm *comm;
    ls_config *config;
    const ls_scale_job *job;
    ls_scale_file *file; /* rank 0 */
    int64_t steps;       /* of a repeat; 0: not known yet */
    int64_t largest;     /* batch */
    int64_t missing;     /* repeats of the size under way */
    ls_scale_rate rate;  /* of the trainings */
} study;

/* ---- sizes ---------------------------------------------------------------------------------- */

static ls_status plan_weak(const ls_scale_job *job, int ranks, ls_scale_size *size) {
    int base = ls_scale_base(job);
    if (size->batch > INT64_MAX / ranks || size->batch * ranks % base != 0 ||
        size->slices * ranks % base != 0)
        return ls_fail(LS_ERR_INPUT,
                       "weak scaling from %d ranks to %d: batch.size %lld and batch.slices %lld "
                       "times %d/%d must be whole numbers",
                       base, ranks, (long long)size->batch, (long long)size->slices, ranks, base);
    size->batch = size->batch * ranks / base;
    size->slices = size->slices * ranks / base;
    return LS_OK;
}

ls_status ls_scale_plan(const ls_config *config, const ls_scale_job *job, ls_scale_mode mode,
                        int ranks, ls_scale_size *size) {
    ls_scale_size made = {
        .mode = mode, .ranks = ranks, .batch = config->batch.size, .slices = config->batch.slices};
    if (mode == LS_SCALE_WEAK)
        LS_TRY(plan_weak(job, ranks, &made));
    if (ranks > made.slices)
        return ls_fail(LS_ERR_INPUT,
                       "%s scaling to %d ranks: batch.slices is %lld, and a rank needs one: more "
                       "slices (--set batch.slices=%d), or fewer ranks (--ranks)",
                       ls_scale_mode_name(mode), ranks, (long long)made.slices, ranks);
    *size = made;
    return LS_OK;
}

/* All of them, before anything runs: into sizes (modes * rank_count), weak after strong. */
static ls_status plan(study *s, ls_scale_size *sizes, int *count) {
    const ls_scale_job *job = s->job;
    *count = 0;
    for (int mode = 0; mode < LS_SCALE_MODES; mode++) {
        for (int i = 0; i < job->rank_count && job->modes[mode]; i++) {
            ls_scale_size *size = &sizes[(*count)++];
            LS_TRY(ls_scale_plan(s->config, job, (ls_scale_mode)mode, job->ranks[i], size));
            s->largest = size->batch > s->largest ? size->batch : s->largest;
        }
    }
    return LS_OK;
}

static ls_status set_integer(ls_config *config, const char *key, int64_t value) {
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    return ls_config_set(config, key, text);
}

/* There are never fewer samples than slices. */
static ls_status set_batch(ls_config *config, const ls_scale_size *size) {
    bool smaller = size->batch < config->batch.size;
    if (smaller)
        LS_TRY(set_integer(config, "batch.slices", size->slices));
    LS_TRY(set_integer(config, "batch.size", size->batch));
    return smaller ? LS_OK : set_integer(config, "batch.slices", size->slices);
}

/* ---- what was measured ---------------------------------------------------------------------- */

static bool is_of(const ls_scale_row *row, const ls_scale_size *size) {
    return row->size.mode == size->mode && row->size.ranks == size->ranks;
}

static int64_t count_repeats(const ls_scale_file *file, const ls_scale_size *size) {
    int64_t count = 0;
    for (int64_t i = 0; i < file->count; i++)
        count += is_of(&file->rows[i], size);
    return count;
}

/* Rank 0: what the smaller sizes let expect. */
static ls_status predict(const study *s, const ls_scale_size *size, ls_scale_row *row) {
    ls_scale_point *points;
    size_t count;
    LS_TRY(ls_scale_summarize(s->file->rows, s->file->count, &points, &count));
    ls_scale_prediction expected = ls_scale_predict(points, count, size);
    ls_free(points);
    row->predicted = expected.step;
    row->low = expected.low;
    row->high = expected.high;
    if (s->job->before)
        s->job->before(s->job->context, size, &expected);
    return LS_OK;
}

/* Rank 0: the point of a size, if `told` wants to know. */
static ls_status tell(const study *s, const ls_scale_size *size,
                      void (*told)(void *context, const ls_scale_point *point)) {
    ls_scale_point *points;
    size_t count;
    if (told == NULL)
        return LS_OK;
    LS_TRY(ls_scale_summarize(s->file->rows, s->file->count, &points, &count));
    for (size_t i = 0; i < count; i++)
        if (points[i].size.mode == size->mode && points[i].size.ranks == size->ranks)
            told(s->job->context, &points[i]);
    ls_free(points);
    return LS_OK;
}

/* Rank 0. */
static ls_status find_untrained(const study *s, const ls_scale_size *size, bool *untrained) {
    ls_scale_point *points;
    size_t count;
    *untrained = true;
    LS_TRY(ls_scale_summarize(s->file->rows, s->file->count, &points, &count));
    for (size_t i = 0; i < count; i++)
        if (points[i].size.mode == size->mode && points[i].size.ranks == size->ranks)
            *untrained = isnan(points[i].training.reached);
    ls_free(points);
    return LS_OK;
}

/* ---- measuring ------------------------------------------------------------------------------ */

typedef ls_status part_work(study *s, ls_comm *part, ls_scale_size *size);

/* Ranks that are not of the part sleep meanwhile. */
static ls_status on_part(study *s, ls_scale_size *size, part_work *work) {
    ls_comm *part;
    LS_TRY(ls_comm_agree(s->comm, set_batch(s->config, size)));
    LS_TRY(ls_comm_part(s->comm, size->ranks, &part));
    ls_status status = part ? work(s, part, size) : LS_OK;
    ls_comm_free(part);
    LS_TRY(ls_comm_rest(s->comm));
    return ls_comm_agree(s->comm, status);
}

/* Collective over the part. */
static ls_status run_repeats(study *s, ls_comm *part, ls_scale_measure *measure,
                             const ls_scale_size *size) {
    bool first = ls_comm_rank(part) == 0;
    ls_scale_row row = {.size = *size, .training = LS_SCALE_NOT_TRAINED};
    LS_TRY(ls_comm_agree(part, first ? ls_scale_file_check(s->file, s->job->path, size) : LS_OK));
    LS_TRY(ls_comm_agree(part, first ? predict(s, size, &row) : LS_OK));
    for (int64_t i = 0; i < s->missing; i++) {
        LS_TRY(ls_scale_measure_repeat(measure, &s->steps, &row));
        LS_TRY(ls_comm_agree(part, first ? ls_scale_file_add(s->file, &row, s->steps) : LS_OK));
    }
    return ls_comm_agree(part, first ? tell(s, size, s->job->after) : LS_OK);
}

static ls_status measure_part(study *s, ls_comm *part, ls_scale_size *size) {
    ls_scale_measure *measure;
    LS_TRY(ls_scale_measure_create(part, s->config, s->job->name, s->job->target != NULL,
                                   s->largest, size, &measure));
    ls_status status = run_repeats(s, part, measure, size);
    ls_scale_measure_free(measure);
    return status;
}

static ls_status run_size(study *s, ls_scale_size *size) {
    bool first = ls_comm_rank(s->comm) == 0;
    s->missing = first ? s->job->repeats - count_repeats(s->file, size) : 0;
    LS_TRY(ls_comm_broadcast(s->comm, &s->missing, sizeof s->missing, 0));
    if (s->missing <= 0)
        return LS_OK;
    LS_TRY(on_part(s, size, measure_part));
    return ls_comm_broadcast(s->comm, &s->steps, sizeof s->steps, 0);
}

/* ---- training to the target ----------------------------------------------------------------- */

/* Rank 0. */
static ls_status keep_training(const study *s, const ls_scale_size *size,
                               const ls_scale_training *training) {
    LS_TRY(ls_scale_file_train(s->file, size, training));
    return tell(s, size, s->job->trained);
}

static ls_status train_part(study *s, ls_comm *part, ls_scale_size *size) {
    ls_scale_training training;
    LS_TRY(ls_scale_train(part, s->config, s->job, &s->rate, size, &training));
    bool first = ls_comm_rank(part) == 0;
    return ls_comm_agree(part, first ? keep_training(s, size, &training) : LS_OK);
}

static ls_status train_size(study *s, ls_scale_size *size) {
    bool untrained = false, first = ls_comm_rank(s->comm) == 0;
    LS_TRY(ls_comm_agree(s->comm, first ? find_untrained(s, size, &untrained) : LS_OK));
    LS_TRY(ls_comm_broadcast(s->comm, &untrained, sizeof untrained, 0));
    return untrained ? on_part(s, size, train_part) : LS_OK;
}

/* ---- the study ------------------------------------------------------------------------------ */

/* What must be the same for rows to be of one study.  Rows of more repeats, larger sizes or another
 * mode may be added to it. */
static ls_status identify(const study *s, char identity[LS_DIGEST_TEXT]) {
    ls_text text = {0};
    ls_hash *hash;
    ls_config_write(s->config, &text);
    ls_text_add(&text, "\n%lld %d %s %s %s", (long long)s->job->steps, ls_scale_base(s->job),
                ls_compute_isa(), ls_compute_library(), ls_build_version());
    ls_status status = text.failed ? LS_ERR_SYSTEM : ls_hash_create(&hash);
    if (status == LS_OK) {
        ls_hash_add(hash, text.data, text.length);
        ls_hash_text(hash, identity);
        ls_hash_free(hash);
    }
    ls_text_free(&text);
    return status;
}

static ls_status open_file(study *s, int sizes, const char *identity) {
    LS_TRY(ls_scale_file_open(s->config, s->job, identity, sizes * s->job->repeats, &s->file));
    s->steps = s->file->steps > 0 ? s->file->steps : s->job->steps;
    return LS_OK;
}

/* A study is the same with a target and without. */
static ls_status take_target(study *s) {
    if (s->job->target == NULL)
        return LS_OK;
    LS_TRY(ls_scale_rate_of(s->config, s->job->lr_rule, &s->rate));
    return ls_config_set(s->config, "train.target", s->job->target);
}

/* Rank 0. */
static ls_status finish(study *s, ls_scale_study *result) {
    LS_TRY(ls_scale_file_finish(s->file));
    return ls_scale_read(s->job->path, result);
}

static ls_status run_sizes(study *s, ls_scale_study *result) {
    ls_scale_size sizes[LS_SCALE_MODES * LS_SCALE_LIMIT];
    int count;
    bool first = ls_comm_rank(s->comm) == 0;
    char identity[LS_DIGEST_TEXT];
    LS_TRY(ls_comm_agree(s->comm, plan(s, sizes, &count)));
    LS_TRY(ls_comm_agree(s->comm, identify(s, identity)));
    LS_TRY(ls_comm_agree(s->comm, take_target(s)));
    LS_TRY(ls_comm_agree(s->comm, first ? open_file(s, count, identity) : LS_OK));
    LS_TRY(ls_comm_broadcast(s->comm, &s->steps, sizeof s->steps, 0));
    for (int i = 0; i < count; i++)
        LS_TRY(run_size(s, &sizes[i]));
    /* The largest first: in strong mode its steps are those of all. */
    for (int i = count - 1; i >= 0 && s->job->target; i--)
        LS_TRY(train_size(s, &sizes[i]));
    return ls_comm_agree(s->comm, first ? finish(s, result) : LS_OK);
}

/* Before the file is looked at: the instruction set is part of what tells studies apart. */
static ls_status start_compute(ls_comm *comm, const ls_config *config) {
    LS_TRY(ls_comm_agree(comm, ls_compute_init((int)config->compute.threads, config->compute.isa)));
    return ls_comm_same(comm, "the instruction set (pin one with compute.isa)", ls_compute_isa());
}

ls_status ls_scale(ls_comm *comm, ls_config *config, const ls_scale_job *job,
                   ls_scale_study *result) {
    study s = {.comm = comm, .config = config, .job = job};
    LS_REQUIRE(job->rank_count >= 1 && job->rank_count <= LS_SCALE_LIMIT && job->repeats >= 1);
    LS_TRY(start_compute(comm, config));
    ls_status status = run_sizes(&s, result);
    ls_scale_file_free(s.file);
    return status;
}
