/* The result of a benchmark as JSON; the help page of `bench` documents the keys. */
#include <string.h>

#include "cli/bench.h"
#include "cli/json_fields.h"
#include "lockstep/build.h"

static void add_spread(ls_text *text, const char *key, const ls_bench_spread *spread) {
    ls_text_add(text, "\"%s\": {", key);
    ls_json_inner(text, "rank0", spread->rank0, true);
    ls_json_inner(text, "mean", spread->mean, false);
    ls_json_inner(text, "largest", spread->largest, false);
    ls_text_add(text, "}");
}

/* Whether no rank before this one is on its host. */
static bool is_new_host(const ls_bench_result *result, int rank) {
    for (int i = rank - 1; i >= 0; i--)
        if (strcmp(result->rank[i].host, result->rank[rank].host) == 0)
            return false;
    return true;
}

static void add_where(ls_text *text, const ls_bench_result *result) {
    char date[LS_TIME_TEXT];
    ls_json_text_field(text, "date", ls_time_text(result->ended, date));
    ls_json_text_field(text, "mpi_library", ls_comm_library());
    ls_json_text_field(text, "mpi_transport", result->transport);
    ls_json_text_field(text, "exchange", ls_exchange_mode_name(result->exchange));
    ls_json_text_field(text, "exchange_sum", ls_addend_name(result->addend));
    ls_json_key(text, "hosts");
    for (int rank = 0; rank < result->ranks; rank++) {
        if (!is_new_host(result, rank))
            continue;
        ls_text_add(text, rank > 0 ? ", " : "[");
        ls_json_string(text, result->rank[rank].host);
    }
    ls_text_add(text, "]");
}

static void add_run(ls_text *text, const ls_bench_result *result) {
    ls_json_text_field(text, "version", ls_build_version());
    ls_json_text_field(text, "compute_library", ls_compute_library());
    ls_json_text_field(text, "compute_type", ls_compute_type_name(result->type));
    ls_json_text_field(text, "isa", ls_compute_isa());
    ls_json_field(text, "ranks", result->ranks);
    ls_json_field(text, "nodes", result->nodes);
    ls_json_field(text, "threads", result->threads);
    ls_json_field(text, "batch", (double)result->batch);
    ls_json_field(text, "slices", (double)result->slices);
    ls_json_field(text, "parameters", (double)result->parameters);
    ls_json_field(text, "lr", result->lr);
    ls_json_field(text, "warm_up_steps", (double)result->warm_up);
    ls_json_field(text, "window_steps", (double)result->steps);
    ls_json_field(text, "redone_passes", (double)result->redone);
}

static void add_rates(ls_text *text, const ls_bench_result *result) {
    ls_json_key(text, "samples_per_second");
    ls_text_add(text, "{");
    ls_json_inner(text, "median", result->rate_median, true);
    ls_json_inner(text, "min", result->rate_min, false);
    ls_json_inner(text, "max", result->rate_max, false);
    ls_text_add(text, ", \"windows\": [");
    for (int64_t i = 0; i < result->windows; i++) {
        ls_text_add(text, i ? ", " : "");
        ls_json_number(text, result->rates[i]);
    }
    ls_text_add(text, "]}");
    ls_json_field(text, "step_seconds", result->step_seconds);
    ls_json_field(text, "flops_per_step", result->flops);
    ls_json_field(text, "sgemm_flops_per_second", result->sgemm_rate);
    ls_json_field(text, "gemm_flops_per_second", result->gemm_rate);
}

static void add_phases(ls_text *text, const ls_bench_result *result) {
    ls_json_key(text, "phases");
    ls_text_add(text, "{");
    for (int phase = 0; phase < LS_PHASE_COUNT; phase++) {
        ls_text_add(text, "%s\n    ", phase ? "," : "");
        add_spread(text, ls_phase_name((ls_phase)phase), &result->phase[phase]);
    }
    ls_text_add(text, "},\n  ");
    add_spread(text, "backward_quantising", &result->gradients);
    ls_text_add(text, ",\n  ");
    add_spread(text, "backward_progress", &result->progress);
    ls_text_add(text, ",\n  ");
    add_spread(text, "update_wait", &result->node_wait);
    ls_text_add(text, ",\n  ");
    add_spread(text, "cpu_seconds", &result->cpu_seconds);
    ls_json_key(text, "slowest");
    ls_text_add(text, "{\"host\": ");
    ls_json_string(text, result->slowest.host);
    ls_json_inner(text, "rank", result->slowest.rank, false);
    ls_json_inner(text, "seconds", result->slowest.seconds, false);
    ls_json_inner(text, "mean", result->slowest.mean, false);
    ls_text_add(text, "}");
}

static void add_control(ls_text *text, const ls_bench_result *result) {
    size_t bytes = 0;
    for (size_t i = 0; i < result->bucket_count; i++)
        bytes += result->buckets[i].bytes;
    ls_text_add(text, ",\n  ");
    add_spread(text, "control_bytes", &result->control_bytes);
    ls_text_add(text, ",\n  ");
    add_spread(text, "control_messages", &result->control_messages);
    ls_json_field(text, "exchange_bytes", (double)bytes);
}

