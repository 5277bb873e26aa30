/* Fields of JSON objects. */
#include "cli/json_fields.h"

void ls_json_key(ls_text *text, const char *key) {
    ls_text_add(text, ",\n  \"%s\": ", key);
}

void ls_json_field(ls_text *text, const char *key, double value) {
    ls_json_key(text, key);
    ls_json_number(text, value);
}

void ls_json_text_field(ls_text *text, const char *key, const char *value) {
    ls_json_key(text, key);
    if (value)
        ls_json_string(text, value);
    else
        ls_text_add(text, "null");
}

void ls_json_inner(ls_text *text, const char *key, double value, bool first) {
    ls_text_add(text, "%s\"%s\": ", first ? "" : ", ", key);
    ls_json_number(text, value);
}
