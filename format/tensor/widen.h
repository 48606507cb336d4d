/* Converts BF16 and F16 to float32: exactly for every value; NaNs keep sign and payload. */
#ifndef WIDEN_H
#define WIDEN_H

#include "format/tensor/float_bits.h"

SHARED_FN float bf16_widen(uint16_t h)
{
    return float_from_bits((uint32_t)h << 16);
}

/* The exponent field moves from bias 15 to 127, and from 31 to 255 for infinity and NaN. A
 * subnormal, whose value is 2^-14 m/1024, then reads as 2^-15 (1 + m/1024): its value is twice that
 * minus 2^-14. So no operand is a subnormal float32, which some processors compute very slowly. */
SHARED_FN float f16_widen(uint16_t h)
{
    int32_t magnitude = h & 0x7fff;
    int32_t bias = magnitude < 0x7c00 ? 112 << 23 : 224 << 23;
    uint32_t normal = (uint32_t)((magnitude << 13) + bias);
    float lifted = float_from_bits(normal);
    uint32_t subnormal = float_bits(lifted + (lifted - 0x1p-14f));
    uint32_t sign = ((uint32_t)h & 0x8000) << 16;
    return float_from_bits((magnitude < 0x0400 ? subnormal : normal) | sign);
}

#endif
