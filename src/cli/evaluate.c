/* `lockstep eval` and `lockstep predict`: a trained model on a test split. */
#include <stdio.h>
#include <string.h>

#include "cli/run.h"
#include "lockstep/checkpoint.h"

typedef struct ls_eval_args {
    ls_words operands; /* CHECKPOINT */
    const char *data, *output;
    ls_words sets;
} ls_eval_args;

/* The configuration that the checkpoint holds, with --data and --set on top. */
static ls_status read_configuration(const ls_eval_args *args, char **text) {
    ls_checkpoint_reader *reader = NULL;
    LS_TRY(ls_checkpoint_open(args->operands.word[0], &reader));
    ls_status status = ls_checkpoint_get_text(reader, "configuration", text);
    ls_checkpoint_close(reader);
    return status;
}

static ls_status open_model(ls_comm *comm, const ls_eval_args *args, bool with_targets,
                            ls_config **config, ls_engine **engine) {
    const char *file = args->operands.word[0];
    char *text = NULL, *data = args->data ? ls_format("data.file=%s", args->data) : NULL;
    const char **sets = NULL;
    size_t count = 0;
    ls_status status = ls_comm_rank(comm) == 0 ? read_configuration(args, &text) : LS_OK;
    status = ls_run_share_text(comm, status, &text);
    if (status == LS_OK)
        status = LS_NEW(sets, args->sets.count + 3);
    if (status == LS_OK) {
        sets[count++] = "init=none"; /* the weights come from the checkpoint */
        if (data) {
            sets[count++] = data;
            sets[count++] = "data.test_file=[]";
        }
        for (size_t i = 0; i < args->sets.count; i++)
            sets[count++] = args->sets.word[i];
        status = ls_config_parse(file, text, sets, count, config);
    }
    ls_free(sets);
    ls_free(data);
    ls_free(text);
    LS_TRY(ls_comm_agree(comm, status));
    return ls_engine_open(comm, *config, file, with_targets, engine);
}

/* ---- eval ----------------------------------------------------------------------------------- */

static void print_confusion(const ls_evaluation *e) {
    ls_print("confusion (row: class, column: taken for)\n");
    for (int64_t row = 0; row < e->outputs; row++) {
        for (int64_t column = 0; column < e->outputs; column++)
            ls_print("%7lld", (long long)e->confusion[row * e->outputs + column]);
        ls_print("\n");
    }
}

/* In the units of the targets. */
static void print_regression(const ls_evaluation *e) {
    enum { MOST_OUTPUTS = 20 };
    ls_print("RMSE      %.6g\nMAE       %.6g\nR2        %.6f\n", e->rmse, e->mae, e->r2);
    for (int64_t i = 0; e->outputs > 1 && e->outputs <= MOST_OUTPUTS && i < e->outputs; i++)
        ls_print("output %-3lld RMSE %.6g  MAE %.6g  R2 %.6f\n", (long long)i, e->output_rmse[i],
                 e->output_mae[i], e->output_r2[i]);
}

static void print_evaluation(const ls_engine *engine, const ls_evaluation *e) {
    enum { WIDEST_CONFUSION = 20 };
    ls_print("samples   %lld\nloss      %.6f\n", (long long)e->samples, e->loss);
    if (!ls_engine_has_classes(engine)) {
        print_regression(e);
        return;
    }
    ls_print("accuracy  %.4f\n", e->accuracy);
    ls_print("balanced  %.4f\nmacro F1  %.4f\n", e->balanced_accuracy, e->macro_f1);
    if (e->outputs > LS_TOP)
        ls_print("top %d     %.4f\n", LS_TOP, e->top);
    if (e->confusion && e->outputs <= WIDEST_CONFUSION)
        print_confusion(e);
}

static ls_status evaluate(ls_comm *comm, ls_engine *engine) {
    ls_evaluation evaluation;
    LS_TRY(ls_engine_evaluate_full(engine, LS_SPLIT_TEST, 0, &evaluation));
    if (ls_comm_rank(comm) == 0)
        print_evaluation(engine, &evaluation);
    ls_evaluation_free(&evaluation);
    return LS_OK;
}

static ls_status run_eval(ls_comm *comm, void *context) {
    ls_config *config = NULL;
    ls_engine *engine = NULL;
    ls_status status = open_model(comm, context, true, &config, &engine);
    if (status == LS_OK)
        status = evaluate(comm, engine);
    ls_engine_free(engine);
    ls_config_free(config);
    return status;
}

/* ---- predict -------------------------------------------------------------------------------- */

static ls_status check_output(const ls_eval_args *args, const ls_config *config) {
    LS_TRY(ls_files_check_output(config->data.file.lines, args->output));
    return ls_files_check_output(config->data.test_file.lines, args->output);
}

static ls_status run_predict(ls_comm *comm, void *context) {
    const ls_eval_args *args = context;
    ls_config *config = NULL;
    ls_engine *engine = NULL;
    if (args->output == NULL)
        return ls_fail(LS_ERR_INPUT, "predict: say where to write: -o FILE");
    LS_TRY(ls_check_output(args->output, args->operands.word[0]));
    ls_status status = open_model(comm, args, false, &config, &engine);
    if (status == LS_OK)
        status = ls_comm_agree(comm, check_output(args, config));
    if (status == LS_OK)
        status = ls_engine_predict(engine, args->output);
    if (status == LS_OK && ls_comm_rank(comm) == 0)
        ls_print("wrote %s\n", args->output);
    ls_engine_free(engine);
    ls_config_free(config);
    return status;
}

static const ls_option options[] = {
    {"--data", "-d", LS_OPTION_TEXT, "FILE", "dataset file, instead of the one trained with",
     offsetof(ls_eval_args, data)},
    {"--set", "-s", LS_OPTION_LIST, "KEY=VALUE", "change a key of the stored configuration",
     offsetof(ls_eval_args, sets)},
    {"--output", "-o", LS_OPTION_TEXT, "FILE", "predict: the HDF5 file to write",
     offsetof(ls_eval_args, output)},
};

enum { OPTIONS = sizeof options / sizeof options[0] };

const ls_command ls_command_eval = {
    .name = "eval",
    .summary = "Evaluate a checkpoint on the test split: loss, accuracies, F1, confusion; or RMSE, "
               "MAE, R2",
    .operands = "CHECKPOINT [--data FILE]",
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .option_count = OPTIONS - 1,
    .args_size = sizeof(ls_eval_args),
    .parallel = true,
    .run = run_eval,
};

const ls_command ls_command_predict = {
    .name = "predict",
    .summary = "Write a checkpoint's outputs for the test split, in dataset order",
    .operands = "CHECKPOINT [--data FILE] -o FILE",
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .option_count = OPTIONS,
    .args_size = sizeof(ls_eval_args),
    .parallel = true,
    .run = run_predict,
};
