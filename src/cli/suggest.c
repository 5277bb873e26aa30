/* lockstep suggest: the learning rates that a range test suggests, from its run file or a CSV. */
#include <stdio.h>

#include "cli/command.h"
#include "cli/curve.h"
#include "cli/suggest.h"

typedef struct suggest_args {
    ls_words operands; /* FILE */
    bool plain;
    const char *beta;
} suggest_args;

void ls_suggest_print_plain(const ls_suggestion suggestions[LS_SUGGEST_COUNT], ls_text *text) {
    for (int i = 0; i < LS_SUGGEST_COUNT; i++) {
        const ls_suggestion *s = &suggestions[i];
        if (s->found)
            ls_text_add(text, "%s %.9g\n", s->name, s->value);
        else
            ls_text_add(text, "%s none: %s\n", s->name, s->reason);
    }
}

static void add_others(const ls_suggestion suggestions[LS_SUGGEST_COUNT], ls_text *text) {
    static const char *const meaning[LS_SUGGEST_COUNT] = {
        [LS_SUGGEST_MINIMUM] = "a tenth of where the smoothed loss is smallest (fastai)",
        [LS_SUGGEST_STEEP] = "where the smoothed loss falls fastest (fastai)",
        [LS_SUGGEST_VALLEY] = "inside the longest fall of the smoothed loss (fastai)",
        [LS_SUGGEST_SLIDE] = "left of where the slope changes, from the right (fastai)",
        [LS_SUGGEST_BASE_LR] =
            "lower bound of a cyclical schedule: things begin to improve (Smith)",
        [LS_SUGGEST_MAX_LR] = "upper bound: the improvement slows, or gets ragged (Smith)",
    };
    for (int i = 0; i < LS_SUGGEST_RECOMMENDED; i++) {
        const ls_suggestion *s = &suggestions[i];
        if (s->found)
            ls_text_add(text, "  %-12s %-10.3g %s\n", s->name, s->value, meaning[i]);
        else
            ls_text_add(text, "  %-12s %-10s %s\n", s->name, "none", s->reason);
    }
}

void ls_suggest_print(const ls_curve *curve, const char *about,
                      const ls_suggestion suggestions[LS_SUGGEST_COUNT], ls_text *text) {
    const ls_suggestion *best = &suggestions[LS_SUGGEST_RECOMMENDED];
    ls_text_add(text, "LR range test: %s\n", about);
    if (curve->count > 0)
        ls_text_add(text, "%lld points, learning rate %.3g to %.3g\n\n", (long long)curve->count,
                    curve->lr[0], curve->lr[curve->count - 1]);
    if (best->found) {
        ls_text_add(text, "  %-12s %-10.3g %s\n\n", best->name, best->value, best->reason);
    } else {
        ls_text_add(text, "  %-12s %-10s %s\n\n", best->name, "none", best->reason);
    }
    ls_text_add(text, "Others, to compare:\n");
    add_others(suggestions, text);
    if (best->found)
        ls_text_add(text,
                    "\nTo train with it, put this into the configuration, or add --set "
                    "train.lr=%.3g:\n\n  train:\n    lr: %.3g\n",
                    best->value, best->value);
}

static ls_status run(ls_comm *comm, void *context) {
    const suggest_args *args = context;
    double beta;
    ls_curve_data data;
    ls_suggestion suggestions[LS_SUGGEST_COUNT];
    ls_text text = {0};
    (void)comm;
    LS_TRY(ls_curve_beta("suggest", args->beta, &beta));
    LS_TRY(ls_curve_load(args->operands.word[0], beta, &data));
    ls_curve curve = ls_curve_view(&data);
    ls_suggest(&curve, suggestions);
    if (args->plain)
        ls_suggest_print_plain(suggestions, &text);
    else
        ls_suggest_print(&curve, data.about, suggestions, &text);
    ls_status status = text.failed ? LS_ERR_SYSTEM : LS_OK;
    if (status == LS_OK)
        ls_print("%s", text.data);
    ls_text_free(&text);
    ls_curve_free(&data);
    return status;
}

static const ls_option options[] = {
    {"--plain", NULL, LS_OPTION_FLAG, NULL, "one 'name value' a line, or 'name none: reason'",
     offsetof(suggest_args, plain)},
    {"--beta", NULL, LS_OPTION_TEXT, "B",
     "smooth with factor B (default: as stored, 0.98 for a CSV)", offsetof(suggest_args, beta)},
};

const ls_command ls_command_suggest = {
    .name = "suggest",
    .summary = "Suggest learning rates from the curve of a range test",
    .operands = "FILE [--plain] [--beta B]",
    .details =
        "FILE is the run file of find-lr, finished or not, or a CSV with the columns lr and loss\n"
        "(the raw loss of each step).  The recommendation, and fastai's and Smith's rules, are\n"
        "described in lockstep/lr.h.  A rule that finds no support in the curve says why.",
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .args_size = sizeof(suggest_args),
    .parallel = false,
    .run = run,
};
