/* Is a code the right rounding of its source? Arithmetic that shares nothing with the quantizer.
 *
 * The quantizer computes a code from a quotient. Here the question is turned round: from what a
 * code means (spec/quant.md section 3) follows an interval of quotients that round to it, ties
 * included where the code is even, and the quotient has to lie in it. Which quotient that is, and
 * which scale is right, says verify/rule/code_rule.h. */
#ifndef CODE_CHECK_H
#define CODE_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/tensor/block.h"
#include "format/tensor/dialect_id.h"
#include "format/tensor/dtype.h"
#include "format/base/err.h"

typedef struct code_rules {
    float value[256];          /* what a code stands for; NaN for 0x7F and 0xFF */
    float low[256], high[256]; /* magnitudes of quotients, both included; none for the NaNs */
    float *f16;                /* [65536] what a half-precision number stands for */
} code_rules;

/* Errors: ERR_MEMORY. Free with code_rules_free. Read-only afterwards, so for any thread. */
MUST_CHECK err_code code_rules_create(code_rules *out, err *e);
void code_rules_free(code_rules *r);

/* A block where it lies, clipped: at most BLOCK_MAX_ROWS x BLOCK_MAX_COLS. */
typedef struct tile_view {
    const unsigned char *source; /* BF16, F16 or F32, little-endian */
    const unsigned char *codes;
    dtype type;
    size_t pitch; /* elements from row to row, in both */
    unsigned rows, cols;
    float scale; /* as stored */
    scale_format scales;
    pack_dialect dialect;
} tile_view;

typedef struct tile_verdict {
    float scale; /* as it has to be; all of the following but the sums is about this one */
    float amax;
    bool scale_right;
    uint32_t wrong_codes;
    unsigned wrong_row, wrong_col;                 /* of the first wrong code, row-major */
    uint32_t saturated, zero, flushed;             /* spec/quant.md section 5 */
    double sum_sq_source, sum_sq_error, max_error; /* with codes and scale as stored */
} tile_verdict;

void tile_check(const code_rules *r, const tile_view *t, tile_verdict *out);

#endif
