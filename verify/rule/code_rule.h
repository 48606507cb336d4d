/* The correct scale of a tile, and the quotients that its codes must be roundings of, in every
 * dialect (spec/quant.md sections 2, 3 and 7). The arithmetic shares nothing with the quantizer: it
 * is done in float64, in which the product of two floats is exact and a quotient of two floats,
 * rounded once more to float32, is correctly rounded.
 *
 *     const code_rule rule = code_rule_of(DIALECT_IEEE, DTYPE_BF16, SCALES_F32, amax);
 *     code_rule_divide(&rule, x, count, quotients);      magnitudes |y| of section 5
 *     code_rule_narrow(&rule, quotients, count, narrow); what the codes are roundings of
 */
#ifndef CODE_RULE_H
#define CODE_RULE_H

#include <stdbool.h>

#include "format/tensor/dialect_id.h"

typedef struct code_rule {
    float scale;  /* as it must be stored */
    float factor; /* elements are multiplied by it; 0: they are divided by the scale */
    dtype narrow; /* type that quotients are rounded to before encoding: BF16, F16 or F32 */
} code_rule;

/* The rule for this amax; DIALECT_NONE is treated as DIALECT_IEEE. For an infinite amax no scale
 * and no code is right. */
code_rule code_rule_of(pack_dialect d, dtype source, scale_format scales, float amax);

void code_rule_divide(const code_rule *rule, const float *x, unsigned count, float *quotients);
void code_rule_narrow(const code_rule *rule, const float *quotients, unsigned count, float *to);

#endif
