/* Schedules: which fields a kind needs, and what they may be.  Comparisons are written so that an
 * LR that is NaN, not known yet, passes. */
#include <math.h>

#include "lockstep/schedule.h"

static ls_status fail_field(const ls_schedule *s, const char *field, double value,
                            const char *expected) {
    return ls_fail(LS_ERR_INPUT, "schedule %s: %s is %g, expected %s", ls_schedule_name(s->kind),
                   field, value, expected);
}

static ls_status fail_order(const ls_schedule *s, const char *small, double small_value,
                            const char *large, double large_value) {
    return ls_fail(LS_ERR_INPUT, "schedule %s: %s (%g) must be below %s (%g)",
                   ls_schedule_name(s->kind), small, small_value, large, large_value);
}

/* ---- what all kinds have -------------------------------------------------------------------- */

static ls_status check_lengths(const ls_schedule *s) {
    if (s->steps < 1)
        return fail_field(s, "the number of steps", (double)s->steps, "1 or more");
    if (s->steps_per_epoch < 1)
        return fail_field(s, "the number of steps of an epoch", (double)s->steps_per_epoch,
                          "1 or more");
    if (s->warmup_steps < 0)
        return fail_field(s, "the length of the warm-up", (double)s->warmup_steps, "0 or more");
    if (s->warmup_steps >= s->steps)
        return ls_fail(LS_ERR_INPUT,
                       "schedule %s: a warm-up of %lld steps leaves nothing of a run of %lld steps",
                       ls_schedule_name(s->kind), (long long)s->warmup_steps, (long long)s->steps);
    return LS_OK;
}

static ls_status check_common(const ls_schedule *s) {
    LS_TRY(check_lengths(s));
    if (s->lr <= 0 || isinf(s->lr))
        return fail_field(s, "the learning rate", s->lr, "a number above 0");
    if (!(s->warmup_factor >= 0 && s->warmup_factor <= 1))
        return fail_field(s, "warmup_factor", s->warmup_factor, "0 to 1");
    if (!(s->momentum >= 0 && s->momentum < 1))
        return fail_field(s, "momentum", s->momentum, "0 to below 1");
    return LS_OK;
}

/* ---- what some kinds have ------------------------------------------------------------------- */

static ls_status check_factor(const ls_schedule *s, const char *field, double value) {
    if (!(value > 0 && value <= 1))
        return fail_field(s, field, value, "above 0 and at most 1");
    return LS_OK;
}

static ls_status check_milestones(const ls_schedule *s) {
    LS_TRY(check_factor(s, "factor", s->factor));
    if (s->milestone_count < 1 || s->milestone_count > LS_MILESTONES)
        return ls_fail(LS_ERR_INPUT,
                       "schedule multistep: %d milestones, expected 1 to %d epochs, as in [30, 60]",
                       s->milestone_count, LS_MILESTONES);
    for (int i = 0; i < s->milestone_count; i++)
        if (s->milestones[i] <= (i > 0 ? s->milestones[i - 1] : 0))
            return ls_fail(LS_ERR_INPUT,
                           "schedule multistep: milestone %lld after %lld, expected growing epochs "
                           "from 1 on",
                           (long long)s->milestones[i],
                           i > 0 ? (long long)s->milestones[i - 1] : 0LL);
    return LS_OK;
}

static ls_status check_final(const ls_schedule *s, const char *start, double start_lr) {
    if (s->final_lr < 0 || isinf(s->final_lr))
        return fail_field(s, "final_lr", s->final_lr, "0 or more");
    if (s->final_lr >= start_lr)
        return fail_order(s, "final_lr", s->final_lr, start, start_lr);
    return LS_OK;
}

/* base_lr below max_lr. */
static ls_status check_bounds(const ls_schedule *s) {
    if (s->base_lr < 0)
        return fail_field(s, "base_lr", s->base_lr, "0 or more");
    if (isinf(s->max_lr))
        return fail_field(s, "max_lr", s->max_lr, "a number");
    if (s->base_lr >= s->max_lr)
        return fail_order(s, "base_lr", s->base_lr, "max_lr", s->max_lr);
    return LS_OK;
}

static ls_status check_cycle(const ls_schedule *s, int64_t least) {
    if (s->cycle_steps < least)
        return ls_fail(LS_ERR_INPUT,
                       "schedule %s: a cycle of %lld steps, expected at least %lld (cycle_epochs "
                       "times %lld steps an epoch)",
                       ls_schedule_name(s->kind), (long long)s->cycle_steps, (long long)least,
                       (long long)s->steps_per_epoch);
    return LS_OK;
}

static ls_status check_triangle(const ls_schedule *s) {
    LS_TRY(check_bounds(s));
    return check_cycle(s, 2);
}

static ls_status check_restarts(const ls_schedule *s) {
    LS_TRY(check_final(s, "the learning rate", s->lr));
    if (!(s->cycle_multiplier >= 1) || isinf(s->cycle_multiplier))
        return fail_field(s, "cycle_multiplier", s->cycle_multiplier, "1 or more");
    return check_cycle(s, 1);
}

static ls_status check_one_cycle(const ls_schedule *s) {
    LS_TRY(check_bounds(s));
    LS_TRY(check_final(s, "max_lr", s->max_lr));
    if (!(s->rise > 0 && s->rise < 1))
        return fail_field(s, "rise", s->rise, "above 0 and below 1");
    if (!s->cycle_momentum)
        return LS_OK;
    if (!(s->min_momentum >= 0))
        return fail_field(s, "min_momentum", s->min_momentum, "0 or more");
    if (!(s->max_momentum < 1))
        return fail_field(s, "max_momentum", s->max_momentum, "below 1");
    if (s->min_momentum > s->max_momentum)
        return fail_order(s, "min_momentum", s->min_momentum, "max_momentum", s->max_momentum);
    return LS_OK;
}

ls_status ls_schedule_check(const ls_schedule *s) {
    LS_TRY(check_common(s));
    switch (s->kind) {
    case LS_SCHEDULE_CONSTANT:
        break;
    case LS_SCHEDULE_STEP:
        if (s->every_epochs < 1)
            return fail_field(s, "every_epochs", (double)s->every_epochs, "1 or more");
        return check_factor(s, "factor", s->factor);
    case LS_SCHEDULE_MULTISTEP:
        return check_milestones(s);
    case LS_SCHEDULE_EXPONENTIAL:
        return check_factor(s, "decay", s->decay);
    case LS_SCHEDULE_POLYNOMIAL:
        if (!(s->power > 0) || isinf(s->power))
            return fail_field(s, "power", s->power, "a number above 0");
        return check_final(s, "the learning rate", s->lr);
    case LS_SCHEDULE_COSINE:
        return check_final(s, "the learning rate", s->lr);
    case LS_SCHEDULE_COSINE_RESTARTS:
        return check_restarts(s);
    case LS_SCHEDULE_TRIANGULAR:
    case LS_SCHEDULE_TRIANGULAR2:
        return check_triangle(s);
    case LS_SCHEDULE_EXP_RANGE:
        LS_TRY(check_factor(s, "decay", s->decay));
        return check_triangle(s);
    case LS_SCHEDULE_ONE_CYCLE:
        return check_one_cycle(s);
    }
    return LS_OK;
}
