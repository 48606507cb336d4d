/* FP8 of a source as float32, where it is requantized (spec/quant.md section 8). */
#ifndef FP8_WIDE_H
#define FP8_WIDE_H

#include "format/checkpoint/fp8_pairs.h"

/* Rows [row, row + rows) of one slice of a weight. */
typedef struct fp8_rows {
    const fp8_pair *pair;
    fp8_band band;               /* fp8_scale_band of these rows */
    const unsigned char *codes;  /* [rows, cols] */
    const unsigned char *scales; /* band.bytes */
    uint64_t row, rows, cols;
} fp8_rows;

/* Write fl32(decode(code) * scale) for rows * cols codes, row by row. */
void fp8_widen(const fp8_rows *r, float *to);

#endif
