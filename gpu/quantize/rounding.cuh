/* Quotients, and codes two at a time: the bits of spec/quant.md section 3 in few instructions. */
#ifndef ROUNDING_CUH
#define ROUNDING_CUH

#include <cuda_fp16.h>
#include <stdint.h>

#include "gpu/quantize/source.cuh"
#include "quant/engine/tile_rule.h"
#include "format/tensor/e4m3.h"

namespace
{

/* Two codes and their dequantized values. */
struct rounded_pair {
    uint16_t codes; /* of x in the low byte, of y in the high one */
    float x, y;
};

__device__ __forceinline__ rounded_pair round_pair(float x, float y)
{
    rounded_pair r;
#if __CUDA_ARCH__ >= 890
    uint32_t halves;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(r.codes) : "f"(y), "f"(x));
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(halves) : "h"(r.codes));
    r.x = __low2float(as<__half2>(halves));
    r.y = __high2float(as<__half2>(halves));
#else
    const e4m3_rounded a = e4m3_round(fabsf(x));
    const e4m3_rounded b = e4m3_round(fabsf(y));
    const uint32_t signs = (float_bits(x) >> 24 & 0x80) | (float_bits(y) >> 16 & 0x8000);
    r.codes = (uint16_t)(a.code | b.code << 8 | signs);
    r.x = copysignf(a.value, x);
    r.y = copysignf(b.value, y);
#endif
    return r;
}

/* The divisor of a tile, and its reciprocal, correctly rounded. */
struct divisor {
    enum { CAN_SATURATE = 0 }; /* the scale makes |y| at most 448, plus a rounding error */
    float scale, reciprocal;
};

/* fl32(x / scale). For 16-bit sources by Markstein's theorem: with the correctly rounded reciprocal
 * r and a remainder that is computed exactly, q + r * remainder rounds as the quotient does.
 * (tests/aid/gpu_oracle.cu tries all mantissas of BF16 and F16 with all mantissas of float32.) The
 * remainder is exact unless it falls below 2^-149. With a scale of at least 2^-25 that happens only
 * if |x| < 2^-100, and then |y| < 2^-75, whose code and squares are zero whatever the last bits. */
template <typename S> __device__ __forceinline__ float quotient(float x, const divisor &d)
{
    const float q = x * d.reciprocal;
    return fmaf(fmaf(q, d.scale, -x), -d.reciprocal, q); /* these signs preserve a -0 */
}

template <> __device__ __forceinline__ float quotient<f32_source>(float x, const divisor &d)
{
    return x / d.scale;
}

/* The divisor for a scale. If the scale is too small for the argument above, elements and scale are
 * first multiplied by a power of two: exactly, since all are below 2^-16. F16 has no scales that
 * small. */
template <typename S>
__device__ __forceinline__ divisor make_divisor(float scale, uint32_t (*w)[S::WORDS])
{
    return {scale, 1 / scale};
}

template <>
__device__ __forceinline__ divisor make_divisor<bf16_source>(float scale,
                                                             uint32_t (*w)[bf16_source::WORDS])
{
    if (scale < 0x1p-25f) {
        const __nv_bfloat162 up = __float2bfloat162_rn(0x1p60f);
#pragma unroll
        for (int i = 0; i < THREAD_ROWS * bf16_source::WORDS; i++) {
            uint32_t *const word = &w[i / bf16_source::WORDS][i % bf16_source::WORDS];
            *word = bits_of(__hmul2(as<__nv_bfloat162>(*word), up));
        }
        scale *= 0x1p60f;
    }
    return {scale, 1 / scale};
}

/* How elements are treated in a dialect (quant/engine/tile_rule.h): divided as above, or multiplied
 * by `reciprocal`. In the latter case `correction` is 0, which leaves the product unchanged, even a
 * -0. */
struct dialect_divisor {
    enum { CAN_SATURATE = 1 };
    float scale, reciprocal, correction;
    bool narrow; /* round y to the source's precision before encoding it */
};

template <typename S> __device__ __forceinline__ float quotient(float x, const dialect_divisor &d)
{
    const float q = x * d.reciprocal;
    return fmaf(fmaf(q, d.scale, -x), -d.correction, q);
}

template <> __device__ __forceinline__ float quotient<f32_source>(float x, const dialect_divisor &d)
{
    return d.correction == 0 ? x * d.reciprocal : x / d.scale;
}

template <typename S> __device__ __forceinline__ float narrow(float y, const divisor &)
{
    return y;
}

template <typename S> __device__ __forceinline__ float narrow(float y, const dialect_divisor &d)
{
    return d.narrow ? round_to_source(y, S::TYPE) : y;
}

/* Not a cast: that would make a byte of it, which takes more instructions than a comparison. */
__device__ __forceinline__ scale_format format_of(const gpu_launch &launch)
{
    return launch.scale != SCALES_F32 ? SCALES_UE8M0 : SCALES_F32;
}

/* The rule of a tile in the dialect of a launch, and the divisor for it. */
template <typename S>
__device__ __forceinline__ tile_rule find_rule(const gpu_launch &launch, float amax,
                                               const divisor *)
{
    const float scale = scale_from_amax(amax, format_of(launch));
    return {scale, scale, STEP_DIVIDE};
}

template <typename S>
__device__ __forceinline__ tile_rule find_rule(const gpu_launch &launch, float amax,
                                               const dialect_divisor *)
{
    return dialect_rule((pack_dialect)launch.dialect, format_of(launch), S::TYPE, amax);
}

template <typename S>
__device__ __forceinline__ void divisor_for(const tile_rule &rule, uint32_t (*w)[S::WORDS],
                                            divisor *to)
{
    *to = make_divisor<S>(rule.scale, w);
}

template <typename S>
__device__ __forceinline__ void divisor_for(const tile_rule &rule, uint32_t (*w)[S::WORDS],
                                            dialect_divisor *to)
{
    if (rule.step == STEP_MULTIPLY) {
        *to = {0, rule.by, 0, false};
        return;
    }
    const divisor d = make_divisor<S>(rule.by, w);
    *to = {d.scale, d.reciprocal, d.reciprocal, rule.step != STEP_DIVIDE};
}

} // namespace

#endif
