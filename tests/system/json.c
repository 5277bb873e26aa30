/* system tests: a small strict reader of JSON.  Each function takes a place in the text and gives
 * the place behind what it has read, or NULL. */
#include "system/json.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "system/command.h"

static const char *skip_value(const char *at);

static const char *skip_blanks(const char *at) {
    return at + strspn(at, " \t\r\n");
}

static const char *skip_string(const char *at) {
    if (*at++ != '"')
        return NULL;
    for (; *at != '"'; at++) {
        if ((unsigned char)*at < 0x20)
            return NULL;
        if (*at == '\\' && (*++at == '\0' || !strchr("\"\\/bfnrtu", *at)))
            return NULL;
    }
    return at + 1;
}

static const char *skip_digits(const char *at) {
    size_t digits = strspn(at, "0123456789");
    return digits > 0 ? at + digits : NULL;
}

static const char *skip_number(const char *at) {
    at += *at == '-';
    if (at[0] == '0' && isdigit((unsigned char)at[1]))
        return NULL;
    at = skip_digits(at);
    if (at && *at == '.')
        at = skip_digits(at + 1);
    if (at && (*at == 'e' || *at == 'E')) {
        at++;
        at = skip_digits(at + (*at == '+' || *at == '-'));
    }
    return at;
}

/* [ value, ... ] or { "name": value, ... } */
static const char *skip_group(const char *at, char end) {
    at = skip_blanks(at + 1);
    if (*at == end)
        return at + 1;
    while (at) {
        if (end == '}') {
            at = skip_string(skip_blanks(at));
            at = at ? skip_blanks(at) : NULL;
            if (!at || *at++ != ':')
                return NULL;
        }
        at = skip_value(at);
        at = at ? skip_blanks(at) : NULL;
        if (at && *at == end)
            return at + 1;
        if (at && *at++ != ',')
            return NULL;
    }
    return NULL;
}

static const char *skip_value(const char *at) {
    static const char *const words[] = {"true", "false", "null"};
    at = skip_blanks(at);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strncmp(at, words[i], strlen(words[i])) == 0)
            return at + strlen(words[i]);
    switch (*at) {
    case '{':
        return skip_group(at, '}');
    case '[':
        return skip_group(at, ']');
    case '"':
        return skip_string(at);
    default:
        return skip_number(at);
    }
}

void json_check(const char *text) {
    const char *end = skip_value(text);
    cr_assert_not_null(end, "no JSON: %s", text);
    cr_assert_eq(*skip_blanks(end), '\0', "not JSON to the end: %s", end);
}

const char *json_next(const char *array, const char *element) {
    if (!element) {
        element = skip_blanks(array + 1);
        return *element == ']' ? NULL : element;
    }
    element = skip_blanks(skip_value(element));
    return *element == ',' ? skip_blanks(element + 1) : NULL;
}

/* The value of a member of an object. */
static const char *find_member(const char *object, const char *name, size_t length) {
    for (const char *at = json_next(object, NULL); at;) {
        const char *behind = skip_string(at);
        const char *value = skip_blanks(skip_blanks(behind) + 1);
        if ((size_t)(behind - at) == length + 2 && strncmp(at + 1, name, length) == 0)
            return value;
        at = skip_blanks(skip_value(value));
        at = *at == ',' ? skip_blanks(at + 1) : NULL;
    }
    return NULL;
}

static const char *find_element(const char *array, long index) {
    const char *element = json_next(array, NULL);
    while (element && index-- > 0)
        element = json_next(array, element);
    return element;
}

const char *json_find(const char *value, const char *path) {
    value = skip_blanks(value);
    while (value && *path) {
        size_t length = strcspn(path, ".");
        if (*value == '{')
            value = find_member(value, path, length);
        else
            value = *value == '[' ? find_element(value, strtol(path, NULL, 10)) : NULL;
        path += length + (path[length] == '.');
    }
    return value;
}

double json_number(const char *value, const char *path) {
    const char *found = json_find(value, path);
    cr_assert_not_null(found, "no %s", path);
    cr_assert(*found == '-' || isdigit((unsigned char)*found), "%s is no number: %.20s", path,
              found);
    return strtod(found, NULL);
}

char *json_string(const char *value, const char *path) {
    const char *found = json_find(value, path);
    cr_assert_not_null(found, "no %s", path);
    cr_assert_eq(*found, '"', "%s is no string: %.20s", path, found);
    return text("%.*s", (int)(skip_string(found) - found) - 2, found + 1);
}
