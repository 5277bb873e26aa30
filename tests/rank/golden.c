/* The engine against PyTorch: tests/golden, written by scripts/golden.py.  For each network the
 * loss and every gradient of the first step, the loss of 100 steps (200 of the optimizer's runs
 * under their schedules, 40 of lenet and resnet), weights and statistics after them, an evaluation.
 *
 * For so long any order of summation keeps those two to the path: the sign of one ReLU's input that
 * changes a step sooner or later would lead them elsewhere, PyTorch in float64 too.
 *
 * Usage: mpirun -n RANKS golden [FOLDER [NET [ISA]]], ISA as in compute.isa */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lockstep/config.h"
#include "lockstep/io.h"
#include "lockstep/train.h"
#include "rank/check.h"

enum { MOST_STEPS = 200 };

/* Ten times as far as the generator lets PyTorch's own float32 drift from its float64. */
static const double loss_tolerance = 1e-3;  /* relative */
static const double array_tolerance = 1e-4; /* relative to the array's largest element */
static const double gradient_tolerance = 1e-5;

typedef struct golden_case {
    const char *name, *origin; /* origin: the net whose dataset and starting point it takes */
    int64_t steps;
} golden_case;

static const golden_case cases[] = {
    {"mlp", "mlp", 100},
    {"lenet", "lenet", 40},
    {"resnet", "resnet", 40},
    {"conv3d", "conv3d", 100},
    {"regression", "regression", 100},
    {"mlp_momentum", "mlp", 200},
    {"mlp_nesterov", "mlp", 200},
    {"mlp_one_cycle", "mlp", 200},
    {"weights", "weights", 100},
    {"mlp_adamw", "mlp", 200},
    {"mlp_adamw_cycle", "mlp", 200},
    {"mlp_lars", "mlp", 200},
};

/* One network under test. */
typedef struct golden {
    ls_comm *comm;
    const char *name;
    char *origin, *file; /* what it starts from; where it must arrive */
    ls_config *config;
    ls_engine *engine;
    ls_schedule schedule;
    int64_t step;
    double *params; /* golden starting values, flat as the engine's */
    double worst;   /* largest error, in units of its tolerance */
    char worst_where[96];
} golden;

/* The larger error; a NaN stays. */
static double worse(double a, double b) {
    return isnan(a) || a >= b ? a : b;
}

/* Notes an error, and reports one that is too large; a NaN always is. */
static void check(golden *g, const char *what, double error, double tolerance) {
    double share = error / tolerance;
    if (!isnan(g->worst) && !(share <= g->worst)) {
        g->worst = share;
        snprintf(g->worst_where, sizeof g->worst_where, "%s", what);
    }
    if (!(share <= 1) && ls_comm_rank(g->comm) == 0)
        fprintf(stderr, "golden: %s: %s: error %.3g, tolerance %.3g\n", g->name, what, error,
                tolerance);
}

static double relative(double value, double golden_value) {
    return fabs(value - golden_value) / fabs(golden_value);
}

static ls_status convert(const ls_array_info *info, int64_t count, const void *raw,
                         double *values) {
    for (int64_t i = 0; i < count; i++) {
        if (info->type == LS_TYPE_F32)
            values[i] = ((const float *)raw)[i];
        else if (info->type == LS_TYPE_F64)
            values[i] = ((const double *)raw)[i];
        else if (info->type == LS_TYPE_I64)
            values[i] = (double)((const int64_t *)raw)[i];
        else
            return ls_fail(LS_ERR_BUG, "no conversion from %s", ls_type_name(info->type));
    }
    return LS_OK;
}

/* Collective.  Reads array `name` of `file`, which must have the shape given, as doubles. */
static ls_status read_array(const golden *g, const char *file, const char *name, int ndims,
                            const int64_t *shape, double *values) {
    ls_array *array = NULL;
    void *raw = NULL;
    LS_TRY(ls_array_open(g->comm, file, name, &array));
    const ls_array_info *info = ls_array_describe(array);
    bool same = info->ndims == ndims;
    int64_t count = 1;
    for (int i = 0; same && i < ndims; i++) {
        same = info->shape[i] == shape[i];
        count *= shape[i];
    }
    ls_status status = LS_OK;
    if (!same) {
        status = ls_fail(LS_ERR_BUG, "%s: %s has another shape than the engine's", file, name);
        goto close;
    }
    raw = ls_calloc((size_t)count, ls_type_size(info->type));
    LS_TRY_GOTO(close, raw ? LS_OK : LS_ERR_SYSTEM);
    LS_TRY_GOTO(close, ls_array_read(array, 0, shape[0], raw));
    status = convert(info, count, raw, values);
close:
    ls_free(raw);
    ls_array_close(array);
    return status;
}

