/* The table of a scaling study, and what else was asked for. */
#include "cli/scale_output.h"

#include <string.h>

#include "cli/command.h"

static bool is_standard(const char *path) {
    return path && strcmp(path, "-") == 0;
}

ls_status ls_scale_output_open(ls_scale_output *output) {
    int standard = 0;
    for (int i = 0; i < LS_SCALE_FORMATS; i++)
        standard += is_standard(output->path[i]);
    if (standard > 1)
        return ls_fail(LS_ERR_INPUT, "scale: of --json, --csv and --extra-p one can go to standard "
                                     "output, -; the others need a file");
    for (int i = 0; i < LS_SCALE_FORMATS; i++)
        if (output->path[i] && !is_standard(output->path[i]))
            LS_TRY(ls_text_file_create(output->path[i], &output->file[i]));
    return LS_OK;
}

static void make_text(const ls_scale_output *output, int format, const ls_scale_study *study,
                      ls_text *text) {
    switch (format) {
    case LS_SCALE_JSON:
        ls_scale_json(study, text);
        break;
    case LS_SCALE_CSV:
        ls_scale_csv(study, text);
        break;
    case LS_SCALE_EXTRA_P:
        ls_scale_extra_p(study, output->mode, text);
        break;
    default:
        ls_scale_table(study, text);
    }
}

/* Into the file, or to standard output where there is none. */
static ls_status write_text(const ls_scale_output *output, int format, const ls_scale_study *study,
                            ls_text_file *file) {
    ls_text text = {0};
    make_text(output, format, study, &text);
    ls_status status = text.failed ? LS_ERR_SYSTEM : LS_OK;
    if (status == LS_OK && file)
        status = ls_text_file_add(file, text.data, text.length);
    if (status == LS_OK && file)
        status = ls_text_file_finish(file);
    if (status == LS_OK && file == NULL)
        ls_print("%s", text.data ? text.data : "");
    ls_text_free(&text);
    return status;
}

ls_status ls_scale_output_write(ls_scale_output *output, const ls_scale_study *study) {
    bool table = true;
    for (int i = 0; i < LS_SCALE_FORMATS; i++) {
        table = table && !is_standard(output->path[i]);
        if (output->path[i])
            LS_TRY(write_text(output, i, study, output->file[i]));
    }
    return table ? write_text(output, LS_SCALE_FORMATS, study, NULL) : LS_OK;
}

void ls_scale_output_free(ls_scale_output *output) {
    for (int i = 0; i < LS_SCALE_FORMATS; i++)
        ls_text_file_free(output->file[i]);
}
