/* What made a checkpoint: stored with it, and compared when a run goes on from it. */
#include "train/origin.h"

#include <math.h>
#include <string.h>

#include "lockstep/build.h"
#include "train/engine.h"

/* ---- writing -------------------------------------------------------------------------------- */

static ls_status write_configuration(const ls_engine *engine, ls_checkpoint_writer *writer) {
    ls_text text = {0};
    ls_config_write(engine->config, &text);
    ls_status status = text.failed ? LS_ERR_SYSTEM : LS_OK;
    if (status == LS_OK)
        status = ls_checkpoint_text(writer, "configuration", text.data);
    ls_text_free(&text);
    return status;
}

/* Of the data, and of their order where that depends on how they are stored. */
static ls_status describe_data(const ls_engine *engine, ls_text *text) {
    LS_TRY(ls_data_identity(engine->train, text));
    if (engine->config->data.shuffle == LS_SHUFFLE_WINDOW)
        ls_text_add(text, "chunk that is shuffled: %lld samples\n",
                    (long long)ls_batch_chunk(engine));
    return text->failed ? LS_ERR_SYSTEM : LS_OK;
}

static ls_status write_identity(const ls_engine *engine, ls_checkpoint_writer *writer) {
    ls_text text = {0};
    ls_status status = describe_data(engine, &text);
    if (status == LS_OK)
        status = ls_checkpoint_text(writer, "state/data", text.data);
    ls_text_free(&text);
    return status;
}

/* What may change the bits without changing the run, with the names that a message has for them. */
static const struct {
    const char *name, *what;
    const char *(*now)(void);
} surroundings[] = {
    {"state/isa", "instruction set", ls_compute_isa},
    {"state/compute_library", "compute library", ls_compute_library},
    {"state/version", "version of lockstep", ls_build_version},
};
enum { SURROUNDINGS = sizeof surroundings / sizeof *surroundings };

ls_status ls_origin_write(const ls_engine *engine, ls_checkpoint_writer *writer) {
    LS_TRY(write_configuration(engine, writer));
    LS_TRY(write_identity(engine, writer));
    for (int i = 0; i < SURROUNDINGS; i++)
        LS_TRY(ls_checkpoint_text(writer, surroundings[i].name, surroundings[i].now()));
    return LS_OK;
}

/* ---- another run ---------------------------------------------------------------------------- */

typedef struct differences {
    ls_text run; /* of another run: "train.momentum is 0.5, was 0.9; ..." */
    ls_text schedule;
    ls_text bits;
} differences;

static void free_differences(differences *d) {
    ls_text_free(&d->run);
    ls_text_free(&d->schedule);
    ls_text_free(&d->bits);
}

static void add_difference(ls_text *text, const char *what, const char *then, const char *now) {
    ls_text_add(text, "%s%s is %s, was %s", text->length > 0 ? "; " : "", what, now, then);
}

static void take_difference(void *context, const char *key, ls_change change, const char *then,
                            const char *now) {
    differences *d = context;
    if (change == LS_CHANGE_RUN)
        add_difference(&d->run, key, then, now);
    if (change == LS_CHANGE_SCHEDULE)
        add_difference(&d->schedule, key, then, now);
}

/* Cuts the next line off *rest. */
static char *next_line(char **rest) {
    char *line = strsep(rest, "\n");
    return line && *line ? line : NULL;
}

/* Both are lines of "what: value", of the same whats where the data are of one kind. */
static void compare_identities(char *then, char *now, differences *d) {
    char *one, *other;
    while ((one = next_line(&then)) != NULL && (other = next_line(&now)) != NULL) {
        char *value = strstr(one, ": "), *here = strstr(other, ": ");
        if (strcmp(one, other) == 0 || value == NULL || here == NULL)
            continue;
        *value = *here = '\0';
        char *what = ls_format("the training data's %s", other);
        add_difference(&d->run, what ? what : "the training data", value + 2, here + 2);
        ls_free(what);
        if (strcmp(one, other) != 0)
            return;
    }
}

static ls_status compare_data(const ls_engine *engine, const ls_checkpoint_reader *reader,
                              differences *d) {
    char *then;
    ls_text now = {0};
    if (ls_checkpoint_get_text(reader, "state/data", &then) != LS_OK) {
        ls_message_set(""); /* checkpoints did not always have it */
        return LS_OK;
    }
    ls_status status = describe_data(engine, &now);
    if (status == LS_OK)
        compare_identities(then, now.data, d);
    ls_text_free(&now);
    ls_free(then);
    return status;
}

