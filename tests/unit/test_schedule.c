/* schedules: the formulas that PyTorch does not share, the edges of a run, and what is refused. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "lockstep/schedule.h"

enum { KINDS = LS_SCHEDULE_ONE_CYCLE + 1 };

/* 6 epochs of 7 steps; every field is right for every kind. */
static ls_schedule example(ls_schedule_kind kind) {
    return (ls_schedule){.kind = kind,
                         .steps = 42,
                         .steps_per_epoch = 7,
                         .warmup_factor = 0.25,
                         .lr = 0.5,
                         .momentum = 0.9,
                         .every_epochs = 2,
                         .factor = 0.1,
                         .milestone_count = 2,
                         .milestones = {1, 4},
                         .decay = 0.5,
                         .power = 2,
                         .base_lr = 0.125,
                         .max_lr = 0.5,
                         .final_lr = 0.01,
                         .cycle_steps = 14,
                         .cycle_multiplier = 1.5,
                         .rise = 0.3,
                         .cycle_momentum = true,
                         .min_momentum = 0.8,
                         .max_momentum = 0.95};
}

static void close_to(double got, double want, const char *what) {
    cr_expect(fabs(got - want) <= 1e-12 * fabs(want), "%s: %.17g, expected %.17g", what, got, want);
}

/* ---- formulas ------------------------------------------------------------------------------- */

/* Smith's code of 2015, as in the paper, and both boundaries times gamma^iteration. */
Test(schedule, exp_range_is_the_papers) {
    ls_schedule s = example(LS_SCHEDULE_EXP_RANGE);
    double gamma = pow(0.5, 1.0 / 7), stepsize = 7, decline = 1;
    for (int i = 0; i < 42; i++, decline *= gamma) {
        double cycle = floor(1 + i / (2 * stepsize));
        double x = fabs(i / stepsize - 2 * cycle + 1);
        double low = 0.125 * decline, high = 0.5 * decline;
        close_to(ls_schedule_lr(&s, i), low + (high - low) * fmax(0, 1 - x), "exp_range");
    }
}

Test(schedule, exponential_goes_down_by_its_factor_an_epoch) {
    ls_schedule s = example(LS_SCHEDULE_EXPONENTIAL);
    for (int i = 0; i + 7 < 42; i++)
        close_to(ls_schedule_lr(&s, i + 7), 0.5 * ls_schedule_lr(&s, i), "an epoch later");
    for (int i = 0; i + 1 < 42; i++)
        cr_expect_lt(ls_schedule_lr(&s, i + 1), ls_schedule_lr(&s, i));
}

Test(schedule, restarts_get_longer) {
    static const int starts[] = {0, 6, 15, 29, 50}; /* 6, 9, 13.5, 20.25, rounded to whole steps */
    ls_schedule s = example(LS_SCHEDULE_COSINE_RESTARTS);
    s.cycle_steps = 6;
    for (int i = 0; i < 42; i++) {
        int k = 0;
        while (i >= starts[k + 1])
            k++;
        double share = (double)(i - starts[k]) / (starts[k + 1] - starts[k]);
        close_to(ls_schedule_lr(&s, i), 0.01 + 0.49 * (1 + cos(acos(-1) * share)) / 2, "restarts");
    }
}

Test(schedule, whole_epochs_hang_on_the_epoch_alone) {
    static const double step[] = {0.5, 0.5, 0.05, 0.05, 0.005, 0.005},
                        multistep[] = {0.5, 0.05, 0.05, 0.05, 0.005, 0.005};
    ls_schedule a = example(LS_SCHEDULE_STEP), b = example(LS_SCHEDULE_MULTISTEP);
    for (int i = 0; i < 42; i++) {
        close_to(ls_schedule_lr(&a, i), step[i / 7], "step");
        close_to(ls_schedule_lr(&b, i), multistep[i / 7], "multistep");
    }
}

/* Before any kind: a straight line to the schedule's first LR, then the schedule of the steps that
 * are left; step and multistep keep the epochs of the run. */
Test(schedule, warmup_before_every_kind) {
    for (int kind = 0; kind < KINDS; kind++) {
        ls_schedule plain = example((ls_schedule_kind)kind), warm = plain;
        bool epochs = kind == LS_SCHEDULE_STEP || kind == LS_SCHEDULE_MULTISTEP;
        warm.warmup_steps = 5;
        warm.steps = epochs ? 42 : 47;
        double first = ls_schedule_lr(&plain, 0);
        for (int i = 0; i < 5; i++)
            close_to(ls_schedule_lr(&warm, i), first * (0.25 + 0.75 * i / 5), "warm-up");
        for (int i = epochs ? 5 : 0; i < 42; i++) {
            close_to(ls_schedule_lr(&warm, epochs ? i : i + 5), ls_schedule_lr(&plain, i),
                     ls_schedule_name(plain.kind));
            close_to(ls_schedule_momentum(&warm, i + (epochs ? 0 : 5)),
                     ls_schedule_momentum(&plain, i), "momentum");
        }
    }
}

