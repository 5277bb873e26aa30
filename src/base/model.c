/* The description of a network: names of layer kinds and types, and freeing. */
#include "lockstep/model.h"

const char *ls_layer_kind_name(ls_layer_kind kind) {
    switch (kind) {
    case LS_LAYER_DENSE:
        return "dense";
    case LS_LAYER_CONV:
        return "conv";
    case LS_LAYER_MAX_POOL:
        return "max_pool";
    case LS_LAYER_AVG_POOL:
        return "avg_pool";
    case LS_LAYER_GLOBAL_AVG_POOL:
        return "global_avg_pool";
    case LS_LAYER_BATCH_NORM:
        return "batch_norm";
    case LS_LAYER_ACTIVATION:
        return "activation";
    case LS_LAYER_DROPOUT:
        return "dropout";
    case LS_LAYER_FLATTEN:
        return "flatten";
    case LS_LAYER_RESIDUAL:
        return "residual";
    }
    return "unknown";
}

const char *ls_compute_type_name(ls_compute_type type) {
    return type == LS_COMPUTE_BF16 ? "bf16" : "float32";
}

static void list_free(ls_layer_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        ls_layer_spec *layer = &list->layers[i];
        if (layer->kind == LS_LAYER_RESIDUAL) {
            list_free(&layer->residual.body);
            list_free(&layer->residual.projection);
        }
        ls_free(layer->name);
    }
    ls_free(list->layers);
    *list = (ls_layer_list){0};
}

void ls_model_spec_free(ls_model_spec *spec) {
    list_free(&spec->layers);
    ls_free(spec->class_weights.value);
    spec->class_weights = (ls_class_weights){0};
}
