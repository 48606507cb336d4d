/* Reads the parameters of the rotary embedding in both layouts that configurations use: rope_theta
 * and partial_rotary_factor next to rope_scaling, or all of them within rope_parameters. */
#ifndef ROPE_CONFIG_H
#define ROPE_CONFIG_H

#include "format/json/json.h"
#include "verify/model/model_config.h"

/* Set rotary_dim (from c->head_dim), rope_theta and the yarn members, by the rule of c->arch.
 * ERR_INPUT: a key is missing or unsupported, or two keys contradict each other. */
MUST_CHECK err_code model_rope_read(const char *what, const json_t *json, model_config *c, err *e);

/* Is this a key that model_rope_read reads? */
bool model_rope_key(const char *key);

#endif
