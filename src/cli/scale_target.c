/* The time to the target of a scaling study as a page for people. */
#include <math.h>

#include "cli/scale.h"

static void add_number(ls_text *text, int width, double value) {
    char number[LS_DIGITS_TEXT];
    ls_text_add(text, "%*s", width, ls_digits(value, number));
}

const ls_scale_point *ls_scale_first_reached(const ls_scale_point *points, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!isnan(points[i].to_target))
            return &points[i];
    return NULL;
}

/* Steps that the noise scale lets expect of a batch, from those of another one. */
static double expected_steps(double noise, const ls_scale_point *base, int64_t batch) {
    return base->training.steps * (1 + noise / (double)batch) /
           (1 + noise / (double)base->size.batch);
}

/* ---- rows ----------------------------------------------------------------------------------- */

static void add_heading(const ls_scale_study *study, bool noise, ls_text *text) {
    ls_text_add(text, "time to %s, --lr %s: steps to the end of the epoch that reached it\n",
                study->target, study->lr_rule);
    ls_text_add(text, "%6s%10s%12s%8s%10s%12s%10s%10s%11s", "ranks", "batch", "lr", "epochs",
                "steps", "samples", "time, s", "speed-up", "efficiency");
    ls_text_add(text, noise ? " |%16s\n" : "\n", "steps, by noise");
}

static void add_row(const ls_scale_study *study, const ls_scale_point *base,
                    const ls_scale_point *point, bool noise, ls_text *text) {
    const ls_scale_training *training = &point->training;
    ls_text_add(text, "%6d%10lld", point->size.ranks, (long long)point->size.batch);
    if (isnan(training->reached)) {
        ls_text_add(text, "  not trained\n");
        return;
    }
    add_number(text, 12, training->lr);
    ls_text_add(text, "%8g%10g%12.0f", training->epochs, training->steps, training->samples);
    if (isnan(point->to_target)) {
        ls_text_add(text, "  %s\n", training->steps > 0 ? "not reached" : "not reached: diverged");
        return;
    }
    double speedup = base->to_target / point->to_target * base->size.ranks;
    add_number(text, 10, point->to_target);
    ls_text_add(text, "%10.2f%9.1f %%", speedup, 100 * speedup / point->size.ranks);
    if (noise)
        ls_text_add(text, " |%16.0f", expected_steps(study->noise_scale, base, point->size.batch));
    ls_text_add(text, "\n");
}

/* ---- what it means -------------------------------------------------------------------------- */

/* Where more ranks stop paying. */
static void add_best(const ls_scale_point *points, size_t count, ls_text *text) {
    const ls_scale_point *best = ls_scale_first_reached(points, count), *last = best;
    for (const ls_scale_point *point = points; point < points + count; point++) {
        if (isnan(point->to_target))
            continue;
        best = point->to_target < best->to_target ? point : best;
        last = point;
    }
    ls_text_add(text, "least time on %d rank%s%s\n", best->size.ranks,
                best->size.ranks == 1 ? "" : "s",
                best == last ? ", the most that reached it" : ": more do not pay");
}

static void add_noise(const ls_scale_study *study, const ls_scale_point *points, ls_text *text) {
    double batch_of_rank = (double)points->size.batch / points->size.ranks;
    char scale[LS_DIGITS_TEXT];
    ls_text_add(text,
                "noise scale %s samples, the batch of %.3g ranks: there a training takes twice the "
                "least steps, and larger batches save fewer and fewer\n",
                ls_digits(study->noise_scale, scale), study->noise_scale / batch_of_rank);
}

void ls_scale_add_target(const ls_scale_study *study, const ls_scale_point *points, size_t count,
                         ls_text *text) {
    const ls_scale_point *base = ls_scale_first_reached(points, count);
    bool noise = points->size.mode == LS_SCALE_WEAK && study->noise_scale > 0;
    bool trained = false, ended = false;
    for (size_t i = 0; i < count; i++) {
        trained = trained || !isnan(points[i].training.reached);
        ended = ended || points[i].training.steps > 0; /* and did not diverge */
    }
    if (!trained || study->target == NULL || study->lr_rule == NULL)
        return;
    add_heading(study, noise, text);
    for (size_t i = 0; i < count; i++)
        add_row(study, base, &points[i], noise, text);
    if (base)
        add_best(points, count, text);
    else
        ls_text_add(text, "no size reached it: %s\n",
                    ended ? "more train.epochs, or an easier --target"
                          : "a smaller train.lr, or --lr auto");
    if (noise)
        add_noise(study, points, text);
}