static ls_status refuse(const differences *d, bool allow) {
    if (d->run.length == 0)
        return LS_OK;
    if (!allow)
        return ls_fail(
            LS_ERR_INPUT,
            "the run began otherwise and could not go on as it was: %.1000s; set it back, "
            "start a new run from its weights by init, or say --allow-changes",
            d->run.data);
    ls_warn("going on as another run: %s", d->run.data);
    return LS_OK;
}

/* ---- another schedule, other bits ----------------------------------------------------------- */

/* The steps that the run was to have, and its learning rate at `step`; 0 after its end. */
static ls_status schedule_of(const ls_config *config, double lr, int64_t per_epoch, int64_t step,
                             int64_t *steps, double *lr_there) {
    ls_schedule schedule;
    LS_TRY(ls_train_schedule(config, lr, per_epoch, &schedule));
    *steps = schedule.steps;
    *lr_there = step < schedule.steps ? ls_schedule_lr(&schedule, step) : 0;
    return LS_OK;
}

/* What the new schedule does from this step on. */
static void tell_schedule(const ls_engine *engine, const ls_config *then, double lr_then,
                          const ls_train_state *state) {
    int64_t per_epoch = engine->steps_per_epoch, steps, end;
    double before, now, reached;
    char *was;
    if (schedule_of(then, lr_then, per_epoch, state->step, &steps, &before) != LS_OK ||
        schedule_of(engine->config, state->lr, per_epoch, state->step, &end, &now) != LS_OK) {
        ls_message_set(""); /* what is wrong with it is told when the run makes it */
        return;
    }
    if (state->step >= end)
        return;
    if (schedule_of(then, lr_then, per_epoch, state->step - 1, &steps, &reached) != LS_OK)
        return;
    was = before > 0 ? ls_format("was to be %.3g", before) : ls_strdup("was to end");
    ls_log(
        LS_LOG_NORMAL,
        "the learning rate of step %lld is %.3g, where it %s; the run ends at step %lld, was %lld",
        (long long)state->step, now, was ? was : "", (long long)end, (long long)steps);
    if (now > 1.5 * reached && reached > 0)
        ls_warn(
            "the learning rate rises again, from %.3g to %.3g: the schedule is stretched over the "
            "new length of the run",
            reached, now);
    ls_free(was);
}

static void compare_surroundings(const ls_checkpoint_reader *reader, differences *d) {
    for (int i = 0; i < SURROUNDINGS; i++) {
        char *then;
        if (ls_checkpoint_get_text(reader, surroundings[i].name, &then) != LS_OK) {
            ls_message_set("");
            continue;
        }
        if (strcmp(then, surroundings[i].now()) != 0)
            add_difference(&d->bits, surroundings[i].what, then, surroundings[i].now());
        ls_free(then);
    }
}

/* ---- all ------------------------------------------------------------------------------------ */

/* NULL, and a warning, where this version does not understand it. */
static ls_config *stored_configuration(const ls_checkpoint_reader *reader) {
    char *text = NULL;
    ls_config *config = NULL;
    if (ls_checkpoint_get_text(reader, "configuration", &text) != LS_OK ||
        ls_config_parse("the checkpoint's configuration", text, NULL, 0, &config) != LS_OK) {
        ls_warn("%s: it is not compared with the one of this run", ls_message());
        ls_message_set("");
    }
    ls_free(text);
    return config;
}

static bool same_lr(double one, double other) {
    return one == other || (isnan(one) && isnan(other)); /* NaN: auto */
}

static ls_status check(const ls_engine *engine, const ls_checkpoint_reader *reader, bool allow,
                       const ls_config *then, differences *d, ls_train_state *state) {
    double lr_then = state->lr;
    if (then)
        LS_TRY(ls_config_compare(then, engine->config, take_difference, d));
    LS_TRY(compare_data(engine, reader, d));
    LS_TRY(refuse(d, allow));
    compare_surroundings(reader, d);
    if (d->bits.length > 0)
        ls_warn("%s: from here on the bits may differ from those of a run that was not interrupted",
                d->bits.data);
    double lr = engine->config->train.lr;
    if (then && !same_lr(lr, then->train.lr) && !isnan(lr))
        state->lr = lr;
    if (d->schedule.length > 0) {
        ls_log(LS_LOG_NORMAL, "%s", d->schedule.data);
        tell_schedule(engine, then, lr_then, state);
    }
    return LS_OK;
}

ls_status ls_origin_check(const ls_engine *engine, const ls_checkpoint_reader *reader, bool allow,
                          ls_train_state *state) {
    differences d = {0};
    ls_config *then = stored_configuration(reader);
    ls_status status = check(engine, reader, allow, then, &d, state);
    ls_config_free(then);
    free_differences(&d);
    return status;
}
