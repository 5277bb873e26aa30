/* cli: what `scale` prints of a study. */
#ifndef LOCKSTEP_CLI_SCALE_H
#define LOCKSTEP_CLI_SCALE_H

#include "lockstep/scale.h"

/* A table for people. */
void ls_scale_table(const ls_scale_study *study, ls_text *text);

/* The part of it that says the time to the target, of the points of a mode. */
void ls_scale_add_target(const ls_scale_study *study, const ls_scale_point *points, size_t count,
                         ls_text *text);
/* The smallest of them that reached it; NULL: none. */
const ls_scale_point *ls_scale_first_reached(const ls_scale_point *points, size_t count);

/* For programs: all points; the rows of a mode, as Extra-P 4 reads them. */
void ls_scale_json(const ls_scale_study *study, ls_text *text);
void ls_scale_csv(const ls_scale_study *study, ls_text *text);
void ls_scale_extra_p(const ls_scale_study *study, ls_scale_mode mode, ls_text *text);

/* Points of a mode, which stand together: the first one, and how many. */
const ls_scale_point *ls_scale_mode_points(const ls_scale_study *study, ls_scale_mode mode,
                                           size_t *count);

#endif
