/* Codes back to plain numbers: fl32(code * scale), as spec/quant.md section 3 has it, and the same
 * rounded to BF16 or F16. */
#ifndef DEQUANTIZE_H
#define DEQUANTIZE_H

#include <stddef.h>
#include <stdint.h>

#include "format/tensor/block.h"
#include "format/tensor/dtype.h"

/* x rounded to BF16, to nearest, ties to even; a NaN stays one. */
uint16_t bf16_round(float x);

/* The same to F16; what is beyond its largest number, 65504, becomes that: a source in F16 was not
 * larger, but a code times a power of two may be. */
uint16_t f16_round(float x);

/* Some rows of blocks of a matrix, from their first row on. */
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
