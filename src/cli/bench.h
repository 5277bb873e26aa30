/* cli: what `bench` prints: a table for people, JSON for programs. */
#ifndef LOCKSTEP_CLI_BENCH_H
#define LOCKSTEP_CLI_BENCH_H

#include "lockstep/bench.h"

/* `about`: the configuration's file name. */
void ls_bench_table(const char *about, const ls_bench_result *result, ls_text *text);
void ls_bench_json(const char *about, const ls_bench_result *result, ls_text *text);

#endif
