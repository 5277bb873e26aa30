/* schedules: from the keys of a configuration, their defaults and their autos, to a schedule. */
#include <math.h>
#include <stdio.h>

#include "lockstep/train.h"
#include "test_config.h"

#define MINIMAL                                                                                    \
    "data: {file: a.h5}\n"                                                                         \
    "model: {layers: [flatten, dense: {units: 10}]}\n"

/* Of a configuration with these keys: batches of 128, 100 steps an epoch. */
static ls_schedule made(const char *const *sets, double lr) {
    ls_schedule schedule;
    ls_config *config = parse_with(MINIMAL, sets);
    cr_assert_eq(ls_train_schedule(config, lr, 100, &schedule), LS_OK, "%s", ls_message());
    ls_config_free(config);
    return schedule;
}

static void refused(const char *const *sets, double lr, const char *part) {
    ls_schedule schedule;
    ls_config *config = parse_with(MINIMAL, sets);
    ls_message_set("");
    cr_expect_eq(ls_train_schedule(config, lr, 100, &schedule), LS_ERR_INPUT, "not: %s", part);
    cr_expect_not_null(strstr(ls_message(), part), "no '%s' in: %s", part, ls_message());
    ls_config_free(config);
}

static void close_to(double got, double want) {
    cr_expect(fabs(got - want) <= 1e-12 * fabs(want), "%.17g, expected %.17g", got, want);
}

Test(schedule_config, default_is_step) {
    ls_schedule s = made(NULL, 0.2);
    cr_expect_eq(s.kind, LS_SCHEDULE_STEP);
    cr_expect_eq(s.steps, 1000);
    cr_expect_eq(s.every_epochs, 4);
    close_to(ls_schedule_lr(&s, 399), 0.2);
    close_to(ls_schedule_lr(&s, 400), 0.02);
    close_to(ls_schedule_lr(&s, 999), 0.002);
    cr_expect_eq(ls_schedule_momentum(&s, 500), 0.9);
    s = made(SETS("train.epochs=90"), 1);
    cr_expect_eq(s.every_epochs, 30);
    s = made(SETS("train.epochs=1"), 1);
    cr_expect_eq(ls_schedule_lr(&s, 99), 1);
}

Test(schedule_config, every_kind_by_its_name) {
    for (int kind = 0; kind <= LS_SCHEDULE_ONE_CYCLE; kind++) {
        char set[64];
        snprintf(set, sizeof set, "schedule.kind=%s", ls_schedule_name((ls_schedule_kind)kind));
        ls_schedule s = made(SETS(set, "schedule.milestones=[3, 6]"), 0.5);
        cr_expect_eq((int)s.kind, kind, "%s", set);
    }
}

Test(schedule_config, autos) {
    ls_schedule s = made(SETS("schedule.kind=exponential"), 1);
    close_to(ls_schedule_lr(&s, 500), 0.1); /* half of the way to a hundredth */
    s = made(SETS("schedule.kind=exponential", "schedule.warmup_epochs=5"), 1);
    close_to(ls_schedule_lr(&s, 750), 0.1);
    s = made(SETS("schedule.kind=triangular"), 1);
    cr_expect_eq(s.cycle_steps, 334);
    cr_expect_eq(s.base_lr, 0.25);
    cr_expect_eq(s.max_lr, 1);
    s = made(SETS("schedule.kind=cosine_restarts", "train.epochs=7"), 1);
    cr_expect_eq(s.cycle_steps, 100); /* and 200, and 400 */
    cr_expect_eq(s.final_lr, 0);
    s = made(SETS("schedule.kind=one_cycle"), 1);
    cr_expect_eq(s.base_lr, 1.0 / 25);
    cr_expect_eq(s.final_lr, 1.0 / 25 / 1e4);
    cr_expect_eq(ls_schedule_momentum(&s, 0), 0.95);
}

