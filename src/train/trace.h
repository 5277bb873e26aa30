/* train, inside: the part of a trace that one rank gives, as text. */
#ifndef LOCKSTEP_TRAIN_TRACE_H
#define LOCKSTEP_TRAIN_TRACE_H

#include "lockstep/trace.h"

/* Whose events they are, and how their times become those of the trace. */
typedef struct ls_trace_rank {
    int rank;
    const char *host;
    const ls_net *net;      /* names the operations */
    double begun;           /* when the trace began, by rank 0's clock */
    ls_clock_offset offset; /* of this rank's clock */
} ls_trace_rank;

/* JSON objects, a comma and a line's end between two; at least one. */
void ls_trace_text(const ls_trace_rank *rank, const ls_recorder *recorder, ls_text *text);

#endif
