/* `lockstep bench`: where the time and the memory of a step go. */
#include <stdio.h>
#include <string.h>

#include "cli/bench.h"
#include "cli/run.h"

typedef struct ls_bench_args {
    ls_run_args run;
    const char *json, *trace, *steps, *windows;
} ls_bench_args;

enum { WINDOWS = 5 };

/* JSON to the file, or to standard output; the table unless JSON took its place. */
static ls_status print_result(const ls_bench_args *args, const ls_bench_result *result,
                              ls_text_file *file) {
    ls_text table = {0}, json = {0};
    const char *about = args->run.operands.word[0];
    ls_bench_table(about, result, &table);
    ls_bench_json(about, result, &json);
    ls_status status = table.failed || json.failed ? LS_ERR_SYSTEM : LS_OK;
    if (status == LS_OK && file)
        status = ls_text_file_add(file, json.data, json.length);
    if (status == LS_OK && file)
        status = ls_text_file_finish(file);
    if (status == LS_OK)
        ls_print("%s", args->json && file == NULL ? json.data : table.data);
    ls_text_free(&json);
    ls_text_free(&table);
    return status;
}

static ls_status measure(ls_comm *comm, const ls_bench_args *args, ls_bench_job *job,
                         ls_engine *engine, ls_text_file *file) {
    ls_bench_result result;
    ls_status status = LS_OK;
    LS_TRY(ls_run_describe(comm, engine));
    LS_TRY(ls_bench(engine, job, &result));
    if (ls_comm_rank(comm) == 0) {
        status = print_result(args, &result, file);
        ls_bench_result_free(&result);
    }
    return ls_comm_agree(comm, status);
}

/* The JSON file is begun first: nothing has to run to find out that it cannot be written. */
static ls_status open_json(ls_comm *comm, const ls_bench_args *args, const ls_config *config,
                           ls_text_file **file) {
    ls_status status = LS_OK;
    if (args->json && strcmp(args->json, "-") != 0 && ls_comm_rank(comm) == 0) {
        status = ls_run_check_output(args->json, &args->run, config);
        if (status == LS_OK)
            status = ls_text_file_create(args->json, file);
    }
    return ls_comm_agree(comm, status);
}

static ls_status run_bench(ls_comm *comm, void *context) {
    const ls_bench_args *args = context;
    ls_bench_job job = {.windows = WINDOWS, .trace = args->trace, .entered = ls_seconds()};
    ls_config *config = NULL;
    ls_engine *engine = NULL;
    ls_text_file *file = NULL;
    job.started = job.entered - ls_process_age();
    ls_run_log_level(comm, &args->run);
    LS_TRY(ls_command_count(&ls_command_bench, "--steps", args->steps, &job.steps));
    LS_TRY(ls_command_count(&ls_command_bench, "--windows", args->windows, &job.windows));
    LS_TRY(ls_run_config(comm, &args->run, &config));
    ls_status status = ls_comm_agree(comm, ls_run_check_output(args->trace, &args->run, config));
    if (status == LS_OK)
        status = open_json(comm, args, config, &file);
    if (status == LS_OK)
        status = ls_engine_create(comm, config, args->run.operands.word[0], false, &engine);
    if (status == LS_OK)
        status = measure(comm, args, &job, engine, file);
    ls_engine_free(engine);
    ls_text_file_free(file);
    ls_config_free(config);
    return status;
}

static const ls_option options[] = {
    LS_RUN_SET_OPTION,
    {"--json", NULL, LS_OPTION_TEXT, "FILE", "write the numbers as JSON; -: instead of the table",
     offsetof(ls_bench_args, json)},
    {"--steps", NULL, LS_OPTION_TEXT, "N", "steps of a window (default: about a second's)",
     offsetof(ls_bench_args, steps)},
    {"--windows", NULL, LS_OPTION_TEXT, "N", "windows (default: 5)",
     offsetof(ls_bench_args, windows)},
    LS_TRACE_OPTION(ls_bench_args),
    LS_RUN_LOG_OPTIONS,
};

const ls_command ls_command_bench = {
    .name = "bench",
    .summary = "Measure where the time and the memory of a step go",
    .operands = "CONFIG [--set KEY=VALUE]... [--json FILE|-] [--steps N] [--windows N] "
                "[--trace FILE]",
    .details =
        "Trains on full batches of the configured data: 5 steps to warm up, then windows of\n"
        "steps, with a constant learning rate: train.lr, or 0.01 where that is auto. Nothing of\n"
        "it is kept.\n"
        "\n"
        "The table. Phases: of rank 0, mean and largest over the ranks; exchange is what the\n"
        "backward pass could not hide. Buckets of the exchange, means over the ranks: from the\n"
        "moment that one is final on a rank until its sum can be had, and the part of that after\n"
        "the rank's backward pass. Layers, means over the ranks: GF/s are multiplications and\n"
        "additions of dense and conv layers (forward; gradient of the weights and, but for the\n"
        "first layer, of the input), of convolutions as sums over all taps. GB/s count each\n"
        "array once that a pass must read or write, in cache or not: inputs, outputs,\n"
        "parameters; backward their gradients, and what it reads again. A ReLU that the layer\n"
        "before it takes along is counted there. Products of square matrices, SGEMM and in\n"
        "compute.type, are measured between the windows, on all ranks at once. Own loops: layers\n"
        "that lockstep computes by itself where the library's kernels are slow; winograd: by\n"
        "Winograd's method, which makes a third to an eighth of the multiplications, so that they\n"
        "may come to more than SGEMM. Memory is that after the warm-up.\n"
        "\n"
        "JSON, in s, bytes, and multiplications plus additions: samples_per_second {median, min,\n"
        "max, windows}, step_seconds, cpu_seconds (of a step), flops_per_step (all ranks),\n"
        "sgemm_flops_per_second and gemm_flops_per_second (in compute_type) of one rank; phases\n"
        "{NAME: {rank0, mean, largest}}, and parts of them: backward_quantising,\n"
        "backward_progress (of messages), update_wait (for the node's ranks); slowest {host,\n"
        "rank, seconds, mean} (of data, forward and backward in a step); control_bytes and\n"
        "control_messages {rank0, mean, largest} (allreduces and broadcasts of a step beside the\n"
        "gradients: arrays, calls), exchange_bytes (the gradient summed in a step); buckets "
        "[{bytes,\n"
        "seconds, hidden_seconds, exposed_seconds}]; layers [{name, kind, parameters,\n"
        "statistics (elements; of batch norms, a slice), forward {seconds, flops, bytes, kernels "
        "[names, where there is a choice; backward: for the gradient of\n"
        "the weights, of the input]}, backward {the same}}]; memory {peak_resident and "
        "proportional {rank0,\n"
        "mean, largest}, node, and what is held: node_data, node_weights, node_gradients,\n"
        "rank_gradients, rank_network}; per_rank [{host, phases {NAME: seconds}, peak_resident,\n"
        "proportional}], in the order of ranks; date (UTC, when it ended), hosts, mpi_library,\n"
        "mpi_transport (what carries its messages; null: not known), exchange (node or flat: that\n"
        "in force), exchange_sum (int32, int64, float32); start_up {mpi, set_up, first_step}; "
        "config, version,\n"
        "compute_library, compute_type, isa, ranks, nodes, threads (of a rank), batch, slices,\n"
        "parameters, lr, warm_up_steps, window_steps, redone_passes.\n"
        "\n" LS_TRACE_HELP "Here they come before the windows.\n",
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .args_size = sizeof(ls_bench_args),
    .parallel = true,
    .run = run_bench,
};
