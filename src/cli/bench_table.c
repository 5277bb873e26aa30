/* The result of a benchmark as a page for people. */
#include <stdio.h>
#include <string.h>

#include "cli/bench.h"

enum {
    BUCKET_ROWS = 8, /* the last ones: those that backward can hide least */
    NAME_WIDTH = 24  /* at least */
};

static void add_cell(ls_text *text, int width, double value) {
    char number[LS_DIGITS_TEXT];
    ls_text_add(text, "%*s", width, ls_digits(value, number));
}

static void add_share(ls_text *text, const ls_bench_result *result, double seconds) {
    ls_text_add(text, "%7.1f %%\n", 100 * seconds / result->step_seconds);
}

static double mebibytes(double bytes) {
    return bytes / (1 << 20);
}

static const char *plural(int64_t count) {
    return count == 1 ? "" : "s";
}

/* ---- the first lines ------------------------------------------------------------------------ */

static void add_traffic(const ls_bench_result *result, ls_text *text) {
    char waited[LS_DIGITS_TEXT], most[LS_DIGITS_TEXT], rate[LS_DIGITS_TEXT];
    const bool spread = result->residence == LS_RESIDENCE_SPREAD;
    if (spread)
        ls_text_add(text,
                    "data        spread: a node has %.2f %% of the samples (mean; largest %.2f)\n",
                    100 * result->data_held.mean, 100 * result->data_held.largest);
    ls_text_add(text,
                "%s%s ms of a step waited for it (mean; largest %s), %s MB/s %s, %.2f times the "
                "bytes needed\n",
                spread ? "            " : "data        streamed: ",
                ls_digits(1e3 * result->data_waited.mean, waited),
                ls_digits(1e3 * result->data_waited.largest, most),
                ls_digits(1e-6 * result->data_read / result->step_seconds, rate),
                spread ? "from other nodes" : "read",
                result->data_used > 0 ? result->data_read / result->data_used : 0);
}

static void add_head(const char *about, const ls_bench_result *result, ls_text *text) {
    char rate[LS_DIGITS_TEXT], product[LS_DIGITS_TEXT], most[LS_DIGITS_TEXT];
    double median_step = (double)result->batch / result->rate_median;
    double useful = result->flops / median_step / result->ranks;
    ls_text_add(text, "%s: %d rank%s on %d node%s, batch %lld in %lld slice%s, %.3g M parameters\n",
                about, result->ranks, plural(result->ranks), result->nodes, plural(result->nodes),
                (long long)result->batch, (long long)result->slices, plural(result->slices),
                1e-6 * (double)result->parameters);
    if (result->threads > 1)
        ls_text_add(text, "%d threads a rank, ", result->threads);
    ls_text_add(text,
                "%lld window%s of %lld step%s after %lld of warm-up, learning rate %g, %s %s\n\n",
                (long long)result->windows, plural(result->windows), (long long)result->steps,
                plural(result->steps), (long long)result->warm_up, result->lr, ls_compute_library(),
                ls_compute_isa());
    ls_text_add(text, "samples/s   %s median, %s to %s over the windows\n",
                ls_digits(result->rate_median, rate), ls_digits(result->rate_min, product),
                ls_digits(result->rate_max, most));
    ls_text_add(text, "step        %s ms mean, %s of them on a processor",
                ls_digits(1e3 * result->step_seconds, rate),
                ls_digits(1e3 * result->cpu_seconds.mean, product));
    if (result->redone > 0)
        ls_text_add(text, "; %lld backward passes done again", (long long)result->redone);
    ls_text_add(text, "\narithmetic  %s GF/s a rank in dense and conv layers: ",
                ls_digits(1e-9 * useful, rate));
    if (result->type != LS_COMPUTE_FLOAT32)
        ls_text_add(text, "%.0f %% of its %s product's %s, ", 100 * useful / result->gemm_rate,
                    ls_compute_type_name(result->type),
                    ls_digits(1e-9 * result->gemm_rate, product));
    ls_text_add(text, "%.0f %% of its SGEMM's %s (%d x %d)\n", 100 * useful / result->sgemm_rate,
                ls_digits(1e-9 * result->sgemm_rate, product), LS_BENCH_PRODUCT, LS_BENCH_PRODUCT);
    if (result->ranks > 1)
        ls_text_add(
            text,
            "slowest     rank %d on %s: %s ms of a step in data, forward and backward; mean "
            "%s\n",
            result->slowest.rank, result->slowest.host,
            ls_digits(1e3 * result->slowest.seconds, rate),
            ls_digits(1e3 * result->slowest.mean, product));
    if (result->residence != LS_RESIDENCE_NODE)
        add_traffic(result, text);
    ls_text_add(text,
                "start-up    %.2f s: %.2f until MPI was there, %.2f set-up, %.2f first step\n",
                result->launch + result->set_up + result->first_step, result->launch,
                result->set_up, result->first_step);
}

