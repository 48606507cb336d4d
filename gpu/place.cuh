/* A tile in its matrix, and the way from there into registers and back (gpu/source.cuh says how
 * elements lie there). */
#ifndef PLACE_CUH
#define PLACE_CUH

#include <stddef.h>
#include <stdint.h>

#include "gpu/quantize.h"
#include "gpu/source.cuh"

namespace
{

enum { PASS_ROWS = 32 }; /* from one row of a thread to the next */

struct place {
    const unsigned char *from; /* first element */
    unsigned char *to;         /* its code */
    size_t pitch;              /* elements from row to row */
    uint32_t rows, cols;       /* at most 128 */
    uint32_t vector;           /* bytes to load at a time: 16, 8, or 0: element by element */
};

template <typename S>
__device__ __forceinline__ place find_place(const gpu_launch &launch, uint32_t tile)
{
    const gpu_matrix m = launch.matrices[launch.tile_matrix[tile]];
    const uint32_t index = tile - m.first_tile;
    const uint32_t down = index / m.across;
    const uint32_t row = down * TILE;
    const uint32_t col = (index - down * m.across) * TILE;
    const size_t first = (size_t)row * m.cols + col;
    place p;
    p.from = launch.in + m.in_off + first * S::BYTES;
    p.to = launch.out + m.out_off + first;
    p.pitch = m.cols;
    p.rows = min(m.rows - row, (uint32_t)TILE);
    p.cols = min(m.cols - col, (uint32_t)TILE);
    const uint32_t lies = (uint32_t)(uintptr_t)p.from | m.cols * S::BYTES;
    const bool whole = p.cols == TILE && ((uint32_t)(uintptr_t)p.to | m.cols) % 8 == 0;
    p.vector = !whole || lies % 8 != 0 ? 0 : lies % 16 == 0 ? 16 : 8;
    return p;
}

/* `vector` is uint4 or uint2: 16 or 8 bytes of each row at a time. */
template <typename S, typename vector>
__device__ __forceinline__ void load_wide(const place &p, uint32_t row, uint32_t col,
                                          uint32_t (*w)[S::WORDS])
{
    enum { WORDS_AT_ONCE = sizeof(vector) / 4 };
    const unsigned char *from = p.from + ((size_t)row * p.pitch + col) * S::BYTES;
#pragma unroll
    for (int i = 0; i < PASSES; i++) {
#pragma unroll
        for (int k = 0; k < S::WORDS; k += WORDS_AT_ONCE) {
            vector v = {};
            if (row + i * PASS_ROWS < p.rows) {
                v = __ldcs((const vector *)(from + k * 4));
            }
            memcpy(&w[i][k], &v, sizeof v);
        }
        from += PASS_ROWS * p.pitch * S::BYTES;
    }
}

/* One element at a time, for tiles that are clipped on the right or lie askew. */
template <typename S>
__device__ __forceinline__ void load_narrow(const place &p, uint32_t row, uint32_t col,
                                            uint32_t (*w)[S::WORDS])
{
#pragma unroll
    for (int i = 0; i < PASSES; i++) {
#pragma unroll
        for (int k = 0; k < S::WORDS; k++) {
            w[i][k] = 0;
        }
        const uint32_t r = row + i * PASS_ROWS;
#pragma unroll
        for (uint32_t k = 0; k < THREAD_COLS; k++) {
            if (r < p.rows && col + k < p.cols) {
                const unsigned char *const at = p.from + ((size_t)r * p.pitch + col + k) * S::BYTES;
                if (S::BYTES == 4) {
                    w[i][k] = *(const uint32_t *)at;
                } else {
                    w[i][k / 2] |= (uint32_t)(*(const uint16_t *)at) << (k % 2 * 16);
                }
            }
        }
    }
}

__device__ __forceinline__ void store_wide(const place &p, uint32_t row, uint32_t col,
                                           const uint2 *codes)
{
    unsigned char *to = p.to + (size_t)row * p.pitch + col;
#pragma unroll
    for (int i = 0; i < PASSES; i++) {
        if (row + i * PASS_ROWS < p.rows) {
            __stcs((uint2 *)to, codes[i]);
        }
        to += PASS_ROWS * p.pitch;
    }
}

__device__ __forceinline__ void store_narrow(const place &p, uint32_t row, uint32_t col,
                                             const uint2 *codes)
{
#pragma unroll
    for (int i = 0; i < PASSES; i++) {
        const uint32_t r = row + i * PASS_ROWS;
#pragma unroll
        for (uint32_t k = 0; k < THREAD_COLS; k++) {
            if (r < p.rows && col + k < p.cols) {
                const uint32_t word = k < 4 ? codes[i].x : codes[i].y;
                p.to[(size_t)r * p.pitch + col + k] = (unsigned char)(word >> (k % 4 * 8));
            }
        }
    }
}

} // namespace

#endif
