/* Values as JSON (RFC 8259). */
#include <math.h>

#include "lockstep/base.h"

void ls_json_string(ls_text *text, const char *value) {
    ls_text_add(text, "\"");
    for (const unsigned char *c = (const unsigned char *)value; *c; c++) {
        if (*c == '"' || *c == '\\')
            ls_text_add(text, "\\%c", *c);
        else if (*c < 0x20)
            ls_text_add(text, "\\u%04x", *c);
        else
            ls_text_add(text, "%c", *c);
    }
    ls_text_add(text, "\"");
}

void ls_json_number(ls_text *text, double value) {
    if (isfinite(value))
        ls_text_add(text, "%.9g", value);
    else
        ls_text_add(text, "null");
}
