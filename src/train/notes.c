/* What every run file says of its run. */
#include "train/notes.h"

ls_status ls_notes_write(ls_run *run, const ls_config *config, const ls_note *notes, size_t count) {
    ls_text text = {0};
    ls_config_write(config, &text);
    ls_status status = text.failed ? LS_ERR_SYSTEM : ls_run_note(run, "configuration", text.data);
    ls_text_free(&text);
    for (size_t i = 0; i < count && status == LS_OK; i++)
        status = ls_run_note(run, notes[i].name, notes[i].value);
    return status;
}
