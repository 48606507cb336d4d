/* FP8 E4M3FN: what a code means, and the code nearest to a number (spec/quant.md section 3).
 *
 * Compiles as C11 and as CUDA C++17 (format/tensor/float_bits.h). Rounding uses the float addition
 * of the machine: the rounding mode must be the default, to nearest even, and the compiler must not
 * reassociate (no fast-math). */
#ifndef E4M3_H
#define E4M3_H

#include "format/tensor/float_bits.h"

#define E4M3_MAX       448.0f
#define E4M3_SATURATED 464.0f /* would round to 480 without a limit (the tie: down to 448) */

/* A magnitude rounded to E4M3: the code without sign, and its value. */
typedef struct e4m3_rounded {
    uint32_t code;
    float value;
} e4m3_rounded;

/* Round y >= 0 to the nearest E4M3 number, ties to the even code, at most 448 (also for infinity
 * and NaN).
 *
 * The step of E4M3 near y is 2^(E-3), with 2^E the power of two of y, at least 2^-6. Adding
 * 2^(E+20), whose last bit has that value, makes the machine round y to that step; code and value
 * are then differences from the sum. Both limits are applied to the bits, which are ordered like
 * the numbers: compilers turn each into one instruction. */
SHARED_FN e4m3_rounded e4m3_round(float y)
{
    int32_t magnitude = (int32_t)float_bits(y);
    int32_t bits = magnitude < 0x43e00000 ? magnitude : 0x43e00000; /* 448 */
    int32_t power = bits & 0x7f800000;
    int32_t exponent = power > 0x3c800000 ? power : 0x3c800000; /* 2^-6 */
    uint32_t shift = (uint32_t)exponent + (20u << 23);
    float sum = float_from_bits((uint32_t)bits) + float_from_bits(shift);
    e4m3_rounded r;
    /* The difference of the bits is the value in steps, 8 + mantissa; the exponent field of 2^-6 is
     * 121, in codes 1. */
    r.code = float_bits(sum) - shift + ((uint32_t)exponent >> 20) - 121 * 8;
    r.value = sum - float_from_bits(shift);
    return r;
}

/* The code of y, sign included; -0 and what rounds to it give 0x80. */
SHARED_FN uint8_t e4m3_encode(float y)
{
    uint32_t bits = float_bits(y);
    e4m3_rounded r = e4m3_round(float_from_bits(bits & 0x7fffffffu));
    return (uint8_t)(r.code | (bits >> 24 & 0x80));
}

/* The value of a code; NaN for 0x7F and 0xFF. Exact, and without subnormal float32 as intermediate
 * results, which some processors compute very slowly. */
SHARED_FN float e4m3_decode(uint8_t code)
{
    uint32_t sign = ((uint32_t)code & 0x80) << 24;
    uint32_t magnitude = (uint32_t)code & 0x7f;
    uint32_t normal = (magnitude << 20) + (120u << 23);
    uint32_t subnormal = float_bits(float_from_bits((magnitude << 20) + (121u << 23)) - 0x1p-6f);
    uint32_t finite = magnitude < 8 ? subnormal : normal;
    return float_from_bits((magnitude == 0x7f ? 0x7fc00000u : finite) | sign);
}

#endif
