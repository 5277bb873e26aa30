/* What the commands read from an HDF5 file, see fuzz.h. */
#include <math.h>
#include <string.h>

#include "cli/curve.h"
#include "cli/suggest.h"
#include "fuzz.h"

static void read_curve(const char *path) {
    ls_curve_data data;
    ls_suggestion suggestions[LS_SUGGEST_COUNT];
    ls_text text = {0};
    if (!fuzz_worked(ls_curve_load(path, NAN, &data)))
        return;
    const ls_curve curve = ls_curve_view(&data);
    ls_suggest(&curve, suggestions);
    ls_suggest_print_plain(suggestions, &text);
    ls_suggest_print(&curve, data.about, suggestions, &text);
    ls_text_free(&text);
    ls_curve_free(&data);
}

void fuzz_read_hdf5(const char *path) {
    ls_text text = {0};
    char digest[LS_DIGEST_TEXT];
    if (fuzz_worked(ls_file_describe(path, &text)))
        FUZZ_CHECK(text.length > 0);
    ls_text_free(&text);
    if (fuzz_worked(ls_file_digest(path, digest)))
        FUZZ_CHECK(strlen(digest) == LS_DIGEST_TEXT - 1);
    read_curve(path);
}
