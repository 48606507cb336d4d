/* The source types of the quantizing kernel: how a thread holds its elements in registers, and
 * their magnitudes.
 *
 * Sixteen threads share a row of a tile: thread t has eight columns, from 8(t % 16) on, of two
 * lanes that are added first (spec/quant.md section 5): lanes 2(t / 16) and 2(t / 16) + 1. A lane
 * has four rows, and a thread's part of a row has S::WORDS words. */
#ifndef SOURCE_CUH
#define SOURCE_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

#include "format/tensor/dtype.h"
#include "gpu/quantize/quantize.h"
#include "format/tensor/float_bits.h"

namespace
{

enum {
    THREAD_COLS = 8,
    ROW_THREADS = TILE / THREAD_COLS,
    LANE_ROWS = 4,  /* rows of a lane, LANE_STEP apart */
    LANE_STEP = 32, /* also the number of lanes */
    THREAD_LANES = 2,
    THREAD_ROWS = THREAD_LANES * LANE_ROWS,
};
static_assert(QUANTIZE_THREADS * THREAD_LANES == ROW_THREADS * LANE_STEP, "all lanes of a tile");

template <int ELEMENT_BYTES> struct source_layout {
    enum {
        BYTES = ELEMENT_BYTES,
        WORDS = THREAD_COLS * ELEMENT_BYTES / 4,
    };
};

struct bf16_source : source_layout<2> {
    typedef __nv_bfloat162 pair;
    static const dtype TYPE = DTYPE_BF16;

    __device__ static __forceinline__ float low(uint32_t w)
    {
        return float_from_bits(w << 16);
    }
    __device__ static __forceinline__ float high(uint32_t w)
    {
        return float_from_bits(w & 0xffff0000u);
    }
};

struct f16_source : source_layout<2> {
    typedef __half2 pair;
    static const dtype TYPE = DTYPE_F16;

    __device__ static __forceinline__ float low(uint32_t w)
    {
        return __half2float(__ushort_as_half((unsigned short)(w & 0xffff)));
    }
    __device__ static __forceinline__ float high(uint32_t w)
    {
        return __half2float(__ushort_as_half((unsigned short)(w >> 16)));
    }
};

struct f32_source : source_layout<4> {
    static const dtype TYPE = DTYPE_F32;
};

/* The distance in rows from a thread's first row to its row r. */
__device__ __forceinline__ constexpr uint32_t row_of(int r)
{
    return r / LANE_ROWS + r % LANE_ROWS * LANE_STEP;
}

template <typename T> __device__ __forceinline__ T as(uint32_t w)
{
    T t;
    memcpy(&t, &w, sizeof t);
    return t;
}

template <typename T> __device__ __forceinline__ uint32_t bits_of(T t)
{
    uint32_t w;
    memcpy(&w, &t, sizeof w);
    return w;
}

/* The smallest and the largest magnitude of a thread's elements, as float32; NaN counts as the
 * largest. */
struct extent {
    float least, largest;
};

template <typename S> __device__ __forceinline__ extent find_extent(const uint32_t (*w)[S::WORDS])
{
    typedef typename S::pair pair;
    pair most = __habs2(as<pair>(w[0][0]));
    pair least = most;
#pragma unroll
    for (int i = 1; i < THREAD_ROWS * S::WORDS; i++) {
        const pair v = __habs2(as<pair>(w[i / S::WORDS][i % S::WORDS]));
        most = __hmax2_nan(most, v);
        least = __hmin2(least, v);
    }
    const uint32_t m = bits_of(most);
    const uint32_t l = bits_of(least);
    const uint32_t most_bits = max(float_bits(S::low(m)), float_bits(S::high(m)));
    return {fminf(S::low(l), S::high(l)), float_from_bits(most_bits)};
}

template <>
__device__ __forceinline__ extent find_extent<f32_source>(const uint32_t (*w)[f32_source::WORDS])
{
    uint32_t most = 0;
    uint32_t least = 0x7fffffffu;
#pragma unroll
    for (int i = 0; i < THREAD_ROWS * f32_source::WORDS; i++) {
        const uint32_t v = w[i / f32_source::WORDS][i % f32_source::WORDS] & 0x7fffffffu;
        most = max(most, v);
        least = min(least, v);
    }
    return {float_from_bits(least), float_from_bits(most)};
}

/* Element k of a thread's eight in a row. */
template <typename S> __device__ __forceinline__ float element(const uint32_t *w, int k)
{
    return k % 2 ? S::high(w[k / 2]) : S::low(w[k / 2]);
}

template <> __device__ __forceinline__ float element<f32_source>(const uint32_t *w, int k)
{
    return float_from_bits(w[k]);
}

} // namespace

#endif
