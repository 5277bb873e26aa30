/* One value of one key, both ways.  Numbers are read strictly: the whole text or nothing, no
 * hexadecimal, no nan or inf, nothing out of range. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/values.h"

/* Choices are read and written as int. */
_Static_assert(sizeof(ls_loss) == sizeof(int), "an enum is as large as an int");

const char *ls_printable(const char *text, char buffer[LS_PRINTABLE]) {
    size_t length = strlen(text), kept = length < LS_PRINTABLE ? length : LS_PRINTABLE - 4;
    while (kept > 0 && kept < length && (text[kept] & 0xc0) == 0x80)
        kept--; /* not inside a character of UTF-8 */
    for (size_t i = 0; i < kept; i++)
        buffer[i] = iscntrl((unsigned char)text[i]) ? ' ' : text[i];
    strcpy(buffer + kept, kept < length ? "..." : "");
    return buffer;
}

ls_status ls_fail_at(const ls_place *place, const char *format, ...) {
    char message[1024], set[LS_PRINTABLE];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (place->set)
        return ls_fail(LS_ERR_INPUT, "--set %s: %s", ls_printable(place->set, set), message);
    if (place->line > 0 && place->column == 0)
        return ls_fail(LS_ERR_INPUT, "%s:%d: %s", place->file, place->line, message);
    if (place->line > 0)
        return ls_fail(LS_ERR_INPUT, "%s:%d:%d: %s", place->file, place->line, place->column,
                       message);
    return ls_fail(LS_ERR_INPUT, "%s: %s", place->file, message);
}

/* ---- from text ------------------------------------------------------------------------------ */

static bool in_range(const ls_key *key, double value) {
    return (key->open & LS_ABOVE_MIN ? value > key->min : value >= key->min) &&
           (key->open & LS_BELOW_MAX ? value < key->max : value <= key->max);
}

static bool integer_parse(const ls_key *key, const char *text, int64_t *integer) {
    if (text[strspn(text, "+-0123456789")] != '\0')
        return false;
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || !in_range(key, (double)value))
        return false;
    *integer = value;
    return true;
}

static int word_index(const ls_key *key, const char *text) {
    for (int i = 0; key->words && key->words[i]; i++)
        if (strcmp(key->words[i], text) == 0)
            return i;
    return -1;
}

static bool integer_or_word_parse(const ls_key *key, const char *text, int64_t *integer) {
    if (word_index(key, text) != 0)
        return integer_parse(key, text, integer);
    *integer = LS_AUTO;
    return true;
}

bool ls_number_parse(const char *text, double *number) {
    if (text[strspn(text, "+-0123456789.eE")] != '\0')
        return false;
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(value))
        return false;
    *number = value;
    return true;
}

static bool number_parse(const ls_key *key, const char *text, double *number) {
    if (word_index(key, text) == 0) {
        *number = NAN;
        return true;
    }
    double value;
    if (!ls_number_parse(text, &value) || !in_range(key, value))
        return false;
    *number = value;
    return true;
}

enum { ITEM_SIZE = 32 };

/* "3" or "[3, 5]": hands over one item after another, at least one, as long as it is taken. */
typedef bool take_item(void *context, const ls_key *key, const char *item);
static bool list_parse(const ls_key *key, const char *text, take_item *take, void *context) {
    char item[ITEM_SIZE];
    bool list = text[0] == '[', more;
    text += list;
    do {
        text += strspn(text, " ");
        size_t length = strcspn(text, " ,]");
        if (length >= sizeof item)
            return false;
        memcpy(item, text, length);
        item[length] = '\0';
        if (!take(context, key, item))
            return false;
        text += length;
        text += strspn(text, " ");
        more = list && *text == ',';
        text += more;
    } while (more);
    return strcmp(text, list ? "]" : "") == 0;
}

static bool extent_take(void *context, const ls_key *key, const char *item) {
    ls_extent *read = context;
    return read->count < LS_MAX_SPATIAL && integer_parse(key, item, &read->size[read->count++]);
}

