/* The quantizing kernel: one block, one tile, one pass (spec/quant.md).
 *
 * 512 threads hold a tile of 128 x 128 in registers: thread t has, of the rows l, l+32, l+64 and
 * l+96 with l = t/16, the eight columns from 8(t%16) on, so that a row of BF16 is read 16 bytes a
 * thread and its codes are written 8 bytes a thread. Each element comes from memory once: amax,
 * code and statistics are found in the registers. What costs time besides memory is the number of
 * instructions an element, some thirteen:
 *
 *   - amax and the smallest magnitude by packed instructions, two elements each;
 *   - the quotient by the tile's reciprocal, see `quotient`;
 *   - codes by the conversion instruction of sm_89 and later, two elements each, and decoded by the
 *     inverse instruction. Older devices take the arithmetic of quant/e4m3.h;
 *   - zeros are counted only by threads that can have a zero code. */
#include <stdint.h>

#include "gpu/place.cuh"
#include "gpu/quantize.h"
#include "gpu/rounding.cuh"
#include "gpu/source.cuh"
#include "quant/scale.h"

namespace
{

enum {
    WARPS = QUANTIZE_THREADS / 32,
    ROW_THREADS = TILE / THREAD_COLS /* that share a row */
};

const unsigned FULL_WARP = 0xffffffffu;

/* ---- what the threads of a block share ---- */

struct shared_state {
    float amax[WARPS];
    /* lane(2h, j) + lane(2h+1, j) of warp h, and column j = 8c + 2k + i at [h][k][i][c]. */
    float y2[WARPS][TILE], d2[WARPS][TILE];
    uint32_t zeros, zero_codes, nonfinite, first_nonfinite;
};

/* The largest magnitude of the tile, for all threads; orders them. */
__device__ __forceinline__ float block_amax(float amax, shared_state *s)
{
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t mine = __reduce_max_sync(FULL_WARP, float_bits(amax));
    if (lane == 0) {
        s->amax[threadIdx.x / 32] = float_from_bits(mine);
    }
    if (threadIdx.x == 0) {
        s->zeros = s->zero_codes = s->nonfinite = 0;
        s->first_nonfinite = TILE * TILE;
    }
    __syncthreads();
    return float_from_bits(__reduce_max_sync(FULL_WARP, float_bits(s->amax[lane % WARPS])));
}

template <typename S>
__device__ __forceinline__ void count_nonfinite(const uint32_t (*w)[S::WORDS], uint32_t row,
                                                uint32_t col, shared_state *s)
{
#pragma unroll
    for (int i = 0; i < PASSES; i++) {
#pragma unroll
        for (int k = 0; k < THREAD_COLS; k++) {
            if ((float_bits(element<S>(w[i], k)) & 0x7f800000u) == 0x7f800000u) {
                atomicAdd(&s->nonfinite, 1u);
                atomicMin(&s->first_nonfinite, (row + i * PASS_ROWS) * TILE + col + k);
            }
        }
    }
}

template <typename S>
__device__ __forceinline__ void count_zeros(const uint32_t (*w)[S::WORDS], shared_state *s)
{
    uint32_t zeros = 0;
#pragma unroll
    for (int i = 0; i < PASSES; i++) {
#pragma unroll
        for (int k = 0; k < THREAD_COLS; k++) {
            zeros += (float_bits(element<S>(w[i], k)) & 0x7fffffffu) == 0;
        }
    }
    atomicAdd(&s->zeros, zeros);
}

__device__ __forceinline__ void count_zero_codes(const uint2 *codes, shared_state *s)
{
    uint32_t others = 0; /* a byte of 1 ... 0x7f and 0x7f set the highest bit */
#pragma unroll
    for (int i = 0; i < PASSES; i++) {
        others += __popc((codes[i].x & 0x7f7f7f7fu) + 0x7f7f7f7fu & 0x80808080u);
        others += __popc((codes[i].y & 0x7f7f7f7fu) + 0x7f7f7f7fu & 0x80808080u);
    }
    atomicAdd(&s->zero_codes, PASSES * THREAD_COLS - others);
}

/* ---- codes and sums ---- */

/* Leave the sum of the warp's two rows of threads to `fold`: of the threads that share column c,
 * the lower has v0's column and the upper v1's. */
__device__ __forceinline__ void share_sum(float v0, float v1, int k, float (*to)[TILE])
{
    const uint32_t lane = threadIdx.x % 32;
    const bool upper = lane >= ROW_THREADS;
    const float keep = upper ? v1 : v0;
    const float give = upper ? v0 : v1;
    to[threadIdx.x / 32][k * 32 + lane] = keep + __shfl_xor_sync(FULL_WARP, give, ROW_THREADS);
}

/* Encode columns 2k and 2k+1 of a thread's eight for every k; the two codes take the place of the
 * elements, in word k * WORDS / 4. */
template <typename S, bool DIVIDE>
__device__ __forceinline__ void encode(uint32_t (*w)[S::WORDS], const divisor &d, shared_state *s)
{
#pragma unroll
    for (int k = 0; k < THREAD_COLS / 2; k++) {
        float a0 = 0, a1 = 0, b0 = 0, b1 = 0;
#pragma unroll
        for (int i = 0; i < PASSES; i++) {
            const float x0 = element<S>(w[i], 2 * k);
            const float x1 = element<S>(w[i], 2 * k + 1);
            const float y0 = DIVIDE ? x0 / d.scale : quotient(x0, d);
            const float y1 = DIVIDE ? x1 / d.scale : quotient(x1, d);
            const rounded_pair r = round_pair(y0, y1);
            const float e0 = y0 - r.x;
            const float e1 = y1 - r.y;
            w[i][k * S::WORDS / 4] = r.codes;
            a0 = i == 0 ? y0 * y0 : a0 + y0 * y0;
            a1 = i == 0 ? y1 * y1 : a1 + y1 * y1;
            b0 = i == 0 ? e0 * e0 : b0 + e0 * e0;
            b1 = i == 0 ? e1 * e1 : b1 + e1 * e1;
        }
        share_sum(a0, a1, k, s->y2);
        share_sum(b0, b1, k, s->d2);
    }
}

template <typename S>
__device__ __forceinline__ void gather_codes(const uint32_t (*w)[S::WORDS], uint2 *codes)
{
    enum { STEP = S::WORDS / 4 };
#pragma unroll
    for (int i = 0; i < PASSES; i++) {
        codes[i] = make_uint2(__byte_perm(w[i][0], w[i][STEP], 0x5410),
                              __byte_perm(w[i][2 * STEP], w[i][3 * STEP], 0x5410));
    }
}

/* column(j) over the warps, ascending, then the tree over columns; by one warp, the result in lane
 * 0. Lane 16i + c has the columns 8c + 2k + i. */
__device__ __forceinline__ float fold(const float (*v)[TILE])
{
    const uint32_t lane = threadIdx.x % 32;
    float column[4] = {};
#pragma unroll
    for (int h = 0; h < WARPS; h++) {
#pragma unroll
        for (int k = 0; k < 4; k++) {
            column[k] = column[k] + v[h][k * 32 + lane];
        }
    }
#pragma unroll
    for (int w = 8; w > 0; w /= 2) { /* 64, 32, 16, 8 columns away */
#pragma unroll
        for (int k = 0; k < 4; k++) {
            column[k] = column[k] + __shfl_down_sync(FULL_WARP, column[k], w);
        }
    }
    const float sum = (column[0] + column[2]) + (column[1] + column[3]); /* 4, then 2 */
    return sum + __shfl_down_sync(FULL_WARP, sum, ROW_THREADS);          /* 1 */
}

__device__ __forceinline__ void report(const gpu_launch &launch, uint32_t tile, const place &p,
                                       float amax, float scale, const shared_state *s)
{
    const uint32_t warp = threadIdx.x / 32;
    tile_stats *const to = &launch.stats[tile];
    if (warp > 1) {
        return;
    }
    const float sum = fold(warp == 0 ? s->y2 : s->d2);
    if (threadIdx.x % 32 != 0) {
        return;
    }
    if (warp == 1) {
        to->sum_d2 = sum;
        return;
    }
    const uint32_t clipped = TILE * TILE - p.rows * p.cols;
    launch.scales[tile] = scale;
    to->amax = amax;
    to->sum_y2 = sum;
    to->saturated = 0; /* y is at most 448 and a rounding error: scales are made so */
    to->zero = s->zeros > clipped ? s->zeros - clipped : 0;
    to->flushed = s->zero_codes - s->zeros;
    to->nonfinite = s->nonfinite;
    to->first_nonfinite = s->nonfinite ? s->first_nonfinite : 0;
}

template <typename S> __device__ __forceinline__ void quantize(const gpu_launch &launch)
{
    __shared__ shared_state shared;
    const uint32_t tile = launch.first_tile + blockIdx.x;
    const uint32_t row = threadIdx.x / ROW_THREADS;
    const uint32_t col = threadIdx.x % ROW_THREADS * THREAD_COLS;
    const place p = find_place<S>(launch, tile);
    uint32_t w[PASSES][S::WORDS];
    if (p.vector == 16) {
        load_wide<S, uint4>(p, row, col, w);
    } else if (p.vector == 8) {
        load_wide<S, uint2>(p, row, col, w);
    } else {
        load_narrow<S>(p, row, col, w);
    }
    const extent found = find_extent<S>(w);
    const float amax = block_amax(found.largest, &shared);
    const float scale = scale_from_amax(amax, launch.ue8m0 ? SCALES_UE8M0 : SCALES_F32);
    const divisor d = {scale, 1 / scale};
    const bool may_be_zero = found.least <= scale * 0x1p-9f;
    if (may_be_zero) {
        count_zeros<S>(w, &shared);
    }
    if (float_bits(amax) >= 0x7f800000u) {
        count_nonfinite<S>(w, row, col, &shared);
    }
    if (S::BYTES == 4 || scale < 0x1p-25f) {
        encode<S, true>(w, d, &shared);
    } else {
        encode<S, false>(w, d, &shared);
    }
    uint2 codes[PASSES];
    gather_codes<S>(w, codes);
    if (may_be_zero) {
        count_zero_codes(codes, &shared);
    }
    if (p.vector > 0) {
        store_wide(p, row, col, codes);
    } else {
        store_narrow(p, row, col, codes);
    }
    __syncthreads();
    report(launch, tile, p, amax, scale, &shared);
}

} // namespace

/* Blocks that a multiprocessor shall hold: while one waits for memory the others compute. The tiles
 * of F32 need more registers. */
#ifndef BLOCKS_16
#define BLOCKS_16 3
#define BLOCKS_32 2
#endif

extern "C" __global__ void __launch_bounds__(QUANTIZE_THREADS, BLOCKS_16)
    quantize_bf16(const __grid_constant__ gpu_launch launch)
{
    quantize<bf16_source>(launch);
}

extern "C" __global__ void __launch_bounds__(QUANTIZE_THREADS, BLOCKS_16)
    quantize_f16(const __grid_constant__ gpu_launch launch)
{
    quantize<f16_source>(launch);
}

extern "C" __global__ void __launch_bounds__(QUANTIZE_THREADS, BLOCKS_32)
    quantize_f32(const __grid_constant__ gpu_launch launch)
{
    quantize<f32_source>(launch);
}
