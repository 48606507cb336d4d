/* Block formats: how a quantized matrix is divided, and what its codes and scales are.
 *
 *     const block_format b = block_fp8(SCALES_UE8M0);
 *     block_count(b, rows, cols)          scales that a matrix has
 *     block_unsupported(b, text)          NULL, or why octavo cannot read or write such blocks
 *
 * A matrix of codes has one scale for each block of rows x cols elements; blocks at the right and
 * the lower edge are clipped. A block of 128 x 128 is called a tile (spec/quant.md). Everything
 * except the kernels takes sizes from a block_format: another format needs a row of the table in
 * block.c, a function like block_fp8, and kernels that compute it.
 *
 * All functions are pure. Compiles as C11 and as CUDA C++17. */
#ifndef BLOCK_H
#define BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "format/tensor/dtype.h"

/* Which values scales may have: name, word. f32: any float32; ue8m0: powers of two. */
#define SCALE_FORMAT_LIST(X)                                                                       \
    X(F32, "f32")                                                                                  \
    X(UE8M0, "ue8m0")

/* One byte, because it is stored in tables of 100,000 records. */
typedef enum __attribute__((packed)) scale_format {
#define X(name, word) SCALES_##name,
    SCALE_FORMAT_LIST(X)
#undef X
        SCALE_FORMAT_COUNT
} scale_format;

const char *scale_format_name(scale_format s);

/* False if no scale format has this name. */
bool scale_format_parse(const char *word, scale_format *out);

/* May scales be stored in this dtype? And which format does the dtype alone guarantee? */
bool scale_stored_in(dtype t);
scale_format scale_format_of(dtype stored);

/* All zeros: there are no blocks. */
typedef struct block_format {
    uint16_t rows, cols; /* of a block; 0: the whole dimension */
    dtype code;          /* DTYPE_NONE: nothing is quantized, there are no blocks */
    scale_format scale;
} block_format;

/* Tiles of E4M3 codes: what octavo writes. */
static inline block_format block_fp8(scale_format scale)
{
    const block_format b = {128, 128, DTYPE_F8_E4M3, scale};
    return b;
}

/* Size of the largest supported block, for buffers on the stack. */
enum { BLOCK_MAX_ROWS = 128, BLOCK_MAX_COLS = 128 };

bool block_same_size(block_format a, block_format b);

/* Rows of a block in a matrix with `rows` rows, columns of one in a matrix with `cols` columns,
 * before clipping. */
uint64_t block_height(block_format b, uint64_t rows);
uint64_t block_width(block_format b, uint64_t cols);

/* Number of blocks of a matrix: in a column of blocks, in a row of blocks, in total, and clipped by
 * an edge. */
uint64_t block_down(block_format b, uint64_t rows);
uint64_t block_across(block_format b, uint64_t cols);
uint64_t block_count(block_format b, uint64_t rows, uint64_t cols);
uint64_t block_clipped(block_format b, uint64_t rows, uint64_t cols);

/* "128 x 128", for messages; "all" for a whole dimension. Returns `text`. */
enum { BLOCK_TEXT_BYTES = 64 };
const char *block_text(block_format b, char text[BLOCK_TEXT_BYTES]);

/* NULL if octavo reads and writes such blocks. Otherwise the reason, in `text`: "tiles of 64 x 64,
 * expected 128 x 128". */
const char *block_unsupported(block_format b, char text[BLOCK_TEXT_BYTES]);

#endif
