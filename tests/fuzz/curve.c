/* Fuzz target: a curve as CSV, and what it suggests. */
#include "cli/curve.h"

#include <math.h>

#include "cli/suggest.h"
#include "fuzz.h"

static void suggest(const ls_curve_data *data) {
    ls_suggestion suggestions[LS_SUGGEST_COUNT];
    ls_text text = {0};
    const ls_curve curve = ls_curve_view(data);
    ls_suggest(&curve, suggestions);
    for (int i = 0; i < LS_SUGGEST_COUNT; i++) {
        const ls_suggestion *s = &suggestions[i];
        FUZZ_CHECK(s->found ? isfinite(s->value) && s->value >= 0 : s->reason[0] != '\0');
        FUZZ_CHECK(s->index >= -1 && s->index < data->count);
    }
    ls_suggest_print_plain(suggestions, &text);
    ls_suggest_print(&curve, data->about, suggestions, &text);
    ls_text_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *path = fuzz_file("x.csv", data, size);
    const double betas[] = {NAN, 0, 0.5};
    ls_curve_data curve;
    if (fuzz_worked(ls_curve_load(path, betas[size % 3], &curve))) {
        suggest(&curve);
        ls_curve_free(&curve);
    }
    return 0;
}
