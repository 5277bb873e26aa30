/* Reads lists of layers by the table of layer kinds: a bare word, or a word with its keys. */
#include <ctype.h>
#include <string.h>

#include "config/layers.h"

enum { LAYERS_LIMIT = 4096 };

#define REPEAT (&ls_layer_words[LS_LAYER_KINDS])

static ls_status append_all(struct fy_node *node, const char *owner, const ls_place *place,
                            ls_layer_list *list);

/* ---- the keys of one layer ------------------------------------------------------------------ */

static ls_status fail_unknown_key(const ls_layer_word *word, const ls_place *place,
                                  const char *name) {
    char shown[LS_PRINTABLE];
    const char *nearest = ls_key_nearest(word->keys, word->key_count, name);
    ls_printable(name, shown);
    if (nearest)
        return ls_fail_at(place, "%s: unknown key '%s'; did you mean '%s'?",
                          ls_layer_word_name(word), shown, nearest);
    ls_text known = {0};
    for (size_t i = 0; i < word->key_count; i++)
        ls_text_add(&known, "%s%s", i ? ", " : "", word->keys[i].name);
    ls_status status = ls_fail_at(place, "%s: unknown key '%s'; its keys are %s",
                                  ls_layer_word_name(word), shown, known.data ? known.data : "");
    ls_text_free(&known);
    return status;
}

static ls_status read_value(const ls_key *key, const char *owner, void *base, const ls_place *place,
                            struct fy_node *node) {
    void *field = (char *)base + key->offset;
    if (key->type == LS_KEY_NODE) {
        *(struct fy_node **)field = node;
        return LS_OK;
    }
    if (key->type == LS_KEY_LAYERS)
        return ls_layers_read(node, key, place, field);
    ls_value value;
    LS_TRY(ls_node_value(node, &value));
    ls_status status = ls_key_read(key, owner, base, place, &value);
    ls_free((char *)value.text);
    return status;
}

/* Reads the mapping `node` into `base`, defaults first.  `place` is that of the layer's word. */
static ls_status read_keys(const ls_layer_word *word, void *base, const ls_place *place,
                           struct fy_node *node) {
    struct fy_node_pair *pair;
    void *iterator = NULL;
    unsigned given = 0; /* bit i: key i */
    ls_value name;
    LS_TRY(ls_keys_set_defaults(word->keys, word->key_count, base));
    if (!ls_node_is_null(node) && !fy_node_is_mapping(node)) {
        ls_place at = ls_node_place(node, place);
        return ls_fail_at(&at, "%s: expected its keys, as in '%s: {%s: ...}'",
                          ls_layer_word_name(word), ls_layer_word_name(word),
                          word->keys[word->key_count > 1].name);
    }
    while (!ls_node_is_null(node) && (pair = fy_node_mapping_iterate(node, &iterator))) {
        ls_place key_place = ls_node_place(fy_node_pair_key(pair), place);
        ls_place value_place = ls_node_place(fy_node_pair_value(pair), &key_place);
        LS_TRY(ls_node_value(fy_node_pair_key(pair), &name));
        const ls_key *key = ls_key_find(word->keys, word->key_count, name.text);
        ls_status status = key ? read_value(key, ls_layer_word_name(word), base, &value_place,
                                            fy_node_pair_value(pair))
                               : fail_unknown_key(word, &key_place, name.text);
        ls_free((char *)name.text);
        LS_TRY(status);
        given |= 1U << (key - word->keys);
    }
    for (size_t i = 0; i < word->key_count; i++)
        if (word->keys[i].initial == NULL && !(given & 1U << i))
            return ls_fail_at(place, "%s: the key '%s' is missing", ls_layer_word_name(word),
                              word->keys[i].name);
    return LS_OK;
}

/* ---- one entry of a list -------------------------------------------------------------------- */

