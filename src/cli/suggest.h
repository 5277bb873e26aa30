/* cli: what `suggest` prints, as text. */
#ifndef LOCKSTEP_CLI_SUGGEST_H
#define LOCKSTEP_CLI_SUGGEST_H

#include "lockstep/lr.h"

/* One "name value" a line, 9 digits, or "name none: reason". */
void ls_suggest_print_plain(const ls_suggestion suggestions[LS_SUGGEST_COUNT], ls_text *text);
/* A page for people: the recommendation first, what each means, and what to put where. */
void ls_suggest_print(const ls_curve *curve, const char *about,
                      const ls_suggestion suggestions[LS_SUGGEST_COUNT], ls_text *text);

#endif
