/* A scaling study for programs: JSON, CSV, and the text that Extra-P reads.  The help page of
 * `scale` documents the keys. */
#include <math.h>

#include "cli/json_fields.h"
#include "cli/scale.h"

/* ---- JSON ----------------------------------------------------------------------------------- */

static void add_size(ls_text *text, const ls_scale_size *size) {
    ls_text_add(text, "\"mode\": \"%s\"", ls_scale_mode_name(size->mode));
    ls_json_inner(text, "ranks", size->ranks, false);
    ls_json_inner(text, "nodes", size->nodes, false);
    ls_json_inner(text, "batch", (double)size->batch, false);
    ls_json_inner(text, "slices", (double)size->slices, false);
    ls_json_inner(text, "crowd", size->crowd, false);
    ls_json_inner(text, "exchange_bytes", size->bytes, false);
    ls_json_inner(text, "buckets", size->buckets, false);
}

/* {"NAME": value, "low": ..., "high": ...}; left open. */
static void add_interval(ls_text *text, const char *key, const char *name, double value, double low,
                         double high) {
    ls_text_add(text, ",\n     \"%s\": {", key);
    ls_json_inner(text, name, value, true);
    ls_json_inner(text, "low", low, false);
    ls_json_inner(text, "high", high, false);
}

/* The point's last. */
static void add_training(ls_text *text, const ls_scale_point *point) {
    const ls_scale_training *training = &point->training;
    ls_text_add(text, ",\n     \"training\": {");
    ls_json_inner(text, "reached", training->reached, true);
    ls_json_inner(text, "steps", training->steps, false);
    ls_json_inner(text, "epochs", training->epochs, false);
    ls_json_inner(text, "samples", training->samples, false);
    ls_json_inner(text, "learning_rate", training->lr, false);
    ls_json_inner(text, "seconds", point->to_target, false);
    ls_text_add(text, "}}");
}

static void add_point(ls_text *text, const ls_scale_point *point) {
    ls_text_add(text, "\n    {");
    add_size(text, &point->size);
    ls_json_inner(text, "repeats", (double)point->repeats, false);
    add_interval(text, "step_seconds", "median", point->step.median, point->step.low,
                 point->step.high);
    ls_json_inner(text, "confidence", point->step.confidence, false);
    ls_text_add(text, "},\n     \"phases\": {");
    for (int phase = 0; phase < LS_SCALE_PHASES; phase++)
        ls_json_inner(text, ls_scale_phase_name((ls_scale_phase)phase), point->phase[phase],
                      phase == 0);
    ls_text_add(text, "}");
    ls_json_inner(text, "exchange_alone_seconds", point->alone, false);
    add_interval(text, "predicted_seconds", "step", point->predicted, point->low, point->high);
    ls_text_add(text, "}");
    ls_json_inner(text, "error", point->error, false);
    add_interval(text, "speedup", "median", point->speedup, point->speedup_low,
                 point->speedup_high);
    ls_text_add(text, "}");
    ls_json_inner(text, "efficiency", point->efficiency, false);
    ls_text_add(text, ", \"same_bits\": %s", point->same_bits ? "true" : "false");
    add_training(text, point);
}

void ls_scale_json(const ls_scale_study *study, ls_text *text) {
    ls_text_add(text, "{\n  \"config\": ");
    ls_json_string(text, study->about);
    ls_json_text_field(text, "version", study->version);
    ls_json_text_field(text, "isa", study->isa);
    ls_json_text_field(text, "hosts", study->hosts);
    ls_json_field(text, "steps", (double)study->steps);
    ls_json_field(text, "warm_up_steps", LS_SCALE_WARM_UP);
    ls_json_text_field(text, "target", study->target ? study->target : "");
    ls_json_text_field(text, "lr_rule", study->lr_rule ? study->lr_rule : "");
    ls_json_field(text, "noise_scale", study->noise_scale > 0 ? study->noise_scale : (double)NAN);
    ls_json_key(text, "points");
    ls_text_add(text, "[");
    for (size_t i = 0; i < study->point_count; i++) {
        ls_text_add(text, i ? "," : "");
        add_point(text, &study->points[i]);
    }
    ls_text_add(text, "]\n}\n");
}

