/* cli: what `noise` prints of a noise scale. */
#ifndef LOCKSTEP_CLI_NOISE_H
#define LOCKSTEP_CLI_NOISE_H

#include "lockstep/noise.h"

/* At the start, in the middle and at the end of a run. */
enum { LS_NOISE_PARTS = 3 };
const char *ls_noise_part_name(int part); /* "start", ... */
const ls_noise_window *ls_noise_part(const ls_noise_study *study, int part);

/* A table for people, and what follows from it for batch and ranks. */
void ls_noise_table(const ls_noise_study *study, ls_text *text);
/* For programs. */
void ls_noise_json(const ls_noise_study *study, ls_text *text);

#endif
