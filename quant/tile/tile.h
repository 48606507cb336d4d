/* Scales and statistics of tiles (spec/quant.md 2 and 5). */
#ifndef TILE_H
#define TILE_H

#include <stdint.h>

/* Rows and columns of a tile, as the kernels are compiled for it; everything else asks the block
 * format (format/tensor/block.h). */
enum { TILE = 128 };

/* How elements x become y: x / by or x * by; and whether y is rounded to 16 bits before it becomes
 * a code. */
typedef enum tile_step { STEP_DIVIDE, STEP_MULTIPLY, STEP_DIVIDE_BF16, STEP_DIVIDE_F16 } tile_step;

/* What a dialect makes of the amax of a tile (quant/engine/tile_rule.h). */
typedef struct tile_rule {
    float scale; /* as it is stored */
    float by;
    tile_step step;
} tile_rule;

/* What the quantizer learns about one tile. Sums are in code units (y, about x / scale). If
 * nonfinite is not 0 the source held infinities or NaNs, and scale, codes and the other members
 * mean nothing. */
typedef struct tile_stats {
    float amax;               /* largest |x| */
    float sum_y2, sum_d2;     /* A and B of spec/quant.md section 5 */
    uint32_t saturated;       /* |y| >= 464 */
    uint32_t zero;            /* x is +0 or -0 */
    uint32_t flushed;         /* x is not 0, its code is */
    uint32_t nonfinite;       /* number of infinities and NaNs */
    uint32_t first_nonfinite; /* row * 128 + column within the tile of the first of them in
                                 row-major order */
} tile_stats;

/* The statistics of one slice: a matrix, or one expert (a STAT row, spec/format.md section 8). */
typedef struct slice_stats {
    float amax, scale_min, scale_max;
    uint64_t saturated, zero, flushed;
    double sum_sq_source, sum_sq_error;
} slice_stats;

#define SLICE_STATS_EMPTY ((slice_stats){.scale_min = 3.402823466e38f})

/* Add `count` tiles to a slice, in row-major order; bands of a slice in ascending order. */
void slice_stats_add(slice_stats *s, const tile_stats *tiles, const float *scales, uint64_t count);

/* How many of x[0 ... count-1] are saturated: |y| >= 464. Kernels ask only where the y of amax is:
 * all steps are monotonic, so no other tile has one; with the scales of section 2 no tile has. */
uint32_t stats_count_saturated(const float *x, uint32_t count, const tile_rule *rule);

/* 10 log10(source / error) in dB; NAN if the error is 0. */
double stats_sqnr(double sum_sq_source, double sum_sq_error);

#endif
