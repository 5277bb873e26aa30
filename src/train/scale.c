/* A scaling study: its sizes one after the other, each on a part of the ranks. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lockstep/build.h"
#include "train/scale_file.h"
#include "train/scale_measure.h"

typedef struct study {
    ls_comm *comm;
    ls_config *config;
    const ls_scale_job *job;
    ls_scale_file *file; /* rank 0 */
    int64_t steps;       /* of a repeat; 0: not known yet */
    int64_t largest;     /* batch */
} study;

/* ---- sizes ---------------------------------------------------------------------------------- */

static int base_of(const ls_scale_job *job) {
    return job->base > 0 ? job->base : job->ranks[0];
}

static ls_status plan_weak(const ls_scale_job *job, int ranks, ls_scale_size *size) {
    int base = base_of(job);
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

/* Rank 0. */
static ls_status tell(const study *s, const ls_scale_size *size) {
    ls_scale_point *points;
    size_t count;
    if (s->job->after == NULL)
        return LS_OK;
    LS_TRY(ls_scale_summarize(s->file->rows, s->file->count, &points, &count));
    for (size_t i = 0; i < count; i++)
        if (points[i].size.mode == size->mode && points[i].size.ranks == size->ranks)
            s->job->after(s->job->context, &points[i]);
    ls_free(points);
    return LS_OK;
}

/* ---- measuring ------------------------------------------------------------------------------ */

/* Collective over the part. */
static ls_status run_repeats(study *s, ls_comm *part, ls_scale_measure *measure, int64_t missing,
                             const ls_scale_size *size) {
    bool first = ls_comm_rank(part) == 0;
    ls_scale_row row = {.size = *size};
    LS_TRY(ls_comm_agree(part, first ? predict(s, size, &row) : LS_OK));
    for (int64_t i = 0; i < missing; i++) {
        LS_TRY(ls_scale_measure_repeat(measure, &s->steps, &row));
        LS_TRY(ls_comm_agree(part, first ? ls_scale_file_add(s->file, &row, s->steps) : LS_OK));
    }
    return ls_comm_agree(part, first ? tell(s, size) : LS_OK);
}

static ls_status run_part(study *s, ls_comm *part, int64_t missing, ls_scale_size *size) {
    ls_scale_measure *measure;
    LS_TRY(ls_scale_measure_create(part, s->config, s->job->name, s->largest, size, &measure));
    ls_status status = run_repeats(s, part, measure, missing, size);
    ls_scale_measure_free(measure);
    return status;
}

/* Ranks that are not of the part sleep meanwhile. */
static ls_status run_size(study *s, ls_scale_size *size) {
    ls_comm *part;
    bool first = ls_comm_rank(s->comm) == 0;
    int64_t missing = first ? s->job->repeats - count_repeats(s->file, size) : 0;
    LS_TRY(ls_comm_broadcast(s->comm, &missing, sizeof missing, 0));
    if (missing <= 0)
        return LS_OK;
    LS_TRY(ls_comm_agree(s->comm, set_batch(s->config, size)));
    LS_TRY(ls_comm_part(s->comm, size->ranks, &part));
    ls_status status = part ? run_part(s, part, missing, size) : LS_OK;
    ls_comm_free(part);
    LS_TRY(ls_comm_rest(s->comm));
    LS_TRY(ls_comm_agree(s->comm, status));
    return ls_comm_broadcast(s->comm, &s->steps, sizeof s->steps, 0);
}

/* ---- the study ------------------------------------------------------------------------------ */

/* What must be the same for rows to be of one study.  Rows of more repeats, larger sizes or another
 * mode may be added to it. */
static ls_status identify(const study *s, char identity[LS_DIGEST_TEXT]) {
    ls_text text = {0};
    ls_hash *hash;
    ls_config_write(s->config, &text);
    ls_text_add(&text, "\n%lld %d %s %s %s", (long long)s->job->steps, base_of(s->job),
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

static ls_status open_file(study *s, int sizes) {
    char identity[LS_DIGEST_TEXT];
    LS_TRY(identify(s, identity));
    LS_TRY(ls_scale_file_open(s->config, s->job, identity, sizes * s->job->repeats, &s->file));
    s->steps = s->file->steps > 0 ? s->file->steps : s->job->steps;
    return LS_OK;
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
    LS_TRY(ls_comm_agree(s->comm, plan(s, sizes, &count)));
    LS_TRY(ls_comm_agree(s->comm, first ? open_file(s, count) : LS_OK));
    LS_TRY(ls_comm_broadcast(s->comm, &s->steps, sizeof s->steps, 0));
    for (int i = 0; i < count; i++)
        LS_TRY(run_size(s, &sizes[i]));
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
