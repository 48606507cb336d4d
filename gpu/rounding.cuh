/* Quotients and codes, two at a time: the bits of spec/quant.md section 3 in few instructions. */
#ifndef ROUNDING_CUH
#define ROUNDING_CUH

#include <cuda_fp16.h>
#include <stdint.h>

#include "gpu/source.cuh"
#include "quant/e4m3.h"

namespace
{

/* Two codes and the magnitudes that they stand for. */
struct rounded_pair {
    uint32_t codes; /* of x in the low byte, of y in the next */
    float x, y;     /* signed or not: only their squares' distance from the source counts */
};

__device__ __forceinline__ rounded_pair round_pair(float x, float y)
{
    rounded_pair r;
#if __CUDA_ARCH__ >= 890
    uint16_t codes;
    uint32_t halves;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(codes) : "f"(y), "f"(x));
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(halves) : "h"(codes));
    r.codes = codes;
    r.x = __low2float(as<__half2>(halves));
    r.y = __high2float(as<__half2>(halves));
#else
    const e4m3_rounded a = e4m3_round(fabsf(x));
    const e4m3_rounded b = e4m3_round(fabsf(y));
    r.codes = (a.code | (float_bits(x) >> 24 & 0x80)) | (b.code | (float_bits(y) >> 24 & 0x80))
                                                            << 8;
    r.x = copysignf(a.value, x);
    r.y = copysignf(b.value, y);
#endif
    return r;
}

/* The divisor of a tile, and its reciprocal, correctly rounded. */
struct divisor {
    float scale, reciprocal;
};

/* fl32(x / scale), by Markstein's theorem: with the correctly rounded reciprocal r and a remainder
 * that is computed exactly, q + r * remainder rounds as the quotient does. (All mantissas of BF16
 * and F16 with all of float32 were tried.) The remainder is exact unless it falls below 2^-149: for
 * scales from 2^-25 on only where |x| < 2^-100, thus |y| < 2^-75, whose code and squares are zero
 * whatever the last bits are. */
__device__ __forceinline__ float quotient(float x, const divisor &d)
{
    const float q = x * d.reciprocal;
    return fmaf(fmaf(-q, d.scale, x), d.reciprocal, q);
}

} // namespace

#endif
