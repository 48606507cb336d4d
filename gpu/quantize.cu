/* The quantizing kernel: one block, one tile, one pass (spec/quant.md).
 *
 * The threads of a block hold a tile of 128 x 128 in registers: a row of BF16 is read 16 bytes a
 * thread, and its codes are written 8 bytes a thread. Each element comes from memory once; amax,
 * code and statistics are found in the registers. Besides memory only the number of instructions an
 * element counts, some eighteen in all:
 *
 *   - amax and the smallest magnitude by packed instructions, two elements each;
 *   - the quotient by the tile's reciprocal (gpu/rounding.cuh);
 *   - codes by the conversion instruction of sm_89 and later, two elements each, and decoded by the
 *     inverse instruction. Older devices take the arithmetic of quant/e4m3.h;
 *   - zeros are counted only by threads that can have a zero code.
 *
 * Other dialects than ieee have kernels of their own, which ask what to do (gpu/rounding.cuh), so
 * that those of ieee need not.
 *
 * Loads are plain ones: those that pass by the first cache, and copies into shared memory that run
 * ahead, were slower (H100). Everything is forced inline: an array whose address a function gets
 * would lie in memory. */
#include <stdint.h>

#include "gpu/place.cuh"
#include "gpu/quantize.h"
#include "gpu/rounding.cuh"
#include "gpu/source.cuh"
#include "quant/dialect.h"

namespace
{

enum { SUMS = LANE_STEP / 2 }; /* of two lanes each */

const unsigned FULL_WARP = 0xffffffffu;

/* ---- what the threads of a block share ---- */

struct shared_state {
    float amax[SUMS];
    /* lane(2h, j) + lane(2h+1, j) of warp h, and column j = 8c + 2k + i at [h][k][i][c]. */
    float y2[SUMS][TILE], d2[SUMS][TILE];
    uint32_t zeros, zero_codes, nonfinite, first_nonfinite, saturated;
};

/* The largest magnitude of the tile, for all threads; orders them. */
template <typename S, typename D>
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
        if (D::CAN_SATURATE) {
            s->saturated = 0;
        }
    }
    __syncthreads();
    return float_from_bits(
        __reduce_max_sync(FULL_WARP, float_bits(s->amax[lane % (S::THREADS / 32)])));
}

template <typename S>
__device__ __forceinline__ void count_nonfinite(const uint32_t (*w)[S::WORDS], uint32_t row,
                                                uint32_t col, shared_state *s)
{
#pragma unroll
    for (int i = 0; i < S::ROWS; i++) {
#pragma unroll
        for (int k = 0; k < THREAD_COLS; k++) {
            if ((float_bits(element<S>(w[i], k)) & 0x7f800000u) == 0x7f800000u) {
                atomicAdd(&s->nonfinite, 1u);
                atomicMin(&s->first_nonfinite, (row + row_of<S>(i)) * TILE + col + k);
            }
        }
    }
}

template <typename S>
__device__ __forceinline__ void count_zeros(const uint32_t (*w)[S::WORDS], shared_state *s)
{
    uint32_t zeros = 0;
#pragma unroll
    for (int i = 0; i < S::ROWS; i++) {
#pragma unroll
        for (int k = 0; k < THREAD_COLS; k++) {
            zeros += (float_bits(element<S>(w[i], k)) & 0x7fffffffu) == 0;
        }
    }
    atomicAdd(&s->zeros, zeros);
}

template <typename S>
__device__ __forceinline__ void count_zero_codes(const uint2 *codes, shared_state *s)
{
    uint32_t others = 0; /* a byte of 1 ... 0x7f and 0x7f set the highest bit */
#pragma unroll
    for (int i = 0; i < S::ROWS; i++) {
        others += __popc((codes[i].x & 0x7f7f7f7fu) + 0x7f7f7f7fu & 0x80808080u);
        others += __popc((codes[i].y & 0x7f7f7f7fu) + 0x7f7f7f7fu & 0x80808080u);
    }
    atomicAdd(&s->zero_codes, S::ROWS * THREAD_COLS - others);
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
    for (int i = 0; i < S::ROWS; i++) {
#pragma unroll
        for (int k = 0; k < THREAD_COLS; k++) {
            saturated += fabsf(quotient<S>(element<S>(w[i], k), d)) >= E4M3_SATURATED;
        }
    }
    atomicAdd(&s->saturated, saturated);
}

