/* The quantizing kernel: one block, one tile, one pass (spec/quant.md).
 *
 * The threads of a block hold a tile of 128 x 128 in registers: a row of BF16 is read in 16 bytes
 * per thread, and its codes are written in 8 bytes per thread. Each element is read from memory
 * once; amax, codes and statistics are computed from the registers. Besides memory traffic, only
 * the number of instructions per element matters, about sixteen in all:
 *
 *   - amax and the smallest magnitude: by packed instructions, two elements each;
 *   - the quotient: by the tile's reciprocal (gpu/quantize/rounding.cuh);
 *   - codes: by the conversion instruction of sm_89 and later, two elements each, and decoded by
 *     its inverse; older devices use the arithmetic of format/tensor/e4m3.h;
 *   - zeros: counted only by threads that can have a zero code;
 *   - sums: a thread holds the lanes that are added first, so threads exchange no partial sums;
 *   - whole tiles in aligned rows: loaded and stored without bounds checks.
 *
 * Dialects other than ieee have separate kernels, which decide at run time what to compute
 * (gpu/quantize/rounding.cuh), so that the kernels for ieee do not have to.
 *
 * Loads are ordinary ones: loads that bypass the L1 cache, and asynchronous copies into shared
 * memory, were slower (H100). Everything is forced inline: an array whose address is passed to a
 * function would be placed in memory. */
#include <stdint.h>

#include "gpu/quantize/place.cuh"
#include "gpu/quantize/quantize.h"
#include "gpu/quantize/rounding.cuh"
#include "gpu/quantize/source.cuh"
#include "quant/engine/tile_rule.h"

