/* Decides what happens to each tensor of a checkpoint: applies the recipe, keeps the scales of
 * tensors that are already FP8 with their weights, and leaves alone what another method quantized,
 * and what its makers did not (spec/quant.md sections 6 and 8).
 *
 *     decide_pairs(&r, cp, m, &pairs, e);
 *     decide_tensor(&r, cp, &pairs, i, m, &d, e);   d.action, d.reason
 *     fp8_pairs_free(&pairs);
 */
#ifndef DECIDE_H
#define DECIDE_H

#include "format/checkpoint/fp8_pairs.h"
#include "quant/recipe/recipe.h"

/* The pairs and states of the checkpoint as the recipe's set of built-in rules knows them. Errors as
 * fp8_pairs_find; free with fp8_pairs_free. */
MUST_CHECK err_code decide_pairs(const recipe *r, const checkpoint *cp, const monitor *m,
                                 fp8_pairs *out, err *e);

/* Decide about cp->tensors[i]. ACTION_SCALES: scales, which are treated as their weight requires.
 * ERR_USAGE and ERR_INPUT as recipe_decide; also ERR_INPUT for FP8 whose scales are missing or do
 * not fit, and for scales without a weight in FP8. */
MUST_CHECK err_code decide_tensor(const recipe *r, const checkpoint *cp, const fp8_pairs *pairs,
                                  size_t i, const monitor *m, decision *out, err *e);

#endif