static bool integers_take(void *context, const ls_key *key, const char *item) {
    ls_integers *read = context;
    return read->count < LS_INTEGERS_LIMIT && integer_parse(key, item, &read->value[read->count++]);
}

static bool numbers_take(void *context, const ls_key *key, const char *item) {
    ls_numbers *read = context;
    return read->count < LS_INTEGERS_LIMIT && word_index(key, item) < 0 &&
           number_parse(key, item, &read->value[read->count++]);
}

/* One number, a list, or the key's word. */
static bool numbers_parse(const ls_key *key, const char *text, ls_numbers *numbers) {
    ls_numbers read = {0};
    if (word_index(key, text) != 0 && !list_parse(key, text, numbers_take, &read))
        return false;
    *numbers = read;
    return true;
}

/* One integer, a list, or the key's word. */
static bool extent_parse(const ls_key *key, const char *text, ls_extent *extent) {
    ls_extent read = {0};
    if (word_index(key, text) != 0 && !list_parse(key, text, extent_take, &read))
        return false;
    *extent = read;
    return true;
}

/* One integer, or a list, also an empty one. */
static bool integers_parse(const ls_key *key, const char *text, ls_integers *integers) {
    ls_integers read = {0};
    if (strcmp(text, "[]") != 0 && !list_parse(key, text, integers_take, &read))
        return false;
    *integers = read;
    return true;
}

static bool weight_count(void *context, const ls_key *key, const char *item) {
    double value;
    ++*(int64_t *)context;
    return word_index(key, item) < 0 && number_parse(key, item, &value);
}

static bool weight_take(void *context, const ls_key *key, const char *item) {
    ls_class_weights *weights = context;
    return number_parse(key, item, &weights->value[weights->count++]);
}

/* The key's words, or a list.  LS_ERR_INPUT: neither. */
static ls_status weights_parse(const ls_key *key, const char *text, ls_class_weights *weights) {
    const int word = word_index(key, text);
    ls_class_weights read = {.balanced = word == 1};
    int64_t count = 0;
    if (word < 0) {
        if (text[0] != '[' || !list_parse(key, text, weight_count, &count))
            return LS_ERR_INPUT;
        LS_TRY(LS_NEW(read.value, (size_t)count));
        list_parse(key, text, weight_take, &read);
    }
    ls_free(weights->value);
    *weights = read;
    return LS_OK;
}

static bool boolean_parse(const char *text, bool *boolean) {
    *boolean = strcmp(text, "true") == 0;
    return *boolean || strcmp(text, "false") == 0;
}

static bool kind_fits(const ls_key *key, ls_value_kind kind) {
    switch (key->type) {
    case LS_KEY_TEXT:
    case LS_KEY_CHOICE:
        return kind == LS_VALUE_PLAIN || kind == LS_VALUE_QUOTED;
    case LS_KEY_EXTENT:
    case LS_KEY_INTEGERS:
    case LS_KEY_NUMBERS:
    case LS_KEY_WEIGHTS:
        return kind == LS_VALUE_PLAIN || kind == LS_VALUE_LIST;
    case LS_KEY_PATHS:
    case LS_KEY_NAMES:
        return kind != LS_VALUE_NOTHING && kind != LS_VALUE_NESTED && kind != LS_VALUE_MAPPING;
    case LS_KEY_TRANSFORMS:
        return kind == LS_VALUE_PLAIN || kind == LS_VALUE_LIST || kind == LS_VALUE_NESTED ||
               kind == LS_VALUE_MAPPING;
    default:
        return kind == LS_VALUE_PLAIN;
    }
}

