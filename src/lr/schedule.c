/* Schedules: the formulas of lockstep/schedule.h.  Every kind is one function of t, the step after
 * the warm-up, or of the epoch. */
#include <math.h>

#include "lockstep/schedule.h"

const char *ls_schedule_name(ls_schedule_kind kind) {
    static const char *const names[] = {LS_SCHEDULES(LS_WORD)};
    return names[kind];
}

/* ---- pieces --------------------------------------------------------------------------------- */

static int64_t steps_after_warmup(const ls_schedule *s) {
    return s->steps - s->warmup_steps;
}

/* From `from` at share 0 to `to` at share 1 along half a cosine. */
static double cosine_between(double from, double to, double share) {
    return to + (from - to) * 0.5 * (1 + cos(M_PI * share));
}

static double decay_at(const ls_schedule *s, int64_t t) {
    return pow(s->decay, (double)t / (double)s->steps_per_epoch);
}

/* ---- kinds ---------------------------------------------------------------------------------- */

static double drops_lr(const ls_schedule *s, int64_t step) {
    int64_t epoch = step / s->steps_per_epoch, drops = 0;
    if (s->kind == LS_SCHEDULE_STEP)
        drops = epoch / s->every_epochs;
    else
        while (drops < s->milestone_count && s->milestones[drops] <= epoch)
            drops++;
    return s->lr * pow(s->factor, (double)drops);
}

static double polynomial_lr(const ls_schedule *s, int64_t t) {
    double left = 1 - (double)t / (double)steps_after_warmup(s);
    return s->final_lr + (s->lr - s->final_lr) * pow(left, s->power);
}

static double restarts_lr(const ls_schedule *s, int64_t t) {
    int64_t length = s->cycle_steps;
    if (s->cycle_multiplier > 1) {
        const double longest = 0x1p62;
        for (; t >= length; length = llrint(fmin((double)length * s->cycle_multiplier, longest)))
            t -= length;
    } else {
        t %= length;
    }
    return cosine_between(s->lr, s->final_lr, (double)t / (double)length);
}

static double triangle_lr(const ls_schedule *s, int64_t t, double height) {
    double half = 0.5 * (double)s->cycle_steps;
    double share = 1 - fabs((double)(t % s->cycle_steps) / half - 1);
    return s->base_lr + (s->max_lr - s->base_lr) * share * height;
}

/* `first` at the start, `peak` at p = rise N - 1, `last` at N - 1.  p may be below 0, in a run of a
 * few steps: the run then starts on the way down. */
static double one_cycle(const ls_schedule *s, int64_t t, double first, double peak, double last) {
    double n = (double)steps_after_warmup(s), p = s->rise * n - 1, now = (double)t;
    bool rising = now < p;
    double share = rising ? now / p : (now - p) / (n - 1 - p);
    double from = rising ? first : peak, to = rising ? peak : last;
    return s->anneal == LS_ANNEAL_LINEAR ? from + (to - from) * share
                                         : cosine_between(from, to, share);
}

/* Without the warm-up's factor. */
static double plain_lr(const ls_schedule *s, int64_t step) {
    int64_t t = step < s->warmup_steps ? 0 : step - s->warmup_steps;
    switch (s->kind) {
    case LS_SCHEDULE_CONSTANT:
        break;
    case LS_SCHEDULE_STEP:
    case LS_SCHEDULE_MULTISTEP:
        return drops_lr(s, step);
    case LS_SCHEDULE_EXPONENTIAL:
        return s->lr * decay_at(s, t);
    case LS_SCHEDULE_POLYNOMIAL:
        return polynomial_lr(s, t);
    case LS_SCHEDULE_COSINE:
        return cosine_between(s->lr, s->final_lr, (double)t / (double)steps_after_warmup(s));
    case LS_SCHEDULE_COSINE_RESTARTS:
        return restarts_lr(s, t);
    case LS_SCHEDULE_TRIANGULAR:
        return triangle_lr(s, t, 1);
    case LS_SCHEDULE_TRIANGULAR2:
        return triangle_lr(s, t, pow(0.5, (double)(t / s->cycle_steps)));
    case LS_SCHEDULE_EXP_RANGE:
        return decay_at(s, t) * triangle_lr(s, t, 1);
    case LS_SCHEDULE_ONE_CYCLE:
        return one_cycle(s, t, s->base_lr, s->max_lr, s->final_lr);
    }
    return s->lr;
}

/* ---- both ----------------------------------------------------------------------------------- */

double ls_schedule_lr(const ls_schedule *s, int64_t step) {
    LS_ASSERT(step >= 0 && step < s->steps);
    double lr = plain_lr(s, step);
    if (step >= s->warmup_steps)
        return lr;
    return lr *
           (s->warmup_factor + (1 - s->warmup_factor) * (double)step / (double)s->warmup_steps);
}

double ls_schedule_momentum(const ls_schedule *s, int64_t step) {
    if (s->kind != LS_SCHEDULE_ONE_CYCLE || !s->cycle_momentum)
        return s->momentum;
    int64_t t = step < s->warmup_steps ? 0 : step - s->warmup_steps;
    return one_cycle(s, t, s->max_momentum, s->min_momentum, s->max_momentum);
}

double ls_scaled_lr(double lr, int64_t batch, int64_t reference_batch) {
    return reference_batch > 0 ? lr * (double)batch / (double)reference_batch : lr;
}
