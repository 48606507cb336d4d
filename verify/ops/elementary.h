/* exp, sigmoid and silu (spec/forward.md section 3): the same bits everywhere. Compiles as C11 and
 * as CUDA C++17 (format/tensor/float_bits.h). Fused multiplications are written out; nothing else
 * may be contracted. */
#ifndef ELEMENTARY_H
#define ELEMENTARY_H

#include <math.h>

#include "format/tensor/float_bits.h"

/* Error below 0.9 units in the last place. Below -104 the result is +0, above 89 infinity. The
 * power of two is applied in two halves, so that only the last product rounds, even if the result
 * is subnormal. */
SHARED_FN float elementary_exp(float x)
{
    float c = x > 89.0f ? 89.0f : x;
    c = c < -104.0f ? -104.0f : c;
    /* Adding 1.5 * 2^23 rounds to an integer, which is then in the low bits. */
    float m = fmaf(c, 0x1.715476p0f, 12582912.0f);
    float n = m - 12582912.0f;
    int32_t k = (int32_t)(float_bits(m) - 0x4b400000u);
    float r = fmaf(n, -0x1.62e43p-1f, c);
    r = fmaf(n, 0x1.05c61p-29f, r);
    float p = 0x1.6850e4p-10f;
    p = fmaf(p, r, 0x1.123bccp-7f);
    p = fmaf(p, r, 0x1.555b98p-5f);
    p = fmaf(p, r, 0x1.55548ep-3f);
    p = fmaf(p, r, 0x1.fffff8p-2f);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    int32_t a = k >> 1;
    int32_t b = k - a;
    p = p * float_from_bits((uint32_t)(a + 127) << 23);
    p = p * float_from_bits((uint32_t)(b + 127) << 23);
    return x != x ? float_from_bits(0x7fc00000u) : p;
}

SHARED_FN float elementary_sigmoid(float x)
{
    return 1.0f / (1.0f + elementary_exp(-x));
}

SHARED_FN float elementary_silu(float x)
{
    return x * elementary_sigmoid(x);
}

#endif
