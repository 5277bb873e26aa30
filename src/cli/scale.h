/* cli: what `scale` prints of a study. */
#ifndef LOCKSTEP_CLI_SCALE_H
#define LOCKSTEP_CLI_SCALE_H

#include "lockstep/scale.h"

/* A table for people. */
void ls_scale_table(const ls_scale_study *study, ls_text *text);

/* For programs: all points; the rows of a mode, as Extra-P 4 reads them. */
void ls_scale_json(const ls_scale_study *study, ls_text *text);
void ls_scale_csv(const ls_scale_study *study, ls_text *text);
void ls_scale_extra_p(const ls_scale_study *study, ls_scale_mode mode, ls_text *text);

/* Points of a mode, which stand together: the first one, and how many. */
const ls_scale_point *ls_scale_mode_points(const ls_scale_study *study, ls_scale_mode mode,
                                           size_t *count);

#endif