/* LS_ERR_INPUT without a message: the text does not fit. */
static ls_status parse(const ls_key *key, const char *text, void *field) {
    bool fits = false;
    switch (key->type) {
    case LS_KEY_INTEGER:
        fits = integer_or_word_parse(key, text, field);
        break;
    case LS_KEY_NUMBER:
        fits = number_parse(key, text, field);
        break;
    case LS_KEY_BOOLEAN:
        fits = boolean_parse(text, field);
        break;
    case LS_KEY_CHOICE:
        fits = word_index(key, text) >= 0;
        if (fits)
            *(int *)field = word_index(key, text);
        break;
    case LS_KEY_EXTENT:
        fits = extent_parse(key, text, field);
        break;
    case LS_KEY_INTEGERS:
        fits = integers_parse(key, text, field);
        break;
    case LS_KEY_NUMBERS:
        fits = numbers_parse(key, text, field);
        break;
    case LS_KEY_TRANSFORMS:
        fits = ls_transforms_parse(text, field);
        break;
    case LS_KEY_WEIGHTS:
        return weights_parse(key, text, field);
    case LS_KEY_PATHS:
        return ls_lines_parse(text, key->initial != NULL, &((ls_paths *)field)->lines);
    case LS_KEY_NAMES:
        return ls_lines_parse(text, false, &((ls_names *)field)->lines);
    case LS_KEY_TEXT:
        fits = *text != '\0' && (!key->words || word_index(key, text) >= 0);
        if (fits) {
            char *copy = ls_strdup(text);
            if (copy == NULL)
                return LS_ERR_SYSTEM;
            ls_free(*(char **)field);
            *(char **)field = copy;
        }
        break;
    case LS_KEY_LAYERS:
    case LS_KEY_NODE:
        break;
    }
    return fits ? LS_OK : LS_ERR_INPUT;
}

static ls_status fail_value(const ls_key *key, const char *owner, const ls_place *place,
                            const ls_value *value) {
    ls_text message = {0};
    char got[LS_PRINTABLE];
    ls_text_add(&message, "%s%s%s: expected ", owner ? owner : "", owner ? "." : "", key->name);
    ls_key_expected(key, &message);
    if (value->kind == LS_VALUE_NOTHING || value->text[0] == '\0')
        ls_text_add(&message, ", got nothing");
    else
        ls_text_add(&message, ", got %s'%s'",
                    value->kind == LS_VALUE_QUOTED  ? "the text "
                    : value->kind == LS_VALUE_TEXTS ? "the texts "
                                                    : "",
                    ls_printable(value->text, got));
    if (key->words && value->kind != LS_VALUE_NOTHING) {
        size_t count = 0;
        while (key->words[count])
            count++;
        const char *nearest = ls_nearest(value->text, key->words, count);
        if (nearest)
            ls_text_add(&message, "; did you mean '%s'?", nearest);
    }
    ls_status status = message.failed ? LS_ERR_SYSTEM : ls_fail_at(place, "%s", message.data);
    ls_text_free(&message);
    return status;
}

ls_status ls_key_read(const ls_key *key, const char *owner, void *base, const ls_place *place,
                      const ls_value *value) {
    ls_status status = LS_ERR_INPUT;
    if (kind_fits(key, value->kind))
        status = parse(key, value->text, (char *)base + key->offset);
    return status == LS_ERR_INPUT ? fail_value(key, owner, place, value) : status;
}

ls_status ls_keys_set_defaults(const ls_key *keys, size_t count, void *base) {
    const ls_place table = {.file = "table of keys"};
    for (size_t i = 0; i < count; i++) {
        const ls_value value = {LS_VALUE_PLAIN, keys[i].initial};
        if (value.text && *value.text && keys[i].type != LS_KEY_LAYERS)
            LS_TRY(ls_key_read(&keys[i], NULL, base, &table, &value));
    }
    return LS_OK;
}

/* ---- to text -------------------------------------------------------------------------------- */

