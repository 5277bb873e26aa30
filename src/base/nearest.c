/* The nearest known word by edit distance, for "did you mean". */
#include <string.h>

#include "lockstep/base.h"

enum { WORD_LIMIT = 63 };

static size_t min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Restricted Damerau-Levenshtein: insertions, deletions, replacements and swaps of neighbours. */
static size_t edit_distance(const char *a, const char *b) {
    size_t n = min_size(strlen(a), WORD_LIMIT), m = min_size(strlen(b), WORD_LIMIT);
    size_t row[3][WORD_LIMIT + 1];
    for (size_t j = 0; j <= m; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *now = row[i % 3], *before = row[(i + 2) % 3], *two_before = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t replaced = before[j - 1] + (a[i - 1] != b[j - 1]);
            now[j] = min_size(replaced, 1 + min_size(before[j], now[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = min_size(now[j], two_before[j - 2] + 1);
        }
    }
    return row[n % 3][m];
}

const char *ls_nearest(const char *word, const char *const *words, size_t count) {
    const char *best = NULL;
    size_t best_distance = strlen(word) / 3 + 2; /* farther than this is another word */
    for (size_t i = 0; i < count; i++) {
        size_t distance = edit_distance(word, words[i]);
        if (distance < best_distance) {
            best_distance = distance;
            best = words[i];
        }
    }
    return best;
}
