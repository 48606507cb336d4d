/* The matmul kernel (spec/forward.md section 5), on one thread. A levelled source
 * (format/base/levelled.h).
 *
 * A vector holds adjacent tokens, so that weights need not be reordered: x is packed once into
 * panels of `width` tokens, [K][width] each, the last one padded with zeros. A block of rows of w
 * is widened, one slice of K at a time, and multiplied with the panels, micro-tile by micro-tile.
 * Sums are kept in memory between slices and continued, so that slicing K changes no bit.
 *
 *     for each panel and slice: pack(&job, panel, slice)       then, in any order:
 *     for each block of rows and chunk of panels: multiply(&job, &block, work)
 *
 * Calls may run in parallel if they are for different panels, slices or blocks, and have different
 * work spaces. */
#ifndef MATMUL_KERNEL_H
#define MATMUL_KERNEL_H

#include "format/base/levelled.h"
#include "format/base/num.h"
#include "quant/tile/tile.h"
#include "verify/ops/ops.h"

/* Columns of w that are widened at a time, whole tiles; most rows of a block; most tokens of a
 * chunk. Widened rows and sums, 96 KiB each, leave space for x in a level 2 cache. */
enum { MATMUL_SLICE = 4 * TILE, MATMUL_ROWS = 48, MATMUL_TOKENS = 512 };

typedef struct matmul_job {
    mat x, y;
    const weight *w;
    bool fp8;      /* w is quantized, and x is quantized when it is packed */
    float *panels; /* [K][tokens of the panel], panel after panel */
    float *scales; /* with fp8: [groups][tokens of the panel], panel after panel */
} matmul_job;

typedef struct matmul_block {
    size_t row, rows;     /* of w, rows <= MATMUL_ROWS */
    size_t panel, panels; /* <= MATMUL_TOKENS tokens */
} matmul_block;

typedef struct matmul_kernel {
    const char *name;
    size_t rows;  /* of a micro-tile: blocks of a multiple waste nothing */
    size_t width; /* tokens of a panel; the last one may have fewer */

    void (*pack)(const matmul_job *job, size_t panel, size_t slice);
    /* work: matmul_work_floats(), aligned to 64 bytes. */
    void (*multiply)(const matmul_job *job, const matmul_block *block, float *work);
} matmul_kernel;

LEVELLED_TABLES(matmul_kernel)

enum { MATMUL_NARROW = 8 }; /* tokens of the narrowest panel */

/* The width of a panel that has to hold `tokens` > 0: 8, 16, 32 ... up to `width`. */
static inline size_t matmul_panel_width(size_t tokens, size_t width)
{
    size_t w = MATMUL_NARROW;
    while (w < tokens && w < width) {
        w *= 2;
    }
    return w;
}

/* Tokens of all panels, padding included. */
static inline size_t matmul_padded(size_t tokens, size_t width)
{
    const size_t rest = tokens % width;
    return tokens - rest + (rest ? matmul_panel_width(rest, width) : 0);
}

/* Floats for the widened rows and the sums of a block, rounded up to whole micro-tiles. */
static inline size_t matmul_work_floats(const matmul_kernel *k, size_t tokens)
{
    const size_t sums = num_min(matmul_padded(tokens, k->width), MATMUL_TOKENS);
    return (MATMUL_ROWS + k->rows) * (MATMUL_SLICE + sums);
}

#endif
