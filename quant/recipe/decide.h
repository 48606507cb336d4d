/* Decides what happens to each tensor of a checkpoint: applies the recipe, keeps the scales of
 * tensors that are already FP8 with their weights, and leaves alone what another method quantized,
 * and what its makers did not (spec/quant.md sections 6 and 8).
 *
 *     decide_tensor(&r, cp, &pairs, i, &d, e);      d.action, d.reason
 */
#ifndef DECIDE_H
#define DECIDE_H

#include "format/checkpoint/fp8_pairs.h"
#include "quant/recipe/recipe.h"

/* Decide about cp->tensors[i]. ACTION_SCALES: scales, which are treated as their weight requires.
 * ERR_USAGE and ERR_INPUT as recipe_decide; also ERR_INPUT for FP8 whose scales are missing or do
 * not fit, and for scales without a weight in FP8. */
MUST_CHECK err_code decide_tensor(const recipe *r, const checkpoint *cp, const fp8_pairs *pairs,
                                  size_t i, decision *out, err *e);

#endif