/* ---- CSV ------------------------------------------------------------------------------------ */

static void add_numbers(ls_text *text, const double *values, int count) {
    for (int i = 0; i < count; i++) {
        ls_text_add(text, ",");
        if (isfinite(values[i]))
            ls_text_add(text, "%.9g", values[i]);
    }
}

void ls_scale_csv(const ls_scale_study *study, ls_text *text) {
    ls_text_add(text, "mode,ranks,nodes,batch,slices,repeats,step,step_low,step_high");
    for (int phase = 0; phase < LS_SCALE_PHASES; phase++)
        ls_text_add(text, ",%s", ls_scale_phase_name((ls_scale_phase)phase));
    ls_text_add(text, ",exchange_alone,predicted,predicted_low,predicted_high,error,speedup,"
                      "speedup_low,speedup_high,efficiency,same_bits,target_reached,trained_steps,"
                      "trained_epochs,trained_samples,learning_rate,time_to_target\n");
    for (size_t i = 0; i < study->point_count; i++) {
        const ls_scale_point *point = &study->points[i];
        const ls_scale_size *size = &point->size;
        const double first[] = {size->ranks,
                                size->nodes,
                                (double)size->batch,
                                (double)size->slices,
                                (double)point->repeats,
                                point->step.median,
                                point->step.low,
                                point->step.high};
        const double last[] = {point->alone,       point->predicted,    point->low,
                               point->high,        point->error,        point->speedup,
                               point->speedup_low, point->speedup_high, point->efficiency};
        ls_text_add(text, "%s", ls_scale_mode_name(size->mode));
        add_numbers(text, first, sizeof first / sizeof *first);
        add_numbers(text, point->phase, LS_SCALE_PHASES);
        add_numbers(text, last, sizeof last / sizeof *last);
        const ls_scale_training *of = &point->training;
        const double training[] = {of->reached, of->steps, of->epochs,
                                   of->samples, of->lr,    point->to_target};
        ls_text_add(text, ",%s", point->same_bits ? "yes" : "no");
        add_numbers(text, training, sizeof training / sizeof *training);
        ls_text_add(text, "\n");
    }
}

/* ---- Extra-P -------------------------------------------------------------------------------- */

/* The repeats of each size, one line a size: of a phase, or of the whole step. */
static void add_region(const ls_scale_study *study, const ls_scale_point *points, size_t count,
                       int phase, ls_text *text) {
    ls_text_add(text, "\nREGION %s\nMETRIC seconds\n",
                phase < LS_SCALE_PHASES ? ls_scale_phase_name((ls_scale_phase)phase) : "step");
    for (size_t i = 0; i < count; i++) {
        ls_text_add(text, "DATA");
        for (int64_t k = 0; k < study->row_count; k++) {
            const ls_scale_row *row = &study->rows[k];
            if (row->size.mode == points[i].size.mode && row->size.ranks == points[i].size.ranks)
                ls_text_add(text, " %.9g", phase < LS_SCALE_PHASES ? row->phase[phase] : row->step);
        }
        ls_text_add(text, "\n");
    }
}

void ls_scale_extra_p(const ls_scale_study *study, ls_scale_mode mode, ls_text *text) {
    size_t count;
    const ls_scale_point *points = ls_scale_mode_points(study, mode, &count);
    ls_text_add(text, "PARAMETER ranks\nPOINTS");
    for (size_t i = 0; i < count; i++)
        ls_text_add(text, " %d", points[i].size.ranks);
    ls_text_add(text, "\n");
    for (int phase = 0; phase <= LS_SCALE_PHASES; phase++)
        add_region(study, points, count, phase, text);
}