/* ---- codes and sums ---- */

/* Leave the sum of the warp's two rows of threads to `fold`: of the threads that share column c,
 * the lower has v0's column and the upper v1's. */
__device__ __forceinline__ void share_sum(float v0, float v1, int k, float *to)
{
    const uint32_t lane = threadIdx.x % 32;
    const bool upper = lane >= ROW_THREADS;
    const float keep = upper ? v1 : v0;
    const float give = upper ? v0 : v1;
    to[k * 32 + lane] = keep + __shfl_xor_sync(FULL_WARP, give, ROW_THREADS);
}

/* Codes of a row, two columns each. */
typedef uint16_t code_pairs[THREAD_COLS / 2];

/* Encode one lane: four rows. `sum`: where its sums go, 2h of the lanes 2h and 2h+1. */
template <typename S, typename D>
__device__ __forceinline__ void encode(const uint32_t (*w)[S::WORDS], const D &d, code_pairs *codes,
                                       uint32_t sum, shared_state *s)
{
#pragma unroll
    for (int k = 0; k < THREAD_COLS / 2; k++) {
        float a0 = 0, a1 = 0, b0 = 0, b1 = 0;
#pragma unroll
        for (int i = 0; i < LANE_ROWS; i++) {
            const float x0 = element<S>(w[i], 2 * k);
            const float x1 = element<S>(w[i], 2 * k + 1);
            const float y0 = quotient<S>(x0, d);
            const float y1 = quotient<S>(x1, d);
            const rounded_pair r = round_pair(narrow<S>(y0, d), narrow<S>(y1, d));
            const float e0 = y0 - r.x;
            const float e1 = y1 - r.y;
            codes[i][k] = r.codes;
            a0 = i == 0 ? y0 * y0 : a0 + y0 * y0;
            a1 = i == 0 ? y1 * y1 : a1 + y1 * y1;
            b0 = i == 0 ? e0 * e0 : b0 + e0 * e0;
            b1 = i == 0 ? e1 * e1 : b1 + e1 * e1;
        }
        share_sum(a0, a1, k, s->y2[sum]);
        share_sum(b0, b1, k, s->d2[sum]);
    }
}

__device__ __forceinline__ uint32_t join(uint16_t low, uint16_t high)
{
    uint32_t word;
    asm("mov.b32 %0, {%1, %2};" : "=r"(word) : "h"(low), "h"(high));
    return word;
}

template <typename S>
__device__ __forceinline__ void gather_codes(const code_pairs *pairs, uint2 *codes)
{
#pragma unroll
    for (int i = 0; i < S::ROWS; i++) {
        codes[i] = make_uint2(join(pairs[i][0], pairs[i][1]), join(pairs[i][2], pairs[i][3]));
    }
}

/* column(j) over the warps, ascending, then the tree over columns; by one warp, the result in lane
 * 0. Lane 16i + c has the columns 8c + 2k + i. */
