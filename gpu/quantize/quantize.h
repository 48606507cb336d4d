/* The arguments of the quantizing kernels (gpu/quantize/quantize.cu), shared by host and device
 * code.
 *
 * For each source dtype there are two kernels: quantize_* for the dialect ieee, dialect_* for all
 * other dialects. */
#ifndef QUANTIZE_H
#define QUANTIZE_H

#include <stdint.h>

#include "quant/tile/tile.h"

/* A tile in its matrix. */
typedef struct gpu_tile {
    uint64_t in_off, out_off; /* bytes into `in` and `out`: its first element, its first code */
    uint32_t pitch;           /* elements from one row to the next: columns of the matrix */
    uint16_t rows, cols;      /* 1 ... 128 */
    uint64_t reserved;        /* padding to 32 bytes, which two loads read */
} gpu_tile;

/* The argument of a kernel: tiles first ... end-1, one block for each, all of the source dtype in
 * the kernel's name. */
typedef struct gpu_launch {
    const unsigned char *in;
    unsigned char *out;
    const gpu_tile *tiles;
    float *scales;     /* out, for each tile */
    tile_stats *stats; /* out, for each tile */
    uint32_t first, end;
    uint32_t scale;   /* scale_format */
    uint32_t dialect; /* pack_dialect; read by dialect_* only */
} gpu_launch;

/* Threads per block; a block quantizes one tile. */
enum { QUANTIZE_THREADS = 256 };

#endif
