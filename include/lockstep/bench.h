/* bench: where the time and the memory of a step go, measured on the configured data. */
#ifndef LOCKSTEP_BENCH_H
#define LOCKSTEP_BENCH_H

#include "lockstep/train.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LS_BENCH_LR 0.01          /* where train.lr is auto */
enum { LS_BENCH_PRODUCT = 1024 }; /* rows of the square matrices whose product is measured */

typedef struct ls_bench_job {
    int64_t steps;     /* of a window; 0: about a second's */
    int64_t windows;   /* at least 1 */
    double started;    /* ls_seconds() when the process was started */
    double entered;    /* and when MPI was there */
    const char *trace; /* file for ls_trace_write, of steps before the windows; NULL: none */
} ls_bench_job;

/* Over the ranks. */
typedef struct ls_bench_spread {
    double rank0, mean, largest;
} ls_bench_spread;

/* What a step spends in a layer on one pass: means over the ranks. */
typedef struct ls_bench_pass {
    double seconds;
    ls_pass_work work;
} ls_bench_pass;

/* Of one rank: see ls_bench_result. */
typedef struct ls_bench_rank {
    char host[LS_HOST_SIZE];
    double phase[LS_PHASE_COUNT];
    double peak_resident, proportional;
} ls_bench_rank;

typedef struct ls_bench_layer {
    const char *name, *kind;       /* the network's */
    size_t parameters, statistics; /* trained elements; of batch norms a slice */
    ls_bench_pass forward, backward;
} ls_bench_layer;

/* Of the exchange, from the end of the flat array: means over the ranks. */
typedef struct ls_bench_bucket {
    size_t bytes;
    double seconds; /* from final on this rank until its sum could be had */
    double exposed; /* the part after this rank's backward pass */
} ls_bench_bucket;

/* Times are s; those of steps are means over the steps of all windows. */
typedef struct ls_bench_result {
    int64_t ended;             /* time_t of rank 0 */
    char *transport;           /* see ls_comm_transport; NULL: not known */
    ls_exchange_mode exchange; /* in force */
    ls_addend addend;
    int ranks, nodes, threads; /* threads: of a rank */
    int64_t batch, slices, parameters;
    double lr;
    int64_t warm_up, steps, windows; /* steps of a window */
    int64_t redone;                  /* backward passes done again, in the windows */

    double *rates; /* samples/s of each window */
    double rate_median, rate_min, rate_max;
    double step_seconds;
    ls_bench_rank *rank; /* (ranks) */
    ls_bench_spread phase[LS_PHASE_COUNT];
    ls_slowest slowest;          /* own work of a step, see ls_phases_work */
    ls_bench_spread node_wait;   /* the part of LS_PHASE_UPDATE that waits for the node's ranks */
    ls_bench_spread gradients;   /* the part of LS_PHASE_BACKWARD that quantises */
    ls_bench_spread progress;    /* and the part that looks after messages */
    ls_bench_spread cpu_seconds; /* processor time of a step, all threads of a rank */
    ls_residence residence;      /* of the training inputs; if not that of the node: */
    ls_bench_spread data_waited; /* the part of LS_PHASE_DATA that waits for samples */
    double data_read, data_used; /* bytes of a step, all ranks: from files, or other nodes; of its
                                    samples */
    ls_bench_spread data_held;   /* share of all samples that a rank's node has in memory */
    ls_bench_bucket *buckets;
    size_t bucket_count;
    ls_bench_layer *layers; /* in forward order; the last one is the loss */
    size_t layer_count;

    /* Multiplications and additions: of a step's dense and conv layers, all ranks; and a second of
     * ls_gemm_run in float32 and in `type`, of one rank while all ranks do the same: median over
     * the products, mean over the ranks. */
    ls_compute_type type; /* in force */
    double flops, sgemm_rate, gemm_rate;

    /* Bytes, after the warm-up. */
    ls_bench_spread peak_resident, proportional; /* see ls_process_memory; 0: not known */
    double node_proportional;                    /* sum over the ranks of a node, largest */
    ls_engine_memory memory;                     /* rank 0's */

    /* Of allreduces and broadcasts beside the gradients, a step: see ls_control_traffic. */
    ls_bench_spread control_bytes, control_messages;

    double launch, set_up, first_step; /* start-up of rank 0: until MPI was there; until the engine
                                          was; the first step */
} ls_bench_result;

/* Collective.  Warms up, then takes windows of steps on full batches with a constant learning rate:
 * train.lr, or LS_BENCH_LR.  The weights move; nothing is saved.  *result on rank 0 only; free with
 * ls_bench_result_free, before the engine. */
ls_status ls_bench(ls_engine *engine, const ls_bench_job *job, ls_bench_result *result);
void ls_bench_result_free(ls_bench_result *result);

#ifdef __cplusplus
}
#endif
#endif