__device__ __forceinline__ float fold(const float (*v)[TILE])
{
    const uint32_t lane = threadIdx.x % 32;
    float column[4] = {};
#pragma unroll
    for (int h = 0; h < SUMS; h++) {
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

/* Or the compiler would keep what it has extracted from the words so far, in registers that there
 * are not. */
template <typename S> __device__ __forceinline__ void forget_elements(uint32_t (*w)[S::WORDS])
{
#pragma unroll
    for (int i = 0; i < S::ROWS * S::WORDS; i++) {
        asm volatile("" : "+r"(w[i / S::WORDS][i % S::WORDS]));
    }
}

template <typename S>
__device__ __forceinline__ void load(const place &p, uint32_t row, uint32_t col,
                                     uint32_t (*w)[S::WORDS])
{
    const uint32_t bytes = vector_bytes<S>(p);
    if (bytes == 16) {
        load_wide<S, uint4>(p, row, col, w);
    } else if (bytes == 8) {
        load_wide<S, uint2>(p, row, col, w);
    } else {
        load_narrow<S>(p, row, col, w);
    }
}

template <typename S>
__device__ __forceinline__ void store(const place &p, uint32_t row, uint32_t col,
                                      const uint2 *codes)
{
    if (vector_bytes<S>(p) > 0) {
        store_wide<S>(p, row, col, codes);
    } else {
        store_narrow<S>(p, row, col, codes);
    }
}

template <typename S, typename D>
__device__ __forceinline__ void encode_all(const uint32_t (*w)[S::WORDS], const D &d, uint2 *codes,
                                           shared_state *s)
{
    code_pairs pairs[S::ROWS];
#pragma unroll
    for (int i = 0; i < S::LANES; i++) {
        const uint32_t sum = threadIdx.x / 32 + i * (S::THREADS / 32);
        encode<S>(w + i * LANE_ROWS, d, pairs + i * LANE_ROWS, sum, s);
    }
    gather_codes<S>(pairs, codes);
}

template <typename S, typename D> __device__ __forceinline__ void quantize(const gpu_launch &launch)
{
    __shared__ shared_state shared;
    const uint32_t tile = launch.first + blockIdx.x;
    const uint32_t row = threadIdx.x / ROW_THREADS;
    const uint32_t col = threadIdx.x % ROW_THREADS * THREAD_COLS;
    uint32_t w[S::ROWS][S::WORDS];
    load<S>(find_place<S>(launch, tile), row, col, w);
    const extent found = find_extent<S>(w);
    const float amax = block_amax<S, D>(found.largest, &shared);
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
    uint2 codes[S::ROWS];
    encode_all<S>(w, d, codes, &shared);
    if (may_be_zero) {
        count_zero_codes<S>(codes, &shared);
    }
    const place p = find_place<S>(launch, tile); /* again, for want of registers to keep it in */
    store<S>(p, row, col, codes);
    __syncthreads();
    report<D>(launch, tile, p, amax, rule.scale, &shared);
}

} // namespace

/* Blocks that a multiprocessor shall hold: while one waits for memory the others compute. As many
 * as leave the registers that the kernels need, 64 a thread. */
enum { BLOCKS_16 = 4, BLOCKS_32 = 2 };

#define KERNEL(threads, blocks) extern "C" __global__ void __launch_bounds__(threads, blocks)

KERNEL(QUANTIZE_THREADS_16, BLOCKS_16) quantize_bf16(const __grid_constant__ gpu_launch launch)
{
    quantize<bf16_source, divisor>(launch);
}

KERNEL(QUANTIZE_THREADS_16, BLOCKS_16) quantize_f16(const __grid_constant__ gpu_launch launch)
{
    quantize<f16_source, divisor>(launch);
}

KERNEL(QUANTIZE_THREADS_32, BLOCKS_32) quantize_f32(const __grid_constant__ gpu_launch launch)
{
    quantize<f32_source, divisor>(launch);
}

KERNEL(QUANTIZE_THREADS_16, BLOCKS_16) dialect_bf16(const __grid_constant__ gpu_launch launch)
{
    quantize<bf16_source, dialect_divisor>(launch);
}

KERNEL(QUANTIZE_THREADS_16, BLOCKS_16) dialect_f16(const __grid_constant__ gpu_launch launch)
{
    quantize<f16_source, dialect_divisor>(launch);
}

KERNEL(QUANTIZE_THREADS_32, BLOCKS_32) dialect_f32(const __grid_constant__ gpu_launch launch)
{
    quantize<f32_source, dialect_divisor>(launch);
}
