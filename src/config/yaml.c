/* libfyaml behind the few things that reading a configuration needs.  Its errors are collected as
 * values: where it draws them for people, it crashes on some texts. */
#include <stdio.h>
#include <string.h>

#include "config/yaml.h"

struct ls_yaml {
    struct fy_diag *diag;
    struct fy_parser *parser;
    struct fy_document *document;
};

static struct fy_diag_error *first_error(const ls_yaml *yaml) {
    void *iterator = NULL;
    return fy_diag_errors_iterate(yaml->diag, &iterator);
}

static ls_status fail_diagnosis(const ls_yaml *yaml, const char *file) {
    const struct fy_diag_error *error = first_error(yaml);
    ls_place place = {.file = file};
    if (error && error->line > 0) {
        place.line = error->line;
        place.column = error->column;
    }
    return ls_fail_at(&place, "not valid YAML: %s",
                      error && error->msg ? error->msg : "it cannot be parsed");
}

/* Bytes of the character of UTF-8 that starts here, 0 if none does. */
static size_t character_length(const unsigned char *text) {
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (*text < 0x80)
        return *text >= 0x20 || strchr("\t\n\r", *text) ? 1 : 0;
    size_t length = *text < 0xc0 ? 0 : *text < 0xe0 ? 2 : *text < 0xf0 ? 3 : *text < 0xf8 ? 4 : 0;
    uint32_t code = *text & 0x7fU >> length;
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3f);
    }
    bool surrogate = code >= 0xd800 && code < 0xe000;
    return code < smallest[length] || surrogate || code > 0x10ffff ? 0 : length;
}

ls_status ls_check_characters(const ls_place *start, const char *text) {
    ls_place place = *start;
    while (*text) {
        size_t length = character_length((const unsigned char *)text);
        if (length == 0)
            return ls_fail_at(&place, "byte 0x%02x is no text in UTF-8", (unsigned char)*text);
        place.column = *text == '\n' ? 1 : place.column + 1;
        place.line += *text == '\n';
        text += length;
    }
    return LS_OK;
}

/* ---- aliases -------------------------------------------------------------------------------- */

enum { VALUES_LIMIT = 1 << 18, DEPTH_LIMIT = 200 };

/* Counts the values of `node` as they will be when every alias is replaced by what it stands for;
 * false when they are too many, or too deep. */
static bool count_values(struct fy_node *node, int depth, int *count) {
    struct fy_node *item;
    struct fy_node_pair *pair;
    void *iterator = NULL;
    if (node && fy_node_is_alias(node))
        node = fy_node_resolve_alias(node);
    if (node == NULL)
        return true;
    if (++*count > VALUES_LIMIT || depth > DEPTH_LIMIT)
        return false;
    if (fy_node_is_sequence(node))
        while ((item = fy_node_sequence_iterate(node, &iterator)))
            if (!count_values(item, depth + 1, count))
                return false;
    if (fy_node_is_mapping(node))
        while ((pair = fy_node_mapping_iterate(node, &iterator)))
            if (!count_values(fy_node_pair_key(pair), depth + 1, count) ||
                !count_values(fy_node_pair_value(pair), depth + 1, count))
                return false;
    return true;
}

/* Ten lines of aliases of aliases can stand for more than any memory holds. */
static ls_status resolve(ls_yaml *yaml, const char *file) {
    int count = 0;
    if (yaml->document && !count_values(fy_document_root(yaml->document), 0, &count))
        return ls_fail(LS_ERR_INPUT,
                       "%s: too large: more than %d values, or %d levels, once its aliases (*NAME) "
                       "are replaced by what they stand for",
                       file, VALUES_LIMIT, DEPTH_LIMIT);
    if (yaml->document && fy_document_resolve(yaml->document) != 0)
        return fail_diagnosis(yaml, file);
    return LS_OK;
}

static ls_status load(ls_yaml *yaml, const char *file, const char *text) {
    const struct fy_diag_cfg diag = {.level = FYET_ERROR, .module_mask = ~0U};
    struct fy_parse_cfg parse = {.search_path = "", .flags = FYPCF_DEFAULT_VERSION_1_2};
    parse.diag = yaml->diag = fy_diag_create(&diag);
    if (yaml->diag)
        fy_diag_set_collect_errors(yaml->diag, true);
    yaml->parser = parse.diag ? fy_parser_create(&parse) : NULL;
    if (yaml->parser == NULL || fy_parser_set_string(yaml->parser, text, strlen(text)) != 0)
        return ls_fail(LS_ERR_SYSTEM, "%s: the YAML parser cannot be started", file);
    yaml->document = fy_parse_load_document(yaml->parser);
    struct fy_document *second = yaml->document ? fy_parse_load_document(yaml->parser) : NULL;
    if (second) {
        const ls_place start = {.file = file};
        ls_place place = ls_node_place(fy_document_root(second), &start);
        fy_parse_document_destroy(yaml->parser, second);
        return ls_fail_at(&place, "a second YAML document starts here; only one can be used");
    }
    if (fy_parser_get_stream_error(yaml->parser) || first_error(yaml))
        return fail_diagnosis(yaml, file);
    return resolve(yaml, file);
}

