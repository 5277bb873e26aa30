/* A noise scale as a page for people, and as JSON, whose keys the help page of `noise` documents.
 */
#include <math.h>
#include <stdio.h>

#include "cli/json_fields.h"
#include "cli/noise.h"

const char *ls_noise_part_name(int part) {
    static const char *const names[LS_NOISE_PARTS] = {"start", "middle", "end"};
    return names[part];
}

const ls_noise_window *ls_noise_part(const ls_noise_study *study, int part) {
    return &study->points[(study->point_count - 1) * (size_t)part / (LS_NOISE_PARTS - 1)];
}

/* Steps and samples against the least of any batch. */
static double steps_factor(const ls_noise_study *study, const ls_noise_window *window) {
    return 1 + window->scale / (double)study->batch;
}

static double samples_factor(const ls_noise_study *study, const ls_noise_window *window) {
    return 1 + (double)study->batch / window->scale;
}

/* ---- for people ----------------------------------------------------------------------------- */

static void add_number(ls_text *text, int width, double value) {
    char number[LS_DIGITS_TEXT] = "-";
    ls_text_add(text, "%*s", width, isnan(value) ? number : ls_digits(value, number));
}

/* "> 1230" where the noise hides it. */
static void add_scale(ls_text *text, const ls_noise_window *window) {
    char number[LS_DIGITS_TEXT], bound[LS_DIGITS_TEXT + 2];
    snprintf(bound, sizeof bound, "> %s", ls_digits(window->least, number));
    ls_text_add(text, "%10s", isnan(window->scale) ? bound : ls_digits(window->scale, number));
}

static void add_row(const ls_noise_study *study, int part, ls_text *text) {
    const ls_noise_window *window = ls_noise_part(study, part);
    char steps[64];
    snprintf(steps, sizeof steps, "%lld-%lld", (long long)window->first + 1,
             (long long)(window->first + window->count));
    ls_text_add(text, "%-8s%14s", ls_noise_part_name(part), steps);
    add_scale(text, window);
    add_number(text, 9, window->error);
    ls_text_add(text, "%12.3g%12.3g", window->square, window->trace);
    add_number(text, 9, steps_factor(study, window));
    add_number(text, 9, samples_factor(study, window));
    ls_text_add(text, "\n");
}

/* In ranks: a slice is the least that one can have. */
static void add_ranks(const ls_noise_study *study, double limit, ls_text *text) {
    const double slice = (double)study->batch / (double)study->slices;
    if (limit < 2 * slice)
        ls_text_add(text,
                    "That is less than two slices of %.3g samples: more ranks share the work of a "
                    "batch, but a larger\nbatch saves no steps.\n",
                    slice);
    else
        ls_text_add(text,
                    "In slices of %.3g samples, as here, that is %.0f slices, and so many ranks at "
                    "the most.\n",
                    slice, floor(limit / slice));
}

static void add_meaning(const ls_noise_study *study, ls_text *text) {
    const ls_noise_window *end = ls_noise_part(study, LS_NOISE_PARTS - 1);
    const bool hidden = isnan(end->scale);
    const double limit = 2 * (hidden ? end->least : end->scale);
    char samples[LS_DIGITS_TEXT];
    ls_text_add(text,
                "At the end larger batches save steps up to %s %s samples, twice B_noise: a "
                "training there\ntakes 1.5 times the least steps, and doubling the batch saves a "
                "sixth of them.\n",
                hidden ? "more than" : "about", ls_digits(limit, samples));
    add_ranks(study, limit, text);
    if (hidden)
        ls_text_add(text, "The gradient is within its noise there: a larger batch, or more steps, "
                          "would show the scale itself.\n");
}

void ls_noise_table(const ls_noise_study *study, ls_text *text) {
    ls_text_add(text, "%lld steps, batch %lld in %lld slices, learning rate %.3g\n\n",
                (long long)study->rows, (long long)study->batch, (long long)study->slices,
                study->lr);
    ls_text_add(text, "%58s%15s\n", "", "at this batch, x");
    ls_text_add(text, "%-8s%14s%10s%9s%12s%12s%9s%9s\n", "", "steps", "B_noise", "+-", "|G|^2",
                "tr(C)", "steps", "samples");
    for (int part = 0; part < LS_NOISE_PARTS; part++)
        add_row(study, part, text);
    ls_text_add(text,
                "\nB_noise: samples of a batch that takes twice the least steps, and twice the "
                "least samples.\n");
    add_meaning(study, text);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static void add_window(const ls_noise_study *study, int part, ls_text *text) {
    const ls_noise_window *window = ls_noise_part(study, part);
    ls_text_add(text, "%s\n    {\"part\": \"%s\"", part ? "," : "", ls_noise_part_name(part));
    ls_json_inner(text, "first_step", (double)window->first + 1, false);
    ls_json_inner(text, "steps", (double)window->count, false);
    ls_json_inner(text, "noise_scale", window->scale, false);
    ls_json_inner(text, "error", window->error, false);
    ls_json_inner(text, "at_least", window->least, false);
    ls_json_inner(text, "gradient_square", window->square, false);
    ls_json_inner(text, "gradient_trace", window->trace, false);
    ls_json_inner(text, "steps_factor", steps_factor(study, window), false);
    ls_json_inner(text, "samples_factor", samples_factor(study, window), false);
    ls_text_add(text, "}");
}

void ls_noise_json(const ls_noise_study *study, ls_text *text) {
    ls_text_add(text, "{\n  \"config\": ");
    ls_json_string(text, study->about);
    ls_json_text_field(text, "version", study->version);
    ls_json_text_field(text, "isa", study->isa);
    ls_json_field(text, "batch", (double)study->batch);
    ls_json_field(text, "slices", (double)study->slices);
    ls_json_field(text, "learning_rate", study->lr);
    ls_json_field(text, "steps", (double)study->rows);
    ls_json_key(text, "points");
    ls_text_add(text, "[");
    for (int part = 0; part < LS_NOISE_PARTS; part++)
        add_window(study, part, text);
    ls_text_add(text, "]\n}\n");
}
