/* Which keys of two configurations differ, and what that means to a run that goes on. */
#include <string.h>

#include "config/layers.h"

static ls_status write_value(const ls_key *key, const ls_config *config, ls_text *text) {
    if (key->type == LS_KEY_LAYERS)
        ls_layers_write((const void *)((const char *)config + key->offset), 0, text);
    else
        ls_key_write(key, config, text);
    ls_text_add(text, "\n");
    return text->failed ? LS_ERR_SYSTEM : LS_OK;
}

/* Ends the line that `at` is in; gives what it holds but for blanks and the mark of a list. */
static const char *cut_line(char *at, const char *start) {
    at[strcspn(at, "\n")] = '\0';
    while (at > start && at[-1] != '\n')
        at--;
    at += strspn(at, " -");
    return *at ? at : "nothing";
}

/* The first lines that differ. */
static void visit_difference(const ls_key *key, char *then, char *now, ls_config_difference *visit,
                             void *context) {
    size_t same = 0;
    while (then[same] == now[same])
        same++;
    visit(context, key->name, key->change, cut_line(then + same, then), cut_line(now + same, now));
}

ls_status ls_config_compare(const ls_config *then, const ls_config *now,
                            ls_config_difference *visit, void *context) {
    ls_status status = LS_OK;
    for (size_t i = 0; i < ls_config_key_count && status == LS_OK; i++) {
        const ls_key *key = &ls_config_keys[i];
        ls_text one = {0}, other = {0};
        status = write_value(key, then, &one);
        if (status == LS_OK)
            status = write_value(key, now, &other);
        if (status == LS_OK && strcmp(one.data, other.data) != 0)
            visit_difference(key, one.data, other.data, visit, context);
        ls_text_free(&other);
        ls_text_free(&one);
    }
    return status;
}
