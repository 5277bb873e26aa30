/* The events of a rank in Chrome's trace event format ("Trace Event Format", Google, 2016):
 * complete events (X), which nest by their times, and asynchronous ones (b, e) for what goes on
 * beside them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/trace.h"

/* Clocks that differ by less than can be told are one clock. */
static double shift(const ls_trace_rank *rank) {
    return fabs(rank->offset.seconds) <= rank->offset.error ? 0 : rank->offset.seconds;
}

/* Nanoseconds of the trace: whole, so that what nests still does when rounded. */
static long long place(const ls_trace_rank *rank, double seconds) {
    return llround(1e9 * (seconds + shift(rank) - rank->begun));
}

/* As the microseconds that the format counts in. */
static void add_time(const char *key, long long nanoseconds, ls_text *text) {
    ls_text_add(text, ",\"%s\":%s%lld.%03lld", key, nanoseconds < 0 ? "-" : "",
                llabs(nanoseconds) / 1000, llabs(nanoseconds) % 1000);
}

/* {"name": "...", "cat": "...", "ph": ".", "pid": 1, "tid": 0 - and what follows */
static void open_event(const ls_trace_rank *rank, const char *name, const char *category,
                       const char *phase, ls_text *text) {
    ls_text_add(text, ",\n{\"name\":");
    ls_json_string(text, name);
    ls_text_add(text, ",\"cat\":\"%s\",\"ph\":\"%s\",\"pid\":%d,\"tid\":0", category, phase,
                rank->rank);
}

static void add_complete(const ls_trace_rank *rank, const char *name, const char *category,
                         const ls_event *event, ls_text *text) {
    open_event(rank, name, category, "X", text);
    add_time("ts", place(rank, event->start), text);
    add_time("dur", place(rank, event->end) - place(rank, event->start), text);
    ls_text_add(text, "}");
}

static void add_bucket_end(const ls_trace_rank *rank, const ls_event *event, const char *phase,
                           double seconds, ls_text *text) {
    char name[32];
    snprintf(name, sizeof name, "bucket %d", event->index);
    open_event(rank, name, "exchange", phase, text);
    ls_text_add(text, ",\"id\":\"%d.%d\"", rank->rank, event->index);
    add_time("ts", place(rank, seconds), text);
    ls_text_add(text, "}");
}

static void add_event(const ls_trace_rank *rank, const ls_event *event, ls_text *text) {
    char numbered[32];
    switch (event->kind) {
    case LS_EVENT_STEP:
        snprintf(numbered, sizeof numbered, "step %d", event->index);
        add_complete(rank, numbered, "step", event, text);
        break;
    case LS_EVENT_PHASE:
        add_complete(rank, ls_phase_name((ls_phase)event->index), "phase", event, text);
        break;
    case LS_EVENT_FORWARD:
    case LS_EVENT_BACKWARD:
        add_complete(rank, ls_net_op_layer(rank->net, (size_t)event->index),
                     event->kind == LS_EVENT_FORWARD ? "forward" : "backward", event, text);
        break;
    case LS_EVENT_GRADIENT:
    case LS_EVENT_FINAL:
        add_complete(rank, ls_net_param(rank->net, (size_t)event->index)->name,
                     event->kind == LS_EVENT_GRADIENT ? "gradient" : "progress", event, text);
        break;
    case LS_EVENT_BUCKET:
        /* one id for a bucket of all steps: its next stretch begins after this one has ended */
        add_bucket_end(rank, event, "b", event->start, text);
        add_bucket_end(rank, event, "e", event->end, text);
        break;
    case LS_EVENT_WAIT:
        snprintf(numbered, sizeof numbered, "wait for bucket %d", event->index);
        add_complete(rank, event->index < 0 ? "wait for the node's ranks" : numbered, "wait", event,
                     text);
        break;
    }
}

/* What the viewer calls the rank, and where it puts it. */
static void add_name(const ls_trace_rank *rank, ls_text *text) {
    char name[160];
    snprintf(name, sizeof name, "rank %d (%s)", rank->rank, rank->host);
    ls_text_add(
        text, "{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":%d,\"args\":{\"name\":", rank->rank);
    ls_json_string(text, name);
    ls_text_add(text,
                "}},\n{\"name\":\"process_sort_index\",\"ph\":\"M\",\"pid\":%d,"
                "\"args\":{\"sort_index\":%d}}",
                rank->rank, rank->rank);
    if (shift(rank) != 0)
        ls_text_add(text,
                    ",\n{\"name\":\"process_labels\",\"ph\":\"M\",\"pid\":%d,\"args\":{\"labels\":"
                    "\"clock shifted to rank 0's, to %.1f us\"}}",
                    rank->rank, 1e6 * rank->offset.error);
}

/* Viewers nest events in the order of their starts, the enclosing one first. */
static int by_start(const void *left, const void *right) {
    const ls_event *a = left, *b = right;
    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    if (a->end != b->end)
        return a->end > b->end ? -1 : 1;
    return (int)a->kind - (int)b->kind;
}

void ls_trace_text(const ls_trace_rank *rank, const ls_recorder *recorder, ls_text *text) {
    ls_event *events = ls_calloc(recorder->count, sizeof *events);
    if (events == NULL) {
        text->failed = true;
        return;
    }
    if (recorder->count > 0)
        memcpy(events, recorder->events, recorder->count * sizeof *events);
    qsort(events, recorder->count, sizeof *events, by_start);
    add_name(rank, text);
    for (size_t i = 0; i < recorder->count; i++)
        add_event(rank, &events[i], text);
    ls_free(events);
}
