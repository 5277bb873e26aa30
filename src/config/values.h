/* config, private: one value of one key: from text to the field, from the field to text, and the
 * message when it does not fit.  Knows no YAML library. */
#ifndef LOCKSTEP_CONFIG_VALUES_H
#define LOCKSTEP_CONFIG_VALUES_H

#include "config/keys.h"

/* Where a value stands, for messages.  Owns nothing. */
typedef struct ls_place {
    const char *file;
    int line, column; /* from 1; line 0: no place inside the file; column 0: not known */
    const char *set;  /* the text of a --set option instead; NULL for the file */
} ls_place;

/* LS_ERR_INPUT with "file:line:column: " or "--set key=value: " before the message. */
ls_status ls_fail_at(const ls_place *place, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

typedef enum ls_value_kind {
    LS_VALUE_NOTHING, /* null, or no text at all */
    LS_VALUE_PLAIN,
    LS_VALUE_QUOTED, /* a text whatever it looks like */
    LS_VALUE_LIST,   /* text: "[3, 3]" */
    LS_VALUE_TEXTS,  /* such a list with a quoted text in it */
    LS_VALUE_NESTED, /* text: "[a, {b: [1, 2]}]", a list that holds more than values */
    LS_VALUE_MAPPING /* text: "{b: [1, 2]}" */
} ls_value_kind;

typedef struct ls_value {
    ls_value_kind kind;
    const char *text;
} ls_value;

/* Reads `value` into the key's field in `base`.  LS_ERR_INPUT names the place, the key ("owner.key"
 * with an owner), what was expected and what was there. */
ls_status ls_key_read(const ls_key *key, const char *owner, void *base, const ls_place *place,
                      const ls_value *value);
/* Sets the fields of all keys that have a default. */
ls_status ls_keys_set_defaults(const ls_key *keys, size_t count, void *base);

/* Writes the field as YAML that ls_key_read reads back to the same value. */
void ls_key_write(const ls_key *key, const void *base, ls_text *text);
/* All of `text` as a finite number, decimal and without blanks; and the shortest such text. */
bool ls_number_parse(const char *text, double *value);
void ls_number_write(double value, ls_text *text);
/* "a b.h5" */
void ls_value_write(const char *value, ls_text *text);
/* transforms.c */
bool ls_transforms_parse(const char *text, ls_transforms *transforms);
void ls_transforms_write(const ls_transforms *transforms, ls_text *text);
/* lines.c: "a" or "[a, b]" into new lines, "[]" into none where it may be empty.  LS_ERR_INPUT
 * without a message: it does not fit. */
ls_status ls_lines_parse(const char *text, bool may_be_empty, char **lines);
/* "an integer from 1 to 1024". */
void ls_key_expected(const ls_key *key, ls_text *text);

/* `text` fit to stand in a one-line message: shortened, without control characters. */
#define LS_PRINTABLE 64
const char *ls_printable(const char *text, char buffer[LS_PRINTABLE]);

#endif
