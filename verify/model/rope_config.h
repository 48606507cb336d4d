/* How positions turn channels, in both spellings that configurations have for it: rope_theta and
 * partial_rotary_factor with rope_scaling, or all of them within rope_parameters. */
#ifndef ROPE_CONFIG_H
#define ROPE_CONFIG_H

#include "format/json/json.h"
#include "verify/model/model_config.h"

/* Fill in rotary_dim (of c->head_dim), rope_theta, yarn and its like, by the rule of c->arch.
 * ERR_INPUT: missing, not supported, or said twice and differently. */
MUST_CHECK err_code model_rope_read(const char *what, const json_t *json, model_config *c, err *e);

/* Is this one of the keys that model_rope_read looks at? */
bool model_rope_key(const char *key);

#endif
