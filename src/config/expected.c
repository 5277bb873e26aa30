/* What a key takes, in words. */
#include <math.h>

#include "config/values.h"

static void range_write(const ls_key *key, ls_text *text) {
    bool above = key->open & LS_ABOVE_MIN, below = key->open & LS_BELOW_MAX;
    bool endless = isinf(key->max);
    if (endless && isinf(key->min)) {
        ls_text_add(text, ", not inf or nan");
        return;
    }
    ls_text_add(text, above ? " above " : endless ? " of at least " : " from ");
    ls_number_write(key->min, text);
    if (!endless) {
        ls_text_add(text, below ? " to below " : above ? " and at most " : " to ");
        ls_number_write(key->max, text);
    }
}

void ls_key_expected(const ls_key *key, ls_text *text) {
    switch (key->type) {
    case LS_KEY_INTEGER:
    case LS_KEY_EXTENT:
    case LS_KEY_INTEGERS:
        ls_text_add(text, "an integer from %.0f to %.0f", key->min, key->max);
        if (key->type == LS_KEY_EXTENT)
            ls_text_add(text, ", or a list of one per spatial dimension");
        if (key->type == LS_KEY_INTEGERS)
            ls_text_add(text, ", or a list of up to %d", LS_INTEGERS_LIMIT);
        break;
    case LS_KEY_NUMBER:
        ls_text_add(text, "a number");
        range_write(key, text);
        break;
    case LS_KEY_NUMBERS:
        ls_text_add(text, "a number, or a list of up to %d", LS_INTEGERS_LIMIT);
        range_write(key, text);
        break;
    case LS_KEY_BOOLEAN:
        ls_text_add(text, "true or false");
        return;
    case LS_KEY_WEIGHTS:
        ls_text_add(text, "%s, %s or a list of numbers", key->words[0], key->words[1]);
        range_write(key, text);
        return;
    case LS_KEY_PATHS:
        ls_text_add(text, "a path, a pattern, or a list of them");
        return;
    case LS_KEY_NAMES:
        ls_text_add(text, "a text, or a list of them");
        return;
    case LS_KEY_TRANSFORMS:
        ls_text_add(text,
                    "log1p, {scale: a} with a not 0, {clip: [a, b]} with a below b, or a list of "
                    "up to %d of them",
                    LS_TRANSFORMS_LIMIT);
        return;
    case LS_KEY_TEXT:
    case LS_KEY_CHOICE:
        if (key->words == NULL)
            ls_text_add(text, "a text");
        for (int i = 0; key->words && key->words[i]; i++)
            ls_text_add(text, "%s%s", i ? key->words[i + 1] ? ", " : " or " : "", key->words[i]);
        return;
    case LS_KEY_LAYERS:
    case LS_KEY_NODE:
        ls_text_add(text, "a list of layers");
        return;
    }
    if (key->words)
        ls_text_add(text, ", or %s", key->words[0]);
}