/* The shortest decimal that reads back to the same number. */
void ls_number_write(double value, ls_text *text) {
    char digits[32];
    bool whole = fabs(value) < 1e6 && value == rint(value); /* 10, where %g makes 1e+01 */
    for (int precision = whole ? 6 : 1; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    ls_text_add(text, "%s", digits);
}

static void list_write(const ls_key *key, int count, const int64_t *values, ls_text *text) {
    if (count == 0) {
        ls_text_add(text, "%s", key->words ? key->words[0] : "[]");
    } else if (count == 1) {
        ls_text_add(text, "%lld", (long long)values[0]);
    } else {
        for (int i = 0; i < count; i++)
            ls_text_add(text, "%s%lld", i ? ", " : "[", (long long)values[i]);
        ls_text_add(text, "]");
    }
}

static void numbers_write(int64_t count, const double *values, ls_text *text) {
    for (int64_t i = 0; i < count; i++) {
        ls_text_add(text, i ? ", " : "[");
        ls_number_write(values[i], text);
    }
    ls_text_add(text, "]");
}

static void weights_write(const ls_key *key, const ls_class_weights *weights, ls_text *text) {
    if (weights->count == 0)
        ls_text_add(text, "%s", key->words[weights->balanced]);
    else
        numbers_write(weights->count, weights->value, text);
}

static void one_or_more_write(const ls_key *key, const ls_numbers *numbers, ls_text *text) {
    if (numbers->count == 0)
        ls_text_add(text, "%s", key->words[0]);
    else if (numbers->count == 1)
        ls_number_write(numbers->value[0], text);
    else
        numbers_write(numbers->count, numbers->value, text);
}

/* Reads as a text without quotes, for every YAML reader and inside a flow mapping too. */
static bool is_plain(const char *text) {
    static const char *const other_types[] = {"true", "false", "null", "yes", "no", "on", "off"};
    for (size_t i = 0; i < sizeof other_types / sizeof *other_types; i++)
        if (strcasecmp(text, other_types[i]) == 0)
            return false;
    if (!isalpha((unsigned char)*text) && *text != '/' && *text != '_')
        return false;
    for (; *text; text++)
        if (!isalnum((unsigned char)*text) && !strchr("_-./+", *text))
            return false;
    return true;
}

void ls_value_write(const char *value, ls_text *text) {
    if (is_plain(value)) {
        ls_text_add(text, "%s", value);
        return;
    }
    ls_text_add(text, "\"");
    for (; *value; value++) {
        if (iscntrl((unsigned char)*value))
            ls_text_add(text, "\\x%02x", (unsigned)(unsigned char)*value);
        else
            ls_text_add(text, "%s%c", *value == '"' || *value == '\\' ? "\\" : "", *value);
    }
    ls_text_add(text, "\"");
}

void ls_key_write(const ls_key *key, const void *base, ls_text *text) {
    const void *field = (const char *)base + key->offset;
    switch (key->type) {
    case LS_KEY_INTEGER:
        if (key->words && *(const int64_t *)field == LS_AUTO)
            ls_text_add(text, "%s", key->words[0]);
        else
            ls_text_add(text, "%lld", (long long)*(const int64_t *)field);
        break;
    case LS_KEY_NUMBER:
        if (isnan(*(const double *)field))
            ls_text_add(text, "%s", key->words[0]);
        else
            ls_number_write(*(const double *)field, text);
        break;
    case LS_KEY_BOOLEAN:
        ls_text_add(text, *(const bool *)field ? "true" : "false");
        break;
    case LS_KEY_TEXT:
        ls_value_write(*(char *const *)field, text);
        break;
    case LS_KEY_CHOICE:
        ls_text_add(text, "%s", key->words[*(const int *)field]);
        break;
    case LS_KEY_EXTENT:
        list_write(key, ((const ls_extent *)field)->count, ((const ls_extent *)field)->size, text);
        break;
    case LS_KEY_INTEGERS:
        list_write(key, ((const ls_integers *)field)->count, ((const ls_integers *)field)->value,
                   text);
        break;
    case LS_KEY_NUMBERS:
        one_or_more_write(key, field, text);
        break;
    case LS_KEY_WEIGHTS:
        weights_write(key, field, text);
        break;
    case LS_KEY_PATHS:
        ls_lines_write(((const ls_paths *)field)->lines, text);
        break;
    case LS_KEY_NAMES:
        ls_lines_write(((const ls_names *)field)->lines, text);
        break;
    case LS_KEY_TRANSFORMS:
        ls_transforms_write(field, text);
        break;
    case LS_KEY_LAYERS:
    case LS_KEY_NODE:
        break;
    }
}