Test(schedule, only_one_cycle_moves_the_momentum) {
    for (int kind = 0; kind < KINDS; kind++) {
        ls_schedule s = example((ls_schedule_kind)kind);
        for (int i = 0; i < 42 && kind != LS_SCHEDULE_ONE_CYCLE; i++)
            cr_expect_eq(ls_schedule_momentum(&s, i), 0.9);
    }
    ls_schedule s = example(LS_SCHEDULE_ONE_CYCLE);
    cr_expect_eq(ls_schedule_momentum(&s, 0), 0.95);
    cr_expect_eq(ls_schedule_momentum(&s, 41), 0.95);
    cr_expect_lt(ls_schedule_momentum(&s, 12), 0.801);
    s.cycle_momentum = false;
    cr_expect_eq(ls_schedule_momentum(&s, 12), 0.9);
}

Test(schedule, linear_scaling_rule) {
    cr_expect_eq(ls_scaled_lr(0.1, 8192, 256), 0.1 * 8192 / 256);
    cr_expect_eq(ls_scaled_lr(0.1, 64, 256), 0.1 * 64 / 256);
    cr_expect_eq(ls_scaled_lr(0.1, 8192, 0), 0.1);
}

/* ---- edges ---------------------------------------------------------------------------------- */

Test(schedule, first_and_last_step) {
    static const double first[KINDS] = {0.5, 0.5,   0.5,   0.5,   0.5,  0.5,
                                        0.5, 0.125, 0.125, 0.125, 0.125};
    for (int kind = 0; kind < KINDS; kind++) {
        ls_schedule s = example((ls_schedule_kind)kind);
        close_to(ls_schedule_lr(&s, 0), first[kind], ls_schedule_name(s.kind));
        double last = ls_schedule_lr(&s, 41);
        cr_expect(isfinite(last) && last > 0 && last <= 0.5, "%s: %g", ls_schedule_name(s.kind),
                  last);
    }
    ls_schedule s = example(LS_SCHEDULE_ONE_CYCLE);
    cr_expect_eq(ls_schedule_lr(&s, 41), 0.01, "one_cycle ends at final_lr, exactly");
}

/* The value of a step hangs on nothing else: any order, twice, gives the same bits. */
Test(schedule, pure) {
    for (int kind = 0; kind < KINDS; kind++) {
        ls_schedule s = example((ls_schedule_kind)kind), before = s;
        double forward[42];
        for (int i = 0; i < 42; i++)
            forward[i] = ls_schedule_lr(&s, i);
        for (int i = 41; i >= 0; i--)
            cr_expect_eq(ls_schedule_lr(&s, i), forward[i]);
        cr_expect_eq(memcmp(&s, &before, sizeof s), 0);
    }
}

Test(schedule, short_runs) {
    for (int kind = 0; kind < KINDS; kind++) {
        for (int steps = 1; steps <= 7; steps++) {
            ls_schedule s = example((ls_schedule_kind)kind);
            s.steps = steps;
            s.steps_per_epoch = steps == 7 ? 7 : 1;
            cr_expect_eq(ls_schedule_check(&s), LS_OK, "%s", ls_message());
            for (int i = 0; i < steps; i++) {
                double lr = ls_schedule_lr(&s, i), momentum = ls_schedule_momentum(&s, i);
                cr_expect(lr > 0 && lr <= 0.5, "%s, step %d of %d: %g", ls_schedule_name(s.kind), i,
                          steps, lr);
                cr_expect(momentum >= 0.8 && momentum <= 0.95);
            }
        }
    }
}

Test(schedule, one_cycle_with_the_peak_on_a_step) { /* p = 0.5 * 10 - 1 = 4; p = 0 */
    ls_schedule s = example(LS_SCHEDULE_ONE_CYCLE);
    s.steps = 10;
    s.rise = 0.5;
    cr_expect_eq(ls_schedule_lr(&s, 4), 0.5);
    cr_expect_eq(ls_schedule_momentum(&s, 4), 0.8);
    s.steps = 2;
    cr_expect_eq(ls_schedule_lr(&s, 0), 0.5);
    cr_expect_eq(ls_schedule_lr(&s, 1), 0.01);
}

/* ---- what is refused ------------------------------------------------------------------------ */

static void refused(ls_schedule s, const char *one, const char *other) {
    ls_message_set("");
    cr_expect_eq(ls_schedule_check(&s), LS_ERR_INPUT, "accepted: %s, %s", one, other);
    cr_expect_not_null(strstr(ls_message(), one), "no '%s' in: %s", one, ls_message());
    cr_expect_not_null(strstr(ls_message(), other), "no '%s' in: %s", other, ls_message());
}

/* A wrong field in one kind: and other kinds do not care. */
#define REFUSED(kind_, field, value, one, other)                                                   \
    do {                                                                                           \
        ls_schedule s_ = example(kind_);                                                           \
        s_.field = (value);                                                                        \
        refused(s_, one, other);                                                                   \
        s_.kind = LS_SCHEDULE_CONSTANT;                                                            \
        cr_expect_eq(ls_schedule_check(&s_), LS_OK, "%s", ls_message());                           \
    } while (0)

