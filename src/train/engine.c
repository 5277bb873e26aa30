/* The engine: builds the network and the parts of a step. */
#include "train/engine.h"
#include "train/splits.h"
#include "train/warm_start.h"

static ls_status set_up_augment(ls_engine *engine) {
    const ls_augment_config *config = &engine->config->augment;
    const ls_normalization *norm = &engine->norm;
    const float zero = engine->train ? (float)ls_data_zero(engine->train) : 0;
    engine->augment = (ls_augment){
        .crop_padding = config->crop_padding, .flip = config->flip, .cutout = config->cutout};
    LS_TRY(ls_augment_check(&engine->augment, &engine->shape));
    LS_TRY(LS_NEW(engine->background, (size_t)norm->channels));
    for (int64_t c = 0; c < norm->channels; c++)
        engine->background[c] = (zero - (float)norm->mean[c]) / (float)norm->deviation[c];
    return LS_OK;
}

/* What the configuration wants, or float32 where the CPU, the same on all ranks, does not have it.
 */
static void choose_type(ls_engine *engine) {
    engine->type = engine->config->compute.type;
    if (ls_compute_has(engine->type))
        return;
    if (ls_comm_rank(engine->comm) == 0)
        ls_warn("compute.type: the instruction set in force, %s, has no %s: computing in float32",
                ls_compute_isa(), ls_compute_type_name(engine->type));
    engine->type = LS_COMPUTE_FLOAT32;
}

static ls_status build_net(ls_engine *engine, const char *name) {
    ls_status status = ls_net_create(&engine->config->model, &engine->shape, engine->outputs,
                                     engine->type, &engine->net);
    if (status == LS_ERR_INPUT && name) {
        char *message = ls_format("%s: %s", name, ls_message());
        if (message)
            ls_message_set(message);
        ls_free(message);
    }
    return ls_comm_agree(engine->comm, ls_memory_for(status, "the network of model.layers"));
}

/* Samples, in training or evaluation. */
static size_t longest_batch(const ls_engine *engine) {
    int64_t train = engine->train ? ls_data_count(engine->train) : 0;
    int64_t test = engine->test ? ls_data_count(engine->test) : 0;
    int64_t validation = engine->validation ? ls_data_count(engine->validation) : 0;
    int64_t most = train > test ? train : test, size = engine->config->batch.size;
    most = most > validation ? most : validation;
    return (size_t)(size < most ? size : most);
}

static ls_status make_step(ls_engine *engine) {
    LS_TRY(ls_batches_create(longest_batch(engine), &engine->batches));
    return ls_control_create(engine->comm, engine->net, engine->slices, &engine->control);
}

static ls_status make_sums(ls_engine *engine) {
    const ls_config *config = engine->config;
    LS_TRY(ls_quantizer_create(engine->comm, engine->net, config->exchange_sum, engine->slices,
                               &engine->quantizer));
    return ls_exchange_create(engine->comm, config->exchange, engine->quantizer->addend,
                              ls_net_trained_size(engine->net), &engine->exchange);
}

/* From the network to what a step needs. */
static ls_status make_parts(ls_engine *engine) {
    const ls_config *config = engine->config;
    LS_TRY(ls_weights_create(engine->comm, engine->net, ls_optimizer_of(config->train.optimizer),
                             engine->type, (uint64_t)config->seed, &engine->weights));
    LS_TRY(ls_comm_agree(engine->comm, ls_memory_for(make_sums(engine), "the gradient sums")));
    LS_TRY(ls_updater_create(engine->comm, &config->train, engine->weights, engine->quantizer,
                             engine->exchange, &engine->updater));
    return ls_comm_agree(engine->comm, ls_memory_for(make_step(engine), "the losses of a step"));
}

static ls_status check_ranks(const ls_engine *engine) {
    int ranks = ls_comm_size(engine->comm);
    if (ranks <= engine->slices)
        return LS_OK;
    return ls_fail(LS_ERR_INPUT,
                   "%d ranks, but batch.slices is %d: use at most %d ranks, or more slices", ranks,
                   engine->slices, engine->slices);
}

/* `more`: a test split too; or, of a model, the targets of the test split. */
static ls_status set_up(ls_engine *engine, const char *name, bool more) {
    const ls_config *config = engine->config;
    LS_TRY(check_ranks(engine));
    LS_TRY(ls_comm_watch(engine->comm, config->stall_seconds));
    ls_status status = ls_compute_init((int)config->compute.threads, config->compute.isa);
    LS_TRY(ls_comm_agree(engine->comm, status));
    LS_TRY(ls_comm_same(engine->comm, "the instruction set (pin one with compute.isa)",
                        ls_compute_isa()));
    choose_type(engine);
    LS_TRY(engine->checkpoint ? ls_splits_open_model(engine, more) : ls_splits_open(engine, more));
    LS_TRY(ls_comm_agree(engine->comm, set_up_augment(engine)));
    LS_TRY(build_net(engine, name));
    ls_net_weigh_classes(engine->net, engine->class_weights);
    if (engine->train)
        engine->steps_per_epoch =
            ls_batch_count(&config->batch, engine->net, ls_data_count(engine->train));
    LS_TRY(make_parts(engine));
    LS_TRY(ls_warm_start(engine));
    ls_engine_params_changed(engine);
    return LS_OK;
}

