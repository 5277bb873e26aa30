/* Paths as text: one, or a list. */
#include <string.h>

#include "config/values.h"

/* Adds a line for each path between commas.  False: one is empty. */
static bool paths_split(char *list, ls_text *lines) {
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

/* One path, or a list; "[]" where the key has to name none.  LS_ERR_INPUT: neither. */
ls_status ls_paths_parse(const ls_key *key, const char *text, ls_paths *paths) {
    const size_t length = strlen(text);
    const bool list = length > 1 && text[0] == '[' && text[length - 1] == ']';
    char *copy = ls_format("%.*s", (int)length - 2 * list, text + list);
    ls_text lines = {0};
    ls_text_add(&lines, "%s", list || !copy ? "" : copy);
    bool fits = copy && (*copy || (list && key->initial));
    if (fits && list && *copy)
        fits = paths_split(copy, &lines);
    ls_status status = !copy || lines.failed ? LS_ERR_SYSTEM : fits ? LS_OK : LS_ERR_INPUT;
    ls_free(copy);
    if (status != LS_OK) {
        ls_text_free(&lines);
        return status;
    }
    ls_free(paths->lines);
    paths->lines = lines.data;
    return LS_OK;
}

void ls_paths_write(const ls_paths *paths, ls_text *text) {
    const char *at = paths->lines;
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
