/* config, private: the model section's list of layers. */
#ifndef LOCKSTEP_CONFIG_LAYERS_H
#define LOCKSTEP_CONFIG_LAYERS_H

#include "config/yaml.h"

/* Reads a list of layers into `list`, which is empty before and valid for ls_model_spec_free after,
 * also on failure.  A key without a default takes no empty list. */
ls_status ls_layers_read(struct fy_node *node, const ls_key *key, const ls_place *place,
                         ls_layer_list *list);

/* Writes the list as YAML, each line indented by `indent` spaces. */
void ls_layers_write(const ls_layer_list *list, int indent, ls_text *text);

#endif
