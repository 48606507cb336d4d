/* What the scale of a tile has to be, and the numbers that its codes are the roundings of, in every
 * dialect (spec/quant.md 2, 3 and 7). Arithmetic that shares nothing with the quantizer: in
 * float64, which holds the product of two floats and, rounded once more, gives their quotient.
 *
 *     const code_rule rule = code_rule_of(DIALECT_IEEE, DTYPE_BF16, SCALES_F32, amax);
 *     code_rule_divide(&rule, x, count, quotients);      magnitudes: y of section 5
 *     code_rule_narrow(&rule, quotients, count, narrow); what codes are the roundings of
 */
#ifndef CODE_RULE_H
#define CODE_RULE_H

#include <stdbool.h>

#include "format/tensor/dialect_id.h"

typedef struct code_rule {
    float scale;  /* as it has to be stored */
    float factor; /* of elements; 0: they are divided by the scale */
    dtype narrow; /* what quotients are rounded to before they become codes: BF16, F16 or F32 */
} code_rule;

/* For this amax, DIALECT_NONE as DIALECT_IEEE. An infinite amax has no rule: nothing is right. */
code_rule code_rule_of(pack_dialect d, dtype source, scale_format scales, float amax);

void code_rule_divide(const code_rule *rule, const float *x, unsigned count, float *quotients);
void code_rule_narrow(const code_rule *rule, const float *quotients, unsigned count, float *to);

#endif
