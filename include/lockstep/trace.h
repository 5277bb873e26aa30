/* trace: what all ranks did in a few steps, as a file in Chrome's trace event format, which
 * ui.perfetto.dev and chrome://tracing draw: a process for each rank, in it steps, phases and
 * layers, and a row for each bucket of the exchange.
 *
 * Times are microseconds since the trace began, by rank 0's clock.  The ranks of a host read the
 * same one; others are shifted by ls_comm_clock_offset, measured when the trace is written. */
#ifndef LOCKSTEP_TRACE_H
#define LOCKSTEP_TRACE_H

#include "lockstep/train.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    LS_TRACE_SKIP = 3, /* steps that make kernels and settle exponents, for a run's trace */
    LS_TRACE_STEPS = 5 /* that are noted: what keeps the file small */
};

typedef struct ls_trace ls_trace;

/* Collective.  After `skip` more steps of the engine every rank notes LS_TRACE_STEPS of them.
 * LS_ERR_INPUT when the file cannot be made: nothing has to run to find that out. */
ls_status ls_trace_begin(ls_engine *engine, const char *path, int64_t skip, ls_trace **trace);
/* Collective.  Takes no more notes, and writes those of all ranks to the file, which appears when
 * it is whole. */
ls_status ls_trace_write(ls_trace *trace);
/* Not collective.  Without a write before, no file appears. */
void ls_trace_free(ls_trace *trace);

#ifdef __cplusplus
}
#endif
#endif
