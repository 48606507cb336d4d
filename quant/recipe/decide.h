/* What becomes of each tensor of a checkpoint: the recipe, and which scales belong to FP8 that is
 * there already (spec/quant.md sections 6 and 8). */
#ifndef DECIDE_H
#define DECIDE_H

#include "format/checkpoint/fp8_pairs.h"
#include "quant/recipe/recipe.h"

/* Decide about cp->tensors[i]. ACTION_SCALES: they go with their weight, which says what becomes of
 * them. ERR_USAGE and ERR_INPUT as recipe_decide, and ERR_INPUT for FP8 whose scales are missing or
 * do not fit, and for scales without FP8. */
MUST_CHECK err_code decide_tensor(const recipe *r, const checkpoint *cp, const fp8_pairs *pairs,
                                  size_t i, decision *out, err *e);

#endif
