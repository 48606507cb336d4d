/* What host and device agree on about the quantizing kernels (gpu/quantize.cu). */
#ifndef QUANTIZE_H
#define QUANTIZE_H

#include <stdint.h>

#include "quant/tile.h"

/* One matrix, or a run of whole rows of tiles of one. */
typedef struct gpu_matrix {
    uint64_t in_off, out_off; /* bytes into `in` and `out` of the launch */
    uint32_t rows, cols;
    uint32_t across;     /* tiles side by side: ceil(cols / 128) */
    uint32_t first_tile; /* its place in `scales` and `stats`: tiles count through all matrices */
} gpu_matrix;

/* The argument of a kernel. Block b does tile first_tile + b: of matrix tile_matrix[first_tile +
 * b]. All matrices of a launch have the same source dtype, which is in the kernel's name. */
typedef struct gpu_launch {
    const unsigned char *in;
    unsigned char *out;
    const gpu_matrix *matrices;
    const uint32_t *tile_matrix; /* for each tile the number of its matrix */
    float *scales;               /* out, for each tile */
    tile_stats *stats;           /* out, for each tile */
    uint32_t first_tile;
    uint32_t ue8m0; /* scales are powers of two */
} gpu_launch;

enum {
    QUANTIZE_THREADS = 512
}; /* of a block; the order of sums in spec/quant.md section 5 has it */

#endif
