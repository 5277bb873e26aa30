/* Inputs that are spread over nodes: ranks of one host taken for nodes of 1, 2 or 3 ranks.  The
 * same samples, moments and bits of training as with all inputs on each node, in any order, with
 * buffers from two samples up, when ranks stop in the middle, and when one takes nothing. */
#include "comm/comm.h"
#include "data/shares.h"
#include "rank/engine.h"

enum { BATCH = 7, TURNS = 25 };

/* ---- who has what --------------------------------------------------------------------------- */

static void check_shares(ls_comm *comm, int64_t samples, int64_t block, int nodes) {
    const ls_shares shares = {samples, block, nodes};
    int64_t all = 0, run, place;
    for (int node = 0; node < nodes; node++) {
        const int64_t count = ls_shares_count(&shares, node);
        CHECK(comm, count >= samples / nodes && count <= samples / nodes + 1);
        all += count;
        for (int64_t at = 0; at < count; at += run) {
            const int64_t sample = ls_shares_sample(&shares, node, at, &run);
            CHECK(comm, run >= 1 && run <= block && at + run <= count);
            for (int64_t i = 0; i < run; i++) {
                CHECK(comm, ls_shares_find(&shares, sample + i, &place) == node);
                CHECK(comm, place == at + i);
            }
        }
    }
    CHECK(comm, all == samples);
}

/* ---- turns ---------------------------------------------------------------------------------- */

typedef struct order {
    int64_t samples;
    bool shuffled;
} order;

/* Some ranks have no samples in some turns, and some more than others. */
static int64_t ids_of(const void *context, int64_t what, int rank, int64_t turn, uint64_t *out) {
    const order *o = context;
    const int64_t count = (rank + turn) % (BATCH + 1);
    for (int64_t i = 0; i < count; i++) {
        const int64_t place = (turn * BATCH + i + what + rank * 31) % o->samples;
        out[i] = o->shuffled ? ls_order(7, (uint32_t)turn, (uint64_t)o->samples, (uint64_t)place)
                             : (uint64_t)place;
    }
    return count;
}

/* `taken`: samples at most, of each turn. */
static void check_turn(ls_comm *comm, const ls_data *node, const ls_data *spread,
                       const ls_turns *turns, int64_t turn, int64_t taken) {
    uint64_t ids[BATCH];
    float here[PIXELS], there[PIXELS];
    ls_normalization none;
    CHECK(comm, ls_normalization_identity(1, &none) == LS_OK);
    CHECK(comm, ls_data_begin(spread, turns, turn) == LS_OK);
    const int64_t number = turns->period > 0 ? turn % turns->period : turn;
    int64_t count = ids_of(turns->context, turns->what, ls_comm_rank(comm), number, ids);
    count = count < taken ? count : taken;
    for (int64_t i = 0; i < count; i++) {
        CHECK(comm, ls_data_inputs(node, &none, &ids[i], 1, here) == LS_OK);
        CHECK(comm, ls_data_inputs(spread, &none, &ids[i], 1, there) == LS_OK);
        CHECK(comm, memcmp(here, there, sizeof here) == 0);
    }
    ls_data_poll(spread);
    ls_normalization_free(&none);
}

static void check_orders(ls_comm *comm, const ls_data *node, const ls_data *spread) {
    const int last = ls_comm_size(comm) - 1;
    const order orders[] = {{ls_data_count(node), false}, {ls_data_count(node), true}};
    for (int i = 0; i < 4; i++) {
        ls_turns turns = {ids_of, &orders[i % 2], i, BATCH, i > 1 ? 9 : 0};
        for (int64_t turn = 3; turn < TURNS; turn++)
            check_turn(comm, node, spread, &turns, i > 1 ? turn % 9 : turn, BATCH);
        turns.what = 100;                            /* starts anew */
        for (int64_t turn = 0; turn < TURNS; turn++) /* one takes nothing, one a part */
            check_turn(comm, node, spread, &turns, i > 1 ? turn % 9 : turn,
                       ls_comm_rank(comm) == last ? 0
                       : ls_comm_rank(comm) == 0  ? 2
                                                  : BATCH);
    }
    CHECK(comm, ls_data_end(spread) == LS_OK);
}

static void check_moments(ls_comm *comm, const ls_data *node, const ls_data *spread) {
    ls_normalization here, there;
    CHECK(comm, ls_normalization_measure(comm, node, &here) == LS_OK);
    CHECK(comm, ls_normalization_measure(comm, spread, &there) == LS_OK);
    CHECK(comm, memcmp(here.mean, there.mean, 2 * sizeof(double)) == 0);
    ls_normalization_free(&here);
    ls_normalization_free(&there);
}

/* ---- splits --------------------------------------------------------------------------------- */

static ls_data *open_split(const bench *b, ls_residence residence, double buffer) {
    const ls_store store = {residence, buffer, 1};
    ls_data *data;
    ls_files *files;
    CHECK(b->comm, ls_files_find(b->comm, b->file, &files) == LS_OK);
    CHECK(b->comm, ls_data_open(b->comm, files, "train/inputs", "train/targets", 0, NULL, &store,
                                &data) == LS_OK);
    CHECK(b->comm, ls_data_residence(data) == residence);
    ls_files_free(files);
    return data;
}