Test(schedule, refusals_of_one_kind) {
    REFUSED(LS_SCHEDULE_STEP, every_epochs, 0, "every_epochs", "0");
    REFUSED(LS_SCHEDULE_STEP, factor, 0, "factor", "above 0");
    REFUSED(LS_SCHEDULE_STEP, factor, 1.5, "factor", "1.5");
    REFUSED(LS_SCHEDULE_MULTISTEP, milestone_count, 0, "milestones", "[30, 60]");
    REFUSED(LS_SCHEDULE_MULTISTEP, milestones[0], 0, "milestone 0", "from 1 on");
    REFUSED(LS_SCHEDULE_MULTISTEP, milestones[1], 1, "milestone 1 after 1", "growing");
    REFUSED(LS_SCHEDULE_EXPONENTIAL, decay, 0, "decay", "above 0");
    REFUSED(LS_SCHEDULE_EXP_RANGE, decay, 1.01, "decay", "1.01");
    REFUSED(LS_SCHEDULE_POLYNOMIAL, power, 0, "power", "above 0");
    REFUSED(LS_SCHEDULE_POLYNOMIAL, final_lr, 0.5, "final_lr", "learning rate (0.5)");
    REFUSED(LS_SCHEDULE_COSINE, final_lr, 2, "final_lr (2)", "below");
    REFUSED(LS_SCHEDULE_COSINE, final_lr, -1, "final_lr", "0 or more");
    REFUSED(LS_SCHEDULE_COSINE_RESTARTS, cycle_steps, 0, "cycle of 0", "at least 1");
    REFUSED(LS_SCHEDULE_COSINE_RESTARTS, cycle_multiplier, 0.5, "cycle_multiplier", "1 or more");
    REFUSED(LS_SCHEDULE_TRIANGULAR, cycle_steps, 1, "cycle of 1", "at least 2");
    REFUSED(LS_SCHEDULE_TRIANGULAR, base_lr, 0.5, "base_lr (0.5)", "max_lr (0.5)");
    REFUSED(LS_SCHEDULE_TRIANGULAR2, base_lr, -0.1, "base_lr", "0 or more");
    REFUSED(LS_SCHEDULE_EXP_RANGE, max_lr, 0.1, "base_lr (0.125)", "max_lr (0.1)");
    REFUSED(LS_SCHEDULE_ONE_CYCLE, final_lr, 0.6, "final_lr (0.6)", "max_lr (0.5)");
    REFUSED(LS_SCHEDULE_ONE_CYCLE, rise, 0, "rise", "above 0");
    REFUSED(LS_SCHEDULE_ONE_CYCLE, rise, 1, "rise", "below 1");
    REFUSED(LS_SCHEDULE_ONE_CYCLE, min_momentum, 0.99, "min_momentum (0.99)",
            "max_momentum (0.95)");
    REFUSED(LS_SCHEDULE_ONE_CYCLE, max_momentum, 1, "max_momentum", "below 1");
}

#define ALL_REFUSED(field, value, one, other)                                                      \
    do {                                                                                           \
        for (int kind_ = 0; kind_ < KINDS; kind_++) {                                              \
            ls_schedule s_ = example((ls_schedule_kind)kind_);                                     \
            s_.field = (value);                                                                    \
            refused(s_, one, other);                                                               \
        }                                                                                          \
    } while (0)

Test(schedule, refusals_of_all_kinds) {
    ALL_REFUSED(steps, 0, "number of steps", "1 or more");
    ALL_REFUSED(steps_per_epoch, 0, "steps of an epoch", "1 or more");
    ALL_REFUSED(warmup_steps, -1, "warm-up", "0 or more");
    ALL_REFUSED(warmup_steps, 42, "warm-up of 42 steps", "run of 42 steps");
    ALL_REFUSED(warmup_factor, 1.1, "warmup_factor", "0 to 1");
    ALL_REFUSED(lr, 0, "learning rate", "above 0");
    ALL_REFUSED(lr, INFINITY, "learning rate", "inf");
    ALL_REFUSED(momentum, 1, "momentum", "below 1");
}

Test(schedule, an_unknown_lr_is_no_mistake) {
    for (int kind = 0; kind < KINDS; kind++) {
        ls_schedule s = example((ls_schedule_kind)kind);
        s.lr = s.base_lr = s.max_lr = s.final_lr = NAN;
        cr_expect_eq(ls_schedule_check(&s), LS_OK, "%s", ls_message());
        cr_expect(isnan(ls_schedule_lr(&s, 3)));
        s.cycle_steps = s.every_epochs = s.milestone_count = 0;
        s.decay = s.power = 0;
        bool bare = kind == LS_SCHEDULE_CONSTANT || kind == LS_SCHEDULE_COSINE ||
                    kind == LS_SCHEDULE_ONE_CYCLE;
        cr_expect_eq(ls_schedule_check(&s), bare ? LS_OK : LS_ERR_INPUT, "%s",
                     ls_schedule_name(s.kind));
    }
}
