/* The resolved configuration, the reference file and the help page, all from the tables. */
#include <string.h>

#include "config/layers.h"

/* ---- sections ------------------------------------------------------------------------------- */

/* Length of the section part of a name: "find_lr" of "find_lr.start". */
static size_t section_length(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot ? (size_t)(dot - name) : 0;
}

static bool starts_section(size_t index) {
    const char *name = ls_config_keys[index].name;
    size_t length = section_length(name);
    return length > 0 && (index == 0 || section_length(ls_config_keys[index - 1].name) != length ||
                          strncmp(ls_config_keys[index - 1].name, name, length) != 0);
}

static const char *section_help(const char *name) {
    size_t length = section_length(name);
    for (size_t i = 0; i < ls_config_section_count; i++)
        if (strncmp(ls_config_sections[i].name, name, length) == 0 &&
            ls_config_sections[i].name[length] == '\0')
            return ls_config_sections[i].help;
    return "";
}

/* "start" of "find_lr.start". */
static const char *own_name(const char *name) {
    size_t length = section_length(name);
    return name + length + (length > 0);
}

/* ---- the resolved configuration ------------------------------------------------------------- */

void ls_config_write(const ls_config *config, ls_text *text) {
    for (size_t i = 0; i < ls_config_key_count; i++) {
        const ls_key *key = &ls_config_keys[i];
        size_t section = section_length(key->name);
        if (starts_section(i))
            ls_text_add(text, "%.*s:\n", (int)section, key->name);
        ls_text_add(text, "%s%s:", section ? "  " : "", own_name(key->name));
        if (key->type == LS_KEY_LAYERS) {
            ls_layers_write((const void *)((const char *)config + key->offset), 4, text);
        } else {
            ls_text_add(text, " ");
            ls_key_write(key, config, text);
            ls_text_add(text, "\n");
        }
    }
}

/* ---- what is known of one key --------------------------------------------------------------- */

/* "an integer from 1 to 1024; steps; default 0" */
static void write_facts(const ls_key *key, ls_text *text) {
    ls_key_expected(key, text);
    if (key->unit)
        ls_text_add(text, "; in %s", key->unit);
    if (key->initial == NULL)
        ls_text_add(text, "; required");
    else if (*key->initial)
        ls_text_add(text, "; default %s", key->initial);
}

/* The text in lines of at most 96 characters, each after `prefix`. */
static void write_wrapped(const char *prefix, const char *content, ls_text *text) {
    size_t room = 96 - strlen(prefix);
    while (*content) {
        size_t length = strlen(content);
        if (length > room) {
            length = room;
            while (length > 1 && content[length] != ' ')
                length--;
        }
        ls_text_add(text, "%s%.*s\n", prefix, (int)length, content);
        content += length;
        content += strspn(content, " ");
    }
}

static void write_key_help(const ls_key *key, const char *prefix, ls_text *text) {
    ls_text facts = {0};
    write_facts(key, &facts);
    write_wrapped(prefix, key->help, text);
    write_wrapped(prefix, facts.data ? facts.data : "", text);
    text->failed |= facts.failed;
    ls_text_free(&facts);
}

/* "conv: {filters: 32, kernel: 3, stride: 1}": with its defaults and examples. */
static void write_layer_example(const ls_layer_word *word, ls_text *text) {
    const char *before = ": {";
    ls_text_add(text, "%s", ls_layer_word_name(word));
    for (size_t i = 0; i < word->key_count; i++) {
        const ls_key *key = &word->keys[i];
        if (key->initial && *key->initial == '\0')
            continue;
        ls_text_add(text, "%s%s: %s", before, key->name,
                    key->initial ? key->initial : key->example);
        before = ", ";
    }
    ls_text_add(text, "%s\n", *before == ',' ? "}" : "");
}

static void write_layer_help(const ls_layer_word *word, const char *prefix, ls_text *text) {
    ls_text_add(text, "%s- ", prefix);
    write_layer_example(word, text);
    ls_text_add(text, "%s    %s\n", prefix, word->help);
    for (size_t i = 0; i < word->key_count; i++)
        if (strcmp(word->keys[i].name, "name") != 0)
            ls_text_add(text, "%s      %-11s %s\n", prefix, word->keys[i].name, word->keys[i].help);
}

static const char about_layers[] =
    "An entry of model.layers is a layer's word, or the word with its keys. Sizes of windows are "
    "one "
    "number, or a list with one per spatial dimension: [3, 3]. Every layer takes a name, under "
    "which "
    "its arrays are stored; without one it is the word and a number: conv2. With all keys:";

static void write_layers_help(const char *prefix, ls_text *text) {
    write_wrapped(prefix, about_layers, text);
    for (size_t i = 0; i < ls_layer_word_count; i++) {
        ls_text_add(text, "%.*s\n", (int)strcspn(prefix, " "), prefix);
        write_layer_help(&ls_layer_words[i], prefix, text);
    }
}

/* ---- the two pages -------------------------------------------------------------------------- */

void ls_config_reference(ls_text *text) {
    ls_text_add(text, "# Every configuration key with its default, and every layer.\n"
                      "# Made from the tables in src/config: do not edit.\n");
    for (size_t i = 0; i < ls_config_key_count; i++) {
        const ls_key *key = &ls_config_keys[i];
        size_t section = section_length(key->name);
        const char *indent = section ? "  " : "";
        if (starts_section(i))
            ls_text_add(text, "\n# ---- %s\n%.*s:\n", section_help(key->name), (int)section,
                        key->name);
        else
            ls_text_add(text, "\n");
        write_key_help(key, section ? "  # " : "# ", text);
        ls_text_add(text, "%s%s:", indent, own_name(key->name));
        if (key->type == LS_KEY_LAYERS)
            ls_text_add(text, "\n    - flatten\n    - dense: {units: 128}\n    - relu\n"
                              "    - dense: {units: 10}\n");
        else
            ls_text_add(text, " %s\n", key->initial ? key->initial : key->example);
    }
    ls_text_add(text, "\n");
    write_layers_help("# ", text);
}

void ls_config_help(ls_text *text) {
    ls_text_add(text, "A configuration is one YAML file. A dot stands for a level of indentation: "
                      "batch.size is\n\n  batch:\n    size: 128\n\nand --set batch.size=128 on the "
                      "command line replaces what the file says.\n");
    for (size_t i = 0; i < ls_config_key_count; i++) {
        const ls_key *key = &ls_config_keys[i];
        if (starts_section(i))
            ls_text_add(text, "\n%s\n", section_help(key->name));
        else if (section_length(key->name) == 0)
            ls_text_add(text, "\n");
        ls_text_add(text, "  %s\n", key->name);
        write_key_help(key, "      ", text);
    }
    ls_text_add(text, "\nLayers\n");
    write_layers_help("  ", text);
}
