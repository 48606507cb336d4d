/* Dequantization: fl32(code * scale), as spec/quant.md section 3 defines it, and the same rounded to
 * BF16 or F16.
 *
 *     const code_band band = {.block = r->block, .codes = codes, .scales = scales, ...};
 *     dequantize(&band, DTYPE_BF16, to);
 *
 * Pure functions, without errors; any thread may call them. */
#ifndef DEQUANTIZE_H
#define DEQUANTIZE_H

#include <stddef.h>
#include <stdint.h>

#include "format/tensor/block.h"
#include "format/tensor/dtype.h"

/* x rounded to BF16, to nearest, ties to even; a NaN stays a NaN. */
uint16_t bf16_round(float x);

/* The same for F16, except that values beyond its largest number, 65504, become that number: a
 * source in F16 had no larger one, but a code times a power of two may be larger. */
uint16_t f16_round(float x);

/* Rows of a matrix that begin where a row of blocks begins. */
typedef struct code_band {
    block_format block;
    const unsigned char *codes;  /* [rows, cols] */
    const unsigned char *scales; /* [block_down, block_across], little-endian */
    dtype scale_type;            /* as scale_value takes it */
    size_t rows, cols;
} code_band;

/* Write rows * cols numbers, little-endian, as F32, BF16 or F16. */
void dequantize(const code_band *b, dtype as, unsigned char *to);

#endif
