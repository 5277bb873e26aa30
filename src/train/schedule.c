/* From the keys of the section `schedule`, in epochs and with their autos, to a schedule in
 * steps. */
#include <math.h>
#include <string.h>

#include "lockstep/train.h"

_Static_assert(LS_INTEGERS_LIMIT <= LS_MILESTONES, "every list of milestones fits");

#define DECAY_OVER_RUN 0.01

static double or_else(double value, double otherwise) {
    return isnan(value) ? otherwise : value;
}

static void set_bounds(const ls_schedule_config *keys, ls_schedule *s) {
    bool one_cycle = s->kind == LS_SCHEDULE_ONE_CYCLE;
    s->max_lr = or_else(keys->max_lr, s->lr);
    s->base_lr = or_else(keys->base_lr, s->max_lr / (one_cycle ? 25 : 4));
    s->final_lr = or_else(keys->final_lr, one_cycle ? s->base_lr / 1e4 : 0);
}

/* Whole steps, so that a cycle ends where it should in spite of rounding. */
static void set_cycle(const ls_schedule_config *keys, ls_schedule *s) {
    double m = keys->cycle_multiplier;
    double three = s->kind == LS_SCHEDULE_COSINE_RESTARTS ? 1 + m + m * m : 3;
    double steps = isnan(keys->cycle_epochs)
                       ? fmax(ceil((double)(s->steps - s->warmup_steps) / three), 2)
                       : keys->cycle_epochs * (double)s->steps_per_epoch;
    s->cycle_steps = llrint(steps);
    s->cycle_multiplier = m;
}

static void set_decays(const ls_schedule_config *keys, int64_t epochs, ls_schedule *s) {
    double after_warmup = (double)(s->steps - s->warmup_steps) / (double)s->steps_per_epoch;
    s->every_epochs = keys->every_epochs > 0 ? keys->every_epochs : (epochs + 2) / 3;
    s->factor = keys->factor;
    s->milestone_count = keys->milestones.count;
    memcpy(s->milestones, keys->milestones.value, sizeof keys->milestones.value);
    s->decay = or_else(keys->decay, pow(DECAY_OVER_RUN, 1 / after_warmup));
    s->power = keys->power;
}

ls_status ls_train_schedule(const ls_config *config, double lr, int64_t steps_per_epoch,
                            ls_schedule *schedule) {
    const ls_schedule_config *keys = &config->schedule;
    const ls_train_config *train = &config->train;
    ls_schedule s = {
        .kind = keys->kind,
        .steps = train->epochs * steps_per_epoch,
        .steps_per_epoch = steps_per_epoch,
        .warmup_steps = llrint(keys->warmup_epochs * (double)steps_per_epoch),
        .warmup_factor = keys->warmup_factor,
        .lr = ls_scaled_lr(lr, config->batch.size, train->lr_reference_batch),
        .momentum = train->momentum,
        .rise = keys->rise,
        .anneal = keys->anneal,
        .cycle_momentum = keys->cycle_momentum,
        .min_momentum = keys->min_momentum,
        .max_momentum = keys->max_momentum,
    };
    set_bounds(keys, &s);
    set_cycle(keys, &s);
    set_decays(keys, train->epochs, &s);
    LS_TRY(ls_schedule_check(&s));
    *schedule = s;
    return LS_OK;
}
