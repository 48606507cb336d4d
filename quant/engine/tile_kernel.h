/* The tile kernel: computes codes, scales and statistics for tiles of one job, on one thread. It is
 * compiled once for each instruction level (format/base/levelled.h).
 *
 *     const tile_kernel *k = tile_kernel_at(level);
 *     k->quantize(&job, slot->in, slot->out, first, count, scratch);
 *
 * Calls may run in parallel if their tiles are different and each has a scratch of its own. */
#ifndef TILE_KERNEL_H
#define TILE_KERNEL_H

#include <stdint.h>

#include "format/base/levelled.h"
#include "quant/engine/engine.h"
#include "quant/tile/tile.h"

/* Rows that are encoded together: two lanes of four rows each (spec/quant.md section 5). */
enum { TILE_GROUP = 8 };

/* Work space of one thread, about 90 KiB: much less than a level 2 cache. */
typedef struct tile_scratch {
    _Alignas(64) float x[TILE][TILE];      /* the tile, widened; +0 where it is clipped */
    uint32_t wide_codes[TILE_GROUP][TILE]; /* codes of a group of rows, one in 32 bits */
    unsigned char codes[TILE][TILE];       /* codes of a clipped tile */
    unsigned char zero_codes[TILE];        /* by column: codes +0 and -0 */
    float sum_y2[TILE], sum_d2[TILE];      /* by column */
} tile_scratch;

typedef struct tile_kernel {
    const char *name; /* of the level */

    /* Quantize the tiles first ... first+count-1 of the job, counted in row-major order. `in` and
     * `out` are the buffers that the offsets of the job refer to. Writes the codes of these tiles,
     * and their entries of job->tile_scales and job->stats. */
    void (*quantize)(const engine_job *job, const unsigned char *in, unsigned char *out,
                     uint64_t first, uint64_t count, tile_scratch *scratch);
} tile_kernel;

/* tile_kernel_at: the kernel for a level that this processor has. */
LEVELLED_TABLES(tile_kernel)

#endif
