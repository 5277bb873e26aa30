/* schedules: every step of every kind whose definition is PyTorch's too, against the values in
 * tests/golden/schedules.csv, written by scripts/golden_schedules.py. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lockstep/schedule.h"

#define RUN .steps = 80, .steps_per_epoch = 10, .lr = 0.1, .momentum = 0.9, .warmup_factor = 0.1
#define BOUNDS .base_lr = 0.02, .max_lr = 0.1

/* As in scripts/golden_schedules.py. */
static const struct {
    const char *name;
    ls_schedule schedule;
} rows[] = {
    {"step", {RUN, .kind = LS_SCHEDULE_STEP, .every_epochs = 3, .factor = 0.1}},
    {"multistep",
     {RUN, .kind = LS_SCHEDULE_MULTISTEP, .factor = 0.3, .milestone_count = 3,
      .milestones = {1, 2, 5}}},
    {"exponential", {RUN, .kind = LS_SCHEDULE_EXPONENTIAL, .decay = 0.6}},
    {"polynomial", {RUN, .kind = LS_SCHEDULE_POLYNOMIAL, .power = 0.9}},
    {"cosine", {RUN, .kind = LS_SCHEDULE_COSINE, .final_lr = 0.001}},
    {"cosine_restarts",
     {RUN, .kind = LS_SCHEDULE_COSINE_RESTARTS, .final_lr = 0.001, .cycle_steps = 10,
      .cycle_multiplier = 2}},
    {"cosine_restarts_equal",
     {RUN, .kind = LS_SCHEDULE_COSINE_RESTARTS, .cycle_steps = 16, .cycle_multiplier = 1}},
    {"triangular", {RUN, BOUNDS, .kind = LS_SCHEDULE_TRIANGULAR, .cycle_steps = 24}},
    {"triangular_odd", {RUN, BOUNDS, .kind = LS_SCHEDULE_TRIANGULAR, .cycle_steps = 25}},
    {"triangular2", {RUN, BOUNDS, .kind = LS_SCHEDULE_TRIANGULAR2, .cycle_steps = 24}},
    {"one_cycle",
     {RUN, .kind = LS_SCHEDULE_ONE_CYCLE, .base_lr = 0.004, .max_lr = 0.1, .final_lr = 4e-7,
      .rise = 0.3, .cycle_momentum = true, .min_momentum = 0.85, .max_momentum = 0.95}},
    {"one_cycle_linear",
     {RUN, .kind = LS_SCHEDULE_ONE_CYCLE, .base_lr = 0.01, .max_lr = 0.1, .final_lr = 1e-4,
      .rise = 0.45, .anneal = LS_ANNEAL_LINEAR, .cycle_momentum = true, .min_momentum = 0.8,
      .max_momentum = 0.9}},
    {"warmup_step",
     {RUN, .kind = LS_SCHEDULE_STEP, .every_epochs = 3, .factor = 0.1, .warmup_steps = 15}},
    {"warmup_multistep",
     {RUN, .kind = LS_SCHEDULE_MULTISTEP, .factor = 0.3, .milestone_count = 3,
      .milestones = {1, 2, 5}, .warmup_steps = 15}},
    {"warmup_cosine", {RUN, .kind = LS_SCHEDULE_COSINE, .final_lr = 0.001, .warmup_steps = 15}},
    {"warmup_polynomial", {RUN, .kind = LS_SCHEDULE_POLYNOMIAL, .power = 0.9, .warmup_steps = 15}},
};

enum { ROWS = sizeof rows / sizeof rows[0] };

static void close_to(double got, double want, const char *what, const char *name, int step) {
    cr_expect(fabs(got - want) <= 1e-9 * fabs(want), "%s, step %d: %s %.17g, PyTorch has %.17g",
              name, step, what, got, want);
}

static int find_row(const char *name) {
    for (int i = 0; i < ROWS; i++)
        if (strcmp(rows[i].name, name) == 0)
            return i;
    return -1;
}

Test(schedule, as_in_pytorch) {
    int seen[ROWS] = {0}, step;
    char name[64], header[64];
    double lr, momentum;
    FILE *file = fopen("tests/golden/schedules.csv", "r");
    cr_assert_not_null(file, "run from the top folder");
    cr_assert_not_null(fgets(header, sizeof header, file));
    cr_assert_str_eq(header, "schedule,step,lr,momentum\n");
    while (fscanf(file, " %63[^,],%d,%lf,%lf", name, &step, &lr, &momentum) == 4) {
        int i = find_row(name);
        cr_assert(i >= 0, "no schedule '%s' here", name);
        cr_assert_eq(step, seen[i], "%s", name);
        close_to(ls_schedule_lr(&rows[i].schedule, step), lr, "LR", name, step);
        close_to(ls_schedule_momentum(&rows[i].schedule, step), momentum, "momentum", name, step);
        seen[i]++;
    }
    cr_expect(feof(file));
    fclose(file);
    for (int i = 0; i < ROWS; i++) {
        cr_expect_eq(seen[i], rows[i].schedule.steps, "%s: %d steps", rows[i].name, seen[i]);
        cr_expect_eq(ls_schedule_check(&rows[i].schedule), LS_OK, "%s", ls_message());
    }
}
