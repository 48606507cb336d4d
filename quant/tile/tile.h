/* Scales and statistics of tiles (spec/quant.md sections 2 and 5): the types and sums that the
 * quantizers on all devices share.
 *
 *     slice_stats s = SLICE_STATS_EMPTY;
 *     slice_stats_add(&s, job.stats, job.tile_scales, tiles);
 *     dB = stats_sqnr(s.sum_sq_source, s.sum_sq_error);
 *
 * Pure functions without errors. */
#ifndef TILE_H
#define TILE_H

#include <stdint.h>

/* Rows and columns of a tile, for which the kernels are compiled; all other code takes them from the
 * block format (format/tensor/block.h). */
enum { TILE = 128 };

/* How an element x becomes y, as x / by or x * by, and whether y is rounded to 16 bits before it is
 * rounded to a code. */
typedef enum tile_step { STEP_DIVIDE, STEP_MULTIPLY, STEP_DIVIDE_BF16, STEP_DIVIDE_F16 } tile_step;

/* What follows from the amax of a tile in a dialect (quant/engine/tile_rule.h). */
typedef struct tile_rule {
    float scale; /* as stored */
    float by;
    tile_step step;
} tile_rule;

/* The statistics of one tile. Sums are in units of codes (of y, about x / scale). If nonfinite is
 * not 0, the source has infinities or NaNs, and scale, codes and all members but the last two are
 * meaningless. */
typedef struct tile_stats {
    float amax;               /* largest |x| */
    float sum_y2, sum_d2;     /* A and B of spec/quant.md section 5 */
    uint32_t saturated;       /* |y| >= 464 */
    uint32_t zero;            /* x is +0 or -0 */
    uint32_t flushed;         /* x is not 0, but its code is */
    uint32_t nonfinite;       /* number of infinities and NaNs */
    uint32_t first_nonfinite; /* the first of them in row-major order: row * 128 + column within the
                                 tile */
} tile_stats;

/* The statistics of one slice: a matrix, or one expert (a STAT row, spec/format.md section 8). */
typedef struct slice_stats {
    float amax, scale_min, scale_max;
    uint64_t saturated, zero, flushed;
    double sum_sq_source, sum_sq_error;
} slice_stats;

#define SLICE_STATS_EMPTY ((slice_stats){.scale_min = 3.402823466e38f})

/* Add `count` tiles, in row-major order, to a slice. The order of calls for one slice matters too:
 * ascending, because floating-point sums depend on it. */
void slice_stats_add(slice_stats *s, const tile_stats *tiles, const float *scales, uint64_t count);

/* How many of x[0 ... count-1] are saturated: |y| >= 464. Kernels call this only if the y of amax is
 * saturated: all steps are monotonic, so otherwise no element is. With the scales of section 2 that
 * never happens. */
uint32_t stats_count_saturated(const float *x, uint32_t count, const tile_rule *rule);

/* 10 log10(source / error) in dB; NAN if the error is 0. */
double stats_sqnr(double sum_sq_source, double sum_sq_error);

#endif
