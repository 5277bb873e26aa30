/* A trace from its begin to its file: each rank makes the text of its own events, rank 0 writes one
 * after another. */
#include <string.h>
#include <unistd.h>

#include "lockstep/build.h"
#include "train/engine.h"
#include "train/trace.h"

struct ls_trace {
    ls_engine *engine;
    ls_recorder recorder;
    double begun;       /* by rank 0's clock */
    ls_text_file *file; /* rank 0 */
};

ls_status ls_trace_begin(ls_engine *engine, const char *path, int64_t skip, ls_trace **trace) {
    ls_comm *comm = engine->comm;
    ls_trace *made = NULL;
    ls_status status = LS_NEW(made, 1);
    if (status == LS_OK && ls_comm_rank(comm) == 0)
        status = ls_text_file_create(path, &made->file);
    status = ls_comm_agree(comm, status);
    if (status != LS_OK) {
        ls_trace_free(made);
        return status;
    }
    made->engine = engine;
    made->begun = ls_seconds();
    LS_TRY(ls_comm_broadcast(comm, &made->begun, sizeof made->begun, 0));
    ls_engine_record(engine, &made->recorder, skip, LS_TRACE_STEPS);
    *trace = made;
    return LS_OK;
}

/* This rank's events as text. */
static ls_status make_text(const ls_trace *trace, ls_text *text) {
    char host[LS_HOST_SIZE];
    ls_engine *engine = trace->engine;
    ls_trace_rank rank = {.rank = ls_comm_rank(engine->comm),
                          .host = host,
                          .net = engine->net,
                          .begun = trace->begun};
    LS_TRY(ls_comm_clock_offset(engine->comm, &rank.offset));
    ls_host_name(host);
    ls_trace_text(&rank, &trace->recorder, text);
    bool failed = trace->recorder.failed || text->failed;
    return ls_comm_agree(engine->comm, failed ? LS_ERR_SYSTEM : LS_OK);
}

static ls_status add_text(ls_text_file *file, const char *text) {
    return ls_text_file_add(file, text, strlen(text));
}

static ls_status take_text(void *context, int rank, const void *data, size_t bytes) {
    ls_trace *trace = context;
    LS_TRY(add_text(trace->file, rank == 0 ? "{\"traceEvents\":[\n" : ",\n"));
    return ls_text_file_add(trace->file, data, bytes);
}

static ls_status finish_file(const ls_trace *trace) {
    ls_text text = {0};
    ls_text_add(&text, "\n],\"displayTimeUnit\":\"ms\",\"otherData\":{\"program\":");
    ls_json_string(&text, "lockstep");
    ls_text_add(&text, ",\"version\":");
    ls_json_string(&text, ls_build_version());
    ls_text_add(&text, "}}\n");
    ls_status status = text.failed ? LS_ERR_SYSTEM : add_text(trace->file, text.data);
    ls_text_free(&text);
    return status == LS_OK ? ls_text_file_finish(trace->file) : status;
}

ls_status ls_trace_write(ls_trace *trace) {
    ls_comm *comm = trace->engine->comm;
    ls_text text = {0};
    ls_engine_record(trace->engine, NULL, 0, 0);
    ls_status status = make_text(trace, &text);
    if (status == LS_OK)
        status = ls_comm_collect(comm, text.data, text.length, take_text, trace);
    ls_text_free(&text);
    LS_TRY(status);
    if (ls_comm_rank(comm) == 0)
        status = finish_file(trace);
    return ls_comm_agree(comm, status);
}

void ls_trace_free(ls_trace *trace) {
    if (trace == NULL)
        return;
    if (trace->engine)
        ls_engine_record(trace->engine, NULL, 0, 0);
    ls_text_file_free(trace->file);
    ls_recorder_free(&trace->recorder);
    ls_free(trace);
}