namespace
{

enum {
    SUMS = LANE_STEP / 2, /* of two lanes each */
    WARPS = QUANTIZE_THREADS / 32,
};

const unsigned FULL_WARP = 0xffffffffu;

/* ---- state that the threads of a block share ------------------- */

struct shared_state {
    float amax[WARPS];
    /* lane(2h, j) + lane(2h+1, j), for column j = 8c + 4k + i, is element i of [h][k][c]. */
    float4 y2[SUMS][2][ROW_THREADS], d2[SUMS][2][ROW_THREADS];
    uint32_t zeros, zero_codes, nonfinite, first_nonfinite, saturated;
};

/* The largest magnitude of the tile, returned to all threads; also a barrier for the block. */
template <typename D> __device__ __forceinline__ float block_amax(float amax, shared_state *s)
{
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t mine = __reduce_max_sync(FULL_WARP, float_bits(amax));
    if (lane == 0) {
        s->amax[threadIdx.x / 32] = float_from_bits(mine);
    }
    if (threadIdx.x == 0) {
        s->zeros = s->zero_codes = s->nonfinite = 0;
        s->first_nonfinite = TILE * TILE;
        if (D::CAN_SATURATE) {
            s->saturated = 0;
        }
    }
    __syncthreads();
    return float_from_bits(__reduce_max_sync(FULL_WARP, float_bits(s->amax[lane % WARPS])));
}

template <typename S>
__device__ __forceinline__ void count_nonfinite(const uint32_t (*w)[S::WORDS], uint32_t row,
                                                uint32_t col, shared_state *s)
{
#pragma unroll
    for (int i = 0; i < THREAD_ROWS; i++) {
#pragma unroll
        for (int k = 0; k < THREAD_COLS; k++) {
            if ((float_bits(element<S>(w[i], k)) & 0x7f800000u) == 0x7f800000u) {
                atomicAdd(&s->nonfinite, 1u);
                atomicMin(&s->first_nonfinite, (row + row_of(i)) * TILE + col + k);
            }
        }
    }
}

template <typename S>
__device__ __forceinline__ void count_zeros(const uint32_t (*w)[S::WORDS], shared_state *s)
{
    uint32_t zeros = 0;
#pragma unroll
    for (int i = 0; i < THREAD_ROWS; i++) {
#pragma unroll
        for (int k = 0; k < THREAD_COLS; k++) {
            zeros += (float_bits(element<S>(w[i], k)) & 0x7fffffffu) == 0;
        }
    }
    atomicAdd(&s->zeros, zeros);
}

__device__ __forceinline__ void count_zero_codes(const uint2 *codes, shared_state *s)
{
    uint32_t others = 0; /* codes that are not zero: 1 ... 0x7f plus 0x7f sets the highest bit */
#pragma unroll
    for (int i = 0; i < THREAD_ROWS; i++) {
        others += __popc((codes[i].x & 0x7f7f7f7fu) + 0x7f7f7f7fu & 0x80808080u);
        others += __popc((codes[i].y & 0x7f7f7f7fu) + 0x7f7f7f7fu & 0x80808080u);
    }
    atomicAdd(&s->zero_codes, THREAD_ROWS * THREAD_COLS - others);
}

template <typename S, typename D>
__device__ __forceinline__ void count_saturated(const uint32_t (*w)[S::WORDS],
                                                const tile_rule &rule, float amax, const D &d,
                                                shared_state *s)
{
    if (!D::CAN_SATURATE || dialect_quotient(amax, rule.step, rule.by) < E4M3_SATURATED) {
        return;
    }
    uint32_t saturated = 0;
#pragma unroll
    for (int i = 0; i < THREAD_ROWS; i++) {
#pragma unroll
        for (int k = 0; k < THREAD_COLS; k++) {
            saturated += fabsf(quotient<S>(element<S>(w[i], k), d)) >= E4M3_SATURATED;
        }
    }
    atomicAdd(&s->saturated, saturated);
}

/* ---- codes and sums -------------------------------------------- */

/* Codes of a row, two columns per element. */
typedef uint16_t code_pairs[THREAD_COLS / 2];

/* Sums of two columns. */
struct pair_sums {
    float2 y2, d2;
};

__device__ __forceinline__ float2 add(float2 a, float2 b)
{
    return make_float2(a.x + b.x, a.y + b.y);
}

__device__ __forceinline__ float2 square(float2 a)
{
    return make_float2(a.x * a.x, a.y * a.y);
}

/* Encode the columns 2k and 2k+1 of one lane. */
template <typename S, typename D>
__device__ __forceinline__ pair_sums encode_lane(const uint32_t (*w)[S::WORDS], int k, const D &d,
                                                 code_pairs *codes)
{
    pair_sums sum;
#pragma unroll
    for (int i = 0; i < LANE_ROWS; i++) {
        const float2 y = {quotient<S>(element<S>(w[i], 2 * k), d),
                          quotient<S>(element<S>(w[i], 2 * k + 1), d)};
        const rounded_pair r = round_pair(narrow<S>(y.x, d), narrow<S>(y.y, d));
        const float2 error = {y.x - r.x, y.y - r.y};
        codes[i][k] = r.codes;
        sum.y2 = i == 0 ? square(y) : add(sum.y2, square(y));
        sum.d2 = i == 0 ? square(error) : add(sum.d2, square(error));
    }
    return sum;
}

/* Encode the columns 2k and 2k+1 of both lanes; returns the sum of the two lanes. */
template <typename S, typename D>
__device__ __forceinline__ pair_sums encode_pair(const uint32_t (*w)[S::WORDS], int k, const D &d,
                                                 code_pairs *codes)
{
    const pair_sums a = encode_lane<S>(w, k, d, codes);
    const pair_sums b = encode_lane<S>(w + LANE_ROWS, k, d, codes + LANE_ROWS);
    return {add(a.y2, b.y2), add(a.d2, b.d2)};
}

__device__ __forceinline__ uint32_t join(uint16_t low, uint16_t high)
{
    uint32_t word;
    asm("mov.b32 %0, {%1, %2};" : "=r"(word) : "h"(low), "h"(high));
    return word;
}

__device__ __forceinline__ void gather_codes(const code_pairs *pairs, uint2 *codes)
{
#pragma unroll
    for (int i = 0; i < THREAD_ROWS; i++) {
        codes[i] = make_uint2(join(pairs[i][0], pairs[i][1]), join(pairs[i][2], pairs[i][3]));
    }
}

/* Sum column(j) over h, ascending, then the columns as a tree (spec/quant.md section 5). Done by
 * one warp, with the result in its lane 0; lane 16k + c of the warp has the columns 8c + 4k + i. */
__device__ __forceinline__ float fold(const float4 (*v)[2][ROW_THREADS])
{
    const uint32_t lane = threadIdx.x % 32;
    float column[4] = {};
#pragma unroll
    for (int h = 0; h < SUMS; h++) {
        const float4 at = v[h][lane / ROW_THREADS][lane % ROW_THREADS];
        column[0] += at.x;
        column[1] += at.y;
        column[2] += at.z;
        column[3] += at.w;
    }
    const int away[] = {8, 4, 2, 1, ROW_THREADS}; /* 64, 32, 16, 8, 4 columns */
#pragma unroll
    for (int i = 0; i < 5; i++) {
#pragma unroll
        for (int k = 0; k < 4; k++) {
            column[k] += __shfl_down_sync(FULL_WARP, column[k], away[i]);
        }
    }
    return (column[0] + column[2]) + (column[1] + column[3]);
}

template <typename D>
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
    to->saturated = D::CAN_SATURATE ? s->saturated : 0;
    to->zero = s->zeros > clipped ? s->zeros - clipped : 0;
    to->flushed = s->zero_codes - s->zeros;
    to->nonfinite = s->nonfinite;
    to->first_nonfinite = s->nonfinite ? s->first_nonfinite : 0;
}

/* Make the compiler extract the elements from the words again. Otherwise it would keep the elements
 * extracted so far in registers, of which there are not enough. */
template <typename S> __device__ __forceinline__ void forget_elements(uint32_t (*w)[S::WORDS])
{
#pragma unroll
    for (int i = 0; i < THREAD_ROWS * S::WORDS; i++) {
        asm volatile("" : "+r"(w[i / S::WORDS][i % S::WORDS]));
    }
}

