/* cli: where the results of `scale` go: a table, or files and formats that were asked for. */
#ifndef LOCKSTEP_CLI_SCALE_OUTPUT_H
#define LOCKSTEP_CLI_SCALE_OUTPUT_H

#include "cli/scale.h"

typedef enum ls_scale_format {
    LS_SCALE_JSON,
    LS_SCALE_CSV,
    LS_SCALE_EXTRA_P,
    LS_SCALE_FORMATS
} ls_scale_format;

typedef struct ls_scale_output {
    const char *path[LS_SCALE_FORMATS]; /* NULL: not asked for; "-": standard output */
    ls_text_file *file[LS_SCALE_FORMATS];
    ls_scale_mode mode; /* for Extra-P */
} ls_scale_output;

/* Not collective (rank 0).  Begins the files: nothing has to run to find out that one cannot be
 * written.  LS_ERR_INPUT for two on standard output. */
ls_status ls_scale_output_open(ls_scale_output *output);
/* Writes them; prints what goes to standard output, or the table. */
ls_status ls_scale_output_write(ls_scale_output *output, const ls_scale_study *study);
void ls_scale_output_free(ls_scale_output *output);

#endif
