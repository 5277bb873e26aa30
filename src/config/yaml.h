/* config, private: a YAML text as a tree of libfyaml's nodes, with errors as our one-line messages
 * and a place for every node. */
#ifndef LOCKSTEP_CONFIG_YAML_H
#define LOCKSTEP_CONFIG_YAML_H

#include <libfyaml.h>

#include "config/values.h"

typedef struct ls_yaml ls_yaml;

/* LS_ERR_INPUT at the first byte of `text`, which starts at `start`, that is not UTF-8 or a control
 * character: libfyaml 0.7.12 does not return from some such texts. */
ls_status ls_check_characters(const ls_place *start, const char *text);

/* Parses a text that holds one document; anchors and merge keys are resolved.  `file` is for
 * messages only.  The text must live as long as the tree. */
ls_status ls_yaml_open(const char *file, const char *text, ls_yaml **yaml);
void ls_yaml_close(ls_yaml *yaml);
/* NULL for a text that holds nothing. */
struct fy_node *ls_yaml_root(const ls_yaml *yaml);

bool ls_node_is_null(struct fy_node *node);
/* Where the node starts; `otherwise` for a node that has no text of its own. */
ls_place ls_node_place(struct fy_node *node, const ls_place *otherwise);
/* The node as a value; value->text is new memory for ls_free. */
ls_status ls_node_value(struct fy_node *node, ls_value *value);

#endif