ls_status ls_yaml_open(const char *file, const char *text, ls_yaml **yaml) {
    const ls_place start = {.file = file, .line = 1, .column = 1};
    ls_yaml *opened;
    LS_TRY(ls_check_characters(&start, text));
    LS_TRY(LS_NEW(opened, 1));
    ls_status status = load(opened, file, text);
    if (status != LS_OK)
        ls_yaml_close(opened);
    else
        *yaml = opened;
    return status;
}

void ls_yaml_close(ls_yaml *yaml) {
    if (yaml == NULL)
        return;
    if (yaml->document)
        fy_parse_document_destroy(yaml->parser, yaml->document);
    if (yaml->parser)
        fy_parser_destroy(yaml->parser);
    if (yaml->diag)
        fy_diag_destroy(yaml->diag);
    ls_free(yaml);
}

struct fy_node *ls_yaml_root(const ls_yaml *yaml) {
    return yaml->document ? fy_document_root(yaml->document) : NULL;
}

bool ls_node_is_null(struct fy_node *node) {
    if (node == NULL || fy_node_is_null(node))
        return true;
    if (!fy_node_is_scalar(node) || fy_node_get_style(node) != FYNS_PLAIN)
        return false;
    size_t length;
    const char *text = fy_node_get_scalar(node, &length);
    return length == 0 || (length == 1 && *text == '~') ||
           (length == 4 && memcmp(text, "null", 4) == 0);
}

ls_place ls_node_place(struct fy_node *node, const ls_place *otherwise) {
    ls_place place = *otherwise;
    void *first = NULL;
    while (node && !fy_node_is_scalar(node)) {
        if (fy_node_is_sequence(node))
            node = fy_node_sequence_get_by_index(node, 0);
        else
            node = fy_node_pair_key(fy_node_mapping_iterate(node, &first));
        first = NULL;
    }
    struct fy_token *token = node ? fy_node_get_scalar_token(node) : NULL;
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    if (mark) {
        place.line = mark->line + 1;
        place.column = mark->column + 1;
    }
    return place;
}

enum { SHOWN_DEPTH = 4 };

static void add_node(struct fy_node *node, int depth, ls_text *text);

static void add_items(struct fy_node *list, int depth, ls_text *text) {
    struct fy_node *item;
    void *iterator = NULL;
    const char *before = "[";
    while ((item = fy_node_sequence_iterate(list, &iterator))) {
        ls_text_add(text, "%s", before);
        add_node(item, depth, text);
        before = ", ";
    }
    ls_text_add(text, "%s]", *before == '[' ? "[" : "");
}

static void add_pairs(struct fy_node *mapping, int depth, ls_text *text) {
    struct fy_node_pair *pair;
    void *iterator = NULL;
    const char *before = "{";
    while ((pair = fy_node_mapping_iterate(mapping, &iterator))) {
        ls_text_add(text, "%s", before);
        add_node(fy_node_pair_key(pair), depth, text);
        ls_text_add(text, ": ");
        add_node(fy_node_pair_value(pair), depth, text);
        before = ", ";
    }
    ls_text_add(text, "%s}", *before == '{' ? "{" : "");
}

/* On one line, without quotes. */
static void add_node(struct fy_node *node, int depth, ls_text *text) {
    size_t length = 0;
    if (node && fy_node_is_scalar(node)) {
        const char *scalar = fy_node_get_scalar(node, &length);
        ls_text_add(text, "%.*s", (int)length, scalar ? scalar : "");
    } else if (node && depth == SHOWN_DEPTH) {
        ls_text_add(text, "...");
    } else if (node && fy_node_is_sequence(node)) {
        add_items(node, depth + 1, text);
    } else if (node) {
        add_pairs(node, depth + 1, text);
    }
}

static ls_value_kind list_kind(struct fy_node *list) {
    struct fy_node *item;
    void *iterator = NULL;
    ls_value_kind kind = LS_VALUE_LIST;
    while ((item = fy_node_sequence_iterate(list, &iterator))) {
        if (!fy_node_is_scalar(item))
            return LS_VALUE_NESTED;
        if (fy_node_get_style(item) != FYNS_PLAIN)
            kind = LS_VALUE_TEXTS;
    }
    return kind;
}

ls_status ls_node_value(struct fy_node *node, ls_value *value) {
    ls_text text = {0};
    ls_value_kind kind = LS_VALUE_NOTHING;
    if (!ls_node_is_null(node) && fy_node_is_scalar(node)) {
        kind = fy_node_get_style(node) == FYNS_PLAIN ? LS_VALUE_PLAIN : LS_VALUE_QUOTED;
    } else if (!ls_node_is_null(node)) {
        kind = fy_node_is_sequence(node) ? list_kind(node) : LS_VALUE_MAPPING;
    }
    if (kind != LS_VALUE_NOTHING)
        add_node(node, 0, &text);
    ls_text_add(&text, "%s", "");
    if (text.failed) {
        ls_text_free(&text);
        return LS_ERR_SYSTEM;
    }
    *value = (ls_value){kind, text.data};
    return LS_OK;
}
