/* A chain of transforms as text: "[log1p, {scale: 0.5}, {clip: [0, 1]}]". */
#include <string.h>

#include "config/values.h"

enum { WORD_SIZE = 32 };

static const int value_counts[] = {
    [LS_TRANSFORM_LOG1P] = 0, [LS_TRANSFORM_SCALE] = 1, [LS_TRANSFORM_CLIP] = 2};

/* Whether `mark` comes next; what follows it is next then. */
static bool take_mark(const char **at, char mark) {
    *at += strspn(*at, " ");
    if (**at != mark)
        return false;
    ++*at;
    return true;
}

static bool take_word(const char **at, char word[WORD_SIZE]) {
    *at += strspn(*at, " ");
    const size_t length = strcspn(*at, " ,:[]{}");
    if (length == 0 || length >= WORD_SIZE)
        return false;
    memcpy(word, *at, length);
    word[length] = '\0';
    *at += length;
    return true;
}

static bool take_number(const char **at, double *value) {
    char word[WORD_SIZE];
    return take_word(at, word) && ls_number_parse(word, value);
}

static bool take_values(const char **at, int count, double *value) {
    if (count == 1)
        return take_number(at, value);
    if (!take_mark(at, '['))
        return false;
    for (int i = 0; i < count; i++)
        if (!take_number(at, &value[i]) || !take_mark(at, i + 1 < count ? ',' : ']'))
            return false;
    return true;
}

static bool makes_sense(const ls_transform *step) {
    return (step->kind != LS_TRANSFORM_SCALE || step->value[0] != 0) &&
           (step->kind != LS_TRANSFORM_CLIP || step->value[0] < step->value[1]);
}

static bool take_step(const char **at, ls_transform *step) {
    const char *const *words = LS_WORDS_OF(LS_TRANSFORMS);
    const bool mapping = take_mark(at, '{');
    char word[WORD_SIZE];
    int kind = 0;
    if (!take_word(at, word))
        return false;
    while (words[kind] && strcmp(words[kind], word) != 0)
        kind++;
    if (words[kind] == NULL || mapping != (value_counts[kind] > 0))
        return false;
    step->kind = (ls_transform_kind)kind;
    if (mapping && !(take_mark(at, ':') && take_values(at, value_counts[kind], step->value) &&
                     take_mark(at, '}')))
        return false;
    return makes_sense(step);
}

bool ls_transforms_parse(const char *text, ls_transforms *transforms) {
    ls_transforms read = {0};
    const bool list = take_mark(&text, '[');
    bool more = !list || !take_mark(&text, ']');
    while (more) {
        if (read.count == LS_TRANSFORMS_LIMIT || !take_step(&text, &read.step[read.count++]))
            return false;
        more = list && take_mark(&text, ',');
        if (list && !more && !take_mark(&text, ']'))
            return false;
    }
    *transforms = read;
    return text[strspn(text, " ")] == '\0';
}

void ls_transforms_write(const ls_transforms *transforms, ls_text *text) {
    const char *const *words = LS_WORDS_OF(LS_TRANSFORMS);
    ls_text_add(text, "[");
    for (int i = 0; i < transforms->count; i++) {
        const ls_transform *step = &transforms->step[i];
        const int count = value_counts[step->kind];
        ls_text_add(text, "%s%s%s", i ? ", " : "", count ? "{" : "", words[step->kind]);
        for (int v = 0; v < count; v++) {
            ls_text_add(text, v ? ", " : count > 1 ? ": [" : ": ");
            ls_number_write(step->value[v], text);
        }
        ls_text_add(text, "%s%s", count > 1 ? "]" : "", count ? "}" : "");
    }
    ls_text_add(text, "]");
}
