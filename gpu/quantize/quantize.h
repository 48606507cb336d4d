/* What host and device agree on about the quantizing kernels (gpu/quantize/quantize.cu). */
#ifndef QUANTIZE_H
#define QUANTIZE_H

#include <stdint.h>

#include "quant/tile/tile.h"

/* A tile in its matrix. */
typedef struct gpu_tile {
    uint64_t in_off, out_off; /* of its first element and code, bytes into `in` and `out` */
    uint32_t pitch;           /* elements from row to row: columns of the matrix */
    uint16_t rows, cols;      /* 1 ... 128 */
    uint64_t reserved;        /* to 32 bytes, which are read at once */
} gpu_tile;

/* The argument of a kernel: tiles first ... end-1, one block each, all of the source dtype that is
 * in the kernel's name. */
typedef struct gpu_launch {
    const unsigned char *in;
    unsigned char *out;
    const gpu_tile *tiles;
    float *scales;     /* out, for each tile */
    tile_stats *stats; /* out, for each tile */
    uint32_t first, end;
    uint32_t scale;   /* scale_format */
    uint32_t dialect; /* pack_dialect; of the kernels that know others than ieee */
} gpu_launch;

/* Threads of a block, which does one tile. */
enum { QUANTIZE_THREADS = 256 };

#endif
