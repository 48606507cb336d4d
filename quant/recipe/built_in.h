/* The built-in rules (spec/quant.md section 6), one function for each numbered set.
 *
 *     built_in_reason(recipe_rule_set(r), &t)      REASON_LINEAR: quantize, else why it is kept
 *
 * A set that files were made under never changes; better rules are a new set. */
#ifndef BUILT_IN_H
#define BUILT_IN_H

#include "quant/recipe/recipe.h"

/* Why the tensor can never be quantized, whatever the rules say; REASON_RULE if it can. */
recipe_reason built_in_obstacle(const recipe_tensor *t);

/* What a set says about a tensor: REASON_LINEAR, or the reason for keeping it. */
recipe_reason built_in_reason(unsigned set, const recipe_tensor *t);

/* Set 1; `basic` is the obstacle of the tensor. */
recipe_reason rules1_reason(const recipe_tensor *t, recipe_reason basic);

/* Set 2. */
recipe_reason rules2_reason(const recipe_tensor *t, recipe_reason basic);

/* Is this the name of a linear layer inside a layer, in some kind of module? */
bool rules1_is_linear(const char *name);
bool rules2_is_linear(const char *name);

#endif
