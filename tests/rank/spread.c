/* Inputs that are spread over nodes, or streamed there: ranks of one host taken for nodes of 1, 2
 * or 3 ranks.  The same samples, moments and bits of training as with all inputs on each node,
 * however they are stored, in any order, with buffers from two samples up, when ranks stop in the
 * middle, and when one takes nothing. */
#include "comm/comm.h"
#include "data/shares.h"
#include "rank/engine.h"

enum { BATCH = 7, TURNS = 20, MOST_CHANNELS = 3 };

/* ---- how inputs are stored ------------------------------------------------------------------ */

typedef struct stored {
    const char *inputs; /* datasets, a line each */
    ls_data_layout layout;
    size_t bytes;    /* of a sample */
    const char *set; /* the same as keys */
} stored;

#define LAST(test, train)                                                                          \
    "data.layout=channels_last data.train_inputs=" train " data.test_inputs=" test

static const stored forms[] = {
    {"train/inputs", LS_CHANNELS_FIRST, PIXELS, ""},
    {"train/double", LS_CHANNELS_FIRST, PIXELS * sizeof(double),
     "data.train_inputs=train/double data.test_inputs=test/double"},
    {"train/two", LS_CHANNELS_LAST, 2 * PIXELS * sizeof(double), LAST("test/two", "train/two")},
    {"train/two\ntrain/one", LS_CHANNELS_LAST, 3 * PIXELS * sizeof(double),
     LAST("[test/two,test/one]", "[train/two,train/one]")},
};
enum { FORMS = sizeof forms / sizeof *forms };

/* Values that float32 would confuse. */
static ls_status write_doubles(ls_dataset_writer *writer, const char *split, int number) {
    static uint8_t inputs[SAMPLES * PIXELS], targets[SAMPLES];
    static double values[SAMPLES * PIXELS * 2];
    const ls_array_info first = {LS_TYPE_F64, 4, {0, 1, SIDE, SIDE}};
    const ls_array_info one = {LS_TYPE_F64, 4, {0, SIDE, SIDE, 1}};
    const ls_array_info two = {LS_TYPE_F64, 4, {0, SIDE, SIDE, 2}};
    make_split(number, inputs, targets);
    for (int i = 0; i < SAMPLES * PIXELS * 2; i++)
        values[i] = 1e9 + inputs[i / 2] * (i % 2 + 1);
    LS_TRY(bench_write_array(writer, split, "double", &first, SAMPLES, values));
    LS_TRY(bench_write_array(writer, split, "one", &one, SAMPLES, values + SAMPLES * PIXELS));
    return bench_write_array(writer, split, "two", &two, SAMPLES, values);
}

static ls_status write_forms(ls_dataset_writer *writer, const char *split, int number) {
    LS_TRY(write_split(writer, split, number));
    return write_doubles(writer, split, number);
}

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
    float here[MOST_CHANNELS * PIXELS] = {0}, there[MOST_CHANNELS * PIXELS] = {0};
    ls_normalization none;
    CHECK(comm, ls_normalization_identity(MOST_CHANNELS, &none) == LS_OK);
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

/* Each sample is taken by one rank, once. */
static void check_moments(ls_comm *comm, const ls_data *node, const ls_data *spread,
                          const stored *form) {
    ls_normalization here, there;
    const uint64_t before = ls_data_traffic_now(spread).bytes_used;
    CHECK(comm, ls_normalization_measure(comm, node, &here) == LS_OK);
    CHECK(comm, ls_normalization_measure(comm, spread, &there) == LS_OK);
    CHECK(comm, memcmp(here.mean, there.mean, 2 * sizeof(double) * (size_t)here.channels) == 0);
    int64_t used = (int64_t)(ls_data_traffic_now(spread).bytes_used - before);
    CHECK(comm, ls_comm_sum_int64(comm, &used, 1) == LS_OK);
    CHECK(comm, used == ls_data_count(spread) * (int64_t)form->bytes);
    ls_normalization_free(&here);
    ls_normalization_free(&there);
}

/* ---- splits --------------------------------------------------------------------------------- */

