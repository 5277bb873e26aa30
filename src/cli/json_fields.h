/* cli: fields of the JSON objects that `bench` and `scale` print. */
#ifndef LOCKSTEP_CLI_JSON_FIELDS_H
#define LOCKSTEP_CLI_JSON_FIELDS_H

#include "lockstep/base.h"

/* In the outermost object, on a line of its own and not the first one: the value is to follow. */
void ls_json_key(ls_text *text, const char *key);
void ls_json_field(ls_text *text, const char *key, double value);
/* NULL: null. */
void ls_json_text_field(ls_text *text, const char *key, const char *value);
/* Inside an object: the separator is a comma but for the first. */
void ls_json_inner(ls_text *text, const char *key, double value, bool first);

#endif
