// Two halves of a program's ranks train two networks at the same time, each on a communicator of
// its own.  Compile with mpicxx and what `pkg-config --cflags --libs lockstep` says.
// Usage: mpirun -n RANKS halves DATA.h5 FOLDER FOLDER
#include <cstdio>
#include <lockstep/lockstep.h>
#include <lockstep/mpi.h>
#include <memory>
#include <stdexcept>
#include <string>

static void check(ls_status status) {
    if (status != LS_OK)
        throw std::runtime_error(ls_message());
}

struct free_lockstep {
    void operator()(ls_comm *comm) const { ls_comm_free(comm); }
    void operator()(ls_config *config) const { ls_config_free(config); }
    void operator()(ls_engine *engine) const { ls_engine_free(engine); }
};
template <typename T> using owner = std::unique_ptr<T, free_lockstep>;

static owner<ls_comm> half_of_the_ranks(int half, int rank) {
    MPI_Comm mpi;
    ls_comm *comm = nullptr;
    MPI_Comm_split(MPI_COMM_WORLD, half, rank, &mpi);
    check(ls_comm_create(mpi, &comm));
    MPI_Comm_free(&mpi); // lockstep has a duplicate
    return owner<ls_comm>(comm);
}

static owner<ls_config> configuration(const std::string &file, int half) {
    const std::string units = half ? "24" : "16";
    const std::string yaml = "data: {file: '" + file + "', test_inputs: none}\n"
                             "seed: 7\n"
                             "batch: {size: 40, slices: 8}\n"
                             "train: {lr: 0.05, epochs: 3}\n"
                             "checkpoint: {every_epochs: 0}\n"
                             "model: {layers: [dense: {units: " + units + "}, relu, dense: {units: 3}]}\n";
    ls_config *config = nullptr;
    check(ls_config_create(yaml.c_str(), &config));
    owner<ls_config> made(config);
    check(ls_config_set(config, "schedule.kind", "constant"));
    return made;
}

static void train(int half, int rank, const std::string &file, const std::string &folder) {
    const owner<ls_comm> comm = half_of_the_ranks(half, rank);
    const owner<ls_config> config = configuration(file, half);
    ls_engine *made = nullptr;
    check(ls_engine_create(comm.get(), config.get(), "halves", false, &made));
    const owner<ls_engine> engine(made);
    ls_train_job job = {};
    ls_train_result result;
    job.folder = folder.c_str();
    check(ls_train(engine.get(), &job, &result));
    if (ls_comm_rank(comm.get()) == 0)
        std::printf("half %d: %lld steps, digest %s\n", half, (long long)result.steps, result.digest);
}

int main(int argc, char **argv) {
    int rank, code = 0;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    try {
        if (argc != 4)
            throw std::runtime_error("usage: halves DATA.h5 FOLDER FOLDER");
        train(rank % 2, rank, argv[1], argv[2 + rank % 2]);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "halves: %s (rank %d)\n", error.what(), rank);
        code = 1;
    }
    MPI_Finalize();
    return code;
}
