/* Training inside a program that has MPI, data in memory, and a loop of its own: a step of
 * lockstep's in each turn.  With a folder the learning rate is found first, by a range test that
 * writes its curve there.
 * Compile with mpicc and what `pkg-config --cflags --libs lockstep` says.
 * Usage: mpirun -n RANKS own_loop [FOLDER] */
#include <lockstep/lockstep.h>
#include <lockstep/mpi.h>
#include <stdio.h>

enum { EPOCHS = 3 };

/* On rank 0, once the loss of the whole batch is known: the learning rate of this step. */
static ls_decision decide(void *context, const ls_step_report *report) {
    const double *lr = context;
    (void)report;
    return (ls_decision){.lr = *lr, .momentum = 0.9};
}

/* By a range test, which leaves the engine as it was.  *lr stays where the curve supports none. */
static ls_status find_lr(ls_engine *engine, const char *folder, double *lr) {
    const ls_find_lr_job job = {.folder = folder};
    ls_find_lr_result result;
    ls_status status = ls_find_lr(engine, &job, &result);
    if (status != LS_OK)
        return status;
    const ls_suggestion *recommended = &result.suggestions[LS_SUGGEST_RECOMMENDED];
    if (recommended->found)
        *lr = recommended->value;
    else
        fprintf(stderr, "no learning rate is recommended: %s\n", recommended->reason);
    return LS_OK;
}

static ls_status train(ls_engine *engine, double lr) {
    const int64_t per_epoch = ls_engine_steps_per_epoch(engine);
    ls_step_report report = {0};
    for (int64_t turn = 0; turn < EPOCHS * per_epoch; turn++) {
        ls_decision decision;
        /* ... the program's own work ... */
        ls_status status = ls_engine_step(engine, turn / per_epoch, turn % per_epoch, decide, &lr,
                                          &decision, &report);
        if (status != LS_OK)
            return status;
    }
    return LS_OK;
}

/* What the program has in its memory; here, points of three classes. */
enum { POINTS = 210 };

static ls_data_source points(void) {
    static float coordinates[POINTS][2];
    static int32_t classes[POINTS];
    for (int i = 0; i < POINTS; i++) {
        classes[i] = i % 3;
        coordinates[i][0] = (float)(i * 37 % 101 + 60 * classes[i]);
        coordinates[i][1] = (float)(i * 53 % 89);
    }
    return (ls_data_source){.name = "points",
                            .count = POINTS,
                            .shape = {.ndims = 1, .size = {2}},
                            .type = LS_TYPE_F32,
                            .targets = 1,
                            .target_type = LS_TYPE_I32,
                            .inputs_array = coordinates,
                            .targets_array = classes};
}

static ls_status run(ls_comm *comm, const char *folder) {
    static const char *const yaml = "data: {file: none}\n"
                                    "batch: {size: 40, slices: 8}\n"
                                    "model:\n"
                                    "  layers: [dense: {units: 16}, relu, dense: {units: 3}]\n";
    const ls_data_source train_points = points();
    char digest[LS_DIGEST_TEXT];
    float probabilities[3];
    double lr = 0.05;
    ls_config *config = NULL;
    ls_engine *engine = NULL;
    ls_status status = ls_config_create(yaml, &config);
    if (status == LS_OK)
        status = ls_config_set(config, "seed", "7");
    if (status == LS_OK)
        status = ls_engine_create_from(comm, config, &train_points, NULL, NULL, &engine);
    if (status == LS_OK && folder)
        status = find_lr(engine, folder, &lr);
    if (status == LS_OK)
        status = train(engine, lr);
    if (status == LS_OK)
        status = ls_engine_digest(engine, digest);
    if (status == LS_OK) /* by each rank for itself */
        status = ls_engine_predict_batch(engine, 1, LS_TYPE_F32, train_points.inputs_array,
                                         probabilities);
    if (status == LS_OK && ls_comm_rank(comm) == 0)
        printf("learning rate %.4f\ndigest %s\nfirst point: class 0 with probability %.3f\n", lr,
               digest, (double)probabilities[0]);
    ls_engine_free(engine);
    ls_config_free(config);
    return status;
}

int main(int argc, char **argv) {
    ls_comm *comm = NULL;
    MPI_Init(&argc, &argv);
    ls_status status = ls_comm_create(MPI_COMM_WORLD, &comm);
    if (status == LS_OK)
        status = run(comm, argc > 1 ? argv[1] : NULL);
    if (status != LS_OK)
        fprintf(stderr, "own_loop: %s\n", ls_message());
    ls_comm_free(comm);
    MPI_Finalize();
    return ls_exit_code(status);
}