Test(schedule_config, what_is_given) {
    ls_schedule s = made(SETS("schedule.kind=triangular2", "schedule.cycle_epochs=2.5",
                              "schedule.base_lr=0.01", "schedule.max_lr=0.4"),
                         NAN);
    cr_expect_eq(s.cycle_steps, 250);
    close_to(ls_schedule_lr(&s, 125), 0.4);
    close_to(ls_schedule_lr(&s, 250), 0.01);
    s = made(SETS("schedule.kind=multistep", "schedule.milestones=[2, 7, 9]", "schedule.factor=0.5",
                  "schedule.warmup_epochs=1.25", "schedule.warmup_factor=0"),
             1);
    cr_expect_eq(s.warmup_steps, 125);
    cr_expect_eq(ls_schedule_lr(&s, 0), 0);
    close_to(ls_schedule_lr(&s, 25), 0.2);
    close_to(ls_schedule_lr(&s, 200), 0.5);
    close_to(ls_schedule_lr(&s, 950), 0.125);
    s = made(SETS("schedule.kind=one_cycle", "schedule.anneal=linear",
                  "schedule.cycle_momentum=false", "train.momentum=0.7"),
             1);
    cr_expect_eq(s.anneal, LS_ANNEAL_LINEAR);
    cr_expect_eq(ls_schedule_momentum(&s, 0), 0.7);
    s = made(SETS("schedule.kind=multistep", "schedule.milestones=3"), 1);
    cr_expect_eq(s.milestone_count, 1);
}

Test(schedule_config, linear_scaling_rule) {
    ls_schedule s = made(SETS("train.lr=0.1", "train.lr_reference_batch=256", "batch.size=1024",
                              "schedule.kind=constant"),
                         0.1);
    close_to(ls_schedule_lr(&s, 0), 0.4);
    expect_message(MINIMAL, SETS("train.lr=auto", "train.lr_reference_batch=256"),
                   "--set train.lr_reference_batch=256: train.lr_reference_batch scales a given "
                   "train.lr; auto finds one for this batch.size already");
}

Test(schedule_config, refusals) {
    refused(SETS("schedule.kind=multistep"), 1, "0 milestones");
    refused(SETS("schedule.kind=multistep", "schedule.milestones=[6, 3]"), NAN, "3 after 6");
    refused(SETS("schedule.warmup_epochs=10"), NAN, "warm-up of 1000 steps");
    refused(SETS("schedule.kind=triangular", "schedule.cycle_epochs=0.01"), NAN, "cycle of 1");
    refused(SETS("schedule.kind=cosine", "schedule.final_lr=0.2"), 0.1, "final_lr (0.2)");
    refused(SETS("schedule.kind=one_cycle", "schedule.min_momentum=0.96"), NAN, "max_momentum");
    refused(SETS("schedule.kind=triangular", "schedule.base_lr=1", "schedule.max_lr=0.5"), NAN,
            "base_lr (1) must be below max_lr (0.5)");
}

Test(schedule_config, lists) {
    static const char *const wrong[] = {
        "[3, x]", "[3 5]", "[3, 5", "0",
        "[3,,5]", "[]]",   "3, 5",  "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char set[80], message[256];
        snprintf(set, sizeof set, "schedule.milestones=%s", wrong[i]);
        snprintf(message, sizeof message,
                 "--set %s: schedule.milestones: expected an integer from 1 to 2147483647, or a "
                 "list of up to 16, got '%s'",
                 set, wrong[i]);
        expect_message(MINIMAL, SETS(set), message);
    }
    ls_config *a = parse_with(MINIMAL "schedule:\n  milestones:\n    - 30\n    - 60\n", NULL);
    ls_text text = {0};
    ls_config_write(a, &text);
    cr_expect_not_null(strstr(text.data, "\n  milestones: [30, 60]\n"));
    ls_config *b = parse_with(text.data, NULL);
    cr_expect_eq(b->schedule.milestones.count, 2);
    cr_expect_eq(b->schedule.milestones.value[1], 60);
    ls_text_free(&text);
    ls_config_free(a);
    ls_config_free(b);
    a = parse_with(MINIMAL "schedule: {milestones: []}\n", SETS("schedule.milestones=[]"));
    cr_expect_eq(a->schedule.milestones.count, 0);
    ls_config_free(a);
}
