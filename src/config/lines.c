/* Paths and names as text: one, or a list. */
#include <string.h>

#include "config/values.h"

/* Adds a line for each text between commas.  False: one is empty. */
static bool list_split(char *list, ls_text *lines) {
    for (char *part; (part = strsep(&list, ","));) {
        part += strspn(part, " ");
        size_t length = strlen(part);
        while (length > 0 && part[length - 1] == ' ')
            length--;
        if (length == 0)
            return false;
        ls_text_add(lines, "%s%.*s", lines->length ? "\n" : "", (int)length, part);
    }
    return true;
}

ls_status ls_lines_parse(const char *text, bool may_be_empty, char **made) {
    const size_t length = strlen(text);
    const bool list = length > 1 && text[0] == '[' && text[length - 1] == ']';
    char *copy = ls_format("%.*s", (int)length - 2 * list, text + list);
    ls_text lines = {0};
    ls_text_add(&lines, "%s", list || !copy ? "" : copy);
    bool fits = copy && (*copy || (list && may_be_empty));
    if (fits && list && *copy)
        fits = list_split(copy, &lines);
    ls_status status = !copy || lines.failed ? LS_ERR_SYSTEM : fits ? LS_OK : LS_ERR_INPUT;
    ls_free(copy);
    if (status != LS_OK) {
        ls_text_free(&lines);
        return status;
    }
    ls_free(*made);
    *made = lines.data;
    return LS_OK;
}

void ls_lines_write(const char *lines, ls_text *text) {
    const char *at = lines;
    const bool list = *at == '\0' || strchr(at, '\n');
    ls_text_add(text, list ? "[" : "");
    while (*at) {
        char *line = ls_format("%.*s", (int)strcspn(at, "\n"), at);
        text->failed |= line == NULL;
        if (line)
            ls_value_write(line, text);
        ls_free(line);
        at += strcspn(at, "\n");
        at += *at == '\n';
        ls_text_add(text, *at ? ", " : "");
    }
    ls_text_add(text, list ? "]" : "");
}