template <typename S>
__device__ __forceinline__ void load(const place &p, uint32_t row, uint32_t col,
                                     uint32_t (*w)[S::WORDS])
{
    const uint32_t bytes = vector_bytes<S>(p);
    if (bytes == 16 && is_whole(p)) {
        load_wide<S, uint4, true>(p, row, col, w);
    } else if (bytes == 16) {
        load_wide<S, uint4, false>(p, row, col, w);
    } else if (bytes == 8) {
        load_wide<S, uint2, false>(p, row, col, w);
    } else {
        load_narrow<S>(p, row, col, w);
    }
}

template <typename S>
__device__ __forceinline__ void store(const place &p, uint32_t row, uint32_t col,
                                      const uint2 *codes)
{
    const bool wide = vector_bytes<S>(p) > 0;
    if (wide && is_whole(p)) {
        store_wide<true>(p, row, col, codes);
    } else if (wide) {
        store_wide<false>(p, row, col, codes);
    } else {
        store_narrow(p, row, col, codes);
    }
}

template <typename S, typename D>
__device__ __forceinline__ void encode_all(const uint32_t (*w)[S::WORDS], const D &d, uint2 *codes,
                                           shared_state *s)
{
    const uint32_t h = threadIdx.x / ROW_THREADS;
    const uint32_t c = threadIdx.x % ROW_THREADS;
    code_pairs pairs[THREAD_ROWS];
#pragma unroll
    for (int k = 0; k < 2; k++) {
        const pair_sums a = encode_pair<S>(w, 2 * k, d, pairs);
        const pair_sums b = encode_pair<S>(w, 2 * k + 1, d, pairs);
        s->y2[h][k][c] = make_float4(a.y2.x, a.y2.y, b.y2.x, b.y2.y);
        s->d2[h][k][c] = make_float4(a.d2.x, a.d2.y, b.d2.x, b.d2.y);
    }
    gather_codes(pairs, codes);
}

template <typename S, typename D> __device__ __forceinline__ void quantize(const gpu_launch &launch)
{
    __shared__ shared_state shared;
    const uint32_t tile = launch.first + blockIdx.x;
    const uint32_t row = threadIdx.x / ROW_THREADS * THREAD_LANES;
    const uint32_t col = threadIdx.x % ROW_THREADS * THREAD_COLS;
    uint32_t w[THREAD_ROWS][S::WORDS];
    load<S>(find_place<S>(launch, tile), row, col, w);
    const extent found = find_extent<S>(w);
    const float amax = block_amax<D>(found.largest, &shared);
    const tile_rule rule = find_rule<S>(launch, amax, (const D *)NULL);
    const bool may_be_zero = found.least <= rule.scale * 0x1p-9f;
    if (may_be_zero) {
        count_zeros<S>(w, &shared);
    }
    if (float_bits(amax) >= 0x7f800000u) {
        count_nonfinite<S>(w, row, col, &shared);
    }
    D d;
    divisor_for<S>(rule, w, &d);
    count_saturated<S>(w, rule, amax, d, &shared);
    forget_elements<S>(w);
    uint2 codes[THREAD_ROWS];
    encode_all<S>(w, d, codes, &shared);
    if (may_be_zero) {
        count_zero_codes(codes, &shared);
    }
    const place p = find_place<S>(launch, tile); /* recomputed: no registers left to keep it in */
    store<S>(p, row, col, codes);
    __syncthreads();
    report<D>(launch, tile, p, amax, rule.scale, &shared);
}

} // namespace

/* Blocks per multiprocessor: while one waits for memory, the others compute. As many as leave
 * enough registers per thread: 64; or 80 for F32, where the tile alone takes 64 and a few values
 * are spilled to memory. */
enum { BLOCKS_16 = 4, BLOCKS_32 = 3 };

#define KERNEL(blocks) extern "C" __global__ void __launch_bounds__(QUANTIZE_THREADS, blocks)

KERNEL(BLOCKS_16) quantize_bf16(const __grid_constant__ gpu_launch launch)
{
    quantize<bf16_source, divisor>(launch);
}

KERNEL(BLOCKS_16) quantize_f16(const __grid_constant__ gpu_launch launch)
{
    quantize<f16_source, divisor>(launch);
}

KERNEL(BLOCKS_32) quantize_f32(const __grid_constant__ gpu_launch launch)
{
    quantize<f32_source, divisor>(launch);
}

KERNEL(BLOCKS_16) dialect_bf16(const __grid_constant__ gpu_launch launch)
{
    quantize<bf16_source, dialect_divisor>(launch);
}

KERNEL(BLOCKS_16) dialect_f16(const __grid_constant__ gpu_launch launch)
{
    quantize<f16_source, dialect_divisor>(launch);
}

KERNEL(BLOCKS_32) dialect_f32(const __grid_constant__ gpu_launch launch)
{
    quantize<f32_source, dialect_divisor>(launch);
}