static ls_status read_scalar(const golden *g, const char *file, const char *name, double *value) {
    return read_array(g, file, name, 1, (const int64_t[]){1}, value);
}

/* Collective.  Reads the array of `param` below `group`. */
static ls_status read_param(const golden *g, const char *file, const char *group,
                            const ls_param *param, double *values) {
    char *name = ls_format("%s/%s", group, param->name);
    ls_status status =
        name ? read_array(g, file, name, param->ndims, param->shape, values) : LS_ERR_SYSTEM;
    ls_free(name);
    return status;
}

static bool is_statistic(const ls_param *param) {
    return param->role == LS_PARAM_MEAN || param->role == LS_PARAM_VARIANCE;
}

/* Puts the golden starting values in place of the engine's own. */
static ls_status set_params(golden *g) {
    const ls_net *net = ls_engine_net(g->engine);
    LS_TRY(LS_NEW(g->params, ls_net_flat_size(net)));
    for (size_t p = 0; p < ls_net_param_count(net); p++) {
        const ls_param *param = ls_net_param(net, p);
        LS_TRY(read_param(g, g->origin, "params", param, g->params + param->offset));
    }
    float *flat = ls_engine_params(g->engine);
    ls_comm_node_barrier(g->comm);
    if (ls_comm_node_rank(g->comm) == 0)
        for (size_t i = 0; i < ls_net_flat_size(net); i++)
            flat[i] = (float)g->params[i];
    ls_comm_node_barrier(g->comm);
    return LS_OK;
}

/* Compares max |value - decay start - expected| with max |expected|. */
static ls_status check_array(golden *g, const char *file, const char *group, const ls_param *param,
                             const float *value, double decay, double tolerance) {
    const double *start = g->params + param->offset;
    double *expected, largest = 0, error = 0;
    char what[96];
    LS_TRY(LS_NEW(expected, param->count));
    ls_status status = read_param(g, file, group, param, expected);
    for (size_t i = 0; status == LS_OK && i < param->count; i++) {
        error = worse(error, fabs(value[i] - decay * start[i] - expected[i]));
        largest = fmax(largest, fabs(expected[i]));
    }
    snprintf(what, sizeof what, "%s/%s", group, param->name);
    if (status == LS_OK)
        check(g, what, error / largest, tolerance);
    ls_free(expected);
    return status;
}

/* The gradients of the first step: the momentum buffer is then g + weight decay * w. */
static ls_status check_first(golden *g, double loss) {
    const ls_net *net = ls_engine_net(g->engine);
    const ls_train_config *train = &g->config->train;
    double expected;
    LS_TRY(read_scalar(g, g->origin, "first/loss", &expected));
    check(g, "first loss", relative(loss, expected), gradient_tolerance);
    ls_comm_node_barrier(g->comm);
    for (size_t p = 0; p < ls_net_param_count(net); p++) {
        const ls_param *param = ls_net_param(net, p);
        bool decayed = param->role == LS_PARAM_WEIGHT || train->decay_all;
        if (!is_statistic(param) && train->optimizer == LS_OPTIMIZER_SGD)
            LS_TRY(check_array(g, g->origin, "first/gradients", param,
                               ls_engine_state(g->engine, 0) + param->offset,
                               decayed ? train->weight_decay : 0, gradient_tolerance));
    }
    ls_comm_node_barrier(g->comm);
    return LS_OK;
}

