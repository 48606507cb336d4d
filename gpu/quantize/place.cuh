/* The place of a tile in its matrix, and loads and stores between there and registers
 * (gpu/quantize/source.cuh defines which thread holds which elements). */
#ifndef PLACE_CUH
#define PLACE_CUH

#include <stddef.h>
#include <stdint.h>

#include "gpu/quantize/quantize.h"
#include "gpu/quantize/source.cuh"

namespace
{

struct place {
    const unsigned char *from; /* first element */
    unsigned char *to;         /* its code */
    uint32_t pitch;            /* elements from one row to the next */
    uint32_t rows, cols;       /* at most 128 */
};

template <typename S>
__device__ __forceinline__ place find_place(const gpu_launch &launch, uint32_t tile)
{
    const uint4 *const at = (const uint4 *)&launch.tiles[tile];
    const uint4 words[2] = {at[0], at[1]};
    gpu_tile t;
    memcpy(&t, words, sizeof t);
    return {launch.in + t.in_off, launch.out + t.out_off, t.pitch, t.rows, t.cols};
}

/* How many bytes of a row can be accessed at a time: 16 or 8, or 0: single elements. If it is not
 * 0, the eight columns of a thread are either all inside the tile or all outside. */
template <typename S> __device__ __forceinline__ uint32_t vector_bytes(const place &p)
{
    const uint32_t from = (uint32_t)(uintptr_t)p.from | p.pitch * S::BYTES;
    const uint32_t to = (uint32_t)(uintptr_t)p.to | p.pitch | p.cols;
    return from % 8 != 0 || to % 8 != 0 ? 0 : from % 16 == 0 ? 16 : 8;
}

template <typename S>
__device__ __forceinline__ const unsigned char *row_start(const place &p, uint32_t row,
                                                          uint32_t col)
{
    return p.from + ((uint64_t)row * p.pitch + col) * S::BYTES;
}

__device__ __forceinline__ bool is_whole(const place &p)
{
    return p.rows == TILE && p.cols == TILE;
}

/* Load by vectors; `vector` is uint4 or uint2. A WHOLE tile needs no bounds checks. */
template <typename S, typename vector, bool WHOLE>
__device__ __forceinline__ void load_wide(const place &p, uint32_t row, uint32_t col,
                                          uint32_t (*w)[S::WORDS])
{
    enum { WORDS_AT_ONCE = sizeof(vector) / 4 };
    const unsigned char *const from = row_start<S>(p, row, col);
    const uint32_t step = p.pitch * S::BYTES;
#pragma unroll
    for (int i = 0; i < THREAD_ROWS; i++) {
#pragma unroll
        for (int k = 0; k < S::WORDS; k += WORDS_AT_ONCE) {
            vector v = {};
            if (WHOLE || (row + row_of(i) < p.rows && col < p.cols)) {
                v = *(const vector *)(from + (uint64_t)row_of(i) * step + k * 4);
            }
            memcpy(&w[i][k], &v, sizeof v);
        }
    }
}

/* Load single elements, for tiles that are clipped on the right or not aligned. */
template <typename S>
__device__ __forceinline__ void load_narrow(const place &p, uint32_t row, uint32_t col,
                                            uint32_t (*w)[S::WORDS])
{
#pragma unroll
    for (int i = 0; i < THREAD_ROWS; i++) {
#pragma unroll
        for (int k = 0; k < S::WORDS; k++) {
            w[i][k] = 0;
        }
        const uint32_t r = row + row_of(i);
#pragma unroll
        for (uint32_t k = 0; k < THREAD_COLS; k++) {
            if (r < p.rows && col + k < p.cols) {
                const unsigned char *const at =
                    p.from + ((uint64_t)r * p.pitch + col + k) * S::BYTES;
                if (S::BYTES == 4) {
                    w[i][k] = *(const uint32_t *)at;
                } else {
                    w[i][k / 2] |= (uint32_t)(*(const uint16_t *)at) << (k % 2 * 16);
                }
            }
        }
    }
}

template <bool WHOLE>
__device__ __forceinline__ void store_wide(const place &p, uint32_t row, uint32_t col,
                                           const uint2 *codes)
{
    unsigned char *const to = p.to + (uint64_t)row * p.pitch + col;
#pragma unroll
    for (int i = 0; i < THREAD_ROWS; i++) {
        if (WHOLE || (row + row_of(i) < p.rows && col < p.cols)) {
            __stcs((uint2 *)(to + (uint64_t)row_of(i) * p.pitch), codes[i]);
        }
    }
}

__device__ __forceinline__ void store_narrow(const place &p, uint32_t row, uint32_t col,
                                             const uint2 *codes)
{
#pragma unroll
    for (int i = 0; i < THREAD_ROWS; i++) {
        const uint32_t r = row + row_of(i);
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
