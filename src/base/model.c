/* The description of a network: names of layer kinds and types, and freeing. */
#include "lockstep/model.h"

const char *ls_layer_kind_name(ls_layer_kind kind) {
#define NAME(KIND, name) #name,
    static const char *const names[] = {LS_LAYERS(NAME)};
    return names[kind];
}

const char *ls_compute_type_name(ls_compute_type type) {
    static const char *const names[] = {LS_COMPUTE_TYPES(LS_WORD)};
    return names[type];
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