static void add_buckets(ls_text *text, const ls_bench_result *result) {
    ls_json_key(text, "buckets");
    ls_text_add(text, "[");
    for (size_t i = 0; i < result->bucket_count; i++) {
        const ls_bench_bucket *bucket = &result->buckets[i];
        ls_text_add(text, "%s\n    {", i ? "," : "");
        ls_json_inner(text, "bytes", (double)bucket->bytes, true);
        ls_json_inner(text, "seconds", bucket->seconds, false);
        ls_json_inner(text, "hidden_seconds", bucket->seconds - bucket->exposed, false);
        ls_json_inner(text, "exposed_seconds", bucket->exposed, false);
        ls_text_add(text, "}");
    }
    ls_text_add(text, "]");
}

static void add_pass(ls_text *text, const char *key, const ls_bench_pass *pass) {
    ls_text_add(text, ", \"%s\": {", key);
    ls_json_inner(text, "seconds", pass->seconds, true);
    ls_json_inner(text, "flops", pass->work.flops, false);
    ls_json_inner(text, "bytes", pass->work.bytes, false);
    ls_text_add(text, ", \"kernels\": [");
    for (int i = 0; i < 2 && pass->work.kernel[i]; i++) {
        ls_text_add(text, i ? ", " : "");
        ls_json_string(text, pass->work.kernel[i]);
    }
    ls_text_add(text, "]}");
}

static void add_layers(ls_text *text, const ls_bench_result *result) {
    ls_json_key(text, "layers");
    ls_text_add(text, "[");
    for (size_t i = 0; i < result->layer_count; i++) {
        const ls_bench_layer *layer = &result->layers[i];
        ls_text_add(text, "%s\n    {\"name\": ", i ? "," : "");
        ls_json_string(text, layer->name);
        ls_text_add(text, ", \"kind\": ");
        ls_json_string(text, layer->kind);
        ls_json_inner(text, "parameters", (double)layer->parameters, false);
        ls_json_inner(text, "statistics", (double)layer->statistics, false);
        add_pass(text, "forward", &layer->forward);
        add_pass(text, "backward", &layer->backward);
        ls_text_add(text, "}");
    }
    ls_text_add(text, "]");
}

static void add_memory(ls_text *text, const ls_bench_result *result) {
    const ls_engine_memory *memory = &result->memory;
    ls_json_key(text, "memory");
    ls_text_add(text, "{");
    add_spread(text, "peak_resident", &result->peak_resident);
    ls_text_add(text, ", ");
    add_spread(text, "proportional", &result->proportional);
    ls_json_inner(text, "node", result->node_proportional, false);
    ls_json_inner(text, "node_data", (double)memory->data, false);
    ls_json_inner(text, "node_weights", (double)memory->weights, false);
    ls_json_inner(text, "node_gradients", (double)memory->gradients, false);
    ls_json_inner(text, "rank_gradients", (double)memory->own_gradients, false);
    ls_json_inner(text, "rank_network", (double)memory->network, false);
    ls_text_add(text, "}");
}

static void add_rank(ls_text *text, const ls_bench_rank *rank) {
    ls_text_add(text, "{\"host\": ");
    ls_json_string(text, rank->host);
    ls_text_add(text, ", \"phases\": {");
    for (int phase = 0; phase < LS_PHASE_COUNT; phase++)
        ls_json_inner(text, ls_phase_name((ls_phase)phase), rank->phase[phase], phase == 0);
    ls_text_add(text, "}");
    ls_json_inner(text, "peak_resident", rank->peak_resident, false);
    ls_json_inner(text, "proportional", rank->proportional, false);
    ls_text_add(text, "}");
}

static void add_ranks(ls_text *text, const ls_bench_result *result) {
    ls_json_key(text, "per_rank");
    ls_text_add(text, "[");
    for (int rank = 0; rank < result->ranks; rank++) {
        ls_text_add(text, "%s\n    ", rank > 0 ? "," : "");
        add_rank(text, &result->rank[rank]);
    }
    ls_text_add(text, "]");
}

static void add_data(ls_text *text, const ls_bench_result *result) {
    ls_json_key(text, "data");
    ls_text_add(text, "{\"residence\": \"%s\", ", LS_WORDS_OF(LS_RESIDENCES)[result->residence]);
    add_spread(text, "held", &result->data_held);
    ls_text_add(text, ", ");
    add_spread(text, "waited_seconds", &result->data_waited);
    ls_json_inner(text, "bytes_read", result->data_read, false);
    ls_json_inner(text, "bytes_needed", result->data_used, false);
    ls_text_add(text, "}");
}

void ls_bench_json(const char *about, const ls_bench_result *result, ls_text *text) {
    ls_text_add(text, "{\n  \"config\": ");
    ls_json_string(text, about);
    add_where(text, result);
    add_run(text, result);
    add_rates(text, result);
    add_phases(text, result);
    add_control(text, result);
    add_buckets(text, result);
    add_layers(text, result);
    add_memory(text, result);
    add_ranks(text, result);
    add_data(text, result);
    ls_json_key(text, "start_up");
    ls_text_add(text, "{");
    ls_json_inner(text, "mpi", result->launch, true);
    ls_json_inner(text, "set_up", result->set_up, false);
    ls_json_inner(text, "first_step", result->first_step, false);
    ls_text_add(text, "}\n}\n");
}