static ls_status create(ls_comm *comm, const ls_config *config, const ls_sources *sources,
                        const char *name, const char *checkpoint, bool more, ls_engine **engine) {
    ls_engine *made = NULL;
    LS_TRY(ls_comm_agree(comm, LS_NEW(made, 1)));
    made->comm = comm;
    made->config = config;
    made->sources = sources;
    made->checkpoint = checkpoint;
    made->slices = (int)config->batch.slices;
    ls_slice_range(made->slices, ls_comm_size(comm), ls_comm_rank(comm), &made->first_slice,
                   &made->end_slice);
    ls_status status = set_up(made, name, more);
    if (status == LS_OK && checkpoint)
        status = ls_engine_load(made, checkpoint);
    if (status != LS_OK) {
        ls_engine_free(made);
        return status;
    }
    made->sources = NULL;
    *engine = made;
    return LS_OK;
}

ls_status ls_engine_create(ls_comm *comm, const ls_config *config, const char *name, bool with_test,
                           ls_engine **engine) {
    return create(comm, config, NULL, name, NULL, with_test, engine);
}

ls_status ls_engine_create_from(ls_comm *comm, const ls_config *config, const ls_data_source *train,
                                const ls_data_source *validation, const ls_data_source *test,
                                ls_engine **engine) {
    const ls_sources sources = {train, validation, test};
    LS_REQUIRE(train != NULL);
    return create(comm, config, &sources, NULL, NULL, true, engine);
}

ls_status ls_engine_open(ls_comm *comm, const ls_config *config, const char *checkpoint,
                         bool with_targets, ls_engine **engine) {
    return create(comm, config, NULL, checkpoint, checkpoint, with_targets, engine);
}

void ls_engine_free(ls_engine *engine) {
    if (engine == NULL)
        return;
    ls_plan_free(engine->own_plan);
    ls_control_free(engine->control);
    ls_batches_free(engine->batches);
    ls_updater_free(engine->updater);
    ls_quantizer_free(engine->quantizer);
    ls_exchange_free(engine->exchange);
    ls_weights_free(engine->weights);
    ls_net_free(engine->net);
    ls_free(engine->background);
    ls_normalization_free(&engine->target_norm);
    ls_normalization_free(&engine->norm);
    ls_free(engine->constant);
    ls_free(engine->class_weights);
    ls_data_close(engine->test);
    ls_data_close(engine->validation);
    ls_data_close(engine->train);
    ls_free(engine->data_name);
    ls_free(engine);
}

const ls_net *ls_engine_net(const ls_engine *engine) {
    return engine->net;
}

const ls_data *ls_engine_train_data(const ls_engine *engine) {
    return engine->train;
}

bool ls_engine_has_classes(const ls_engine *engine) {
    return engine->classes;
}

const ls_normalization *ls_engine_normalization(const ls_engine *engine) {
    return &engine->norm;
}

int64_t ls_engine_steps_per_epoch(const ls_engine *engine) {
    return engine->steps_per_epoch;
}

ls_run_facts ls_engine_facts(const ls_engine *engine) {
    return (ls_run_facts){.config = engine->config,
                          .type = engine->type,
                          .steps_per_epoch = engine->steps_per_epoch,
                          .inputs = &engine->norm,
                          .targets = engine->classes ? NULL : &engine->target_norm};
}

float *ls_engine_params(ls_engine *engine) {
    return engine->weights->params;
}

const ls_optimizer *ls_engine_optimizer(const ls_engine *engine) {
    return engine->weights->optimizer;
}

float *ls_engine_state(ls_engine *engine, int state) {
    return engine->weights->states[state];
}

void ls_engine_params_changed(ls_engine *engine) {
    ls_weights_changed(engine->weights);
}

ls_engine_memory ls_engine_memory_now(const ls_engine *engine) {
    ls_engine_memory memory = {.data = ls_data_bytes(engine->train),
                               .weights = ls_shared_bytes(engine->weights->memory),
                               .network = ls_net_memory(engine->net)};
    if (engine->validation)
        memory.data += ls_data_bytes(engine->validation);
    if (engine->test)
        memory.data += ls_data_bytes(engine->test);
    ls_exchange_memory(engine->exchange, &memory.gradients, &memory.own_gradients);
    return memory;
}

void ls_engine_record(ls_engine *engine, ls_recorder *recorder, int64_t skip, int64_t steps) {
    engine->recorder = recorder;
    engine->record_skip = skip;
    engine->record_steps = steps;
}

void ls_engine_request_stop(ls_engine *engine) {
    engine->control->stop_requested = true;
}
