/* exp and ln of float64 (spec/forward.md section 8): the same bits everywhere, for measures. Only +, -,
 * * and fma, so a GPU gives them, too. Compiles as C11 and as CUDA C++17 (format/tensor/float_bits.h).
 * Fused multiplications are written out; nothing else may be contracted. */
#ifndef FLOAT64_H
#define FLOAT64_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "format/tensor/float_bits.h"

SHARED_FN uint64_t float64_bits(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

SHARED_FN double float64_from_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* ln 2 in two parts: the first has 42 bits, so that its product with an exponent is exact. */
#define FLOAT64_LN2_HIGH 0x1.62e42fefa38p-1
#define FLOAT64_LN2_LOW  0x1.ef35793c7673p-45

/* Error below 0.9 units in the last place. Below -708 the result is +0 (no subnormal numbers), above
 * 709 infinity; NaN stays NaN. The polynomial is the series of Taylor up to r^13 for
 * |r| <= ln(2)/2. */
SHARED_FN double float64_exp(double x)
{
    double c = x > 709.0 ? 709.0 : x;
    c = c < -708.0 ? -708.0 : c;
    /* Adding 1.5 * 2^52 rounds to an integer, which is then in the low bits. */
    double m = fma(c, 0x1.71547652b82fep+0, 0x1.8p+52);
    double n = m - 0x1.8p+52;
    double r = fma(n, -FLOAT64_LN2_HIGH, c);
    r = fma(n, -FLOAT64_LN2_LOW, r);
    double p = 0x1.6124613a86d09p-33;
    p = fma(p, r, 0x1.1eed8eff8d898p-29);
    p = fma(p, r, 0x1.ae64567f544e4p-26);
    p = fma(p, r, 0x1.27e4fb7789f5cp-22);
    p = fma(p, r, 0x1.71de3a556c734p-19);
    p = fma(p, r, 0x1.a01a01a01a01ap-16);
    p = fma(p, r, 0x1.a01a01a01a01ap-13);
    p = fma(p, r, 0x1.6c16c16c16c17p-10);
    p = fma(p, r, 0x1.1111111111111p-7);
    p = fma(p, r, 0x1.5555555555555p-5);
    p = fma(p, r, 0x1.5555555555555p-3);
    p = fma(p, r, 0.5);
    p = fma(p, r, 1.0);
    p = fma(p, r, 1.0);
    /* The low bits of m are n modulo 2^52: shifted, they are added to the exponent of p. */
    double y = float64_from_bits(float64_bits(p) + (float64_bits(m) << 52));
    y = x < -708.0 ? 0.0 : y;
    y = x > 709.0 ? float64_from_bits(0x7ff0000000000000u) : y;
    return x != x ? x : y;
}

/* For normal x > 0: error below 2^-52 and 1 unit in the last place of the result; ln 1 is +0. For
 * anything else, subnormal numbers included, NaN.
 *
 * x = 2^e m with m from sqrt(1/2) to sqrt(2). A polynomial gives y near ln m, and
 * ln m = y + ln(m exp(-y)) needs only two terms of the series of the second logarithm. */
SHARED_FN double float64_ln(double x)
{
    uint64_t bits = float64_bits(x);
    /* 0x3fe6a09e667f3bcd: sqrt(1/2). The difference of the exponents, rounded towards it. */
    int64_t e = (int64_t)(bits - 0x3fe6a09e667f3bcdu) >> 52;
    double m = float64_from_bits(bits - ((uint64_t)e << 52));
    double t = m - 1.0;
    double y = 0x1.e8b22cp-4;
    y = fma(y, t, -0x1.7e94fp-3);
    y = fma(y, t, 0x1.a3abd6p-3);
    y = fma(y, t, -0x1.fe1f2cp-3);
    y = fma(y, t, 0x1.55246cp-2);
    y = fma(y, t, -0x1.00018p-1);
    y = fma(y, t, 0x1.00001p+0);
    y = y * t;
    double z = fma(m, float64_exp(-y), -1.0);
    double d = (double)e;
    double low = fma(d, FLOAT64_LN2_LOW, fma(z, -0.5 * z, z));
    double result = fma(d, FLOAT64_LN2_HIGH, y) + low;
    int normal = x >= 0x1p-1022 && x <= 0x1.fffffffffffffp+1023;
    return normal ? result : float64_from_bits(0x7ff8000000000000u);
}

#endif