static void check_identity(ls_comm *comm, ls_data *node, ls_data *spread) {
    ls_text here = {0}, there = {0};
    CHECK(comm, ls_data_identify(spread) == LS_OK);
    CHECK(comm, ls_data_identity(node, &here) == LS_OK);
    CHECK(comm, ls_data_identity(spread, &there) == LS_OK);
    CHECK(comm, strcmp(here.data, there.data) == 0);
    ls_text_free(&there);
    ls_text_free(&here);
}

/* `samples`: of the buffer of a rank, of the node that has most. */
static void check_split(const bench *b, int samples, bool hold_out) {
    ls_comm *comm = b->comm;
    ls_data *node = open_split(b, LS_RESIDENCE_NODE, NAN), *node_held = NULL;
    int64_t most = -ls_comm_node_size(comm);
    CHECK(comm, ls_comm_min_int64(comm, &most) == LS_OK);
    ls_data *spread = open_split(b, LS_RESIDENCE_SPREAD, (double)(samples * PIXELS * -most));
    ls_data *held = NULL;
    CHECK(comm, fabs(ls_data_share(spread) - 1.0 / ls_comm_node_count(comm)) * SAMPLES < 1);
    if (hold_out) {
        CHECK(comm, ls_data_hold_out(node, 0.3, 3, &node_held) == LS_OK);
        CHECK(comm, ls_data_hold_out(spread, 0.3, 3, &held) == LS_OK);
    }
    check_identity(comm, node, spread);
    check_moments(comm, node, spread);
    check_orders(comm, node, spread);
    if (hold_out) {
        check_orders(comm, node_held, held);
        check_moments(comm, node, spread);
        check_orders(comm, node_held, held);
    }
    ls_data_close(held);
    ls_data_close(node_held);
    ls_data_close(spread);
    ls_data_close(node);
}

static void check_refusal(const bench *b) {
    const ls_store store = {LS_RESIDENCE_SPREAD, 1, 1};
    ls_data *data;
    ls_files *files;
    CHECK(b->comm, ls_files_find(b->comm, b->file, &files) == LS_OK);
    CHECK(b->comm, ls_data_open(b->comm, files, "train/inputs", "train/targets", 0, NULL, &store,
                                &data) == LS_ERR_INPUT);
    CHECK(b->comm, strstr(ls_message(), "expected data.buffer"));
    ls_message_set("");
    ls_files_free(files);
}

/* ---- training ------------------------------------------------------------------------------- */

static void evaluate(const bench *b, const char *set, double *loss) {
    ls_config *config;
    double accuracy;
    ls_engine *engine = open_engine(b, set, &config);
    CHECK(b->comm, ls_engine_evaluate(engine, LS_SPLIT_TEST, 0, &loss[0], &accuracy) == LS_OK);
    CHECK(b->comm, ls_engine_evaluate(engine, LS_SPLIT_TEST, 21, &loss[1], &accuracy) == LS_OK);
    CHECK(b->comm,
          ls_engine_evaluate(engine, LS_SPLIT_VALIDATION, 0, &loss[2], &accuracy) == LS_OK);
    close_engine(engine, config);
}

static void check_training(const bench *b, const char *more) {
    char here[LS_DIGEST_TEXT], there[LS_DIGEST_TEXT];
    double loss[2][3];
    for (int i = 0; i < 2; i++) {
        char *set = ls_format("data.residence=%s %s", i ? "spread" : "node", more);
        char *held = ls_format("%s data.validation=0.2", set);
        train_new(b, set, i ? there : here);
        evaluate(b, held, loss[i]);
        ls_free(held);
        ls_free(set);
    }
    CHECK(b->comm, same_digest(b, here, there));
    CHECK(b->comm, memcmp(loss[0], loss[1], sizeof loss[0]) == 0);
}

static void check_nodes(const bench *b) {
    check_refusal(b);
    check_split(b, 2, false);
    check_split(b, 16, true);
    check_split(b, 1000, true);
    check_training(b, "batch.slices=8");
    check_training(b,
                   "batch.slices=8 data.shuffle=window data.shuffle_chunk=4 data.shuffle_window=2");
}

int main(int argc, char **argv) {
    ls_comm *world = start_mpi(&argc, &argv);
    for (int64_t samples = 1; samples < 40; samples++)
        for (int64_t block = 1; block < 9; block++)
            for (int nodes = 1; nodes < 6; nodes++)
                check_shares(world, samples, block, nodes);
    for (int ranks = 0; ranks <= 3; ranks++) {
        bench b = {0};
        CHECK(world, ls_comm_create_with(MPI_COMM_WORLD, ranks, &b.comm) == LS_OK);
        bench_set_up(&b, write_split);
        check_nodes(&b);
        bench_tear_down(&b);
        ls_comm_free(b.comm);
    }
    end_mpi(world);
    return 0;
}