static ls_status append(ls_layer_list *list, const ls_place *place, ls_layer_spec **layer) {
    if (list->count == LAYERS_LIMIT)
        return ls_fail_at(place, "more than %d layers in one list", LAYERS_LIMIT);
    if ((list->count & (list->count - 1)) == 0) { /* full at every power of 2 */
        ls_layer_spec *grown;
        LS_TRY(LS_NEW(grown, list->count ? 2 * list->count : 1));
        if (list->count)
            memcpy(grown, list->layers, list->count * sizeof *grown);
        ls_free(list->layers);
        list->layers = grown;
    }
    *layer = &list->layers[list->count++];
    return LS_OK;
}

static bool name_is_valid(const char *name) {
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_' && *c != '-')
            return false;
    return true;
}

static ls_status append_layer(const ls_layer_word *word, const ls_place *place,
                              struct fy_node *keys, ls_layer_list *list) {
    ls_layer_spec *layer = NULL;
    LS_TRY(append(list, place, &layer));
    layer->kind = (ls_layer_kind)(word - ls_layer_words);
    layer->line = place->line;
    LS_TRY(read_keys(word, layer, place, keys));
    if (layer->name && !name_is_valid(layer->name))
        return ls_fail_at(place, "%s.name: expected letters, digits, '_' and '-', got '%s'",
                          ls_layer_word_name(word), layer->name);
    return LS_OK;
}

static ls_status append_repeated(const ls_layer_word *word, const ls_place *place,
                                 struct fy_node *keys, ls_layer_list *list) {
    ls_repeat repeat = {0};
    LS_TRY(read_keys(word, &repeat, place, keys));
    const size_t before = list->count;
    for (int64_t i = 0; i < repeat.times; i++) {
        LS_TRY(append_all(repeat.layers, "repeat.layers", place, list));
        if (list->count == before) /* or repeats of repeats of nothing would go on and on */
            return ls_fail_at(place, "repeat.layers: expected at least one layer");
    }
    return LS_OK;
}

static ls_status append_word(const char *name, const ls_place *place, struct fy_node *keys,
                             ls_layer_list *list) {
    const ls_layer_word *word = ls_layer_word_find(name);
    if (word)
        return (word == REPEAT ? append_repeated : append_layer)(word, place, keys, list);
    const char *names[LS_LAYER_KINDS + 1];
    char shown[LS_PRINTABLE];
    for (size_t i = 0; i < ls_layer_word_count; i++)
        names[i] = ls_layer_word_name(&ls_layer_words[i]);
    const char *nearest = ls_nearest(name, names, ls_layer_word_count);
    if (nearest)
        return ls_fail_at(place, "unknown layer '%s'; did you mean '%s'?",
                          ls_printable(name, shown), nearest);
    return ls_fail_at(place, "unknown layer '%s'; 'lockstep help config' lists them",
                      ls_printable(name, shown));
}

/* The entry's word and its keys, of `relu`, `relu:` or `conv: {...}`; word NULL for anything else.
 */
static ls_status split_entry(struct fy_node *entry, const ls_place *place, struct fy_node **word,
                             struct fy_node **keys) {
    *word = entry;
    *keys = NULL;
    if (entry && fy_node_is_mapping(entry)) {
        void *iterator = NULL;
        struct fy_node_pair *pair = fy_node_mapping_iterate(entry, &iterator);
        *word = pair ? fy_node_pair_key(pair) : NULL;
        *keys = pair ? fy_node_pair_value(pair) : NULL;
        pair = pair ? fy_node_mapping_iterate(entry, &iterator) : NULL;
        if (pair) {
            ls_place at = ls_node_place(fy_node_pair_key(pair), place);
            return ls_fail_at(&at, "one layer per entry: start a new entry with '-', or indent the "
                                   "keys of the layer further than its name");
        }
    }
    if (ls_node_is_null(*word) || !fy_node_is_scalar(*word))
        *word = NULL;
    return LS_OK;
}

