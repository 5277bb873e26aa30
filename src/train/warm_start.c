/* Fine-tuning: weights of another run by layer name, layers that start anew, layers that stay
 * frozen. */
#include <string.h>

#include "train/engine.h"
#include "train/state.h"
#include "train/warm_start.h"

/* Does a list "conv1,block/dense1" name the layer of a parameter, "conv1/weight", or a block it
 * is in? */
static bool names_layer(const char *list, const char *param) {
    for (const char *at = list; *at; at += strcspn(at, ",") + (at[strcspn(at, ",")] == ',')) {
        size_t length = strcspn(at, ",");
        if (length > 0 && strncmp(at, param, length) == 0 && param[length] == '/')
            return true;
    }
    return false;
}

/* Every name in the list must be that of a layer. */
static ls_status check_list(const ls_net *net, const char *key, const char *list) {
    for (const char *at = ls_config_is_none(list) ? "" : list; *at;
         at += strcspn(at, ",") + (at[strcspn(at, ",")] == ',')) {
        char *name = ls_format("%.*s", (int)strcspn(at, ","), at);
        bool known = false;
        if (name == NULL)
            return LS_ERR_SYSTEM;
        for (size_t i = 0; i < ls_net_param_count(net) && !known; i++)
            known = names_layer(name, ls_net_param(net, i)->name);
        if (!known)
            ls_fail(LS_ERR_INPUT,
                    "%s: the network has no layer '%s' with parameters (the first is "
                    "%s)",
                    key, name, ls_net_param(net, 0)->name);
        ls_free(name);
        if (!known)
            return LS_ERR_INPUT;
    }
    return LS_OK;
}

static ls_status load(ls_engine *engine) {
    const ls_config *config = engine->config;
    ls_checkpoint_reader *reader = NULL;
    LS_TRY(ls_weights_open(config->init, &reader));
    ls_status status = LS_OK;
    for (size_t i = 0; i < ls_net_param_count(engine->net) && status == LS_OK; i++) {
        const ls_param *param = ls_net_param(engine->net, i);
        if (!names_layer(config->init_new, param->name))
            status = ls_state_read_param(reader, "model", param, engine->weights->params);
        if (status == LS_ERR_INPUT) {
            char *message =
                ls_format("init: %s: %s; a layer that starts anew is listed in init_new",
                          config->init, ls_message());
            ls_message_set(message ? message : "");
            ls_free(message);
        }
    }
    ls_checkpoint_close(reader);
    return status;
}

ls_status ls_warm_start(ls_engine *engine) {
    const ls_config *config = engine->config;
    size_t params = ls_net_param_count(engine->net);
    LS_TRY(check_list(engine->net, "frozen", config->frozen));
    LS_TRY(check_list(engine->net, "init_new", config->init_new));
    for (size_t i = 0; i < params; i++)
        engine->weights->frozen[i] =
            names_layer(config->frozen, ls_net_param(engine->net, i)->name);
    if (ls_config_is_none(config->init))
        return LS_OK;
    ls_status status = ls_comm_node_rank(engine->comm) == 0 ? load(engine) : LS_OK;
    return ls_comm_agree(engine->comm, status);
}
