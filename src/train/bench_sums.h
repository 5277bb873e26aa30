/* train, inside: what a benchmark adds up on each rank, and how the ranks' sums become its result.
 */
#ifndef LOCKSTEP_TRAIN_BENCH_SUMS_H
#define LOCKSTEP_TRAIN_BENCH_SUMS_H

#include "lockstep/bench.h"

/* Places in ls_bench_sums.value; from LS_SUM_OPS on, LS_SUM_OP_WIDTH of each operation, then two of
 * each bucket: seconds, exposed. */
enum {
    LS_SUM_PHASES,
    LS_SUM_NODE_WAIT = LS_SUM_PHASES + LS_PHASE_COUNT,
    LS_SUM_GRADIENTS,
    LS_SUM_PROGRESS,
    LS_SUM_CPU,
    LS_SUM_DATA_WAITED,
    LS_SUM_DATA_READ,
    LS_SUM_DATA_USED,
    LS_SUM_CONTROL_BYTES,
    LS_SUM_CONTROL_MESSAGES,
    LS_SUM_SGEMM_RATE, /* from here to LS_SUM_OPS not over steps */
    LS_SUM_GEMM_RATE,
    LS_SUM_DATA_HELD,
    LS_SUM_PEAK,
    LS_SUM_PROPORTIONAL,
    LS_SUM_NODE,
    LS_SUM_OPS,
    LS_SUM_OP_WIDTH = 6 /* forward: seconds, flops, bytes; backward: the same */
};

/* One rank's numbers, all of them doubles, so that they travel as one array. */
typedef struct ls_bench_sums {
    size_t ops, buckets, count;
    double *value;
} ls_bench_sums;

ls_status ls_bench_sums_make(size_t ops, size_t buckets, ls_bench_sums *sums);
void ls_bench_sums_free(ls_bench_sums *sums);
/* Adds a step. */
void ls_bench_sums_add(ls_bench_sums *sums, const ls_step_report *report,
                       const ls_recorder *recorder);
/* Sums over `steps` steps become means; NULL: no slice of this rank has a sample. */
void ls_bench_sums_finish(ls_bench_sums *sums, int64_t steps, const ls_plan *plan);
/* The result of all ranks' numbers, one after another: all but rates, start-up, hosts and what the
 * caller knows.  The plan, this rank's, has the kernels' names; NULL: no slice of it has a sample.
 */
ls_status ls_bench_sums_result(const ls_bench_sums *sums, const double *all, int ranks,
                               const ls_net *net, const ls_plan *plan, ls_bench_result *result);

#endif
