/* Is a code the correct rounding of its source, and which one is it? The arithmetic shares nothing
 * with the quantizer.
 *
 *     code_rules_create(&rules, e);
 *     tile_check(&rules, &tile, &verdict);      any number of tiles, on any number of threads
 *     tile_define(&rules, &tile, rows, codes, pitch, &scale);
 *     code_rules_free(&rules);
 *
 * The quantizer computes a code from a quotient. Here the check is inverted: the meaning of a code
 * (spec/quant.md section 3) gives the interval of quotients that round to it, with the midpoints at
 * its ends included if the code is even, and the quotient must lie in that interval.
 * verify/rule/code_rule.h defines the quotient and the correct scale. */
#ifndef CODE_CHECK_H
#define CODE_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/tensor/block.h"
#include "format/tensor/dialect_id.h"
#include "format/tensor/dtype.h"
#include "format/base/err.h"

enum { CODE_PIECES = 4096 };

typedef struct code_rules {
    float value[256];          /* value of a code; NaN for 0x7F and 0xFF */
    float low[256], high[256]; /* magnitudes of quotients, inclusive; empty for the NaNs */
    unsigned char least_code[CODE_PIECES]; /* of a quotient with these upper bits, others zero */
    float *f16;                            /* [65536] value of an F16 bit pattern */
} code_rules;

/* Errors: ERR_MEMORY. Free with code_rules_free. Read-only afterwards: threads may share it. */
MUST_CHECK err_code code_rules_create(code_rules *out, err *e);
void code_rules_free(code_rules *r);

/* A block where it lies, clipped: at most BLOCK_MAX_ROWS x BLOCK_MAX_COLS. */
typedef struct tile_view {
    const unsigned char *source; /* BF16, F16 or F32, little-endian */
    const unsigned char *codes;
    dtype type;
    size_t pitch; /* elements from one row to the next, in both */
    unsigned rows, cols;
    float scale; /* as stored */
    scale_format scales;
    pack_dialect dialect;
} tile_view;

typedef struct tile_verdict {
    float scale; /* the correct one; everything below, except the last line, is for this scale */
    float amax;
    bool scale_right;
    uint32_t wrong_codes;
    unsigned wrong_row, wrong_col;                 /* of the first wrong code, row-major */
    uint32_t saturated, zero, flushed;             /* spec/quant.md section 5 */
    double sum_sq_source, sum_sq_error, max_error; /* with the codes and the scale as stored */
} tile_verdict;

void tile_check(const code_rules *r, const tile_view *t, tile_verdict *out);

/* The scale and the codes that a tile has by definition: those that tile_check finds right. Codes
 * and scale of the view are not read. The codes of the first `rows` rows are written, in rows that
 * are `pitch` apart. A NaN, and every element of a tile with an infinity, which convert refuses,
 * has a value that is not finite. */
void tile_define(const code_rules *r, const tile_view *t, unsigned rows, unsigned char *codes,
                 size_t pitch, float *scale);

#endif