static ls_data *open_split(const bench *b, const stored *form, ls_residence residence,
                           double buffer) {
    const ls_store store = {residence, buffer, 1};
    const ls_form how = {.layout = form->layout};
    ls_data *data;
    ls_files *files;
    CHECK(b->comm, ls_files_find(b->comm, b->file, &files) == LS_OK);
    CHECK(b->comm, ls_data_open(b->comm, files, form->inputs, "train/targets", 0, &how, &store,
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
static void check_split(const bench *b, const stored *form, ls_residence residence, int samples,
                        bool hold_out) {
    ls_comm *comm = b->comm;
    ls_data *node = open_split(b, form, LS_RESIDENCE_NODE, NAN), *node_held = NULL, *held = NULL;
    int64_t most = -ls_comm_node_size(comm);
    CHECK(comm, ls_comm_min_int64(comm, &most) == LS_OK);
    const double buffer = (double)samples * (double)form->bytes * (double)-most;
    ls_data *other = open_split(b, form, residence, buffer);
    const double share = residence == LS_RESIDENCE_SPREAD ? 1.0 / ls_comm_node_count(comm) : 0;
    CHECK(comm, fabs(ls_data_share(other) - share) * SAMPLES < 1);
    if (hold_out) {
        CHECK(comm, ls_data_hold_out(node, 0.3, 3, &node_held) == LS_OK);
        CHECK(comm, ls_data_hold_out(other, 0.3, 3, &held) == LS_OK);
    }
    check_identity(comm, node, other);
    check_moments(comm, node, other, form);
    check_orders(comm, node, other);
    if (hold_out) {
        check_orders(comm, node_held, held);
        check_moments(comm, node, other, form);
        check_orders(comm, node_held, held);
    }
    ls_data_close(held);
    ls_data_close(node_held);
    ls_data_close(other);
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
    static const char *const residences[] = {"node", "spread", "stream"};
    char here[LS_DIGEST_TEXT], there[LS_DIGEST_TEXT];
    double loss[2][3];
    for (int i = 0; i < 3; i++) {
        char *set = ls_format("data.residence=%s batch.slices=8 %s", residences[i], more);
        char *held = ls_format("%s data.validation=0.2", set);
        train_new(b, set, i ? there : here);
        evaluate(b, held, loss[i > 0]);
        ls_free(held);
        ls_free(set);
        CHECK(b->comm, i == 0 || same_digest(b, here, there));
        CHECK(b->comm, i == 0 || memcmp(loss[0], loss[1], sizeof loss[0]) == 0);
    }
}

static void check_nodes(const bench *b) {
    check_refusal(b);
    check_split(b, &forms[0], LS_RESIDENCE_SPREAD, 2, false);
    check_split(b, &forms[0], LS_RESIDENCE_SPREAD, 16, true);
    check_split(b, &forms[0], LS_RESIDENCE_SPREAD, 1000, true);
    for (int i = 1; i < FORMS; i++)
        check_split(b, &forms[i], LS_RESIDENCE_SPREAD, 16, i == FORMS - 1);
    check_split(b, &forms[FORMS - 1], LS_RESIDENCE_STREAM, 100000, false);
    check_training(b, forms[0].set);
    check_training(b, forms[FORMS - 1].set);
    check_training(b, "data.shuffle=window data.shuffle_chunk=4 data.shuffle_window=2");
}

int main(int argc, char **argv) {
    ls_comm *world = start_mpi(&argc, &argv);
    for (int64_t samples = 1; samples < 40; samples++)
        for (int64_t block = 1; block < 9; block++)
            for (int nodes = 1; nodes < 6; nodes++)
                check_shares(world, samples, block, nodes);
    /* 0: one node.  As many as there are, or more, are that too. */
    for (int ranks = 0; ranks <= 3 && ranks < ls_comm_size(world); ranks++) {
        bench b = {0};
        CHECK(world, ls_comm_create_with(MPI_COMM_WORLD, ranks, &b.comm) == LS_OK);
        bench_set_up(&b, write_forms);
        check_nodes(&b);
        bench_tear_down(&b);
        ls_comm_free(b.comm);
    }
    end_mpi(world);
    return 0;
}