static ls_status check_after(golden *g) {
    const ls_net *net = ls_engine_net(g->engine);
    double loss, accuracy, golden_loss, golden_correct;
    ls_comm_node_barrier(g->comm);
    for (size_t p = 0; p < ls_net_param_count(net); p++) {
        const ls_param *param = ls_net_param(net, p);
        LS_TRY(check_array(g, g->file, "after/params", param,
                           ls_engine_params(g->engine) + param->offset, 0, array_tolerance));
    }
    LS_TRY(read_scalar(g, g->file, "after/loss", &golden_loss));
    LS_TRY(read_scalar(g, g->file, "after/correct", &golden_correct));
    LS_TRY(ls_engine_evaluate(g->engine, LS_SPLIT_TEST, 0, &loss, &accuracy));
    check(g, "evaluation loss", relative(loss, golden_loss), loss_tolerance);
    if (g->config->model.loss == LS_LOSS_CROSS_ENTROPY) {
        double samples = (double)ls_data_count(ls_engine_train_data(g->engine));
        check(g, "evaluation correct", fabs(accuracy * samples - golden_correct), 1e-6);
    }
    return LS_OK;
}

static ls_decision scheduled(void *context, const ls_step_report *report) {
    const golden *g = context;
    (void)report;
    return (ls_decision){.lr = ls_schedule_lr(&g->schedule, g->step),
                         .momentum = ls_schedule_momentum(&g->schedule, g->step)};
}

static ls_status run_steps(golden *g, int64_t steps) {
    double losses[MOST_STEPS], worst = 0;
    int64_t per_epoch = ls_engine_steps_per_epoch(g->engine);
    LS_TRY(ls_train_schedule(g->config, g->config->train.lr, per_epoch, &g->schedule));
    LS_TRY(read_array(g, g->file, "losses", 1, &steps, losses));
    for (g->step = 0; g->step < steps; g->step++) {
        ls_decision decision;
        ls_step_report report;
        LS_TRY(ls_engine_step(g->engine, g->step / per_epoch, g->step % per_epoch, scheduled, g,
                              &decision, &report));
        if (g->step == 0)
            LS_TRY(check_first(g, report.loss));
        worst = worse(worst, relative(report.loss, losses[g->step]));
    }
    check(g, "losses of all steps", worst, loss_tolerance);
    return check_after(g);
}

static ls_status run_case(ls_comm *comm, const char *folder, const golden_case *it, const char *isa,
                          bool *good) {
    golden g = {.comm = comm, .name = it->name};
    char *yaml = ls_format("%s/%s.yaml", folder, it->name), *text = NULL, *set = NULL;
    char *pinned = ls_format("compute.isa=%s", isa);
    g.origin = ls_format("%s/%s.h5", folder, it->origin);
    g.file = ls_format("%s/%s.h5", folder, it->name);
    set = ls_format("data.file=%s", g.origin);
    ls_status status = yaml && g.origin && g.file && set && pinned ? LS_OK : LS_ERR_SYSTEM;
    LS_TRY_GOTO(clean, status);
    LS_TRY_GOTO(clean, ls_config_load(yaml, &text));
    LS_TRY_GOTO(clean,
                ls_config_parse(yaml, text, (const char *const[]){set, pinned}, 2, &g.config));
    LS_TRY_GOTO(clean, ls_engine_create(comm, g.config, yaml, true, &g.engine));
    LS_TRY_GOTO(clean, set_params(&g));
    LS_TRY_GOTO(clean, run_steps(&g, it->steps));
    *good = *good && g.worst <= 1;
    if (ls_comm_rank(comm) == 0)
        fprintf(stderr, "golden: %s: largest error %.2g of the tolerance, %s\n", it->name, g.worst,
                g.worst_where);
clean:
    ls_free(g.params);
    ls_engine_free(g.engine);
    ls_config_free(g.config);
    ls_free(text);
    ls_free(set);
    ls_free(pinned);
    ls_free(g.file);
    ls_free(g.origin);
    ls_free(yaml);
    return status;
}

int main(int argc, char **argv) {
    const char *folder = argc > 1 ? argv[1] : "tests/golden", *only = argc > 2 ? argv[2] : NULL;
    const char *isa = argc > 3 ? argv[3] : "auto";
    ls_comm *comm = start_mpi(&argc, &argv);
    bool good = true;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (only && strcmp(cases[i].name, only) != 0)
            continue;
        CHECK(comm, run_case(comm, folder, &cases[i], isa, &good) == LS_OK);
    }
    end_mpi(comm);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