/* ---- phases and buckets --------------------------------------------------------------------- */

static void add_spread(const char *name, const ls_bench_spread *spread,
                       const ls_bench_result *result, ls_text *text) {
    ls_text_add(text, "%-*s", NAME_WIDTH, name);
    add_cell(text, 10, 1e3 * spread->rank0);
    add_cell(text, 10, 1e3 * spread->mean);
    add_cell(text, 10, 1e3 * spread->largest);
    add_share(text, result, spread->mean);
}

static void add_phases(const ls_bench_result *result, ls_text *text) {
    ls_text_add(text, "\n%-*s%10s%10s%10s%9s\n", NAME_WIDTH, "phase, ms", "rank 0", "mean",
                "largest", "share");
    for (int phase = 0; phase < LS_PHASE_COUNT; phase++) {
        const char *name = ls_phase_name((ls_phase)phase);
        if (phase == LS_PHASE_EXCHANGE)
            name = "exchange, exposed";
        add_spread(name, &result->phase[phase], result, text);
        if (phase == LS_PHASE_BACKWARD) {
            add_spread("  quantising", &result->gradients, result, text);
            add_spread("  looking after messages", &result->progress, result, text);
        }
        if (phase == LS_PHASE_UPDATE && result->ranks > 1)
            add_spread("  waiting for the node", &result->node_wait, result, text);
    }
}

static void add_bucket(const char *name, const ls_bench_bucket *bucket, ls_text *text) {
    ls_text_add(text, "%-*s", NAME_WIDTH, name);
    add_cell(text, 10, (double)bucket->bytes / 1024);
    add_cell(text, 10, 1e3 * bucket->seconds);
    add_cell(text, 10, 1e3 * (bucket->seconds - bucket->exposed));
    add_cell(text, 10, 1e3 * bucket->exposed);
    ls_text_add(text, "\n");
}

/* Buckets [first, end) in one row: the mean one. */
static void add_bucket_row(const ls_bench_result *result, size_t first, size_t end, ls_text *text) {
    char name[64];
    ls_bench_bucket sum = {0};
    for (size_t i = first; i < end; i++) {
        sum.bytes += result->buckets[i].bytes / (end - first);
        sum.seconds += result->buckets[i].seconds / (double)(end - first);
        sum.exposed += result->buckets[i].exposed / (double)(end - first);
    }
    if (end - first > 1)
        snprintf(name, sizeof name, "%zu to %zu, mean", first, end - 1);
    else
        snprintf(name, sizeof name, "%zu", first);
    add_bucket(name, &sum, text);
}

/* In the order in which backward fills them. */
static void add_buckets(const ls_bench_result *result, ls_text *text) {
    size_t count = result->bucket_count, first = 0;
    if (result->ranks == 1)
        return;
    ls_text_add(text, "\n%-*s%10s%10s%10s%10s\n", NAME_WIDTH, "bucket", "KiB", "ms", "hidden",
                "exposed");
    if (count > BUCKET_ROWS + 1) {
        first = count - BUCKET_ROWS;
        add_bucket_row(result, 0, first, text);
    }
    for (; first < count; first++)
        add_bucket_row(result, first, first + 1, text);
}

/* ---- layers --------------------------------------------------------------------------------- */

static void add_pass(const ls_bench_pass *pass, ls_text *text) {
    double seconds = pass->seconds;
    add_cell(text, 10, 1e3 * seconds);
    add_cell(text, 8, seconds > 0 ? 1e-9 * pass->work.flops / seconds : 0);
    add_cell(text, 8, seconds > 0 ? 1e-9 * pass->work.bytes / seconds : 0);
}

static void add_layer(const char *name, int width, const ls_bench_layer *layer,
                      const ls_bench_result *result, ls_text *text) {
    ls_text_add(text, "%-*s", width, name);
    add_pass(&layer->forward, text);
    add_pass(&layer->backward, text);
    add_share(text, result, layer->forward.seconds + layer->backward.seconds);
}

static void add_to(ls_bench_pass *sum, const ls_bench_pass *pass) {
    sum->seconds += pass->seconds;
    sum->work.flops += pass->work.flops;
    sum->work.bytes += pass->work.bytes;
}

static int name_width(const ls_bench_result *result) {
    size_t width = NAME_WIDTH;
    for (size_t i = 0; i < result->layer_count; i++) {
        size_t length = strlen(result->layers[i].name);
        width = length > width ? length : width;
    }
    return (int)width;
}

