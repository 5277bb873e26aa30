/* Fuzz target: a configuration, and behind a form feed the values of --set, a line each.  What is
 * understood must be the same after it was written and read again. */
#include <string.h>

#include "fuzz.h"
#include "lockstep/config.h"

enum { SETS_LIMIT = 16 };

/* Cuts the lines off. */
static size_t split_lines(char *text, const char *lines[SETS_LIMIT]) {
    size_t count = 0;
    for (char *rest = text, *line; count < SETS_LIMIT && (line = strsep(&rest, "\n"));)
        lines[count++] = line;
    return count;
}

static void differ(void *context, const char *key, ls_change change, const char *then,
                   const char *now) {
    (void)change;
    (void)then;
    (void)now;
    ls_fail(LS_ERR_BUG, "%s in\n%s", key, (const char *)context);
}

static void check_round_trip(const ls_config *config) {
    ls_text first = {0}, second = {0};
    ls_config *again = NULL;
    ls_config_write(config, &first);
    FUZZ_CHECK(ls_config_parse("again.yaml", first.data, NULL, 0, &again) == LS_OK);
    FUZZ_CHECK(ls_config_compare(config, again, differ, first.data) == LS_OK);
    ls_config_write(again, &second);
    FUZZ_CHECK(strcmp(first.data, second.data) == 0);
    ls_config_free(again);
    ls_text_free(&first);
    ls_text_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *feed = size ? memchr(data, '\f', size) : NULL;
    const size_t length = feed ? (size_t)(feed - data) : size;
    const char *sets[SETS_LIMIT];
    char *text = NULL, *rest = ls_format("%.*s", feed ? (int)(size - length - 1) : 0,
                                         feed ? (const char *)feed + 1 : "");
    ls_config *config = NULL;
    if (fuzz_worked(ls_config_load(fuzz_file("x.yaml", data, length), &text))) {
        size_t count = feed ? split_lines(rest, sets) : 0;
        if (fuzz_worked(ls_config_parse("x.yaml", text, sets, count, &config)))
            check_round_trip(config);
    }
    ls_config_free(config);
    ls_free(text);
    ls_free(rest);
    return 0;
}
