/* What the tests of config share: parsing a text that must parse, and the message of one that must
 * not. */
#ifndef TEST_CONFIG_H
#define TEST_CONFIG_H

#include <criterion/criterion.h>
#include <string.h>

#include "lockstep/config.h"

#define SETS(...)                                                                                  \
    (const char *const[]) {                                                                        \
        __VA_ARGS__, NULL                                                                          \
    }

static inline size_t count_sets(const char *const *sets) {
    size_t count = 0;
    while (sets && sets[count])
        count++;
    return count;
}

static inline ls_config *parse_with(const char *text, const char *const *sets) {
    ls_config *config = NULL;
    ls_status status = ls_config_parse("x.yaml", text, sets, count_sets(sets), &config);
    cr_assert_eq(status, LS_OK, "%s\nin:\n%s", ls_message(), text);
    cr_assert_not_null(config);
    return config;
}

/* The text must be refused as wrong input with exactly this message. */
static inline void expect_message(const char *text, const char *const *sets, const char *message) {
    ls_config *config = NULL;
    ls_message_set("");
    ls_status status = ls_config_parse("x.yaml", text, sets, count_sets(sets), &config);
    cr_expect_eq(status, LS_ERR_INPUT, "status %d of:\n%s", (int)status, text);
    cr_expect_str_eq(ls_message(), message, "got:      %s\nexpected: %s\nof:\n%s", ls_message(),
                     message, text);
    cr_expect_null(config, "a configuration in spite of an error");
}

typedef struct refusal {
    const char *text, *message;
} refusal;

#endif
