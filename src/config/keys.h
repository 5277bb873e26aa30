/* config, private: the rows that describe every configuration key and every layer kind.  Reading,
 * --set, defaults, validation, writing, help and the reference file are all made from them. */
#ifndef LOCKSTEP_CONFIG_KEYS_H
#define LOCKSTEP_CONFIG_KEYS_H

#include "lockstep/config.h"

struct fy_node;

typedef enum ls_key_type {
    LS_KEY_INTEGER,    /* int64_t */
    LS_KEY_NUMBER,     /* double */
    LS_KEY_BOOLEAN,    /* bool */
    LS_KEY_TEXT,       /* char *, owned */
    LS_KEY_CHOICE,     /* an enum that counts from 0 */
    LS_KEY_EXTENT,     /* ls_extent */
    LS_KEY_INTEGERS,   /* ls_integers */
    LS_KEY_NUMBERS,    /* ls_numbers */
    LS_KEY_WEIGHTS,    /* ls_class_weights, owned */
    LS_KEY_PATHS,      /* ls_paths, owned */
    LS_KEY_TRANSFORMS, /* ls_transforms */
    LS_KEY_NAMES,      /* ls_names, owned */
    LS_KEY_LAYERS,     /* ls_layer_list, owned */
    LS_KEY_NODE        /* struct fy_node *: layers that the reader reads later */
} ls_key_type;

/* The type of a row follows from its field, so the two cannot disagree. */
#define LS_KEY_TYPE_OF(field)                                                                      \
    _Generic((field),                                                                              \
        int64_t: LS_KEY_INTEGER,                                                                   \
        double: LS_KEY_NUMBER,                                                                     \
        bool: LS_KEY_BOOLEAN,                                                                      \
        char *: LS_KEY_TEXT,                                                                       \
        ls_extent: LS_KEY_EXTENT,                                                                  \
        ls_integers: LS_KEY_INTEGERS,                                                              \
        ls_numbers: LS_KEY_NUMBERS,                                                                \
        ls_class_weights: LS_KEY_WEIGHTS,                                                          \
        ls_paths: LS_KEY_PATHS,                                                                    \
        ls_names: LS_KEY_NAMES,                                                                    \
        ls_transforms: LS_KEY_TRANSFORMS,                                                          \
        ls_layer_list: LS_KEY_LAYERS,                                                              \
        struct fy_node *: LS_KEY_NODE,                                                             \
        default: LS_KEY_CHOICE)

enum { LS_ABOVE_MIN = 1, LS_BELOW_MAX = 2 }; /* the bound itself is outside the range */

typedef struct ls_key {
    const char *name;
    ls_key_type type;
    size_t offset;       /* of the field in ls_config, or in ls_layer_spec */
    const char *initial; /* the default as text; NULL: required; "": left unset */
    double min, max;     /* of numbers, and of integers, alone or in a list */
    int open;            /* LS_ABOVE_MIN, LS_BELOW_MAX */
    /* Choice: the words of the enum, in order.  Text: all that is allowed, NULL for anything.
     * Integer: one word, stored as LS_AUTO.  Number: one word, stored as NaN.  Extent: one word,
     * stored as count 0, and so of numbers.  Weights: that word, and the one for balanced ones.
     * NULL at the end. */
    const char *const *words;
    ls_change change;    /* what another value means to a run that goes on */
    const char *unit;    /* NULL: none */
    const char *example; /* of a required key, for the reference file */
    const char *help;    /* a line or two, in sentences */
} ls_key;

#define LS_WORDS(...)                                                                              \
    (const char *const[]) {                                                                        \
        __VA_ARGS__, NULL                                                                          \
    }

/* A part of the file that groups keys, and what it is about. */
typedef struct ls_section {
    const char *name, *help;
} ls_section;

/* Grouped by section, in the order of writing. */
extern const ls_key ls_config_keys[];
extern const size_t ls_config_key_count;
extern const ls_section ls_config_sections[];
extern const size_t ls_config_section_count;

/* What an entry of a list of layers may be. */
typedef struct ls_layer_word {
    const ls_key *keys; /* offsets into ls_layer_spec; of `repeat` into ls_repeat */
    size_t key_count;
    const char *help;
} ls_layer_word;

typedef struct ls_repeat {
    int64_t times;
    struct fy_node *layers;
} ls_repeat;

/* By ls_layer_kind; the last one is `repeat`, no layer: a list of layers, several times. */
extern const ls_layer_word ls_layer_words[];
extern const size_t ls_layer_word_count;

/* The row of that name, NULL if there is none. */
const ls_key *ls_key_find(const ls_key *keys, size_t count, const char *name);
/* The name of the row that was probably meant, NULL if none is near. */
const char *ls_key_nearest(const ls_key *keys, size_t count, const char *name);
const ls_layer_word *ls_layer_word_find(const char *name);
const char *ls_layer_word_name(const ls_layer_word *word);

#endif
