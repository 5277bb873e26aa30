/* What every run file says of its run. */
#include "train/notes.h"

/* One value a channel or target, with all digits. */
static ls_status write_channels(ls_run *run, const char *name, int64_t channels,
                                const double *values) {
    ls_text text = {0};
    for (int64_t i = 0; i < channels; i++)
        ls_text_add(&text, "%s%.17g", i ? " " : "", values[i]);
    ls_status status = text.failed ? LS_ERR_SYSTEM : ls_run_note(run, name, text.data);
    ls_text_free(&text);
    return status;
}

static ls_status write_configuration(ls_run *run, const ls_config *config) {
    ls_text text = {0};
    ls_config_write(config, &text);
    ls_status status = text.failed ? LS_ERR_SYSTEM : ls_run_note(run, "configuration", text.data);
    ls_text_free(&text);
    return status;
}

ls_status ls_notes_write_plain(ls_run *run, const ls_config *config, const ls_note *notes,
                               size_t count) {
    LS_TRY(write_configuration(run, config));
    for (size_t i = 0; i < count; i++)
        LS_TRY(ls_run_note(run, notes[i].name, notes[i].value));
    return LS_OK;
}

ls_status ls_notes_write(ls_run *run, const ls_run_facts *facts, const ls_note *notes,
                         size_t count) {
    const ls_normalization *norm = facts->inputs, *target = facts->targets;
    LS_TRY(ls_run_note(run, "provenance/compute_type", ls_compute_type_name(facts->type)));
    LS_TRY(write_channels(run, "data/mean", norm->channels, norm->mean));
    LS_TRY(write_channels(run, "data/deviation", norm->channels, norm->deviation));
    if (target) {
        LS_TRY(write_channels(run, "data/target_mean", target->channels, target->mean));
        LS_TRY(write_channels(run, "data/target_deviation", target->channels, target->deviation));
    }
    return ls_notes_write_plain(run, facts->config, notes, count);
}

ls_status ls_notes_read(ls_run_reader *reader, const char *name, const char *otherwise,
                        char **value) {
    const char *there = ls_run_note_text(reader, name);
    *value = ls_strdup(there ? there : otherwise);
    return *value ? LS_OK : LS_ERR_SYSTEM;
}