static void add_layers(const ls_bench_result *result, ls_text *text) {
    int width = name_width(result);
    ls_text_add(text, "\n%*s%26s\n", width + 10, "forward", "backward");
    ls_text_add(text, "%-*s%10s%8s%8s%10s%8s%8s%9s\n", width, "layer", "ms", "GF/s", "GB/s", "ms",
                "GF/s", "GB/s", "share");
    for (size_t i = 0; i < result->layer_count; i++)
        add_layer(result->layers[i].name, width, &result->layers[i], result, text);
}

/* Whether a layer of this kind came before layer `index`. */
static bool kind_was_before(const ls_bench_result *result, size_t index) {
    for (size_t i = 0; i < index; i++)
        if (strcmp(result->layers[i].kind, result->layers[index].kind) == 0)
            return true;
    return false;
}

/* All layers of a kind in one row. */
static void add_kinds(const ls_bench_result *result, ls_text *text) {
    int width = name_width(result);
    ls_text_add(text, "\nall of a kind\n");
    for (size_t i = 0; i < result->layer_count; i++) {
        char name[64];
        int count = 0;
        ls_bench_layer sum = {0};
        if (kind_was_before(result, i))
            continue;
        for (size_t k = i; k < result->layer_count; k++) {
            if (strcmp(result->layers[k].kind, result->layers[i].kind) != 0)
                continue;
            add_to(&sum.forward, &result->layers[k].forward);
            add_to(&sum.backward, &result->layers[k].backward);
            count++;
        }
        snprintf(name, sizeof name, "%d %s", count, result->layers[i].kind);
        add_layer(name, width, &sum, result, text);
    }
}

static bool is_made_by(const ls_bench_pass *pass, int kernel, const char *name) {
    return pass->work.kernel[kernel] && strcmp(pass->work.kernel[kernel], name) == 0;
}

/* What of a layer loops called `name` compute; NULL: nothing. */
static const char *made_by(const ls_bench_layer *layer, const char *name) {
    if (is_made_by(&layer->forward, 0, name))
        return "";
    if (is_made_by(&layer->backward, 0, name))
        return " (gradient of the weights)";
    return is_made_by(&layer->backward, 1, name) ? " (gradient of the input)" : NULL;
}

/* The layers that loops of our own, called `name`, compute; gives their number. */
static int add_made_by(const ls_bench_result *result, const char *name, ls_text *text) {
    int count = 0;
    for (size_t i = 0; i < result->layer_count; i++) {
        const ls_bench_layer *layer = &result->layers[i];
        const char *what = made_by(layer, name);
        if (!what)
            continue;
        if (count++ == 0)
            ls_text_add(text, "\n%-12s", name);
        ls_text_add(text, "%s%s%s", count > 1 ? ", " : "", layer->name, what);
    }
    return count;
}

static void add_own_loops(const ls_bench_result *result, ls_text *text) {
    int count = add_made_by(result, LS_OWN_LOOPS, text);
    count += add_made_by(result, LS_WINOGRAD, text);
    ls_text_add(text, count ? "\n" : "");
}

/* ---- memory --------------------------------------------------------------------------------- */

static void add_memory(const ls_bench_result *result, ls_text *text) {
    const ls_engine_memory *memory = &result->memory;
    ls_text_add(text, "\n%-*s%10s%10s%10s\n", NAME_WIDTH, "memory, MiB", "rank 0", "mean",
                "largest");
    const ls_bench_spread *rows[] = {&result->peak_resident, &result->proportional};
    static const char *const names[] = {"peak resident", "proportional"};
    static const char *const notes[] = {"shared pages in full", "shared pages divided"};
    for (int i = 0; i < 2; i++) {
        ls_text_add(text, "%-*s", NAME_WIDTH, names[i]);
        add_cell(text, 10, mebibytes(rows[i]->rank0));
        add_cell(text, 10, mebibytes(rows[i]->mean));
        add_cell(text, 10, mebibytes(rows[i]->largest));
        ls_text_add(text, "  %s\n", notes[i]);
    }
    ls_text_add(text, "%-*s%10s%10s", NAME_WIDTH, "node, all ranks", "", "");
    add_cell(text, 10, mebibytes(result->node_proportional));
    ls_text_add(text, "  shared pages once\n");
    ls_text_add(text,
                "of it, for the node: data %.1f, weights and momentum %.1f, gradients %.1f;\n"
                "for rank 0: network %.1f, gradients %.1f\n",
                mebibytes((double)memory->data), mebibytes((double)memory->weights),
                mebibytes((double)memory->gradients), mebibytes((double)memory->network),
                mebibytes((double)memory->own_gradients));
}

void ls_bench_table(const char *about, const ls_bench_result *result, ls_text *text) {
    add_head(about, result, text);
    add_phases(result, text);
    add_buckets(result, text);
    add_layers(result, text);
    add_kinds(result, text);
    add_own_loops(result, text);
    add_memory(result, text);
}