static ls_status append_all(struct fy_node *node, const char *owner, const ls_place *place,
                            ls_layer_list *list) {
    struct fy_node *entry, *word, *keys;
    void *iterator = NULL;
    if (ls_node_is_null(node) || !fy_node_is_sequence(node))
        return ls_fail_at(
            place, "%s: expected a list of layers, as in '[flatten, dense: {units: 10}]'", owner);
    for (int number = 1; (entry = fy_node_sequence_iterate(node, &iterator)); number++) {
        ls_place at = ls_node_place(entry, place);
        LS_TRY(split_entry(entry, &at, &word, &keys));
        if (word == NULL)
            return ls_fail_at(&at,
                              "%s: entry %d is no layer, such as 'relu' or 'dense: {units: "
                              "10}'",
                              owner, number);
        ls_value name;
        LS_TRY(ls_node_value(word, &name));
        ls_status status = append_word(name.text, &at, keys, list);
        ls_free((char *)name.text);
        LS_TRY(status);
    }
    return LS_OK;
}

/* ---- names ---------------------------------------------------------------------------------- */

static ls_status name_all(const ls_place *place, ls_layer_list *list) {
    int numbers[LS_LAYER_KINDS] = {0};
    for (size_t i = 0; i < list->count; i++) {
        ls_layer_spec *layer = &list->layers[i];
        const char *kind = ls_layer_kind_name(layer->kind);
        int number = ++numbers[layer->kind];
        if (layer->name == NULL && !(layer->name = ls_format("%s%d", kind, number)))
            return LS_ERR_SYSTEM;
        for (size_t j = 0; j < i; j++)
            if (strcmp(list->layers[j].name, layer->name) == 0) {
                ls_place at = *place;
                at.line = layer->line;
                at.column = 0;
                return ls_fail_at(&at,
                                  "two layers of one list are called '%s', the other on line "
                                  "%d; names must differ",
                                  layer->name, list->layers[j].line);
            }
    }
    return LS_OK;
}

ls_status ls_layers_read(struct fy_node *node, const ls_key *key, const ls_place *place,
                         ls_layer_list *list) {
    LS_TRY(append_all(node, key->name, place, list));
    if (list->count == 0 && key->initial == NULL)
        return ls_fail_at(place, "%s: expected at least one layer", key->name);
    return name_all(place, list);
}

/* ---- writing -------------------------------------------------------------------------------- */

static bool has_lists(const ls_layer_word *word) {
    for (size_t i = 0; i < word->key_count; i++)
        if (word->keys[i].type == LS_KEY_LAYERS)
            return true;
    return false;
}

static void write_flow(const ls_layer_word *word, const ls_layer_spec *layer, ls_text *text) {
    for (size_t i = 0; i < word->key_count; i++) {
        ls_text_add(text, "%s%s: ", i ? ", " : "", word->keys[i].name);
        ls_key_write(&word->keys[i], layer, text);
    }
}

static void write_block(const ls_layer_word *word, const ls_layer_spec *layer, int indent,
                        ls_text *text) {
    for (size_t i = 0; i < word->key_count; i++) {
        const ls_key *key = &word->keys[i];
        ls_text_add(text, "%*s%s:", indent, "", key->name);
        if (key->type == LS_KEY_LAYERS) {
            ls_layers_write((const void *)((const char *)layer + key->offset), indent + 2, text);
        } else {
            ls_text_add(text, " ");
            ls_key_write(key, layer, text);
            ls_text_add(text, "\n");
        }
    }
}

void ls_layers_write(const ls_layer_list *list, int indent, ls_text *text) {
    ls_text_add(text, list->count ? "\n" : " []\n");
    for (size_t i = 0; i < list->count; i++) {
        const ls_layer_spec *layer = &list->layers[i];
        const ls_layer_word *word = &ls_layer_words[layer->kind];
        ls_text_add(text, "%*s- %s:", indent, "", ls_layer_kind_name(layer->kind));
        if (has_lists(word)) {
            ls_text_add(text, "\n");
            write_block(word, layer, indent + 4, text);
        } else {
            ls_text_add(text, " {");
            write_flow(word, layer, text);
            ls_text_add(text, "}\n");
        }
    }
}
